"""Distributions over the bins of an angle, in NumPy: for what shows or measures saved ones.

It needs no torch. `bins.BinSpec` has the same formulas in torch; tests/test_bins_boxes.py compares.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hpe_core.common.geometry import THETA_DEG, Array


@dataclass(frozen=True)
class Bins:
    """n = ceil(2θ/b) bins of size b, centred on zero.

    θ = 99° gives 198, 99, 66, 50 bins for b = 1, 2, 3, 4. If b does not divide 2θ (198/4), the
    outer bins reach past ±θ: the paper does not say; we keep the bins symmetric.
    """

    bin_deg: float = 1.0
    theta_deg: float = THETA_DEG

    def __post_init__(self) -> None:
        if not (self.bin_deg > 0 and self.theta_deg > 0):
            raise ValueError(f"bin size and theta must be positive, found {self}")

    @property
    def n_bins(self) -> int:
        return math.ceil(2 * self.theta_deg / self.bin_deg)


def centers_deg(bins: Bins) -> Array:
    """(n_bins) degrees, ascending, symmetric about 0."""
    return (np.arange(bins.n_bins, dtype="f8") - (bins.n_bins - 1) / 2) * bins.bin_deg


def bin_of(angle_deg: ArrayLike, bins: Bins) -> NDArray[np.int64]:
    """Index of the bin of each angle, as `BinSpec.encode`: (...) degrees → (...)."""
    index = np.floor(np.asarray(angle_deg, "f8") / bins.bin_deg + bins.n_bins / 2)
    return index.clip(0, bins.n_bins - 1).astype(np.int64)


def expectation(probs: ArrayLike, bins: Bins) -> Array:
    """Formula (2) without its softmax: (... x n_bins) probabilities → (...) degrees."""
    return np.asarray(probs, "f8") @ centers_deg(bins)


def std_deg(probs: ArrayLike, bins: Bins) -> Array:
    """Standard deviation of a distribution: (... x n_bins) probabilities → (...) degrees."""
    from_mean_deg = centers_deg(bins) - expectation(probs, bins)[..., None]
    return np.sqrt((np.asarray(probs, "f8") * from_mean_deg**2).sum(-1))


def entropy_nats(probs: ArrayLike) -> Array:
    """Shannon entropy, nats: (... x n_bins) probabilities → (...). 0 · log 0 is 0."""
    p = np.asarray(probs, "f8")
    return -(p * np.log(p, out=np.zeros_like(p), where=p > 0)).sum(-1)
