"""Resuming: a stage that was stopped continues from what it had saved.

DVC deletes a stage's outputs before it runs, so unfinished work has a folder per output elsewhere,
below one that git ignores. The folder's name contains a digest of everything that the work depends
on: with other parameters, inputs, code or packages a stage starts afresh. Files are written
atomically, and the folder is deleted once the output is written.
"""

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

from hpe_core.common import files
from hpe_core.common.errors import InputError


class Processes(Protocol):
    """The processes that share the work, with Lightning Fabric's names."""

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
    """For stages without a network, which need not wait 3 s for torch."""

    is_global_zero, global_rank, world_size = True, 0, 1
    device = SimpleNamespace(type="cpu")

    def broadcast(self, value: str) -> str:
        return value

    def barrier(self) -> None:
        pass


class Work:
    """The folder with one output's unfinished work, shared by all processes.

    Training keeps its state here, other stages their shards.
    """

    def __init__(self, folder: Path, first: bool) -> None:
        self.folder, self.first = folder, first
        self.saved = "nothing is saved"  # by this run or earlier ones
        folder.mkdir(parents=True, exist_ok=True)

    def note_saved(self, saved: str) -> None:
        """saved: what has been saved, with its verb, for the message of an interrupted stage."""
        self.saved = f"{saved} saved; the next run continues from there"


@contextmanager
def undamaged(path: Path) -> Iterator[None]:
    """Turns any error of reading a file into an InputError that names it."""
    try:
        yield
    except Exception as error:  # on damaged data the unpickler can raise anything
        raise InputError(f"{path}: unfinished work is damaged; delete it ({error})") from error


@contextmanager
def unfinished(
    folder: Path, output: Path, computed_from: Mapping[str, Any], processes: Processes
) -> Iterator[Work]:
    """The unfinished work on an output: kept if the block fails or is stopped, else deleted.

    computed_from: JSON-able; everything the output depends on besides code, packages, device type
    and number of processes. Raises InputError if another run is making the same output, or if one
    of this run's processes has different code or packages. Adds a note of what was saved to
    KeyboardInterrupt and OSError (a full disk).
    """
    stem, first = f"{output.parent.name}-{output.stem}", processes.is_global_zero
    machine = {"device": processes.device.type, "processes": processes.world_size}
    digest = fingerprint({"values": computed_from, **machine})
    # Processes on several machines may have different checkouts: do not mix their results.
    if digest != processes.broadcast(digest):
        raise InputError(
            f"{output}: process {processes.global_rank} has different code or packages"
        )
    own = folder / f"{stem}.{digest}"
    with _locked(folder / f"{stem}.lock", output) if first else nullcontext():
        if first:
            # Work from other inputs is of no more use, and for a crops file it takes gigabytes.
            for other in folder.glob(f"{stem}.*/"):
                if other != own:
                    shutil.rmtree(other)
        work = Work(own, first)
        try:
            yield work
        except (KeyboardInterrupt, OSError) as stop:
            stop.add_note(f"{output}: {work.saved}")
            raise
        if first:
            shutil.rmtree(own)


def fingerprint(computed_from: Mapping[str, Any]) -> str:
    """A digest of the values, the loaded modules of this project, Python and its packages."""
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
    """Holds a lock file, which the system releases however the process ends."""
    import fcntl  # POSIX's: `hpe` imports this module elsewhere, too, but runs no stage

    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        os.register_at_fork(after_in_child=file.close)  # loader processes may outlive a killed run
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(
                f"{output}: another process is making it, perhaps one left over from a killed dvc; "
                "wait for it or end it"
            ) from None
        yield
