"""Does a student teach the next one better than its own teacher did (Furlanello et al. 2018)?

    python -m tests.experiments.born_again --crops data/crops/train/aflw.h5 \
        --networks data/models/aflw --seeds 1 2 3 --backbone resnet10 --rounds 3

Round 1 is the pipeline's own: the base network's ensemble teaches. From then on the student of the
round before teaches, averaged over the same windows. The stages `ensemble` and `distill` do the
work; networks and predictions are kept in `--cache`, so that rounds accumulate: delete them when
the code changes. Every round has its own random weights and its own order of the faces.
"""

import argparse
from pathlib import Path

import numpy as np
import torch

from hpe_core.ensemble import CENTRE, average
from hpe_core.io.checkpoints import load_network
from hpe_core.io.crops import Crops
from hpe_core.io.files import sha256
from hpe_core.params.learning import Augment, Distill, Ensemble
from hpe_core.params.loading import load
from pipeline import distill, ensemble
from pipeline._cli import run
from pipeline._compute import start
from pipeline._inference import window_probs_of, windows_of
from tests.experiments.measuring import Angles, compared, keep, kept_at, report, validation_rows

PIPELINE = "round 1"


def main(
    *,
    params: Path,
    crops: Path,
    networks: Path,
    seeds: list[int],
    backbone: str,
    rounds: int,
    yaw_deg: tuple[float, float],
    cache: Path,
    csv: Path,
) -> None:
    grid, settings = load(params, "ensemble", Ensemble), load(params, "distill", Distill)
    fabric, compute = start(params, grid.precision)
    source = Crops(crops)
    rows = validation_rows(source)

    def predict(path: Path) -> Angles:
        """(2, N, 3) degrees: of the network alone, and of its ensemble."""
        network, _ = load_network(path)
        found = []
        for windows in (CENTRE, windows_of(grid)):
            probs = window_probs_of(network, source, rows, windows, fabric, compute)
            pyr_deg = [average(some, network.spec)[1] for some in probs]
            found.append(torch.cat(pyr_deg).cpu().numpy())
        return np.stack(found)

    taught = {
        **{"distill": settings.model_dump(), "ensemble": grid.model_dump()},
        **{"augment": load(params, "augment", Augment).model_dump(), "crops": sha256(crops)},
    }
    by_seed = []
    for seed in seeds:
        teacher = networks / f"base-{seed}.safetensors"
        origin = {**taught, "base": sha256(teacher)}
        by_round = []
        for born in range(rounds + 1):  # 0: the base network
            kept = kept_at(cache / "born-again" / backbone, f"{seed}-{born}", origin)
            student, targets = kept.with_suffix(".safetensors"), kept.with_suffix(".h5")
            own_seed = 1000 * (born - 1) + seed
            if born and not student.exists():
                shared = {"params": params, "seed": own_seed, "crops": crops, "targets": targets}
                shared["work"] = cache / "work"
                ensemble.main(**shared, network=teacher)
                places = {"network": student, "history": kept.with_suffix(".csv")}
                places["weights"] = Path(settings.weights)
                distill.main(**shared, **places, backbone=backbone)
                targets.unlink()
            teacher = student if born else teacher
            if not kept.exists():
                keep(kept, predict(teacher))
            by_round.append(np.load(kept))
        by_seed.append(by_round)
    every = np.stack(by_seed)  # seeds, rounds, alone or ensemble, N, 3
    names = ["base", *(f"round {born}" for born in range(1, rounds + 1))]
    found = {
        f"{name}{suffix}": every[:, born, kind]
        for kind, suffix in enumerate(("", ", ensemble"))
        for born, name in enumerate(names)
    }
    print(report(compared(found, source.pyr_deg[rows], PIPELINE, yaw_deg), csv))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    parser.add_argument("--crops", type=Path, required=True)
    parser.add_argument("--networks", type=Path, required=True, help="folder of base-<seed>")
    parser.add_argument("--seeds", type=int, nargs="+", required=True)
    parser.add_argument("--backbone", required=True, help="of every student")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--yaw-deg", type=float, nargs=2, default=(0.0, 180.0), help="of |yaw|")
    parser.add_argument("--cache", type=Path, default=Path("data/experiments"))
    parser.add_argument("--csv", type=Path, default=Path("metrics/experiments/born-again.csv"))
    run(main, parser)
