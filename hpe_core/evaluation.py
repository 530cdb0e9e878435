"""What is reported of every network on one set of faces, from its table of predictions.

Several seeds of a network are averaged. A face's error is the mean of its three absolute errors.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from hpe_core.bootstrap import mean_interval
from hpe_core.geometry import ANGLES, geodesic_deg
from hpe_core.metrics import absolute_error_deg, mae_by_yaw, mean_of, over_runs, summary
from hpe_core.predictions import ORACLE, PYR, STD_PYR, TRUE_PYR, UNCERTAINTIES
from hpe_core.uncertainty import (
    aurc_gain,
    coverage,
    face_uncertainty,
    rank_correlation,
    risk_coverage,
)

Array = NDArray[np.float64]
Report = dict[str, dict[str, Any]]  # network → what was measured


def summaries(predictions: pd.DataFrame) -> Report:
    """`metrics.summary` of every network, over its seeds."""
    return {
        name: over_runs([summary(run[PYR], run[TRUE_PYR]) for run in runs])
        for name, runs in _runs_of(predictions).items()
    }


def bands(predictions: pd.DataFrame, yaw_bands_deg: Sequence[float]) -> Report:
    """`metrics.mae_by_yaw` of every network, averaged over its seeds."""
    return {
        name: mean_of([mae_by_yaw(run[PYR], run[TRUE_PYR], yaw_bands_deg) for run in runs])
        for name, runs in _runs_of(predictions).items()
    }


def intervals(predictions: pd.DataFrame, rng: np.random.Generator) -> Report:
    """Network → pitch, yaw, roll, mae, geodesic → [low, high], degrees.

    The 95 % interval over the choice of faces (whole groups) of the mean over the seeds. Every
    network has the same faces, and the same draws of them.
    """
    errors = _errors_by_face(predictions)
    groups = predictions.drop_duplicates("face_id").set_index("face_id")["group"]
    limits = mean_interval(errors, rng, groups[errors.index])
    found: Report = {}
    names = (errors.columns.get_level_values(level) for level in (0, "network"))
    for measure, network, low, high in zip(*names, *limits, strict=True):
        found.setdefault(network, {})[measure] = [float(low), float(high)]
    return found


def uncertainties(predictions: pd.DataFrame, *, calibrated: bool) -> Report:
    """Network → std, entropy and, of several windows, spread → how well it predicts the error.

    Of each: rank_correlation per angle and of the face, and aurc_gain. Of the std also coverage,
    the share of faces within ±1 std per angle, and calibrated, whether it should be 0.68.
    """
    found: Report = {}
    for name, runs in _runs_of(predictions).items():
        kinds = [kind for kind, columns in UNCERTAINTIES.items() if runs[0][columns].any(axis=None)]
        found[name] = mean_of([{kind: _foresight(run, kind) for kind in kinds} for run in runs])
        covered = [coverage(_errors(run), run[STD_PYR]) for run in runs]
        found[name]["std"]["coverage"] = _by_angle(np.mean(covered, axis=0))
        found[name]["std"]["calibrated"] = calibrated
    return found


def risk_curves(predictions: pd.DataFrame) -> pd.DataFrame:
    """The MAE of the most certain 10, 20 … 100 % of the faces, by their std.

    Returns the columns network, percent and mae; the last rows, of the network ORACLE, are the
    least that any order of the faces could reach with the base network's errors.
    """
    runs = _runs_of(predictions)
    curves = {name: _curve(own, _doubt_by_std) for name, own in runs.items()}
    curves[ORACLE] = _curve(runs["base"], _errors_of_faces)
    return pd.concat(curves, names=["network"]).reset_index()


def _curve(runs: list[pd.DataFrame], doubt: Callable[[pd.DataFrame], Array]) -> pd.DataFrame:
    """Risk-coverage curve, averaged over the seeds: percent → mae."""
    of_runs = [risk_coverage(_errors_of_faces(run), doubt(run)) for run in runs]
    return pd.concat(of_runs).groupby("percent").mean()


def _doubt_by_std(run: pd.DataFrame) -> Array:
    return face_uncertainty(run[STD_PYR])


def _foresight(run: pd.DataFrame, kind: str) -> dict[str, Any]:
    errors, doubt = _errors(run), run[UNCERTAINTIES[kind]].to_numpy()
    of_face, doubt_of_face = _errors_of_faces(run), face_uncertainty(doubt)
    (face,) = rank_correlation(doubt_of_face[:, None], of_face[:, None])
    return {
        "rank_correlation": {**_by_angle(rank_correlation(doubt, errors)), "face": float(face)},
        "aurc_gain": aurc_gain(of_face, doubt_of_face),
    }


def _runs_of(predictions: pd.DataFrame) -> dict[str, list[pd.DataFrame]]:
    """Network → one table a seed; networks in the order of the table."""
    return {
        str(name): [run for _, run in own.groupby("seed")]
        for name, own in predictions.groupby("network", sort=False)
    }


def _errors(predictions: pd.DataFrame) -> Array:
    return absolute_error_deg(predictions[PYR], predictions[TRUE_PYR])


def _errors_of_faces(predictions: pd.DataFrame) -> Array:
    return _errors(predictions).mean(1)


def _errors_by_face(predictions: pd.DataFrame) -> pd.DataFrame:
    """Errors averaged over the seeds: one row a face, one column a (measure, network)."""
    errors = _errors(predictions)
    table = predictions[["face_id", "network"]].assign(
        **dict(zip(ANGLES, errors.T, strict=True)),
        mae=errors.mean(1),
        geodesic=geodesic_deg(predictions[PYR], predictions[TRUE_PYR]),
    )
    return table.pivot_table(index="face_id", columns="network", aggfunc="mean")


def _by_angle(values: ArrayLike) -> dict[str, float]:
    return dict(zip(ANGLES, np.asarray(values, "f8").tolist(), strict=True))
