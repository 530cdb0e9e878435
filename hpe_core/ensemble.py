"""The offset ensemble: windows of one enlarged crop, averaged (paper, section 3.3).

A crop is h + 2m by w + 2m pixels, the face box at network resolution with a margin m on every
side. The box of formula (5), moved by (dx, dy) network pixels, is then a slice of the crop: no
image is decoded, cropped or resized again.

Beyond the paper, the mirrored face may be averaged too, its distributions mirrored back.

The expectation (2) is linear, so the ensemble's angle is the mean of its windows' angles. One pass
over every offset within ±K_max therefore gives the ensembles for all K and d.
"""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hpe_core.bins import BinSpec, flip_probs
from hpe_core.boxes import offset_grid
from hpe_core.networks import normalize

Offsets = NDArray[np.int64]


def windows(crops: Tensor, offsets: Offsets, size_hw: tuple[int, int]) -> Tensor:
    """The shifted windows of every crop.

    crops (N, 3, h + 2m, w + 2m), offsets (S, 2) as (dx, dy) in pixels, |dx|, |dy| ≤ m,
    size_hw = (h, w). Returns (N·S, 3, h, w), channels last, all offsets of the first crop first.
    """
    h, w = size_hw
    top, left = (crops.shape[-2] - h) // 2, (crops.shape[-1] - w) // 2
    reach = int(np.abs(offsets).max(initial=0))
    if reach > min(top, left):
        raise ValueError(f"offsets reach {reach} px, but the crops' margin is {min(top, left)} px")
    pixels = crops.permute(0, 2, 3, 1)  # as they lie in memory: whole rows are copied
    slices = [
        pixels[:, top + dy : top + dy + h, left + dx : left + dx + w] for dx, dy in offsets.tolist()
    ]
    return torch.stack(slices, dim=1).flatten(0, 1).permute(0, 3, 1, 2)


def window_probs(
    predict: Callable[[Tensor], Tensor],
    crops: Tensor,
    offsets: Offsets,
    size_hw: tuple[int, int],
    batch: int,
    flip: bool = False,
) -> Iterator[Tensor]:
    """Probabilities of every window, a few faces at a time.

    predict: normalised images (B, 3, h, w) → probabilities (B, 3, n_bins); crops: uint8
    (N, h + 2m, w + 2m, 3); batch: at most so many windows at a time, of one or several faces;
    flip: the mirrored face's windows follow, their distributions mirrored back.
    Yields (faces, S, 3, n_bins) in the order of the crops, S the number of offsets or, with flip,
    twice that. One face's offsets are split over several batches where they are more than `batch`.
    """
    parts = np.array_split(offsets, -(-len(offsets) // batch))
    for some in crops.split(max(1, batch // len(offsets))):
        images = normalize(some)
        probs = [_of_parts(predict, images, parts, size_hw)]
        if flip:
            probs.append(flip_probs(_of_parts(predict, images.flip(-1), parts, size_hw)))
        yield torch.cat(probs, dim=1)


def _of_parts(
    predict: Callable[[Tensor], Tensor],
    images: Tensor,
    parts: list[Offsets],
    size_hw: tuple[int, int],
) -> Tensor:
    """Probabilities (N, S, 3, n_bins), so many offsets at a time as a part has."""
    probs = [
        predict(windows(images, part, size_hw)).unflatten(0, (len(images), len(part)))
        for part in parts
    ]
    return torch.cat(probs, dim=1)


def average(probs: Tensor, spec: BinSpec) -> tuple[Tensor, Tensor, Tensor]:
    """Formula (6): the mean of the windows' softmaxes, with its angles and their spread.

    probs (N, S, 3, n_bins). Returns mean probabilities (N, 3, n_bins), the ensemble's prediction
    (N, 3) degrees, and the standard deviation of the windows' predictions (N, 3) degrees (0 for
    S = 1).
    """
    mean = probs.mean(1)
    angles = spec.expectation(probs)
    return mean, spec.expectation(mean), angles.std(1, correction=0)


def view_turns(faces: int, views: int, rotate_deg: float, seed: int) -> NDArray[np.float32]:
    """How far each of a face's views is turned: (faces, views) degrees, clockwise on screen.

    The first view is upright, as the paper's only one; the others are uniform within ±rotate_deg.
    """
    rng = np.random.default_rng(np.random.SeedSequence([seed, *b"views"]))
    phi_deg = rng.uniform(-rotate_deg, rotate_deg, (faces, views)).astype(np.float32)
    phi_deg[:, 0] = 0
    return phi_deg


def cell_members(offsets: Offsets, radius: int, step: int) -> NDArray[np.int64]:
    """Which rows of a complete grid of offsets form the ensemble of K = radius, d = step.

    offsets (L, 2): every integer offset within ±K_max. Returns S row numbers.
    """
    row_of = {tuple(offset): row for row, offset in enumerate(offsets.tolist())}
    return np.array([row_of[tuple(o)] for o in offset_grid(radius, step).tolist()])
