"""From an image and a bounding box to the pixels that a network sees."""

from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hpe_core.common.geometry import Array

Pixels = NDArray[np.uint8]


class CropSource(Protocol):
    """Enlarged crops and their poses, e.g. `store.Crops`."""

    pyr_deg: Array

    def __getitem__(self, row: int, /) -> Pixels: ...


# PIL's antialiased bilinear filter reaches one output pixel on either side of its centre.
_FILTER_REACH_PX = 2
_LARGEST_BOX = 10  # in sides of the image: all that it covers is allocated


def enlarged_crop(
    image: Pixels, bbox_xyxy: Array, size_hw: tuple[int, int], margin: int, border: str
) -> Pixels:
    """The box resized to h x w network pixels, plus a margin of m network pixels on every side.

    Cropping is exact to a fraction of a pixel and shrinking is antialiased (PIL's `box`), so a
    window of this crop equals the shifted box cropped and resized by itself.

    image (H x W x 3) uint8; bbox_xyxy (4), may be partly outside the image; border: outside the
    image, "replicate" its edge or fill with "black". Returns (h + 2m) x (w + 2m) x 3 uint8. Raises
    ValueError for a box that has no area, does not overlap the image, or is far larger.
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


def published_crop(image: Pixels, bbox_xyxy: Array, size_hw: tuple[int, int]) -> Pixels:
    """The published evaluation program's crop: integer corners, clipped, no antialiasing.

    image (H x W x 3) uint8, bbox_xyxy (4). Returns h x w x 3 uint8. Raises ValueError for a box
    without a pixel in the image.
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


def rotated_window(
    crop: Pixels,
    size_hw: tuple[int, int],
    phi_deg: float,
    shift_px: tuple[float, float] = (0.0, 0.0),
    scale: float = 1.0,
) -> Pixels:
    """The box of an enlarged crop, or a moved and resized one, rotated about its centre: h x w x 3.

    crop (h + 2m) x (w + 2m) x 3. phi_deg: clockwise; shift_px: (x, y) of the crop, to the right
    and down; scale: factor of the sides. Interpolated once, linearly, or not at all. The crop's
    edge is replicated outside; m ≥ 0.12·side is enough for 15° alone.
    """
    h, w = size_hw
    top, left = (crop.shape[0] - h) // 2, (crop.shape[1] - w) // 2
    if phi_deg == 0 and scale == 1 and not any(shift_px):
        return np.ascontiguousarray(crop[top : top + h, left : left + w])
    middle = np.array([(crop.shape[1] - 1) / 2, (crop.shape[0] - 1) / 2])
    # OpenCV: counter-clockwise, and the factor of the pixels, not of the box
    rotation = cv2.getRotationMatrix2D((middle + shift_px).tolist(), -phi_deg, 1 / scale)
    rotation[:, 2] -= np.add(shift_px, (left, top))
    return cv2.warpAffine(
        crop, rotation, (w, h), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    ).astype(np.uint8, copy=False)


def _check_box(image: Pixels, bbox_xyxy: Array) -> None:
    height, width = image.shape[:2]
    x1, y1, x2, y2 = bbox_xyxy
    if max(x2 - x1, y2 - y1) > _LARGEST_BOX * max(width, height):
        raise ValueError(
            f"the box {np.round(bbox_xyxy, 1).tolist()} is more than {_LARGEST_BOX} times as large "
            f"as the image of {width}x{height} pixels"
        )
    if not (x2 > x1 and y2 > y1 and x1 < width and y1 < height and x2 > 0 and y2 > 0):
        raise ValueError(
            f"the box {np.round(bbox_xyxy, 1).tolist()} has no area inside the image of "
            f"{width}x{height} pixels"
        )


def _padded(image: Pixels, region_xyxy: NDArray[np.int64], border: str) -> Pixels:
    """A region of the image, filled by the border rule outside the image."""
    height, width = image.shape[:2]
    x1, y1, x2, y2 = region_xyxy.tolist()
    inside = image[max(0, y1) : min(height, y2), max(0, x1) : min(width, x2)]
    kind = {"replicate": cv2.BORDER_REPLICATE, "black": cv2.BORDER_CONSTANT}[border]
    sides = (max(0, -y1), max(0, y2 - height), max(0, -x1), max(0, x2 - width))
    return cv2.copyMakeBorder(inside, *sides, kind, value=(0, 0, 0)).astype(np.uint8, copy=False)


def view_rotations(faces: int, views: int, rotate_deg: float, seed: int) -> NDArray[np.float32]:
    """In-plane rotations of the views of each face: (faces, views) degrees, clockwise on screen.

    The views that teacher, student and control see. The first (the paper's only one) is not
    rotated; the others uniformly within ±rotate_deg.
    """
    rng = np.random.default_rng(np.random.SeedSequence([seed, *b"views"]))
    phi_deg = rng.uniform(-rotate_deg, rotate_deg, (faces, views)).astype(np.float32)
    phi_deg[:, 0] = 0
    return phi_deg
