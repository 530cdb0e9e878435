"""Errors per face and their summaries. The paper's metric is the MAE per angle and their mean."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from statistics import fmean, stdev
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from hpe_core.common.geometry import Array, geodesic_deg, wrap_deg, yxz_from_pyr
from hpe_core.common.table_files import AFLW_ORDER, OUR_ORDER
from hpe_core.evaluation.alignment import aligned_errors_deg
from hpe_core.evaluation.columns import PYR, TRUE_PYR

# Beside the errors of the angles and their mean: name → predictions and labels (N x 3) of one
# network → (N), one number per face. Summaries, intervals, tables and `hpe evaluate` show the mean.
FACE_MEASURES: Mapping[str, Callable[[ArrayLike, ArrayLike], Array]] = {
    "geodesic": geodesic_deg,
    "aligned": aligned_errors_deg,
}


def absolute_error_deg(predicted_pyr_deg: ArrayLike, pyr_deg: ArrayLike) -> Array:
    """|prediction - label| per angle, wrapped by 360° only: (... x 3) degrees → (... x 3).

    Many programs in this field take the smallest error over ±180°, too, which forgives a head
    turned backwards. We do not.
    """
    return np.abs(wrap_deg(np.asarray(predicted_pyr_deg) - np.asarray(pyr_deg)))


def angle_errors_deg(predictions: pd.DataFrame) -> Array:
    """Absolute errors per angle of a table of predictions: (N x 3) degrees."""
    return absolute_error_deg(predictions[PYR], predictions[TRUE_PYR])


def face_errors_deg(predictions: pd.DataFrame) -> Array:
    """The error per face, the mean of its three absolute errors: (N) degrees."""
    return angle_errors_deg(predictions).mean(1)


def mae_deg(errors_deg: ArrayLike) -> dict[str, float]:
    """Mean over faces per angle, then the mean of the three. errors_deg (N x 3), N ≥ 1."""
    pitch, yaw, roll = (float(v) for v in np.asarray(errors_deg, dtype=np.float64).mean(0))
    return {"pitch": pitch, "yaw": yaw, "roll": roll, "mae": (pitch + yaw + roll) / 3}


def published_errors_deg(
    predicted_pyr_deg: ArrayLike, pyr_deg: ArrayLike, order: Iterable[str]
) -> Array:
    """Absolute errors per angle in each corpus's own order (N): (N x 3) degrees.

    Protocols on AFLW compare its angles as published: prediction and label are both taken to Y-X-Z,
    the prediction to the label's branch.
    """
    predicted, labels = np.array(predicted_pyr_deg, "f8"), np.array(pyr_deg, "f8")
    yxz = np.array([each == AFLW_ORDER for each in order])
    labels[yxz] = yxz_from_pyr(labels[yxz])
    predicted[yxz] = yxz_from_pyr(predicted[yxz], near_yxz_deg=labels[yxz])
    return absolute_error_deg(predicted, labels)


def has_other_order(order: Iterable[str]) -> bool:
    """Whether errors "as published" differ from ours for some of these faces."""
    return any(each != OUR_ORDER for each in set(order))


def summary(
    predicted_pyr_deg: ArrayLike, pyr_deg: ArrayLike, order: Iterable[str] = ()
) -> dict[str, Any]:
    """The errors of one network: pitch, yaw, roll, mae (degrees), `FACE_MEASURES`, and faces.

    predicted_pyr_deg, pyr_deg (N x 3) degrees; order (N): of each face's corpus. Where it is not
    ours, `published` has pitch, yaw, roll and mae of `published_errors_deg`. Raises ValueError for
    N = 0.
    """
    errors = absolute_error_deg(predicted_pyr_deg, pyr_deg)
    if len(errors) == 0:
        raise ValueError("no faces to evaluate")
    return {
        **mae_deg(errors),
        **{
            name: float(measure(predicted_pyr_deg, pyr_deg).mean())
            for name, measure in FACE_MEASURES.items()
        },
        **(
            {"published": mae_deg(published_errors_deg(predicted_pyr_deg, pyr_deg, order))}
            if has_other_order(order)
            else {}
        ),
        "faces": len(errors),
    }


def mae_by_yaw(
    predicted_pyr_deg: ArrayLike, pyr_deg: ArrayLike, yaw_bands_deg: Sequence[float]
) -> dict[str, Any]:
    """The MAE per band of |yaw|: "low-high" → faces, pitch, yaw, roll, mae.

    predicted_pyr_deg, pyr_deg (N x 3) degrees; yaw_bands_deg: ascending edges of |yaw|. A band
    includes its lower edge, the last one both. Bands without faces are left out.
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
    """Percent by which an error is smaller than the base network's; negative if it is larger."""
    return 100 * (base_error - error) / base_error


def mean_of(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Averages R ≥ 1 runs with equal keys, also in nested mappings.

    Integers, which count faces and are the same in all runs, are kept.
    """
    return {name: _mean([run[name] for run in runs]) for name in runs[0]}


def _mean(values: Sequence[Any]) -> Any:
    if isinstance(values[0], Mapping):
        return mean_of(values)
    return values[0] if isinstance(values[0], int) else fmean(values)


def over_runs(summaries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Averages the summaries of a network's runs; adds `runs`, their number.

    mae_std: sample standard deviation of the MAE over the runs, degrees; left out for one run.
    """
    spread = {"mae_std": stdev(run["mae"] for run in summaries)} if len(summaries) > 1 else {}
    return {**mean_of(summaries), **spread, "runs": len(summaries)}
