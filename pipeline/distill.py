"""Stage two of the paper: trains a student on the ensemble's cached probabilities.

targets, training crops → student network, history of its training
"""

import argparse
from pathlib import Path

from hpe_core.bins import BinSpec
from hpe_core.errors import InputError
from hpe_core.io.checkpoints import load_pretrained, save_network
from hpe_core.io.crops import Crops
from hpe_core.io.files import sha256
from hpe_core.io.state import SavedState
from hpe_core.io.targets import Targets
from hpe_core.io.work import unfinished
from hpe_core.networks import StudentNet
from hpe_core.params.learning import Augment, Distill, Ensemble
from hpe_core.params.loading import load
from hpe_core.training import DistillationTask, seeded, student_seed
from pipeline._cli import run
from pipeline._compute import start
from pipeline._training import train


def main(
    *,
    params: Path,
    backbone: str,
    seed: int,
    crops: Path,
    targets: Path,
    weights: Path,
    work: Path,
    network: Path,
    history: Path,
) -> None:
    distill, augment = load(params, "distill", Distill), load(params, "augment", Augment)
    grid = load(params, "ensemble", Ensemble)
    fabric, compute = start(params, distill.precision)
    source = Crops(crops)
    rows = source.training_rows
    crops_sha256 = sha256(crops)
    asked = {**grid.model_dump(), "views": distill.views, "rotate_deg": augment.rotate_deg}
    teacher = Targets(targets, {**asked, "crops_sha256": crops_sha256})
    if teacher.face_id != source.face_id:
        raise InputError(f"{targets}: its faces are not those of {crops}; run ensemble again")
    spec = BinSpec(teacher.origin.bin_deg, teacher.origin.theta_deg)
    own_seed = student_seed(seed)
    net = seeded(lambda: StudentNet(backbone, spec), own_seed)
    provenance = load_pretrained(net.encoder_net, backbone, weights)
    task = DistillationTask(net, distill.label_weight, distill.label_std_deg)
    origin = {
        "weights": provenance,
        "crops_sha256": crops_sha256,
        "base_sha256": teacher.origin.base_sha256,
        "K": grid.K,
        "d": grid.d,
        "faces": len(rows),
        "seed": seed,
    }
    sections = {"distill": distill.model_dump(), "augment": augment.model_dump()}
    inputs = {"weights_sha256": sha256(weights), "targets_sha256": sha256(targets)}
    computed_from = {**origin, **sections, **inputs, "backbone": backbone}
    with unfinished(work, network, computed_from, fabric) as kept:
        settings = (augment, distill, own_seed, fabric, compute, history)
        train(task, source, rows, *settings, teacher, SavedState(kept))
        if fabric.is_global_zero:
            save_network(net, network, backbone, source.format.size_hw, origin)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--params", type=Path, required=True)
    parser.add_argument("--backbone", required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--crops", type=Path, required=True)
    parser.add_argument("--targets", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True, help="folder of unfinished work")
    parser.add_argument("--network", type=Path, required=True)
    parser.add_argument("--history", type=Path, required=True)
    run(main, parser)
