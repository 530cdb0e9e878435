"""Stage two of the paper: cached targets, training crops → student, training history."""

from pathlib import Path

from hpe_core.common.errors import InputError
from hpe_core.common.files import sha256
from hpe_core.common.settings import load
from hpe_core.common.stage import run
from hpe_core.crops.store import Crops
from hpe_core.networks.bins import BinSpec
from hpe_core.teacher.settings import Ensemble
from hpe_core.teacher.targets import Targets
from hpe_core.training.settings import Augment, Distill
from hpe_core.training.students import Student, StudentFiles, train_student
from hpe_core.work.device import start


def main(*, params: Path, backbone: str, seed: int, targets: Path, files: StudentFiles) -> None:
    distill, augment = load(params, "distill", Distill), load(params, "augment", Augment)
    grid = load(params, "ensemble", Ensemble)
    fabric, compute = start(params, distill.precision)
    # Accept only targets of exactly these crops, windows and views.
    expected = {**grid.model_dump(), "views": distill.views, "rotate_deg": augment.rotate_deg}
    teacher = Targets(targets, {**expected, "crops_sha256": sha256(files.crops)})
    if teacher.face_id != Crops(files.crops).face_id:
        raise InputError(f"{targets}: not the faces of {files.crops}; run ensemble again")
    made = teacher.origin
    origin = {"base_sha256": made.base_sha256, "targets_sha256": sha256(targets)}
    taught_by = {**origin, "K": grid.K, "d": grid.d}
    spec = BinSpec(made.bin_deg, made.theta_deg)
    student = Student(backbone, spec, seed, teacher.phi_deg, teacher, taught_by)
    train_student(student, files, distill, augment, fabric, compute.workers)


if __name__ == "__main__":
    run(main)
