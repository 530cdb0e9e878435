"""A face's box, number and axes over its image. Images in, images out."""

import cv2
import numpy as np
from numpy.typing import ArrayLike

from hpe_core.draw import CASING_COLOUR, Colour, Pixels, draw_axes

BOX_COLOUR: Colour = (255, 220, 60)


def draw_face(image_rgb: Pixels, bbox_xyxy: ArrayLike, pyr_deg: ArrayLike, number: int) -> Pixels:
    """A copy of the image (H x W x 3 uint8, RGB) with one face's box, number and axes.

    bbox_xyxy (4): pixels, may reach out of the image; pyr_deg (3): degrees. Lines grow with the
    box; the axes start in its middle and are 0.6 of its width long.
    """
    x1, y1, x2, y2 = np.asarray(bbox_xyxy, dtype=np.float64)
    side = max(x2 - x1, y2 - y1)
    width = max(1, round(side / 150))
    size = max(0.5, side / 200)  # of the number: 1 is about 22 pixels
    below = round(x1) + 2 * width + 2, round(y1 + 26 * size)
    canvas = np.ascontiguousarray(image_rgb).copy()
    corners = (round(x1), round(y1)), (round(x2), round(y2))
    for colour, thickness in ((CASING_COLOUR, width + 2), (BOX_COLOUR, width)):
        cv2.rectangle(canvas, *corners, colour, thickness)
        cv2.putText(canvas, str(number), below, 0, size, colour, thickness, cv2.LINE_AA)
    return draw_axes(canvas, ((x1 + x2) / 2, (y1 + y2) / 2), 0.6 * side, pyr_deg, 2 * width)
