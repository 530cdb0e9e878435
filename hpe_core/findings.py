"""What the page says in words, and which faces it shows: chosen and worded from measured numbers.

Networks are chosen on validation faces where there are any, never by the test set that they are
reported on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from hpe_core.bootstrap import LEVEL
from hpe_core.geometry import ANGLES
from hpe_core.metrics import absolute_error_deg
from hpe_core.paper_tables import Summary, TestSet, faces_of
from hpe_core.predictions import PYR, TRUE_PYR

YAW_STEP_DEG = 15.0
UNCHANGED_NATS = 0.01  # averaging that changes an entropy by less has changed nothing
_CHANGES = ("sharper", "unchanged", "smoother")


@dataclass(frozen=True)
class Choice:
    """The student that a protocol's test sets are told by; none: the ensemble. why: in words."""

    network: str
    why: str


def chosen_student(students: Sequence[str], validation: Mapping[str, Summary]) -> Choice:
    """The student of the least MAE on validation faces; without any, the last one listed.

    students: backbones in the order of params.yaml; validation: network → summary, or {}.
    """
    networks = [f"kd-{backbone}" for backbone in students]
    if not networks:
        return Choice("ensemble", "there is no student")
    measured = [name for name in networks if name in validation]
    if not measured:
        return Choice(networks[-1], "the last student that params.yaml lists: no validation faces")
    best = min(measured, key=lambda name: float(validation[name]["mae"]))
    words = "the only student" if len(networks) == 1 else "the best student on validation faces"
    return Choice(best, words)


def verdict(test: TestSet, choice: Choice) -> str:
    """How the chosen network stands against base and ensemble on one test set, in sentences.

    They say, too, where the test set shows what the training set shows.
    """
    own = f"{choice.network} ({choice.why}): MAE {_mae_text(test, choice.network)}."
    others = [name for name in ("base", "ensemble") if name != choice.network]
    against = [_against(test, other, choice.network) for other in others]
    return " ".join([own, *against, *_in_training(test)])


def _in_training(test: TestSet) -> list[str]:
    """A sentence for each kind (photograph, subject) that training and test set share."""
    named = {"photograph": "photographs", "subject": "people"}
    return [
        f"The {named[kind]} of {count['test_faces']} of the {faces_of(test)} faces are in the "
        "training set, too: errors on others may be larger."
        for kind, count in test.shared.items()
        if count and count["test_faces"]
    ]


def _against(test: TestSet, other: str, network: str) -> str:
    """One sentence: is `network` better than `other`, and may that be chance?"""
    pair = test.comparisons[(test.comparisons["a"] == other) & (test.comparisons["b"] == network)]
    named = {"base": "the base network", "ensemble": "the ensemble"}[other]
    theirs = f"{named} ({_mae_text(test, other)})"
    if pair.empty:
        return f"It was not compared with {theirs}."
    row = pair.iloc[0]
    better = "better" if row["gain"] >= 0 else "worse"
    p = "p < 0.001" if row["p"] < 0.001 else f"p = {row['p']:.3f}"
    chance = "more than the choice of faces explains" if row["significant"] else "may be chance"
    return f"{abs(row['gain']):.1f} % {better} than {theirs}: {chance} ({p})."


def _mae_text(test: TestSet, network: str) -> str:
    low, high = test.intervals[network]["mae"]
    return f"{test.networks[network]['mae']:.2f}°, {100 * LEVEL:.0f} % {low:.2f}–{high:.2f}"


def headline_sentence(tests: Sequence[TestSet], choices: Mapping[str, Choice]) -> str:
    """On how many test sets the chosen networks are better, and worse, than the choice of test
    faces explains; "" where none of them was compared with base or ensemble.

    choices: protocol → the network it is told by.
    """
    chosen = [(test, choices[test.protocol].network) for test in tests]
    parts = []
    for other in ("base", "ensemble"):
        signs = [_sign(test, other, network) for test, network in chosen]
        found = [sign for sign in signs if sign is not None]
        if not found:  # the ensemble itself is told of
            continue
        named = {"base": "their base network", "ensemble": "the ensemble that taught them"}[other]
        better, worse = found.count(1), found.count(-1)
        parts.append(
            f"better than {named} on {better} of {len(found)} test sets, worse on {worse}, "
            f"and not told apart on {len(found) - better - worse}"
        )
    if not parts:
        return ""
    one_seed = any(test.networks[network]["runs"] == 1 for test, network in chosen)
    seeds = " There is one seed; another may give another order." if one_seed else ""
    return (
        f"The chosen networks are {'; '.join(parts)}. Better and worse: by more than the choice of "
        f"test faces explains (p < 0.05, each test set by itself).{seeds}"
    )


