"""Tables on disk, as parquet and CSV, and the columns of the face table (one row per face)."""

import json
from collections.abc import Sequence
from hashlib import sha256
from io import BytesIO
from pathlib import Path

import pandas as pd
import pyarrow as pa
from pyarrow import parquet

from hpe_core.common.dvc_lock import damaged, how_to_remake, recorded_bytes
from hpe_core.common.errors import InputError
from hpe_core.common.files import atomic
from hpe_core.common.geometry import ANGLES

PYR = list(ANGLES)  # degrees
PUBLISHED_PYR = [f"published_{angle}" for angle in ANGLES]  # degrees, in the corpus's own order
OUR_ORDER, AFLW_ORDER = "XYZ", "YXZ"  # Euler orders in which corpora publish angles
ANNOTATED_BOX = ["annot_x1", "annot_y1", "annot_x2", "annot_y2"]  # pixels; NaN where there is none
DETECTED_BOX = ["det_x1", "det_y1", "det_x2", "det_y2"]  # pixels: the box that networks see

# What `index` writes. `image` is relative to the corpus folder; `face_id` is unique and readable;
# `split`, `subject` and `video` are empty if the corpus has none; `image_sha256` (hex, of the
# file's bytes) records which files were used and finds the same photograph under two names.
# `order` is the Euler order of the published angles: with OUR_ORDER, they are pitch, yaw and roll.
INDEX_COLUMNS: dict[str, str] = {
    "face_id": "str",
    "dataset": "str",
    "image": "str",
    "image_sha256": "str",
    "split": "str",
    "subject": "str",
    "video": "str",
    **dict.fromkeys(PYR, "float64"),
    "order": "str",
    **dict.fromkeys(PUBLISHED_PYR, "float64"),
    **dict.fromkeys(ANNOTATED_BOX, "float64"),
}
# What `redetect` adds. `box_source`: "detected", "annotated" (fallback), "published", or "" for
# faces without a match, whose numbers are NaN.
BOX_COLUMNS: dict[str, str] = {
    **dict.fromkeys(DETECTED_BOX, "float64"),
    "det_score": "float64",
    "match_iou": "float64",
    "box_source": "str",
}

_DIGEST = b"content_sha256"  # key in the parquet file's metadata


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Parquet with a digest of its content, written atomically. Equal tables give equal bytes."""
    content = pa.Table.from_pandas(table.reset_index(drop=True), preserve_index=False)
    metadata = {**content.schema.metadata, _DIGEST: _table_digest(content)}
    with atomic(path) as temporary:
        parquet.write_table(content.replace_schema_metadata(metadata), temporary)


def write_csv(table: pd.DataFrame, path: Path) -> None:
    """CSV with floats rounded to 4 decimals, written atomically."""
    with atomic(path) as temporary:
        table.round(4).to_csv(temporary, index=False, lineterminator="\n")


def read_csv(path: Path) -> pd.DataFrame:
    """Raises InputError if the file is missing or not what its stage wrote (`dvc_lock`)."""
    content = recorded_bytes(path)
    try:
        return pd.read_csv(BytesIO(content))
    except ValueError as error:
        raise damaged(path, error) from error


def read_table(path: Path, columns: Sequence[str] = ()) -> pd.DataFrame:
    """Reads a table of `write_table`.

    Raises InputError if the file or one of `columns` is missing, or its digest does not match.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such table; {how_to_remake(path)}")
    try:
        content = parquet.ParquetFile(path).read()
        metadata = content.schema.metadata or {}
        intact = metadata.get(_DIGEST) == _table_digest(content)
        table: pd.DataFrame = content.to_pandas()
    except Exception as error:  # with damaged metadata, anything can be raised
        raise damaged(path, f"cannot be read as a parquet table: {error}") from error
    if not intact:
        raise damaged(path, f"its content does not match its {_DIGEST.decode()}")
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise InputError(f"{path}: expected columns {missing}, found {list(table.columns)}")
    return table


def _table_digest(table: pa.Table) -> bytes:
    """sha256 of column names, types, values and pandas' metadata; all nulls are alike."""
    digest = sha256(table.schema.metadata[b"pandas"])
    for field, column in zip(table.schema, table.columns, strict=True):
        digest.update(f"{field.name} {field.type}\n".encode())
        numbers = pa.types.is_floating(field.type) or pa.types.is_integer(field.type)
        values = column.to_numpy() if numbers else json.dumps(column.to_pylist()).encode()
        digest.update(values)
    return digest.hexdigest().encode()
