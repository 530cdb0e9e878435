"""Faces on the page, with predictions drawn over them: the worst ones, and median ones."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from hpe_core.crops.window import Pixels
from hpe_core.evaluation.columns import PYR, TRUE_PYR
from hpe_core.evaluation.metrics import face_errors_deg
from hpe_core.inference.draw import pose_tile
from hpe_core.tables.results import TestSet

TILE_PX = 168  # two fit side by side on a phone


@dataclass(frozen=True)
class PosedFace:
    """A network's prediction, drawn over the face with the label: image (side x side x 3) RGB."""

    network: str
    pyr_deg: Sequence[float]
    error_deg: float
    image: Pixels


@dataclass(frozen=True)
class ShownFace:
    face_id: str
    label_deg: Sequence[float]
    posed: Sequence[PosedFace]


@dataclass(frozen=True)
class FaceGroup:
    """Faces of one test set, chosen by the errors of `network`. kind: largest or median errors."""

    test: TestSet
    kind: str
    network: str
    faces: Sequence[ShownFace]


def by_error(run: pd.DataFrame) -> pd.DataFrame:
    """Predictions with the column error, degrees, the worst first."""
    table = run.assign(error=face_errors_deg(run))
    return table.sort_values(["error", "face_id"], ascending=[False, True])


def telling_groups(run: pd.DataFrame, count: int) -> dict[str, pd.DataFrame]:
    """`count` of one network's predictions: half with the largest errors, half with median ones.

    Returns kind → rows, the worst first; the larger half, or a single face, is of the worst.
    """
    ordered, median = by_error(run), count // 2
    groups = {"largest": ordered.head(count - median)}
    if median:
        start = max(0, (len(ordered) - median) // 2)
        groups["median"] = ordered.iloc[start : start + median]
    return groups


def shown_faces(
    chosen: pd.DataFrame, runs: Mapping[str, pd.DataFrame], crops: Mapping[str, Pixels]
) -> Iterator[ShownFace]:
    """chosen: rows with a face_id; runs: network → its predictions of these faces (and others);
    crops: face_id → pixels.
    """
    of_network = {name: by_error(run).set_index("face_id") for name, run in runs.items()}
    for face_id, label in zip(chosen["face_id"], chosen[TRUE_PYR].to_numpy("f8"), strict=True):
        posed = []
        for name, run in of_network.items():
            pyr_deg, error_deg = run.loc[face_id, PYR].tolist(), float(run.loc[face_id, "error"])
            image = pose_tile(crops[face_id], TILE_PX, pyr_deg, label)
            posed.append(PosedFace(name, pyr_deg, error_deg, image))
        yield ShownFace(face_id, label.tolist(), posed)
