"""The slow, obvious version of formula (5): the box itself is shifted, not a window of its crop."""

import numpy as np
from numpy.typing import ArrayLike


def shift_box(bbox_xyxy: ArrayLike, offset_px: ArrayLike, size_hw: tuple[int, int]) -> np.ndarray:
    """The box of formula (5): shifted by pixels of the input, at the scale of its own crop.

    bbox_xyxy (4), offset_px (... x 2) as (dx, dy), size_hw: the network's input. → (... x 4)
    """
    b = np.asarray(bbox_xyxy, dtype=np.float64)
    h, w = size_hw
    per_px = np.array([(b[2] - b[0]) / w, (b[3] - b[1]) / h])
    shift = np.asarray(offset_px, dtype=np.float64) * per_px
    return b + np.concatenate([shift, shift], axis=-1)
