"""SIGKILL at random moments of a stage's life, again and again, until it is let finish."""

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import yaml
from faults.project import HANG, SMALL, WORK, Fault, Project, Run, parsed, small_shards
from forks import start_ranks
from tiny_project import ENVIRONMENT, ROOT, call

RESUMED = (
    *("redetect", "crop_train", "crop_test", "train_base", "ensemble", "sweep"),
    *("distill", "control", "predict"),
)
LONG = (*RESUMED, "validate", "evaluate")  # the last two start over
SHARED = ("train_base", "ensemble")  # tried with two processes, too
# What dvc writes in place, and what it says of half of it.
CUT_OFF = {"dvc.lock": "'./dvc.lock'", ".dvc/tmp/rwlock": "Unable to read RWLock-file"}
MAKING = "another process is making it"


def moment(run: Run, saved: int) -> str:
    """Where in its life the stage was killed. saved: what earlier runs had left."""
    pending = ""
    for event, path in run.events:
        if event == "writes":
            pending = path
        elif event == "os.rename":
            pending = ""
    if any(event == "shutil.rmtree" and path.startswith(WORK) for event, path in run.events):
        return "cleaning up"
    if pending:
        return "saving" if pending.startswith(WORK) else "writing an output"
    if any(not path.startswith(WORK) for path in run.files):
        return "between outputs"
    return "between saves" if saved + run.saves else "before the first save"


def kill(project: Project, name: str, kills: int, chance: random.Random) -> Counter[str]:
    """Kills a stage so many times and counts the moments; asserts that nothing is lost or wrong.

    Half of the kills come at a random time, half before a random event: a file is opened, renamed,
    removed. Each next run must go on with everything saved, except after a kill in the clean-up.
    """
    whole, moments = project.whole[name], Counter[str]()
    while moments.total() < kills:
        saved, cleaned = 0, False
        for _ in range(min(chance.randint(1, 4), kills - moments.total())):
            by_time = Fault(kill_after=chance.uniform(0, whole.seconds))
            at_event = Fault(kill_at=chance.randrange(len(whole.events)))
            run = project.run(name, chance.choice([by_time, at_event]))
            if run.code == 0:
                break
            assert run.code == -signal.SIGKILL, f"{name}: {run.text}"
            moments[moment(run, saved)] += 1
            cleaned = moment(run, saved) == "cleaning up"
            if cleaned:
                break
            before, saved = saved, project.saved()
            assert abs(saved - before - run.saves) <= 1, f"{name}: {before}, then {saved} saved"
        if run.code:
            run = project.run(name)
        project.check_finished(name, run)
        assert cleaned or run.saves == whole.saves - saved, f"{name}: not from {saved} saved"
    return moments


def start_pair(project: Project, name: str) -> subprocess.Popen[bytes]:
    """A stage shared by two processes of torchrun."""
    stage = project.stages[name]
    launch = ("torch.distributed.run", "--standalone", "--nproc-per-node=2", "--no-python")
    line = [sys.executable, "-m", *launch, sys.executable, "-c", SMALL, stage.module, *stage.words]
    path = os.pathsep.join(map(str, (ROOT, ROOT / "tests")))
    environment = {**ENVIRONMENT, "OMP_NUM_THREADS": "1", "PYTHONPATH": path}
    with (project.root / "tmp.log").open("wb") as log:
        return subprocess.Popen(
            line, cwd=project.root, env=environment, stdout=log, stderr=log, start_new_session=True
        )


def finished_pair(project: Project, name: str) -> dict[str, str]:
    """Outputs of two undisturbed processes, from wherever they start."""
    stage, log = project.stages[name], project.root / "tmp.log"
    log.unlink(missing_ok=True)
    ranks = start_ranks(
        2, stage.module, stage.words, log, folder=project.root, prepare=small_shards
    )
    for rank in ranks:
        rank.join(HANG)
    text = log.read_text(errors="replace")
    assert [rank.exitcode for rank in ranks] == [0, 0], f"{name}: {text}"
    project.check_clean(name, parsed(0, text, 0.0))
    return project.outputs(name)


