"""Unfinished work is kept for the same inputs, and only one process at a time is at an output."""

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import torch

from hpe_core.common.errors import InputError
from hpe_core.training.state import SavedState
from hpe_core.work import resume as work
from hpe_core.work.resume import unfinished


@pytest.fixture
def output(tmp_path):
    return tmp_path / "models" / "p1" / "base-1.safetensors"


def process(rank=0, world=1, device="cpu", first_digest=None):
    return SimpleNamespace(
        global_rank=rank, world_size=world, is_global_zero=rank == 0,
        device=torch.device(device), broadcast=lambda digest: first_digest or digest,
    )  # fmt: skip


@contextmanager
def at(tmp_path, output, value, fabric=None):
    with unfinished(tmp_path / "work", output, {"value": value}, fabric or process()) as kept:
        yield SavedState(kept)


def stopped(tmp_path, output, value, number, error=RuntimeError):
    with pytest.raises(error), at(tmp_path, output, value) as progress:
        progress.save({"number": number, "weights": torch.arange(3.0)}, f"epoch {number} of 9 is")
        raise error


def test_work_is_kept_until_it_succeeds(tmp_path, output):
    with at(tmp_path, output, 1) as progress:
        assert progress.load() is None
    stopped(tmp_path, output, 1, 3)
    with at(tmp_path, output, 1) as progress:
        state = progress.load()
        assert state["number"] == 3
        assert torch.equal(state["weights"], torch.arange(3.0))
    assert [path.suffix for path in (tmp_path / "work").iterdir()] == [".lock"]


def test_other_inputs_start_anew(tmp_path, output):
    stopped(tmp_path, output, 1, 3)
    neighbour = output.with_name("base-2.safetensors")
    stopped(tmp_path, neighbour, 1, 5)
    with at(tmp_path, output, 2) as progress:
        assert progress.load() is None
    with at(tmp_path, output, 1) as progress:
        assert progress.load() is None, "what belongs to other inputs was left behind"
    with at(tmp_path, neighbour, 1) as progress:
        assert progress.load()["number"] == 5


@pytest.mark.parametrize("changed", ["code", "package", "value"])
def test_the_fingerprint_sees(monkeypatch, tmp_path, changed):
    module = tmp_path / "m.py"
    module.write_text("a = 1")
    monkeypatch.setitem(sys.modules, "hpe_core.m", type(sys)("hpe_core.m"))
    sys.modules["hpe_core.m"].__file__ = str(module)
    before = work.fingerprint({"lr": 1.0})
    assert work.fingerprint({"lr": 1.0}) == before
    if changed == "code":
        module.write_text("a = 2")
    if changed == "package":
        monkeypatch.setattr(work.importlib.metadata, "distributions", list)
    assert work.fingerprint({"lr": 2.0 if changed == "value" else 1.0}) != before


def test_two_processes_at_one_output(tmp_path, output):
    with (
        at(tmp_path, output, 1),
        pytest.raises(InputError, match=r"base-1\.safetensors: another process"),
        at(tmp_path, output, 1),
    ):
        pass
    with at(tmp_path, output, 1), at(tmp_path, output.with_name("base-2.safetensors"), 1):
        pass  # another output


def test_a_process_that_dies_lets_go(tmp_path, output):
    code = (
        "import os, pathlib, sys\n"
        "from hpe_core.work.resume import OneProcess, unfinished\n"
        "with unfinished(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), {}, OneProcess()):\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "work"), str(output)]
    assert subprocess.run(command, check=False).returncode == -9
    with at(tmp_path, output, 1):
        pass


def test_only_the_first_of_several_processes_writes(tmp_path, output):
    with pytest.raises(RuntimeError), at(tmp_path, output, 1, process(0, 2)) as progress:
        progress.save({"number": 3}, "epoch 3 of 9 is")
        raise RuntimeError
    with at(tmp_path, output, 1, process(1, 2)) as progress:
        progress.save({"number": 4}, "epoch 4 of 9 is")
        assert progress.load()["number"] == 3
    with at(tmp_path, output, 1, process(0, 2)) as progress:
        assert progress.load()["number"] == 3


@pytest.mark.parametrize(
    "other", [process(0, 2), process(device="cuda")], ids=["processes", "device"]
)
def test_another_machine_starts_anew(tmp_path, output, other):
    stopped(tmp_path, output, 1, 3)
    with at(tmp_path, output, 1, other) as progress:
        assert progress.load() is None


def test_processes_with_other_packages_are_refused(tmp_path, output):
    with (
        pytest.raises(InputError, match=r"process 1 has different code or packages"),
        at(tmp_path, output, 1, process(1, 2, first_digest="0" * 16)),
    ):
        pass


def test_a_fork_does_not_keep_the_lock(tmp_path, output):
    with at(tmp_path, output, 1):
        child = os.fork()
        if not child:
            time.sleep(30)
            os._exit(0)
    try:
        with at(tmp_path, output, 1):
            pass
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_a_damaged_state_is_named(tmp_path, output):
    stopped(tmp_path, output, 1, 3)
    (path,) = (tmp_path / "work").glob("*/state.pt")
    path.write_bytes(path.read_bytes()[:400])
    with (
        pytest.raises(InputError, match=rf"{path.name}: unfinished work is damaged; delete it"),
        at(tmp_path, output, 1) as progress,
    ):
        progress.load()


GOES_ON = "base-1.safetensors: epoch 3 of 9 is saved; the next run continues from there"


@pytest.mark.parametrize(
    ("saved", "words"),
    [
        pytest.param("now", GOES_ON, id="by this run"),
        pytest.param("before", GOES_ON, id="by an earlier run"),
        pytest.param("never", "base-1.safetensors: nothing is saved", id="nothing"),
    ],
)
def test_an_interruption_says_what_was_saved(tmp_path, output, saved, words):
    if saved == "before":
        stopped(tmp_path, output, 1, 3)
    with pytest.raises(KeyboardInterrupt) as stop, at(tmp_path, output, 1) as progress:
        progress.load()
        if saved == "now":
            progress.save({}, "epoch 3 of 9 is")
        raise KeyboardInterrupt
    (note,) = stop.value.__notes__
    assert note.endswith(words)
