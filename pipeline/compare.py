"""Is one network better than another on the same faces, or is it chance?

    python -m pipeline.compare --predictions data/predictions/p1-BIWI.parquet
    python -m pipeline.compare --predictions before.parquet --other after.parquet

Faces of one person, video or photograph are drawn together. With `--other`, every network is
compared with the one of the same name there: is my change real? Not a stage: it writes nothing and
prints a Markdown table.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from hpe_core.comparison import COLUMNS, Pair, compare, pairs_of
from hpe_core.errors import InputError
from hpe_core.io.tables import read_table
from hpe_core.paper_tables import COMPARED, comparisons_text
from hpe_core.readable import markdown
from pipeline._cli import run


def main(
    *,
    predictions: Path,
    other: Path | None,
    networks: list[str] | None,
    seed: int,
) -> None:
    table = chosen(read_table(predictions, COLUMNS), networks, predictions)
    pairs = pairs_of(table)
    if other is not None:
        changed = chosen(read_table(other, COLUMNS), networks, other)
        table, pairs = beside(table, changed)
    if not pairs:
        raise InputError(
            f"{predictions}: nothing to compare {list(table['network'].unique())} with"
        )
    found = compare(table, pairs, np.random.default_rng(seed))
    print(f"{COMPARED}\n\n{markdown(comparisons_text(found), digits=3)}")


def chosen(table: pd.DataFrame, networks: list[str] | None, path: Path) -> pd.DataFrame:
    """The rows of the networks asked for, in that order; None: of all."""
    if networks is None:
        return table
    absent = sorted(set(networks) - set(table["network"]))
    if absent:
        raise InputError(f"{path}: no network {absent}; found {list(table['network'].unique())}")
    return pd.concat([table[table["network"] == name] for name in networks])


def beside(before: pd.DataFrame, after: pd.DataFrame) -> tuple[pd.DataFrame, list[Pair]]:
    """Both tables as one, and every network that both have with its namesake."""
    both = before["network"][before["network"].isin(after["network"])].unique()
    renamed = after.assign(network=after["network"] + " (other)")
    return pd.concat([before, renamed]), [(name, f"{name} (other)") for name in both]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--predictions", type=Path, required=True, help="a test set's")
    parser.add_argument("--other", type=Path, help="others of the same faces")
    parser.add_argument("--networks", nargs="+", help="these alone, by name")
    parser.add_argument("--seed", type=int, default=0, help="of the draws of faces")
    run(main, parser)
