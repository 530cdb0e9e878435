"""The page's conclusions from the measurements; the template puts them into words.

Networks are chosen on validation faces, where there are any, never on the test set that they are
reported for.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from hpe_core.evaluation.names import BASE, ENSEMBLE, is_student, reference_of, student_of
from hpe_core.tables.results import Summary, TestSet

OTHERS = ("control", BASE, ENSEMBLE)  # what the chosen network is compared with


@dataclass(frozen=True)
class Choice:
    """The network a protocol's summary is about: a student, or else the ensemble. why: in words."""

    network: str
    why: str


def chosen_student(students: Sequence[str], validation: Mapping[str, Summary]) -> Choice:
    """The student with the smallest MAE on validation faces; without any, the last one listed.

    students: backbones in the order of params.yaml; validation: network → summary, or {}.
    """
    networks = [student_of(backbone) for backbone in students]
    if not networks:
        return Choice("ensemble", "there is no student")
    measured = [name for name in networks if name in validation]
    if not measured:
        return Choice(networks[-1], "the last student in params.yaml; no validation faces")
    best = min(measured, key=lambda name: float(validation[name]["mae"]))
    words = "the only student" if len(networks) == 1 else "the best student on validation faces"
    return Choice(best, words)


def other_than(network: str, other: str) -> str:
    """The name of one of OTHERS, for a chosen network; "": the control of an ensemble."""
    if other != "control":
        return other
    return reference_of(network) if is_student(network) else ""


def compared(test: TestSet, other: str, network: str) -> "pd.Series[Any] | None":
    """The row of `comparison.compare` for this pair; None: it was not compared."""
    pairs = test.comparisons
    found = pairs[(pairs["a"] == other) & (pairs["b"] == network)]
    return None if found.empty else found.iloc[0]


@dataclass(frozen=True)
class Standing:
    """On how many of `tests` test sets the chosen networks are significantly better, and worse,
    than `other`.
    """

    other: str
    tests: int
    better: int
    worse: int


def standings(tests: Sequence[TestSet], choices: Mapping[str, Choice]) -> list[Standing]:
    """Against control, base and ensemble; without those that no chosen network was compared with.

    choices: protocol → its chosen network.
    """
    found = []
    for other in OTHERS:
        chosen = [(test, choices[test.protocol].network) for test in tests]
        pairs = [compared(test, other_than(name, other), name) for test, name in chosen]
        signs = [np.sign(p["difference"]) * p["significant"] for p in pairs if p is not None]
        found.append(Standing(other, len(signs), signs.count(1), signs.count(-1)))
    return [standing for standing in found if standing.tests]
