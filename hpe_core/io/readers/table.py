"""A corpus of one's own: images in a folder, and a table of their faces (docs/own-corpus.md).

The table is read as text throughout, CSV and parquet alike, so that subject 01 stays 01 and both
files say the same.
"""

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import csv, parquet

from hpe_core.errors import InputError, brief
from hpe_core.geometry import ANGLES
from hpe_core.io.files import read_at_most
from hpe_core.io.images import check_image
from hpe_core.io.readers.common import (
    NO_BOX,
    Entry,
    Face,
    Skipped,
    check_near,
    is_below,
    missing_corpus,
    read_each,
)

TABLES = ("faces.csv", "faces.parquet")
REQUIRED = ("image", *ANGLES)
BOX = ("x1", "y1", "x2", "y2")
OPTIONAL = (*BOX, "subject", "video", "split", "face")
SOURCE = "It is your own: docs/own-corpus.md has an example."
MAX_BYTES = 200_000_000  # of the file, and of what it unpacks to: two million faces
BATCH_ROWS = 1000  # of parquet, so that it cannot unpack to much more before that is noticed

Row = dict[str, str]  # column → text, "" where the table has none


def read_own(folder: Path) -> list[Entry]:
    """`faces.csv` or `faces.parquet`, one row a face, and the images; in the order of the table.

    Columns: image (path below `folder`), pitch, yaw, roll (degrees, as geometry.py has them); if
    there: x1, y1, x2, y2 (annotated box, pixels; all four empty: none), subject, video, split and
    face (its name; else the image's path, then path#2, path#3 … for further faces of the image).
    Others are ignored, and named on stdout.

    Reported: rows whose image cannot be read or lies elsewhere, whose pose or box holds something
    else than finite numbers, whose box is inverted or not near the image; several faces of an image
    without a box. Raises InputError for a table that is missing or cannot be read, or lacks a
    column.
    """
    path = _only_table(folder)
    rows = read_rows(path)
    images = sorted({row["image"] for row in rows if row["image"] and is_below(row["image"])})
    sizes = read_each(images, lambda image: check_image(folder / image), path.name)
    size_of = dict(zip(images, sizes, strict=True))
    boxless = Counter(row["image"] for row in rows if not _has_box(row))
    seen: Counter[str] = Counter()
    entries: list[Entry] = []
    for number, row in enumerate(rows, start=1):
        image = row["image"]
        seen[image] += 1
        name = image if seen[image] == 1 else f"{image}#{seen[image]}"
        try:
            face = _face(row, row.get("face") or name, size_of.get(image))
            if boxless[image] > 1 and not _has_box(row):  # poses would change places
                raise InputError("no box, like another face of this image: which is which?")
            entries.append(face)
        except InputError as error:
            entries.append(Skipped(image or path.name, f"row {number}: {error}"))
    return entries


def read_rows(path: Path) -> list[Row]:
    """The columns of ours in a .csv or .parquet. Raises InputError, also for a table of no row."""
    content = pa.py_buffer(read_at_most(path, MAX_BYTES))
    kind, read = ("CSV", _read_csv) if path.suffix == ".csv" else ("parquet", _read_parquet)
    try:
        rows: list[Row] = read(content).to_pylist()
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except Exception as error:  # damaged metadata can raise anything
        reason = " ".join(str(error).split())[:300]
        expected = "; expected commas and UTF-8" if kind == "CSV" else ""
        raise InputError(f"{path}: cannot be read as {kind}: {reason}{expected}") from None
    if not rows:
        raise InputError(f"{path}: expected a row for each face, found none")
    for row in rows:
        row["image"] = row["image"] and PurePosixPath(row["image"]).as_posix()  # ./a and a//b
    return rows


def _only_table(folder: Path) -> Path:
    found = [folder / name for name in TABLES if (folder / name).exists()]
    if not found:
        raise missing_corpus(folder, f"a table {' or '.join(TABLES)}", SOURCE)
    if len(found) > 1:
        raise InputError(f"{folder}: found {' and '.join(TABLES)}; expected one: remove the other")
    return found[0]


