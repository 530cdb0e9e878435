"""Pictures of bytes, and the few operations on them that are sums of integers in OpenCV."""

import cv2
import numpy as np
import PIL.Image
from numpy.typing import NDArray

Image = NDArray[np.uint8]

LEVEL = 32  # standard deviation of `noise`


def noise(rng: np.random.Generator, shape: tuple[int, ...]) -> Image:
    """Independent noise about 128, near to normal: the sum of four bytes, scaled to LEVEL."""
    total = rng.integers(0, 256, (4, *shape), dtype=np.uint8).sum(0, dtype=np.uint16)
    scaled = 128 + (np.arange(4 * 255 + 1) - 510) * (LEVEL / 147.8)
    return as_bytes(scaled).take(total)


def grow(picture: Image, size_wh: tuple[int, int]) -> Image:
    """The picture in another size, linear between its pixels."""
    return np.asarray(cv2.resize(picture, size_wh, interpolation=cv2.INTER_LINEAR_EXACT), np.uint8)


def shrink(picture: Image, size_wh: tuple[int, int]) -> Image:
    """The picture in a smaller size, each pixel the mean of those that it covers."""
    box = PIL.Image.Resampling.BOX
    return np.asarray(PIL.Image.fromarray(picture).resize(size_wh, box))


def add_noise(image: Image, grain: Image, std: float) -> Image:
    """Adds `noise` of the same shape (H x W x 3), made weaker: std in grey levels."""
    change = (np.arange(256) - 128) * (std / LEVEL)
    brighter = cv2.add(image, cv2.LUT(grain, as_bytes(change)))
    return np.asarray(cv2.subtract(brighter, cv2.LUT(grain, as_bytes(-change))), np.uint8)


def as_bytes(value: NDArray[np.floating]) -> Image:
    """Rounded and clipped."""
    return np.rint(value).clip(0, 255).astype(np.uint8)


def look_up(picture: Image, steps: NDArray[np.int32]) -> Image:
    """The picture at other places, bilinear; beyond it, its border.

    steps (H x W x 2, at most 32767 high): x, y in 1/32 of a pixel. cv2.remap sums integers when its
    maps are integers: whole pixels, and 32 · y's rest + x's rest.
    """
    whole, rest = (steps >> 5).astype(np.int16), (steps & 31).astype(np.uint16)
    between = rest[..., 0] + 32 * rest[..., 1]
    border = cv2.BORDER_REPLICATE
    looked_up = cv2.remap(picture, whole, between, cv2.INTER_LINEAR, borderMode=border)
    return np.asarray(looked_up, np.uint8)
