"""Tests whether networks differ significantly on the same faces. Prints a Markdown table.

    python -m pipeline.compare --predictions data/predictions/p1-BIWI.parquet
    python -m pipeline.compare --predictions before.parquet --other after.parquet

Faces of one person, video or photograph are resampled together. `--other` compares every network
with its namesake there: is my change significant? A command, not a stage.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from hpe_core.common.errors import InputError
from hpe_core.common.stage import run
from hpe_core.common.table_files import read_table
from hpe_core.evaluation.comparison import NEEDED_COLUMNS, Pair, compare, pairs_of
from hpe_core.tables.catalogue import NOTES
from hpe_core.tables.formatting import markdown
from hpe_core.tables.paper_tables import comparisons_text


def main(
    *,
    predictions: Path,
    other: Path | None = None,
    networks: list[str] | None = None,
    seed: int = 0,
) -> None:
    """Prints the table.

    Args:
        predictions: of a test set
        other: other predictions of the same faces
        networks: names of the networks to compare; default: all
        seed: of the bootstrap
    """
    table = chosen(read_table(predictions, NEEDED_COLUMNS), networks, predictions)
    pairs = pairs_of(table)
    if other is not None:
        changed = chosen(read_table(other, NEEDED_COLUMNS), networks, other)
        table, pairs = beside(table, changed)
    if not pairs:
        raise InputError(f"{predictions}: nothing to compare: {list(table['network'].unique())}")
    found = compare(table, pairs, np.random.default_rng(seed))
    print(f"{NOTES['comparisons']}\n\n{markdown(comparisons_text(found), digits=3)}")


def chosen(table: pd.DataFrame, networks: list[str] | None, path: Path) -> pd.DataFrame:
    """The rows of the given networks, in that order; None: of all."""
    if networks is None:
        return table
    absent = sorted(set(networks) - set(table["network"]))
    if absent:
        raise InputError(f"{path}: no network {absent}; found {list(table['network'].unique())}")
    return pd.concat([table[table["network"] == name] for name in networks])


def beside(before: pd.DataFrame, after: pd.DataFrame) -> tuple[pd.DataFrame, list[Pair]]:
    """Both tables as one, and the pairs of namesakes."""
    both = before["network"][before["network"].isin(after["network"])].unique()
    renamed = after.assign(network=after["network"] + " (other)")
    return pd.concat([before, renamed]), [(name, f"{name} (other)") for name in both]


if __name__ == "__main__":
    run(main)
