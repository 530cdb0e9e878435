"""The training loop of the base network and the students.

They differ in the task, a module around the network: a batch → loss per example (N) and predicted
degrees (N, 3). A view depends on (seed, epoch, row) only, so results do not depend on the number of
loader processes. Several training processes split every batch: faces, views and batch statistics
are those of one process, so results differ only by rounding.
"""

import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import lightning_fabric
import numpy as np
import torch
from torch import nn
from torch.optim.lr_scheduler import ConstantLR, CosineAnnealingLR, LambdaLR, LRScheduler
from torch.utils.data import DataLoader
from tqdm import tqdm

from hpe_core.common.errors import InputError
from hpe_core.training.batchnorm import synchronize
from hpe_core.training.settings import Schedule
from hpe_core.training.state import SavedState
from hpe_core.training.views import Batch, EpochBatches, TrainingFaces

_COOLDOWN = 0.25  # share of the steps


class NonFiniteLossError(InputError):
    """Training diverged, or a face spoils it. `rows`: the faces' rows in the crops."""

    def __init__(self, loss: float, rows: list[int]) -> None:
        super().__init__(f"the loss is {loss}, not finite: a lower learning rate may help.")
        self.rows = rows


@dataclass(frozen=True)
class Plan:
    """How long and how fast to train.

    batch: faces per batch, at most, over all processes; lr: Adam's largest learning rate; schedule:
    how it falls, batch by batch (`_scheduler`); seed: of the order of the faces.
    """

    epochs: int
    batch: int
    lr: float
    schedule: Schedule
    seed: int


def fit(
    task: nn.Module,
    faces: TrainingFaces,
    plan: Plan,
    fabric: lightning_fabric.Fabric,
    workers: int,
    progress: SavedState | None = None,
) -> list[dict[str, float]]:
    """Trains the network inside a task.

    Adam without weight decay (the paper names none), for all epochs: we use the network after the
    last one and never choose an epoch on a test set.

    workers: loader processes, 0 to load in this one; progress: saves the state after every epoch.
    Training resumes from it, with the same final weights to the last bit.

    Returns one row per epoch: epoch, loss, mae (degrees, on augmented training views). Raises
    NonFiniteLossError; the state saved last is kept.
    """
    state = progress.load() if progress else None
    history: list[dict[str, float]] = state["history"] if state else []
    share = (fabric.global_rank, fabric.world_size)
    # Only the remaining epochs; their views depend on epoch and row, so resuming changes nothing.
    batches = EpochBatches(len(faces), plan.batch, plan.epochs, plan.seed, share, len(history))
    loader = DataLoader(
        faces,
        batch_sampler=batches,
        num_workers=workers,
        pin_memory=fabric.device.type == "cuda",
        worker_init_fn=_ignore_interrupts,
    )
    steps = plan.epochs * len(batches.sizes)
    learner = _learner(task, plan, steps, fabric)
    if state:  # after Fabric has moved the weights: Adam's moments follow them to the device
        learner.load_state_dict(state)
    # One iterator for all epochs: loaders start once, and prefetch views of the next epoch while
    # the state is saved. EpochBatches splits batches over processes, not Fabric's sampler.
    stream = iter(fabric.setup_dataloaders(loader, use_distributed_sampler=False))
    quiet, done = not fabric.is_global_zero, steps - len(batches)
    with tqdm(total=steps, initial=done, unit="batch", disable=quiet) as bar:
        for epoch in range(len(history), plan.epochs):
            row = _epoch(learner, stream, batches.sizes, bar)
            history.append({"epoch": epoch + 1, **row})
            if progress:
                saved = f"epoch {epoch + 1} of {plan.epochs} is"
                progress.save({"history": history, **learner.state_dict()}, saved)
    return history


def _ignore_interrupts(number: int) -> None:
    # Runs in loader processes, which Ctrl-C reaches, too. Their threads would print a traceback
    # once the main process is gone; errors of the data set are passed on in another way.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.excepthook = lambda *_: None


