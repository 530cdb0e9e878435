"""Measures an exported detector on images it was not trained on, the way the pipeline runs it.

ONNX, data set → recall (JSON); fails below the recall asked for
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from data.detector.yolo_format import from_lines
from hpe_core.boxes import iou as box_iou
from hpe_core.io.detector import Detections, Detector
from hpe_core.io.files import write_json
from hpe_core.io.images import read_image
from hpe_core.matching import match_by_iou
from pipeline._cli import run


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
    files = sorted((data / "images" / "val").glob("*.jpg"))
    overlaps: list[NDArray[np.float64]] = []  # of every labelled face, -1 where it was missed
    detections = 0
    for start in tqdm(range(0, len(files), network.batch), desc="recall"):
        batch = files[start : start + network.batch]
        images = [read_image(file) for file in batch]
        for file, image, found in zip(batch, images, network.detect(images), strict=True):
            label = data / "labels" / "val" / f"{file.stem}.txt"
            faces = from_lines(label.read_text(), (image.shape[1], image.shape[0]))
            overlaps.append(matched_iou(faces, found, iou))
            detections += len(found.score)
    result = summary(np.concatenate(overlaps), detections, len(files))
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


def summary(overlap: NDArray[np.float64], detections: int, images: int) -> dict[str, float]:
    hits = overlap >= 0
    return {
        "images": images,
        "faces": len(overlap),
        "recall": float(hits.mean()),
        "precision": float(hits.sum() / max(detections, 1)),
        "median_iou": float(np.median(overlap[hits])) if hits.any() else 0.0,
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--detector", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--metrics", type=Path, required=True)
    parser.add_argument("--input-px", type=int, required=True)
    parser.add_argument("--score", type=float, required=True)
    parser.add_argument("--nms-iou", type=float, required=True)
    parser.add_argument("--iou", type=float, required=True)
    parser.add_argument("--minimum", type=float, required=True)
    run(main, parser)
