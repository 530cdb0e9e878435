"""A pose as three axes over a face, in the convention of the labels. Images in, images out.

Red is the head's x (its right-hand side as seen in the image), green its y (the chin), blue the
way it looks (-z). They are the columns of R (geometry.py) seen from far away, so what is drawn is
what the network was trained on, and a sign that is wrong in a label shows.
"""

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from hpe_core.geometry import rotation_from_pyr

Pixels = NDArray[np.uint8]
Colour = tuple[int, int, int]

AXIS_COLOURS: tuple[Colour, Colour, Colour] = ((235, 50, 50), (60, 205, 60), (55, 120, 255))
CASING_COLOUR: Colour = (20, 20, 20)
_SUBPIXEL_BITS = 4  # cv2 takes coordinates as integers: here in sixteenths of a pixel


def axis_vectors(pyr_deg: ArrayLike) -> NDArray[np.float64]:
    """Where the drawn axes point, in the camera's frame: the columns x, y, -z of R.

    pyr_deg (3): pitch, yaw, roll in degrees. Returns (3 x 3), one unit vector a row; its first two
    entries are its projection on the image.
    """
    vectors: NDArray[np.float64] = rotation_from_pyr(pyr_deg).T * [[1.0], [1.0], [-1.0]]
    return vectors


def draw_axes(
    image_rgb: Pixels,
    centre_xy: tuple[float, float],
    length_px: float,
    pyr_deg: ArrayLike,
    thickness: int,
) -> Pixels:
    """A copy of the image (H x W x 3 uint8, RGB) with the axes of one pose.

    centre_xy, length_px: origin and length of an axis that lies in the image plane, pixels.
    thickness: pixels ≥ 1. Each line has a dark rim, so that it shows on skin and on other axes;
    an axis that points at the viewer is drawn over one that points away, and is a dot where it
    points straight at it.
    """
    canvas = np.ascontiguousarray(image_rgb).copy()
    vectors = axis_vectors(pyr_deg)
    start = np.asarray(centre_xy, dtype=np.float64)
    for axis in np.argsort(-vectors[:, 2], kind="stable"):  # the furthest from the viewer first
        tip = start + length_px * vectors[axis, :2]
        _line(canvas, start, tip, CASING_COLOUR, thickness + 2)
        _line(canvas, start, tip, AXIS_COLOURS[axis], thickness)
    return canvas


def pose_tile(
    crop_rgb: Pixels, side_px: int, predicted_pyr_deg: ArrayLike, pyr_deg: ArrayLike
) -> Pixels:
    """A face enlarged to a square of `side_px`, its prediction bold and the label thin over it."""
    tile = cv2.resize(crop_rgb, (side_px, side_px), interpolation=cv2.INTER_CUBIC)
    centre, length = (side_px / 2, side_px / 2), 0.42 * side_px
    bold, thin = max(3, side_px // 36), max(1, side_px // 128)
    tile = draw_axes(tile.astype(np.uint8), centre, length, predicted_pyr_deg, bold)
    return draw_axes(tile, centre, length, pyr_deg, thin)


def _line(
    canvas: Pixels, start: NDArray[np.float64], end: NDArray[np.float64], colour: Colour, width: int
) -> None:
    first, last = _fixed_point(np.stack([start, end]))
    cv2.line(canvas, first, last, colour, width, cv2.LINE_AA, _SUBPIXEL_BITS)


def _fixed_point(points_xy: NDArray[np.float64]) -> list[list[int]]:
    scaled = np.round(points_xy * (1 << _SUBPIXEL_BITS)).astype(np.int64)
    points: list[list[int]] = scaled.tolist()
    return points
