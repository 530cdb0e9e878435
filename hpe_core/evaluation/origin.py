"""Do predictions, and the sweep beside them, come from the same crops and networks?"""

from pathlib import Path

import pandas as pd

from hpe_core.common.errors import InputError
from hpe_core.common.table_files import read_table
from hpe_core.evaluation.columns import JITTER, PREDICTION_COLUMNS


def read_measured(predictions: Path, jittered: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A test set's predictions, and those with jittered boxes.

    Raises InputError if they do not come from the same crops and networks, or if a table is
    missing, damaged, or lacks columns.
    """
    table, moved = (
        read_table(predictions, PREDICTION_COLUMNS),
        read_table(jittered, [*PREDICTION_COLUMNS, *JITTER]),
    )
    for name in ("crops_sha256", "base_sha256", "networks_sha256"):
        if name not in table.attrs:
            raise InputError(
                f"{predictions}: no {name} in its metadata; run the predict stage again"
            )
        if moved.attrs.get(name) != table.attrs[name]:
            raise InputError(
                f"{jittered}: made with {name} = {moved.attrs.get(name)!r}, but {predictions} with "
                f"{table.attrs[name]!r}; run the predict stage again"
            )
    return table, moved


def sweep_origin(predictions: pd.DataFrame) -> dict[str, str]:
    """What `read_sweep` expects of the sweep of the same faces and the same base network."""
    return {name: str(predictions.attrs[name]) for name in ("crops_sha256", "base_sha256")}
