"""Box jitter: boxes shifted and resized by known amounts, to measure how exact they need to be.

A jittered box is cut from the enlarged crop, not from the image, with one interpolation, or none
for shifts by whole network pixels. The view has a margin of its own, so the ensemble's windows are
cut from it, as if the detector had returned the jittered box.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hpe_core.crops.window import CropSource, Pixels, rotated_window
from hpe_core.evaluation.columns import PLAIN, SCALE, SHIFT

_STEPS = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1), "none": (0, 0)}
_EPSILON_PX = 1e-6  # in floats, 0.07 · 100 > 7


@dataclass(frozen=True)
class BoxJitter:
    """A change of a box: kind SHIFT with a direction, or SCALE with direction "none".

    level: of a shift, its length as a fraction of the box's side; of a scale, the factor of the
    sides (same centre).
    """

    kind: str
    direction: str
    level: float

    @property
    def shift_xy(self) -> tuple[float, float]:
        """(x, y) as fractions of the sides, positive to the right and down."""
        dx, dy = _STEPS[self.direction]
        return dx * self.level, dy * self.level

    @property
    def scale(self) -> float:
        return self.level if self.kind == SCALE else PLAIN[SCALE]


def box_jitters(shifts: Sequence[float], scales: Sequence[float]) -> list[BoxJitter]:
    """All shifts in four directions, then all scales, each kind after the unchanged box.

    Without shifts there is no jitter of kind SHIFT.
    """
    directions = [name for name in _STEPS if name != "none"]
    moved = [BoxJitter(SHIFT, direction, level) for level in shifts for direction in directions]
    resized = [BoxJitter(SCALE, "none", level) for level in (PLAIN[SCALE], *scales)]
    return [BoxJitter(SHIFT, "none", PLAIN[SHIFT]), *moved, *resized] if shifts else resized


def margin_needed(jitter: BoxJitter, size_hw: tuple[int, int], reach: int = 0) -> int:
    """The smallest crop margin, pixels, that contains a jittered box.

    reach: pixels of its own around the jittered box that are contained, too (r below). On a side of
    n pixels, with shift f and scale s, the centre of the outermost pixel is
    f·n + s·((n - 1)/2 + r) from the middle of the crop, whose own outermost is at (n - 1)/2 + m. So
    m ≥ f·n + (s - 1)·(n - 1)/2 + s·r, for the worse of the two sides.
    """
    needed = [
        abs(shift) * side + (jitter.scale - 1) * (side - 1) / 2 + jitter.scale * reach
        for shift, side in zip(jitter.shift_xy, size_hw[::-1], strict=True)
    ]
    return max(0, int(np.ceil(max(needed) - _EPSILON_PX)))


def jittered_view(crop: Pixels, jitter: BoxJitter, size_hw: tuple[int, int], margin: int) -> Pixels:
    """The jittered box resized to h x w, plus a margin of r, cut from the box's enlarged crop.

    crop (h + 2m) x (w + 2m) x 3; margin: r. Returns (h + 2r) x (w + 2r) x 3 uint8, interpolated
    linearly. Outside the crop, its edge is replicated; raises ValueError if that would concern the
    box itself and not only its margin (`margin_needed`).
    """
    h, w = size_hw
    held = min(crop.shape[0] - h, crop.shape[1] - w) // 2
    needed = margin_needed(jitter, size_hw)
    if held < needed:
        raise ValueError(f"{jitter} needs a margin of {needed} px, but the crop's is {held} px")
    dx, dy = jitter.shift_xy
    enlarged_hw = (h + 2 * margin, w + 2 * margin)
    return rotated_window(crop, enlarged_hw, 0.0, (dx * w, dy * h), jitter.scale)


class JitteredCrops:
    """Crops of some faces as if the detector had returned jittered boxes, for every jitter.

    faces (N): rows of the crops. Index f·J + j gives the f-th of them with jitter j: (h + 2r) x
    (w + 2r) x 3 uint8 (`jittered_view`). `pyr_deg` (N·J, 3): jitter does not change the pose.
    """

    def __init__(
        self,
        crops: CropSource,
        faces: NDArray[np.int64],
        jitters: Sequence[BoxJitter],
        size_hw: tuple[int, int],
        margin: int,
    ) -> None:
        self.crops, self.faces, self.jitters = crops, faces, jitters
        self._size_hw, self._margin = size_hw, margin
        self.pyr_deg = crops.pyr_deg[faces].repeat(len(jitters), axis=0)

    def __len__(self) -> int:
        return len(self.faces) * len(self.jitters)

    def __getitem__(self, row: int) -> Pixels:
        place, jitter = divmod(row, len(self.jitters))
        crop = self.crops[int(self.faces[place])]
        return jittered_view(crop, self.jitters[jitter], self._size_hw, self._margin)

    def described(self, faces: pd.DataFrame) -> pd.DataFrame:
        """One row per view: its face's in `faces`, which has one per crop, and what was changed."""
        many, few = len(self.jitters), len(self.faces)
        of_faces = faces.iloc[self.faces.repeat(many)].reset_index(drop=True)
        jitters = pd.DataFrame(self.jitters).iloc[np.tile(np.arange(many), few)]
        return of_faces.join(jitters.reset_index(drop=True))
