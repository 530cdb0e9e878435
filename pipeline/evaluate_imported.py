"""Measures a network published elsewhere: predictions → errors, also by |yaw|."""

from pathlib import Path

from hpe_core.common.files import write_json
from hpe_core.common.settings import load
from hpe_core.common.stage import run
from hpe_core.common.table_files import read_table
from hpe_core.evaluation.columns import ORDER, PYR, TRUE_PYR
from hpe_core.evaluation.metrics import mae_by_yaw, summary
from hpe_core.evaluation.settings import Evaluate


def main(*, params: Path, predictions: Path, metrics: Path) -> None:
    bands_deg = load(params, "evaluate", Evaluate).yaw_bands_deg
    table = read_table(predictions, [*PYR, *TRUE_PYR, ORDER])
    found, labels = table[PYR], table[TRUE_PYR]
    bands = mae_by_yaw(found, labels, bands_deg)
    write_json({**summary(found, labels, table[ORDER]), "abs_yaw": bands}, metrics)


if __name__ == "__main__":
    run(main)
