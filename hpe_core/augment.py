"""The paper's augmentations (section 4.3): first those that alter the pose, then those that don't.

Flip and rotation are ours, with exact labels. The photometric chain is albumentations', in the
paper's order; its draws come from the generator handed in, so a view is a function of its seed.
"""

import os
import random
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from hpe_core.cropping import Pixels, rotated_window
from hpe_core.geometry import flip_pyr, rotate_pyr

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # else the import asks a package index
import albumentations as A


def pose_view(
    crop: Pixels,
    pyr_deg: NDArray[np.float64],
    size_hw: tuple[int, int],
    phi_deg: float,
    flipped: bool,
) -> tuple[Pixels, NDArray[np.float64]]:
    """A turned, then mirrored view of a face, with its label.

    crop: an enlarged crop (h + 2m) x (w + 2m) x 3; pyr_deg (3); phi_deg: clockwise on screen,
    about the box centre. Returns the h x w window and its pose (3) in degrees.
    """
    window = rotated_window(crop, size_hw, phi_deg)
    if phi_deg:
        pyr_deg = rotate_pyr(pyr_deg, phi_deg)
    if flipped:
        window, pyr_deg = cv2.flip(window, 1).astype(np.uint8, copy=False), flip_pyr(pyr_deg)
    return window, pyr_deg


class RandomShadow(A.RandomShadow):
    """albumentations' shadows, the same bytes in a fifth of the time: through a table and masks."""

    def apply(
        self,
        img: Pixels,
        vertices_list: list[NDArray[np.int64]],
        intensities: NDArray[np.float64],
        **params: Any,
    ) -> Pixels:
        shadowed = img.copy()
        for vertices, intensity in zip(vertices_list, intensities, strict=True):
            mask = np.zeros(img.shape[:2], np.uint8)
            cv2.fillPoly(mask, [vertices], (255,))
            darker = (np.arange(256) * (1 - intensity)).astype(np.uint8)
            cv2.copyTo(cv2.LUT(shadowed, darker), mask, shadowed)
        return shadowed


class ISONoise(A.ISONoise):
    """albumentations' sensor noise, drawn from the same distributions in a third of the time.

    Poisson counts at a low rate are mostly zeros: their total is drawn, and where each falls. (The
    counts of a Poisson total, spread evenly, are independent and Poisson.)
    """

    def apply(
        self, img: Pixels, color_shift: float, intensity: float, random_seed: int, **params: Any
    ) -> Pixels:
        rng = np.random.default_rng(random_seed)
        rgb = cv2.LUT(img, np.arange(256, dtype=np.float32) / 255)
        hue, lightness, saturation = cv2.split(cv2.cvtColor(rgb, cv2.COLOR_RGB2HLS))
        n = lightness.size
        events = rng.poisson(float(lightness.std()) * intensity * n)
        counts = np.bincount(rng.integers(0, n, events), minlength=n).reshape(lightness.shape)
        cv2.setRNGSeed(random_seed % (1 << 31))
        shift = np.array(color_shift * intensity)
        hue += cv2.randn(np.empty_like(hue), np.zeros(1), shift)
        lightness += counts.astype(np.float32) * np.float32(intensity) * (1 - lightness)
        hls = cv2.merge([hue, lightness, saturation])
        noised = cv2.cvtColor(hls, cv2.COLOR_HLS2RGB)
        # Lightness above 1 is white here, too: what exceeds 255 is cut off.
        return cv2.convertScaleAbs(noised, alpha=255).astype(np.uint8, copy=False)


class Photometric:
    """The augmentations that leave the pose alone: h x w x 3 uint8 → the same.

    p: probability of each of the five steps (0.5 in the paper); blur_max_px: the largest median
    filter (albumentations' default, 7, is meant for the paper's 224 px).
    """

    def __init__(self, p: float, blur_max_px: int) -> None:
        steps: list[Any] = [
            A.OneOf(
                [A.HueSaturationValue(p=1), A.CLAHE(p=1), A.Equalize(p=1), A.Solarize(p=1)], p=p
            ),
            A.OneOf([A.ChannelShuffle(p=1), A.ChannelDropout(p=1)], p=p),
            A.MedianBlur(blur_limit=(3, blur_max_px), p=p),
            A.OneOf([RandomShadow(p=1), ISONoise(p=1)], p=p),
            A.CoarseDropout(p=p),
        ]
        self._chain = A.Compose(steps)
        self._p = p

    def __call__(self, image: Pixels, rng: np.random.Generator) -> Pixels:
        if self._p == 0:
            return image
        # Not set_random_seed: it gives every step the same seed, and all fire together or none.
        seed = int(rng.integers(1 << 31))
        self._chain.set_random_state(np.random.default_rng(seed), random.Random(seed))
        return self._chain(image=image)["image"]
