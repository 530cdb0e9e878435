"""The only place where metrics are born: every network of a protocol on one of its test sets.

    networks, test crops, sweep, calibration → predictions per face, metrics, MAE by |yaw| and by K
    and d, intervals, networks in pairs, how well their uncertainty predicts their error

One process evaluates the base network, its offset ensemble and all students that params.yaml
lists, of all seeds, so that they are compared on the same faces.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hpe_core import evaluation
from hpe_core.calibration import calibrated
from hpe_core.comparison import compare, pairs_of
from hpe_core.ensemble import cell_members
from hpe_core.io.crops import Crops
from hpe_core.io.files import sha256, write_json
from hpe_core.io.tables import read_csv, write_csv, write_table
from hpe_core.io.targets import read_sweep
from hpe_core.metrics import absolute_error_deg, mae_deg
from hpe_core.params.loading import load
from hpe_core.params.results import Evaluate
from pipeline._cli import run
from pipeline._compute import start
from pipeline._predictions import candidates, check_family, predictions_of


def main(
    *,
    params: Path,
    crops: Path,
    sweep: Path,
    networks: Path,
    calibration: Path,
    predictions: Path,
    metrics: Path,
    bands: Path,
    cells: Path,
    intervals: Path,
    comparisons: Path,
    uncertainty: Path,
    risk: Path,
) -> None:
    settings = load(params, "evaluate", Evaluate)
    fabric, compute = start(params, settings.precision)
    source, factors = Crops(crops), read_csv(calibration)
    rows = np.arange(len(source))
    chosen = list(candidates(params, networks))
    check_family(chosen, source)
    swept_from = {"crops_sha256": sha256(crops), "base_sha256": sha256(chosen[0].path)}
    swept = read_sweep(sweep, swept_from)
    parts = [predictions_of(each, source, rows, fabric, compute) for each in chosen]
    table = calibrated(pd.concat(parts, ignore_index=True), factors)
    write_table(table, predictions)
    write_json(evaluation.summaries(table), metrics)
    write_json(evaluation.bands(table, settings.yaw_bands_deg), bands)
    rng = np.random.default_rng(settings.seed)
    write_json(evaluation.intervals(table, rng), intervals)
    write_csv(compare(table, pairs_of(table), rng), comparisons)
    write_json(evaluation.uncertainties(table, calibrated=not factors.empty), uncertainty)
    write_csv(evaluation.risk_curves(table), risk)
    write_cells(*swept, source, cells)


def write_cells(
    face_ids: list[str],
    offsets: NDArray[np.int64],
    angles: NDArray[np.float32],
    source: Crops,
    path: Path,
) -> None:
    """MAE of the ensemble for every K in 0..K_max and d in 1..max(K_max, 1) (Tables 2-4)."""
    pyr_deg_of = dict(zip(source.face_id, source.pyr_deg, strict=True))
    pyr_deg = np.array([pyr_deg_of[face] for face in face_ids])
    k_max = int(offsets.max(initial=0))
    rows = []
    for radius in range(k_max + 1):
        for step in range(1, max(k_max, 1) + 1):
            members = cell_members(offsets, radius, step)
            errors = absolute_error_deg(angles[:, members].mean(1, dtype="f8"), pyr_deg)
            rows.append({"K": radius, "d": step, "S": len(members), **mae_deg(errors)})
    write_csv(pd.DataFrame(rows).assign(faces=len(face_ids)), path)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--params", type=Path, required=True)
    parser.add_argument("--crops", type=Path, required=True)
    parser.add_argument("--sweep", type=Path, required=True)
    parser.add_argument("--networks", type=Path, required=True)
    parser.add_argument("--calibration", type=Path, required=True)
    parser.add_argument("--predictions", type=Path, required=True)
    parser.add_argument("--metrics", type=Path, required=True)
    parser.add_argument("--bands", type=Path, required=True)
    parser.add_argument("--cells", type=Path, required=True)
    parser.add_argument("--intervals", type=Path, required=True)
    parser.add_argument("--comparisons", type=Path, required=True)
    parser.add_argument("--uncertainty", type=Path, required=True)
    parser.add_argument("--risk", type=Path, required=True)
    run(main, parser)
