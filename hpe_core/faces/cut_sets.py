"""Cuts a whole training or test set out of its images."""

from collections.abc import Iterator
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from hpe_core.common.files import sha256
from hpe_core.common.settings import load
from hpe_core.crops.settings import CropFormat
from hpe_core.crops.store import encode, write_crops
from hpe_core.faces.face_rows import read_face
from hpe_core.faces.images import state_of
from hpe_core.faces.settings import BoxRules
from hpe_core.work.prefetch import read_ahead
from hpe_core.work.resume import OneProcess, unfinished
from hpe_core.work.shards import Arrays, in_shards

_CROPS_AHEAD = 32  # prefetched crops: bounds the memory
_SHARD = 256  # crops: 60 MB if they are raw and of the paper's size


def origin_of_set(params: Path, *faces: Path) -> dict[str, Any]:
    """What a crops file records: the hashes of its face tables, and how the boxes were made."""
    hashes = " ".join(map(sha256, faces))
    return {"faces_sha256": hashes, "boxes": asdict(load(params, "boxes", BoxRules))}


def write_set(
    crops: Path,
    folder: Path,
    faces: pd.DataFrame,
    crop_format: CropFormat,
    origin: dict[str, Any],
    work: Path,
) -> None:
    """Writes a crops file of `faces`, in order. origin: as for `write_crops`.

    faces: face table with the columns `group` and `validation`. work: keeps finished shards.
    """
    computed_from = {
        **asdict(crop_format),
        "faces": faces["face_id"].tolist(),
        "origin": origin,
        "images": state_of(folder, set(faces["image"])),
    }
    alone = OneProcess()

    def cut_some(rows: NDArray[np.int64]) -> Iterator[Arrays]:
        return _joined(_encoded(folder, faces.iloc[rows], crop_format))

    with unfinished(work, crops, computed_from, alone) as kept:
        shards = in_shards(kept, len(faces), _SHARD, cut_some, alone, rows=_SHARD)
        each = (one for ends, joined in shards for one in np.split(joined, ends[:-1]))
        write_crops(crops, faces, map(bytes, each), crop_format, origin)


def _joined(crops: Iterator[bytes]) -> Iterator[Arrays]:
    """Per shard: the position at which each crop ends, and the bytes of all crops."""
    while some := list(islice(crops, _SHARD)):
        yield np.cumsum([len(data) for data in some]), np.frombuffer(b"".join(some), np.uint8)


def _encoded(folder: Path, faces: pd.DataFrame, crop_format: CropFormat) -> Iterator[bytes]:
    """One encoded crop per face, in the order of the table."""

    def cut_out(face: dict[Any, Any]) -> bytes:
        return encode(read_face(folder, face, crop_format), crop_format)

    crops = read_ahead(cut_out, faces.to_dict("records"), _CROPS_AHEAD)
    return iter(tqdm(crops, total=len(faces), unit="face", desc="crops"))
