"""One face, cut out of its image."""

from pathlib import Path
from typing import Any

import numpy as np

from hpe_core.cropping import Pixels, enlarged_crop, published_crop
from hpe_core.errors import InputError
from hpe_core.io.crops import CropFormat
from hpe_core.io.images import read_image
from hpe_core.io.tables import DETECTED_BOX


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
