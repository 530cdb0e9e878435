"""All metrics per network, from a table of predictions; averaged over the seeds of a network."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from hpe_core.common.geometry import ANGLES, Array
from hpe_core.evaluation.bootstrap import mean_interval
from hpe_core.evaluation.columns import (
    ORACLE,
    ORDER,
    PYR,
    STD_PYR,
    TRUE_PYR,
    UNCERTAINTIES,
)
from hpe_core.evaluation.metrics import (
    FACE_MEASURES,
    angle_errors_deg,
    face_errors_deg,
    mae_by_yaw,
    mean_of,
    over_runs,
    summary,
)
from hpe_core.evaluation.uncertainty import (
    aurc_gain,
    face_uncertainty,
    rank_correlation,
    risk_coverage,
    std_coverage,
)

ByNetwork = dict[str, dict[str, Any]]  # network → what was measured


def summaries(predictions: pd.DataFrame) -> ByNetwork:
    """`metrics.summary` per network, averaged over its seeds."""
    return {
        name: over_runs([summary(run[PYR], run[TRUE_PYR], run[ORDER]) for run in runs])
        for name, runs in _runs_of(predictions).items()
    }


def bands(predictions: pd.DataFrame, yaw_bands_deg: Sequence[float]) -> ByNetwork:
    """`metrics.mae_by_yaw` per network, averaged over its seeds."""
    return {
        name: mean_of([mae_by_yaw(run[PYR], run[TRUE_PYR], yaw_bands_deg) for run in runs])
        for name, runs in _runs_of(predictions).items()
    }


def intervals(predictions: pd.DataFrame, rng: np.random.Generator) -> ByNetwork:
    """Network → pitch, yaw, roll, mae, `FACE_MEASURES` → [low, high].

    95 % intervals over the choice of faces (whole groups) of the mean over the seeds. All networks
    share the bootstrap draws.
    """
    errors = _errors_by_face(predictions)
    groups = predictions.drop_duplicates("face_id").set_index("face_id")["group"]
    limits = mean_interval(errors, rng, groups[errors.index])
    found: ByNetwork = {}
    names = (errors.columns.get_level_values(level) for level in (0, "network"))
    for measure, network, low, high in zip(*names, *limits, strict=True):
        found.setdefault(network, {})[measure] = [float(low), float(high)]
    return found


def uncertainties(predictions: pd.DataFrame, *, calibrated: bool) -> ByNetwork:
    """Network → std, entropy and, for ensembles, spread → how well it predicts the error.

    Each has rank_correlation, per angle and per face, and aurc_gain. std also has coverage, the
    share of faces within ±1 std per angle, and `calibrated` as given.
    """
    found: ByNetwork = {}
    for name, runs in _runs_of(predictions).items():
        kinds = [kind for kind, columns in UNCERTAINTIES.items() if runs[0][columns].any(axis=None)]
        found[name] = mean_of([{kind: _ranking(run, kind) for kind in kinds} for run in runs])
        covered = [std_coverage(angle_errors_deg(run), run[STD_PYR]) for run in runs]
        found[name]["std"]["coverage"] = _by_angle(np.mean(covered, axis=0))
        found[name]["std"]["calibrated"] = calibrated
    return found


def risk_curves(predictions: pd.DataFrame) -> pd.DataFrame:
    """The MAE of the most certain 10, 20 … 100 % of the faces, sorted by their std.

    Returns the columns network, percent and mae. The network ORACLE is the base network with its
    faces sorted by their true errors, the lower limit of its curve.
    """
    runs = _runs_of(predictions)
    curves = {
        name: _curve(own, lambda run: face_uncertainty(run[STD_PYR])) for name, own in runs.items()
    }
    curves[ORACLE] = _curve(runs["base"], face_errors_deg)
    return pd.concat(curves, names=["network"]).reset_index()


def _curve(runs: list[pd.DataFrame], uncertainty: Callable[[pd.DataFrame], Array]) -> pd.DataFrame:
    """Risk-coverage curve, averaged over the seeds: percent → mae."""
    of_runs = [risk_coverage(face_errors_deg(run), uncertainty(run)) for run in runs]
    return pd.concat(of_runs).groupby("percent").mean()


def _ranking(run: pd.DataFrame, kind: str) -> dict[str, Any]:
    """How well one kind of uncertainty ranks the faces by error."""
    uncertainty, errors = run[UNCERTAINTIES[kind]].to_numpy(), face_errors_deg(run)
    per_face = face_uncertainty(uncertainty)
    per_angle = _by_angle(rank_correlation(uncertainty, angle_errors_deg(run)))
    (face,) = rank_correlation(per_face[:, None], errors[:, None])
    return {
        "rank_correlation": {**per_angle, "face": float(face)},
        "aurc_gain": aurc_gain(errors, per_face),
    }


def _runs_of(predictions: pd.DataFrame) -> dict[str, list[pd.DataFrame]]:
    """Network → one table per seed; networks in the order of the table."""
    return {
        str(name): [run for _, run in own.groupby("seed")]
        for name, own in predictions.groupby("network", sort=False)
    }


def _errors_by_face(predictions: pd.DataFrame) -> pd.DataFrame:
    """Errors averaged over the seeds: one row per face, one column per (measure, network)."""
    errors = angle_errors_deg(predictions)
    table = predictions[["face_id", "network"]].assign(
        **dict(zip(ANGLES, errors.T, strict=True)),
        mae=errors.mean(1),
        **{name: _of_every_run(predictions, measure) for name, measure in FACE_MEASURES.items()},
    )
    return table.pivot_table(index="face_id", columns="network", aggfunc="mean")


def _of_every_run(
    predictions: pd.DataFrame, measure: Callable[[ArrayLike, ArrayLike], Array]
) -> Array:
    """A measure of every row, taken of one network and seed at a time."""
    said, labels = predictions[PYR].to_numpy(), predictions[TRUE_PYR].to_numpy()
    values = np.empty(len(predictions))
    for rows in predictions.groupby(["network", "seed"], sort=False).indices.values():
        values[rows] = measure(said[rows], labels[rows])
    return values


def _by_angle(values: ArrayLike) -> dict[str, float]:
    return dict(zip(ANGLES, np.asarray(values, "f8").tolist(), strict=True))
