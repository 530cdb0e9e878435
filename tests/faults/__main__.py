"""Kills every long stage, pairs of processes and `dvc repro`, and says what became of it.

    PYTHONPATH=tests python -m faults --kills 300

Ends with an error where anything was lost, left behind or came out different.
"""

import random
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pandas as pd
from faults.kills import LONG, SHARED, cloned, kill, kill_pair, kill_repro
from faults.project import Project
from tiny_project import call, checkout

from hpe_core.common.stage import run
from hpe_core.tables.formatting import markdown


def main(*, kills: int = 300, seed: int = 0) -> None:
    repros, pairs = kills // 6, kills // 30
    rows = []
    with tempfile.TemporaryDirectory() as made, tempfile.TemporaryDirectory() as reference:
        project = Project(Path(made))
        names = [name for name in project.stages if name.split("@")[0] in LONG]
        shared = [name for name in names if name.split("@")[0] in SHARED]
        for name, count in shares(names, kills - repros - pairs):
            rows.append(tried(name, lambda c, n=name, k=count: kill(project, n, k, c), seed))
        for name, count in shares(shared, pairs):
            what = f"{name}, two processes"
            rows.append(tried(what, lambda c, n=name, k=count: kill_pair(project, n, k, c), seed))
        root = checkout(Path(reference))
        call(root, "dvc", "repro")
        call(root, "git", "add", "-A")
        call(root, "git", "commit", "-qm", "results")
        clone = cloned(root, Path(made))
        rows.append(tried("dvc repro", lambda c: kill_repro(root, clone, [], repros, c), seed))
    print(markdown(pd.DataFrame(rows), 0))
    if failures := [row for row in rows if row["wrong"]]:
        raise SystemExit(f"{len(failures)} of {len(rows)} went wrong")


def shares(names: list[str], kills: int) -> list[tuple[str, int]]:
    """As many kills for each name as for the others, or one more."""
    return [(name, (kills + place) // len(names)) for place, name in enumerate(names)]


def tried(
    what: str, attempt: Callable[[random.Random], Counter[str]], seed: int
) -> dict[str, object]:
    try:
        moments, wrong = attempt(random.Random(f"{what} {seed}")), ""
    except AssertionError as error:
        moments, wrong = Counter[str](), str(error)
    where = ", ".join(f"{moment} {count}" for moment, count in moments.most_common())
    row = {"killed": what, "kills": moments.total(), "where": where, "wrong": wrong}
    print(row, flush=True)
    return row


if __name__ == "__main__":
    run(main)
