"""Recomputes a sample of cached targets from the network and the crops, and compares.

    python -m pipeline.verify --crops … --network … --targets … [--rows 64]

Not a stage: it writes nothing. It exits with 1 when a cached row is not what the network gives.
"""

import argparse
from pathlib import Path

import lightning_fabric
import numpy as np

from hpe_core.boxes import offset_grid
from hpe_core.ensemble import Windows, average
from hpe_core.errors import InputError
from hpe_core.inference import each_window
from hpe_core.io.checkpoints import load_network
from hpe_core.io.crops import Crops
from hpe_core.io.files import sha256
from hpe_core.io.targets import Targets
from pipeline._cli import run

# float16 storage moves an expected angle by at most 0.0008°; other batch sizes and thread counts
# move float32 sums far less, bfloat16 ones by some hundredths.
TOLERANCE_DEG = {"32-true": 0.01, "bf16-mixed": 0.5, "16-mixed": 0.1}


def main(*, crops: Path, network: Path, targets: Path, rows: int, seed: int) -> None:
    cached = Targets(targets, {"base_sha256": sha256(network), "crops_sha256": sha256(crops)})
    base, _ = load_network(network)
    source, origin = Crops(crops), cached.origin
    rng = np.random.default_rng(seed)
    n = cached.phi_deg.size
    sample = np.sort(rng.choice(n, min(rows, n), replace=False))
    fabric = lightning_fabric.Fabric(devices=1, precision=origin.precision)  # type: ignore[arg-type]
    windows = Windows(offset_grid(origin.K, origin.d), tuple(origin.turns_deg), origin.flip)
    faces, views = np.divmod(sample, origin.views)
    size_hw, phi_deg = source.format.size_hw, cached.phi_deg[faces, views]
    batches = each_window(base, source, faces, windows, size_hw, fabric, 256, phi_deg)
    again = [average(probs, base.spec) for probs in batches]
    pyr_deg = np.concatenate([pyr.cpu().numpy() for _, pyr, _ in again])
    probs = np.concatenate([mean.cpu().numpy() for mean, _, _ in again])
    difference = np.abs(pyr_deg - cached.pyr_deg.reshape(-1, 3)[sample]).max(axis=1)
    cached_probs = np.stack([cached[face, view] for face, view in zip(faces, views, strict=True)])
    stored = cached_probs @ base.spec.centers_deg.numpy()
    difference = np.maximum(difference, np.abs(pyr_deg - stored).max(axis=1))
    worst = int(difference.argmax())
    limit = TOLERANCE_DEG[origin.precision]
    print(
        f"{targets}: {len(sample)} of {n} views recomputed; largest difference "
        f"{difference[worst]:.5f} degrees, {np.abs(probs - cached_probs).max():.1e} in "
        f"probability"
    )
    if difference[worst] > limit:
        raise InputError(
            f"{targets}: {cached.face_id[faces[worst]]} differs by {difference[worst]:.4f} "
            f"degrees, expected at most {limit}; run the ensemble stage again"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--crops", type=Path, required=True, help="a training set's, .h5")
    parser.add_argument("--network", type=Path, required=True, help="the base network")
    parser.add_argument("--targets", type=Path, required=True, help="what it gave")
    parser.add_argument("--rows", type=int, default=64, help="how many views")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    run(main, parser)
