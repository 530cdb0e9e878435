"""From an image and a box to the pixels a network sees."""

from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]


class CropSource(Protocol):
    """Enlarged crops and their poses: `io.crops.Crops`, or arrays in a test."""

    pyr_deg: NDArray[np.float64]

    def __getitem__(self, row: int, /) -> Pixels: ...


# PIL's antialiasing bilinear filter reaches one output pixel to either side of its centre.
_FILTER_REACH_PX = 2


def enlarged_crop(
    image: Pixels,
    bbox_xyxy: NDArray[np.float64],
    size_hw: tuple[int, int],
    margin: int,
    border: str,
) -> Pixels:
    """The box resized to h x w network pixels, with a margin m on every side, resized alike.

    Positions are exact to a fraction of a pixel and shrinking is antialiased (PIL's `box`), so a
    window of this crop equals the shifted box cropped and resized by itself.

    image (H x W x 3) uint8; bbox_xyxy (4) with positive area, may lie partly outside;
    border: "replicate" the image's edge, or "black", where the crop leaves the image.
    Returns (h + 2m) x (w + 2m) x 3 uint8. Raises ValueError for a box without area, or one that
    does not touch the image.
    """
    h, w = size_hw
    _check_box(image, bbox_xyxy)
    x1, y1, x2, y2 = (float(v) for v in bbox_xyxy)
    per_x, per_y = (x2 - x1) / w, (y2 - y1) / h
    wanted = np.array(
        [x1 - margin * per_x, y1 - margin * per_y, x2 + margin * per_x, y2 + margin * per_y]
    )
    reach = np.maximum(np.ceil(_FILTER_REACH_PX * np.array([per_x, per_y])), 1)
    region = np.concatenate([np.floor(wanted[:2]) - reach, np.ceil(wanted[2:]) + reach]).astype(int)
    patch = Image.fromarray(_padded(image, region, border))
    box = tuple(wanted - np.tile(region[:2], 2))
    resized = patch.resize(
        (w + 2 * margin, h + 2 * margin), resample=Image.Resampling.BILINEAR, box=box
    )
    return np.asarray(resized)


def published_crop(
    image: Pixels, bbox_xyxy: NDArray[np.float64], size_hw: tuple[int, int]
) -> Pixels:
    """The crop of the published evaluation program: integer corners, clipped, no antialiasing.

    image (H x W x 3) uint8, bbox_xyxy (4). Returns h x w x 3 uint8. Raises ValueError for a box
    without area inside the image.
    """
    _check_box(image, bbox_xyxy)
    x1, y1 = (max(0, int(v)) for v in bbox_xyxy[:2])
    x2, y2 = (int(v) for v in bbox_xyxy[2:])
    patch = image[y1:y2, x1:x2]
    if patch.size == 0:
        raise ValueError(f"the box {np.round(bbox_xyxy, 1).tolist()} has no pixel in the image")
    return cv2.resize(patch, size_hw[::-1], interpolation=cv2.INTER_LINEAR).astype(
        np.uint8, copy=False
    )


def rotated_window(crop: Pixels, size_hw: tuple[int, int], phi_deg: float) -> Pixels:
    """The central h x w window of an enlarged crop, turned by phi clockwise about its centre.

    crop (h + 2m) x (w + 2m) x 3. Corners stay inside the crop while m ≥ 0.12·side for 15°; past
    it the crop's edge is replicated.
    """
    h, w = size_hw
    top, left = (crop.shape[0] - h) // 2, (crop.shape[1] - w) // 2
    if phi_deg == 0:
        return np.ascontiguousarray(crop[top : top + h, left : left + w])
    centre = ((crop.shape[1] - 1) / 2, (crop.shape[0] - 1) / 2)
    turn = cv2.getRotationMatrix2D(centre, -phi_deg, 1.0)  # OpenCV counts counter-clockwise
    turn[:, 2] -= (left, top)
    return cv2.warpAffine(
        crop, turn, (w, h), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    ).astype(np.uint8, copy=False)


def _check_box(image: Pixels, bbox_xyxy: NDArray[np.float64]) -> None:
    height, width = image.shape[:2]
    x1, y1, x2, y2 = bbox_xyxy
    if not (x2 > x1 and y2 > y1 and x1 < width and y1 < height and x2 > 0 and y2 > 0):
        raise ValueError(
            f"the box {np.round(bbox_xyxy, 1).tolist()} has no area inside the image of "
            f"{width}x{height} pixels"
        )


def _padded(image: Pixels, region_xyxy: NDArray[np.int64], border: str) -> Pixels:
    """The region of the image, its outside filled by the border rule."""
    height, width = image.shape[:2]
    x1, y1, x2, y2 = region_xyxy.tolist()
    inside = image[max(0, y1) : min(height, y2), max(0, x1) : min(width, x2)]
    kind = {"replicate": cv2.BORDER_REPLICATE, "black": cv2.BORDER_CONSTANT}[border]
    sides = (max(0, -y1), max(0, y2 - height), max(0, -x1), max(0, x2 - width))
    return cv2.copyMakeBorder(inside, *sides, kind, value=(0, 0, 0)).astype(np.uint8, copy=False)
