"""Brings WIDER FACE, in its owners' layout, into the format that the training reads.

WIDER_{train,val}/images/EVENT/*.jpg, wider_face_split/*_bbx_gt.txt → data set
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from data.detector.yolo_format import write_example
from hpe_core.common.errors import InputError
from hpe_core.common.stage import run

SPLITS = ("train", "val")
COLUMNS = 10  # x, y, w, h, blur, expression, illumination, invalid, occlusion, pose
INVALID = 7


def main(*, root: Path, out: Path, min_side_px: float) -> None:
    """Boxes are clipped to the image. Left out: those marked invalid, empty ones, and those with a
    side below min_side_px. An image that held faces and keeps none is left out too: as an example
    of "no face" it would be wrong.
    """
    for split in SPLITS:
        annotations = root / "wider_face_split" / f"wider_face_{split}_bbx_gt.txt"
        images = root / f"WIDER_{split}" / "images"
        if not annotations.is_file() or not images.is_dir():
            raise InputError(
                f"{root}: no WIDER FACE there; expected {annotations} and {images}/EVENT/*.jpg, "
                "unpacked from WIDER_train.zip, WIDER_val.zip and wider_face_split.zip"
            )
        for name, rows in tqdm(list(read_annotations(annotations)), unit="image", desc=split):
            file = images / name
            with Image.open(file) as image:
                size_wh = image.size
            bbox_xyxy = usable(rows, size_wh, min_side_px)
            if len(bbox_xyxy) or not len(rows):
                write_example(out, split, file.stem, file.read_bytes(), bbox_xyxy, size_wh)


def read_annotations(path: Path) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """(image name, N x 10 rows) of a *_bbx_gt.txt. Raises InputError naming the line.

    An image without faces has the count 0 and, nevertheless, one row of zeros.
    """
    lines = path.read_text(encoding="utf-8").splitlines()
    at = 0
    while at < len(lines) and lines[at].strip():
        try:
            name, count = lines[at].strip(), int(lines[at + 1])
            rows = [[float(value) for value in line.split()] for line in lines[at + 2 :][:count]]
            table = np.array(rows, dtype=np.float64).reshape(count, COLUMNS)
        except (ValueError, IndexError) as error:
            raise InputError(
                f"{path}: line {at + 1}: expected a file name, a count and as many rows of "
                f"{COLUMNS} numbers, found {lines[at : at + 3]}: {error}"
            ) from None
        yield name, table
        at += 2 + max(count, 1)


def usable(
    rows: NDArray[np.float64], size_wh: tuple[int, int], min_side_px: float
) -> NDArray[np.float64]:
    """The boxes (N x 4, xyxy) of one image's rows that a detector should learn."""
    corners = np.concatenate([rows[:, :2], rows[:, :2] + rows[:, 2:4]], axis=1)
    bbox_xyxy = np.clip(corners, 0, np.tile(size_wh, 2))
    sides = bbox_xyxy[:, 2:] - bbox_xyxy[:, :2]
    kept = (rows[:, INVALID] == 0) & (sides > 0).all(1) & (sides >= min_side_px).all(1)
    return bbox_xyxy[kept]


if __name__ == "__main__":
    run(main)
