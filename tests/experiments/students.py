"""How should a student be taught?

    python -m tests.experiments.students --crops data/crops/train/aflw.h5 \
        --targets data/targets/aflw-{seed}.h5 --seeds 1 2 3 --backbone resnet10 --epochs 8

A student's name is its views and its loss, both of them in `variants`: with distill.views: 1
flip/paper is the pipeline's own for the paper's loss, flip/smeared0.5 for that of aflw-small; with
4 it is views4/paper. All of a seed start from the same weights and see the faces in the same order;
those that see the same views train together, on the same batches. Their predictions of the
validation faces are kept in `--cache`, so that runs accumulate; delete them when the code changes.
The teacher of a seed is its base network, and its students are that seed's. `--networks
data/models/aflw` measures those of `dvc repro`, too: base, ensemble and kd-<backbone>; one of them
may be the reference.

About 2 minutes a student and seed for a ResNet10, 6,716 faces of 64 px, 8 epochs and an idle core:
two hours for the 21 of the default and three seeds.
"""

import argparse
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import lightning_fabric
import numpy as np
import torch
from torch import Tensor, nn

from hpe_core.bins import BinSpec
from hpe_core.ensemble import CENTRE, average
from hpe_core.errors import InputError
from hpe_core.io.checkpoints import load_pretrained
from hpe_core.io.crops import Crops
from hpe_core.io.files import sha256
from hpe_core.io.targets import Targets
from hpe_core.networks import StudentNet, normalize
from hpe_core.params.learning import Augment, Distill
from hpe_core.params.loading import load
from hpe_core.params.machine import Compute
from hpe_core.predictions import PYR
from hpe_core.training import Batch, seeded, student_seed
from pipeline._cli import run
from pipeline._compute import start
from pipeline._inference import window_probs_of
from pipeline._predictions import Candidate, candidates, predictions_of
from pipeline._training import train
from tests.experiments.measuring import Angles, compared, keep, kept_at, report, validation_rows
from tests.experiments.variants import LOSSES, Loss, teacher

PAPER = "flip/paper"
STUDENTS = [
    *("static/paper", PAPER, "views2/paper", "views4/paper", "moved/paper", "fresh/paper"),
    *("fresh/labels", "fresh/soft-labels"),
    *(f"flip/{loss}" for loss in LOSSES if loss != "paper"),
]


class Together(nn.Module):
    """A task for `fit`: students of the same batches, each with its own loss.

    Each learns as it would alone: the gradient of the losses' sum is every student's own, and Adam
    treats every weight by itself.
    """

    def __init__(self, students: Sequence[StudentNet], losses: Sequence[Loss]) -> None:
        super().__init__()
        self.students, self.losses = nn.ModuleList(students), losses

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The sum of the losses (N), and the first student's angles (N, 3)."""
        images, spec = normalize(batch["images"]), self.students[0].spec
        logits = [student(images).float() for student in self.students]
        losses = [loss(own, batch, spec) for own, loss in zip(logits, self.losses, strict=True)]
        return torch.stack(losses).sum(0), spec.expectation(logits[0].softmax(-1))


def taught(
    names: Sequence[str],
    backbone: str,
    seed: int,
    crops: Crops,
    targets: Targets,
    distill: Distill,
    augment: Augment,
    fabric: lightning_fabric.Fabric,
    compute: Compute,
    history: Path,
) -> list[StudentNet]:
    """Students of the same views, trained as the pipeline's. history: file of the first one's."""
    spec = BinSpec(targets.origin.bin_deg, targets.origin.theta_deg)
    own_seed, (seen, _) = student_seed(seed), split(names[0])
    students = [seeded(lambda: StudentNet(backbone, spec), own_seed) for _ in names]
    for student in students:
        load_pretrained(student.encoder_net, backbone, Path(distill.weights))
    task = Together(students, [split(name)[1] for name in names])
    source = teacher(seen, targets, spec, distill.epochs, augment.rotate_deg, seed)
    if seen == "static":
        augment = augment.model_copy(update={"flip_p": 0.0})
    rows = crops.training_rows
    train(task, crops, rows, augment, distill, own_seed, fabric, compute, history, source)
    return students


