"""Cached targets: the ensemble's probabilities, computed once and read by every student.

Rows are written as they are computed and read on demand, so memory does not grow with the corpus.
The file is written atomically: in place, it would be lost or silently zeroed if the process dies.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from hpe_core.common.errors import InputError
from hpe_core.crops import hdf5
from hpe_core.work.shards import Arrays, blocks

_ROWS_PER_CHUNK = 64
_ROWS_PER_WRITE = 16 * _ROWS_PER_CHUNK


@dataclass(frozen=True)
class TargetsOrigin:
    """What targets were computed from. Readers state what they expect and get that or an error."""

    K: int
    d: int
    S: int
    bin_deg: float
    theta_deg: float
    n_bins: int
    base_sha256: str
    crops_sha256: str
    precision: str
    rotations_deg: list[float]
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
    """phi_deg (N, V): the rotation of each view of each face, clockwise.

    chunks: float32 (probs, pyr_deg, std_deg: the windows' spread) of consecutive views, face by
    face in the order of `face_ids`. Raises ValueError if they are not N·V views.
    """
    n, row = phi_deg.size, 0
    # float16 halves the file and changes expected angles by less than 0.001°; see `__getitem__`.
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
        # Write whole chunks: HDF5 would have to read and checksum a partly written one again.
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
    """Cached targets. Can be sent to worker processes: each opens the file on first use.

    `face_id` (N); for V views per face `phi_deg` (N, V) and `pyr_deg` (N, V, 3), degrees; `origin`.
    An index (row, view) gives probabilities.
    expected: required attributes, such as {"K": 15, "base_sha256": …}. Raises InputError that names
    both values if one differs, or if the file is missing or damaged (damaged probabilities only
    when they are read).
    """

    def __init__(self, path: Path, expected: dict[str, object] | None = None) -> None:
        self.path = path
        self._probs: h5py.Dataset | None = None
        if not path.exists():
            raise InputError(f"{path}: no such targets; run the ensemble stage")
        with hdf5.reading(path, "ensemble"), h5py.File(path) as file:
            attributes = hdf5.attributes(file)
            self.face_id = hdf5.texts(file["face_id"])
            self.phi_deg: NDArray[np.float32] = file["phi_deg"][:]
            pyr_deg: NDArray[np.float32] = file["pyr_deg"][:]
            self.pyr_deg = pyr_deg.reshape(*self.phi_deg.shape, 3)
        hdf5.check_attributes(path, attributes, expected or {}, "ensemble")
        if wrong := attributes.keys() ^ {field.name for field in fields(TargetsOrigin)}:
            raise InputError(
                f"{path}: attributes {sorted(wrong)} are missing or unknown: other code "
                "wrote it; run the ensemble stage again"
            )
        self.origin = TargetsOrigin(**attributes)

    def __getitem__(self, row_view: tuple[int, int]) -> NDArray[np.float32]:
        """The ensemble's probabilities (3, n_bins), each angle's summing to 1."""
        row, view = row_view
        with hdf5.reading(self.path, "ensemble"):
            if self._probs is None:  # kept: finding it again costs more than a read
                self._probs = h5py.File(self.path)["probs"]
            probs = self._probs[row * self.phi_deg.shape[1] + view].astype(np.float32)
        return probs / probs.sum(-1, keepdims=True)  # after float16 the sums are not exactly 1

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_probs": None}  # processes must not share an open HDF5 file
