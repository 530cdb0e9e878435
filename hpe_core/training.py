"""One training loop for the base network and the students.

What differs is the task, a module around the network: a batch → loss per example (N) and predicted
degrees (N, 3). A view is drawn from (seed, epoch, row), so results don't depend on the number of
worker processes.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import lightning_fabric
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Sampler
from tqdm import tqdm

from hpe_core.augment import Photometric, pose_view
from hpe_core.bins import flip_probs
from hpe_core.cropping import CropSource
from hpe_core.errors import InputError
from hpe_core.losses import base_loss, distillation_loss
from hpe_core.networks import BaseNet, StudentNet, normalize

Batch = dict[str, Tensor]
Row = tuple[int, int]  # epoch, row of the dataset


@dataclass(frozen=True)
class Views:
    """How training views are drawn (paper, section 4.3)."""

    size_hw: tuple[int, int]
    flip_p: float
    rotate_deg: float
    photometric_p: float
    blur_max_px: int
    seed: int


class TrainingFaces(Dataset[Batch]):
    """Augmented views of the chosen rows of a crop source.

    An item is asked for by (epoch, position) and holds `images` (h, w, 3) uint8, `pyr_deg` (3)
    float32 and, where teacher probabilities (N, 3, n_bins) are given in the order of `rows`,
    `teacher_probs` (3, n_bins): those of the flipped face where the view is flipped.
    """

    def __init__(
        self,
        crops: CropSource,
        rows: NDArray[np.int64],
        views: Views,
        teacher_probs: NDArray[np.float32] | None = None,
    ) -> None:
        self.crops, self.rows, self.views = crops, rows, views
        self.teacher_probs = teacher_probs
        self.photometric = Photometric(views.photometric_p, views.blur_max_px)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, item: Row) -> Batch:
        epoch, position = item
        views, row = self.views, int(self.rows[position])
        rng = np.random.default_rng([views.seed, epoch, position + 1])  # 0: the shuffle's
        window, pyr_deg, flipped = pose_view(
            self.crops[row],
            self.crops.pyr_deg[row],
            views.size_hw,
            views.flip_p,
            views.rotate_deg,
            rng,
        )
        batch = {
            "images": torch.from_numpy(np.ascontiguousarray(self.photometric(window, rng))),
            "pyr_deg": torch.from_numpy(pyr_deg.astype(np.float32)),
        }
        if self.teacher_probs is not None:
            probs = torch.from_numpy(self.teacher_probs[position])
            batch["teacher_probs"] = flip_probs(probs) if flipped else probs
        return batch


class EpochBatches(Sampler[list[Row]]):
    """Shuffled batches of (epoch, position), one epoch after the other through one iterator a run.

    The last batch of an epoch is kept, whatever its size, unless a single face is left: batch
    normalisation needs two, so that face joins the batch before.
    """

    def __init__(self, n: int, batch: int, epochs: int, seed: int) -> None:
        if n < 2:
            raise InputError(f"training needs at least 2 faces, found {n}")
        self.n, self.batch, self.epochs, self.seed = n, batch, epochs, seed
        self.per_epoch = max(1, n // batch + (n % batch > 1))

    def __len__(self) -> int:
        return self.per_epoch * self.epochs

    def __iter__(self) -> Iterator[list[Row]]:
        for epoch in range(self.epochs):
            order = np.random.default_rng([self.seed, epoch]).permutation(self.n)
            starts = [i * self.batch for i in range(1, self.per_epoch)]
            for part in np.split(order, starts):
                yield [(epoch, int(position)) for position in part]


class BaseTask(nn.Module):
    """Stage one: a batch → formula (4), and the angles of the head with the smallest bins."""

    def __init__(self, network: BaseNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        logits, regression = self.network.all_heads(normalize(batch["images"]))
        logits = [head.float() for head in logits]
        loss = base_loss(logits, regression, batch["pyr_deg"], self.network.specs)
        return loss, self.network.spec.expectation(logits[0].softmax(-1))


class DistillationTask(nn.Module):
    """Stage two: a batch with cached targets → formula (7), and the student's angles."""

    def __init__(self, network: StudentNet, label_weight: float) -> None:
        super().__init__()
        self.network, self.label_weight = network, label_weight

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        logits = self.network(normalize(batch["images"])).float()
        spec = self.network.spec
        loss = distillation_loss(
            logits, batch["teacher_probs"], batch["pyr_deg"], spec, self.label_weight
        )
        return loss, spec.expectation(logits.softmax(-1))


def fit(
    task: nn.Module,
    faces: TrainingFaces,
    epochs: int,
    batch: int,
    lr: float,
    seed: int,
    fabric: lightning_fabric.Fabric,
    workers: int,
) -> list[dict[str, float]]:
    """Trains the network inside a task.

    Adam at a constant rate, no weight decay (the paper names neither), all epochs: the network
    is the one after the last epoch, never one picked by a test set.

    Returns one row an epoch: epoch, loss, mae (degrees, on the augmented training views).
    """
    batches = EpochBatches(len(faces), batch, epochs, seed)
    loader = DataLoader(
        faces,
        batch_sampler=batches,
        num_workers=workers,
        pin_memory=fabric.device.type == "cuda",
    )
    task.train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    model, optimizer = fabric.setup(task, torch.optim.Adam(task.parameters(), lr=lr, fused=True))
    stream = iter(fabric.setup_dataloaders(loader, use_distributed_sampler=False))
    history = []
    with tqdm(total=len(batches), unit="batch") as bar:
        for epoch in range(epochs):
            row = _epoch(model, optimizer, stream, batches.per_epoch, fabric, bar)
            history.append({"epoch": epoch + 1, **row})
    return history


def _epoch(
    model: Any, optimizer: Any, stream: Any, n_batches: int, fabric: Any, bar: Any
) -> dict[str, float]:
    loss_sum = mae_sum = 0.0
    faces = 0
    for _ in range(n_batches):
        batch = next(stream)
        losses, pyr_deg = model(batch)
        loss = losses.mean()
        if not torch.isfinite(loss):
            raise InputError(
                f"the loss is {loss.item()} after {faces} faces of an epoch; expected a finite "
                "one: is the learning rate too high?"
            )
        fabric.backward(loss)
        optimizer.step()
        optimizer.zero_grad()
        faces += len(losses)
        loss_sum += float(losses.detach().sum())
        mae_sum += float((pyr_deg.detach() - batch["pyr_deg"]).abs().mean(-1).sum())
        bar.set_postfix(loss=f"{loss_sum / faces:.3f}", mae=f"{mae_sum / faces:.2f}", refresh=False)
        bar.update()
    return {"loss": loss_sum / faces, "mae": mae_sum / faces}


def seeded(build: Callable[[], nn.Module], seed: int) -> Any:
    """A network whose random weights depend on `seed` alone."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return build()
