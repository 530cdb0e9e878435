"""A face's box, number and axes over its image. Images in, images out."""

import cv2
import numpy as np
from numpy.typing import ArrayLike

from hpe_core.draw import CASING_COLOUR, Colour, Pixels, draw_axes

BOX_COLOUR: Colour = (255, 220, 60)
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def draw_face(image_rgb: Pixels, bbox_xyxy: ArrayLike, pyr_deg: ArrayLike, number: int) -> Pixels:
    """A copy of the image (H x W x 3 uint8, RGB) with one face's box, number and axes.

    bbox_xyxy (4): pixels, may reach out of the image; pyr_deg (3): degrees. Lines grow with the
    box; the axes start in its middle and are 0.6 of its width long. The number is in the upper left
    corner of the box, or as near to it as the image goes.
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
    """The lower left corner of a text, moved until the text is in the image, if it fits."""
    (text_width, text_height), _ = cv2.getTextSize(text, _FONT, size, thickness)
    height, width = image.shape[:2]
    x = max(thickness, min(below_xy[0], width - thickness - text_width))
    y = max(thickness + text_height, min(below_xy[1], height - thickness))
    return x, y
