"""The ensemble's probabilities, computed once and read by every student; and a sweep's angles.

Rows are collected in memory (145 MB for 300W-LP) and the file is written in one go, under a
temporary name: HDF5 files written in place are lost or silently zeroed when a process dies.
A teacher that is killed starts again.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from hpe_core.errors import InputError
from hpe_core.io.files import atomic

_ROWS_PER_CHUNK = 64


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
    views: str


@dataclass(frozen=True)
class Targets:
    """probs (N, 3, n_bins) float32, each row summing to 1; pyr_deg, std_deg (N, 3); face_id (N)."""

    probs: NDArray[np.float32]
    pyr_deg: NDArray[np.float32]
    std_deg: NDArray[np.float32]
    face_id: list[str]
    origin: TargetsOrigin


def write_targets(
    path: Path,
    face_ids: list[str],
    chunks: Iterable[tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]],
    origin: TargetsOrigin,
) -> None:
    """chunks: (probs, pyr_deg, std_deg) of consecutive rows, in the order of `face_ids`."""
    n, row = len(face_ids), 0
    probs = np.empty((n, 3, origin.n_bins), np.float16)
    pyr_deg, std_deg = np.empty((n, 3), np.float32), np.empty((n, 3), np.float32)
    for some_probs, some_pyr, some_std in chunks:
        rows = slice(row, row + len(some_probs))
        probs[rows], pyr_deg[rows], std_deg[rows] = some_probs, some_pyr, some_std
        row += len(some_probs)
    if row != n:
        raise ValueError(f"{path}: {n} faces, but targets of {row}")
    with atomic(path) as temporary, h5py.File(temporary, "w") as file:
        for name, data in (("probs", probs), ("pyr_deg", pyr_deg), ("std_deg", std_deg)):
            rows_a_chunk = (min(_ROWS_PER_CHUNK, max(n, 1)), *data.shape[1:])
            file.create_dataset(name, data=data, chunks=rows_a_chunk, fletcher32=True)
        file.create_dataset("face_id", data=face_ids, dtype=h5py.string_dtype())
        file.attrs.update(asdict(origin))


def read_targets(path: Path, expected: dict[str, object] | None = None) -> Targets:
    """Everything in memory (145 MB for 300W-LP as float16, twice that as read).

    expected: attributes that the file must have, such as {"K": 15, "base_sha256": …}. Raises
    InputError naming the attribute and both values where one differs.
    """
    if not path.exists():
        raise InputError(f"{path}: no such targets; run the ensemble stage")
    with h5py.File(path) as file:
        attributes = {k: v.item() if hasattr(v, "item") else v for k, v in file.attrs.items()}
        for name, value in (expected or {}).items():
            if attributes.get(name) != value:
                raise InputError(
                    f"{path}: made with {name} = {attributes.get(name)!r}, but {value!r} is asked "
                    "for; run the ensemble stage again"
                )
        probs = file["probs"][:].astype(np.float32)
        probs /= probs.sum(-1, keepdims=True)
        return Targets(
            probs,
            file["pyr_deg"][:],
            file["std_deg"][:],
            file["face_id"].asstr()[:].tolist(),
            TargetsOrigin(**attributes),
        )


def write_sweep(
    path: Path, face_ids: list[str], offsets: NDArray[np.int64], angles_deg: NDArray[np.float32]
) -> None:
    """angles_deg (N, L, 3): the base network's prediction for every offset (L, 2) of a grid."""
    with atomic(path) as temporary, h5py.File(temporary, "w") as file:
        file.create_dataset("angles_deg", data=angles_deg, fletcher32=True)
        file.create_dataset("offsets", data=offsets, fletcher32=True)
        file.create_dataset("face_id", data=face_ids, dtype=h5py.string_dtype())


def read_sweep(path: Path) -> tuple[list[str], NDArray[np.int64], NDArray[np.float32]]:
    """face_id (N), offsets (L, 2), angles_deg (N, L, 3)."""
    with h5py.File(path) as file:
        return file["face_id"].asstr()[:].tolist(), file["offsets"][:], file["angles_deg"][:]
