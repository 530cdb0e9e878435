"""A tiny project whose stages run in forked children, each with a fault planted in it.

Stages have DVC's own command lines. A fork server has imported everything they need, so that a run
costs a second, not four. An audit hook in the child writes down what happens to files.
"""

import ctypes
import fcntl
import hashlib
import multiprocessing
import os
import re
import resource
import shlex
import shutil
import signal
import struct
import sys
import time
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path

import forks
import torch
import yaml
from dvc.repo import Repo
from tiny_project import checkout

from hpe_core.common.stage import run
from hpe_core.faces import cut_sets
from hpe_core.work import shards

WORK = "data/work"
WATCHED = {"open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "shutil.rmtree"}
WATCHED |= {"pathlib.Path.glob"}  # `files.atomic` looks for remains before it writes
HANG = 300  # seconds; no run takes a tenth of it
ROWS = 4  # of a shard
EPOCHS = 6

# A process of its own that runs a stage with small shards.
SMALL = "import sys; from faults.project import run_stage; run_stage(sys.argv[1], sys.argv[2:])"


@dataclass(frozen=True)
class Fault:
    """What happens to a stage; by default nothing.

    kill_after: seconds; kill_at: the event before which it dies, or only a loader of its training
    views; full, room: a file of which no more than so many bytes fit on the disk; powerless:
    without root's way into read-only folders.
    """

    kill_after: float | None = None
    kill_at: int | None = None
    loader: bool = False
    full: str = ""
    room: int = 0
    powerless: bool = False


NOTHING = Fault()


@dataclass(frozen=True)
class Run:
    """code: minus the signal that ended it; text: what it printed; events: (name, path)."""

    code: int
    text: str
    events: list[tuple[str, str]]
    seconds: float

    @property
    def files(self) -> list[str]:
        """What it began to write, in that order."""
        return [path for event, path in self.events if event == "writes"]

    @property
    def saves(self) -> int:
        return sum(event == "os.rename" and path.startswith(WORK) for event, path in self.events)

    @property
    def last_line(self) -> str:
        """A progress bar that was interrupted as it closed leaves no line break behind it."""
        last = self.text.strip().splitlines()[-1] if self.text.strip() else ""
        return re.sub(r"^\s*\d+%\|.*\](?=error: )", "", last)


@dataclass(frozen=True)
class Stage:
    module: str
    words: list[str]
    outs: list[str]


class Project:
    """The tiny project below `folder`, with every stage's outputs of an undisturbed run."""

    def __init__(self, folder: Path) -> None:
        self.root = checkout(folder)
        params = yaml.safe_load((self.root / "params.yaml").read_text())
        params["seeds"] = [1]
        params["base"]["epochs"] = params["distill"]["epochs"] = EPOCHS
        params["ensemble"] |= {"rotations_deg": [0.0], "flip": False}
        params["sweep"]["max_faces"], params["jitter"]["max_faces"] = None, 2
        params["compute"] |= {"workers": 1, "infer_batch": 36}  # 4 faces of the ensemble
        (self.root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
        self.stages, self.whole, self.contents = {}, {}, {}
        for stage in Repo(self.root).index.stages:
            words = shlex.split(stage.cmd.removeprefix("$HPE_LAUNCH "))[2:]
            outs = [os.path.relpath(out.fs_path, self.root) for out in stage.outs]
            self.stages[stage.addressing.split(":")[-1]] = Stage(words[0], words[1:], outs)
        student, published = "data/models/p2/kd-resnet8-1.safetensors", "data/published.pth"
        words = ["--network", student, "--output", published]
        self.stages["export"] = Stage("pipeline.export", words, [published])  # DVC knows none
        for name in self.stages:
            self.whole[name] = self.run(name)
            assert self.whole[name].code == 0, self.whole[name].text
            self.contents[name] = self.outputs(name)

    def outputs(self, name: str) -> dict[str, str]:
        """File → sha256, of all that a stage writes for others."""
        found = [path for out in self.stages[name].outs for path in files_of(self.root / out)]
        return {
            str(path.relative_to(self.root)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in found
        }

    def remove_outputs(self, name: str) -> None:
        """As DVC does before it runs a stage."""
        for out in self.stages[name].outs:
            path = self.root / out
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)

    def run(self, name: str, fault: Fault = NOTHING, keep: bool = False) -> Run:
        """keep: outputs that are there already, which DVC would remove first."""
        if not keep:
            self.remove_outputs(name)
        reader, writer = multiprocessing.Pipe(duplex=False)
        fcntl.fcntl(writer.fileno(), fcntl.F_SETPIPE_SZ, 1 << 20)  # all of it fits
        stage, begun = self.stages[name], time.monotonic()
        child = forks.start(
            stage.module, stage.words, writer, folder=self.root, prepare=partial(_prepare, fault)
        )
        writer.close()
        child.join(fault.kill_after if fault.kill_after is not None else HANG)
        seconds = time.monotonic() - begun
        hung = child.is_alive() and fault.kill_after is None
        child.kill()
        child.join()
        assert not hung, f"{name} hangs: {read_all(reader)}"
        return parsed(child.exitcode, read_all(reader), seconds)

    def saved(self) -> int:
        """Epochs or shards that unfinished work holds."""
        work = self.root / WORK
        states = [torch.load(path)["history"] for path in work.glob("*/state.pt")]
        return sum(map(len, states)) + len([*work.glob("*/*.npz")])

    def temporary(self) -> list[str]:
        return [str(path.relative_to(self.root)) for path in self.root.rglob(".*.tmp")]

    def check_clean(self, name: str, run: Run) -> None:
        """It ended well and left nothing but its outputs."""
        assert run.code == 0, f"{name}: {run.text}"
        assert self.temporary() == []
        left = [path.name for path in files_of(self.root / WORK) if path.suffix != ".lock"]
        assert left == [], f"{name}: work was left behind: {left}"

    def check_finished(self, name: str, run: Run) -> None:
        """It ended well, with the bytes of the undisturbed run and nothing else on the disk."""
        self.check_clean(name, run)
        assert self.outputs(name) == self.contents[name], name

    def check_refused(self, name: str, run: Run, path: str, saved: int) -> None:
        """It ended with one line on `path`; older outputs and `saved` work are intact."""
        assert run.code == 1, f"{name}, {path}: {run.text}"
        assert run.last_line.startswith("error: "), f"{name}, {path}: {run.text}"
        assert path in run.last_line, f"{name}, {path}: {run.text}"
        assert ".tmp" not in run.last_line
        assert "Traceback" not in run.text
        assert self.outputs(name) == self.contents[name], f"{name}, {path}"
        assert self.temporary() == []
        assert self.saved() >= saved, f"{name}, {path}"


def files_of(path: Path) -> list[Path]:
    return sorted(each for each in [path, *path.rglob("*")] if each.is_file())


def read_all(reader: Connection) -> str:
    """What is in the pipe; a worker that outlives its stage would keep it open."""
    os.set_blocking(reader.fileno(), False)
    try:
        return os.read(reader.fileno(), 1 << 20).decode(errors="replace")
    except BlockingIOError:
        return ""


def parsed(code: int, text: str, seconds: float) -> Run:
    events = [(event, path) for event, path in re.findall(r"@(\S+) (.*)\n", text)]
    return Run(code, re.sub(r"@\S+ .*\n", "", text), events, seconds)


def small_shards() -> None:
    """Unfinished work that a stage of the tiny project saves more than once."""
    shards.in_shards.__defaults__ = ("all", ROWS)
    cut_sets._SHARD = ROWS


def run_stage(module: str, words: list[str]) -> None:
    """The stage as its own process runs it."""
    small_shards()
    sys.argv = [module, *words]
    run(import_module(module).main)


def _prepare(fault: Fault) -> None:
    """In the child, before its stage."""
    _plant(fault)
    if fault.powerless:
        version_and_process = struct.pack("Ii", 0x20080522, 0)
        assert ctypes.CDLL(None).capset(version_and_process, bytes(24)) == 0
    small_shards()


def _plant(fault: Fault) -> None:
    """Announces what happens to files, and makes the fault happen."""
    own, seen = os.getpid(), 0
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)

    def hook(event: str, words: tuple) -> None:
        nonlocal seen
        if event not in WATCHED or os.getpid() != own or not words:
            return
        path = os.path.relpath(str(words[0])) if isinstance(words[0], str | Path) else ""
        if event == "pathlib.Path.glob":
            if not str(words[1]).endswith(".tmp"):
                return
            event, path = "writes", f"{path}/{str(words[1]).removesuffix('.*.tmp')[1:]}"
            if path == fault.full:
                resource.setrlimit(resource.RLIMIT_FSIZE, (fault.room, most))
        elif event == "open" and not path.endswith(".tmp"):
            return
        if seen == fault.kill_at:
            victim = multiprocessing.active_children()[0].pid if fault.loader else own
            os.kill(victim, signal.SIGKILL)
        seen += 1
        os.write(2, f"@{event} {path}\n".encode())

    sys.addaudithook(hook)
