"""What a network says about its own error: the spread of its distributions, and how true it is.

A binned network gives a distribution for every angle, so its standard deviation costs no further
pass. Three questions, asked of faces whose labels are known: is the standard deviation of the right
size (`coverage`; `scale_for_coverage` mends it), are faces with a larger one worse
(`rank_correlation`), and what is gained by refusing the least certain faces (`risk_coverage`,
`aurc_gain`)?
"""

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from hpe_core.bins import BinSpec

Array = NDArray[np.float64]

ONE_SIGMA = 0.6827  # share of a normal distribution within one standard deviation
PERCENTS = range(10, 101, 10)  # of the faces, the points of a risk-coverage curve


def distribution_std_deg(probs: Tensor, spec: BinSpec) -> Tensor:
    """Standard deviation of a binned distribution: (... x n_bins) probabilities → (...) degrees.

    Of one prediction it is the network's own uncertainty. Of an ensemble's mean distribution it is
    the total one: by the law of total variance its square is the mean of the windows' squares plus
    the variance of the windows' angles (the square of what `ensemble.average` returns). A
    distribution in one bin has 0: the width of a bin is left out, as in the expectation.
    """
    from_mean_deg = spec.centers_deg.to(probs) - spec.expectation(probs).unsqueeze(-1)
    return (probs * from_mean_deg.square()).sum(-1).sqrt()


def entropy(probs: Tensor) -> Tensor:
    """Shannon's entropy of a binned distribution in nats: (... x n_bins) probabilities → (...).

    0 for one bin, log(n_bins) for all alike. 0 · log 0 is 0.
    """
    return torch.special.entr(probs).sum(-1)


def coverage(errors_deg: ArrayLike, std_deg: ArrayLike) -> Array:
    """The share of faces with |error| ≤ std, per angle: 0.68 for a normal error of that std.

    errors_deg, std_deg (N x 3) degrees, std ≥ 0. Returns (3). Raises ValueError for N = 0.
    """
    errors, std = _aligned(errors_deg, std_deg)
    return (np.abs(errors) <= std).mean(0)


def scale_for_coverage(errors_deg: ArrayLike, std_deg: ArrayLike) -> Array:
    """The least factor per angle with which |error| ≤ factor · std holds for 68.27 % of the faces.

    It is the quantile of |error| / std. Take it from validation faces: on the faces it was taken
    from, `coverage` is right by construction.

    errors_deg, std_deg (N x 3) degrees, std ≥ 0. Returns (3). A face of std 0 is covered by any
    factor if its error is 0, by none otherwise. Raises ValueError where faces of the second kind
    are so many that no factor is large enough, and for N = 0.
    """
    errors, std = _aligned(errors_deg, std_deg)
    unreachable = np.where(errors == 0, 0.0, np.inf)
    ratio = np.divide(np.abs(errors), std, out=unreachable, where=std > 0)
    factor = np.quantile(ratio, ONE_SIGMA, axis=0, method="inverted_cdf")
    if np.isinf(factor).any():
        raise ValueError(f"std is 0 for {(std == 0).mean(0)} of the faces: no factor covers them")
    return factor


def rank_correlation(std_deg: ArrayLike, errors_deg: ArrayLike) -> Array:
    """Spearman's correlation of uncertainty and |error| per angle, equal values sharing a rank.

    std_deg, errors_deg (N x 3). Returns (3) in [-1; 1]; 0 where one of both is the same for all
    faces, as it is for N = 1: it orders nothing. Raises ValueError for N = 0.
    """
    errors, std = _aligned(errors_deg, std_deg)
    correlation = pd.DataFrame(std).rank().corrwith(pd.DataFrame(np.abs(errors)).rank())
    return np.asarray(correlation.fillna(0.0), dtype=np.float64)


def face_uncertainty(std_deg: ArrayLike) -> Array:
    """One number for a face: the mean of its three standard deviations, (N x 3) → (N) degrees.

    The mean, not the root mean square: a face's error is the mean of three absolute errors, and
    for errors of one shape the expectation of each is proportional to its standard deviation.
    """
    return np.asarray(std_deg, dtype=np.float64).mean(-1)


def risk_coverage(errors: ArrayLike, uncertainty: ArrayLike) -> pd.DataFrame:
    """The mean error of the most certain 10, 20 … 100 % of the faces.

    errors (N): one face's error, the mean of its three absolute errors; uncertainty (N): any number
    that orders the faces. Returns the columns percent and mae. Shares are rounded up to whole
    faces; of equally certain faces every one is as likely to be kept (the expectation is
    returned). risk_coverage(errors, errors) is the oracle. Raises ValueError for N = 0.
    """
    running = _running_mae(*_aligned(errors, uncertainty))
    kept = [-(-percent * len(running) // 100) for percent in PERCENTS]
    return pd.DataFrame({"percent": PERCENTS, "mae": running[np.array(kept) - 1]})


def aurc_gain(errors: ArrayLike, uncertainty: ArrayLike) -> float:
    """How much of an oracle's gain this order of the faces has: 1 as the oracle, 0 as chance.

    The area under the risk-coverage curve is the mean, over all k, of the error of the k most
    certain faces; the gain is (random - area) / (random - oracle). Negative where uncertain faces
    are the better ones.

    errors, uncertainty (N), as in `risk_coverage`. 0 where all errors are equal. Raises ValueError
    for N = 0.
    """
    errors, uncertainty = _aligned(errors, uncertainty)
    # Keeping faces at random leaves the mean error as it is, whatever their share.
    most = errors.mean() - _running_mae(errors, errors).mean()
    own = errors.mean() - _running_mae(errors, uncertainty).mean()
    return float(own / most) if np.ptp(errors) > 0 else 0.0


def _running_mae(errors: Array, uncertainty: Array) -> Array:
    """Mean error of the k most certain faces for k = 1 … N."""
    order = np.argsort(uncertainty, kind="stable")
    expected = pd.Series(errors).groupby(uncertainty).transform("mean").to_numpy()
    return expected[order].cumsum() / np.arange(1, len(errors) + 1)


def _aligned(errors: ArrayLike, uncertainty: ArrayLike) -> tuple[Array, Array]:
    errors, uncertainty = np.asarray(errors, "f8"), np.asarray(uncertainty, "f8")
    if errors.shape != uncertainty.shape or len(errors) == 0:
        raise ValueError(
            f"expected errors and uncertainties of the same faces, at least one; found the shapes "
            f"{errors.shape} and {uncertainty.shape}"
        )
    return errors, uncertainty
