"""The paper's augmentations (section 4.3): first those that alter the pose, then those that don't.

Flip and rotation are ours, with exact labels. The photometric chain is albumentations', in the
paper's order; its draws come from the generator handed in, so a view is a function of its seed.
"""

import os
import random
from typing import Any

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
    flip_p: float,
    rotate_deg: float,
    rng: np.random.Generator,
) -> tuple[Pixels, NDArray[np.float64], bool]:
    """A flipped and turned view of a face, with its label.

    crop: an enlarged crop (h + 2m) x (w + 2m) x 3; pyr_deg (3). Flips with probability flip_p,
    then turns by a uniform angle within ±rotate_deg about the box centre.
    Returns the h x w window, its pose (3) in degrees, and whether it was flipped.
    """
    flipped = bool(rng.random() < flip_p)
    if flipped:
        crop, pyr_deg = crop[:, ::-1], flip_pyr(pyr_deg)
    phi_deg = float(rng.uniform(-rotate_deg, rotate_deg))
    if phi_deg:
        pyr_deg = rotate_pyr(pyr_deg, phi_deg)
    return rotated_window(np.ascontiguousarray(crop), size_hw, phi_deg), pyr_deg, flipped


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
            A.OneOf([A.RandomShadow(p=1), A.ISONoise(p=1)], p=p),
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
