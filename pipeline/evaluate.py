"""Measures all networks of a protocol on one of its test sets, without running one.

predictions, also with jittered boxes, sweep, calibration → errors, MAE by |yaw|, by (K, d) and
by jitter, confidence intervals, pairwise comparisons, quality of the uncertainties
"""

from pathlib import Path

import numpy as np

from hpe_core.common.files import atomic, write_json
from hpe_core.common.settings import load
from hpe_core.common.stage import run
from hpe_core.common.table_files import read_csv, write_csv
from hpe_core.evaluation import summaries
from hpe_core.evaluation.calibration import calibrated
from hpe_core.evaluation.cells import cell_errors
from hpe_core.evaluation.comparison import compare, pairs_of
from hpe_core.evaluation.jitter import jitter_errors
from hpe_core.evaluation.origin import read_measured, sweep_origin
from hpe_core.evaluation.settings import Evaluate
from hpe_core.teacher.sweeps import read_sweep


def main(
    *,
    params: Path,
    predictions: Path,
    jittered: Path,
    sweep: Path,
    calibration: Path,
    metrics: Path,
) -> None:
    settings, factors = load(params, "evaluate", Evaluate), read_csv(calibration)
    said, moved = read_measured(predictions, jittered)
    swept, table = read_sweep(sweep, sweep_origin(said)), calibrated(said, factors)
    rng = np.random.default_rng(settings.seed)
    write_json(summaries.summaries(table), metrics / "errors.json")
    write_json(summaries.bands(table, settings.yaw_bands_deg), metrics / "bands.json")
    write_json(summaries.intervals(table, rng), metrics / "intervals.json")
    write_csv(compare(table, pairs_of(table), rng), metrics / "comparisons.csv")
    uncertainties = summaries.uncertainties(table, calibrated=not factors.empty)
    write_json(uncertainties, metrics / "uncertainty.json")
    write_csv(summaries.risk_curves(table), metrics / "risk.csv")
    write_csv(cell_errors(swept, table), metrics / "cells.csv")
    with atomic(metrics / "jitter.csv") as temporary:  # write_csv would round the levels
        jitter_errors(moved).to_csv(temporary, index=False)


if __name__ == "__main__":
    run(main)
