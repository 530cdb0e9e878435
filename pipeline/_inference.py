"""Running a network over a crops file on the machine at hand."""

from collections.abc import Iterator
from pathlib import Path

import lightning_fabric
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hpe_core.boxes import offset_grid
from hpe_core.cropping import CropSource
from hpe_core.ensemble import Windows
from hpe_core.errors import InputError
from hpe_core.inference import each_window
from hpe_core.io.crops import Crops
from hpe_core.networks import Network
from hpe_core.params.learning import Ensemble
from hpe_core.params.machine import Compute


def sampled_rows(count: int, max_faces: int | None, seed: int) -> NDArray[np.int64]:
    """The rows of at most `max_faces` of `count` faces, ascending; None takes all."""
    rows = np.arange(count)
    if max_faces is None or max_faces >= count:
        return rows
    return np.sort(np.random.default_rng(seed).choice(rows, max_faces, replace=False))


def windows_of(ensemble: Ensemble) -> Windows:
    return Windows(offset_grid(ensemble.K, ensemble.d), tuple(ensemble.turns_deg), ensemble.flip)


def faces_a_batch(windows: Windows, compute: Compute) -> int:
    """How many faces `each_window` computes together."""
    return max(1, compute.infer_batch // len(windows))


def window_probs_of(
    network: Network,
    crops: Crops,
    rows: NDArray[np.int64],
    windows: Windows,
    fabric: lightning_fabric.Fabric,
    compute: Compute,
    phi_deg: NDArray[np.float32] | None = None,
    views: CropSource | None = None,
) -> Iterator[Tensor]:
    """`each_window` at the crops' own input size.

    views: of the crops, jittered; the rows are then theirs. Raises InputError for offsets past the
    margin.
    """
    if windows.reach > crops.format.margin:
        raise InputError(
            f"{crops.path}: its margin is {crops.format.margin} pixels, but K = {windows.reach} is "
            "asked for; raise crop.margin"
        )
    every = each_window(
        network,
        views or crops,
        rows,
        windows,
        crops.format.size_hw,
        fabric,
        compute.infer_batch,
        phi_deg,
    )
    return (_finite(probs, crops.path) for probs in every)


def _finite(probs: Tensor, crops: Path) -> Tensor:
    if not torch.isfinite(probs).all():
        raise InputError(
            f"{crops}: a network answers with something else than probabilities: it is damaged by "
            "its training; train it again with a lower learning rate"
        )
    return probs
