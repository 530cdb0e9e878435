"""Regression via classification: an angle as one of n bins of equal size over [-θ; θ]."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

THETA_DEG = 99.0  # the paper keeps faces within ±99° (section 4.2)


@dataclass(frozen=True)
class BinSpec:
    """n = ceil(2θ/b) bins of size b, centred on zero.

    θ = 99° gives 198, 99, 66, 50 bins for b = 1, 2, 3, 4. Where b does not divide 2θ the outer
    bins reach past ±θ (198/4: the paper does not say; we keep the bins symmetric).
    """

    bin_deg: float = 1.0
    theta_deg: float = THETA_DEG

    def __post_init__(self) -> None:
        if not (self.bin_deg > 0 and self.theta_deg > 0):
            raise ValueError(f"bin size and theta must be positive, found {self}")

    @property
    def n_bins(self) -> int:
        return math.ceil(2 * self.theta_deg / self.bin_deg)

    @property
    def centers_deg(self) -> Tensor:
        """(n_bins) float32, degrees, ascending, symmetric about 0."""
        return (torch.arange(self.n_bins) - (self.n_bins - 1) / 2) * self.bin_deg

    def encode(self, angle_deg: Tensor) -> Tensor:
        """Index of the bin an angle falls into: (...) degrees → (...) int64 in [0; n_bins).

        An angle on an edge belongs to the upper bin, ±θ to the outermost ones. Angles beyond ±θ
        (a rotated view of an extreme face) go to the outermost bins too.
        """
        index = torch.floor(angle_deg / self.bin_deg + self.n_bins / 2).long()
        return index.clamp(0, self.n_bins - 1)

    def gaussian(self, angle_deg: Tensor, std_deg: float) -> Tensor:
        """Angles smeared over the bins: (...) degrees → (... x n_bins) probabilities.

        std_deg: of the Gaussian about the angle, > 0; the one-hot of `encode` as it goes to 0. What
        would lie beyond ±θ is shared by the bins as they are.
        """
        away = (self.centers_deg.to(angle_deg) - angle_deg[..., None]) / std_deg
        return torch.softmax(-(away**2) / 2, dim=-1)

    def expectation(self, probs: Tensor) -> Tensor:
        """Formula (2) without its softmax: (... x n_bins) probabilities → (...) degrees."""
        # A sum, not a matrix product: under autocast that would round to bfloat16.
        return (probs * self.centers_deg.to(probs)).sum(-1)


def shift_probs(probs: Tensor, shift_deg: Tensor, spec: BinSpec) -> Tensor:
    """Distributions moved along the angle, in between bins by linear interpolation.

    probs (... x n_bins), shift_deg (...) degrees. What would leave ±θ stays in the outermost bin;
    short of that the expectation moves by exactly shift_deg. Returns (... x n_bins).
    """
    bins = torch.arange(spec.n_bins, device=probs.device) + shift_deg[..., None] / spec.bin_deg
    lower, part = bins.floor().long(), bins - bins.floor()
    moved = torch.zeros_like(probs)
    for index, weight in ((lower, 1 - part), (lower + 1, part)):
        moved.scatter_add_(-1, index.clamp(0, spec.n_bins - 1), probs * weight)
    return moved


def flip_probs(probs: Tensor) -> Tensor:
    """The distributions of the mirrored face, exactly: yaw and roll reversed, pitch kept.

    probs (... x 3 x n_bins), angles in the order pitch, yaw, roll. Same shape.
    """
    pitch, yaw, roll = probs.unbind(-2)
    return torch.stack([pitch, yaw.flip(-1), roll.flip(-1)], dim=-2)
