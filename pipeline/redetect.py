"""Finds the box of every face: with a detector in the raw images, or in the published lists.

images, index, detector or published boxes → boxes, the faces without one, report
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hpe_core.boxes import pixels_inside, scale, square
from hpe_core.errors import InputError, UnreadableImageError
from hpe_core.io.detector import Detector
from hpe_core.io.files import atomic, sha256, write_json
from hpe_core.io.images import state_of
from hpe_core.io.published import assign_published, published_file, read_published
from hpe_core.io.redetection import OUTSIDE, UNREADABLE, detect_faces, image_sizes
from hpe_core.io.tables import (
    ANNOTATED_BOX,
    BOX_COLUMNS,
    DETECTED_BOX,
    INDEX_COLUMNS,
    read_table,
    write_table,
)
from hpe_core.io.work import unfinished
from hpe_core.params.faces import Boxes
from hpe_core.params.loading import load
from pipeline._cli import run
from pipeline._compute import start


def main(
    *,
    params: Path,
    dataset: str,
    source: Path,
    folder: Path,
    index: Path,
    work: Path,
    boxes: Path,
    unmatched: Path,
    report: Path,
) -> None:
    rules = load(params, "boxes", Boxes)
    fabric, _ = start(params, "32-true")
    faces = read_table(index, list(INDEX_COLUMNS))
    outputs = (boxes, unmatched, report)
    if rules.source == "published":
        lists = read_published(published_file(source, dataset))
        found, reasons = readable(*assign_published(faces, lists), folder)
        if fabric.is_global_zero:
            write(faces, found, reasons, rules, *outputs)
        return
    network = detector(source, rules)
    computed_from = {
        **rules.model_dump(),
        **{"detector_sha256": sha256(source), "index_sha256": sha256(index)},
        "images": state_of(folder, set(faces["image"])),
    }
    with unfinished(work, boxes, computed_from, fabric) as kept:
        found, reasons = detect_faces(faces, folder, network, rules.match_iou, kept, fabric)
        if fabric.is_global_zero:
            write(faces, found, reasons, rules, *outputs)


def write(
    faces: pd.DataFrame,
    found: pd.DataFrame,
    reasons: pd.Series,
    rules: Boxes,
    boxes: Path,
    unmatched: Path,
    report: Path,
) -> None:
    """The three outputs. found: rows of `faces` with boxes as found; reasons: of the others."""
    missing = faces.loc[reasons.index].assign(reason=reasons)
    if rules.unmatched == "annotated":
        found = pd.concat([found, annotated(missing)]).sort_index()
    if found.empty:
        raise InputError(
            f"{boxes}: found none of the {len(faces)} faces; is boxes.path meant for these images?"
        )
    found = found.assign(**shaped(found, rules)).astype(BOX_COLUMNS)
    write_table(with_unmatched(faces, found), boxes)
    with atomic(unmatched) as temporary:
        missing[["face_id", "image", "reason"]].to_csv(temporary, index=False, lineterminator="\n")
    write_json(summary(faces, found), report)
    print(f"{boxes.stem}: {len(faces)} faces, {len(missing)} without a match")


def with_unmatched(faces: pd.DataFrame, found: pd.DataFrame) -> pd.DataFrame:
    """All faces of the index; those without a box have no numbers there and no `box_source`."""
    rest = faces.drop(index=found.index).assign(box_source="")
    return pd.concat([found, rest]).sort_index()


def readable(
    found: pd.DataFrame, reasons: pd.Series, folder: Path
) -> tuple[pd.DataFrame, pd.Series]:
    """Published boxes that can be cropped; a detector would have noticed the others."""
    sizes = image_sizes(folder, sorted(set(found["image"])))
    more = pd.Series(
        [
            why_not_cropped(bbox_xyxy, sizes[image])
            for bbox_xyxy, image in zip(found[DETECTED_BOX].to_numpy(), found["image"], strict=True)
        ],
        index=found.index,
        dtype=object,
    )
    lost = more != ""
    return found[~lost], pd.concat([reasons, more[lost]]).sort_index()


def why_not_cropped(
    bbox_xyxy: NDArray[np.float64], size_wh: tuple[int, int] | UnreadableImageError
) -> str:
    """Of one published box (4) in one image; "" where it can be."""
    if isinstance(size_wh, UnreadableImageError):
        return UNREADABLE + size_wh.reason
    if pixels_inside(bbox_xyxy, size_wh) == 0:
        found = np.round(bbox_xyxy, 1).tolist()
        return f"published box {found} lies outside the image of {size_wh[0]} x {size_wh[1]} pixels"
    return ""


def detector(path: Path, rules: Boxes) -> Detector:
    return Detector(
        path,
        input_px=rules.input_px,
        score=rules.score,
        nms_iou=rules.nms_iou,
        border=rules.border,
    )


def annotated(missing: pd.DataFrame) -> pd.DataFrame:
    """The unmatched faces that can fall back to their annotated box, with the box columns."""
    usable = missing[ANNOTATED_BOX].notna().all(axis=1)
    usable &= ~missing["reason"].str.startswith((UNREADABLE, OUTSIDE))
    table = missing[usable].drop(columns="reason")
    table[DETECTED_BOX] = table[ANNOTATED_BOX].to_numpy()
    return table.assign(det_score=np.nan, match_iou=np.nan, box_source="annotated")


def shaped(table: pd.DataFrame, rules: Boxes) -> dict[str, Any]:
    """The box columns, squared and scaled by `boxes.square` and `boxes.scale`; published boxes stay
    as published. `match_iou` stays that of the box as it was found.
    """
    bbox_xyxy = table[DETECTED_BOX].to_numpy()
    if rules.source == "published":
        return dict(zip(DETECTED_BOX, bbox_xyxy.T, strict=True))
    if rules.square:
        bbox_xyxy = square(bbox_xyxy)
    return dict(zip(DETECTED_BOX, scale(bbox_xyxy, rules.scale).T, strict=True))


def summary(faces: pd.DataFrame, table: pd.DataFrame) -> dict[str, Any]:
    """Counts, and quantiles where the boxes have a score or an IoU."""
    fallback = int((table["box_source"] == "annotated").sum())
    counts = {
        "images": faces["image"].nunique(),
        "faces": len(faces),
        "matched": len(table) - fallback,
        "annotated": fallback,
        "unmatched": len(faces) - len(table),
    }
    quantiles = {
        column: {f"q{q:02.0f}": float(table[column].quantile(q / 100)) for q in (5, 25, 50, 75)}
        for column in ("match_iou", "det_score")
        if table[column].notna().any()
    }
    return counts | quantiles


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--params", type=Path, required=True)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--index", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True, help="folder of unfinished work")
    parser.add_argument("--boxes", type=Path, required=True)
    parser.add_argument("--unmatched", type=Path, required=True)
    parser.add_argument("--report", type=Path, required=True)
    run(main, parser)
