"""AFLW: photographs from flickr, their faces in one sqlite database."""

import math
import sqlite3
from collections.abc import Hashable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hpe_core.common.errors import InputError
from hpe_core.common.table_files import AFLW_ORDER
from hpe_core.corpora.entries import NO_BOX, Entry, Face, Layout, Skipped, each_or_skipped, is_below
from hpe_core.corpora.labels import yxz_from_aflw
from hpe_core.faces.images import check_image

DATABASE = "aflw.sqlite"
IMAGES = "data/flickr"
PHOTO_SUFFIXES = {".jpg", ".png"}
UNFINISHED = ("-wal", "-journal")  # files in which sqlite keeps changes before it merges them
MAX_STEPS = 100_000_000  # of sqlite's machine: bounds time and rows; AFLW takes 2 million
MAX_LENGTH = 1_000_000  # bytes per value
NUMERIC_COLUMNS = ["pitch", "yaw", "roll", "x", "y", "w", "h"]

# LEFT JOIN keeps faces without an image, a pose or a box, so that they can be reported.
QUERY = """
SELECT Faces.face_id, filepath, pitch, yaw, roll, x, y, w, h
FROM Faces
LEFT JOIN FaceImages ON FaceImages.file_id = Faces.file_id
LEFT JOIN FacePose ON FacePose.face_id = Faces.face_id
LEFT JOIN FaceRect ON FaceRect.face_id = Faces.face_id
ORDER BY Faces.face_id, filepath
"""


def read_aflw(folder: Path) -> list[Entry]:
    """`aflw.sqlite` and `data/flickr/{0,2,3}/imageNNNNN.{jpg,png}`; one row per face.

    Boxes may extend beyond the image, as published. A box without area counts as none; the face is
    kept. Skipped: faces without a pose or a readable image, and images without a face.
    """
    database = folder / DATABASE
    if not database.is_file():
        return []
    table = _query(database)
    if table.empty:
        raise InputError(f"{database}: the table Faces is empty")
    paths = {path for path in table["filepath"] if isinstance(path, str)}
    images = sorted(f"{IMAGES}/{path}" for path in paths if is_below(path))
    bad = {
        entry.file: entry.reason
        for entry in each_or_skipped(images, lambda image: check_image(folder / image), "AFLW")
        if isinstance(entry, Skipped)
    }
    unknown = sorted(_files(folder) - set(images))
    return [
        *(_entry(row, bad) for row in table.to_dict("records")),
        *(Skipped(image, f"no face of this image in {DATABASE}") for image in unknown),
    ]


def _query(database: Path) -> pd.DataFrame:
    """The result of QUERY. Never writes into the corpus: nothing is created, locked or merged.

    (A connection that is only read-only leaves files beside a database with a write-ahead log.)
    """
    for suffix in UNFINISHED:
        changes = database.with_name(database.name + suffix)
        if changes.exists() and changes.stat().st_size:
            raise InputError(
                f"{changes}: expected no unfinished changes to the database; stop the program "
                f"that writes it and let sqlite3 merge them: sqlite3 {DATABASE} 'PRAGMA "
                "journal_mode = DELETE; SELECT count(*) FROM Faces'"
            )
    try:
        name = f"{database.absolute().as_uri()}?mode=ro&immutable=1"
        with closing(sqlite3.connect(name, uri=True)) as base:
            base.text_factory = lambda text: text.decode(errors="replace")
            base.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_LENGTH)
            base.set_progress_handler(lambda: 1, MAX_STEPS)
            rows = base.execute(QUERY).fetchall()
    except (
        sqlite3.Error,
        ValueError,
        MemoryError,
    ) as error:  # ValueError: an error message that is not UTF-8
        reason = f"takes over {MAX_STEPS} steps" if str(error) == "interrupted" else error
        if isinstance(error, MemoryError):  # a damaged length field
            reason = "takes more memory than there is"
        raise InputError(
            f"{database}: cannot be read as AFLW's database: {reason}; expected its tables Faces, "
            "FaceImages, FacePose, FaceRect"
        ) from error
    # dtype object: with a single NULL, names that are numbers would become floats.
    table = pd.DataFrame(rows, columns=["face_id", "filepath", *NUMERIC_COLUMNS], dtype=object)
    table[NUMERIC_COLUMNS] = table[NUMERIC_COLUMNS].apply(pd.to_numeric, errors="coerce")
    return table


def _entry(row: dict[Hashable, Any], bad: dict[str, str]) -> Entry:
    if pd.isna(row["face_id"]):
        return Skipped(DATABASE, "a face without a face_id in Faces")
    name = str(row["face_id"])
    if not isinstance(row["filepath"], str):
        return Skipped(DATABASE, f"face {name}: no image in FaceImages")
    image = f"{IMAGES}/{row['filepath']}"
    if not is_below(row["filepath"]):
        return Skipped(image, f"face {name}: expected a path below {IMAGES}")
    if image in bad:
        return Skipped(image, f"face {name}: {bad[image]}")
    published_deg = yxz_from_aflw([row["pitch"], row["yaw"], row["roll"]])
    if np.isnan(published_deg).all():
        return Skipped(image, f"face {name}: no pose in FacePose")
    box = _corners(row["x"], row["y"], row["w"], row["h"])
    return Face(name, image, published_deg, box, order=AFLW_ORDER)


def _corners(x: float, y: float, w: float, h: float) -> tuple[float, float, float, float]:
    return (x, y, x + w, y + h) if w > 0 and h > 0 and math.isfinite(x + y + w + h) else NO_BOX


def _files(folder: Path) -> set[str]:
    """All images of the corpus, relative to its folder."""
    found = (folder / IMAGES).rglob("*")
    return {
        path.relative_to(folder).as_posix()
        for path in found
        if path.suffix.lower() in PHOTO_SUFFIXES and not path.name.startswith(".")
    }


AFLW = Layout(
    read_aflw,
    title="AFLW",
    files="aflw.sqlite, data/flickr/{0,2,3}/imageNNNNN.{jpg,png}",
    sign=DATABASE,
    faces=24_383,
    source="It is given out on request by its owners, the ICG of TU Graz (Köstinger et al., 2011).",
)
