"""Training data: batches of augmented views of cached crops, with labels and cached targets."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from hpe_core.common.errors import InputError
from hpe_core.crops.window import CropSource
from hpe_core.networks.bins import flip_probs
from hpe_core.training.augment import CropView, Photometric, pose_view

Batch = dict[str, Tensor]
ViewIndex = tuple[int, int]  # epoch, position among the rows


class TargetSource(Protocol):
    """A teacher's targets for V views per face, e.g. `teacher.targets.Targets`.

    An index (row, view) gives the view's probabilities, (3, n_bins) float32.
    """

    def __getitem__(self, row_view: tuple[int, int], /) -> NDArray[np.float32]: ...


@dataclass(frozen=True)
class Views:
    """How to augment training faces (paper, section 4.3).

    max_shift, max_scale: of boxes, which the paper does not move (`CropView`): uniform within
    ±max_shift in x and y, and log-uniform from 1/max_scale to max_scale; 0 and 1 leave them.
    """

    size_hw: tuple[int, int]
    flip_p: float
    rotate_deg: float
    max_shift: float
    max_scale: float
    photometric_p: float
    blur_max_px: int
    seed: int


class TrainingFaces(Dataset[Batch]):
    """Augmented views of some rows of a crop source.

    phi_deg (N, V): fixed in-plane rotations of every face of the source, clockwise, one per view;
    None: one upright view. Each view is used equally often, rotated further within
    ±views.rotate_deg, and flipped or not. teacher: its targets for the same views.

    The item at (epoch, position) has `images` (h, w, 3) uint8, `pyr_deg` (3) float32, the label of
    what is seen, its `row` in the source and, with a teacher, `teacher_probs` (3, n_bins): those of
    the fixed view, flipped where the face is.
    """

    def __init__(
        self,
        crops: CropSource,
        rows: NDArray[np.int64],
        views: Views,
        phi_deg: NDArray[np.float32] | None = None,
        teacher: TargetSource | None = None,
    ) -> None:
        self.crops, self.rows, self.views, self.teacher = crops, rows, views, teacher
        self.phi_deg = np.zeros((int(rows.max()) + 1, 1), "f4") if phi_deg is None else phi_deg
        self.photometric = Photometric(views.size_hw, views.photometric_p, views.blur_max_px)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, item: ViewIndex) -> Batch:
        epoch, position = item
        row, size_hw = int(self.rows[position]), self.views.size_hw
        seed = self.views.seed
        rng = np.random.default_rng([seed, epoch, position + 1])  # 0 would be the shuffle's
        view = (epoch + position) % self.phi_deg.shape[1]
        placed = _drawn(self.views, float(self.phi_deg[row, view]), rng)
        window, pyr_deg = pose_view(self.crops[row], self.crops.pyr_deg[row], size_hw, placed)
        batch = {
            "images": torch.from_numpy(np.ascontiguousarray(self.photometric(window, rng))),
            "pyr_deg": torch.from_numpy(pyr_deg.astype(np.float32)),
            "row": torch.tensor(row),
        }
        if self.teacher is not None:
            probs = torch.from_numpy(self.teacher[row, view])
            batch["teacher_probs"] = flip_probs(probs) if placed.flipped else probs
        return batch


def _drawn(views: Views, phi_deg: float, rng: np.random.Generator) -> CropView:
    """phi_deg: of the fixed view. Boxes that stay draw no numbers."""
    flipped = bool(rng.random() < views.flip_p)
    phi_deg = phi_deg + float(rng.uniform(-1, 1)) * views.rotate_deg
    if views.max_shift == 0 and views.max_scale == 1:
        return CropView(phi_deg, flipped)
    right, down, larger = rng.uniform(-1, 1, 3).tolist()
    height, width = views.size_hw
    shift_px = (right * views.max_shift * width, down * views.max_shift * height)
    return CropView(phi_deg, flipped, shift_px, views.max_scale**larger)


class EpochBatches(Sampler[list[ViewIndex]]):
    """Shuffled batches of (epoch, position), for all remaining epochs of a run.

    Each epoch has as few batches as `batch` allows. Their sizes differ by at most one face, and
    are at least 2 (for batch normalisation).

    share: (rank, world) of this process, which takes its part of every batch; first: the epoch to
    start with. `sizes`: of an epoch's batches, over all processes. Raises InputError for fewer than
    2 faces, or more processes than faces in a batch.
    """

    def __init__(
        self,
        n: int,
        batch: int,
        epochs: int,
        seed: int,
        share: tuple[int, int] = (0, 1),
        first: int = 0,
    ) -> None:
        if n < 2:
            raise InputError(f"training needs at least 2 faces, found {n}")
        self.n, self.epochs, self.first, self.seed = n, epochs, first, seed
        self.rank, self.world = share
        batches = max(1, min(-(-n // batch), n // 2))
        self.sizes = [len(part) for part in np.array_split(np.arange(n), batches)]
        if min(self.sizes) < self.world:
            raise InputError(
                f"{self.world} processes cannot share batches of {min(self.sizes)} faces; start "
                "fewer processes or raise batch"
            )

    def __len__(self) -> int:
        return len(self.sizes) * (self.epochs - self.first)

    def __iter__(self) -> Iterator[list[ViewIndex]]:
        for epoch in range(self.first, self.epochs):
            order = np.random.default_rng([self.seed, epoch]).permutation(self.n)
            for part in np.array_split(order, len(self.sizes)):
                yield [(epoch, int(position)) for position in part[self.rank :: self.world]]
