"""The ensemble's probabilities, computed once and read by every student; and a sweep's angles.

Rows are written as they come and read as they are asked for: memory does not grow with the corpus.
The file has a temporary name until it is whole: HDF5 files written in place are lost or silently
zeroed when a process dies.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from hpe_core.errors import InputError
from hpe_core.io import hdf5
from hpe_core.io.shards import Arrays, blocks

_ROWS_PER_CHUNK = 64
_ROWS_PER_WRITE = 16 * _ROWS_PER_CHUNK


@dataclass(frozen=True)
class TargetsOrigin:
    """What targets were computed from. A reader must name the same values, or gets an error."""

    K: int
    d: int
    S: int
    bin_deg: float
    theta_deg: float
    n_bins: int
    base_sha256: str
    crops_sha256: str
    precision: str
    turns_deg: list[float]
    flip: bool
    views: int
    rotate_deg: float


def write_targets(
    path: Path,
    face_ids: list[str],
    phi_deg: NDArray[np.float32],
    chunks: Iterable[Arrays],
    origin: TargetsOrigin,
) -> None:
    """phi_deg (N, V): how far each view of each face is turned, clockwise.

    chunks: float32 (probs, pyr_deg, std_deg) of consecutive views, those of the first face first,
    in the order of `face_ids`.
    """
    n, row = phi_deg.size, 0
    layout = {"probs": ("f2", origin.n_bins), "pyr_deg": ("f4",), "std_deg": ("f4",)}
    with hdf5.new_file(path) as file:
        datasets = [
            file.create_dataset(
                name,
                (n, 3, *last),
                dtype,
                chunks=(min(_ROWS_PER_CHUNK, max(n, 1)), 3, *last),
                fletcher32=True,
            )
            for name, (dtype, *last) in layout.items()
        ]
        for block in blocks(chunks, _ROWS_PER_WRITE):
            rows = slice(row, row + len(block[0]))
            for dataset, values in zip(datasets, block, strict=True):
                dataset[rows] = values
            row = rows.stop
        if row != n:
            raise ValueError(f"{path}: {n} views, but targets of {row}")
        hdf5.add(file, "phi_deg", phi_deg)
        hdf5.add_texts(file, "face_id", face_ids)
        hdf5.add_attributes(file, asdict(origin))


class Targets:
    """Cached targets. Opened on first use, so they can be handed to worker processes.

    `face_id` (N); of V views a face `phi_deg` (N, V), `pyr_deg` and `std_deg` (N, V, 3), degrees;
    `origin`. An index (row, view) gives probabilities.
    expected: attributes that the file must have, such as {"K": 15, "base_sha256": …}. Raises
    InputError naming the attribute and both values where one differs, or where there is no file, or
    it is damaged: a row's probabilities when they are read.
    """

    def __init__(self, path: Path, expected: dict[str, object] | None = None) -> None:
        self.path = path
        self._file: h5py.File | None = None
        if not path.exists():
            raise InputError(f"{path}: no such targets; run the ensemble stage")
        with hdf5.reading(path, "ensemble"), h5py.File(path) as file:
            attributes = hdf5.attributes(file)
            self.face_id = hdf5.texts(file["face_id"])
            self.phi_deg: NDArray[np.float32] = file["phi_deg"][:]
            by_view = (*self.phi_deg.shape, 3)
            self.pyr_deg: NDArray[np.float32] = file["pyr_deg"][:].reshape(by_view)
            self.std_deg: NDArray[np.float32] = file["std_deg"][:].reshape(by_view)
        _check_origin(path, attributes, expected or {}, "ensemble")
        self.origin = TargetsOrigin(**attributes)

    def __len__(self) -> int:
        return len(self.face_id)

    def __getitem__(self, row_view: tuple[int, int]) -> NDArray[np.float32]:
        """The ensemble's probabilities (3, n_bins), each angle's summing to 1."""
        row, view = row_view
        with hdf5.reading(self.path, "ensemble"):
            if self._file is None:
                self._file = h5py.File(self.path)
            probs = self._file["probs"][row * self.phi_deg.shape[1] + view].astype(np.float32)
        return probs / probs.sum(-1, keepdims=True)

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_file": None}  # an open HDF5 file must not cross a process


def write_sweep(
    path: Path,
    face_ids: list[str],
    offsets: NDArray[np.int64],
    angles_deg: NDArray[np.float32],
    origin: Mapping[str, str],
) -> None:
    """angles_deg (N, L, 3): the base network's prediction for every offset (L, 2) of a grid.

    origin: base_sha256, crops_sha256, which `read_sweep` is asked for.
    """
    with hdf5.new_file(path) as file:
        hdf5.add(file, "angles_deg", angles_deg)
        hdf5.add(file, "offsets", offsets)
        hdf5.add_texts(file, "face_id", face_ids)
        hdf5.add_attributes(file, origin)


def read_sweep(
    path: Path, origin: Mapping[str, str]
) -> tuple[list[str], NDArray[np.int64], NDArray[np.float32]]:
    """face_id (N), offsets (L, 2), angles_deg (N, L, 3).

    Raises InputError naming both values where the sweep has another origin, or where it is missing
    or damaged.
    """
    if not path.exists():
        raise InputError(f"{path}: no such sweep; run the sweep stage")
    with hdf5.reading(path, "sweep"), h5py.File(path) as file:
        _check_origin(path, hdf5.attributes(file), origin, "sweep")
        return hdf5.texts(file["face_id"]), file["offsets"][:], file["angles_deg"][:]


def _check_origin(
    path: Path, found: Mapping[str, object], expected: Mapping[str, object], stage: str
) -> None:
    for name, value in expected.items():
        if found.get(name) != value:
            raise InputError(
                f"{path}: made with {name} = {found.get(name)!r}, but {value!r} is asked for; run "
                f"the {stage} stage again"
            )
