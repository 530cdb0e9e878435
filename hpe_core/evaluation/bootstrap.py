"""How much a mean error depends on the choice of test faces.

`mean_interval` gives its confidence interval; `paired_difference` tests whether two networks differ
significantly on the same faces. Both take groups: frames of one video are not independent, so whole
groups are resampled or flipped together. Treating them as single faces would be overconfident.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from hpe_core.common.geometry import Array

LEVEL = 0.95  # of the intervals; a difference is significant if p < 1 - LEVEL
DRAWS = 2000


@dataclass(frozen=True)
class Difference:
    """The difference of the mean errors of networks a and b on the same faces.

    mean: mean error of a minus that of b, in the errors' unit, positive if b is better; low, high:
    its 95 % interval over the choice of faces and, with several runs, of runs; p: two-sided p-value
    for "a and b are equally good" on other faces, with these runs; by_run: the mean difference of
    each run; run_std: their standard deviation, NaN for one run.
    """

    mean: float
    low: float
    high: float
    p: float
    runs: int
    by_run: tuple[float, ...]
    run_std: float
    groups: int

    @property
    def significant(self) -> bool:
        return self.p < 1 - LEVEL


def mean_interval(
    errors: ArrayLike, rng: np.random.Generator, groups: ArrayLike | None = None
) -> tuple[Array, Array]:
    """95 % percentile bootstrap interval of the mean error over faces, per column.

    errors (N) or (N x C), N ≥ 1: one row per face; groups (N): names of what is resampled as a
    whole, such as a face's video; None: every face by itself. Returns low, high, each () or (C).
    Columns do not change the draws of the rng. With one group both limits are the mean; with a few,
    the interval is too narrow, as percentile intervals are. Raises ValueError for N = 0.
    """
    totals, sizes = group_sums(errors, groups)
    means = np.empty((DRAWS, *totals.shape[1:]))
    for draw in range(DRAWS):  # one at a time: needs memory for only one row of counts
        times = np.bincount(rng.integers(len(sizes), size=len(sizes)), minlength=len(sizes))
        means[draw] = times @ totals / (times @ sizes)
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return low, high


def paired_difference(
    errors_a: ArrayLike,
    errors_b: ArrayLike,
    rng: np.random.Generator,
    groups: ArrayLike | None = None,
) -> Difference:
    """Tests two networks on the same faces.

    errors_a, errors_b (R x N): one row per run (training seed, the same in both), one column per
    face; groups (N) as in `mean_interval`. With several runs the interval covers the choice of
    faces and of seeds: both are drawn with replacement. Three seeds are few to draw from: look at
    `by_run`, too. p is of the errors averaged over the runs and covers the faces alone.

    p comes from the sign-flip test, not from the bootstrap: if the networks are equally good, a
    group's difference is as likely as its negative, so the test is valid for any distribution of
    errors and any number G of groups (p ≥ 2/2^G, so five videos can never be significant).
    Interval and p may disagree near 0.05.

    Raises ValueError for N = 0, or if a and b have different shapes.
    """
    if np.shape(errors_a) != np.shape(errors_b):
        raise ValueError(f"runs x faces: {np.shape(errors_a)} of a, {np.shape(errors_b)} of b")
    by_run = np.asarray(errors_a, dtype=np.float64) - np.asarray(errors_b, dtype=np.float64)
    low, high = _crossed_interval(by_run, rng, groups)
    totals, _ = group_sums(by_run.mean(0), groups)
    return Difference(
        mean=float(by_run.mean()),
        low=low,
        high=high,
        p=sign_flip_p(totals, rng),
        runs=len(by_run),
        by_run=tuple(by_run.mean(1).tolist()),
        run_std=float(by_run.mean(1).std(ddof=1)) if len(by_run) > 1 else float("nan"),
        groups=len(totals),
    )


def _crossed_interval(
    by_run: Array, rng: np.random.Generator, groups: ArrayLike | None
) -> tuple[float, float]:
    """95 % percentile bootstrap interval of the mean of R x N values over runs and faces."""
    totals, sizes = group_sums(by_run.T, groups)  # groups x runs
    runs, means = totals.shape[1], np.empty(DRAWS)
    for draw in range(DRAWS):
        times = np.bincount(rng.integers(len(sizes), size=len(sizes)), minlength=len(sizes))
        drawn = totals[:, rng.integers(runs, size=runs)] if runs > 1 else totals
        means[draw] = (times @ drawn).mean() / (times @ sizes)
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def sign_flip_p(differences: Array, rng: np.random.Generator) -> float:
    """Two-sided p-value of differences (G ≥ 1) under "each is as likely as its negative".

    The share of random sign assignments whose |sum| is at least the observed one. The observed
    signs count as one draw, so p ≥ 1 / (DRAWS + 1), and a test at 5 % has at most 5 % false
    positives (Phipson and Smyth 2010). 1 if all differences are 0.
    """
    reached = abs(differences.sum()) * (1 - 1e-12)  # equal sums may differ by rounding
    hits = sum(
        abs((2 * rng.integers(2, size=len(differences)) - 1) @ differences) >= reached
        for _ in range(DRAWS)
    )
    return float((hits + 1) / (DRAWS + 1))


def group_sums(errors: ArrayLike, groups: ArrayLike | None) -> tuple[Array, NDArray[np.int64]]:
    """The sum of errors and the number of faces of every group, in the order of first faces.

    errors (N) or (N x C), groups (N) or None, as in `mean_interval`. Returns (G) or (G x C), and
    (G). Raises ValueError for N = 0.
    """
    errors = np.asarray(errors, dtype=np.float64)
    if len(errors) == 0:
        raise ValueError("no face to draw from")
    if groups is None:
        return errors, np.ones(len(errors), dtype=np.int64)
    codes, names = pd.factorize(np.asarray(groups))
    totals = np.zeros((len(names), *errors.shape[1:]))
    np.add.at(totals, codes, errors)
    return totals, np.bincount(codes)
