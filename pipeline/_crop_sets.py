"""A whole training or test set, cut out of its images."""

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
from hpe_core.io.crops import CropFormat, encode, write_crops
from hpe_core.io.files import sha256
from hpe_core.io.images import state_of
from hpe_core.io.shards import Arrays, in_shards
from hpe_core.io.work import OneProcess, unfinished
from hpe_core.params.faces import Boxes
from hpe_core.params.loading import load
from pipeline._cropping import crop_face

_IN_FLIGHT = 32  # crops made ahead of the writer: bounds the memory
_SHARD = 256  # crops: 60 MB where they are raw and of the paper's size


def set_origin(params: Path, faces: Path) -> dict[str, Any]:
    """What a crops file says of itself: its face table, and how the boxes there were made."""
    return {"faces_sha256": sha256(faces), "boxes": load(params, "boxes", Boxes).model_dump()}


def write_set(
    crops: Path,
    folder: Path,
    faces: pd.DataFrame,
    crop_format: CropFormat,
    origin: dict[str, Any],
    work: Path,
) -> None:
    """A crops file of `faces` (face table with the columns `group`, `validation`), in order.

    origin: as for `write_crops`.
    """
    computed_from = {
        **asdict(crop_format),
        "faces": faces["face_id"].tolist(),
        "origin": origin,
        "images": state_of(folder, set(faces["image"])),
    }
    alone = OneProcess()

    def cut(rows: NDArray[np.int64]) -> Iterator[Arrays]:
        return _joined(_encoded(folder, faces.iloc[rows], crop_format))

    with unfinished(work, crops, computed_from, alone) as kept:
        shards = in_shards(kept, len(faces), _SHARD, cut, alone, rows=_SHARD)
        each = (one for ends, joined in shards for one in np.split(joined, ends[:-1]))
        write_crops(crops, faces, map(bytes, each), crop_format, origin)


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
