"""How many labels of the corpora were found, kept and shared, as tables."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from hpe_core.tables.paper_tables import corpora_table, whole
from hpe_core.tables.results import Results

_BOXES = ("images", "faces", "matched", "unmatched", "annotated")
_MEDIANS = {"det_score": "score", "match_iou": "IoU"}
_NO_COUNTS = ["dataset", "split", "protocol", "test", "in both", *_MEDIANS.values()]


def counts_of(
    results: Results,
    boxes: Mapping[str, Mapping[str, Any]],
    leaks: Mapping[str, Mapping[str, Mapping[str, Any]]],
) -> dict[str, pd.DataFrame]:
    """The tables found, kept, splits and in_both.

    boxes: dataset → what `redetect` reports; leaks: protocol → what `leaks` reports.
    """
    found = [
        {"dataset": name}
        | {count: own.get(count) for count in _BOXES}
        | {words: own.get(median, {}).get("q50") for median, words in _MEDIANS.items()}
        for name, own in boxes.items()
    ]
    kept = corpora_table(results.counts).rename(columns={"before": "labels", "faces": "kept"})
    splits = [
        {"dataset": name, "split": split or None, "faces": faces}
        for name, own in results.counts.items()
        for split, faces in own["by_split"].items()
    ]
    unknown = dict.fromkeys(("shared", "training_faces", "test_faces"))
    in_both = [
        {"protocol": protocol, "test": test, "in both": kind, **unknown, **(count or {})}
        for protocol, tests in leaks.items()
        for test, kinds in tests.items()
        for kind, count in kinds.items()
    ]
    rows = {"found": found, "splits": splits, "in_both": in_both}
    tables = {"kept": kept} | {name: pd.DataFrame(own) for name, own in rows.items()}
    tables["found"] = tables["found"].rename(columns={"annotated": "from the label"})
    return {name: whole(own, own.columns.difference(_NO_COUNTS)) for name, own in tables.items()}
