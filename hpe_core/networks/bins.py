"""Regression via classification: an angle as one of n bins of equal size over [-θ; θ]."""

import torch
from torch import Tensor

from hpe_core.networks.distributions import Bins


class BinSpec(Bins):
    """Bins and their formulas in torch."""

    @property
    def centers_deg(self) -> Tensor:
        """(n_bins) float32, degrees, ascending, symmetric about 0."""
        return (torch.arange(self.n_bins) - (self.n_bins - 1) / 2) * self.bin_deg

    def encode(self, angle_deg: Tensor) -> Tensor:
        """Index of the bin of each angle: (...) degrees → (...) int64 in [0; n_bins).

        An angle on an edge belongs to the upper bin; ±θ and angles beyond it (rotated views of
        extreme faces) belong to the outermost bins.
        """
        index = torch.floor(angle_deg / self.bin_deg + self.n_bins / 2).long()
        return index.clamp(0, self.n_bins - 1)

    def gaussian(self, angle_deg: Tensor, std_deg: float) -> Tensor:
        """Gaussian soft labels: (...) degrees → (... x n_bins) probabilities.

        std_deg: of the Gaussian around the angle, > 0; tends to the one-hot of `encode` as it goes
        to 0. Normalised over the bins, so no mass is lost beyond ±θ.
        """
        away = (self.centers_deg.to(angle_deg) - angle_deg[..., None]) / std_deg
        return torch.softmax(-(away**2) / 2, dim=-1)

    def expectation(self, probs: Tensor) -> Tensor:
        """Formula (2) without its softmax: (... x n_bins) probabilities → (...) degrees."""
        # A sum, not a matrix product, which autocast would round to bfloat16.
        return (probs * self.centers_deg.to(probs)).sum(-1)

    def std_deg(self, probs: Tensor) -> Tensor:
        """Standard deviation of a distribution: (... x n_bins) probabilities → (...) degrees.

        For one prediction, the network's own uncertainty. For an ensemble's mean distribution, the
        total uncertainty: by the law of total variance, its square is the mean of the windows'
        variances plus the variance of their angles. 0 if all mass is in one bin: the width of a
        bin is ignored, as in the expectation.
        """
        from_mean_deg = self.centers_deg.to(probs) - self.expectation(probs).unsqueeze(-1)
        return (probs * from_mean_deg.square()).sum(-1).sqrt()

    def angle_and_std_deg(self, probs: Tensor) -> tuple[Tensor, Tensor]:
        """`expectation` and `std_deg`, each (...) degrees."""
        return self.expectation(probs), self.std_deg(probs)


def entropy(probs: Tensor) -> Tensor:
    """Shannon entropy of distributions, nats: (... x n_bins) probabilities → (...).

    From 0 (all mass in one bin) to log(n_bins) (uniform); 0 · log 0 is 0.
    """
    return torch.special.entr(probs).sum(-1)


def shift_probs(probs: Tensor, shift_deg: Tensor, spec: BinSpec) -> Tensor:
    """Distributions shifted along the angle, with linear interpolation between bins.

    probs (... x n_bins), shift_deg (...) degrees. Returns (... x n_bins). The expectation shifts by
    exactly shift_deg, unless mass would leave ±θ: it stays in the outermost bin.
    """
    bins = torch.arange(spec.n_bins, device=probs.device) + shift_deg[..., None] / spec.bin_deg
    lower, part = bins.floor().long(), bins - bins.floor()
    moved = torch.zeros_like(probs)
    for index, weight in ((lower, 1 - part), (lower + 1, part)):
        moved.scatter_add_(-1, index.clamp(0, spec.n_bins - 1), probs * weight)
    return moved


def flip_probs(probs: Tensor) -> Tensor:
    """Distributions (... x 3 x n_bins) of the flipped face, exactly: reverses yaw and roll."""
    pitch, yaw, roll = probs.unbind(-2)
    return torch.stack([pitch, yaw.flip(-1), roll.flip(-1)], dim=-2)