def split(name: str) -> tuple[str, Loss]:
    """The views' name, and the loss."""
    seen, _, loss = name.partition("/")
    if loss not in LOSSES:
        raise InputError(f"{name!r} has no loss; expected views/loss, a loss of {list(LOSSES)}")
    return seen, LOSSES[loss]


def of_seeds(params: Path, networks: Path, seeds: list[int]) -> list[Candidate]:
    """The pipeline's networks, in the order of the seeds."""
    found = [candidate for candidate in candidates(params, networks) if candidate.seed in seeds]
    if absent := set(seeds) - {candidate.seed for candidate in found}:
        raise InputError(f"{params}: its seeds lack {sorted(absent)}, which --seeds asks for")
    return sorted(found, key=lambda candidate: seeds.index(candidate.seed))


def main(
    *,
    params: Path,
    crops: Path,
    targets: str,
    networks: Path | None,
    seeds: list[int],
    backbone: str,
    epochs: int | None,
    students: list[str],
    reference: str,
    yaw_deg: tuple[float, float],
    cache: Path,
    csv: Path,
) -> None:
    distill, augment = load(params, "distill", Distill), load(params, "augment", Augment)
    distill = distill.model_copy(update={"epochs": epochs or distill.epochs})
    fabric, compute = start(params, distill.precision)
    source, crops_sha256 = Crops(crops), sha256(crops)
    rows = validation_rows(source)
    found: dict[str, list[Angles]] = {}
    for candidate in of_seeds(params, networks, seeds) if networks else []:
        table = predictions_of(candidate, source, rows, fabric, compute)
        found.setdefault(candidate.name, []).append(table[PYR].to_numpy())
    names = [name for name in dict.fromkeys([reference, *students]) if name not in found]
    seen_of = {name: split(name)[0] for name in names}
    found |= {name: [] for name in names}
    for seed in seeds:
        path = Path(targets.format(seed=seed))
        cached = Targets(path, {"crops_sha256": crops_sha256})
        origin = {
            **{"distill": distill.model_dump(), "augment": augment.model_dump()},
            **{"seed": seed, "crops": crops_sha256, "targets": sha256(path)},
        }
        kept = {n: kept_at(cache / backbone / n, str(seed), origin) for n in names}
        lacking = sorted(name for name in names if not kept[name].exists())
        for seen, some in groupby(lacking, seen_of.get):
            group, history = list(some), cache / backbone / f"{seen}-{seed}.csv"
            settings = (distill, augment, fabric, compute, history)
            learnt = taught(group, backbone, seed, source, cached, *settings)
            for name, network in zip(group, learnt, strict=True):
                probs = window_probs_of(network, source, rows, CENTRE, fabric, compute)
                pyr_deg = torch.cat([average(p, network.spec)[1] for p in probs])
                keep(kept[name], pyr_deg.cpu().numpy())
        for name in names:
            found[name].append(np.load(kept[name]))
    every = {name: np.stack(by_seed) for name, by_seed in found.items()}
    print(report(compared(every, source.pyr_deg[rows], reference, yaw_deg), csv))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    parser.add_argument("--crops", type=Path, required=True)
    parser.add_argument("--targets", required=True, help="a path with {seed} in it")
    parser.add_argument("--networks", type=Path, help="folder of the pipeline's networks")
    parser.add_argument("--seeds", type=int, nargs="+", required=True)
    parser.add_argument("--backbone", required=True)
    parser.add_argument("--epochs", type=int, help="instead of distill.epochs")
    parser.add_argument("--students", nargs="+", default=STUDENTS)
    parser.add_argument("--reference", default=PAPER)
    parser.add_argument("--yaw-deg", type=float, nargs=2, default=(0.0, 180.0), help="of |yaw|")
    parser.add_argument("--cache", type=Path, default=Path("data/experiments"))
    parser.add_argument("--csv", type=Path, default=Path("metrics/experiments/students.csv"))
    run(main, parser)
