"""Predictions of a trained network over many crops, on whatever device there is."""

from collections.abc import Iterator

import lightning_fabric
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from hpe_core.ahead import read_ahead
from hpe_core.cropping import CropSource, Pixels, rotated_window
from hpe_core.ensemble import Windows, window_probs
from hpe_core.networks import Network, folded, predict_probs

_AHEAD = 2  # batches of crops read before they are needed


def each_window(
    network: Network,
    crops: CropSource,
    rows: NDArray[np.int64],
    windows: Windows,
    size_hw: tuple[int, int],
    fabric: lightning_fabric.Fabric,
    batch: int,
    phi_deg: NDArray[np.float32] | None = None,
) -> Iterator[Tensor]:
    """Probabilities of every window of the chosen rows, in their order.

    phi_deg (as many as rows): how far each face is turned beforehand, clockwise; None: not at all.
    A turned face's probabilities are those of the turned face.
    Yields (faces, S, 3, n_bins) float32 on the device; a progress bar counts faces.
    """
    # Not by Fabric's set-up: there, processes wait for those that have nothing left to compute.
    model = folded(network).to(fabric.device)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def predict(images: Tensor) -> Tensor:
        with fabric.autocast():
            return predict_probs(model, images)

    turns_deg = np.zeros(len(rows)) if phi_deg is None else phi_deg
    with tqdm(total=len(rows), unit="face", disable=not fabric.is_global_zero) as bar:
        for some in _windows_ahead(crops, rows, turns_deg, windows, size_hw, batch):
            with torch.inference_mode():
                moved = some.to(fabric.device)
                yield from window_probs(predict, moved, windows, size_hw, network.spec, batch)
            bar.update(len(some))


def _windows_ahead(
    crops: CropSource,
    rows: NDArray[np.int64],
    phi_deg: NDArray[np.floating],
    windows: Windows,
    size_hw: tuple[int, int],
    batch: int,
) -> Iterator[Tensor]:
    """uint8 (faces, T, h + 2K, w + 2K, 3), read by threads while the network is at work.

    Not by processes: after a fork, each page that the network writes to would be copied first.
    """
    enlarged_hw = (size_hw[0] + 2 * windows.reach, size_hw[1] + 2 * windows.reach)

    def turned(row: int, phi_deg: float) -> Pixels:
        crop = crops[row]
        every = [rotated_window(crop, enlarged_hw, phi_deg + t) for t in windows.turns_deg]
        return np.stack(every)

    def read(some: slice) -> Tensor:
        faces = zip(rows[some].tolist(), phi_deg[some].tolist(), strict=True)
        return torch.from_numpy(np.stack([turned(*face) for face in faces]))

    step = max(1, batch // len(windows))
    batches = (slice(start, start + step) for start in range(0, len(rows), step))
    return read_ahead(read, batches, _AHEAD, _AHEAD)
