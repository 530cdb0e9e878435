"""The only place where metrics are born: every network of a protocol on one of its test sets.

    networks, test crops, sweep → predictions per face, metrics, MAE by |yaw| and by K and d

One process evaluates the base network, its offset ensemble and all students that params.yaml
lists, so that they are compared on the same faces.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from hpe_core.boxes import offset_grid
from hpe_core.ensemble import average, cell_members
from hpe_core.errors import InputError
from hpe_core.io.checkpoints import load_network
from hpe_core.io.crops import Crops
from hpe_core.io.files import atomic, write_json
from hpe_core.io.tables import PYR, write_table
from hpe_core.io.targets import read_sweep
from hpe_core.metrics import absolute_error_deg, mae_by_yaw, mae_deg, summary
from hpe_core.params.learning import Ensemble
from hpe_core.params.loading import load, load_item
from hpe_core.params.protocols import Student, Test
from hpe_core.params.results import Evaluate
from pipeline._cli import run
from pipeline._compute import start
from pipeline._inference import window_probs_of


def main(
    *,
    params: Path,
    test: str,
    crops: Path,
    sweep: Path,
    networks: Path,
    predictions: Path,
    metrics: Path,
    bands: Path,
    cells: Path,
) -> None:
    settings, grid = load(params, "evaluate", Evaluate), load(params, "ensemble", Ensemble)
    item = load_item(params, "tests", test, Test)
    fabric, compute = start(params, settings.precision)
    source = Crops(crops)
    rows = np.arange(len(source))
    parts = []
    for name, path, offsets in networks_of(params, item.protocol, networks, grid):
        network, _ = load_network(path)
        batches = window_probs_of(network, source, rows, offsets, fabric, compute)
        averaged = [average(probs, network.spec) for probs in batches]
        angles = np.concatenate([pyr.cpu().numpy() for _, pyr, _ in averaged]).astype("f8")
        parts.append(
            pd.DataFrame({"face_id": source.face_id, "network": name}).join(
                pd.DataFrame(
                    np.hstack([angles, source.pyr_deg]), columns=[*PYR, *(f"true_{a}" for a in PYR)]
                )
            )
        )
    table = pd.concat(parts)
    write_table(table, predictions)
    pairs = {
        name: (part[PYR].to_numpy(), part[[f"true_{a}" for a in PYR]].to_numpy())
        for name, part in table.groupby("network")
    }
    write_json({name: summary(*pair) for name, pair in pairs.items()}, metrics)
    edges = settings.yaw_bands_deg
    write_json({name: mae_by_yaw(*pair, edges) for name, pair in pairs.items()}, bands)
    write_cells(sweep, dict(zip(source.face_id, source.pyr_deg, strict=True)), cells)


def networks_of(
    params: Path, protocol: str, networks: Path, grid: Ensemble
) -> Iterator[tuple[str, Path, np.ndarray]]:
    """Name, file and offsets of all that is evaluated: base, its ensemble, students as listed."""
    students = load(params, "students", dict[str, Student])
    yield "base", networks / "base.safetensors", offset_grid(0, 1)
    yield "ensemble", networks / "base.safetensors", offset_grid(grid.K, grid.d)
    for student in students.values():
        if student.protocol == protocol:
            name = f"kd-{student.backbone}"
            yield name, networks / f"{name}.safetensors", offset_grid(0, 1)


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
    parser.add_argument("--test", required=True)
    parser.add_argument("--crops", type=Path, required=True)
    parser.add_argument("--sweep", type=Path, required=True)
    parser.add_argument("--networks", type=Path, required=True)
    parser.add_argument("--predictions", type=Path, required=True)
    parser.add_argument("--metrics", type=Path, required=True)
    parser.add_argument("--bands", type=Path, required=True)
    parser.add_argument("--cells", type=Path, required=True)
    run(main, parser)
