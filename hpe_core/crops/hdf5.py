"""HDF5 files in which the library's own checksums cover everything.

- Data: the filter fletcher32, verified per chunk on every read.
- Attributes, types, shapes, chunk index: the file format of HDF5 1.10. The default format has no
  checksums there: a flipped bit gives wrong shapes, or zeros instead of data.
- Text: of fixed length. Variable-length text is in a heap without checksums.
"""

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import ArrayLike

from hpe_core.common.dvc_lock import damaged
from hpe_core.common.errors import InputError
from hpe_core.common.files import atomic

_FORMAT = ("v110", "v110")


@contextmanager
def new_file(path: Path) -> Iterator[h5py.File]:
    """An HDF5 file to fill, written atomically to `path`."""
    with atomic(path) as temporary, _Deferring(temporary, "w+") as plain:
        with h5py.File(plain, "w", libver=_FORMAT) as file:
            yield file
        if plain.failed:
            raise plain.failed


class _Deferring(io.FileIO):
    """Remembers the first write error instead of raising it: HDF5 2.0 would crash at exit."""

    failed: OSError | None = None

    def write(self, data: Any) -> int:
        left = memoryview(data)
        try:
            while left and not self.failed:
                left = left[super().write(left) :]
        except OSError as error:
            self.failed = error
        return len(data)

    def truncate(self, size: int | None = None) -> int:
        try:
            return super().truncate(size)
        except OSError as error:
            self.failed = self.failed or error
            return size or 0


def add(file: h5py.File, name: str, values: ArrayLike) -> None:
    file.create_dataset(name, data=values, fletcher32=True)


def add_texts(file: h5py.File, name: str, texts: Sequence[str]) -> None:
    encoded = [text.encode() for text in texts]
    longest = max(map(len, encoded), default=0)
    add(file, name, np.array(encoded, h5py.string_dtype(length=max(longest, 1))))


def add_attributes(file: h5py.File, values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        file.attrs[name] = np.bytes_(value.encode()) if isinstance(value, str) else value


def texts(dataset: h5py.Dataset) -> list[str]:
    return dataset.asstr()[:].tolist()


def attributes(file: h5py.File) -> dict[str, Any]:
    """As plain Python types: str, bool, int, float, list."""
    found = {name: np.asarray(value).tolist() for name, value in file.attrs.items()}
    return {name: v.decode() if isinstance(v, bytes) else v for name, v in found.items()}


def check_attributes(
    path: Path, found: Mapping[str, object], expected: Mapping[str, object], stage: str
) -> None:
    """Raises InputError that names both values if an attribute is not as expected."""
    for name, value in expected.items():
        if found.get(name) != value:
            raise InputError(
                f"{path}: made with {name} = {found.get(name)!r}, but {value!r} is expected; run "
                f"the {stage} stage again"
            )


@contextmanager
def reading(path: Path, stage: str) -> Iterator[None]:
    """Turns any error of reading into an InputError that says how to remake the file."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # h5py has no error class: OSError, KeyError, RuntimeError…
        raise damaged(path, error, stage) from error
