"""Overlapping parts of a large photograph, for faces that are too small in it as a whole."""

import numpy as np
from numpy.typing import NDArray

from hpe_core.common.geometry import Array

_OVERLAP = 0.25  # of neighbouring tiles, as a share of a tile's side
_EDGE = 0.02  # a box that comes so near to a tile's edge, as a share of its side, is cut off


def tile_regions(size_wh: tuple[int, int], tiles: int) -> NDArray[np.int64]:
    """The whole image, then tiles x tiles parts of it, row by row: (1 + tiles²) x 4, pixels."""
    rows = [_spans(side, tiles) for side in size_wh]
    parts = [(x1, y1, x2, y2) for y1, y2 in rows[1] for x1, x2 in rows[0]]
    return np.array([(0, 0, *size_wh), *parts])


def _spans(side: int, tiles: int) -> list[tuple[int, int]]:
    length = side / (tiles - (tiles - 1) * _OVERLAP)
    starts = np.linspace(0, side - length, tiles)
    return [(int(start), min(side, int(np.ceil(start + length)))) for start in starts]


def whole_in(bbox_xyxy: Array, region: NDArray[np.int64], size_wh: tuple[int, int]) -> Array:
    """Which boxes (N x 4, of the image) a tile does not cut off; the image's own edges cut none."""
    near = np.tile((region[2:] - region[:2]) * _EDGE, 2)
    inner = np.concatenate([region[:2] > 0, region[2:] < size_wh])
    inside = (bbox_xyxy - region) * [1, 1, -1, -1]  # the distance from each of the tile's edges
    return ~((inside < near) & inner).any(1)
