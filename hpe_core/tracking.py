"""Which face of a frame is which of the frames before, and a calmer pose of each."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hpe_core.boxes import iou
from hpe_core.geometry import nearest_rotation, pyr_near, rotation_from_pyr
from hpe_core.matching import match_by_iou

Array = NDArray[np.float64]


@dataclass
class _Track:
    number: int
    bbox_xyxy: Array
    missed: int = 0


class Tracker:
    """Numbers the faces of a video from 1: a face keeps its number, and none is given twice.

    Tracks and boxes are paired greedily by IoU, the largest first. min_iou: less overlap with the
    last box is another face. max_missed: a track ends when it has no box in more frames on end.
    """

    def __init__(self, min_iou: float = 0.3, max_missed: int = 10) -> None:
        self._min_iou, self._max_missed = min_iou, max_missed
        self._tracks: list[_Track] = []
        self._given = 0

    def update(self, bbox_xyxy: ArrayLike) -> list[int]:
        """bbox_xyxy (N x 4): the boxes of the next frame, pixels; N may be 0. → N numbers."""
        boxes = np.asarray(bbox_xyxy, dtype=np.float64).reshape(-1, 4)
        lasts = np.array([track.bbox_xyxy for track in self._tracks]).reshape(-1, 4)
        matched = match_by_iou(iou(boxes, lasts), self._min_iou)
        for track in self._tracks:
            track.missed += 1
        found = [
            self._tracks[at] if at >= 0 else self._new(box)
            for box, at in zip(boxes, matched, strict=True)
        ]
        for track, box in zip(found, boxes, strict=True):
            track.bbox_xyxy, track.missed = box, 0
        self._tracks = [track for track in self._tracks if track.missed <= self._max_missed]
        return [track.number for track in found]

    def _new(self, bbox_xyxy: Array) -> _Track:
        self._given += 1
        self._tracks.append(_Track(self._given, bbox_xyxy))
        return self._tracks[-1]


class Smoother:
    """The exponential mean of each track's rotations: a pose counts 1/e after `seconds`.

    M ← N((1 - w)·M + w·R) with w = 1 - exp(-Δt / seconds), where R is the rotation seen now, Δt the
    time since the track was last seen, and N the nearest rotation. Of Euler angles there is no such
    mean: near ±90° of yaw, pitch and roll jump where the head hardly moves.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._means: dict[int, tuple[float, Array]] = {}

    def update(self, track: int, time_s: float, pyr_deg: ArrayLike) -> Array:
        """pyr_deg (3): the pose seen at time_s. → (3), the mean, on the same Euler branch."""
        seen = rotation_from_pyr(pyr_deg)
        mean = self._mean(track, time_s, seen)
        self._means[track] = time_s, mean
        return pyr_near(mean, pyr_deg)

    def _mean(self, track: int, time_s: float, seen: Array) -> Array:
        if track not in self._means:
            return seen
        last_s, mean = self._means[track]
        weight = 1 - np.exp(-max(0.0, time_s - last_s) / self._seconds)
        try:
            return nearest_rotation((1 - weight) * mean + weight * seen)
        except ValueError:  # half a turn apart: every rotation between them is as near
            return seen
