"""What training the base network and training a student have in common on disk."""

from pathlib import Path

import lightning_fabric
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import nn

from hpe_core.errors import InputError, NonFiniteLossError
from hpe_core.io.crops import Crops
from hpe_core.io.files import atomic
from hpe_core.params.learning import Augment, Optim
from hpe_core.params.machine import Compute
from hpe_core.training import Progress, TargetSource, TrainingFaces, Views, fit


def train(
    task: nn.Module,
    crops: Crops,
    rows: NDArray[np.int64],
    augment: Augment,
    optim: Optim,
    seed: int,
    fabric: lightning_fabric.Fabric,
    compute: Compute,
    history: Path,
    teacher: TargetSource | None = None,
    progress: Progress | None = None,
) -> None:
    """Trains the network inside `task`; the first process writes the history: epoch, loss, mae."""
    views = Views(crops.format.size_hw, seed=seed, **augment.model_dump())
    try:
        epochs = fit(
            task,
            TrainingFaces(crops, rows, views, teacher),
            optim.epochs,
            optim.batch,
            optim.lr,
            optim.schedule,
            seed,
            fabric,
            compute.workers,
            progress,
        )
    except NonFiniteLossError as error:
        lost = ", ".join(crops.face_id[row] for row in error.rows)
        raise InputError(f"{crops.path}: {error} Faces of the batch: {lost}") from error
    except (RuntimeError, ConnectionError, EOFError) as error:
        # The last two: it died while it handed a batch over.
        if isinstance(error, RuntimeError) and "DataLoader worker" not in str(error):
            raise
        raise ChildProcessError(
            f"{crops.path}: a process that draws its views has died; is the memory full?"
        ) from error
    if not fabric.is_global_zero:
        return
    with atomic(history) as temporary:
        pd.DataFrame(epochs).round(4).to_csv(temporary, index=False)
