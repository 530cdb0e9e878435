"""Boxes moved and resized by known amounts: how much does a network need an exact detector?

A jittered box is cut out of the enlarged crop, not of the image: one interpolation at most, and
none where the box moves by whole network pixels. The view has a margin of its own, so that the
ensemble's offsets are slices of it, exactly as if the detector had given the jittered box.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from hpe_core.cropping import CropSource, Pixels

SHIFT, SCALE = "shift", "scale"
PLAIN = {SHIFT: 0.0, SCALE: 1.0}  # kind → the level of the box as it is
_STEPS = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1), "none": (0, 0)}
_EPSILON_PX = 1e-6  # 0.07 · 100 is a little more than 7


@dataclass(frozen=True)
class BoxJitter:
    """What is done to a box: kind SHIFT with its direction, or SCALE with direction "none".

    level: of a shift the share of the box's side by which it moves, of a scale the factor of its
    sides about the same centre.
    """

    kind: str
    direction: str
    level: float

    @property
    def shift_xy(self) -> tuple[float, float]:
        """(x, y) in box sides, positive to the right and down."""
        dx, dy = _STEPS[self.direction]
        return dx * self.level, dy * self.level

    @property
    def scale(self) -> float:
        return self.level if self.kind == SCALE else PLAIN[SCALE]


def box_jitters(shifts: Sequence[float], scales: Sequence[float]) -> list[BoxJitter]:
    """Every shift in four directions and every scale, the box as it is before each kind.

    Without shifts there is no box of kind SHIFT at all.
    """
    directions = [name for name in _STEPS if name != "none"]
    moved = [BoxJitter(SHIFT, direction, level) for level in shifts for direction in directions]
    resized = [BoxJitter(SCALE, "none", level) for level in (PLAIN[SCALE], *scales)]
    return [BoxJitter(SHIFT, "none", PLAIN[SHIFT]), *moved, *resized] if shifts else resized


def margin_needed(jitter: BoxJitter, size_hw: tuple[int, int]) -> int:
    """The least crop margin, pixels, which holds a jittered box.

    On a side of n pixels, moved by f and scaled by s, the centre of the box's outermost pixel lies
    f·n + s·(n - 1)/2 from the middle of the crop, and must not lie beyond the crop's own outermost,
    (n - 1)/2 + m: m ≥ f·n + (s - 1)·(n - 1)/2, the larger one of both sides.
    """
    needed = [
        abs(shift) * side + (jitter.scale - 1) * (side - 1) / 2
        for shift, side in zip(jitter.shift_xy, size_hw[::-1], strict=True)
    ]
    return max(0, int(np.ceil(max(needed) - _EPSILON_PX)))


def jittered_view(crop: Pixels, jitter: BoxJitter, size_hw: tuple[int, int], margin: int) -> Pixels:
    """The jittered box resized to h x w, with a margin K, out of the box's enlarged crop.

    crop (h + 2m) x (w + 2m) x 3; margin: K. Returns (h + 2K) x (w + 2K) x 3 uint8, interpolated
    linearly (a smaller box shows no more detail than the crop has). Where the margin K lies outside
    the crop, its edge is replicated. Raises ValueError where the crop does not hold the jittered
    box itself (`margin_needed`).
    """
    h, w = size_hw
    held = min(crop.shape[0] - h, crop.shape[1] - w) // 2
    needed = margin_needed(jitter, size_hw)
    if held < needed:
        raise ValueError(f"{jitter} needs a margin of {needed} px, but the crop's is {held} px")
    dx, dy = jitter.shift_xy
    left = (crop.shape[1] - 1) / 2 + dx * w - jitter.scale * ((w - 1) / 2 + margin)
    top = (crop.shape[0] - 1) / 2 + dy * h - jitter.scale * ((h - 1) / 2 + margin)
    view_to_crop = np.array([[jitter.scale, 0, left], [0, jitter.scale, top]])
    return cv2.warpAffine(
        crop,
        view_to_crop,
        (w + 2 * margin, h + 2 * margin),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    ).astype(np.uint8, copy=False)


class JitteredCrops:
    """Views of enlarged crops as if the detector had given jittered boxes, for every jitter.

    An index is jitter j of face f, f·J + j: (h + 2K) x (w + 2K) x 3 uint8 (`jittered_view`).
    `pyr_deg` (N·J, 3): a pose does not depend on its box.
    """

    def __init__(
        self,
        crops: CropSource,
        jitters: Sequence[BoxJitter],
        size_hw: tuple[int, int],
        margin: int,
    ) -> None:
        self.crops, self.jitters = crops, jitters
        self._size_hw, self._margin = size_hw, margin
        self.pyr_deg = crops.pyr_deg.repeat(len(jitters), axis=0)

    def __getitem__(self, row: int) -> Pixels:
        face, jitter = divmod(row, len(self.jitters))
        return jittered_view(self.crops[face], self.jitters[jitter], self._size_hw, self._margin)
