"""Trains a student, with its teacher's targets or, as its control, without."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lightning_fabric
import numpy as np
from numpy.typing import NDArray

from hpe_core.common.files import sha256
from hpe_core.crops.store import Crops
from hpe_core.networks.bins import BinSpec
from hpe_core.networks.checkpoints import load_pretrained, save_network
from hpe_core.networks.model import StudentNet
from hpe_core.training.loop import seeded, student_seed
from hpe_core.training.run import Training, provenance_of, train
from hpe_core.training.settings import Augment, Distill
from hpe_core.training.state import SavedState
from hpe_core.training.tasks import DistillationTask
from hpe_core.training.views import TargetSource
from hpe_core.work.resume import unfinished


@dataclass(frozen=True)
class StudentFiles:
    """What is read, crops and initial weights, and what is written."""

    crops: Path
    weights: Path
    work: Path
    network: Path
    history: Path


@dataclass(frozen=True)
class Student:
    """A network to train. A student and its control differ in `teacher` alone.

    seed: the run's; phi_deg (faces, views): the in-plane rotations of what it sees; taught_by: of
    the teacher, for the checkpoint.
    """

    backbone: str
    spec: BinSpec
    seed: int
    phi_deg: NDArray[np.float32]
    teacher: TargetSource | None = None
    taught_by: Mapping[str, Any] = field(default_factory=dict)


def train_student(
    student: Student,
    files: StudentFiles,
    distill: Distill,
    augment: Augment,
    fabric: lightning_fabric.Fabric,
    workers: int,
) -> None:
    source, own_seed = Crops(files.crops), student_seed(student.seed)
    net = seeded(lambda: StudentNet(student.backbone, student.spec), own_seed)
    pretrained = load_pretrained(net.encoder_net, student.backbone, files.weights)
    task = DistillationTask(net, distill.label_weight, distill.label_std_deg)
    origin = {**provenance_of(source, pretrained, student.seed), **student.taught_by}
    sections = {"distill": distill.model_dump(), "augment": augment.model_dump()}
    inputs = {"weights_sha256": sha256(files.weights), "backbone": student.backbone}
    computed_from = {**origin, **sections, **inputs}
    own_views = augment.model_copy(update={"rotate_deg": distill.rotate_deg})
    with unfinished(files.work, files.network, computed_from, fabric) as kept:
        shown, teacher = student.phi_deg, student.teacher
        training = Training(source, own_views, distill, own_seed, shown, teacher)
        train(task, training, fabric, workers, files.history, SavedState(kept))
        if fabric.is_global_zero:
            save_network(net, files.network, student.backbone, source.format.size_hw, origin)
