"""The face table: one row a face, parquet, columns added from stage to stage."""

import json
from collections.abc import Mapping, Sequence
from hashlib import sha256
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import parquet

from hpe_core.errors import InputError
from hpe_core.geometry import ANGLES
from hpe_core.io.files import atomic
from hpe_core.io.origin import again, damaged, recorded_bytes

PYR = list(ANGLES)  # degrees
ANNOTATED_BOX = ["annot_x1", "annot_y1", "annot_x2", "annot_y2"]  # pixels; NaN where there is none
DETECTED_BOX = ["det_x1", "det_y1", "det_x2", "det_y2"]  # pixels: the box the networks see

# What `index` writes. `image` is relative to the corpus folder, `face_id` is unique and says which
# face it is to a human; `split`, `subject` and `video` are empty where the corpus has none.
# `image_sha256`, hexadecimal, of the image file's bytes: which files were used exactly, and which
# photographs are the same under two names.
INDEX_COLUMNS: dict[str, str] = {
    "face_id": "str",
    "dataset": "str",
    "image": "str",
    "image_sha256": "str",
    "split": "str",
    "subject": "str",
    "video": "str",
    **dict.fromkeys(PYR, "float64"),
    **dict.fromkeys(ANNOTATED_BOX, "float64"),
}
# What `redetect` adds. `box_source`: "detected", "annotated" (fallback), "published", or "" for a
# face without a match, whose numbers are NaN.
BOX_COLUMNS: dict[str, str] = {
    **dict.fromkeys(DETECTED_BOX, "float64"),
    "det_score": "float64",
    "match_iou": "float64",
    "box_source": "str",
}


_DIGEST = b"content_sha256"  # in the file's own metadata


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Parquet with a digest of its content, whole or not at all. Equal tables give equal bytes."""
    content = pa.Table.from_pandas(table.reset_index(drop=True), preserve_index=False)
    metadata = {**content.schema.metadata, _DIGEST: _digest_of(content)}
    with atomic(path) as temporary:
        parquet.write_table(content.replace_schema_metadata(metadata), temporary)


def write_csv(table: pd.DataFrame, path: Path) -> None:
    """CSV, whole or not at all, floats of 4 decimals: small tables that git keeps."""
    with atomic(path) as temporary:
        table.round(4).to_csv(temporary, index=False, lineterminator="\n")


def read_csv(path: Path) -> pd.DataFrame:
    """Raises InputError where the file is missing, or not what its stage wrote (`io.origin`)."""
    content = recorded_bytes(path)
    try:
        return pd.read_csv(BytesIO(content))
    except ValueError as error:
        raise damaged(path, error) from error


def read_table(path: Path, columns: Sequence[str] = ()) -> pd.DataFrame:
    """A parquet table of `write_table` that must have `columns`.

    Raises InputError naming what is missing, or where the content is not what was written.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such table; {again(path)}")
    try:
        content = parquet.ParquetFile(path).read()
        metadata = content.schema.metadata or {}
        intact = metadata.get(_DIGEST) == _digest_of(content)
        table: pd.DataFrame = content.to_pandas()
    except Exception as error:  # damaged metadata can raise anything
        raise damaged(path, f"cannot be read as a parquet table: {error}") from error
    if not intact:
        raise damaged(path, f"its content is not that of its {_DIGEST.decode()}")
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise InputError(f"{path}: expected columns {missing}, found {list(table.columns)}")
    return table


def _digest_of(table: pa.Table) -> bytes:
    """sha256 of names, types, values, and of pandas' description of them; nulls are equal."""
    digest = sha256(table.schema.metadata[b"pandas"])
    for field, column in zip(table.schema, table.columns, strict=True):
        digest.update(f"{field.name} {field.type}\n".encode())
        numbers = pa.types.is_floating(field.type) or pa.types.is_integer(field.type)
        values = column.to_numpy() if numbers else json.dumps(column.to_pylist()).encode()
        digest.update(values)
    return digest.hexdigest().encode()


def select(faces: pd.DataFrame, where: Mapping[str, Sequence[str]]) -> np.ndarray:
    """Row mask (N, bool) of the faces whose columns hold one of the accepted values.

    where: column → accepted values, as in params.yaml; {} selects all. Raises InputError for an
    unknown column, or for a value that no face has (a misspelt video must not shrink a test set).
    """
    mask = np.ones(len(faces), dtype=bool)
    for column, accepted in where.items():
        if column not in faces.columns:
            raise InputError(f"where: no column {column!r} in the face table {list(faces)}")
        absent = sorted(set(accepted) - set(faces[column]))
        if absent:
            found = sorted(set(faces[column]))[:30]
            raise InputError(f"where: no face has {column} in {absent}; found {found}")
        mask &= faces[column].isin(list(accepted)).to_numpy()
    return mask
