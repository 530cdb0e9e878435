"""Measures an exported detector on images it was not trained on, the way the pipeline runs it.

ONNX, data set → recall (JSON); fails below the recall asked for
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from data.detector.yolo_format import from_lines
from hpe_core.common.errors import UnreadableImageError
from hpe_core.common.files import write_json
from hpe_core.common.stage import run
from hpe_core.faces.boxes import iou as box_iou
from hpe_core.faces.detector import Detections, Detector
from hpe_core.faces.matching import match_by_iou
from hpe_core.faces.redetection import detections_in

SIDES_PX = (0, 20, 32, 64, 128)  # of the bands of the longer side


def main(
    *,
    detector: Path,
    data: Path,
    metrics: Path,
    input_px: int,
    score: float,
    nms_iou: float,
    iou: float,
    minimum: float,
) -> None:
    network = Detector(detector, input_px=input_px, score=score, nms_iou=nms_iou)
    result = measured(network, data, iou)
    write_json(result, metrics)
    print(result)
    if result["recall"] < minimum:
        sys.exit(f"error: {detector}: recall {result['recall']:.4f}, expected {minimum} or more")


def measured(network: Detector, data: Path, iou: float, part: str = "val") -> dict[str, Any]:
    """`counts` over the images of a data set. iou: a face is found at this or more; part: val, or
    train for those that the network has seen.
    """
    folder = data / "images" / part
    names = sorted(file.name for file in folder.glob("*.jpg"))
    overlaps: list[NDArray[np.float64]] = []  # of every labelled face, -1 where it was missed
    sides: list[NDArray[np.float64]] = []  # of every labelled face
    found_sides: list[NDArray[np.float64]] = []  # of every detection
    is_face: list[NDArray[np.bool_]] = []
    for name, image, found in tqdm(
        detections_in(folder, names, network), desc="recall", total=len(names)
    ):
        if isinstance(image, UnreadableImageError):
            raise image
        label = data / "labels" / part / f"{Path(name).stem}.txt"
        faces_xyxy = from_lines(label.read_text(), image.size_wh)
        overlaps.append(matched_iou(faces_xyxy, found, iou))
        sides.append(longer_side(faces_xyxy))
        found_sides.append(longer_side(found.bbox_xyxy))
        is_face.append((box_iou(found.bbox_xyxy, faces_xyxy) >= iou).any(1))
    faces = np.concatenate(sides), np.concatenate(overlaps)
    found = np.concatenate(found_sides), np.concatenate(is_face)
    return {"images": len(names), **counts(faces, found)}


def matched_iou(
    faces_xyxy: NDArray[np.float64], found: Detections, iou: float
) -> NDArray[np.float64]:
    """The IoU of each face (N) with its own detection, -1 where none reaches `iou`."""
    overlap = box_iou(faces_xyxy, found.bbox_xyxy)
    index = match_by_iou(overlap, iou)
    return np.array([overlap[face, own] if own >= 0 else -1.0 for face, own in enumerate(index)])


def longer_side(bbox_xyxy: NDArray[np.float64]) -> NDArray[np.float64]:
    """Pixels: (N x 4) → (N)."""
    return (bbox_xyxy[:, 2:] - bbox_xyxy[:, :2]).max(1, initial=0)


def counts(
    faces: tuple[NDArray[np.float64], NDArray[np.float64]],
    detections: tuple[NDArray[np.float64], NDArray[np.bool_]],
) -> dict[str, object]:
    """faces: the longer side of each (pixels) and its IoU, -1 where it was missed; detections: the
    longer side of each, and whether it overlaps a face.

    `by_side`: per band of the longer side, faces, their recall, detections, and `false`, the share
    of these that are no face.
    """
    (side, overlap), (found_side, is_face) = faces, detections
    hit = overlap >= 0
    bands = {}
    for low, high in zip(SIDES_PX, [*SIDES_PX[1:], np.inf], strict=True):
        own, found = (side >= low) & (side < high), (found_side >= low) & (found_side < high)
        bands[f"{low}-{high:g}" if np.isfinite(high) else f"{low}-"] = {
            "faces": int(own.sum()),
            "recall": share(hit[own]),
            "detections": int(found.sum()),
            "false": share(~is_face[found]),
        }
    return {
        "faces": len(side),
        "recall": share(hit),
        "precision": round(float(hit.sum() / max(len(is_face), 1)), 4),
        "median_iou": float(np.median(overlap[hit])) if hit.any() else 0.0,
        "by_side": bands,
    }


def share(true: NDArray[np.bool_]) -> float:
    return round(float(true.mean()), 4) if true.size else 0.0


if __name__ == "__main__":
    run(main)
