"""Keeps the faces with usable angles and boxes, and counts what was dropped and why.

boxes, files skipped by `index`, index and skipped files of the corpus that marks the test split →
face table, counts
"""

from pathlib import Path

from hpe_core.common.files import write_json
from hpe_core.common.settings import load
from hpe_core.common.stage import run
from hpe_core.common.table_files import (
    BOX_COLUMNS,
    INDEX_COLUMNS,
    read_csv,
    read_table,
    write_table,
)
from hpe_core.corpora.filtering import drop_reasons, filter_counts, merge_splits
from hpe_core.corpora.settings import Filter
from hpe_core.corpora.splits import assign_test_split


def main(
    *,
    params: Path,
    dataset: str,
    boxes: Path,
    skipped: Path,
    split_index: Path,
    split_skipped: Path,
    faces: Path,
    counts: Path,
) -> None:
    rules = load(params, "filter", Filter)
    table = read_table(boxes, [*INDEX_COLUMNS, *BOX_COLUMNS])
    reference = read_table(split_index)
    # Keeps a split that exists already, from the user's own table or from published boxes.
    if set(reference["dataset"]) != {dataset}:
        split = assign_test_split(
            table,
            reference,
            strict_siblings=rules.strict_split,
            unlabelled=read_csv(split_skipped)["file"].astype("str").tolist(),
        )
        table = table.assign(split=merge_splits(table["split"], split, strict=rules.strict_split))
    reasons = drop_reasons(table, rules)
    kept = table[reasons == ""]
    write_table(kept, faces)
    found = filter_counts(table, reasons, len(read_csv(skipped)), rules.max_angle_deg)
    write_json(found, counts)
    print(f"{dataset}: {len(table)} faces, {len(kept)} kept")


if __name__ == "__main__":
    run(main)
