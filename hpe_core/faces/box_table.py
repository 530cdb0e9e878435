"""The boxes of a corpus as a table: found, annotated as a fallback, and shaped."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from hpe_core.common.table_files import ANNOTATED_BOX, DETECTED_BOX
from hpe_core.faces.boxes import shaped
from hpe_core.faces.settings import BoxRules

MEASURED = [*DETECTED_BOX, "det_score", "match_iou"]
# A face whose reason begins with one of these cannot fall back to its annotated box.
OUTSIDE = "annotated box outside the image: "
UNREADABLE = "unreadable image: "


@dataclass(frozen=True)
class Boxed:
    """found: rows of a face table, with the box columns. reasons: row → why it has no box."""

    found: pd.DataFrame
    reasons: pd.Series


def at_annotated_box(faces: pd.DataFrame) -> pd.DataFrame:
    """The faces that have an annotated box, with the box columns."""
    table = faces[faces[ANNOTATED_BOX].notna().all(axis=1)].copy()
    table[DETECTED_BOX] = table[ANNOTATED_BOX].to_numpy()
    return table.assign(det_score=np.nan, match_iou=np.nan, box_source="annotated")


def with_network_boxes(faces: pd.DataFrame, boxed: Boxed, rules: BoxRules) -> pd.DataFrame:
    """The rows of `faces` that have a box, with the box that the networks see.

    With `rules.unmatched` "annotated", a face without a match falls back to its annotated box if
    that can be cropped. `match_iou` remains that of the box as found.
    """
    found = boxed.found
    if rules.unmatched == "annotated":
        lost = boxed.reasons.astype("str").str.startswith((UNREADABLE, OUTSIDE))
        usable = faces.loc[boxed.reasons.index[~lost]]
        found = pd.concat([found, at_annotated_box(usable)]).sort_index()
    return with_shaped_boxes(found, rules)


def with_shaped_boxes(found: pd.DataFrame, rules: BoxRules) -> pd.DataFrame:
    """A face table with its boxes `shaped`."""
    bbox_xyxy = shaped(found[DETECTED_BOX].to_numpy(), rules)
    return found.assign(**dict(zip(DETECTED_BOX, bbox_xyxy.T, strict=True)))


def with_unmatched(faces: pd.DataFrame, found: pd.DataFrame) -> pd.DataFrame:
    """All faces of the index; for those without a box, its numbers are NaN and `box_source` ""."""
    rest = faces.drop(index=found.index).assign(box_source="")
    return pd.concat([found, rest]).sort_index()


def box_counts(faces: pd.DataFrame, table: pd.DataFrame) -> dict[str, Any]:
    """Counts, and quantiles of scores and IoUs if there are any. table: the faces with a box."""
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
