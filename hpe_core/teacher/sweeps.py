"""Sweeps on disk: the base network's angles at every offset, for Tables 2-4 and Fig. 7."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from hpe_core.common.errors import InputError
from hpe_core.crops import hdf5


@dataclass(frozen=True)
class SweptAngles:
    """The base network's predictions at every offset of a complete grid.

    face_id (N); offsets (L, 2): (dx, dy), pixels of a 224-pixel input; angles_deg (N, L, 3).
    """

    face_id: list[str]
    offsets: NDArray[np.int64]
    angles_deg: NDArray[np.float32]


def write_sweep(path: Path, swept: SweptAngles, origin: Mapping[str, str]) -> None:
    """origin: base_sha256 and crops_sha256, which `read_sweep` checks."""
    with hdf5.new_file(path) as file:
        hdf5.add(file, "angles_deg", swept.angles_deg)
        hdf5.add(file, "offsets", swept.offsets)
        hdf5.add_texts(file, "face_id", swept.face_id)
        hdf5.add_attributes(file, origin)


def read_sweep(path: Path, origin: Mapping[str, str]) -> SweptAngles:
    """Raises InputError if the sweep is missing, damaged or of another origin."""
    if not path.exists():
        raise InputError(f"{path}: no such sweep; run the sweep stage")
    with hdf5.reading(path, "sweep"), h5py.File(path) as file:
        hdf5.check_attributes(path, hdf5.attributes(file), origin, "sweep")
        texts, offsets, angles_deg = file["face_id"], file["offsets"], file["angles_deg"]
        return SweptAngles(hdf5.texts(texts), offsets[:], angles_deg[:])
