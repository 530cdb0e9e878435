"""The data set layout that `ultralytics` reads: images/SPLIT/NAME.jpg, labels/SPLIT/NAME.txt.

A label file has one line per face: class (always 0), then centre x, centre y, width, height as
fractions of the image. An image without faces has an empty file.
"""

from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray


def write_example(
    folder: Path,
    split: str,
    name: str,
    jpeg: bytes,
    bbox_xyxy: ArrayLike,
    size_wh: tuple[int, int],
) -> None:
    """One image and its faces (N x 4 pixels, within the image)."""
    image = folder / "images" / split / f"{name}.jpg"
    label = folder / "labels" / split / f"{name}.txt"
    for file in (image, label):
        file.parent.mkdir(parents=True, exist_ok=True)
    image.write_bytes(jpeg)
    label.write_text(to_lines(bbox_xyxy, size_wh), encoding="ascii")


def to_lines(bbox_xyxy: ArrayLike, size_wh: tuple[int, int]) -> str:
    """Faces (N x 4, pixels) as the lines of a label file."""
    b = np.asarray(bbox_xyxy, dtype=np.float64).reshape(-1, 4) / np.tile(size_wh, 2)
    rows = np.concatenate([(b[:, :2] + b[:, 2:]) / 2, b[:, 2:] - b[:, :2]], axis=1)
    return "".join("0 " + " ".join(f"{value:.6f}" for value in row) + "\n" for row in rows)


def from_lines(text: str, size_wh: tuple[int, int]) -> NDArray[np.float64]:
    """The inverse of `to_lines`: faces (N x 4, pixels)."""
    rows = np.array([line.split()[1:] for line in text.splitlines()], dtype=np.float64)
    rows = rows.reshape(-1, 4) * np.tile(size_wh, 2)
    return np.concatenate([rows[:, :2] - rows[:, 2:] / 2, rows[:, :2] + rows[:, 2:] / 2], axis=1)
