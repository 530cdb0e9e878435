"""Recomputes a sample of cached targets from the network and the crops, and compares.

    python -m pipeline.verify --crops … --network … --targets … [--rows 64]

A command, not a stage. Exits with 1 if a cached target differs from the recomputed one.
"""

from pathlib import Path

import lightning_fabric
import numpy as np

from hpe_core.common.errors import InputError
from hpe_core.common.files import sha256
from hpe_core.common.stage import run
from hpe_core.crops.store import Crops
from hpe_core.networks.checkpoints import load_network
from hpe_core.teacher.targets import Targets
from hpe_core.teacher.verification import recompute
from hpe_core.teacher.windows import Runner

# float16 storage changes expected angles by at most 0.0008°. Other batch sizes and thread counts
# change float32 results far less, bfloat16 ones by some hundredths.
TOLERANCE_DEG = {"32-true": 0.01, "bf16-mixed": 0.5, "16-mixed": 0.1}
_BATCH = 256  # windows per forward pass


def main(*, crops: Path, network: Path, targets: Path, rows: int = 64, seed: int = 0) -> None:
    """Raises InputError if a target differs by more than the tolerance of its precision.

    Args:
        crops: of the training set, .h5
        network: the base network, .safetensors
        targets: the cached targets, .h5
        rows: number of views to recompute
        seed: of the sample
    """
    cached = Targets(targets, {"base_sha256": sha256(network), "crops_sha256": sha256(crops)})
    base, _ = load_network(network)
    count, precision = cached.phi_deg.size, cached.origin.precision
    rng = np.random.default_rng(seed)
    sample = np.sort(rng.choice(count, min(rows, count), replace=False))
    fabric = lightning_fabric.Fabric(devices=1, precision=precision)  # type: ignore[arg-type]
    found = recompute(cached, Runner(base, fabric, _BATCH), Crops(crops), sample)
    worst, limit_deg = int(found.angle_deg.argmax()), TOLERANCE_DEG[precision]
    off_deg = found.angle_deg[worst]
    print(
        f"{targets}: {len(sample)} of {count} views recomputed; largest difference {off_deg:.5f} "
        f"degrees, {found.prob:.1e} in probability"
    )
    if off_deg > limit_deg:
        raise InputError(
            f"{targets}: {cached.face_id[found.faces[worst]]} differs by {off_deg:.4f} degrees; "
            f"expected at most {limit_deg}; run the ensemble stage again"
        )


if __name__ == "__main__":
    run(main)
