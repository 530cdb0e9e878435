"""The paper's augmentations (section 4.3): first those of the window, then the photometric.

The window's are our own code, with exact labels; the paper has no moved and resized boxes, only
flips and rotations. The photometric steps are albumentations', in
the paper's order; their randomness comes from the given generator, so a seed determines a view.
"""

import os
import random
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from hpe_core.common.geometry import Array, flip_pyr, rotate_pyr
from hpe_core.crops.window import Pixels, rotated_window

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # before the import, which asks an index

import albumentations as A


@dataclass(frozen=True)
class CropView:
    """How a view lies in a crop.

    phi_deg: it is rotated, clockwise on screen, about the centre of its box; flipped: and mirrored
    then. shift_px, scale: how its box differs from the detected one; (x, y) pixels of the crop, to
    the right and down, and the factor of its sides.
    """

    phi_deg: float = 0.0
    flipped: bool = False
    shift_px: tuple[float, float] = (0.0, 0.0)
    scale: float = 1.0


def pose_view(
    crop: Pixels, pyr_deg: Array, size_hw: tuple[int, int], placed: CropView
) -> tuple[Pixels, Array]:
    """A view of a face and its label, which changes with rotation and mirror image.

    crop: an enlarged crop (h + 2m) x (w + 2m) x 3; pyr_deg (3). Returns the h x w window and its
    pose (3), degrees.
    """
    window = rotated_window(crop, size_hw, placed.phi_deg, placed.shift_px, placed.scale)
    if placed.phi_deg:
        pyr_deg = rotate_pyr(pyr_deg, placed.phi_deg)
    if placed.flipped:
        window, pyr_deg = cv2.flip(window, 1).astype(np.uint8, copy=False), flip_pyr(pyr_deg)
    return window, pyr_deg


class RandomShadow(A.RandomShadow):
    """Shadows as in albumentations 0.5.2: half the lightness, once where several overlap."""

    def apply(self, img: Pixels, vertices_list: list[NDArray[np.int64]], **params: Any) -> Pixels:
        mask = np.zeros(img.shape[:2], np.uint8)
        for vertices in vertices_list:
            cv2.fillPoly(mask, [vertices.astype(np.int32)], (255,))
        hls = cv2.cvtColor(img, cv2.COLOR_RGB2HLS)
        lightness = hls[..., 1]
        hls[..., 1] = np.where(mask, lightness // 2, lightness)
        return cv2.cvtColor(hls, cv2.COLOR_HLS2RGB).astype(np.uint8, copy=False)


class ISONoise(A.ISONoise):
    """Sensor noise as in albumentations 0.5.2: grain on every pixel, and shifts of its hue."""

    def apply(
        self, img: Pixels, color_shift: float, intensity: float, random_seed: int, **params: Any
    ) -> Pixels:
        rng = np.random.default_rng(random_seed)
        rgb = np.multiply(img, 1 / 255, dtype=np.float32)
        hue_deg, lightness, saturation = cv2.split(cv2.cvtColor(rgb, cv2.COLOR_RGB2HLS))
        grain = rng.poisson(255 * float(lightness.std()) * intensity, lightness.shape) / 255
        turn = rng.standard_normal(hue_deg.shape, np.float32) * (360 * color_shift * intensity)
        noised = [
            (hue_deg + turn) % 360,
            lightness + grain * (1 - lightness),
            saturation,
        ]
        hls = cv2.merge([channel.astype(np.float32) for channel in noised])
        return np.clip(cv2.cvtColor(hls, cv2.COLOR_HLS2RGB) * 255, 0, 255).astype(np.uint8)


_HOLES, _HOLE_PX = 8, 8  # of CoarseDropout in albumentations 0.5.2, for the paper's 224 pixels


class Photometric:
    """The augmentations that keep the pose: h x w x 3 uint8 → same shape and type.

    The paper's authors pin albumentations 0.5.2, whose defaults they use. Three of its steps have
    other formulas or defaults today; here they are as they were.

    size_hw: of the input; below 224 pixels the holes of CoarseDropout are as much smaller. p:
    probability of each of the five steps (0.5 in the paper); blur_max_px: side of the largest
    median filter (albumentations' default, 7, suits the paper's 224 px).
    """

    def __init__(self, size_hw: tuple[int, int], p: float, blur_max_px: int) -> None:
        colours = [A.HueSaturationValue(p=1), A.CLAHE(p=1), A.Equalize(p=1), A.Solarize(p=1)]
        height, width = (max(1, round(_HOLE_PX * side / 224)) for side in size_hw)
        holes = A.CoarseDropout((_HOLES, _HOLES), (height, height), (width, width), p=p)
        self._chain = A.Compose(
            [
                A.OneOf(colours, p=p),
                A.OneOf([A.ChannelShuffle(p=1), A.ChannelDropout(p=1)], p=p),
                A.MedianBlur(blur_limit=(3, blur_max_px), p=p),
                A.OneOf([RandomShadow(p=1), ISONoise(p=1)], p=p),
                holes,
            ]
        )
        self._p = p

    def __call__(self, image: Pixels, rng: np.random.Generator) -> Pixels:
        if self._p == 0:
            return image
        # Not set_random_seed: it gives all steps the same seed, so all would fire or none.
        seed = int(rng.integers(1 << 31))
        self._chain.set_random_state(np.random.default_rng(seed), random.Random(seed))
        return self._chain(image=image)["image"]
