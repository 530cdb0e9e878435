"""Does a network doubt where there is no face to read?

    python -m tests.bench.doubt --data data/detector/out/wider [--network photo-resnet10]

data: a data set of `data.detector.wider`. The network reads the annotated faces of its validation
photographs, of at least 40 pixels, and as large boxes of background at random places. Prints which
share of both has a mean std above some bounds: the paragraph "When not to believe it" of
docs/photographs.md.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from data.detector.yolo_format import from_lines
from hpe_core.common.geometry import Array
from hpe_core.common.stage import run
from hpe_core.faces.boxes import iou, square
from hpe_core.faces.images import read_image
from hpe_core.predictor import HeadPose

MIN_SIDE_PX, MAX_SIDE_PX, TRIES = 40, 150, 6  # of boxes of background, tries in each photograph
BOUNDS_DEG = (8, 10, 12, 15)


def main(*, data: Path, network: str = "photo-resnet10") -> None:
    head_pose, rng = HeadPose.load(network), np.random.default_rng(0)
    faces: list[float] = []
    background: list[float] = []
    for file in tqdm(sorted((data / "images" / "val").glob("*.jpg")), unit="photograph"):
        pixels = read_image(file)
        size_wh = (pixels.shape[1], pixels.shape[0])
        label = data / "labels" / "val" / f"{file.stem}.txt"
        annotated_xyxy = from_lines(label.read_text(), size_wh)
        sides = (annotated_xyxy[:, 2:] - annotated_xyxy[:, :2]).max(axis=1, initial=0)
        large = square(annotated_xyxy[sides >= MIN_SIDE_PX])
        empty = empty_boxes(square(annotated_xyxy), size_wh, rng)
        for found, boxes in ((faces, large), (background, empty)):
            if len(boxes):
                found += [float(face.std_deg.mean()) for face in head_pose.predict(pixels, boxes)]
    rows = [
        {"std above": bound, "faces": above(faces, bound), "background": above(background, bound)}
        for bound in BOUNDS_DEG
    ]
    print(f"{len(faces)} faces, {len(background)} boxes of background; per cent of each:")
    print(pd.DataFrame(rows).to_markdown(index=False, floatfmt=".0f"))


def empty_boxes(
    faces_xyxy: Array, size_wh: tuple[int, int], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Random squares inside an image that no face overlaps."""
    sides = rng.uniform(MIN_SIDE_PX, MAX_SIDE_PX, TRIES)
    corners = rng.uniform(0, 1, (TRIES, 2)) * np.maximum(np.array(size_wh) - sides[:, None], 0)
    boxes = np.hstack([corners, corners + sides[:, None]])
    inside = (boxes[:, 2:] <= size_wh).all(axis=1)
    return boxes[inside & (iou(boxes, faces_xyxy).max(axis=1, initial=0) < 0.01)]


def above(std_deg: list[float], bound_deg: float) -> float:
    """Per cent."""
    return 100 * float(np.mean(np.array(std_deg) > bound_deg))


if __name__ == "__main__":
    run(main)
