"""Atomic files: every artifact is written under a temporary name, synced and renamed."""

import glob
import hashlib
import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hpe_core.common.dvc_lock import damaged, recorded_bytes
from hpe_core.common.errors import InputError, UnreadableFileError


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yields a temporary path beside `path`, renamed to `path` on success and removed on error.

    Creates the parent folder. Never opens `path` itself, which may be a read-only link into the DVC
    cache. Removes temporary files of killed processes: DVC would take them for part of a folder
    of networks. An OSError names `path`, which libraries leave out.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for remains in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        remains.unlink(missing_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        with temporary.open("r+b") as file:  # Windows syncs no file that is open for reading
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        if error.errno and str(error.filename or temporary) == str(temporary):
            raise OSError(error.errno, os.strerror(error.errno), str(path)) from error
        raise
    finally:
        if temporary.exists():  # on a read-only disk, unlink fails even for a missing file
            temporary.unlink()


def regular_size(path: Path) -> int:
    """Size in bytes of a regular file; follows links.

    Raises UnreadableFileError for anything else: reading a pipe or device might never end.
    """
    try:
        state = path.stat()
    except FileNotFoundError:
        raise UnreadableFileError(path, "no such file") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or str(error)
        raise UnreadableFileError(path, reason) from None
    if not stat.S_ISREG(state.st_mode):
        raise UnreadableFileError(path, "not a regular file")
    return state.st_size


def read_at_most(path: Path, max_bytes: int) -> bytes:
    """The bytes of a foreign file. Raises UnreadableFileError if it has more, without reading."""
    size = regular_size(path)
    if size > max_bytes:
        raise UnreadableFileError(path, f"{size} bytes, expected at most {max_bytes}")
    try:
        return path.read_bytes()
    except OSError as error:
        raise UnreadableFileError(path, error.strerror or "cannot be read") from error


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_sha256_beside(path: Path) -> None:
    """Checks an input that no stage wrote against `<name>.sha256` beside it, if there is one.

    That file is what `sha256sum` writes. Raises InputError if the two differ.
    """
    beside = path.with_name(f"{path.name}.sha256")
    if not beside.is_file():
        return
    expected, found = beside.read_text(errors="replace").split()[:1], sha256(path)
    if expected != [found]:
        raise InputError(
            f"{path}: damaged, or replaced: its sha256 is {found}, but {beside} says "
            f"{' '.join(expected) or 'nothing'}; download or export the file again, or, if you "
            "replaced it on purpose, put its sha256 there"
        )


def write_json(content: Any, path: Path, digits: int = 4) -> None:
    """JSON with sorted keys and rounded floats: equal inputs give equal bytes."""
    with atomic(path) as temporary:
        text = json.dumps(rounded(content, digits), indent=2, sort_keys=True, allow_nan=False)
        temporary.write_text(text + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """Raises InputError if the file is missing or not what its stage wrote (`dvc_lock`)."""
    try:
        return json.loads(recorded_bytes(path))
    except ValueError as error:
        raise error if isinstance(error, InputError) else damaged(path, error) from error


def rounded(content: Any, digits: int) -> Any:
    """JSON-able content with floats rounded, keys as text and tuples as lists."""
    if isinstance(content, dict):
        return {str(key): rounded(value, digits) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [rounded(value, digits) for value in content]
    return round(content, digits) if isinstance(content, float) else content


def printable(name: str) -> str:
    r"""A file name for display: Linux file names that are not UTF-8 look like `\xff.jpg`."""
    return name.encode(errors="surrogateescape").decode(errors="backslashreplace")
