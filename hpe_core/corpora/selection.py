"""Selects the faces of a protocol, a test set or an imported network from a face table."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from hpe_core.common.errors import InputError
from hpe_core.common.table_files import DETECTED_BOX, PYR, read_table
from hpe_core.corpora.settings import Protocol
from hpe_core.corpora.splits import groups_of, hold_out

Accepted = Mapping[str, Sequence[str]]  # column → accepted values, as in params.yaml; {}: all


def select_faces(path: Path, where: Accepted) -> pd.DataFrame:
    """`select_rows` of a face table's file."""
    names = ["face_id", "dataset", "image", "image_sha256", "subject", "video", "order"]
    return select_rows(read_table(path, [*names, *PYR, *DETECTED_BOX]), where, str(path))


def select_training(folder: Path, chosen: Protocol) -> pd.DataFrame:
    """The faces of a protocol, corpus after corpus, with the columns `group` and `validation`.

    folder: of the face tables. `image` becomes relative to the folder of all corpora. Validation
    faces are held out of each corpus by itself, so a further corpus changes none of them.
    """
    parts = []
    for name, where in chosen.train.items():
        faces = select_faces(folder / f"{name}.parquet", where)
        held_out = hold_out(faces, chosen.validation)
        faces = faces.assign(group=groups_of(faces), validation=held_out)
        parts.append(faces.assign(image=f"{name}/" + faces["image"]))
    return pd.concat(parts, ignore_index=True)


def select_rows(faces: pd.DataFrame, where: Accepted, name: str) -> pd.DataFrame:
    """The faces whose columns hold accepted values, in the order of the table, numbered from 0.

    name: of the selection, for errors. Raises InputError for an unknown column, for a value that no
    face has (a misspelt video must not shrink a test set), and if no face is left.
    """
    mask = np.ones(len(faces), dtype=bool)
    for column, accepted in where.items():
        if column not in faces.columns:
            raise InputError(f"{name}: where: no column {column!r} in the face table {list(faces)}")
        absent = sorted(set(accepted) - set(faces[column]))
        if absent:
            found = sorted(set(faces[column]))[:30]
            raise InputError(f"{name}: where: no face has {column} in {absent}; found {found}")
        mask &= faces[column].isin(list(accepted)).to_numpy()
    if not mask.any():
        raise InputError(f"{name}: no face is left by where = {dict(where)}")
    return faces[mask].reset_index(drop=True)
