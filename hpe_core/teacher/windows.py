"""Runs a trained network on windows of many crops."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import lightning_fabric
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from hpe_core.common.errors import InputError
from hpe_core.crops.store import Crops
from hpe_core.crops.window import CropSource, Pixels, rotated_window
from hpe_core.networks.model import Network, folded, predict_probs
from hpe_core.teacher.ensemble import Windows, window_probs
from hpe_core.teacher.offsets import offset_grid
from hpe_core.teacher.settings import Ensemble
from hpe_core.teacher.targets import TargetsOrigin
from hpe_core.work.prefetch import read_ahead
from hpe_core.work.resume import Work
from hpe_core.work.shards import Arrays, in_shards

_AHEAD = 2  # batches of crops to prefetch


@dataclass(frozen=True)
class Runner:
    """A network, its device, and the largest number of windows per forward pass."""

    network: Network
    fabric: lightning_fabric.Fabric
    batch: int

    def faces_per_batch(self, windows: Windows) -> int:
        return max(1, self.batch // len(windows))


@dataclass(frozen=True)
class Shown:
    """What a network is shown: the same windows of some rows of the crops.

    phi_deg (one per row): rotates each face first, clockwise; None: no rotation. jittered: views of
    the crops with jittered boxes; the rows are then rows of these.
    """

    crops: Crops
    rows: NDArray[np.int64]
    windows: Windows
    phi_deg: NDArray[np.float32] | None = None
    jittered: CropSource | None = None

    def part(self, places: NDArray[np.int64]) -> "Shown":
        """Only the rows at these places."""
        phi_deg = None if self.phi_deg is None else self.phi_deg[places]
        return replace(self, rows=self.rows[places], phi_deg=phi_deg)


def windows_of(grid: Ensemble | TargetsOrigin) -> Windows:
    """The windows of the section `ensemble`, or those that targets were computed from."""
    return Windows(offset_grid(grid.K, grid.d), tuple(grid.rotations_deg), grid.flip)


def sampled_rows(count: int, max_faces: int | None, seed: int) -> NDArray[np.int64]:
    """A random sample of at most `max_faces` of `count` rows, ascending; None takes all."""
    rows = np.arange(count)
    if max_faces is None or max_faces >= count:
        return rows
    return np.sort(np.random.default_rng(seed).choice(rows, max_faces, replace=False))


def each_window(
    runner: Runner,
    crops: CropSource,
    rows: NDArray[np.int64],
    windows: Windows,
    size_hw: tuple[int, int],
    phi_deg: NDArray[np.float32] | None = None,
) -> Iterator[Tensor]:
    """Probabilities of every window of the rows, in their order; shows a progress bar.

    phi_deg: as in `Shown`; the probabilities are then those of the rotated face. Yields
    (faces, S, 3, n_bins) float32 on the device.
    """
    fabric, network = runner.fabric, runner.network
    # Not with fabric.setup: its processes would wait for those that have nothing left to do.
    model = folded(network).to(fabric.device)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def predict(images: Tensor) -> Tensor:
        with fabric.autocast():
            return predict_probs(model, images)

    angles_deg = np.zeros(len(rows)) if phi_deg is None else phi_deg
    step = runner.faces_per_batch(windows)
    starts = range(0, len(rows), step)
    faces = [(rows[i : i + step], angles_deg[i : i + step]) for i in starts]
    with tqdm(total=len(rows), unit="face", disable=not fabric.is_global_zero) as bar:
        for images in _read_rotated(crops, faces, windows, size_hw):
            with torch.inference_mode():
                on_device, batch = images.to(fabric.device), runner.batch
                yield from window_probs(predict, on_device, windows, size_hw, network.spec, batch)
            bar.update(len(images))


def _read_rotated(
    crops: CropSource,
    batches: list[tuple[NDArray[np.int64], NDArray[np.floating]]],
    windows: Windows,
    size_hw: tuple[int, int],
) -> Iterator[Tensor]:
    """For each batch of rows and angles, uint8 (faces, T, h + 2r, w + 2r, 3), read by threads.

    r: what the shifted windows reach.

    Not by processes: after a fork, every memory page that the network writes to would be copied.
    """
    reach = windows.reach(size_hw)
    enlarged_hw = (size_hw[0] + 2 * reach, size_hw[1] + 2 * reach)

    def rotated(row: int, phi_deg: float) -> Pixels:
        crop, angles_deg = crops[row], [phi_deg + extra for extra in windows.rotations_deg]
        return np.stack([rotated_window(crop, enlarged_hw, angle) for angle in angles_deg])

    def read(batch: tuple[NDArray[np.int64], NDArray[np.floating]]) -> Tensor:
        rows, phi_deg = batch
        faces = zip(rows.tolist(), phi_deg.tolist(), strict=True)
        return torch.from_numpy(np.stack([rotated(row, angle) for row, angle in faces]))

    return read_ahead(read, batches, _AHEAD, _AHEAD)


def window_probs_of(runner: Runner, shown: Shown) -> Iterator[Tensor]:
    """`each_window` at the crops' input size.

    Raises InputError if offsets exceed the margin, or if a probability is not finite.
    """
    crops, size_hw = shown.crops, shown.crops.format.size_hw
    reach = shown.windows.reach(size_hw)
    if reach > crops.format.margin:
        raise InputError(
            f"{crops.path}: its margin is {crops.format.margin} pixels, but the offsets need "
            f"{reach}; raise crop.margin, or remove it: then it is as large as needed"
        )
    source = shown.jittered or crops
    for probs in each_window(runner, source, shown.rows, shown.windows, size_hw, shown.phi_deg):
        if not torch.isfinite(probs).all():
            raise InputError(
                f"{crops.path}: a network's probabilities are not finite: its training diverged; "
                "train it again with a lower learning rate"
            )
        yield probs


def kept_in_shards(
    runner: Runner,
    shown: Shown,
    read: Callable[[Tensor], tuple[Tensor, ...]],
    work: Work,
    name: str = "all",
) -> Iterator[Arrays]:
    """Applies `read` to the windows' probabilities and saves the results in shards (`in_shards`).

    read: probabilities (faces, S, 3, n_bins) → tensors with one row per face.
    """

    def computed(places: NDArray[np.int64]) -> Iterator[Arrays]:
        for probs in window_probs_of(runner, shown.part(places)):
            yield tuple(part.cpu().numpy() for part in read(probs))

    batch = runner.faces_per_batch(shown.windows)
    return in_shards(work, len(shown.rows), batch, computed, runner.fabric, name)
