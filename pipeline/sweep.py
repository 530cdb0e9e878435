"""Sweeps all offsets within ±K_max: base network, test crops → angles per offset."""

from pathlib import Path

import numpy as np

from hpe_core.common.files import sha256
from hpe_core.common.settings import load
from hpe_core.common.stage import run
from hpe_core.crops.store import Crops
from hpe_core.networks.checkpoints import load_network
from hpe_core.teacher.ensemble import Windows
from hpe_core.teacher.lineage import check_cut
from hpe_core.teacher.offsets import offset_grid
from hpe_core.teacher.settings import Sweep
from hpe_core.teacher.sweeps import SweptAngles, write_sweep
from hpe_core.teacher.windows import Runner, Shown, kept_in_shards, sampled_rows
from hpe_core.work.device import start
from hpe_core.work.resume import unfinished


def main(*, params: Path, crops: Path, network: Path, work: Path, sweep: Path) -> None:
    settings = load(params, "sweep", Sweep)
    fabric, compute = start(params, settings.precision)
    source = Crops(crops)
    rows = sampled_rows(len(source), settings.max_faces, settings.seed)
    base, metadata = load_network(network)
    check_cut(network, metadata["provenance"], source)
    offsets = offset_grid(settings.K_max, 1)
    runner, shown = Runner(base, fabric, compute.infer_batch), Shown(source, rows, Windows(offsets))
    inputs = {"crops_sha256": sha256(crops), "base_sha256": sha256(network)}
    computed_from = {**settings.model_dump(), **inputs, "infer_batch": compute.infer_batch}
    with unfinished(work, sweep, computed_from, fabric) as kept:
        parts = kept_in_shards(runner, shown, lambda probs: (base.spec.expectation(probs),), kept)
        if fabric.is_global_zero:
            face_ids = np.array(source.face_id)[rows].tolist()
            angles_deg = np.concatenate([part for (part,) in parts])
            write_sweep(sweep, SweptAngles(face_ids, offsets, angles_deg), inputs)


if __name__ == "__main__":
    run(main)
