"""Measures an exported detector on images it was not trained on, the way the pipeline runs it.

ONNX, data set → recall (JSON); fails below the recall asked for
"""

import sys
from pathlib import Path

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
    folder = data / "images" / "val"
    names = sorted(file.name for file in folder.glob("*.jpg"))
    overlaps: list[NDArray[np.float64]] = []  # of every labelled face, -1 where it was missed
    detections = 0
    for name, image, found in tqdm(
        detections_in(folder, names, network), desc="recall", total=len(names)
    ):
        if isinstance(image, UnreadableImageError):
            raise image
        label = data / "labels" / "val" / f"{Path(name).stem}.txt"
        overlaps.append(matched_iou(from_lines(label.read_text(), image.size_wh), found, iou))
        detections += len(found.score)
    result = recall_counts(np.concatenate(overlaps), detections, len(names))
    write_json(result, metrics)
    print(result)
    if result["recall"] < minimum:
        sys.exit(f"error: {detector}: recall {result['recall']:.4f}, expected {minimum} or more")


def matched_iou(
    faces_xyxy: NDArray[np.float64], found: Detections, iou: float
) -> NDArray[np.float64]:
    """The IoU of each face (N) with its own detection, -1 where none reaches `iou`."""
    overlap = box_iou(faces_xyxy, found.bbox_xyxy)
    index = match_by_iou(overlap, iou)
    return np.array([overlap[face, own] if own >= 0 else -1.0 for face, own in enumerate(index)])


def recall_counts(overlap: NDArray[np.float64], detections: int, images: int) -> dict[str, float]:
    hits = overlap >= 0
    return {
        "images": images,
        "faces": len(overlap),
        "recall": float(hits.mean()),
        "precision": float(hits.sum() / max(detections, 1)),
        "median_iou": float(np.median(overlap[hits])) if hits.any() else 0.0,
    }


if __name__ == "__main__":
    run(main)
