"""A pose drawn as three axes over a face, in the convention of the labels. Images in, images out.

Red is the head's x (to the right in the image), green its y (towards the chin), blue its viewing
direction (-z). They are the columns of R (geometry.py) in parallel projection: the picture shows
what the network was trained on, and a wrong sign in a label is visible.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from hpe_core.common.geometry import rotation_from_pyr
from hpe_core.crops.window import Pixels

Colour = tuple[int, int, int]

AXIS_COLOURS: tuple[Colour, Colour, Colour] = ((235, 50, 50), (60, 205, 60), (55, 120, 255))
CASING_COLOUR: Colour = (20, 20, 20)
_SUBPIXEL_BITS = 4  # cv2 takes coordinates as integers: here in sixteenths of a pixel


def axis_vectors(pyr_deg: ArrayLike) -> NDArray[np.float64]:
    """Directions of the drawn axes in the camera frame: the columns x, y, -z of R.

    pyr_deg (3): pitch, yaw, roll in degrees. Returns (3 x 3), one unit vector per row; its first
    two entries are its projection on the image.
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
    thickness: pixels ≥ 1. Each line has a dark rim, so that it stands out from skin and from other
    axes. An axis towards the viewer covers one that points away; one straight at the viewer is a
    dot.
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
    """A face enlarged to a square of `side_px`: the prediction bold, the label thin on top."""
    tile = cv2.resize(crop_rgb, (side_px, side_px), interpolation=cv2.INTER_CUBIC)
    centre, length = (side_px / 2, side_px / 2), 0.42 * side_px
    bold, thin = max(3, side_px // 36), max(1, side_px // 128)
    tile = draw_axes(tile.astype(np.uint8), centre, length, predicted_pyr_deg, bold)
    return draw_axes(tile, centre, length, pyr_deg, thin)


def _line(
    canvas: Pixels, start: NDArray[np.float64], end: NDArray[np.float64], colour: Colour, width: int
) -> None:
    fixed_point = np.round(np.stack([start, end]) * (1 << _SUBPIXEL_BITS)).astype(np.int64)
    first, last = fixed_point.tolist()
    cv2.line(canvas, first, last, colour, width, cv2.LINE_AA, _SUBPIXEL_BITS)


BOX_COLOUR: Colour = (255, 220, 60)
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def draw_face(image_rgb: Pixels, bbox_xyxy: ArrayLike, pyr_deg: ArrayLike, number: int) -> Pixels:
    """A copy of the image (H x W x 3 uint8, RGB) with one face's box, number and axes.

    bbox_xyxy (4): pixels, may extend beyond the image; pyr_deg (3): degrees. Lines grow with the
    box; the axes start in its middle and are 0.6 of its longer side long. The number is in the
    upper left corner of the box, or as near to it as the image allows.
    """
    x1, y1, x2, y2 = np.asarray(bbox_xyxy, dtype=np.float64)
    side = max(x2 - x1, y2 - y1)
    width = max(1, round(side / 150))
    size = max(0.5, side / 200)  # of the number: 1 is about 22 pixels
    wished = round(x1) + 2 * width + 2, round(y1 + 26 * size)
    canvas = np.ascontiguousarray(image_rgb).copy()
    below = _inside(canvas, wished, str(number), size, width + 2)
    corners = (round(x1), round(y1)), (round(x2), round(y2))
    for colour, thickness in ((CASING_COLOUR, width + 2), (BOX_COLOUR, width)):
        cv2.rectangle(canvas, *corners, colour, thickness)
        cv2.putText(canvas, str(number), below, _FONT, size, colour, thickness, cv2.LINE_AA)
    return draw_axes(canvas, ((x1 + x2) / 2, (y1 + y2) / 2), 0.6 * side, pyr_deg, 2 * width)


def _inside(
    image: Pixels, below_xy: tuple[int, int], text: str, size: float, thickness: int
) -> tuple[int, int]:
    """The lower left corner of a text, moved so that the text lies inside the image, if it fits."""
    (text_width, text_height), _ = cv2.getTextSize(text, _FONT, size, thickness)
    height, width = image.shape[:2]
    x = max(thickness, min(below_xy[0], width - thickness - text_width))
    y = max(thickness + text_height, min(below_xy[1], height - thickness))
    return x, y


def angles_text(pyr_deg: Sequence[float]) -> str:
    """Whole degrees with a true minus sign and no minus zero."""
    return ", ".join(f"{round(angle):d}°" for angle in pyr_deg).replace("-", "−")
