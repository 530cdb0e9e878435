"""Box algebra. A box is x1, y1, x2, y2 in pixels of the original image, float, `bbox_xyxy`."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def iou(bbox_xyxy: ArrayLike, other_xyxy: ArrayLike) -> Array:
    """Intersection over union of every pair: (N x 4), (M x 4) → N x M in [0; 1].

    A box of no area has an IoU of 0 with everything.
    """
    a = np.asarray(bbox_xyxy, dtype=np.float64).reshape(-1, 1, 4)
    b = np.asarray(other_xyxy, dtype=np.float64).reshape(1, -1, 4)
    size = np.clip(np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2]), 0, None)
    intersection = size.prod(-1)
    union = area(a) + area(b) - intersection
    return np.divide(intersection, union, out=np.zeros_like(union), where=union > 0)


def area(bbox_xyxy: ArrayLike) -> Array:
    """Area in square pixels, 0 for an inverted box: (... x 4) → (...)."""
    b = np.asarray(bbox_xyxy, dtype=np.float64)
    return np.clip(b[..., 2:] - b[..., :2], 0, None).prod(-1)


def pixels_inside(bbox_xyxy: ArrayLike, size_wh: tuple[int, int]) -> Array:
    """How many pixels of the image a box holds, its corners truncated: (... x 4) → (...).

    0 for a box outside the image, and for an inverted one.
    """
    b = np.trunc(np.asarray(bbox_xyxy, dtype=np.float64))
    inside = np.minimum(b[..., 2:], size_wh) - np.maximum(b[..., :2], 0)
    return np.clip(inside, 0, None).prod(-1)


def centred_inside(bbox_xyxy: ArrayLike, size_wh: tuple[int, int]) -> NDArray[np.bool_]:
    """Whether a box's centre lies in the image: (... x 4) → (...). No box (NaN) does."""
    b = np.asarray(bbox_xyxy, dtype=np.float64)
    centre = (b[..., :2] + b[..., 2:]) / 2
    return np.asarray(((centre >= 0) & (centre <= size_wh)).all(-1))


def square(bbox_xyxy: ArrayLike) -> Array:
    """Same centre, both sides as long as the longer one: (... x 4) → (... x 4)."""
    b = np.asarray(bbox_xyxy, dtype=np.float64)
    side = (b[..., 2:] - b[..., :2]).max(-1, keepdims=True)
    return _around(b, np.concatenate([side, side], axis=-1))


def scale(bbox_xyxy: ArrayLike, factor: float) -> Array:
    """Same centre, both sides multiplied by `factor`: (... x 4) → (... x 4)."""
    b = np.asarray(bbox_xyxy, dtype=np.float64)
    return _around(b, (b[..., 2:] - b[..., :2]) * factor)


def offset_grid(radius: int, step: int) -> NDArray[np.int64]:
    """The shifts (dx, dy) of formula (5) in network pixels, centre included.

    radius: K ≥ 0; step: d ≥ 1. Every multiple of d within ±K in both directions, row by row:
    S x 2 with S = (2⌊K/d⌋ + 1)².
    """
    reach = radius // step
    line = np.arange(-reach, reach + 1) * step
    dy, dx = np.meshgrid(line, line, indexing="ij")
    return np.stack([dx.ravel(), dy.ravel()], axis=-1)


def turned_reach(side: int, reach: int, turns_deg: Sequence[float]) -> int:
    """How far beyond a square of `side` pixels its turned and shifted windows reach, in pixels.

    reach: the largest shift, K ≥ 0; turns_deg: about the centre, within ±45°. K without a turn.
    """
    turns = np.radians(np.abs(turns_deg))
    half = (side - 1) / 2
    corners = (half + reach) * (np.cos(turns) + np.sin(turns))  # how far out they move
    return int(np.ceil(corners.max() - half - 1e-6))


def shift_box(bbox_xyxy: ArrayLike, offset_px: ArrayLike, size_hw: tuple[int, int]) -> Array:
    """The box of formula (5): shifted by network pixels, at the scale of its own crop.

    bbox_xyxy (4), offset_px (... x 2) as (dx, dy), size_hw: the network's input. → (... x 4)
    """
    b = np.asarray(bbox_xyxy, dtype=np.float64)
    h, w = size_hw
    per_px = np.array([(b[2] - b[0]) / w, (b[3] - b[1]) / h])
    shift = np.asarray(offset_px, dtype=np.float64) * per_px
    return b + np.concatenate([shift, shift], axis=-1)


def _around(bbox_xyxy: Array, size_wh: Array) -> Array:
    centre = (bbox_xyxy[..., :2] + bbox_xyxy[..., 2:]) / 2
    return np.concatenate([centre - size_wh / 2, centre + size_wh / 2], axis=-1)
