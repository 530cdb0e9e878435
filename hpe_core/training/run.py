"""Training from crops to a history on disk, for the base network and students alike."""

import signal
from dataclasses import asdict, dataclass
from pathlib import Path
from shutil import disk_usage
from typing import Any

import lightning_fabric
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import nn

from hpe_core.common.errors import InputError
from hpe_core.common.files import sha256
from hpe_core.common.table_files import write_csv
from hpe_core.crops.store import Crops
from hpe_core.training.loop import NonFiniteLossError, Plan, fit
from hpe_core.training.settings import Augment, Optim
from hpe_core.training.state import SavedState
from hpe_core.training.views import TargetSource, TrainingFaces, Views

SHARED_MEMORY = Path("/dev/shm")  # through which loader processes pass on their batches
_ENOUGH_BYTES = 2**30


@dataclass(frozen=True)
class Training:
    """What a network is trained on (all but the validation faces of the crops), and how.

    seed: of views and batches; phi_deg, teacher: as for `TrainingFaces`.
    """

    crops: Crops
    augment: Augment
    optim: Optim
    seed: int
    phi_deg: NDArray[np.float32] | None = None
    teacher: TargetSource | None = None


def provenance_of(crops: Crops, weights: str, seed: int) -> dict[str, Any]:
    """What a checkpoint records of its training. weights: the pretrained ones; seed: the run's."""
    return {
        "weights": weights,
        "crops_sha256": sha256(crops.path),
        "crop": asdict(crops.format),
        "boxes": crops.origin["boxes"],
        "faces": len(crops.training_rows),
        "seed": seed,
    }


def train(
    task: nn.Module,
    training: Training,
    fabric: lightning_fabric.Fabric,
    workers: int,
    history: Path,
    progress: SavedState,
) -> None:
    """Trains the network inside `task`; the first process writes the history: epoch, loss, mae.

    Raises InputError if the loss is not finite, ChildProcessError if a loader process dies.
    """
    crops, optim, seed = training.crops, training.optim, training.seed
    views = Views(crops.format.size_hw, seed=seed, **training.augment.model_dump())
    shown, targets = training.phi_deg, training.teacher
    faces = TrainingFaces(crops, crops.training_rows, views, shown, targets)
    plan = Plan(optim.epochs, optim.batch, optim.lr, optim.schedule, seed)
    try:
        epochs = fit(task, faces, plan, fabric, workers, progress)
    except NonFiniteLossError as error:
        lost = ", ".join(crops.face_id[row] for row in error.rows)
        raise InputError(f"{crops.path}: {error} Faces of the batch: {lost}") from error
    except (RuntimeError, ConnectionError, EOFError) as error:
        # The last two: the loader process died while it was passing on a batch.
        if isinstance(error, RuntimeError) and "DataLoader worker (pid" not in str(error):
            raise
        # Its end may be noticed only later: torch would raise an error of its own, wherever we are.
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        raise ChildProcessError(
            f"{crops.path}: a process that prepares training views has died; {_memory_advice()}"
        ) from error
    if fabric.is_global_zero:
        write_csv(pd.DataFrame(epochs), history)


def _memory_advice() -> str:
    """Containers have 64 MB of shared memory unless told otherwise."""
    if SHARED_MEMORY.is_dir() and (total := disk_usage(SHARED_MEMORY).total) < _ENOUGH_BYTES:
        return (
            f"{SHARED_MEMORY}, which they write to, holds {total // 2**20} MB: start the container "
            "with --shm-size=2g, or set compute.workers to 0"
        )
    return "if memory ran out, lower compute.workers"
