"""The only place where metrics are born: every network of a protocol on one of its test sets.

    networks, test crops, sweep → predictions per face, metrics, MAE by |yaw| and by K and d

One process evaluates the base network, its offset ensemble and all students that params.yaml
lists, of all seeds, so that they are compared on the same faces.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from hpe_core.ensemble import average, cell_members
from hpe_core.errors import InputError
from hpe_core.io.checkpoints import load_network
from hpe_core.io.crops import Crops
from hpe_core.io.files import atomic, write_json
from hpe_core.io.tables import PYR, write_table
from hpe_core.io.targets import read_sweep
from hpe_core.metrics import absolute_error_deg, mae_by_yaw, mae_deg, mean_of, over_runs, summary
from hpe_core.params.learning import Ensemble
from hpe_core.params.loading import load
from hpe_core.params.protocols import Seeds, Students
from hpe_core.params.results import Evaluate
from pipeline._cli import run
from pipeline._compute import start
from pipeline._inference import window_probs_of
from pipeline._networks import networks_of

TRUE_PYR = [f"true_{angle}" for angle in PYR]


def main(
    *,
    params: Path,
    crops: Path,
    sweep: Path,
    networks: Path,
    predictions: Path,
    metrics: Path,
    bands: Path,
    cells: Path,
) -> None:
    settings, grid = load(params, "evaluate", Evaluate), load(params, "ensemble", Ensemble)
    students, seeds = load(params, "students", Students), load(params, "seeds", Seeds)
    fabric, compute = start(params, settings.precision)
    source = Crops(crops)
    rows = np.arange(len(source))
    parts = []
    for name, seed, path, offsets, flip in networks_of(students, seeds, networks, grid):
        network, _ = load_network(path)
        batches = window_probs_of(network, source, rows, offsets, fabric, compute, flip)
        averaged = [average(probs, network.spec) for probs in batches]
        angles = np.concatenate([pyr.cpu().numpy() for _, pyr, _ in averaged]).astype("f8")
        parts.append(
            pd.DataFrame({"face_id": source.face_id, "network": name, "seed": seed}).join(
                pd.DataFrame(np.hstack([angles, source.pyr_deg]), columns=[*PYR, *TRUE_PYR])
            )
        )
    table = pd.concat(parts)
    write_table(table, predictions)
    edges = settings.yaw_bands_deg
    summaries, by_yaw = {}, {}
    for key, own in table.groupby("network"):
        runs = [(run[PYR].to_numpy(), run[TRUE_PYR].to_numpy()) for _, run in own.groupby("seed")]
        summaries[key] = over_runs([summary(*run) for run in runs])
        by_yaw[key] = mean_of([mae_by_yaw(*run, edges) for run in runs])
    write_json(summaries, metrics)
    write_json(by_yaw, bands)
    write_cells(sweep, dict(zip(source.face_id, source.pyr_deg, strict=True)), cells)


def write_cells(sweep: Path, pyr_deg_of: dict[str, np.ndarray], path: Path) -> None:
    """MAE of the ensemble for every K in 0..K_max and d in 1..max(K_max, 1) (Tables 2-4)."""
    face_ids, offsets, angles = read_sweep(sweep)
    absent = set(face_ids) - set(pyr_deg_of)
    if absent:
        raise InputError(f"{sweep}: holds faces that the test set has not, such as {min(absent)}")
    pyr_deg = np.array([pyr_deg_of[face] for face in face_ids])
    k_max = int(offsets.max(initial=0))
    rows = []
    for radius in range(k_max + 1):
        for step in range(1, max(k_max, 1) + 1):
            members = cell_members(offsets, radius, step)
            errors = absolute_error_deg(angles[:, members].mean(1, dtype="f8"), pyr_deg)
            rows.append({"K": radius, "d": step, "S": len(members), **mae_deg(errors)})
    with atomic(path) as temporary:
        pd.DataFrame(rows).round(4).assign(faces=len(face_ids)).to_csv(temporary, index=False)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--params", type=Path, required=True)
    parser.add_argument("--crops", type=Path, required=True)
    parser.add_argument("--sweep", type=Path, required=True)
    parser.add_argument("--networks", type=Path, required=True)
    parser.add_argument("--predictions", type=Path, required=True)
    parser.add_argument("--metrics", type=Path, required=True)
    parser.add_argument("--bands", type=Path, required=True)
    parser.add_argument("--cells", type=Path, required=True)
    run(main, parser)
