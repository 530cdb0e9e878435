"""Whole files or none: every artifact is written under a temporary name, synced and renamed."""

import glob
import hashlib
import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hpe_core.errors import InputError, UnreadableFileError
from hpe_core.io.origin import damaged, recorded_bytes


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yields a temporary path beside `path`; on success it becomes `path`, on error it is removed.

    The parent folder is made. Never opens `path` itself, which may be a read-only link into the
    DVC cache. What a killed process left under a temporary name goes: DVC would count it to a
    folder of networks. A disk's error names `path`, which libraries leave out.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for remains in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        remains.unlink(missing_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        if error.errno and str(error.filename or temporary) == str(temporary):
            raise OSError(error.errno, os.strerror(error.errno), str(path)) from error
        raise
    finally:
        if temporary.exists():  # a read-only disk refuses to remove what is not there, too
            temporary.unlink()


def regular_size(path: Path) -> int:
    """Bytes of a regular file, or of the one that a link leads to.

    Raises UnreadableFileError for anything else: reading a pipe may wait for ever, a device never
    end.
    """
    try:
        state = path.stat()
    except FileNotFoundError:
        raise UnreadableFileError(path, "no such file") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or str(error)
        raise UnreadableFileError(path, reason) from None
    if not stat.S_ISREG(state.st_mode):
        raise UnreadableFileError(path, "no regular file")
    return state.st_size


def read_at_most(path: Path, max_bytes: int) -> bytes:
    """A whole file that somebody else wrote. Raises UnreadableFileError before reading more."""
    size = regular_size(path)
    if size > max_bytes:
        raise UnreadableFileError(path, f"{size} bytes, expected at most {max_bytes}")
    try:
        return path.read_bytes()
    except OSError as error:
        raise UnreadableFileError(path, error.strerror or "cannot be read") from error


def sha256(path: Path) -> str:
    """Hex digest of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_sha256_beside(path: Path) -> None:
    """An input, which no stage wrote, has the sha256 that `<name>.sha256` beside it says.

    That file is what `sha256sum` writes; nothing is checked where there is none. Raises InputError
    where the two differ.
    """
    beside = path.with_name(f"{path.name}.sha256")
    if not beside.is_file():
        return
    expected, found = beside.read_text(errors="replace").split()[:1], sha256(path)
    if expected != [found]:
        raise InputError(
            f"{path}: damaged, or replaced: its sha256 is {found}, but {beside} says "
            f"{' '.join(expected) or 'nothing'}; get the file again or export it again, or put its "
            "sha256 there if it was replaced on purpose"
        )


def write_json(content: Any, path: Path, digits: int = 4) -> None:
    """JSON with sorted keys and floats of `digits` decimals: equal inputs give equal bytes."""
    with atomic(path) as temporary:
        text = json.dumps(_rounded(content, digits), indent=2, sort_keys=True, allow_nan=False)
        temporary.write_text(text + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """Raises InputError where the file is missing, or not what its stage wrote (`io.origin`)."""
    try:
        return json.loads(recorded_bytes(path))
    except ValueError as error:
        raise error if isinstance(error, InputError) else damaged(path, error) from error


def _rounded(content: Any, digits: int) -> Any:
    if isinstance(content, dict):
        return {str(key): _rounded(value, digits) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_rounded(value, digits) for value in content]
    return round(content, digits) if isinstance(content, float) else content
