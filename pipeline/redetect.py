"""Finds the bounding boxes of all faces, with a detector or in published lists.

images, index, detector or published boxes → boxes, faces without a match, report
"""

from dataclasses import asdict
from pathlib import Path

from hpe_core.common.errors import InputError
from hpe_core.common.files import sha256, write_json
from hpe_core.common.settings import load
from hpe_core.common.stage import run
from hpe_core.common.table_files import (
    BOX_COLUMNS,
    INDEX_COLUMNS,
    read_table,
    write_csv,
    write_table,
)
from hpe_core.faces.box_table import Boxed, box_counts, with_network_boxes, with_unmatched
from hpe_core.faces.detector import Detector
from hpe_core.faces.images import state_of
from hpe_core.faces.published_boxes import (
    assign_published,
    croppable,
    published_file,
    read_published_boxes,
)
from hpe_core.faces.redetection import Search, find_faces_in_shards
from hpe_core.faces.settings import BoxRules
from hpe_core.work.launch import processes
from hpe_core.work.resume import unfinished


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
    rules = load(params, "boxes", BoxRules)
    together = processes(params)
    faces = read_table(index, list(INDEX_COLUMNS))

    def write(boxed: Boxed) -> None:
        if not together.is_global_zero:
            return
        table = with_network_boxes(faces, boxed, rules).astype(BOX_COLUMNS)
        if table.empty:
            raise InputError(
                f"{boxes}: found none of the {len(faces)} faces; the boxes came from {source}"
            )
        missing = faces.loc[boxed.reasons.index].assign(reason=boxed.reasons)
        write_table(with_unmatched(faces, table), boxes)
        write_csv(missing[["face_id", "image", "reason"]], unmatched)
        write_json(box_counts(faces, table), report)
        print(f"{boxes.stem}: {len(faces)} faces, {len(missing)} without a match")

    if rules.source == "published":
        published = read_published_boxes(published_file(source, dataset))
        write(croppable(assign_published(faces, published), folder))
        return
    detector = Detector.by(rules, source)
    if detector.size_hw != (rules.input_px, rules.input_px):
        height, width = detector.size_hw
        raise InputError(
            f"{source}: its export fixes the input at {width} x {height} pixels, but "
            f"boxes.input_px is {rules.input_px}"
        )
    search = Search(faces, folder, detector, rules.match_iou, folder.name)
    computed_from = {
        **asdict(rules),
        **{"detector_sha256": sha256(source), "index_sha256": sha256(index)},
        "images": state_of(folder, set(faces["image"])),
    }
    with unfinished(work, boxes, computed_from, together) as kept:
        write(find_faces_in_shards(search, kept, together))


if __name__ == "__main__":
    run(main)
