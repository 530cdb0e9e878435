"""Enlarged face crops: one HDF5 file per training or test set, with exactly the set's faces.

Layout: `pixels` (the concatenated bytes of all crops), `offsets` (N + 1, where each begins),
`pyr_deg` (N x 3), `face_id` (N), `group` (N, e.g. the face's video), `order` (N, the Euler order in
which the corpus publishes angles), `validation` (N, held out from training; all False in a test
set). The attributes are the `CropFormat` and the origin.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hpe_core.common.errors import InputError
from hpe_core.common.table_files import PYR
from hpe_core.crops import hdf5
from hpe_core.crops.settings import CropFormat
from hpe_core.crops.window import Pixels

_STAGES = "crop_train or crop_test"
_TEXTS = ("face_id", "group", "order")
_CHUNK_BYTES = 1 << 16  # a few crops: reading one crop reads whole chunks
_WRITE_BYTES = 1 << 22


def encode(crop: Pixels, crop_format: CropFormat) -> bytes:
    if crop_format.codec == "raw":
        return crop.tobytes()
    quality = (cv2.IMWRITE_JPEG_QUALITY, crop_format.jpeg_quality)
    settings = quality if crop_format.codec == "jpeg" else ()
    bgr = np.ascontiguousarray(crop[..., ::-1])
    return cv2.imencode(f".{crop_format.codec}", bgr, settings)[1].tobytes()


def _decoded(data: NDArray[np.uint8], crop_format: CropFormat) -> Pixels:
    if crop_format.codec == "raw":
        return data.reshape(crop_format.shape)
    image = cv2.imdecode(data, cv2.IMREAD_COLOR)
    if image is None:
        raise InputError(f"the {len(data)} bytes of a crop are not a {crop_format.codec} image")
    return np.ascontiguousarray(image[..., ::-1], dtype=np.uint8)


def write_crops(
    path: Path,
    faces: pd.DataFrame,
    crops: Iterable[bytes],
    crop_format: CropFormat,
    origin: Mapping[str, Any],
) -> None:
    """Writes one encoded crop per row of `faces`, in that order, atomically.

    faces: face_id, pitch, yaw, roll (degrees), order (of the published angles), validation (bool),
    group (`splits.groups_of`); origin: JSON-able, what the crops were made from: `faces_sha256`,
    and `boxes`, how the boxes were found and shaped. Raises ValueError if there are fewer or more
    crops than faces.
    """
    with hdf5.new_file(path) as file:
        pixels = file.create_dataset(
            "pixels", (0,), "u1", maxshape=(None,), chunks=(_CHUNK_BYTES,), fletcher32=True
        )
        ends = [0]
        pending: list[bytes] = []
        for data in crops:
            pending.append(data)
            ends.append(ends[-1] + len(data))
            if sum(map(len, pending)) >= _WRITE_BYTES:
                _append(pixels, pending)
        _append(pixels, pending)
        if len(ends) != len(faces) + 1:
            raise ValueError(f"{path}: {len(faces)} faces, but {len(ends) - 1} crops")
        hdf5.add(file, "offsets", np.array(ends, dtype="i8"))
        hdf5.add(file, "pyr_deg", faces[PYR].to_numpy("f8"))
        for name in _TEXTS:
            hdf5.add_texts(file, name, faces[name].tolist())
        hdf5.add(file, "validation", faces["validation"].to_numpy("?"))
        described = json.dumps(dict(origin), sort_keys=True)
        hdf5.add_attributes(file, {**asdict(crop_format), "origin": described})


def _append(pixels: h5py.Dataset, pending: list[bytes]) -> None:
    data = np.frombuffer(b"".join(pending), np.uint8)
    start = pixels.shape[0]
    pixels.resize(start + len(data), axis=0)
    pixels[start:] = data
    pending.clear()


class Crops:
    """Random access to a crops file. Can be sent to worker processes: each opens it on first use.

    `pyr_deg` (N x 3) float64, `face_id`, `group`, `order` (N), `validation` (N) bool, `format`,
    `origin` as written. Raises InputError if the file is missing, has no crops or is damaged (a
    damaged crop only when it is read).
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._pixels: h5py.Dataset | None = None
        if not path.exists():
            raise InputError(f"{path}: no such crops file; run {_STAGES}")
        with hdf5.reading(path, _STAGES), h5py.File(path) as file:
            names = {"pixels", "offsets", "pyr_deg", "validation", *_TEXTS}
            if not names <= set(file):
                raise InputError(
                    f"{path}: not a crops file; expected {sorted(names)}, found {list(file)}"
                )
            attributes = hdf5.attributes(file)
            self.pyr_deg: NDArray[np.float64] = file["pyr_deg"][:]
            self.face_id, self.group, self.order = (hdf5.texts(file[name]) for name in _TEXTS)
            self.validation: NDArray[np.bool_] = file["validation"][:]
            self._ends: NDArray[np.int64] = file["offsets"][:]
        self.origin: dict[str, Any] = json.loads(attributes.pop("origin"))
        self.format = CropFormat(**attributes)

    @property
    def training_rows(self) -> NDArray[np.int64]:
        """The rows to train on: all but the validation faces."""
        return np.flatnonzero(~self.validation)

    def __len__(self) -> int:
        return len(self.face_id)

    def __getitem__(self, row: int) -> Pixels:
        """(h + 2m) x (w + 2m) x 3 uint8 RGB."""
        start, end = self._ends[row], self._ends[row + 1]
        with hdf5.reading(self.path, _STAGES):
            if self._pixels is None:  # kept: finding it again costs five reads
                self._pixels = h5py.File(self.path)["pixels"]
            return _decoded(self._pixels[start:end], self.format)

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_pixels": None}  # processes must not share an open HDF5 file
