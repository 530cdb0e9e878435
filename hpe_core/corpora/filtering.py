"""Which faces are usable (angles, box, split), and counts of the others by reason."""

from typing import Any

import pandas as pd

from hpe_core.common.table_files import DETECTED_BOX, PUBLISHED_PYR, PYR
from hpe_core.corpora.settings import Filter
from hpe_core.corpora.splits import EXCLUDED, TRAIN


def merge_splits(published: pd.Series, split: pd.Series, *, strict: bool) -> pd.Series:
    """The published split, else `split`. With `strict`, training faces that `split` excludes go."""
    excluded = (published == TRAIN) & (split == EXCLUDED) & strict
    return split.where((published == "") | excluded, published)


def drop_reasons(table: pd.DataFrame, rules: Filter) -> pd.Series:
    """Why each face (face table with boxes) is dropped, "" if it is kept; categorical.

    The categories are all reasons, in the order in which they are checked.
    """
    x1, y1, x2, y2 = (table[column] for column in DETECTED_BOX)
    shorter_side = pd.concat([x2 - x1, y2 - y1], axis=1).min(axis=1)
    drops = pd.DataFrame(
        {
            "no_match": table["box_source"] == "",
            "angle_over_limit": (table[PUBLISHED_PYR].abs() > rules.max_angle_deg).any(axis=1),
            "box_too_small": shorter_side < rules.min_side_px,
            "excluded_by_split": table["split"] == EXCLUDED,
        }
    )
    reasons = drops.idxmax(axis=1).where(drops.any(axis=1), "")
    return reasons.astype(pd.CategoricalDtype(["", *drops]))


def filter_counts(
    table: pd.DataFrame, reasons: pd.Series, unreadable: int, max_angle_deg: float
) -> dict[str, Any]:
    """Faces before and after, and dropped faces by reason. unreadable: skipped by `index`.

    beyond_limit: faces that are kept by their published angles, but have one of ours beyond it.
    """
    kept = table[reasons == ""]
    dropped = reasons.value_counts(sort=False).drop("")
    return {
        "before": len(table) + unreadable,
        "faces": len(kept),
        "dropped": {"unreadable": unreadable, **dropped.to_dict()},
        "beyond_limit": int((kept[PYR].abs() > max_angle_deg).any(axis=1).sum()),
        **{
            f"by_{column}": kept[column].replace("", "all").value_counts().to_dict()
            for column in ("split", "video")
        },
    }