def _read_csv(content: pa.Buffer) -> pa.Table:
    table = csv.read_csv(
        content,
        csv.ReadOptions(use_threads=False),  # then errors have the row's number
        csv.ParseOptions(newlines_in_values=True),
        csv.ConvertOptions(column_types=dict.fromkeys((*REQUIRED, *OPTIONAL), pa.string())),
    )
    return _as_text(table, _columns(table.column_names))


def _read_parquet(content: pa.Buffer) -> pa.Table:
    file = parquet.ParquetFile(pa.BufferReader(content))
    columns = _columns(file.schema_arrow.names)
    groups = [file.metadata.row_group(group) for group in range(file.metadata.num_row_groups)]
    _check_unpacked(sum(group.total_byte_size for group in groups))
    batches, unpacked = [_as_text(file.schema_arrow.empty_table(), columns)], 0
    for batch in file.iter_batches(BATCH_ROWS, columns=columns):
        batches.append(_as_text(batch, columns))
        unpacked += batches[-1].nbytes
        _check_unpacked(unpacked)
    return pa.concat_tables(batches)


def _check_unpacked(found_bytes: int) -> None:
    if found_bytes > MAX_BYTES:
        raise InputError(f"unpacks to {found_bytes} bytes, expected at most {MAX_BYTES}")


def _columns(names: Sequence[str]) -> list[str]:
    """Those of ours. Raises InputError for a missing one and for one that stands there twice."""
    needed = [*REQUIRED, *(BOX if set(BOX) & set(names) else ())]
    if missing := [name for name in needed if name not in names]:
        raise InputError(f"no column {', '.join(missing)}; found {', '.join(names)[:300]}")
    ours = [name for name in names if name in (*REQUIRED, *OPTIONAL)]
    if twice := [name for name, times in Counter(ours).items() if times > 1]:
        raise InputError(f"expected each column once, found {', '.join(twice)} twice")
    if others := [name for name in names if name not in ours]:
        print(f"columns of the table that nothing reads: {', '.join(others)[:300]}")
    return ours


def _as_text(table: pa.Table | pa.RecordBatch, columns: Sequence[str]) -> pa.Table:
    """Numbers as the shortest text that is the same number, nothing as ""."""
    texts = {}
    for name in columns:
        try:
            texts[name] = table.column(name).cast(pa.string()).fill_null("")
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            kind = table.column(name).type
            raise InputError(f"column {name}: expected text or numbers, found {kind}") from None
    return pa.table(texts)


def _face(row: Row, name: str, size_hw: tuple[int, int] | Skipped | None) -> Face:
    if not row["image"]:
        raise InputError("no image")
    if size_hw is None:
        raise InputError("expected a path below the corpus's folder")
    if isinstance(size_hw, Skipped):
        raise InputError(size_hw.reason)
    pyr_deg = _numbers(row, ANGLES)
    bbox_xyxy = _box(row, size_hw)
    groups = {column: row.get(column, "") for column in ("subject", "video", "split")}
    return Face(name, row["image"], pyr_deg, bbox_xyxy, **groups)


def _has_box(row: Row) -> bool:
    return any(row.get(column) for column in BOX)


def _box(row: Row, size_hw: tuple[int, int]) -> Sequence[float]:
    if not _has_box(row):
        return NO_BOX
    x1, y1, x2, y2 = _numbers(row, BOX).tolist()
    if not (x1 < x2 and y1 < y2):
        raise InputError(f"expected x1 < x2 and y1 < y2, found {x1:g}, {y1:g}, {x2:g}, {y2:g}")
    check_near(np.array([[x1, x2], [y1, y2]]), size_hw, "the box")
    return x1, y1, x2, y2


def _numbers(row: Row, columns: Sequence[str]) -> NDArray[np.float64]:
    numbers = [_number(row[column]) for column in columns]
    for column, number in zip(columns, numbers, strict=True):
        if not math.isfinite(number):
            raise InputError(f"{column} is {brief(row[column])}, expected a finite number")
    return np.array(numbers)


def _number(text: str) -> float:
    """NaN for anything else; Python itself reads 1_000 and Arabic digits, too."""
    try:
        return float(text) if text.isascii() and "_" not in text else math.nan
    except ValueError:
        return math.nan
