"""Shifts of a window within an enlarged crop, by whole pixels and by fractions of one."""

import numpy as np
from numpy.typing import NDArray

from hpe_core.crops.window import Pixels

_LOBES = 3  # of the Lanczos filter on either side: how many pixels it reaches


def pixels_reached(shifts_px: NDArray[np.float64]) -> int:
    """How many pixels beyond the central window the shifted ones read. shifts_px: any shape.

    A shift by whole pixels reads just these pixels, a fraction of a pixel the filter's neighbours.
    """
    far = np.abs(shifts_px)
    return int(np.where(far == np.round(far), far, np.floor(far) + _LOBES).max(initial=0))


def shift_filters(shifts_px: NDArray[np.float64], side: int, length: int) -> NDArray[np.float32]:
    """Weights that resample the central window of a line of pixels at shifted positions.

    shifts_px (L); side: of the window; length: of the line, with the same margin at both ends.
    Returns (L, side, length); each row sums to 1. The filter is Lanczos with three lobes, which
    keeps all frequencies that the pixels can hold but the highest. At whole pixels its weights are
    0 and 1: the window is a slice. Raises ValueError if the line is too short.
    """
    shifts = np.asarray(shifts_px, np.float64)
    margin = (length - side) // 2
    if pixels_reached(shifts) > margin:
        raise ValueError(
            f"shifts of up to {np.abs(shifts).max():g} px read {pixels_reached(shifts)} px beyond "
            f"the window, but the crops' margin is {margin} px"
        )
    wanted = margin + shifts[:, None, None] + np.arange(side)[:, None]
    distance = np.arange(length) - wanted
    weights = np.sinc(distance) * np.sinc(distance / _LOBES)
    weights[np.abs(distance) >= _LOBES] = 0
    weights[(distance == np.round(distance)) & (distance != 0)] = 0  # sinc gives 1e-17
    return (weights / weights.sum(-1, keepdims=True)).astype(np.float32)


def shifted_window(
    crop: Pixels, shift_xy_px: tuple[float, float], size_hw: tuple[int, int]
) -> Pixels:
    """One window of an enlarged crop, shifted to the right and down.

    crop (h + 2m) x (w + 2m) x 3; size_hw: (h, w). Returns h x w x 3 uint8.
    """
    across, down = (
        shift_filters(np.array([shift]), side, length)[0]
        for shift, side, length in zip(shift_xy_px, size_hw[::-1], crop.shape[1::-1], strict=True)
    )
    window = np.einsum("iH,jW,HWc->ijc", down, across, crop.astype(np.float32), optimize=True)
    return np.clip(np.round(window), 0, 255).astype(np.uint8)
