"""Which detection is which annotated face, within one image."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hpe_core import boxes

Floats = NDArray[np.float64]
CENTRE_SIGMA = 0.5  # of half the diagonal (our choice): a face at the left edge counts 0.3


def match(
    annot_xyxy: ArrayLike,
    bbox_xyxy: ArrayLike,
    score: ArrayLike,
    size_wh: tuple[int, int],
    min_iou: float,
) -> tuple[NDArray[np.int64], Floats]:
    """One detection for each face, none for two faces.

    annot_xyxy (F x 4): annotated boxes, NaN for a face without one; bbox_xyxy (N x 4), score (N):
    detections; size_wh: the image, pixels; min_iou: less overlap is no match.

    Faces with an annotated box choose first, by IoU alone (`match_by_iou`); those without take what
    is left in their order, by score and position (`match_by_position`). Returns for every face
    the detection's index, -1 without a match (F, int64), and the IoU (F), NaN without a match or
    without an annotated box.
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


def match_by_iou(overlap: Floats, min_iou: float) -> NDArray[np.int64]:
    """Greedy one-to-one assignment: the pair that overlaps most, then the best of the rest, ….

    overlap: IoU, faces x detections; NaN and values below min_iou, or of 0, never match. Equal
    IoUs go to the earlier face, then to the earlier detection (the better score, as the detector
    sorts). Returns (faces) int64, -1 without a match.
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
    bbox_xyxy: Floats, score: Floats, size_wh: tuple[int, int]
) -> NDArray[np.int64]:
    """Detections from the likeliest subject of the photograph to the least likely: (N) indices.

    For corpora without boxes, whose subject sits near the centre (BIWI): score, times a Gaussian of
    the distance between the centres of box and image, in units of half the image's diagonal. Ties
    keep the detections' order.
    """
    centre = (bbox_xyxy[:, :2] + bbox_xyxy[:, 2:]) / 2
    middle = np.asarray(size_wh) / 2
    distance = np.linalg.norm(centre - middle, axis=1) / np.linalg.norm(middle)
    weight = score * np.exp(-0.5 * (distance / CENTRE_SIGMA) ** 2)
    return np.argsort(-weight, kind="stable")


def why_unmatched(
    index: NDArray[np.int64], annot_xyxy: Floats, bbox_xyxy: Floats, min_iou: float
) -> list[str]:
    """For every face of an image, why `match` found none for it: "" where it did.

    index: what `match` returned for the same boxes.
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
        return "its detection is another face's"
    return f"no detection on its annotated box: best IoU {overlap:.2f}, expected {min_iou}"
