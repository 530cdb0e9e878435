"""A student without its teacher: training crops → control, training history.

The same network, initial weights, faces, views, labels and steps; the loss is the cross-entropy
with the label alone. By what a student is better than its control, its teacher helps.
"""

from pathlib import Path

from hpe_core.common.settings import load
from hpe_core.common.stage import run
from hpe_core.crops.store import Crops
from hpe_core.crops.window import view_rotations
from hpe_core.networks.bins import BinSpec
from hpe_core.training.settings import Augment, Base, Distill
from hpe_core.training.students import Student, StudentFiles, train_student
from hpe_core.work.device import start


def main(*, params: Path, backbone: str, seed: int, files: StudentFiles) -> None:
    distill, augment = load(params, "distill", Distill), load(params, "augment", Augment)
    spec = BinSpec(min(load(params, "base", Base).bins_deg))
    fabric, compute = start(params, distill.precision)
    faces = len(Crops(files.crops))
    phi_deg = view_rotations(faces, distill.views, augment.rotate_deg, seed)
    student = Student(backbone, spec, seed, phi_deg)
    train_student(student, files, distill, augment, fabric, compute.workers)


if __name__ == "__main__":
    run(main)
