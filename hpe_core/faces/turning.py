"""Turned copies of a photograph, in which faces that lean or lie stand upright."""

import cv2
import numpy as np
from numpy.typing import NDArray

from hpe_core.common.geometry import Array

_GREY = 114  # as the detector pads


def turned(image: NDArray[np.uint8], degrees: float) -> tuple[NDArray[np.uint8], Array]:
    """The whole image (h x w x 3), turned clockwise about its centre on a canvas that holds it all.

    Returns it and the matrix (2 x 3) that maps points (x, y) of the image to it. By multiples of
    90° pixels move and keep their values.
    """
    quarters, rest = divmod(degrees % 360, 90)
    if not rest:
        pixels = np.ascontiguousarray(np.rot90(image, -int(quarters)), dtype=np.uint8)
        return pixels, _matrix(image, degrees)
    matrix = _matrix(image, degrees)
    size_wh = _canvas_wh(image, degrees)
    by_centres = matrix.copy()  # OpenCV's pixel i lies at i, not from i to i + 1
    by_centres[:, 2] += matrix[:, :2].sum(1) / 2 - 0.5
    border = (_GREY, _GREY, _GREY)
    canvas = cv2.warpAffine(image, by_centres, size_wh, flags=cv2.INTER_LINEAR, borderValue=border)
    return canvas.astype(np.uint8, copy=False), matrix


def turned_back(bbox_xyxy: Array, matrix: Array) -> Array:
    """Upright boxes of the image around the same faces: boxes (N x 4) of a turned copy → N x 4.

    Sides keep their lengths: a square box stays one, and a face in it stays in its middle.
    """
    centre = (bbox_xyxy[:, :2] + bbox_xyxy[:, 2:]) / 2
    half = (bbox_xyxy[:, 2:] - bbox_xyxy[:, :2]) / 2
    original = (centre - matrix[:, 2]) @ matrix[:, :2]  # the inverse of a rotation: its transpose
    return np.concatenate([original - half, original + half], axis=1)


def _canvas_wh(image: NDArray[np.uint8], degrees: float) -> tuple[int, int]:
    cos, sin = abs(np.cos(np.radians(degrees))), abs(np.sin(np.radians(degrees)))
    height, width = image.shape[:2]
    return round(width * cos + height * sin), round(width * sin + height * cos)


def _matrix(image: NDArray[np.uint8], degrees: float) -> Array:
    """The centre goes to the centre; pixel i reaches from i to i + 1."""
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    rotation = np.array([[cos, -sin], [sin, cos]])
    centre = np.array([image.shape[1], image.shape[0]]) / 2
    moved = np.array(_canvas_wh(image, degrees)) / 2 - rotation @ centre
    return np.concatenate([rotation, moved[:, None]], axis=1)
