"""Which rows of a crops file a protocol or a test set means."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hpe_core.errors import InputError
from hpe_core.io.crops import Crops
from hpe_core.io.files import sha256
from hpe_core.io.tables import read_table, select
from hpe_core.params.protocols import Where


def select_crops(
    crops_path: Path, faces_path: Path, where: Where
) -> tuple[Crops, NDArray[np.int64]]:
    """The crops made from a face table, and the row numbers that `where` accepts."""
    faces = read_table(faces_path, ["face_id"])
    crops = Crops(crops_path, faces_sha256=sha256(faces_path))
    try:
        rows = np.flatnonzero(select(faces, where))
    except InputError as error:
        raise InputError(f"{faces_path}: {error}") from None
    if len(rows) == 0:
        raise InputError(f"{faces_path}: no face is left by where = {where}")
    return crops, rows
