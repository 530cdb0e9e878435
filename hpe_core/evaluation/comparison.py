"""Is one network significantly better than another? Compares networks in pairs."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from itertools import combinations

import numpy as np
import pandas as pd

from hpe_core.common.errors import InputError
from hpe_core.evaluation.bootstrap import paired_difference
from hpe_core.evaluation.columns import PYR, TRUE_PYR
from hpe_core.evaluation.metrics import face_errors_deg, gain

Pair = tuple[str, str]

NEEDED_COLUMNS = ["face_id", "group", "network", "seed", *PYR, *TRUE_PYR]
COLUMNS = [
    *("a", "b", "faces", "groups", "runs", "mae_a", "mae_b"),
    *("difference", "low", "high", "p", "significant", "by_run", "run_std", "gain"),
]
_SAME_LABEL_DEG = 1e-3  # tolerates labels that were stored as float32


def compare(
    predictions: pd.DataFrame, pairs: Iterable[Pair], rng: np.random.Generator
) -> pd.DataFrame:
    """One row per pair (a, b) of networks: by how much b is better than a, and how surely.

    predictions: NEEDED_COLUMNS, angles in degrees. A pair is compared on the seeds that both have;
    faces of one group are resampled together.

    Returns COLUMNS: runs (number of seeds), difference (mae_a - mae_b in degrees, positive if b is
    better), low, high (its 95 % interval over faces and seeds), by_run (each seed's difference, as
    text), gain (percent of a's MAE that b saves); for p, run_std and significant see
    `bootstrap.Difference`. p is not corrected for multiple comparisons: of
    twenty pairs of equally good networks, one is "significant" on average. A pair's result does not
    depend on the other pairs.

    Raises InputError for an unknown network, for a pair without a common seed or with different
    faces or labels, and for a face predicted twice.
    """
    errors, seed = errors_by_network(predictions), int(rng.integers(2**32))
    group_of = predictions.drop_duplicates("face_id").set_index("face_id")["group"]
    rows = []
    for a, b in pairs:
        of_a, of_b = _same_seeds(errors, a, b)
        groups = group_of[of_a.columns]
        found = paired_difference(of_a, of_b, np.random.default_rng(seed), groups)
        mae_a, mae_b = float(of_a.to_numpy().mean()), float(of_b.to_numpy().mean())
        pair = {"a": a, "b": b, "faces": of_a.shape[1], "mae_a": mae_a, "mae_b": mae_b}
        tested = {**asdict(found), "difference": found.mean, "significant": found.significant}
        tested["by_run"] = "; ".join(f"{each:.3f}" for each in found.by_run)
        rows.append({**pair, **tested, "gain": gain(mae_b, mae_a)})
    return pd.DataFrame(rows, columns=COLUMNS)


def pairs_of(predictions: pd.DataFrame) -> list[Pair]:
    """All pairs of networks, in the order of the table (base network first)."""
    return list(combinations(predictions["network"].unique(), 2))


def errors_by_network(predictions: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Network → errors in degrees, one row per seed, one column per face_id, both sorted.

    Raises InputError if a face is predicted twice or has different labels, or if the seeds of one
    network have different faces.
    """
    key = ["network", "seed", "face_id"]
    twice = predictions[predictions.duplicated(key)]
    if len(twice):
        raise InputError(f"predicted twice: {twice[key].iloc[0].to_dict()}")
    labels = predictions.groupby("face_id")[TRUE_PYR]
    apart = (labels.max() - labels.min()).max(axis=1)
    if apart.max() > _SAME_LABEL_DEG:
        raise InputError(f"{apart.idxmax()} has labels that differ by {apart.max():.3f} degrees")
    table = predictions[key].assign(error=face_errors_deg(predictions))
    names = table["network"].unique()
    return {name: _by_seed(name, table[table["network"] == name]) for name in names}


def _same_seeds(
    errors: Mapping[str, pd.DataFrame], a: str, b: str
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The errors of two networks for the seeds that both have. Raises InputError as `compare`."""
    absent = sorted({a, b} - set(errors))
    if absent:
        raise InputError(f"no network {absent}; found {list(errors)}")
    of_a, of_b = errors[a], errors[b]
    alone = of_a.columns.symmetric_difference(of_b.columns)
    if len(alone):
        raise InputError(
            f"only one of {a} and {b} has predictions for {len(alone)} faces, such as {alone[0]}"
        )
    seeds = of_a.index.intersection(of_b.index)
    if seeds.empty:
        raise InputError(
            f"{a} and {b} have no seed in common: {list(of_a.index)} and {list(of_b.index)}"
        )
    return of_a.loc[seeds], of_b.loc[seeds]


def _by_seed(network: str, errors: pd.DataFrame) -> pd.DataFrame:
    table = errors.pivot(index="seed", columns="face_id", values="error")
    holes = table.columns[table.isna().any()]
    if len(holes):
        raise InputError(
            f"{network}: {len(holes)} faces are missing for some seeds, such as {holes[0]}"
        )
    return table
