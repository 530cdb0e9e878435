"""The stages' measurements, read for the tables and the page.

Only what params.yaml lists is read: folders may hold results of tests that are no longer there.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from hpe_core.common.errors import InputError
from hpe_core.common.files import read_json
from hpe_core.common.settings import load
from hpe_core.common.table_files import read_csv
from hpe_core.corpora.settings import Imported, Protocol, Test
from hpe_core.evaluation.bootstrap import LEVEL
from hpe_core.evaluation.networks import listed_networks
from hpe_core.tables.settings import Tables
from hpe_core.teacher.settings import Ensemble
from hpe_core.training.settings import Base

Summary = Mapping[str, Any]  # of one network on one test set, see evaluation.metrics.summary
Cell = tuple[int, int]  # K, d
INTERVAL = f"{100 * LEVEL:.0f} %"


@dataclass(frozen=True)
class TrainingSet:
    """The faces of corpora that a protocol uses: to train, and held out for validation."""

    datasets: Sequence[str]
    training: int
    validation: int

    @property
    def title(self) -> str:
        return " + ".join(self.datasets)


@dataclass(frozen=True)
class TestSet:
    """One test set and its measurements.

    networks: name (`evaluation.names`) → summary, in the order of the tables; imported: networks
    published elsewhere, likewise; cells: the sweep, columns K, d, S, pitch, yaw, roll, mae, faces;
    intervals, uncertainty, risk: as `hpe_core.evaluation` reports them; comparisons: as
    `comparison.compare` returns them; shared: kind of `leaks.find_shared` → `leaks.count_shared`.
    """

    name: str
    protocol: str
    train: str
    dataset: str
    networks: Mapping[str, Summary]
    imported: Mapping[str, Summary]
    cells: pd.DataFrame
    intervals: Mapping[str, Mapping[str, Sequence[float]]]
    comparisons: pd.DataFrame
    uncertainty: Mapping[str, Mapping[str, Any]]
    risk: pd.DataFrame
    shared: Mapping[str, Mapping[str, int] | None]

    @property
    def every_network(self) -> dict[str, Summary]:
        return {**self.networks, **{f"imported {key}": s for key, s in self.imported.items()}}

    @property
    def title(self) -> str:
        return f"{self.protocol}: {self.train} → {self.dataset}"

    def interval_text(self, network: str) -> str:
        """Of the MAE; none for networks published elsewhere."""
        if network not in self.intervals:
            return ""
        low, high = self.intervals[network]["mae"]
        return f"{low:.2f}–{high:.2f}"


@dataclass(frozen=True)
class PaperTables:
    """The paper's tables: 1 (counts), 2 to 4 (ensemble), 5 (methods); later: newer methods."""

    counts: pd.DataFrame
    ensemble: pd.DataFrame
    methods: pd.DataFrame
    later: pd.DataFrame


def windows_text(K: int, d: int, rotations_deg: Sequence[float], flip: bool) -> str:
    """An ensemble in words: “K=1, d=1, rotated by -10, 0, 10°, flipped”."""
    words = [f"K={K}, d={d}"]
    if any(rotations_deg):
        words.append(f"rotated by {', '.join(f'{angle:g}' for angle in rotations_deg)}°")
    return ", ".join([*words, "flipped"] if flip else words)


