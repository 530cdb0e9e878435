"""A user's own corpus: images in a folder, and a table of their faces (docs/own-corpus.md).

All columns are read as text, from CSV and parquet alike. Subject 01 stays 01, and both formats give
the same result.
"""

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import csv, parquet

from hpe_core.common.errors import InputError, brief
from hpe_core.common.files import read_at_most
from hpe_core.common.geometry import ANGLES
from hpe_core.corpora.entries import (
    NO_BOX,
    Entry,
    Face,
    Layout,
    Skipped,
    check_near,
    each_or_skipped,
    is_below,
)
from hpe_core.faces.images import OWN_TABLES, check_image

REQUIRED = ("image", *ANGLES)
BOX = ("x1", "y1", "x2", "y2")
OPTIONAL = (*BOX, "subject", "video", "split", "face")
_ENOUGH = 20  # faces: as many looking straight ahead, within 3°, are unlikely
MAX_TABLE_BYTES = 200_000_000  # of the file, and unpacked: two million faces
BATCH_ROWS = 1000  # of parquet: the unpacked size is checked after each batch

TextRow = dict[str, str]  # column → text, "" for none


def read_own(folder: Path) -> list[Entry]:
    """`faces.csv` or `faces.parquet`, one row per face, and the images; in the order of the table.

    Required columns: image (path below `folder`), pitch, yaw, roll (degrees, as in geometry.py).
    Optional: x1, y1, x2, y2 (annotated box, pixels; all four empty: none), subject, video, split,
    and face (its name; by default the image's path, then path#2, path#3 … for its further faces).
    Other columns are ignored, and named on stdout.

    Skipped: rows whose image is unreadable or outside the folder, whose pose or box is not made of
    finite numbers, whose box is inverted or not near the image; several faces without a box in one
    image. Raises InputError for a table that cannot be read or lacks a column.
    """
    tables = [folder / name for name in OWN_TABLES if (folder / name).exists()]
    if not tables:
        return []
    if len(tables) > 1:
        raise InputError(
            f"{folder}: found {' and '.join(OWN_TABLES)}; expected one: remove the other"
        )
    [path] = tables
    rows = read_rows(path)
    images = sorted({row["image"] for row in rows if row["image"] and is_below(row["image"])})
    sizes = each_or_skipped(
        images, lambda image: check_image(folder / image, turned=True), path.name
    )
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
            if boxless[image] > 1 and not _has_box(row):  # their poses could be swapped
                raise InputError("no box, like another face of this image; give both theirs")
            entries.append(face)
        except InputError as error:
            entries.append(Skipped(image or path.name, f"row {number}: {error}"))
    angles = [entry.published_deg for entry in entries if isinstance(entry, Face)]
    if len(angles) >= _ENOUGH and np.abs(angles).max() <= math.pi:
        print(f"warning: {path}: no angle is beyond ±π; the columns are degrees, not radians")
    return entries


def read_rows(path: Path) -> list[TextRow]:
    """The known columns of a .csv or .parquet. Raises InputError, also for a table without rows."""
    content = pa.py_buffer(read_at_most(path, MAX_TABLE_BYTES))
    kind, read = ("CSV", _read_csv) if path.suffix == ".csv" else ("parquet", _read_parquet)
    try:
        rows: list[TextRow] = read(content).to_pylist()
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except Exception as error:  # damaged metadata can raise anything
        reason = " ".join(str(error).split())[:300]
        expected = "; expected commas and UTF-8" if kind == "CSV" else ""
        raise InputError(f"{path}: cannot be read as {kind}: {reason}{expected}") from None
    if not rows:
        raise InputError(f"{path}: expected one row per face, found none")
    for row in rows:
        row["image"] = row["image"] and PurePosixPath(row["image"]).as_posix()  # ./a and a//b
    return rows


def _read_csv(content: pa.Buffer) -> pa.Table:
    table = csv.read_csv(
        content,
        csv.ReadOptions(use_threads=False),  # so that errors contain the row's number
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
    if found_bytes > MAX_TABLE_BYTES:
        raise InputError(f"unpacks to {found_bytes} bytes, expected at most {MAX_TABLE_BYTES}")


def _columns(names: Sequence[str]) -> list[str]:
    """The known ones. Raises InputError for one that is missing or appears twice."""
    needed = [*REQUIRED, *(BOX if set(BOX) & set(names) else ())]
    if missing := [name for name in needed if name not in names]:
        raise InputError(f"no column {', '.join(missing)}; found {', '.join(names)[:300]}")
    ours = [name for name in names if name in (*REQUIRED, *OPTIONAL)]
    if twice := [name for name, times in Counter(ours).items() if times > 1]:
        raise InputError(f"expected each column once, found {', '.join(twice)} twice")
    if others := [name for name in names if name not in ours]:
        print(f"ignored columns of the table: {', '.join(others)[:300]}")
    return ours


def _as_text(table: pa.Table | pa.RecordBatch, columns: Sequence[str]) -> pa.Table:
    """Numbers as the shortest text with the same value, nulls as ""."""
    texts = {}
    for name in columns:
        try:
            texts[name] = table.column(name).cast(pa.string()).fill_null("")
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            kind = table.column(name).type
            raise InputError(f"column {name}: expected text or numbers, found {kind}") from None
    return pa.table(texts)


def _face(row: TextRow, name: str, size_hw: tuple[int, int] | Skipped | None) -> Face:
    if not row["image"]:
        raise InputError("no image")
    if size_hw is None:
        raise InputError("expected a path below the corpus's folder")
    if isinstance(size_hw, Skipped):
        raise InputError(size_hw.reason)
    pyr_deg = _finite_numbers(row, ANGLES)
    bbox_xyxy = _annotated_box(row, size_hw)
    groups = {column: row.get(column, "") for column in ("subject", "video", "split")}
    return Face(name, row["image"], pyr_deg, bbox_xyxy, **groups)


def _has_box(row: TextRow) -> bool:
    return any(row.get(column) for column in BOX)


def _annotated_box(row: TextRow, size_hw: tuple[int, int]) -> Sequence[float]:
    if not _has_box(row):
        return NO_BOX
    x1, y1, x2, y2 = _finite_numbers(row, BOX).tolist()
    if not (x1 < x2 and y1 < y2):
        raise InputError(f"expected x1 < x2 and y1 < y2, found {x1:g}, {y1:g}, {x2:g}, {y2:g}")
    check_near(np.array([[x1, x2], [y1, y2]]), size_hw, "the box")
    return x1, y1, x2, y2


def _finite_numbers(row: TextRow, columns: Sequence[str]) -> NDArray[np.float64]:
    numbers = [_number(row[column]) for column in columns]
    for column, number in zip(columns, numbers, strict=True):
        if not math.isfinite(number):
            raise InputError(f"{column} is {brief(row[column])}, expected a finite number")
    return np.array(numbers)


def _number(text: str) -> float:
    """NaN for other text, including 1_000 and Arabic digits, which float() accepts."""
    try:
        return float(text) if text.isascii() and "_" not in text else math.nan
    except ValueError:
        return math.nan


OWN_CORPUS = Layout(
    read_own,
    title="a table",
    files="faces.csv or faces.parquet, and the images it names",
    sign="faces.[cp]*",
    faces=0,
    source="It is your own: docs/own-corpus.md has an example.",
)
