"""The offsets of an ensemble, formula (5), and how far its windows reach.

K, d and offsets count pixels of a 224-pixel input, the paper's, whatever the network's own input
is: K = 15 moves a box by at most 15/224 = 6.7 % of its side.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hpe_core.crops.shifts import pixels_reached

Offsets = NDArray[np.int64]
UNIT_SIDE_PX = 224


def offset_grid(radius: int, step: int) -> Offsets:
    """The offsets (dx, dy) of formula (5): all multiples of d within ±K.

    radius: K ≥ 0; step: d ≥ 1. Returns S x 2, row by row, with S = (2⌊K/d⌋ + 1)².
    """
    reach = radius // step
    line = np.arange(-reach, reach + 1) * step
    dy, dx = np.meshgrid(line, line, indexing="ij")
    return np.stack([dx.ravel(), dy.ravel()], axis=-1)


def shifts_px(offsets: NDArray[np.int64], side: int) -> NDArray[np.float64]:
    """Offsets in pixels of an input of `side` pixels, of which those of 224 are whole numbers."""
    return offsets * side / UNIT_SIDE_PX


def reach_px(offsets: NDArray[np.int64], side: int) -> int:
    """How many pixels beyond a window of `side` pixels its shifted windows read."""
    return pixels_reached(shifts_px(offsets, side))


def cell_members(offsets: Offsets, radius: int, step: int) -> NDArray[np.int64]:
    """The rows of a complete grid that form the ensemble of K = radius, d = step.

    offsets (L, 2): every integer offset within ±K_max. Returns S row numbers.
    """
    row_of = {tuple(offset): row for row, offset in enumerate(offsets.tolist())}
    return np.array([row_of[tuple(o)] for o in offset_grid(radius, step).tolist()])


def rotated_reach(side: int, reach: int, rotations_deg: Sequence[float]) -> int:
    """How many pixels beyond a square of `side` pixels its rotated and shifted windows reach.

    reach: that of the shifts alone, pixels; rotations_deg: about the centre, within ±45°. `reach`
    without any.
    """
    phi = np.radians(np.abs(rotations_deg))
    half = (side - 1) / 2
    corners = (half + reach) * (np.cos(phi) + np.sin(phi))  # distance from the centre, per axis
    return int(np.ceil(corners.max() - half - 1e-6))
