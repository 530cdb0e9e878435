"""Faces of a table, cut out of their images: one, or a whole training or test set."""

from collections.abc import Iterator
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from hpe_core.ahead import read_ahead
from hpe_core.cropping import Pixels, enlarged_crop, published_crop
from hpe_core.errors import InputError
from hpe_core.io.crops import CropFormat, encode, write_crops
from hpe_core.io.images import read_image, state_of
from hpe_core.io.shards import Arrays, in_shards
from hpe_core.io.tables import DETECTED_BOX
from hpe_core.io.work import OneProcess, unfinished

_IN_FLIGHT = 32  # crops made ahead of the writer: bounds the memory
_SHARD = 256  # crops: 60 MB where they are raw and of the paper's size


def crop_face(folder: Path, face: dict[Any, Any], crop_format: CropFormat) -> Pixels:
    """Raises InputError naming the face where its box has no pixels."""
    image = read_image(folder / face["image"])
    box = np.array([face[side] for side in DETECTED_BOX], dtype=np.float64)
    try:
        if crop_format.rule == "published":
            return published_crop(image, box, crop_format.size_hw)
        return enlarged_crop(
            image, box, crop_format.size_hw, crop_format.margin, crop_format.border
        )
    except ValueError as error:
        raise InputError(f"{face['face_id']} in {face['image']}: {error}") from None


def write_set(
    crops: Path,
    folder: Path,
    faces: pd.DataFrame,
    crop_format: CropFormat,
    faces_sha256: str,
    work: Path,
) -> None:
    """A crops file of `faces` (face table with the columns `group`, `validation`), in order."""
    computed_from = {
        **asdict(crop_format),
        "faces": faces["face_id"].tolist(),
        "faces_sha256": faces_sha256,
        "images": state_of(folder, set(faces["image"])),
    }
    alone = OneProcess()

    def cut(rows: NDArray[np.int64]) -> Iterator[Arrays]:
        return _joined(_encoded(folder, faces.iloc[rows], crop_format))

    with unfinished(work, crops, computed_from, alone) as kept:
        shards = in_shards(kept, len(faces), _SHARD, cut, alone, rows=_SHARD)
        each = (one for ends, joined in shards for one in np.split(joined, ends[:-1]))
        write_crops(crops, faces, map(bytes, each), crop_format, faces_sha256)


def _joined(crops: Iterator[bytes]) -> Iterator[Arrays]:
    """Where each crop of a shard ends, and their bytes."""
    while some := list(islice(crops, _SHARD)):
        yield np.cumsum([len(data) for data in some]), np.frombuffer(b"".join(some), np.uint8)


def _encoded(folder: Path, faces: pd.DataFrame, crop_format: CropFormat) -> Iterator[bytes]:
    """One encoded crop a face, in the order of the table."""

    def cut_out(face: dict[Any, Any]) -> bytes:
        return encode(crop_face(folder, face, crop_format), crop_format)

    crops = read_ahead(cut_out, faces.to_dict("records"), _IN_FLIGHT)
    return iter(tqdm(crops, total=len(faces), unit="face", desc=folder.name))
