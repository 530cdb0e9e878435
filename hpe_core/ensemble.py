"""The offset ensemble: windows of one enlarged crop, averaged (paper, section 3.3).

A crop is h + 2m by w + 2m pixels, the face box at network resolution with a margin m on every
side. The box of formula (5), moved by (dx, dy) network pixels, is then a slice of the crop: no
image is decoded, cropped or resized again.

Beyond the paper, the face may be turned and mirrored too, its distributions turned and mirrored
back: one network, many looks (docs/experiments.md).

The expectation (2) is linear, so the ensemble's angle is the mean of its windows' angles. One pass
over every offset within ±K_max therefore gives the ensembles for all K and d.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hpe_core.bins import BinSpec, flip_probs, shift_probs
from hpe_core.boxes import offset_grid, turned_reach
from hpe_core.geometry import rotate_pyr
from hpe_core.networks import normalize

Offsets = NDArray[np.int64]


@dataclass(frozen=True)
class Windows:
    """Which windows of a face are averaged: every offset of every turn, and their mirror images.

    offsets (L, 2): (dx, dy) in network pixels, formula (5); turns_deg: of the face, clockwise about
    the box centre; flip: of the mirrored face, too. The paper has offsets alone.
    """

    offsets: Offsets
    turns_deg: tuple[float, ...] = (0.0,)
    flip: bool = False

    def __len__(self) -> int:
        """S: how many windows a face has."""
        return len(self.offsets) * len(self.turns_deg) * (1 + self.flip)

    @property
    def reach(self) -> int:
        """The largest offset, network pixels."""
        return int(np.abs(self.offsets).max(initial=0))

    def margin(self, size_hw: tuple[int, int]) -> int:
        """Pixels around the h x w window that its turned and shifted ones show."""
        return turned_reach(max(size_hw), self.reach, self.turns_deg)


CENTRE = Windows(offset_grid(0, 1))  # one prediction, as networks are used alone


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
    windows_of_face: Windows,
    size_hw: tuple[int, int],
    spec: BinSpec,
    batch: int,
) -> Iterator[Tensor]:
    """Probabilities of every window, a few faces at a time.

    predict: normalised images (B, 3, h, w) → probabilities (B, 3, n_bins) of `spec`; crops: uint8
    (N, T, h + 2m, w + 2m, 3), each face in every turn; batch: at most so many windows at a time, of
    one or several faces.
    Yields (faces, S, 3, n_bins), all as of the upright, unmirrored face, in the order of the crops;
    turn by turn: the offsets, then those of the mirrored face. One face's offsets are split over
    several batches where they are more than `batch`.
    """
    offsets = windows_of_face.offsets
    parts = np.array_split(offsets, -(-len(offsets) // batch))
    for some in crops.split(max(1, batch // len(offsets))):
        probs = []
        for turn_deg, turned in zip(windows_of_face.turns_deg, some.unbind(1), strict=True):
            images = normalize(turned)
            sides = [_of_parts(predict, images, parts, size_hw)]
            if windows_of_face.flip:
                sides.append(flip_probs(_of_parts(predict, images.flip(-1), parts, size_hw)))
            probs += [turn_probs(side, -turn_deg, spec) for side in sides]
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


def turn_probs(probs: Tensor, phi_deg: float, spec: BinSpec) -> Tensor:
    """The distributions after the image is turned by phi clockwise: (... x 3 x n_bins) → the same.

    Each angle's distribution moves by as much as its expectation does, which is exact for the
    expected angles, not for the distributions' shape.
    """
    if phi_deg == 0:
        return probs
    pyr_deg = spec.expectation(probs).double().cpu().numpy()
    change = torch.from_numpy(rotate_pyr(pyr_deg, phi_deg) - pyr_deg)
    return shift_probs(probs, change.to(probs), spec)


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
