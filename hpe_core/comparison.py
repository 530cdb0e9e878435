"""Is one network better than another, or did it meet the easier faces by chance?

From a table of predictions, one row a network, seed and face, to a table of pairs of networks.
"""

from collections.abc import Iterable, Mapping
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hpe_core.bootstrap import Difference, paired_difference
from hpe_core.errors import InputError
from hpe_core.metrics import absolute_error_deg, gain
from hpe_core.predictions import PYR, TRUE_PYR

Array = NDArray[np.float64]
Pair = tuple[str, str]

COLUMNS = ["face_id", "group", "network", "seed", *PYR, *TRUE_PYR]
_SAME_LABEL_DEG = 1e-3  # labels that went through float32 are the same


def compare(
    predictions: pd.DataFrame, pairs: Iterable[Pair], rng: np.random.Generator
) -> pd.DataFrame:
    """One row a pair (a, b) of networks: by how much b is better than a, and how surely.

    predictions: COLUMNS, angles in degrees; a face's error is the mean of its three absolute
    errors. Only seeds that both networks have are used. Faces of one group are not independent:
    they are drawn as a whole.

    Returns the columns a, b, faces, groups, runs (seeds used), mae_a, mae_b, difference (mae_a -
    mae_b in degrees, positive where b is better), low, high (its 95 % interval), p, significant,
    run_std (see `bootstrap.Difference`) and gain (percent of a's MAE that b saves). The p-values
    are those of single comparisons: of twenty pairs of networks that are alike, one is
    "significant". Every pair has the same draws, whichever others are asked for.

    Raises InputError for an unknown network, two without a common seed or with other faces or
    labels, and a face predicted twice.
    """
    errors, seed = face_errors(predictions), int(rng.integers(2**32))
    group_of = predictions.drop_duplicates("face_id").set_index("face_id")["group"]
    rows = []
    for a, b in pairs:
        of_a, of_b = aligned(errors, a, b)
        groups = group_of[of_a.columns]
        found = paired_difference(of_a, of_b, np.random.default_rng(seed), groups)
        maes = (float(of_a.to_numpy().mean()), float(of_b.to_numpy().mean()))
        rows.append(_row((a, b), maes, found, faces=of_a.shape[1]))
    return pd.DataFrame(rows)


def pairs_of(predictions: pd.DataFrame) -> list[Pair]:
    """Every two networks once, in the order of the table: base first, so b is what came later."""
    return list(combinations(predictions["network"].unique(), 2))


def face_errors(predictions: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Network → mean absolute error in degrees, one row a seed, one column a face_id; both sorted.

    predictions as in `compare`. Raises InputError for a face predicted twice, for seeds of one
    network with different faces, and for a face with different labels.
    """
    key = ["network", "seed", "face_id"]
    twice = predictions[predictions.duplicated(key)]
    if len(twice):
        raise InputError(f"predicted twice: {twice[key].iloc[0].to_dict()}")
    labels = predictions.groupby("face_id")[TRUE_PYR]
    apart = (labels.max() - labels.min()).max(axis=1)
    if apart.max() > _SAME_LABEL_DEG:
        raise InputError(f"{apart.idxmax()} has labels that differ by {apart.max():.3f} degrees")
    errors = absolute_error_deg(predictions[PYR], predictions[TRUE_PYR]).mean(1)
    table = predictions[key].assign(error=errors)
    names = table["network"].unique()
    return {name: _by_seed(name, table[table["network"] == name]) for name in names}


def aligned(
    errors: Mapping[str, pd.DataFrame], a: str, b: str
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The errors of two networks (`face_errors`) for the seeds that both have.

    Raises InputError as `compare` does.
    """
    absent = sorted({a, b} - set(errors))
    if absent:
        raise InputError(f"no network {absent}; found {list(errors)}")
    of_a, of_b = errors[a], errors[b]
    alone = of_a.columns.symmetric_difference(of_b.columns)
    if len(alone):
        raise InputError(f"{a} and {b}: {len(alone)} faces of only one of both, as {alone[0]}")
    seeds = of_a.index.intersection(of_b.index)
    if seeds.empty:
        raise InputError(
            f"{a} has the seeds {list(of_a.index)}, {b} {list(of_b.index)}: none of both"
        )
    return of_a.loc[seeds], of_b.loc[seeds]


def _by_seed(network: str, errors: pd.DataFrame) -> pd.DataFrame:
    table = errors.pivot(index="seed", columns="face_id", values="error")
    holes = table.columns[table.isna().any()]
    if len(holes):
        raise InputError(f"{network}: {len(holes)} faces of some seeds only, as {holes[0]}")
    return table


def _row(pair: Pair, maes: tuple[float, float], found: Difference, faces: int) -> dict[str, object]:
    return {
        "a": pair[0],
        "b": pair[1],
        "faces": faces,
        "groups": found.groups,
        "runs": found.runs,
        "mae_a": maes[0],
        "mae_b": maes[1],
        "difference": found.mean,
        "low": found.low,
        "high": found.high,
        "p": found.p,
        "significant": found.significant,
        "run_std": found.run_std,
        "gain": gain(maes[1], maes[0]),
    }
