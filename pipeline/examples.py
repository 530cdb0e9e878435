"""Fig. 8: what a student predicts, drawn over faces of a test set.

    predictions, test crops → picture

The faces are spread over |yaw| by their labels alone, never by how well they are predicted. The
picture may show real people, so it lies under data/, which git ignores.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from hpe_core.draw import pose_tile
from hpe_core.errors import InputError
from hpe_core.io.crops import Crops
from hpe_core.io.figures import Tile, save_tiles
from hpe_core.io.tables import read_table
from hpe_core.params.loading import load
from hpe_core.params.protocols import Students
from hpe_core.params.results import Tables
from hpe_core.predictions import PYR, TRUE_PYR
from pipeline._cli import run

_SIDE_PX = 256


def main(
    *, params: Path, test: str, seed: int, predictions: Path, crops: Path, figure: Path
) -> None:
    settings = load(params, "tables", Tables)
    network = shown_network(load(params, "students", Students))
    table = read_table(predictions, ["face_id", "network", "seed", *PYR, *TRUE_PYR])
    faces = table[(table["network"] == network) & (table["seed"] == seed)]
    if faces.empty:
        found = sorted(set(zip(table["network"], table["seed"], strict=True)))
        raise InputError(f"{predictions}: no {network!r} of seed {seed}; found {found}")
    source = Crops(crops)
    row_of = {face: row for row, face in enumerate(source.face_id)}
    absent = set(faces["face_id"]) - set(row_of)
    if absent:
        raise InputError(f"{crops}: has no {min(absent)}, of {predictions}; run evaluate again")
    tiles = []
    for face in spread_over_yaw(faces, settings.examples).to_dict("records"):
        predicted, truth = [face[a] for a in PYR], [face[a] for a in TRUE_PYR]
        image = pose_tile(source[row_of[str(face["face_id"])]], _SIDE_PX, predicted, truth)
        tiles.append(Tile(image, angles_text(predicted), angles_text(truth)))
    title = f"{test}, {settings.corpora}\n{network} bold, truth thin: pitch, yaw, roll in degrees"
    save_tiles(tiles, title, figure)


def shown_network(students: Sequence[str]) -> str:
    """The last student that params.yaml lists; without one, the ensemble."""
    return f"kd-{students[-1]}" if students else "ensemble"


def spread_over_yaw(faces: pd.DataFrame, count: int) -> pd.DataFrame:
    """`count` different faces (all, where there are fewer), evenly over |yaw|, frontal first."""
    abs_yaw = faces["true_yaw"].abs()
    left = faces.assign(abs_yaw=abs_yaw).sort_values(["abs_yaw", "face_id"])
    chosen: list[int] = []
    for wanted in np.linspace(abs_yaw.min(), abs_yaw.max(), min(count, len(faces))):
        distance = (left["abs_yaw"] - wanted).abs().drop(index=chosen)
        chosen.append(distance.idxmin())
    return left.loc[chosen].sort_values(["abs_yaw", "face_id"])


def angles_text(pyr_deg: list[float]) -> str:
    """Whole degrees in columns of equal width, with a true minus sign and no minus zero."""
    return " ".join(f"{round(angle):4d}" for angle in pyr_deg).replace("-", "−")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--params", type=Path, required=True)
    parser.add_argument("--test", required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--predictions", type=Path, required=True)
    parser.add_argument("--crops", type=Path, required=True)
    parser.add_argument("--figure", type=Path, required=True)
    run(main, parser)
