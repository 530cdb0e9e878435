"""One row of a face table: its box and its pixels."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hpe_core.common.errors import InputError
from hpe_core.common.geometry import Array
from hpe_core.common.table_files import DETECTED_BOX
from hpe_core.crops.settings import CropRules
from hpe_core.crops.window import Pixels
from hpe_core.faces.cut import cut_face
from hpe_core.faces.images import read_corpus_image


def read_face(folder: Path, face: Mapping[Any, Any], rules: CropRules) -> Pixels:
    """`cut_face` of one row of a face table, whose `image` is relative to `folder`.

    Raises UnreadableImageError, or InputError naming the face if its box contains no pixel.
    """
    image = read_corpus_image(folder, face["image"])
    try:
        return cut_face(image, box_of(face), rules)
    except InputError as error:
        raise InputError(f"{face['face_id']} in {face['image']}: {error}") from None


def box_of(face: Mapping[Any, Any]) -> Array:
    """The box (4) that the networks see of a row of a face table."""
    return np.array([face[side] for side in DETECTED_BOX], dtype=np.float64)
