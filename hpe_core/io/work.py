"""Unfinished work: how far a stage had come, kept for its next start.

DVC deletes a stage's outputs before it runs, so this lies elsewhere: a folder an output, below one
that git ignores. Its name has a digest of everything the work was computed from, so changed
parameters, inputs, code or packages start anew. Its files are written whole or not at all, and it
goes when the output is written.
"""

import fcntl
import importlib.metadata
import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Protocol

from hpe_core.errors import InputError
from hpe_core.io import files


class Processes(Protocol):
    """The processes that do the work together, under the names that Lightning Fabric gives them."""

    @property
    def device(self) -> Any: ...
    @property
    def is_global_zero(self) -> bool: ...
    @property
    def global_rank(self) -> int: ...
    @property
    def world_size(self) -> int: ...
    def broadcast(self, value: str) -> str: ...
    def barrier(self) -> None: ...


class OneProcess:
    """A stage without a network: it need not wait 3 s for torch."""

    is_global_zero, global_rank, world_size = True, 0, 1
    device = SimpleNamespace(type="cpu")

    def broadcast(self, value: str) -> str:
        return value

    def barrier(self) -> None:
        pass


class Work:
    """The folder of one output's unfinished work, shared by all processes.

    Training keeps its `state` here, other stages keep `shards`.
    """

    def __init__(self, folder: Path, first: bool) -> None:
        self.folder, self.first = folder, first
        self.kept = "nothing is saved"  # by this run or before it
        folder.mkdir(parents=True, exist_ok=True)

    def says(self, kept: str) -> None:
        """kept: what is saved, in words, for the line that an interrupted stage prints."""
        self.kept = f"{kept} saved, the next run goes on from there"


@contextmanager
def undamaged(path: Path) -> Iterator[None]:
    """Raises InputError that names the file where reading it fails."""
    try:
        yield
    except Exception as error:  # the unpickler raises whatever the damage makes of it
        raise InputError(f"{path}: unfinished work is damaged; delete it ({error})") from error


@contextmanager
def unfinished(
    folder: Path,
    output: Path,
    computed_from: Mapping[str, Any],
    processes: Processes,
) -> Iterator[Work]:
    """Work at an output: kept where the block fails or is stopped, removed where it succeeds.

    computed_from: JSON-able; all that the output depends on besides code, packages, the kind of
    device and the number of processes. Raises InputError where another run is at the same output,
    or one of this run's processes has other code or packages. An interruption and an
    OSError, such as a full disk's, get a note of what was saved.
    """
    stem, first = f"{output.parent.name}-{output.stem}", processes.is_global_zero
    machine = {"device": processes.device.type, "processes": processes.world_size}
    digest = fingerprint({"values": computed_from, **machine})
    if digest != processes.broadcast(digest):
        raise InputError(f"{output}: process {processes.global_rank} has other code or packages")
    own = folder / f"{stem}.{digest}"
    with _locked(folder / f"{stem}.lock", output) if first else nullcontext():
        if first:
            for other in folder.glob(f"{stem}.*/"):
                if other != own:
                    shutil.rmtree(other)
        work = Work(own, first)
        try:
            yield work
        except (KeyboardInterrupt, OSError) as stop:
            stop.add_note(f"{output}: {work.kept}")
            raise
        if first:
            shutil.rmtree(own)


def fingerprint(computed_from: Mapping[str, Any]) -> str:
    """A digest of the values, of this project's loaded code, and of Python and its packages."""
    modules = {name: getattr(module, "__file__", None) for name, module in sys.modules.items()}
    ours = ("hpe_core", "pipeline", "__main__")
    everything = {
        "values": computed_from,
        "code": {
            name: files.sha256(Path(file))
            for name, file in modules.items()
            if file and name.split(".")[0] in ours
        },
        "packages": sorted(f"{d.name} {d.version}" for d in importlib.metadata.distributions()),
        "python": sys.version,
    }
    return sha256(json.dumps(everything, sort_keys=True).encode()).hexdigest()[:16]


@contextmanager
def _locked(path: Path, output: Path) -> Iterator[None]:
    """The system lets go of the lock when the process ends, however it does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        os.register_at_fork(after_in_child=file.close)  # loaders may outlive a killed process
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(
                f"{output}: another process is making it, perhaps one that outlived its dvc; wait "
                "for it, or end it"
            ) from None
        yield
