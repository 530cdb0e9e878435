"""How far off are poses of heads that lean, with and without turned copies?

    python -m tests.bench.turns --corpus AFLW2000 [--faces 100] [--turns 1 8]

Photographs in the layout of AFLW2000 are turned as a whole, in steps of 15°, and read by the
network and the detector that ship. Prints the rows of docs/predict.md.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from hpe_core.common.geometry import ANGLES, geodesic_deg, pyr_from_rotation, rotation_from_pyr
from hpe_core.common.stage import run
from hpe_core.common.table_files import ANNOTATED_BOX
from hpe_core.corpora.readers import read_corpus
from hpe_core.faces.images import read_image
from hpe_core.faces.turning import turned
from hpe_core.predictor import HeadPose

STEP_DEG = 15
NEAR = 0.35  # a face is where a box's centre comes so near to its own, in shares of its side
GROSS_DEG = 60.0


def main(*, corpus: Path, faces: int = 100, turns: tuple[int, ...] = (1, 8)) -> None:
    table = read_corpus("AFLW2000", corpus).faces
    table = table[(table[list(ANGLES)].abs() <= 99).all(axis=1)].sample(faces, random_state=0)
    rows = []
    for number in turns:
        head_pose = HeadPose.load(turns=number)
        for degrees in tqdm(range(0, 181, STEP_DEG), desc=f"{number} turns"):
            pairs = readings(head_pose, table.to_dict("records"), corpus, degrees)
            off, std_deg = np.array(list(pairs)).T
            seen = np.isfinite(off)
            found = off[seen]
            rows.append(
                {
                    "turns": number,
                    "turned by": degrees,
                    "mean": found.mean(),
                    "median": np.median(found),
                    "over 60°, %": 100 * (found > GROSS_DEG).mean(),
                    "not found, %": 100 * (~seen).mean(),
                    "std": std_deg[seen].mean(),
                }
            )
    table = pd.DataFrame(rows).round(1).astype(object)
    print(table.to_markdown(index=False))


def readings(
    head_pose: HeadPose, faces: list[dict[Any, Any]], folder: Path, degrees: float
) -> Iterator[tuple[float, float]]:
    """Geodesic error and mean std of each face, degrees; NaN where it is not found."""
    for face in faces:
        copy, matrix = turned(read_image(folder / face["image"]), degrees)
        box = np.array([face[side] for side in ANNOTATED_BOX])
        centre = matrix[:, :2] @ ((box[:2] + box[2:]) / 2) + matrix[:, 2]
        truth = rotation_from_pyr([0, 0, degrees]) @ rotation_from_pyr([face[a] for a in ANGLES])
        at = (
            (np.hypot(*((found.bbox_xyxy[:2] + found.bbox_xyxy[2:]) / 2 - centre)), found)
            for found in head_pose.predict(copy)
        )
        distance, nearest = min(at, key=lambda pair: pair[0], default=(np.inf, None))
        if nearest is None or distance > NEAR * (box[2] - box[0]):
            yield np.nan, np.nan
        else:
            off = float(geodesic_deg(nearest.pyr_deg, pyr_from_rotation(truth)))
            yield off, nearest.std_deg.mean()


if __name__ == "__main__":
    run(main)
