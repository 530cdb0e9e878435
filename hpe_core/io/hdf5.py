"""HDF5 files with everything in them under a checksum of the library's own.

- Data: the filter fletcher32, verified chunk by chunk on every read.
- Attributes, types, shapes, and where chunks lie: the file format of HDF5 1.10. The older one, the
  default, has no checksums there: a flipped bit gives other shapes, or zeros instead of data.
- Text: of fixed length. HDF5 keeps text of any length in a heap, which has no checksum.
"""

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import ArrayLike

from hpe_core.errors import InputError
from hpe_core.io.files import atomic
from hpe_core.io.origin import damaged

_FORMAT = ("v110", "v110")


@contextmanager
def new_file(path: Path) -> Iterator[h5py.File]:
    """A file to fill; it has a temporary name until it is whole, and then `path`."""
    with atomic(path) as temporary, _Deferring(temporary, "w+") as plain:
        with h5py.File(plain, "w", libver=_FORMAT) as file:
            yield file
        if plain.failed:
            raise plain.failed


class _Deferring(io.FileIO):
    """Keeps the first error of writing to itself: HDF5 2.0 would crash the process at its end."""

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
    """As Python's own types: str, bool, int, float, list."""
    found = {name: np.asarray(value).tolist() for name, value in file.attrs.items()}
    return {name: v.decode() if isinstance(v, bytes) else v for name, v in found.items()}


@contextmanager
def reading(path: Path, stage: str) -> Iterator[None]:
    """What HDF5 makes of damage becomes an InputError that says to run `stage` again."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # HDF5 has no error of its own: OSError, KeyError, RuntimeError…
        raise damaged(path, error, stage) from error
