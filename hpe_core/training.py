"""One training loop for the base network and the students.

What differs is the task, a module around the network: a batch → loss per example (N) and predicted
degrees (N, 3). A view is drawn from (seed, epoch, row), so results don't depend on the number of
worker processes. Several training processes share every batch: they see the same faces, the same
views and the same batch statistics as one process does, so results differ by rounding only.
"""

import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import lightning_fabric
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.lr_scheduler import ConstantLR, CosineAnnealingLR, LRScheduler
from torch.utils.data import DataLoader, Dataset, Sampler
from tqdm import tqdm

from hpe_core.augment import Photometric, pose_view
from hpe_core.batchnorm import synchronize
from hpe_core.bins import flip_probs
from hpe_core.cropping import CropSource
from hpe_core.errors import InputError, NonFiniteLossError
from hpe_core.losses import base_loss, distillation_loss
from hpe_core.networks import BaseNet, StudentNet, normalize

Batch = dict[str, Tensor]
Schedule = Literal["constant", "cosine"]
Row = tuple[int, int]  # epoch, row of the dataset


class TargetSource(Protocol):
    """A teacher of V views a face: `io.targets.Targets`, or arrays in a test.

    phi_deg (N, V): how far each view is turned, clockwise. An index (row, view) gives the
    probabilities of that view, (3, n_bins) float32.
    """

    phi_deg: NDArray[np.float32]

    def __getitem__(self, row_view: tuple[int, int], /) -> NDArray[np.float32]: ...


class Progress(Protocol):
    """Keeps the state of unfinished training: `io.work.Work`, or a dictionary in a test."""

    def load(self) -> dict[str, Any] | None: ...

    def save(self, state: dict[str, Any], kept: str, /) -> None: ...


@dataclass(frozen=True)
class Views:
    """How training views are drawn (paper, section 4.3). A teacher's views set their own turn."""

    size_hw: tuple[int, int]
    flip_p: float
    rotate_deg: float
    photometric_p: float
    blur_max_px: int
    seed: int


class TrainingFaces(Dataset[Batch]):
    """Augmented views of the chosen rows of a crop source.

    An item is asked for by (epoch, position) and holds `images` (h, w, 3) uint8, `pyr_deg` (3)
    float32, its `row` in the source and, where a teacher is given, `teacher_probs` (3, n_bins). A
    face is then turned as in one of the teacher's views, all of them equally often; where it is
    flipped, too, so are the probabilities.
    """

    def __init__(
        self,
        crops: CropSource,
        rows: NDArray[np.int64],
        views: Views,
        teacher: TargetSource | None = None,
    ) -> None:
        self.crops, self.rows, self.views, self.teacher = crops, rows, views, teacher
        self.photometric = Photometric(views.photometric_p, views.blur_max_px)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, item: Row) -> Batch:
        epoch, position = item
        views, row = self.views, int(self.rows[position])
        rng = np.random.default_rng([views.seed, epoch, position + 1])  # 0: the shuffle's
        flipped = bool(rng.random() < views.flip_p)
        if self.teacher is None:
            phi_deg = float(rng.uniform(-views.rotate_deg, views.rotate_deg))
        else:
            view = (epoch + position) % self.teacher.phi_deg.shape[1]
            phi_deg = float(self.teacher.phi_deg[row, view])
        window, pyr_deg = pose_view(
            self.crops[row], self.crops.pyr_deg[row], views.size_hw, phi_deg, flipped
        )
        batch = {
            "images": torch.from_numpy(np.ascontiguousarray(self.photometric(window, rng))),
            "pyr_deg": torch.from_numpy(pyr_deg.astype(np.float32)),
            "row": torch.tensor(row),
        }
        if self.teacher is not None:
            probs = torch.from_numpy(self.teacher[row, view])
            batch["teacher_probs"] = flip_probs(probs) if flipped else probs
        return batch


