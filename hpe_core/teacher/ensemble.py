"""The offset ensemble: averages over windows of one enlarged crop (paper, section 3.3).

A crop has h + 2m by w + 2m pixels: the face box at network resolution, with a margin m on every
side. So the shifted boxes of formula (5) are windows of the crop, and each image is decoded and
resized only once. Offsets count pixels of a 224-pixel input: there a window is a slice, at other
sizes it is resampled at a fraction of a pixel. Beyond the paper, faces may also be rotated and
flipped, and the predicted distributions mapped back (docs/experiments.md).

The expectation (2) is linear, so the ensemble's angle is the mean of its windows' angles. One pass
over all offsets within ±K_max therefore gives the ensembles for all K and d.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hpe_core.common.geometry import rotate_pyr
from hpe_core.crops.shifts import shift_filters
from hpe_core.networks.bins import BinSpec, flip_probs, shift_probs
from hpe_core.networks.model import normalize
from hpe_core.teacher.offsets import Offsets, offset_grid, reach_px, rotated_reach, shifts_px


@dataclass(frozen=True)
class Windows:
    """The windows of a face that an ensemble averages: every offset at every rotation.

    offsets (L, 2): (dx, dy) of formula (5), pixels of a 224-pixel input; rotations_deg: of the
    face, clockwise about the box centre; flip: adds the windows of the flipped face. The paper has
    only offsets.
    """

    offsets: Offsets
    rotations_deg: tuple[float, ...] = (0.0,)
    flip: bool = False

    def __len__(self) -> int:
        """S, the number of windows per face."""
        return len(self.offsets) * len(self.rotations_deg) * (1 + self.flip)

    def places_of(self, fewer: "Windows") -> list[int] | None:
        """Where the windows of `fewer` are among these, along S; None if one is missing."""
        place = {view: number for number, view in enumerate(self._views())}
        places = [place[view] for view in fewer._views() if view in place]
        return places if len(places) == len(fewer) else None

    def _views(self) -> Iterator[tuple[float, bool, int, int]]:
        """Rotation, flipped or not, dx and dy of every window, in the order of `window_probs`."""
        flips = (False, True) if self.flip else (False,)
        for phi_deg, flipped in product(self.rotations_deg, flips):
            for dx, dy in self.offsets.tolist():
                yield phi_deg, flipped, dx, dy

    def reach(self, size_hw: tuple[int, int]) -> int:
        """How many pixels beyond the central h x w window the shifted windows read."""
        return max(reach_px(self.offsets, side) for side in size_hw)

    def margin(self, size_hw: tuple[int, int]) -> int:
        """As `reach`, of windows that are rotated, too."""
        return rotated_reach(max(size_hw), self.reach(size_hw), self.rotations_deg)


CENTRE = Windows(offset_grid(0, 1))  # a single window, no ensemble


def shifted_windows(crops: Tensor, offsets: Offsets, size_hw: tuple[int, int]) -> Tensor:
    """The shifted windows of every crop.

    crops (N, 3, h + 2m, w + 2m); offsets (S, 2) as (dx, dy), pixels of a 224-pixel input; size_hw =
    (h, w). Returns (N·S, 3, h, w), channels last, all offsets of the first crop first. Whole pixels
    of this input are slices, fractions are resampled (`shift_filters`; not clipped to the range of
    the pixels). Raises ValueError if a window reaches beyond the margin.
    """
    h, w = size_hw
    top, left = (crops.shape[-2] - h) // 2, (crops.shape[-1] - w) // 2
    reach = max(reach_px(offsets[:, axis], side) for axis, side in enumerate((w, h)))
    if reach > min(top, left):
        raise ValueError(f"offsets reach {reach} px, but the crops' margin is {min(top, left)} px")
    dx, dy = (shifts_px(offsets[:, axis], side) for axis, side in enumerate((w, h)))
    if not np.array_equal([dx, dy], np.round([dx, dy])):
        return _resampled(crops, dx, dy, size_hw)
    pixels = crops.permute(0, 2, 3, 1)  # the memory layout: slices copy whole rows
    shifts = zip(dx.astype(int), dy.astype(int), strict=True)
    slices = [pixels[:, top + y : top + y + h, left + x : left + x + w] for x, y in shifts]
    return torch.stack(slices, dim=1).flatten(0, 1).permute(0, 3, 1, 2)


def _resampled(
    crops: Tensor, dx: NDArray[np.float64], dy: NDArray[np.float64], size_hw: tuple[int, int]
) -> Tensor:
    """As `shifted_windows`, of float crops at shifts of any length, pixels.

    Separably, and a row of offsets shares the first of the two steps.
    """
    (h, w), (height, width) = size_hw, crops.shape[-2:]
    (columns, column), (rows, row) = (np.unique(line, return_inverse=True) for line in (dx, dy))
    across, down = (
        torch.from_numpy(shift_filters(*line)).to(crops)
        for line in ((columns, w, width), (rows, h, height))
    )
    lines = torch.einsum("xjW,nHWc->nHxjc", across, crops.permute(0, 2, 3, 1))
    every = torch.einsum("yiH,nHxjc->nyxijc", down, lines)
    return every[:, row, column].flatten(0, 1).permute(0, 3, 1, 2)


def window_probs(
    predict: Callable[[Tensor], Tensor],
    crops: Tensor,
    windows: Windows,
    size_hw: tuple[int, int],
    spec: BinSpec,
    batch: int,
) -> Iterator[Tensor]:
    """Probabilities of every window, a few faces at a time.

    predict: normalised images (B, 3, h, w) → probabilities (B, 3, n_bins) of `spec`; crops: uint8
    (N, T, h + 2m, w + 2m, 3), each face at every rotation; batch: windows per call of `predict`,
    at most; the offsets of one face are split if there are more.
    Yields (faces, S, 3, n_bins) in the order of the crops, mapped back to the upright, unflipped
    face. Order of S: per rotation all offsets, then those of the flipped face.
    """
    offsets = windows.offsets
    parts = np.array_split(offsets, -(-len(offsets) // batch))
    for faces in crops.split(max(1, batch // len(offsets))):
        probs = []
        for phi_deg, rotated in zip(windows.rotations_deg, faces.unbind(1), strict=True):
            images = normalize(rotated)
            sides = [_of_parts(predict, images, parts, size_hw)]
            if windows.flip:
                sides.append(flip_probs(_of_parts(predict, images.flip(-1), parts, size_hw)))
            # Undo the flip first, then the rotation: the images were rotated, then flipped.
            probs += [rotate_probs(side, -phi_deg, spec) for side in sides]
        yield torch.cat(probs, dim=1)


def _of_parts(
    predict: Callable[[Tensor], Tensor],
    images: Tensor,
    parts: list[Offsets],
    size_hw: tuple[int, int],
) -> Tensor:
    """Probabilities (N, S, 3, n_bins), so many offsets at a time as a part has."""
    probs = [
        predict(shifted_windows(images, part, size_hw)).unflatten(0, (len(images), len(part)))
        for part in parts
    ]
    return torch.cat(probs, dim=1)


def rotate_probs(probs: Tensor, phi_deg: float, spec: BinSpec) -> Tensor:
    """The distributions (... x 3 x n_bins) after the image is rotated by phi clockwise.

    Each distribution is shifted by as much as its expectation changes: exact for the expected
    angles, but not for the shape of the distributions.
    """
    if phi_deg == 0:
        return probs
    pyr_deg = spec.expectation(probs).double().cpu().numpy()
    change = torch.from_numpy(rotate_pyr(pyr_deg, phi_deg) - pyr_deg)
    return shift_probs(probs, change.to(probs), spec)


class Average(NamedTuple):
    """An ensemble's prediction for N faces, formula (6).

    probs (N, 3, n_bins): mean of the windows' softmaxes; pyr_deg (N, 3): their expectation,
    degrees; spread_deg (N, 3): standard deviation of the windows' angles, 0 for S = 1.
    """

    probs: Tensor
    pyr_deg: Tensor
    spread_deg: Tensor


def average(probs: Tensor, spec: BinSpec) -> Average:
    """Formula (6) for the windows' probabilities (N, S, 3, n_bins)."""
    mean = probs.mean(1)
    angles = spec.expectation(probs)
    return Average(mean, spec.expectation(mean), angles.std(1, correction=0))
