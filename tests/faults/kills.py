"""SIGKILL at random moments of a stage's life, again and again, until it is let finish."""

import os
import random
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

from tiny_project import ENVIRONMENT

from faults.project import WORK, Fault, Project, Run

LONG = ("redetect", "crop_train", "crop_test", "train_base", "ensemble", "sweep", "distill")
LONG += ("jitter", "validate", "evaluate")  # the last two start over


def moment(run: Run, saved: int) -> str:
    """Where in its life the stage was killed. saved: what earlier runs had left."""
    pending = ""
    for event, path in run.events:
        if event == "writes":
            pending = path
        elif event == "os.rename":
            pending = ""
    written = [path for path in run.files if not path.startswith(WORK)]
    if ("shutil.rmtree", WORK) in [(event, str(Path(path).parent)) for event, path in run.events]:
        return "cleaning up"
    if pending:
        return "saving" if pending.startswith(WORK) else "writing an output"
    if written:
        return "between outputs"
    return "between saves" if saved + run.saves else "before the first save"


def kill(project: Project, name: str, kills: int, chance: random.Random) -> Counter[str]:
    """Kills a stage so many times and counts the moments; whatever is lost or wrong, asserts.

    Half of the kills come at a random time, half before a random event: a file is opened, renamed,
    removed. Each next run must go on with everything saved, except after a kill in the clean-up.
    """
    whole, moments = project.whole[name], Counter[str]()
    while moments.total() < kills:
        saved, cleaned = 0, False
        for _ in range(chance.randint(1, 4)):
            at_event = chance.randrange(len(whole.events))
            by_time = Fault(kill_after=chance.uniform(0, whole.seconds))
            run = project.run(name, chance.choice([by_time, Fault(kill_at=at_event)]))
            if run.code == 0:
                break
            assert run.code == -signal.SIGKILL, f"{name}: {run.text}"
            where = moment(run, saved)
            moments[where] += 1
            if where == "cleaning up":
                cleaned = True
                break
            before, saved = saved, project.saved()
            assert 0 <= saved - before - run.saves <= 1, "work was lost, or saved unseen"
        else:
            run = project.run(name)
        if run.code:
            run = project.run(name)
        project.check_finished(name, run)
        assert cleaned or run.saves == whole.saves - saved, f"{name}: {saved} saved"
    return moments


def start_repro(root: Path, *targets: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        ["dvc", "repro", *targets],
        cwd=root, env={**ENVIRONMENT, "PYTHONPATH": str(root)}, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def kill_repro(root: Path, targets: list[str], kills: int, chance: random.Random) -> Counter[str]:
    """Kills `dvc repro` with its stage, or alone; the last one is let finish."""
    ends = Counter[str]()
    while True:
        process = start_repro(root, *targets)
        if ends["killed"] == kills:
            break
        ...
    return ends
