"""Fig. 8: a student's predictions, drawn over faces of every test set.

    predictions, crops → a picture per test set

The faces are chosen by the |yaw| of their labels alone, never by their errors. The pictures may
show real people, so they lie under data/, which git ignores.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from hpe_core.common.errors import InputError
from hpe_core.common.settings import load
from hpe_core.common.stage import run
from hpe_core.common.table_files import read_table
from hpe_core.corpora.settings import Test
from hpe_core.crops.store import Crops
from hpe_core.evaluation.columns import PYR, TRUE_PYR
from hpe_core.evaluation.names import ENSEMBLE, student_of
from hpe_core.evaluation.settings import Students
from hpe_core.inference.draw import AXIS_COLOURS, angles_text, pose_tile
from hpe_core.tables.pictures import EXAMPLE_PX, Tile, rows_of_faces, save_tiles
from hpe_core.tables.settings import Tables


def main(*, params: Path, seed: int, predictions: Path, crops: Path, figures: Path) -> None:
    settings = load(params, "tables", Tables)
    network = shown_network(load(params, "students", Students))
    for name, test in load(params, "tests", dict[str, Test]).items():
        faces = faces_of(predictions / test.protocol / f"tests/{name}.parquet", network, seed)
        tiles = list(tiles_of(faces, Crops(crops / test.protocol / f"tests/{name}.h5"), settings))
        title = [
            f"{name}, {settings.corpora}",
            f"{network} bold, label thin: pitch, yaw, roll in degrees",
        ]
        axes = dict(zip(("x: right", "y: chin", "−z: front"), AXIS_COLOURS, strict=True))
        save_tiles(tiles, title, axes, figures / f"{name}.png")


def faces_of(predictions: Path, network: str, seed: int) -> pd.DataFrame:
    """What one network says of a test set, with the labels."""
    table = read_table(predictions, ["face_id", "network", "seed", *PYR, *TRUE_PYR])
    faces = table[(table["network"] == network) & (table["seed"] == seed)]
    if faces.empty:
        found = sorted(set(zip(table["network"], table["seed"], strict=True)))
        raise InputError(f"{predictions}: no {network!r} of seed {seed}; found {found}")
    return faces


def tiles_of(faces: pd.DataFrame, crops: Crops, settings: Tables) -> Iterator[Tile]:
    row_of = rows_of_faces(crops, faces["face_id"])
    for face in spread_over_yaw(faces, settings.examples).to_dict("records"):
        predicted, truth = [face[a] for a in PYR], [face[a] for a in TRUE_PYR]
        image = pose_tile(crops[row_of[face["face_id"]]], EXAMPLE_PX, predicted, truth)
        yield Tile(image, angles_text(predicted), angles_text(truth))


def shown_network(students: Sequence[str]) -> str:
    """The last student that params.yaml lists; without one, the ensemble."""
    return student_of(students[-1]) if students else ENSEMBLE


def spread_over_yaw(faces: pd.DataFrame, count: int) -> pd.DataFrame:
    """`count` different faces (all, if there are fewer), evenly over |yaw|, frontal first."""
    abs_yaw = faces["true_yaw"].abs()
    left = faces.assign(abs_yaw=abs_yaw).sort_values(["abs_yaw", "face_id"])
    chosen: list[int] = []
    for wanted in np.linspace(abs_yaw.min(), abs_yaw.max(), min(count, len(faces))):
        distance = (left["abs_yaw"] - wanted).abs().drop(index=chosen)
        chosen.append(distance.idxmin())
    return left.loc[chosen].sort_values(["abs_yaw", "face_id"])


if __name__ == "__main__":
    run(main)
