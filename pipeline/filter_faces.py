"""Keeps the faces whose angles and box are usable, and counts what was dropped and why.

boxes, what `index` skipped, the same two of the corpus that marks the test split → face table,
counts
"""

import argparse
from pathlib import Path

import pandas as pd

from hpe_core.io.files import write_json
from hpe_core.io.tables import (
    BOX_COLUMNS,
    DETECTED_BOX,
    INDEX_COLUMNS,
    PYR,
    read_csv,
    read_table,
    write_table,
)
from hpe_core.params.faces import Filter
from hpe_core.params.loading import load
from hpe_core.splits import assign_test_split
from pipeline._cli import run


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
    # A split that is there already stays: the column of one's own table, or that of published
    # boxes. Else it follows from the corpus named.
    if set(reference["dataset"]) != {dataset}:
        split = assign_test_split(
            table,
            reference,
            strict_siblings=rules.strict_split,
            unlabelled=read_csv(split_skipped)["file"].astype("str").tolist(),
        )
        table = table.assign(split=published_or(table["split"], split, strict=rules.strict_split))
    drops = pd.DataFrame(
        {
            "no_match": table["box_source"] == "",
            "angle_over_limit": (table[PYR].abs() > rules.max_angle_deg).any(axis=1),
            "box_too_small": shorter_side(table) < rules.min_side_px,
            "excluded_by_split": table["split"] == "excluded",
        }
    )
    reason = drops.idxmax(axis=1).where(drops.any(axis=1), "")
    kept = table[reason == ""]
    unreadable = len(read_csv(skipped))
    write_table(kept, faces)
    write_json(
        {
            "before": len(table) + unreadable,
            "faces": len(kept),
            "dropped": {
                "unreadable": unreadable,
                **{name: int((reason == name).sum()) for name in drops},
            },
            **{
                f"by_{column}": kept[column].replace("", "all").value_counts().to_dict()
                for column in ("split", "video")
            },
        },
        counts,
    )
    print(f"{dataset}: {len(table)} faces, {len(kept)} kept")


def published_or(published: pd.Series, split: pd.Series, *, strict: bool) -> pd.Series:
    """The published split where there is one, but for training faces that strictness excludes."""
    excluded = (published == "train") & (split == "excluded") & strict
    return split.where((published == "") | excluded, published)


def shorter_side(table: pd.DataFrame) -> pd.Series:
    x1, y1, x2, y2 = (table[column] for column in DETECTED_BOX)
    return pd.concat([x2 - x1, y2 - y1], axis=1).min(axis=1)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--params", type=Path, required=True)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--boxes", type=Path, required=True)
    parser.add_argument("--skipped", type=Path, required=True, help="what `index` could not read")
    parser.add_argument("--split-index", type=Path, required=True)
    parser.add_argument("--split-skipped", type=Path, required=True)
    parser.add_argument("--faces", type=Path, required=True)
    parser.add_argument("--counts", type=Path, required=True)
    run(main, parser)