def _sign(test: TestSet, other: str, network: str) -> int | None:
    """By more than the choice of faces explains, is network better (1) than `other`, or worse (-1)?

    0: neither; None: they were not compared.
    """
    pair = test.comparisons[(test.comparisons["a"] == other) & (test.comparisons["b"] == network)]
    if pair.empty:
        return None
    return int(np.sign(pair["difference"].iloc[0])) if pair["significant"].iloc[0] else 0


def face_errors_deg(predictions: pd.DataFrame) -> NDArray[np.float64]:
    """The mean of a face's three absolute errors: (N) degrees."""
    error: NDArray[np.float64] = absolute_error_deg(predictions[PYR], predictions[TRUE_PYR])
    return error.mean(1)


def errors_by_yaw(predictions: pd.DataFrame) -> pd.DataFrame:
    """The MAE by bands of the label's yaw, left and right apart.

    Returns one row a network and band that has faces: network, yaw (the band's middle), low, high
    (its ends), faces, mae; several seeds are averaged.
    """
    middle = np.round(predictions["true_yaw"] / YAW_STEP_DEG) * YAW_STEP_DEG
    table = predictions.assign(yaw=middle + 0.0, mae=face_errors_deg(predictions))
    grouped = table.groupby(["network", "yaw"], sort=False)
    found = grouped.agg(faces=("face_id", "nunique"), mae=("mae", "mean")).reset_index()
    found["low"], found["high"] = found["yaw"] - YAW_STEP_DEG / 2, found["yaw"] + YAW_STEP_DEG / 2
    order = {name: place for place, name in enumerate(predictions["network"].unique())}
    found["place"] = found["network"].map(order)
    return found.sort_values(["place", "yaw"], ignore_index=True).drop(columns="place")


def worst_faces(run: pd.DataFrame, count: int) -> pd.DataFrame:
    """Of one network's predictions those with the largest errors, the worst first."""
    return _by_error(run).head(count)


def median_faces(run: pd.DataFrame, count: int) -> pd.DataFrame:
    """Of one network's predictions those in the middle of the order of errors."""
    ordered = _by_error(run)
    start = max(0, (len(ordered) - count) // 2)
    return ordered.iloc[start : start + count]


def _by_error(run: pd.DataFrame) -> pd.DataFrame:
    table = run.assign(error=face_errors_deg(run))
    return table.sort_values(["error", "face_id"], ascending=[False, True])


def changes_of_entropy(before: ArrayLike, after: ArrayLike) -> dict[str, float]:
    """Shares of distributions that averaging made sharper, left unchanged, made smoother.

    before, after: entropies in nats of the same distributions, any shape, at least one.
    """
    change = np.asarray(after, "f8") - np.asarray(before, "f8")
    kinds = np.where(np.abs(change) <= UNCHANGED_NATS, 0, np.sign(change))
    return {
        name: float((kinds == kind).mean()) for name, kind in zip(_CHANGES, (-1, 0, 1), strict=True)
    }


def changes_by_angle(predictions: pd.DataFrame) -> pd.DataFrame:
    """What averaging did to the distributions of a test set's faces, all seeds.

    predictions: with entropies, of base and ensemble. Returns one row an angle: angle, entropy
    (mean of one window, nats), entropy_ensemble, sharper, unchanged, smoother (percent of faces).
    """
    keys = ["seed", "face_id"]
    one, mean = (
        predictions[predictions["network"] == name].sort_values(keys)
        for name in ("base", "ensemble")
    )
    rows = []
    for angle in ANGLES:
        before, after = one[f"entropy_{angle}"].to_numpy(), mean[f"entropy_{angle}"].to_numpy()
        shares = changes_of_entropy(before, after)
        row = {"angle": angle, "entropy": before.mean(), "entropy_ensemble": after.mean()}
        rows.append({**row, **{name: 100 * share for name, share in shares.items()}})
    return pd.DataFrame(rows)


def telling_rows(before: ArrayLike, after: ArrayLike) -> list[tuple[str, int]]:
    """Faces that show what averaging does: whose entropy fell most, the median one, rose most.

    before, after (N): a face's entropy, mean of the angles. Returns what it shows → row; of fewer
    than three faces each once.
    """
    change = np.asarray(after, "f8") - np.asarray(before, "f8")
    order = np.argsort(change, kind="stable")
    wanted = {
        "entropy fell most, or rose least": order[0],
        "median change of entropy": order[len(order) // 2],
        "entropy rose most": order[-1],
    }
    once = {int(row): words for words, row in reversed(wanted.items())}
    return [(words, row) for row, words in reversed(once.items())]
