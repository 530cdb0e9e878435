"""Sheets of AFLW's training faces, cut out and set side by side: faces from every side, which WIDER
FACE's photographs of people who look at the camera have few of.

AFLW in its owners' layout → data set (training part only)
"""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from data.detector.yolo_format import write_example
from hpe_core.common.errors import InputError
from hpe_core.common.stage import run
from hpe_core.corpora.aflw import read_aflw
from hpe_core.corpora.entries import Face
from hpe_core.faces.images import read_image

SIDE_PX = 480
PER_ROW = (2, 5)  # faces in a row of a sheet, from and to
FILL = (0.7, 1.0)  # the longer side of a face's patch, as a share of its cell
CONTEXT = 0.25  # of the annotated square on each side of it, where the image reaches that far
# AFLW's squares are wider than WIDER FACE's boxes (hairline to chin, without ears). Left, top,
# right and bottom of such a box in the square: medians of a public WIDER FACE detector's over 492
# faces, which they overlap by 0.81 (median IoU); the squares themselves by 0.62.
FACE_IN_SQUARE = (0.105, -0.158, 0.896, 0.906)


def main(*, root: Path, out: Path, seed: int) -> None:
    """root: holds one folder or more in AFLW's layout (AFLW, …), and AFLW2000, whose photographs
    are for testing: AFLW's faces of the same file stems are left out.
    """
    corpora = sorted(file.parent for file in root.glob("*/aflw.sqlite"))
    test_stems = {file.stem for file in (root / "AFLW2000").glob("*.jpg")}
    if not corpora or not test_stems:
        raise InputError(
            f"{root}: expected AFLW/aflw.sqlite there, and AFLW2000/*.jpg, whose faces to leave out"
        )
    faces = [
        (corpus / face.image, np.array(face.bbox_xyxy))
        for corpus in corpora
        for face in read_aflw(corpus)
        if isinstance(face, Face)
        and Path(face.image).stem not in test_stems
        and np.isfinite(face.bbox_xyxy).all()
    ]
    rng = np.random.default_rng(seed)
    rng.shuffle(faces)  # type: ignore[arg-type]
    at = number = 0
    with tqdm(total=len(faces), unit="face", desc="sheets") as progress:
        while at < len(faces):
            per_row = int(rng.integers(PER_ROW[0], PER_ROW[1] + 1))
            chosen = faces[at : at + per_row**2]
            image_bgr, bbox_xyxy = sheet([patch(*face) for face in chosen], per_row, rng)
            ok, jpeg = cv2.imencode(".jpg", image_bgr, [cv2.IMWRITE_JPEG_QUALITY, 92])
            assert ok
            size_wh = (SIDE_PX, SIDE_PX)
            write_example(out, "train", f"{number:05d}", jpeg.tobytes(), bbox_xyxy, size_wh)
            at, number = at + len(chosen), number + 1
            progress.update(len(chosen))


def patch(
    file: Path, square_xyxy: NDArray[np.float64]
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """A face with its surroundings (BGR) and its box (4) in that patch, clipped to it."""
    pixels = read_image(file)
    height, width = pixels.shape[:2]
    side = square_xyxy[2] - square_xyxy[0]
    limits = (width, height, width, height)
    around = square_xyxy + np.array([-1, -1, 1, 1]) * CONTEXT * side
    left, top, right, bottom = np.clip(around, 0, limits).round().astype(int)
    box = np.tile(square_xyxy[:2], 2) + np.array(FACE_IN_SQUARE) * side
    box = np.clip(box, (left, top, left, top), (right, bottom, right, bottom))
    return pixels[top:bottom, left:right, ::-1].copy(), box - np.tile((left, top), 2)


def sheet(
    patches: list[tuple[NDArray[np.uint8], NDArray[np.float64]]],
    per_row: int,
    rng: np.random.Generator,
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """A square picture (BGR) of at most per_row² patches, one a cell, each resized and moved at
    random, on one of them enlarged and blurred, and the faces' boxes (N x 4).
    """
    backdrop = cv2.resize(patches[int(rng.integers(len(patches)))][0], (SIDE_PX, SIDE_PX))
    canvas = cv2.GaussianBlur(backdrop, (0, 0), SIDE_PX / 12)
    cell, boxes = SIDE_PX / per_row, []
    for index, (pixels, box) in enumerate(patches):
        factor = cell * rng.uniform(*FILL) / max(pixels.shape[:2])
        shrinks = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
        resized = cv2.resize(pixels, None, fx=factor, fy=factor, interpolation=shrinks)
        size_hw = np.array(resized.shape[:2])
        row, column = divmod(index, per_row)
        room_hw = np.maximum(cell - size_hw, 0)
        top, left = (np.array([row, column]) * cell + rng.uniform(0, 1, 2) * room_hw).astype(int)
        canvas[top : top + size_hw[0], left : left + size_hw[1]] = resized[
            : SIDE_PX - top, : SIDE_PX - left
        ]
        boxes.append(np.minimum(box * factor + np.tile((left, top), 2), SIDE_PX))
    return canvas, np.array(boxes)


if __name__ == "__main__":
    run(main)
