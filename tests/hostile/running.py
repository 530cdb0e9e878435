"""Runs a stage on hostile input and looks at how it ends, and at what it leaves behind."""

import os
import runpy
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
from hostile.case import Expected

ROOT = Path(__file__).parents[2]
MEGABYTE = 2**20
MOST_MB = {"check": 300, "index": 450, "redetect": 1200}  # Python and its packages are most of it
CPU_SECONDS, SECONDS = 20, 120  # the second for one that waits for ever


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str


Run = Callable[..., Ended]


@pytest.fixture
def run(monkeypatch, capfd, tmp_path) -> Run:
    """run(stage, heavy=…, option=value …): the stage's command line in this process, or in one of
    its own where it may go wrong badly. Only what lies below `tmp_path/out` may change.
    """
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.chdir(tmp_path)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def command(stage: str, *, heavy: bool = False, **options: object) -> Ended:
        words = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
        before = files_of(tmp_path)
        ended = in_a_process(stage, words) if heavy else here(stage, words)
        assert files_of(tmp_path) == before, "something was written beside the outputs"
        assert "Traceback" not in ended.err
        if ended.code:
            last = ended.err.split("\r")[-1].strip().splitlines()
            assert ended.code == 1
            assert last[-1].startswith("error: "), ended.err
        return ended

    def here(stage: str, words: list[str]) -> Ended:
        monkeypatch.setattr(sys, "argv", [stage, *words])
        code = 0
        try:
            runpy.run_module(f"pipeline.{stage}", run_name="__main__")
        except SystemExit as end:  # with its message, which the interpreter would print
            code = 1
            print(end.code, file=sys.stderr)
        return Ended(code, *capfd.readouterr())

    yield command
    for number, handler in handlers.items():
        signal.signal(number, handler)


# A process that limits its memory, runs a stage, and ends by printing its peak in kB. (What the
# parent is told of the child's peak includes the parent's own, from before the child's exec.)
LIMITED = """
import atexit, pathlib, resource, runpy, sys
resource.setrlimit(resource.RLIMIT_DATA, [int(sys.argv.pop(1))] * 2)
resource.setrlimit(resource.RLIMIT_CPU, [int(sys.argv.pop(1))] * 2)
status = pathlib.Path("/proc/self/status")
atexit.register(lambda: print(status.read_text().split("VmHWM:")[1].split()[0]))
runpy.run_module("pipeline." + sys.argv.pop(1), run_name="__main__", alter_sys=True)
"""


def in_a_process(stage: str, words: list[str]) -> Ended:
    """With bounded time and memory, both of which a careless reader would exceed."""
    most = MOST_MB[stage] * MEGABYTE
    start = ["timeout", "-s", "KILL", str(SECONDS), sys.executable, "-c", LIMITED]
    child = subprocess.run(
        [*start, str(4 * most), str(CPU_SECONDS), stage, *words], capture_output=True, text=True
    )
    assert child.returncode not in (137, -9), f"still running after {SECONDS} s"
    assert child.returncode in (0, 1), f"ended with {child.returncode}: {child.stderr[-2000:]}"
    *out, peak_kb = child.stdout.splitlines()
    assert int(peak_kb) * 1024 < most, f"took {int(peak_kb) // 1024} MB"
    return Ended(child.returncode, "\n".join(out), child.stderr)


def files_of(folder: Path) -> dict[str, tuple[int, int]]:
    """Everything below `folder` but for the stages' outputs, with size and time of change."""
    found = {}
    for place, folders, files in os.walk(folder):
        if place == str(folder) and "out" in folders:
            folders.remove("out")
        for name in (*folders, *files):
            state = os.lstat(f"{place}/{name}")
            found[f"{place}/{name}"] = (state.st_size, state.st_mtime_ns)
    return found


def says(text: str, words: tuple[str, ...]) -> None:
    missing = [word for word in words if word not in text]
    assert not missing, f"{missing} is not in {text!r}"


def check_end(ended: Ended, expected: Expected, report: pd.DataFrame) -> None:
    """That the case ended as it has to. report: one row for each face or file lost."""
    if expected.end == "error":
        assert ended.code == 1
        says(ended.err, expected.words)
        assert len(ended.err) < 3000, "a line to be read"
        return
    assert ended.code == 0, ended.err
    if expected.end == "accepted":
        assert report.empty, report.to_dict("records")
    else:
        assert len(report) == 1, report.to_dict("records")
        says(": ".join(report.iloc[0].astype(str)), expected.words)