@dataclass(frozen=True)
class _Learner:
    """A task and its optimizer. model, optimizer: task and adam as wrapped by Fabric."""

    task: nn.Module
    adam: torch.optim.Adam
    scheduler: LRScheduler
    model: Any
    optimizer: Any
    fabric: Any

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next step depends on."""
        return {name: getattr(self, name).state_dict() for name in ("task", "adam", "scheduler")}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        for name in ("task", "adam", "scheduler"):
            getattr(self, name).load_state_dict(state[name])


def _learner(task: nn.Module, plan: Plan, steps: int, fabric: Any) -> _Learner:
    # Set the memory layout and shared batch statistics before Fabric wraps the layers.
    task.train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if fabric.world_size > 1:
        synchronize(task, fabric.device)
    adam = torch.optim.Adam(task.parameters(), lr=plan.lr, fused=True)
    model, optimizer = fabric.setup(task, adam)
    return _Learner(task, adam, _scheduler(adam, plan.schedule, steps), model, optimizer, fabric)


def _scheduler(adam: torch.optim.Adam, schedule: Schedule, steps: int) -> LRScheduler:
    """The learning rate of each of `steps` steps.

    constant; cosine: falls to 0 along half a cosine; cooldown: constant, then over the last quarter
    of the steps linearly to 0 (Hägele et al. 2024, arXiv:2405.18392). The paper names none.
    """
    if schedule == "cosine":
        return CosineAnnealingLR(adam, steps)
    if schedule == "cooldown":
        return LambdaLR(adam, lambda step: min(1.0, (steps - step) / (_COOLDOWN * steps)))
    return ConstantLR(adam, factor=1)


def _epoch(learner: _Learner, stream: Any, sizes: list[int], bar: Any) -> dict[str, float]:
    """One epoch: loss and mae. sizes: of the batches, over all processes."""
    fabric = learner.fabric
    sums = np.zeros(3)  # of this process: loss, error, number of faces
    for size in sizes:
        batch = _next(stream)
        losses, pyr_deg = learner.model(batch)
        finite = torch.isfinite(losses)
        if not finite.all():  # before the step: the weights are still good
            rows = batch["row"][~finite].tolist()
            raise NonFiniteLossError(losses[~finite][0].item(), rows)
        # The mean over the whole batch: Fabric averages the gradients of unequal shares.
        loss = losses.sum() * fabric.world_size / size
        fabric.backward(loss)
        learner.optimizer.step()
        learner.scheduler.step()
        learner.optimizer.zero_grad()
        errors = (pyr_deg.detach() - batch["pyr_deg"]).abs().mean(-1)
        sums += [float(losses.detach().sum()), float(errors.sum()), len(losses)]
        mean_loss, mae = sums[:2] / sums[2]
        bar.set_postfix(loss=f"{mean_loss:.3f}", mae=f"{mae:.2f}", refresh=False)
        bar.update()
    _check_finite(learner.model, batch)
    own = torch.from_numpy(sums).float().to(fabric.device)
    loss_sum, mae_sum, faces = fabric.all_reduce(own, reduce_op="sum").tolist()
    return {"loss": loss_sum / faces, "mae": mae_sum / faces}


def _check_finite(model: Any, batch: Batch) -> None:
    """Checks the network in evaluation mode: the last step may have made it diverge."""
    model.eval()
    with torch.no_grad():
        losses, _ = model.module(batch)
    model.train()
    if not torch.isfinite(losses).all():
        raise NonFiniteLossError(losses.sum().item(), batch["row"].tolist())


def _next(stream: Any) -> Batch:
    """The next batch. Strips the traceback that torch puts into the messages of loaders."""
    try:
        batch: Batch = next(stream)
    except InputError as error:
        raise InputError(str(error).rpartition("InputError: ")[2].strip()) from error
    return batch


def student_seed(run_seed: int) -> int:
    """The seed of all students of a run, so that they do not repeat the base network's draws.

    The base network uses the run's seed itself.
    """
    return int(np.random.SeedSequence([run_seed, *b"student"]).generate_state(1)[0])


def seeded(build: Callable[[], nn.Module], seed: int) -> Any:
    """A network whose random weights depend only on `seed`."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return build()
