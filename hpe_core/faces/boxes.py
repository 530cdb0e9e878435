"""Box algebra. A box is x1, y1, x2, y2 (float) in pixels of the original image: `bbox_xyxy`."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hpe_core.common.geometry import Array
from hpe_core.faces.settings import BoxRules


def shaped(bbox_xyxy: Array, rules: BoxRules) -> Array:
    """Boxes as found (... x 4) → boxes as the network sees them: squared, then scaled.

    Published boxes are not changed.
    """
    if rules.source == "published":
        return bbox_xyxy
    bbox_xyxy = square(bbox_xyxy) if rules.square else bbox_xyxy
    return scale(bbox_xyxy, rules.scale)


def iou(bbox_xyxy: ArrayLike, other_xyxy: ArrayLike) -> Array:
    """Intersection over union of every pair: (N x 4), (M x 4) → N x M in [0; 1].

    The IoU of a box without area is 0.
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


def centre(bbox_xyxy: ArrayLike) -> Array:
    """(x, y): (... x 4) → (... x 2)."""
    b = np.asarray(bbox_xyxy, dtype=np.float64)
    return (b[..., :2] + b[..., 2:]) / 2


def pixels_inside(bbox_xyxy: ArrayLike, size_wh: tuple[int, int]) -> Array:
    """Number of image pixels in a box with truncated corners: (... x 4) → (...).

    0 for a box outside the image and for an inverted one.
    """
    b = np.trunc(np.asarray(bbox_xyxy, dtype=np.float64))
    inside = np.minimum(b[..., 2:], size_wh) - np.maximum(b[..., :2], 0)
    return np.clip(inside, 0, None).prod(-1)


def centred_inside(bbox_xyxy: ArrayLike, size_wh: tuple[int, int]) -> NDArray[np.bool_]:
    """Whether a box's centre lies in the image: (... x 4) → (...). False for NaN (no box)."""
    middle = centre(bbox_xyxy)
    return np.asarray(((middle >= 0) & (middle <= size_wh)).all(-1))


def square(bbox_xyxy: ArrayLike) -> Array:
    """Same centre, both sides as long as the longer one: (... x 4) → (... x 4)."""
    b = np.asarray(bbox_xyxy, dtype=np.float64)
    side = (b[..., 2:] - b[..., :2]).max(-1, keepdims=True)
    return _around(b, np.concatenate([side, side], axis=-1))


def scale(bbox_xyxy: ArrayLike, factor: float) -> Array:
    """Same centre, both sides multiplied by `factor`: (... x 4) → (... x 4)."""
    b = np.asarray(bbox_xyxy, dtype=np.float64)
    return _around(b, (b[..., 2:] - b[..., :2]) * factor)


def _around(bbox_xyxy: Array, size_wh: Array) -> Array:
    middle = centre(bbox_xyxy)
    return np.concatenate([middle - size_wh / 2, middle + size_wh / 2], axis=-1)
