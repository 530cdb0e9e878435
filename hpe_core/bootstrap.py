"""How far a mean error depends on the faces that happen to be in the test set.

Two questions: between which values would the mean error lie on other faces of the same kind
(`mean_interval`), and do two networks differ on the same faces by more than chance
(`paired_difference`)? Both take groups: frames of one video are not independent, so whole groups
are drawn or exchanged together; treated as single faces they would promise far too much.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

LEVEL = 0.95  # of the intervals; a difference is significant where p < 1 - LEVEL
DRAWS = 2000


@dataclass(frozen=True)
class Difference:
    """How much larger the mean error of a network a is than that of b, on the same faces.

    mean: mean error of a minus that of b, in the errors' unit, positive where b is better;
    low, high: its 95 % interval over the choice of faces; p: two-sided p-value of "a and b are
    alike"; run_std: standard deviation of the runs' own mean differences, NaN for one run.
    """

    mean: float
    low: float
    high: float
    p: float
    runs: int
    run_std: float
    groups: int

    @property
    def significant(self) -> bool:
        return self.p < 1 - LEVEL


def mean_interval(
    errors: ArrayLike, rng: np.random.Generator, groups: ArrayLike | None = None
) -> tuple[Array, Array]:
    """95 % percentile bootstrap interval over faces of the mean error, per column.

    errors (N) or (N x C), N ≥ 1: one row a face. groups (N): names of what is drawn as a whole, for
    instance a face's video; None: every face by itself. Returns low, high, each () or (C). The
    same rng gives the same draws whatever the columns. With a single face or group both are the
    mean: it says nothing about others; with a few groups the interval is too narrow, as every
    percentile interval is. Raises ValueError for N = 0.
    """
    totals, sizes = group_sums(errors, groups)
    means = np.empty((DRAWS, *totals.shape[1:]))
    for draw in range(DRAWS):  # one at a time: memory for one row of counts, whatever N is
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
    """Compares two networks on the same faces.

    errors_a, errors_b (R x N): one row a run (a training seed, the same in both), one column a
    face; groups (N) as in `mean_interval`. A face's errors are averaged over the runs first:
    interval and p cover the choice of faces, not that of seeds, which `run_std` shows.

    The p-value is that of the sign-flip test, not read off the bootstrap: if the two networks are
    alike, a face's (or group's) difference is as likely as its negative, and the test is then right
    for any shape of the errors and any number of groups (with G of them p cannot be below 2/2^G,
    so five videos never suffice). Interval and p may disagree near 0.05.

    Raises ValueError for N = 0, and for other runs or faces in a than in b.
    """
    if np.shape(errors_a) != np.shape(errors_b):
        raise ValueError(f"runs x faces: {np.shape(errors_a)} of a, {np.shape(errors_b)} of b")
    by_run = np.asarray(errors_a, dtype=np.float64) - np.asarray(errors_b, dtype=np.float64)
    differences = by_run.mean(0)
    low, high = mean_interval(differences, rng, groups)
    totals, _ = group_sums(differences, groups)
    return Difference(
        mean=float(differences.mean()),
        low=float(low),
        high=float(high),
        p=sign_flip_p(totals, rng),
        runs=len(by_run),
        run_std=float(by_run.mean(1).std(ddof=1)) if len(by_run) > 1 else float("nan"),
        groups=len(totals),
    )


def sign_flip_p(differences: Array, rng: np.random.Generator) -> float:
    """Two-sided p-value of "every difference is as likely as its negative". differences (G), G ≥ 1.

    The share of random signs whose |sum| is at least the one found, which counts as one of them:
    p ≥ 1 / (DRAWS + 1), and a test at 5 % is wrong in at most 5 % of the cases (Phipson and Smyth
    2010). 1 where all differences are 0.
    """
    reached = abs(differences.sum()) * (1 - 1e-12)  # equal sums may differ in their last digit
    hits = sum(
        abs((2 * rng.integers(2, size=len(differences)) - 1) @ differences) >= reached
        for _ in range(DRAWS)
    )
    return float((hits + 1) / (DRAWS + 1))


def group_sums(errors: ArrayLike, groups: ArrayLike | None) -> tuple[Array, NDArray[np.int64]]:
    """Sum of the errors of every group, and how many faces it has.

    errors (N) or (N x C), groups (N) or None, as in `mean_interval`. Returns (G) or (G x C), and
    (G); groups are in the order of their first face. Raises ValueError for N = 0.
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