def kill_pair(project: Project, name: str, kills: int, chance: random.Random) -> Counter[str]:
    """Kills both processes and torchrun, or one of the two, after the first save."""
    victims = Counter[str]()
    project.remove_outputs(name)
    whole = finished_pair(project, name)
    while victims.total() < kills:
        project.remove_outputs(name)
        process = start_pair(project, name)
        saved = project.saved()
        while project.saved() <= saved and process.poll() is None:
            time.sleep(0.01)
        time.sleep(chance.uniform(0, 0.1))
        if one := victims.total() % 2 == 0:
            os.kill(chance.choice(children(process.pid)), signal.SIGKILL)
        else:
            os.killpg(process.pid, signal.SIGKILL)
        assert process.wait(HANG) != 0, f"{name}: was done before it was killed"
        victims["one of two" if one else "both"] += 1
        project.remove_outputs(name)
        assert finished_pair(project, name) == whole, name
    return victims


def children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def start_repro(root: Path, log: Path, targets: list[str]) -> subprocess.Popen[bytes]:
    environment = {**ENVIRONMENT, "PYTHONPATH": str(root)}
    with log.open("wb") as file:
        return subprocess.Popen(
            ["dvc", "repro", *targets],
            cwd=root, env=environment, stdout=file, stderr=file, start_new_session=True,
        )  # fmt: skip


def cloned(reference: Path, folder: Path) -> Path:
    """The project as it was before the commit of its first results."""
    root = folder / "clone"
    call(folder, "git", "clone", "-q", str(reference), str(root))
    call(root, "git", "checkout", "-q", "HEAD~1")
    return root


def kill_repro(
    reference: Path, root: Path, targets: list[str], kills: int, chance: random.Random
) -> Counter[str]:
    """Kills `dvc repro` with its stage, or alone, and lets the last one finish.

    root: a clone of the reference, which had an undisturbed run. Counts what was running; a stage
    that outlives its dvc keeps the next one out.
    """
    log, running, done = root.with_suffix(".log"), Counter[str](), False
    while running.total() < kills or not done:
        if done:  # before its time: once more
            (root / "dvc.lock").unlink()
            shutil.rmtree(root / ".dvc/cache")
        process, left, done = start_repro(root, log, targets), kills - running.total(), False
        try:
            done = process.wait(chance.uniform(0.5, 12) if left else HANG) == 0
        except subprocess.TimeoutExpired:
            assert left, "dvc hangs"
            chance.choice([os.kill, os.killpg])(process.pid, signal.SIGKILL)
            process.wait()
            stages = re.findall(r"Running stage '(\w+)", log.read_text(errors="replace"))
            last = stages[-1] if stages else "before a stage"
            running[last] += 1
            continue
        text = log.read_text(errors="replace")
        if done:
            check_repro(reference, root, targets)
        elif cut_off := [name for name, words in CUT_OFF.items() if words in text]:
            (root / cut_off[0]).unlink()  # as its error says, or git checkout
            running.subtract([last])
            running[f"writing {cut_off[0]}"] += 1
        else:
            assert MAKING in text, text
            time.sleep(1)
    return running


def check_repro(reference: Path, root: Path, targets: list[str]) -> None:
    """The same dvc.lock as the undisturbed run's, with files that it describes, and no others."""
    found, expected = (
        yaml.safe_load((each / "dvc.lock").read_text())["stages"] for each in (root, reference)
    )
    assert found == {name: expected[name] for name in found}
    assert set(targets or expected) <= set(found)
    assert "Running stage" not in call(root, "dvc", "repro", *targets)
    assert [*root.glob("**/.*.tmp")] == []
    assert {path.suffix for path in (root / WORK).iterdir()} == {".lock"}
