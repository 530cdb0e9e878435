"""Faces of a table, cut out of their images: one, or a whole training or test set."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from hpe_core.cropping import Pixels, enlarged_crop, published_crop
from hpe_core.errors import InputError
from hpe_core.io.crops import CropFormat, encode, write_crops
from hpe_core.io.images import read_image
from hpe_core.io.tables import DETECTED_BOX

_IN_FLIGHT = 256  # images decoded ahead of the writer: bounds the memory


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
    crops: Path, folder: Path, faces: pd.DataFrame, crop_format: CropFormat, faces_sha256: str
) -> None:
    """A crops file of `faces` (face table with the columns `group`, `validation`), in order."""
    write_crops(crops, faces, _encoded(folder, faces, crop_format), crop_format, faces_sha256)


def _encoded(folder: Path, faces: pd.DataFrame, crop_format: CropFormat) -> Iterator[bytes]:
    """One encoded crop a face, in the order of the table; decoding runs ahead in threads."""
    with ThreadPoolExecutor() as pool, tqdm(total=len(faces), unit="face", desc=folder.name) as bar:
        for start in range(0, len(faces), _IN_FLIGHT):
            some = faces.iloc[start : start + _IN_FLIGHT].to_dict("records")
            for crop in pool.map(lambda face: crop_face(folder, face, crop_format), some):
                yield encode(crop, crop_format)
                bar.update()