class EpochBatches(Sampler[list[Row]]):
    """Shuffled batches of (epoch, position), one epoch after the other through one iterator a run.

    As few batches an epoch as `batch` allows, their sizes equal to within one face, two faces at
    least (batch normalisation needs them). Of several processes (`world`), each takes its share of
    every batch.

    first: epoch to begin with, 0 or as many as are done; sizes: faces of each batch of an epoch,
    over all processes.
    """

    def __init__(
        self,
        n: int,
        batch: int,
        epochs: int,
        seed: int,
        rank: int = 0,
        world: int = 1,
        first: int = 0,
    ) -> None:
        if n < 2:
            raise InputError(f"training needs at least 2 faces, found {n}")
        self.n, self.epochs, self.first, self.seed = n, epochs, first, seed
        self.rank, self.world = rank, world
        batches = max(1, min(-(-n // batch), n // 2))
        self.sizes = [len(part) for part in np.array_split(np.arange(n), batches)]
        if min(self.sizes) < world:
            raise InputError(
                f"{world} processes cannot share batches of {min(self.sizes)} faces; start fewer "
                "processes or raise batch"
            )

    def __len__(self) -> int:
        return len(self.sizes) * (self.epochs - self.first)

    def __iter__(self) -> Iterator[list[Row]]:
        for epoch in range(self.first, self.epochs):
            order = np.random.default_rng([self.seed, epoch]).permutation(self.n)
            for part in np.array_split(order, len(self.sizes)):
                yield [(epoch, int(position)) for position in part[self.rank :: self.world]]


class BaseTask(nn.Module):
    """Stage one: a batch → formula (4), and the angles of the head with the smallest bins."""

    def __init__(self, network: BaseNet, label_std_deg: float = 0.0) -> None:
        super().__init__()
        self.network, self.label_std_deg = network, label_std_deg

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        logits, regression = self.network.all_heads(normalize(batch["images"]))
        logits = [head.float() for head in logits]
        labels = batch["pyr_deg"], self.network.specs, self.label_std_deg
        loss = base_loss(logits, regression, *labels)
        return loss, self.network.spec.expectation(logits[0].softmax(-1))


class DistillationTask(nn.Module):
    """Stage two: a batch with cached targets → formula (7), and the student's angles."""

    def __init__(
        self, network: StudentNet, label_weight: float, label_std_deg: float = 0.0
    ) -> None:
        super().__init__()
        self.network = network
        self.label_weight, self.label_std_deg = label_weight, label_std_deg

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        logits = self.network(normalize(batch["images"])).float()
        spec = self.network.spec
        labels = batch["pyr_deg"], spec, self.label_weight, self.label_std_deg
        loss = distillation_loss(logits, batch["teacher_probs"], *labels)
        return loss, spec.expectation(logits.softmax(-1))


def fit(
    task: nn.Module,
    faces: TrainingFaces,
    epochs: int,
    batch: int,
    lr: float,
    schedule: Schedule,
    seed: int,
    fabric: lightning_fabric.Fabric,
    workers: int,
    progress: Progress | None = None,
) -> list[dict[str, float]]:
    """Trains the network inside a task.

    Adam without weight decay (the paper names none), all epochs: the network is the one after the
    last epoch, never one picked by a test set. Its rate stays at `lr`, or falls from there to 0
    along half a cosine, a little with every batch.

    progress: where the state is kept after every epoch. Training goes on from what is there, and
    ends with the same bytes as if it had never stopped.

    Returns one row an epoch: epoch, loss, mae (degrees, on the augmented training views). Raises
    NonFiniteLossError, and the state kept last stays.
    """
    state = progress.load() if progress else None
    history: list[dict[str, float]] = state["history"] if state else []
    world = (fabric.global_rank, fabric.world_size)
    batches = EpochBatches(len(faces), batch, epochs, seed, *world, first=len(history))
    steps = epochs * len(batches.sizes)
    loader = DataLoader(
        faces,
        batch_sampler=batches,
        num_workers=workers,
        pin_memory=fabric.device.type == "cuda",
        worker_init_fn=_leave_stopping_to_the_main_process,
    )
    task.train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if fabric.world_size > 1:
        synchronize(task, fabric.device)
    adam = torch.optim.Adam(task.parameters(), lr=lr, fused=True)
    model, optimizer = fabric.setup(task, adam)
    rate = _rate(adam, schedule, steps)
    kept: dict[str, Any] = {"task": task, "adam": adam, "rate": rate}
    if state:
        for name, part in kept.items():
            part.load_state_dict(state[name])
    stream = iter(fabric.setup_dataloaders(loader, use_distributed_sampler=False))
    with tqdm(
        total=steps,
        initial=steps - len(batches),
        unit="batch",
        disable=not fabric.is_global_zero,
    ) as bar:
        for epoch in range(len(history), epochs):
            row = _epoch(model, optimizer, rate, stream, batches.sizes, fabric, bar)
            history.append({"epoch": epoch + 1, **row})
            if progress:
                states = {name: part.state_dict() for name, part in kept.items()}
                progress.save({"history": history, **states}, f"epoch {epoch + 1} of {epochs} is")
    return history


def _leave_stopping_to_the_main_process(number: int) -> None:
    """In a loader: Ctrl-C reaches it, too, and its thread that hands tensors over would print what
    it makes of a receiver that is gone. Errors of the faces take another way.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.excepthook = lambda *_: None


def _rate(adam: torch.optim.Adam, schedule: Schedule, steps: int) -> LRScheduler:
    if schedule == "cosine":
        return CosineAnnealingLR(adam, steps)
    return ConstantLR(adam, factor=1)


def _epoch(
    model: Any,
    optimizer: Any,
    rate: LRScheduler,
    stream: Any,
    sizes: list[int],
    fabric: Any,
    bar: Any,
) -> dict[str, float]:
    sums = np.zeros(3)  # loss, error, faces of this process
    for size in sizes:
        batch = _next(stream)
        losses, pyr_deg = model(batch)
        finite = torch.isfinite(losses)
        if not finite.all():
            lost = batch["row"][~finite].tolist()
            raise NonFiniteLossError(losses[~finite][0].item(), lost)
        # The batch's mean: gradients are averaged over processes, whose shares may be unequal.
        loss = losses.sum() * fabric.world_size / size
        fabric.backward(loss)
        optimizer.step()
        rate.step()
        optimizer.zero_grad()
        errors = (pyr_deg.detach() - batch["pyr_deg"]).abs().mean(-1)
        sums += [float(losses.detach().sum()), float(errors.sum()), len(losses)]
        mean_loss, mae = sums[:2] / sums[2]
        bar.set_postfix(loss=f"{mean_loss:.3f}", mae=f"{mae:.2f}", refresh=False)
        bar.update()
    _check_finite(model, batch)
    own = torch.from_numpy(sums).float().to(fabric.device)
    loss_sum, mae_sum, faces = fabric.all_reduce(own, reduce_op="sum").tolist()
    return {"loss": loss_sum / faces, "mae": mae_sum / faces}


def _check_finite(model: Any, batch: Batch) -> None:
    """The last step, too, may have been one too far. Looks at the network as it will be used."""
    model.eval()
    with torch.no_grad():
        losses, _ = model.module(batch)
    model.train()
    if not torch.isfinite(losses).all():
        raise NonFiniteLossError(losses.sum().item(), batch["row"].tolist())


def _next(stream: Any) -> Batch:
    """A loader's error arrives with the loader's traceback in its words: only the words matter."""
    try:
        batch: Batch = next(stream)
    except InputError as error:
        raise InputError(str(error).rpartition("InputError: ")[2].strip()) from error
    return batch


def student_seed(run_seed: int) -> int:
    """The seed of a run's students: their random stream is not their base network's.

    The base network has the run's seed itself; this one is derived from that and the word
    "student". All students of a run have the same: what differs between them is the backbone.
    """
    return int(np.random.SeedSequence([run_seed, *b"student"]).generate_state(1)[0])


def seeded(build: Callable[[], nn.Module], seed: int) -> Any:
    """A network whose random weights depend on `seed` alone."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return build()
