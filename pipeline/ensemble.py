"""The teacher: averages the base network over shifted boxes, for every face of a training set.

    base network, training crops → targets (HDF5) for all students of the protocol

It has all rows of the crops, with validation faces, each in `distill.views` rotated views:
students see exactly the views that the teacher saw.
"""

from dataclasses import asdict
from pathlib import Path

import numpy as np

from hpe_core.common.files import sha256
from hpe_core.common.settings import load
from hpe_core.common.stage import run
from hpe_core.crops.store import Crops
from hpe_core.crops.window import view_rotations
from hpe_core.networks.checkpoints import load_network
from hpe_core.teacher.ensemble import average
from hpe_core.teacher.lineage import check_trained_on
from hpe_core.teacher.settings import Ensemble
from hpe_core.teacher.targets import TargetsOrigin, write_targets
from hpe_core.teacher.windows import Runner, Shown, kept_in_shards, windows_of
from hpe_core.training.settings import Augment, Distill
from hpe_core.work.device import start
from hpe_core.work.resume import unfinished


def main(*, params: Path, seed: int, crops: Path, network: Path, work: Path, targets: Path) -> None:
    grid, views = load(params, "ensemble", Ensemble), load(params, "distill", Distill).views
    rotate_deg = load(params, "augment", Augment).rotate_deg
    fabric, compute = start(params, grid.precision)
    source = Crops(crops)
    base, metadata = load_network(network)
    check_trained_on(network, metadata["provenance"], crops)
    windows = windows_of(grid)
    phi_deg = view_rotations(len(source), views, rotate_deg, seed)
    shown = Shown(source, np.repeat(np.arange(len(source)), views), windows, phi_deg.ravel())
    origin = TargetsOrigin(
        **grid.model_dump(),
        **asdict(base.spec),
        S=len(windows),
        n_bins=base.spec.n_bins,
        base_sha256=sha256(network),
        crops_sha256=sha256(crops),
        views=views,
        rotate_deg=rotate_deg,
    )
    runner = Runner(base, fabric, compute.infer_batch)
    computed_from = {**asdict(origin), "seed": seed, "infer_batch": compute.infer_batch}
    with unfinished(work, targets, computed_from, fabric) as kept:
        parts = kept_in_shards(runner, shown, lambda probs: average(probs, base.spec), kept)
        if fabric.is_global_zero:
            write_targets(targets, source.face_id, phi_deg, parts, origin)


if __name__ == "__main__":
    run(main)
