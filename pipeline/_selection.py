"""Which faces of a table a protocol, a test set or an imported network means."""

from pathlib import Path

import pandas as pd

from hpe_core.errors import InputError
from hpe_core.io.tables import DETECTED_BOX, PYR, read_table, select
from hpe_core.params.protocols import Where


def select_faces(path: Path, where: Where) -> pd.DataFrame:
    """The faces that `where` accepts, in the order of the table. Raises InputError for none."""
    names = ["face_id", "dataset", "image", "image_sha256", "subject", "video"]
    faces = read_table(path, [*names, *PYR, *DETECTED_BOX])
    try:
        chosen = faces[select(faces, where)]
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    if chosen.empty:
        raise InputError(f"{path}: no face is left by where = {where}")
    return chosen
