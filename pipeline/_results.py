"""What stages measured, read again: for the tables, and for the page.

Only what params.yaml lists is read: folders may hold results of tests that are no longer there.
"""

from argparse import ArgumentParser
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import pandas as pd

from hpe_core.errors import InputError
from hpe_core.io.files import read_json
from hpe_core.io.tables import read_csv
from hpe_core.paper_tables import (
    Published,
    Summary,
    TestSet,
    TrainingSet,
    jitter_by_level,
    windows_text,
)
from hpe_core.params.learning import Base, Ensemble
from hpe_core.params.loading import load
from hpe_core.params.protocols import Imported, Protocol, Students, Test
from hpe_core.params.results import Tables
from hpe_core.sheets import Results


@dataclass(frozen=True)
class Folders:
    """Where stages write what they measured: a file a test set, protocol, corpus or network."""

    tests: Path
    bands: Path
    cells: Path
    intervals: Path
    comparisons: Path
    uncertainty: Path
    risk: Path
    jitter: Path
    counts: Path
    sets: Path
    leaks: Path
    validation: Path
    imported: Path
    published: Path


def add_folders(parser: ArgumentParser) -> None:
    """An option for each of `Folders`."""
    for folder in fields(Folders):
        parser.add_argument(f"--{folder.name}", type=Path, required=True)


def read_results(params: Path, folders: Folders) -> Results:
    """Everything of the params file. Raises InputError for what is missing or damaged."""
    protocols = load(params, "protocols", dict[str, Protocol])
    grid = load(params, "ensemble", Ensemble)
    foreign = load(params, "imported", dict[str, Imported])
    tests = read_tests(params, protocols, foreign, folders)
    datasets = dict.fromkeys([*(p.train for p in protocols.values()), *(t.dataset for t in tests)])
    return Results(
        corpora=load(params, "tables", Tables).corpora,
        teacher=(grid.K, grid.d),
        teacher_text=windows_text(grid.K, grid.d, grid.turns_deg, grid.flip),
        backbone=load(params, "base", Base).backbone,
        tests=tests,
        train={
            name: TrainingSet(p.train, **read_json(folders.sets / f"{name}.json"))
            for name, p in protocols.items()
        },
        counts={name: read_json(folders.counts / f"{name}.json") for name in datasets},
        elsewhere=read_elsewhere(tests, foreign, folders.imported),
        validation={name: read_json(folders.validation / f"{name}.json") for name in protocols},
        jitter=jitter_by_level(read_jitter(tests, folders.jitter)),
        published=read_published(folders.published),
    )


def read_tests(
    params: Path,
    protocols: Mapping[str, Protocol],
    foreign: Mapping[str, Imported],
    folders: Folders,
) -> list[TestSet]:
    """The test sets of params.yaml in its order.

    Raises InputError for a missing network, and where there is no test set.
    """
    listed = load(params, "tests", dict[str, Test])
    if not listed:
        raise InputError(f"{params}: tests: expected at least one test set, found {listed}")
    expected = ["base", "ensemble", *(f"kd-{s}" for s in load(params, "students", Students))]
    return [
        read_test(name, test, protocols[test.protocol].train, expected, foreign, folders)
        for name, test in listed.items()
    ]


def read_test(
    name: str,
    test: Test,
    train: str,
    expected: list[str],
    foreign: Mapping[str, Imported],
    folders: Folders,
) -> TestSet:
    networks = read_json(folders.tests / f"{name}.json")
    by_yaw = read_json(folders.bands / f"{name}.json")
    absent = [key for key in expected if key not in networks]
    if absent:
        raise InputError(f"{folders.tests / name}.json: no {absent}; found {sorted(networks)}")
    return TestSet(
        name=name,
        protocol=test.protocol,
        train=train,
        dataset=test.dataset,
        networks={key: {**networks[key], "abs_yaw": by_yaw[key]} for key in expected},
        imported={
            key: read_json(folders.imported / f"{key}.json")
            for key, network in foreign.items()
            if (network.dataset, network.where) == (test.dataset, test.where)
        },
        cells=read_csv(folders.cells / f"{name}.csv"),
        intervals=read_json(folders.intervals / f"{name}.json"),
        comparisons=read_csv(folders.comparisons / f"{name}.csv"),
        uncertainty=read_json(folders.uncertainty / f"{name}.json"),
        risk=read_csv(folders.risk / f"{name}.csv"),
        shared=read_json(folders.leaks / f"{test.protocol}.json")[name],
    )


def read_elsewhere(
    tests: list[TestSet], foreign: Mapping[str, Imported], folder: Path
) -> dict[str, tuple[str, Summary]]:
    """Imported networks that were evaluated on faces that are no test set here."""
    placed = {key for test in tests for key in test.imported}
    return {
        key: (network.dataset, read_json(folder / f"{key}.json"))
        for key, network in foreign.items()
        if key not in placed
    }


def read_jitter(tests: list[TestSet], folder: Path) -> pd.DataFrame:
    """What the stage `jitter` measured on every test set, with its name in the column `test`."""
    parts = [read_csv(folder / f"{test.name}.csv").assign(test=test.name) for test in tests]
    return pd.concat(parts)


def read_published(folder: Path) -> Published:
    return Published(*(read_csv(folder / f"{n}.csv") for n in ("counts", "ensemble", "methods")))
