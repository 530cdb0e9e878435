"""Predictions of a trained network over many crops, on whatever device there is."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import lightning_fabric
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from hpe_core.cropping import CropSource
from hpe_core.ensemble import Offsets, window_probs
from hpe_core.networks import Network, folded, predict_probs

_AHEAD = 2  # batches of crops read before they are needed


def each_window(
    network: Network,
    crops: CropSource,
    rows: NDArray[np.int64],
    offsets: Offsets,
    size_hw: tuple[int, int],
    fabric: lightning_fabric.Fabric,
    batch: int,
    flip: bool = False,
) -> Iterator[Tensor]:
    """Probabilities of every offset window of the chosen rows, in their order.

    flip: of the mirrored face's windows, too (`window_probs`).
    Yields (faces, S, 3, n_bins) float32 on the device; a progress bar counts faces.
    """
    model = fabric.setup_module(
        folded(network).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    )
    predict: Callable[[Tensor], Tensor] = lambda images: predict_probs(model, images)  # noqa: E731
    faces = max(1, batch // len(offsets))
    with tqdm(total=len(rows), unit="face", disable=not fabric.is_global_zero) as bar:
        for some in _read_ahead(crops, rows, faces):
            with torch.inference_mode():
                moved = some.to(fabric.device)
                yield from window_probs(predict, moved, offsets, size_hw, batch, flip)
            bar.update(len(some))


def _read_ahead(crops: CropSource, rows: NDArray[np.int64], batch: int) -> Iterator[Tensor]:
    """uint8 (faces, h + 2m, w + 2m, 3), read by threads while the network is at work.

    Not by processes: after a fork, each page that the network writes to would be copied first.
    """

    def read(some: NDArray[np.int64]) -> Tensor:
        return torch.from_numpy(np.stack([crops[int(row)] for row in some]))

    waiting: deque[Future[Tensor]] = deque()
    with ThreadPoolExecutor(_AHEAD) as pool:
        for start in range(0, len(rows), batch):
            waiting.append(pool.submit(read, rows[start : start + batch]))
            if len(waiting) > _AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
