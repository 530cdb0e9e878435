"""Measures all networks of a protocol on its validation faces, the ones to choose settings on.

    predictions of the validation faces → errors, calibration factors of the networks' std

Without validation faces both are empty. A stage of its own: `evaluate` runs once per test set,
these once per protocol, before it.
"""

from pathlib import Path

from hpe_core.common.files import write_json
from hpe_core.common.stage import run
from hpe_core.common.table_files import read_table, write_csv
from hpe_core.evaluation.calibration import scale_factors
from hpe_core.evaluation.columns import PREDICTION_COLUMNS
from hpe_core.evaluation.summaries import summaries


def main(*, predictions: Path, metrics: Path, calibration: Path) -> None:
    table = read_table(predictions, PREDICTION_COLUMNS)
    write_json(summaries(table), metrics)
    write_csv(scale_factors(table), calibration)


if __name__ == "__main__":
    run(main)