def ensemble_size(cell: Cell) -> int:
    """S of formula (5)."""
    radius, step = cell
    return int((2 * (radius // step) + 1) ** 2)


def jitter_by_level(jitter: pd.DataFrame) -> pd.DataFrame:
    """Columns test, network, kind, level, mae, faces: the mean over the directions of each level.

    jitter: what `evaluate` measured, with the test set's name in the column test.
    """
    keys = ["test", "network", "kind", "level"]
    means = jitter.groupby(keys, sort=False).agg({"mae": "mean", "faces": "first"})
    return means.reset_index()


@dataclass(frozen=True)
class Results:
    """All measurements, for the tables and the page.

    corpora: in words; teacher: K, d of the students' teacher; teacher_text: all of it, as
    `windows_text`; backbone: the base network's; train: protocol → training set;
    counts: dataset → what `filter` counted; elsewhere: networks published elsewhere on
    faces that are no test set here, name → corpus, summary;
    validation: protocol → network → summary, {} without validation faces; jitter: as from
    `jitter_by_level`.
    """

    corpora: str
    teacher: Cell
    teacher_text: str
    backbone: str
    tests: Sequence[TestSet]
    train: Mapping[str, TrainingSet]
    counts: Mapping[str, Summary]
    elsewhere: Mapping[str, tuple[str, Summary]]
    validation: Mapping[str, Mapping[str, Summary]]
    jitter: pd.DataFrame
    published: PaperTables

    def tests_of(self, protocol: str) -> list[TestSet]:
        return [test for test in self.tests if test.protocol == protocol]


def read_results(params: Path, metrics: Path, published: Path) -> Results:
    """All results that params.yaml lists. Raises InputError for missing or damaged files.

    metrics, published: the folders of what the stages measured, and of the paper's tables.
    """
    protocols = load(params, "protocols", dict[str, Protocol])
    grid = load(params, "ensemble", Ensemble)
    foreign = load(params, "imported", dict[str, Imported])
    imported = {key: read_json(metrics / f"imported/{key}.json") for key in foreign}
    tests = read_tests(params, metrics, imported)
    trained = [name for chosen in protocols.values() for name in chosen.train]
    datasets = dict.fromkeys([*trained, *(test.dataset for test in tests)])
    jitter = [read_csv(metrics / f"tests/{t.name}/jitter.csv").assign(test=t.name) for t in tests]
    return Results(
        corpora=load(params, "tables", Tables).corpora,
        teacher=(grid.K, grid.d),
        teacher_text=windows_text(grid.K, grid.d, grid.rotations_deg, grid.flip),
        backbone=load(params, "base", Base).backbone,
        tests=tests,
        train={
            name: TrainingSet(list(protocols[name].train), **sizes)
            for name, sizes in read_each(metrics / "protocols", protocols, "set").items()
        },
        counts=read_each(metrics / "corpora", datasets, "faces"),
        elsewhere={
            key: (foreign[key].dataset, summary)
            for key, summary in imported.items()
            if not any(key in test.imported for test in tests)
        },
        validation=read_each(metrics / "protocols", protocols, "validation"),
        jitter=jitter_by_level(pd.concat(jitter)),
        published=PaperTables(
            counts=read_csv(published / "counts.csv"),
            ensemble=read_csv(published / "ensemble.csv"),
            methods=read_csv(published / "methods.csv"),
            later=read_csv(published / "later.csv"),
        ),
    )


def read_each(folder: Path, names: Iterable[str], file: str) -> dict[str, Any]:
    """The JSON file `<name>/<file>.json` for each name."""
    return {name: read_json(folder / name / f"{file}.json") for name in names}


def read_tests(params: Path, metrics: Path, imported: Mapping[str, Summary]) -> list[TestSet]:
    """The test sets of params.yaml in its order.

    Raises InputError for a missing network, and where there is no test set.
    """
    tests = load(params, "tests", dict[str, Test])
    if not tests:
        raise InputError(f"{params}: tests: expected at least one test set, found {tests}")
    protocols = load(params, "protocols", dict[str, Protocol])
    foreign = load(params, "imported", dict[str, Imported])
    expected = listed_networks(params)
    found = []
    for name, test in tests.items():
        folder = metrics / "tests" / name
        networks, by_yaw = read_json(folder / "errors.json"), read_json(folder / "bands.json")
        absent = [key for key in expected if key not in networks]
        if absent:
            raise InputError(f"{folder / 'errors.json'}: no {absent}; found {sorted(networks)}")
        same = [k for k, v in foreign.items() if (v.dataset, v.where) == (test.dataset, test.where)]
        own = TestSet(
            name=name,
            protocol=test.protocol,
            train=" + ".join(protocols[test.protocol].train),
            dataset=test.dataset,
            networks={key: {**networks[key], "abs_yaw": by_yaw[key]} for key in expected},
            imported={key: imported[key] for key in same},
            cells=read_csv(folder / "cells.csv"),
            intervals=read_json(folder / "intervals.json"),
            comparisons=read_csv(folder / "comparisons.csv"),
            uncertainty=read_json(folder / "uncertainty.json"),
            risk=read_csv(folder / "risk.csv"),
            shared=read_json(metrics / f"protocols/{test.protocol}/leaks.json")[name],
        )
        found.append(own)
    return found
