"""Predictions of a trained network over many crops, on whatever device there is."""

from collections.abc import Callable, Iterator

import lightning_fabric
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from hpe_core.cropping import CropSource
from hpe_core.ensemble import Offsets, window_probs
from hpe_core.networks import Network, folded, predict_probs


class _Rows(Dataset[Tensor]):
    def __init__(self, crops: CropSource, rows: NDArray[np.int64]) -> None:
        self.crops, self.rows = crops, rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, position: int) -> Tensor:
        return torch.from_numpy(self.crops[int(self.rows[position])].copy())


def each_window(
    network: Network,
    crops: CropSource,
    rows: NDArray[np.int64],
    offsets: Offsets,
    size_hw: tuple[int, int],
    fabric: lightning_fabric.Fabric,
    batch: int,
    workers: int,
) -> Iterator[Tensor]:
    """Probabilities of every offset window of the chosen rows, in their order.

    Yields (faces, S, 3, n_bins) float32 on the device; a progress bar counts faces.
    """
    loader = DataLoader(
        _Rows(crops, rows),
        batch_size=max(1, batch // len(offsets)),
        num_workers=workers,
    )
    model = fabric.setup_module(
        folded(network).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    )
    predict: Callable[[Tensor], Tensor] = lambda images: predict_probs(model, images)  # noqa: E731
    with tqdm(total=len(rows), unit="face", disable=not fabric.is_global_zero) as bar:
        for some in loader:
            with torch.inference_mode():
                moved = some.to(fabric.device)
                yield from window_probs(predict, moved, offsets, size_hw, batch)
            bar.update(len(some))
