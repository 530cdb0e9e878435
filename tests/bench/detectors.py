"""Which faces do detectors find in photographs, and how fast?

    python -m tests.bench.detectors --data data/detector/out/wider --faces ../AFLW2000 \\
        --detectors data/detector/yolov5n-wider.onnx other.onnx

data: a data set of `data.detector.wider`; its validation photographs are searched, or, with `--part
train`, those of its training. faces: a corpus folder with one annotated face per image, in the
layout of AFLW2000; none is left out. Detectors run in turn on one thread. Prints the rows of
docs/photographs.md.
"""

import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from data.detector.recall import SIDES_PX, measured
from hpe_core.common.stage import run
from hpe_core.common.table_files import ANNOTATED_BOX
from hpe_core.corpora.readers import read_corpus
from hpe_core.faces.boxes import iou
from hpe_core.faces.detector import Detector
from hpe_core.faces.images import read_image

MIN_IOU, ROUNDS = 0.4, 30
LARGE_PX = 64  # the longer side of faces that a pose can be read from


def main(
    *,
    data: Path,
    detectors: list[Path],
    faces: Path | None = None,
    input_px: tuple[int, ...] = (320, 640),
    score: float = 0.3,
    part: str = "val",
) -> None:
    os.environ["OMP_NUM_THREADS"] = "1"
    every = {
        (path.name, opened.size_hw[0]): opened
        for path in detectors
        for px in input_px
        for opened in [Detector(path, input_px=px, score=score, nms_iou=0.45)]
    }
    times_ms = milliseconds(every, data)
    rows = []
    for (name, px), detector in every.items():
        row = {"detector": name, "input": px, **shares(measured(detector, data, MIN_IOU, part))}
        if faces:
            row[faces.name] = 100 * share_found(detector, faces)
        rows.append({**row, "ms": times_ms[name, px]})
    print(pd.DataFrame(rows).to_markdown(index=False, floatfmt=".2f"))


def shares(found: dict[str, Any]) -> dict[str, float]:
    """Per cent of faces found, by size, and of large detections that are no face; median IoU."""
    bands = found["by_side"]
    large = list(bands.values())[SIDES_PX.index(LARGE_PX) :]

    def pooled(share: str, count: str) -> float:
        total = sum(band[count] for band in large)
        return 100 * sum(band[share] * band[count] for band in large) / max(total, 1)

    return {
        **{f"{band} px": 100 * own["recall"] for band, own in bands.items()},
        f"≥ {LARGE_PX} px": pooled("recall", "faces"),
        f"false ≥ {LARGE_PX} px": pooled("false", "detections"),
        "IoU": found["median_iou"],
    }


def milliseconds(
    every: dict[tuple[str, int], Detector], data: Path
) -> dict[tuple[str, int], float]:
    """The median time of `detect` for one photograph, of each detector in turn."""
    photograph = read_image(min((data / "images" / "val").glob("*.jpg")))
    seconds: dict[tuple[str, int], list[float]] = {name: [] for name in every}
    for _ in range(ROUNDS):
        for name, detector in every.items():
            start = time.perf_counter()
            detector.detect([photograph])
            seconds[name].append(time.perf_counter() - start)
    return {name: 1000 * float(np.median(times)) for name, times in seconds.items()}


def share_found(detector: Detector, folder: Path) -> float:
    """The share of a corpus's annotated faces that a detection overlaps by 0.4 or more."""
    table = read_corpus(folder.name, folder).faces
    hits = 0
    for face in tqdm(table.to_dict("records"), desc=folder.name):
        found = detector.detect([read_image(folder / face["image"])])[0].bbox_xyxy
        box = np.array([[face[side] for side in ANNOTATED_BOX]], dtype=np.float64)
        hits += bool(len(found)) and bool(iou(box, found).max() >= MIN_IOU)
    return hits / len(table)


if __name__ == "__main__":
    run(main)
