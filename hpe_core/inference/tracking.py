"""Faces from frame to frame: the same number for the same face, and a smoothed pose."""

from contextlib import suppress
from itertools import count

import numpy as np
from numpy.typing import ArrayLike

from hpe_core.common.geometry import Array, nearest_rotation, pyr_near, rotation_from_pyr
from hpe_core.faces.boxes import iou
from hpe_core.faces.matching import match_by_iou


class Tracker:
    """Numbers the faces of a video from 1: a face keeps its number, and no number is given twice.

    Tracks and boxes are paired greedily by IoU, the largest first. min_iou: a box with less overlap
    is another face. max_missed: a track ends when it has no box in more consecutive frames.
    """

    def __init__(self, min_iou: float = 0.3, max_missed: int = 10) -> None:
        self._min_iou, self._max_missed = min_iou, max_missed
        self._boxes: dict[int, Array] = {}  # number → the last box
        self._missed: dict[int, int] = {}  # number → frames since then
        self._next_number = count(1)

    def update(self, bbox_xyxy: ArrayLike) -> list[int]:
        """The number of each box of the next frame: (N x 4) pixels → N numbers; N may be 0."""
        boxes = np.asarray(bbox_xyxy, dtype=np.float64).reshape(-1, 4)
        tracks, lasts = list(self._boxes), np.array(list(self._boxes.values())).reshape(-1, 4)
        matched = match_by_iou(iou(boxes, lasts), self._min_iou)
        numbers = [tracks[at] if at >= 0 else next(self._next_number) for at in matched]
        self._boxes |= zip(numbers, boxes, strict=True)
        self._missed = {n: 0 if n in numbers else self._missed[n] + 1 for n in self._boxes}
        for ended in [n for n, missed in self._missed.items() if missed > self._max_missed]:
            del self._boxes[ended]
        return numbers


class Smoother:
    """The exponential mean of each track's rotations: a pose's weight falls to 1/e in `seconds`.

    M ← N((1 - w)·M + w·R) with w = 1 - exp(-Δt / seconds), where R is the rotation seen now, Δt the
    time since the track was last seen, and N the nearest rotation. Euler angles cannot be averaged:
    near ±90° of yaw, pitch and roll jump although the head hardly moves.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._means: dict[int, tuple[float, Array]] = {}

    def update(self, track: int, time_s: float, pyr_deg: ArrayLike) -> Array:
        """The mean (3) after the pose pyr_deg (3) was seen at time_s, on the same Euler branch."""
        seen = rotation_from_pyr(pyr_deg)
        mean = seen
        if track in self._means:
            last_s, last_mean = self._means[track]
            weight = 1 - np.exp(-max(0.0, time_s - last_s) / self._seconds)
            with suppress(ValueError):  # 180° apart: every rotation between them is equally near
                mean = nearest_rotation((1 - weight) * last_mean + weight * seen)
        self._means[track] = time_s, mean
        return pyr_near(mean, pyr_deg)
