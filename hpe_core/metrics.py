"""Errors per face, and their summary. The paper's measure is the MAE per angle and their mean."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from statistics import fmean, stdev
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hpe_core.geometry import geodesic_deg, wrap_deg

Array = NDArray[np.float64]


def absolute_error_deg(predicted_pyr_deg: ArrayLike, pyr_deg: ArrayLike) -> Array:
    """|prediction - label| per angle, wrapped by 360° only: (... x 3) degrees → (... x 3).

    Many programs of the field take the smallest error over ±180° too, which forgives a head
    turned backwards; this one does not.
    """
    return np.abs(wrap_deg(np.asarray(predicted_pyr_deg) - np.asarray(pyr_deg)))


def mae_deg(errors_deg: ArrayLike) -> dict[str, float]:
    """Mean over faces per angle, then the mean of the three. errors_deg (N x 3), N ≥ 1."""
    pitch, yaw, roll = (float(v) for v in np.asarray(errors_deg, dtype=np.float64).mean(0))
    return {"pitch": pitch, "yaw": yaw, "roll": roll, "mae": (pitch + yaw + roll) / 3}


def summary(predicted_pyr_deg: ArrayLike, pyr_deg: ArrayLike) -> dict[str, Any]:
    """What `evaluate` reports of one network on one test set.

    predicted_pyr_deg, pyr_deg (N x 3) degrees. Returns pitch, yaw, roll, mae, geodesic (all
    degrees) and faces. Raises ValueError for N = 0.
    """
    errors = absolute_error_deg(predicted_pyr_deg, pyr_deg)
    if len(errors) == 0:
        raise ValueError("no face to evaluate")
    return {
        **mae_deg(errors),
        "geodesic": float(geodesic_deg(predicted_pyr_deg, pyr_deg).mean()),
        "faces": len(errors),
    }


def mae_by_yaw(
    predicted_pyr_deg: ArrayLike, pyr_deg: ArrayLike, yaw_bands_deg: Sequence[float]
) -> dict[str, Any]:
    """The MAE by bands of |yaw|: "low-high" → faces, pitch, yaw, roll, mae.

    predicted_pyr_deg, pyr_deg (N x 3) degrees. yaw_bands_deg: ascending edges of |yaw|; a band
    holds its lower edge, the last one both. Bands without a face are left out.
    """
    errors = absolute_error_deg(predicted_pyr_deg, pyr_deg)
    abs_yaw = np.abs(np.asarray(pyr_deg, dtype=np.float64)[:, 1])
    bands: dict[str, Any] = {}
    for low, high in pairwise(yaw_bands_deg):
        last = high == yaw_bands_deg[-1]
        inside = (abs_yaw >= low) & ((abs_yaw <= high) if last else (abs_yaw < high))
        if inside.any():
            bands[f"{low:g}-{high:g}"] = {"faces": int(inside.sum()), **mae_deg(errors[inside])}
    return bands


def gain(error: float, base_error: float) -> float:
    """Percent of the base network's error that is saved; negative where the error is larger."""
    return 100 * (base_error - error) / base_error


def mean_of(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The numbers of several runs on the same faces (R ≥ 1, equal keys), each averaged over them.

    Mappings within are averaged likewise; integers, which count the faces, are those of each run.
    """
    return {name: _mean([run[name] for run in runs]) for name in runs[0]}


def _mean(values: Sequence[Any]) -> Any:
    if isinstance(values[0], Mapping):
        return mean_of(values)
    return values[0] if isinstance(values[0], int) else fmean(values)


def over_runs(summaries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Summaries of a network's runs, averaged: `runs`, how many, says what the means are of.

    mae_std: sample standard deviation of the MAE over the runs, degrees; left out for one run.
    """
    spread = {"mae_std": stdev(run["mae"] for run in summaries)} if len(summaries) > 1 else {}
    return {**mean_of(summaries), **spread, "runs": len(summaries)}
