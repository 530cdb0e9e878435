"""Follows faces from frame to frame: between two looks at the whole image, only near the faces."""

import numpy as np
from numpy.typing import NDArray

from hpe_core.common.geometry import Array
from hpe_core.faces.boxes import iou
from hpe_core.faces.detector import NO_DETECTIONS, Detections, Detector

_MIN_IOU = 0.3  # of a face's boxes in consecutive frames


class Follower:
    """The faces of a video's frames, by a detector that sees every n-th frame whole.

    In the frames between it sees the neighbourhood of each face alone (`Detector.detect_near`):
    faces that come into view wait for the next whole frame. Where a face is not found again, or two
    become one, the whole frame is searched at once; and where so many faces are followed that this
    would be less work.

    every: n; with 1 each frame is searched whole.
    """

    def __init__(self, detector: Detector, every: int) -> None:
        self._detector, self._every = detector, every
        self._last = NO_DETECTIONS
        self._left = 0  # frames until the next whole one

    def detect(self, image: NDArray[np.uint8]) -> Detections:
        """The faces of the next frame (height x width x 3, RGB), best first."""
        found = self._followed(image) if self._left else None
        if found is None:
            (found,) = self._detector.detect([image])
            self._left = self._every
        self._left -= 1
        self._last = found
        return found

    def _followed(self, image: NDArray[np.uint8]) -> Detections | None:
        """The faces of the last frame, in the order of their scores; None if one is lost."""
        if len(self._last.score) * self._detector.near_share >= 1:
            return None
        boxes: list[Array] = []
        scores: list[float] = []
        near = self._detector.detect_near(image, self._last.bbox_xyxy)
        for last, found in zip(self._last.bbox_xyxy, near, strict=True):
            overlap = iou(last, found.bbox_xyxy)[0]
            if not overlap.size or overlap.max() < _MIN_IOU:
                return None
            boxes.append(found.bbox_xyxy[overlap.argmax()])
            scores.append(found.score[overlap.argmax()])
        both = np.triu(iou(boxes, boxes), k=1)
        if (both > self._detector.nms_iou).any():
            return None
        order = np.argsort(-np.array(scores), kind="stable")
        return Detections(np.array(boxes).reshape(-1, 4)[order], np.array(scores)[order])
