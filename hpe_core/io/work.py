"""Unfinished work: how far a stage had come, kept for its next start.

DVC deletes a stage's outputs before it runs, so this lies elsewhere: one file an output, in a
folder that git ignores. Its name has a digest of everything the work was computed from, so changed
parameters, inputs, code or packages start anew. It is written whole or not at all, and goes when
the output is written.
"""

import fcntl
import importlib.metadata
import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch

from hpe_core.errors import InputError
from hpe_core.io import files


class Progress:
    """The state of unfinished work, replaced as it goes on.

    A state is a mapping of tensors and plain values. Of several processes all read it; the first
    (`writes`) keeps it.
    """

    def __init__(self, path: Path, writes: bool) -> None:
        self.path, self.writes = path, writes
        self.kept = "nothing is saved"

    def load(self) -> dict[str, Any] | None:
        """What was saved last; None where nothing was."""
        if not self.path.exists():
            return None
        try:
            state: dict[str, Any] = torch.load(self.path, map_location="cpu", weights_only=True)
        except Exception as error:  # the unpickler raises whatever the damage makes of it
            raise InputError(
                f"{self.path}: unfinished work is damaged; delete it ({error})"
            ) from error
        self.kept = state.pop("kept")
        return state

    def save(self, state: Mapping[str, Any], kept: str) -> None:
        """kept: what this state holds, in words, for the line that an interrupted stage prints."""
        kept = f"{kept} is saved, and the next run goes on from there"
        if self.writes:
            with files.atomic(self.path) as temporary:
                torch.save({**state, "kept": kept}, temporary)
        self.kept = kept


@contextmanager
def unfinished(
    folder: Path, output: Path, computed_from: Mapping[str, Any], first: bool
) -> Iterator[Progress]:
    """Work at an output: kept where the block fails or is stopped, removed where it succeeds.

    computed_from: JSON-able; all that the output depends on besides code and packages. first: the
    one process, or the first of several. Raises InputError where another process is at the same
    output. An interruption gets a note of what was saved.
    """
    stem = f"{output.parent.name}-{output.stem}"
    path = folder / f"{stem}.{fingerprint(computed_from)}.pt"
    progress = Progress(path, first)
    with _locked(folder / f"{stem}.lock", output) if first else _nothing():
        if first:
            for other in folder.glob(f"{stem}.*.pt"):
                if other != path:
                    other.unlink()
        try:
            yield progress
        except KeyboardInterrupt as stop:
            stop.add_note(f"{output}: {progress.kept}")
            raise
        if first:
            path.unlink(missing_ok=True)


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
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(
                f"{output}: another process is making it, perhaps one that outlived its dvc; wait "
                "for it, or end it"
            ) from None
        yield


@contextmanager
def _nothing() -> Iterator[None]:
    yield
