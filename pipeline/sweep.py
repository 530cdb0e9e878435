"""The base network's angles for every offset within ±K_max, on the faces of a test set.

base network, test crops → angles for each offset, from which follow all cells (K, d)
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hpe_core.boxes import offset_grid
from hpe_core.ensemble import Windows
from hpe_core.io.checkpoints import load_network
from hpe_core.io.crops import Crops
from hpe_core.io.files import sha256
from hpe_core.io.shards import Arrays, in_shards
from hpe_core.io.targets import write_sweep
from hpe_core.io.work import unfinished
from hpe_core.params.loading import load
from hpe_core.params.results import Sweep
from pipeline._cli import run
from pipeline._compute import start
from pipeline._inference import faces_a_batch, sampled_rows, window_probs_of
from pipeline._lineage import check_cut


def main(*, params: Path, crops: Path, network: Path, work: Path, sweep: Path) -> None:
    settings = load(params, "sweep", Sweep)
    fabric, compute = start(params, settings.precision)
    source = Crops(crops)
    rows = sampled_rows(len(source), settings.max_faces, settings.seed)
    base, metadata = load_network(network)
    check_cut(network, metadata["provenance"], source)
    offsets = offset_grid(settings.K_max, 1)
    windows = Windows(offsets)

    def angles(faces: NDArray[np.int64]) -> Iterator[Arrays]:
        for probs in window_probs_of(base, source, rows[faces], windows, fabric, compute):
            yield (base.spec.expectation(probs).cpu().numpy(),)

    inputs = {"crops_sha256": sha256(crops), "base_sha256": sha256(network)}
    computed_from = {**settings.model_dump(), **inputs, "infer_batch": compute.infer_batch}
    with unfinished(work, sweep, computed_from, fabric) as kept:
        batch = faces_a_batch(windows, compute)
        everything = in_shards(kept, len(rows), batch, angles, fabric)
        if fabric.is_global_zero:
            face_ids = np.array(source.face_id)[rows].tolist()
            angles_deg = np.concatenate([part for (part,) in everything])
            write_sweep(sweep, face_ids, offsets, angles_deg, inputs)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--params", type=Path, required=True)
    parser.add_argument("--crops", type=Path, required=True)
    parser.add_argument("--network", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True, help="folder of unfinished work")
    parser.add_argument("--sweep", type=Path, required=True)
    run(main, parser)
