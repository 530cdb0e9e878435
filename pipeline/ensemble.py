"""The teacher: the base network averaged over shifted boxes, once for every face of a training set.

    base network, training crops → probabilities (HDF5), read by every student of the protocol

The rows are those of the crops, validation faces included, each in as many turned views as
`distill.views` says: a student sees exactly the views that its teacher saw.
"""

import argparse
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hpe_core.ensemble import average, view_turns
from hpe_core.io.checkpoints import load_network
from hpe_core.io.crops import Crops
from hpe_core.io.files import sha256
from hpe_core.io.shards import Arrays, in_shards
from hpe_core.io.targets import TargetsOrigin, write_targets
from hpe_core.io.work import unfinished
from hpe_core.params.learning import Augment, Distill, Ensemble
from hpe_core.params.loading import load
from pipeline._cli import run
from pipeline._compute import start
from pipeline._inference import faces_a_batch, window_probs_of, windows_of
from pipeline._lineage import check_trained_on


def main(*, params: Path, seed: int, crops: Path, network: Path, work: Path, targets: Path) -> None:
    grid, views = load(params, "ensemble", Ensemble), load(params, "distill", Distill).views
    rotate_deg = load(params, "augment", Augment).rotate_deg
    fabric, compute = start(params, grid.precision)
    source = Crops(crops)
    base, metadata = load_network(network)
    check_trained_on(network, metadata["provenance"], crops)
    windows = windows_of(grid)
    phi_deg = view_turns(len(source), views, rotate_deg, seed)
    rows = np.repeat(np.arange(len(source)), views)
    origin = TargetsOrigin(
        K=grid.K,
        d=grid.d,
        S=len(windows),
        bin_deg=base.spec.bin_deg,
        theta_deg=base.spec.theta_deg,
        n_bins=base.spec.n_bins,
        base_sha256=sha256(network),
        crops_sha256=sha256(crops),
        precision=grid.precision,
        turns_deg=list(grid.turns_deg),
        flip=grid.flip,
        views=views,
        rotate_deg=rotate_deg,
    )

    def means(views: NDArray[np.int64]) -> Iterator[Arrays]:
        turns_deg = phi_deg.ravel()[views]
        probs = window_probs_of(base, source, rows[views], windows, fabric, compute, turns_deg)
        for some in probs:
            yield tuple(part.cpu().numpy() for part in average(some, base.spec))

    computed_from = {**asdict(origin), "seed": seed, "infer_batch": compute.infer_batch}
    with unfinished(work, targets, computed_from, fabric) as kept:
        batch = faces_a_batch(windows, compute)
        everything = in_shards(kept, len(rows), batch, means, fabric)
        if fabric.is_global_zero:
            write_targets(targets, source.face_id, phi_deg, everything, origin)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--params", type=Path, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--crops", type=Path, required=True)
    parser.add_argument("--network", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True, help="folder of unfinished work")
    parser.add_argument("--targets", type=Path, required=True)
    run(main, parser)
