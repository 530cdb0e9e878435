"""Which detection is which annotated face, within one image."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hpe_core.common.geometry import Array
from hpe_core.faces import boxes

CENTRE_SIGMA = 0.5  # of half the diagonal (our choice): a face at the left edge weighs 0.3


def match(
    annot_xyxy: ArrayLike,
    bbox_xyxy: ArrayLike,
    score: ArrayLike,
    size_wh: tuple[int, int],
    min_iou: float,
) -> tuple[NDArray[np.int64], Array]:
    """At most one detection per face, and one face per detection.

    annot_xyxy (F x 4): annotated boxes, NaN for a face without one; bbox_xyxy (N x 4), score (N):
    detections; size_wh: of the image, pixels; min_iou: smallest IoU of a match.

    Faces with an annotated box are matched first, by IoU (`match_by_iou`). Faces without one then
    take, in order, the best of the remaining detections (`match_by_position`). Returns per face the
    index of its detection (F, int64), -1 without a match, and the IoU (F), NaN without a match or
    an annotated box.
    """
    annot = np.asarray(annot_xyxy, dtype=np.float64).reshape(-1, 4)
    bbox = np.asarray(bbox_xyxy, dtype=np.float64).reshape(-1, 4)
    overlap = boxes.iou(annot, bbox)
    index = match_by_iou(overlap, min_iou)
    iou = np.full(len(annot), np.nan)
    matched = index >= 0
    iou[matched] = overlap[matched, index[matched]]
    boxless = np.isnan(annot).any(1)
    left = np.setdiff1d(np.arange(len(bbox)), index)
    order = match_by_position(bbox[left], np.asarray(score)[left], size_wh)
    taken = min(len(order), int(boxless.sum()))
    index[np.flatnonzero(boxless)[:taken]] = left[order[:taken]]
    return index, iou


def match_by_iou(overlap: Array, min_iou: float) -> NDArray[np.int64]:
    """Greedy one-to-one assignment: the pair with the highest IoU first, then the best of the rest.

    overlap: IoU, faces x detections; NaN, 0 and values below min_iou never match. Of equal IoUs the
    earlier face comes first, then the earlier detection (with the higher score, as the detector
    sorts them). Returns (faces) int64, -1 without a match.
    """
    remaining = np.where(overlap >= max(min_iou, np.finfo(float).tiny), overlap, -1.0)
    index = np.full(len(overlap), -1, dtype=np.int64)
    while remaining.size and remaining.max() >= 0:
        face, detection = np.unravel_index(remaining.argmax(), remaining.shape)
        index[face] = detection
        remaining[face, :] = -1
        remaining[:, detection] = -1
    return index


def match_by_position(
    bbox_xyxy: Array, score: Array, size_wh: tuple[int, int]
) -> NDArray[np.int64]:
    """Indices (N) of the detections, from the likeliest subject of the photograph to the least.

    For corpora without boxes whose subject sits near the centre (BIWI). The weight is the score
    times a Gaussian of the distance between the centres of box and image, in units of half the
    image's diagonal. Ties keep the order of the detections.
    """
    centre = (bbox_xyxy[:, :2] + bbox_xyxy[:, 2:]) / 2
    middle = np.asarray(size_wh) / 2
    distance = np.linalg.norm(centre - middle, axis=1) / np.linalg.norm(middle)
    weight = score * np.exp(-0.5 * (distance / CENTRE_SIGMA) ** 2)
    return np.argsort(-weight, kind="stable")


def why_unmatched(
    index: NDArray[np.int64], annot_xyxy: Array, bbox_xyxy: Array, min_iou: float
) -> list[str]:
    """Why `match` found no detection, per face of an image; "" for a face with one.

    index: the result of `match` for the same boxes.
    """
    best = boxes.iou(annot_xyxy, bbox_xyxy).max(1, initial=0)
    return [
        "" if matched else _reason(np.isnan(annot).any(), len(bbox_xyxy), overlap, min_iou)
        for matched, annot, overlap in zip(index >= 0, annot_xyxy, best, strict=True)
    ]


def _reason(boxless: bool, detections: int, overlap: float, min_iou: float) -> str:
    if not detections:
        return "nothing detected"
    if boxless or overlap >= min_iou:
        return "its detection belongs to another face"
    return f"no detection on its annotated box: best IoU {overlap:.2f}, expected {min_iou}"
