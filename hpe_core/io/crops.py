"""Enlarged face crops: one HDF5 file a training or test set, whose faces are exactly the file's.

Layout: `pixels` (bytes of all images one after the other), `offsets` (N + 1, where each begins),
`pyr_deg` (N x 3), `face_id`, `group` (N, what a face has in common with others), `validation` (N,
which faces of a training set no network is trained on; none of a test set); attributes say how the
crops were made and from which face table.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hpe_core.cropping import Pixels
from hpe_core.errors import InputError
from hpe_core.io import hdf5
from hpe_core.io.tables import PYR

_STAGES = "crop_train or crop_test"

_CHUNK_BYTES = 1 << 16  # some crops: reading one at random reads its chunks whole
_WRITE_BYTES = 1 << 22


@dataclass(frozen=True)
class CropFormat:
    """How crops were made: the input size h x w, the margin m, the rules, the codec."""

    height: int
    width: int
    margin: int
    rule: str
    border: str
    codec: str
    jpeg_quality: int

    @property
    def size_hw(self) -> tuple[int, int]:
        return self.height, self.width

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.height + 2 * self.margin, self.width + 2 * self.margin, 3


def encode(crop: Pixels, crop_format: CropFormat) -> bytes:
    if crop_format.codec == "raw":
        return crop.tobytes()
    quality = (cv2.IMWRITE_JPEG_QUALITY, crop_format.jpeg_quality)
    settings = quality if crop_format.codec == "jpeg" else ()
    bgr = np.ascontiguousarray(crop[..., ::-1])
    return cv2.imencode(f".{crop_format.codec}", bgr, settings)[1].tobytes()


def decode(data: NDArray[np.uint8], crop_format: CropFormat) -> Pixels:
    if crop_format.codec == "raw":
        return data.reshape(crop_format.shape)
    image = cv2.imdecode(data, cv2.IMREAD_COLOR)
    if image is None:
        raise InputError(f"a crop's {len(data)} bytes are no {crop_format.codec} image")
    return np.ascontiguousarray(image[..., ::-1], dtype=np.uint8)


def write_crops(
    path: Path,
    faces: pd.DataFrame,
    crops: Iterable[bytes],
    crop_format: CropFormat,
    origin: Mapping[str, Any],
) -> None:
    """One encoded crop a row of `faces`, in that order, as they come; whole or not at all.

    origin: JSON-able, what they were made from: `faces_sha256`, and `boxes`, the rules by which the
    boxes were found and shaped.
    faces: face_id, pitch, yaw, roll (degrees), validation (bool) and group (`splits.groups_of`).
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
        for name in ("face_id", "group"):
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
    """Random access to a crops file. Opened on first use, so it can be handed to worker processes.

    `pyr_deg` (N x 3) float64, `face_id` (N), `group` (N), `validation` (N) bool, `format`,
    `origin` as written. Raises InputError when the file does not hold crops, or where
    it is damaged: the labels at once, a crop when it is read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: h5py.File | None = None
        if not path.exists():
            raise InputError(f"{path}: no such crops file; run the stage that cuts them")
        with hdf5.reading(path, _STAGES), h5py.File(path) as file:
            names = {"pixels", "offsets", "pyr_deg", "face_id", "group", "validation"}
            if not names <= set(file):
                raise InputError(f"{path}: no crops; expected {sorted(names)}, found {list(file)}")
            attributes = hdf5.attributes(file)
            self.pyr_deg: NDArray[np.float64] = file["pyr_deg"][:]
            self.face_id = hdf5.texts(file["face_id"])
            self.group = hdf5.texts(file["group"])
            self.validation: NDArray[np.bool_] = file["validation"][:]
            self._ends: NDArray[np.int64] = file["offsets"][:]
        self.origin: dict[str, Any] = json.loads(attributes.pop("origin"))
        self.format = CropFormat(**attributes)

    @property
    def training_rows(self) -> NDArray[np.int64]:
        """The rows that networks are trained on: all but the validation faces."""
        return np.flatnonzero(~self.validation)

    def __len__(self) -> int:
        return len(self.face_id)

    def __getitem__(self, row: int) -> Pixels:
        """(h + 2m) x (w + 2m) x 3 uint8 RGB."""
        start, end = self._ends[row], self._ends[row + 1]
        with hdf5.reading(self.path, _STAGES):
            if self._file is None:
                self._file = h5py.File(self.path)
            return decode(self._file["pixels"][start:end], self.format)

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_file": None}  # an open HDF5 file must not cross a process
