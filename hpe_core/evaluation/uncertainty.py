"""How well a network predicts its own error, from the standard deviation of its distributions.

Three questions, answered on labelled faces: is the std calibrated (`std_coverage`;
`scale_for_coverage` corrects it), does it rank faces by error (`rank_correlation`), and what is
gained by rejecting the least certain faces (`risk_coverage`, `aurc_gain`)?
"""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from hpe_core.common.geometry import Array

ONE_SIGMA = 0.6827  # share of a normal distribution within one standard deviation
PERCENTS = range(10, 101, 10)  # of the faces: points of a risk-coverage curve


def std_coverage(errors_deg: ArrayLike, std_deg: ArrayLike) -> Array:
    """The share of faces with |error| ≤ std per angle: 0.68 for normal errors of that std.

    errors_deg, std_deg (N x 3) degrees, std ≥ 0. Returns (3). Raises ValueError for N = 0.
    """
    errors, std = _aligned(errors_deg, std_deg)
    return (np.abs(errors) <= std).mean(0)


def scale_for_coverage(errors_deg: ArrayLike, std_deg: ArrayLike) -> Array:
    """The smallest factor per angle with |error| ≤ factor · std for 68.27 % of the faces.

    It is a quantile of |error| / std. Use validation faces: on the faces it was measured on,
    `std_coverage` is right by construction.

    errors_deg, std_deg (N x 3) degrees, std ≥ 0. Returns (3). With std 0, any factor covers a face
    whose error is 0, and none covers another. Raises ValueError if there are too many of the
    latter, or for N = 0.
    """
    errors, std = _aligned(errors_deg, std_deg)
    unreachable = np.where(errors == 0, 0.0, np.inf)
    ratio = np.divide(np.abs(errors), std, out=unreachable, where=std > 0)
    factor = np.quantile(ratio, ONE_SIGMA, axis=0, method="inverted_cdf")
    if np.isinf(factor).any():
        raise ValueError(f"std is 0 for {(std == 0).mean(0)} of the faces: no factor covers them")
    return factor


def rank_correlation(std_deg: ArrayLike, errors_deg: ArrayLike) -> Array:
    """Spearman's rank correlation of uncertainty and |error| per angle; ties share a rank.

    std_deg, errors_deg (N x 3). Returns (3) in [-1; 1]; 0 if either is constant, as for N = 1.
    Raises ValueError for N = 0.
    """
    errors, std = _aligned(errors_deg, std_deg)
    correlation = pd.DataFrame(std).rank().corrwith(pd.DataFrame(np.abs(errors)).rank())
    return np.asarray(correlation.fillna(0.0), dtype=np.float64)


def face_uncertainty(std_deg: ArrayLike) -> Array:
    """The uncertainty per face: the mean of its three standard deviations, (N x 3) → (N) degrees.

    Not their root mean square: a face's error is the mean of three absolute errors, each with an
    expectation proportional to its std.
    """
    return np.asarray(std_deg, dtype=np.float64).mean(-1)


def risk_coverage(errors: ArrayLike, uncertainty: ArrayLike) -> pd.DataFrame:
    """The mean error of the most certain 10, 20 … 100 % of the faces.

    errors (N): per face; uncertainty (N): only its order matters. Returns the columns percent and
    mae. Shares are rounded up to whole faces; ties are resolved at random, in expectation.
    risk_coverage(errors, errors) is the oracle. Raises ValueError for N = 0.
    """
    errors, uncertainty = _aligned(errors, uncertainty)
    running = _running_mae(errors, uncertainty)
    kept = [-(-percent * len(running) // 100) for percent in PERCENTS]
    return pd.DataFrame({"percent": PERCENTS, "mae": running[np.array(kept) - 1]})


def aurc_gain(errors: ArrayLike, uncertainty: ArrayLike) -> float:
    """How good this order of the faces is: 1 for the oracle's, 0 for a random one.

    The area under the risk-coverage curve (AURC) is the mean, over all k, of the error of the k
    most certain faces; the gain is (random - AURC) / (random - oracle), negative if uncertain faces
    are the better ones. 0 if all errors are equal.

    errors, uncertainty (N), as in `risk_coverage`. Raises ValueError for N = 0.
    """
    errors, uncertainty = _aligned(errors, uncertainty)
    # In random order, the expected mean error is the same at any coverage.
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
            f"expected errors and uncertainties of the same faces, at least one; found shapes "
            f"{errors.shape} and {uncertainty.shape}"
        )
    return errors, uncertainty
