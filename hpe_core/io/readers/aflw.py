"""AFLW: photographs from flickr, their faces in one sqlite database."""

import math
import sqlite3
from collections.abc import Hashable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hpe_core.errors import InputError
from hpe_core.io.images import check_image
from hpe_core.io.readers.common import (
    NO_BOX,
    Entry,
    Face,
    Skipped,
    is_below,
    missing_corpus,
    read_each,
)
from hpe_core.labels import pyr_from_aflw

DATABASE = "aflw.sqlite"
IMAGES = "data/flickr"
SUFFIXES = {".jpg", ".png"}
SOURCE = "It is given out on request by its owners, the ICG of TU Graz (Köstinger et al., 2011)."
UNFINISHED = ("-wal", "-journal")  # what sqlite keeps changes in until they are in the database
MAX_STEPS = 100_000_000  # of sqlite's machine: bounds time and rows; AFLW itself takes 2 million
MAX_LENGTH = 1_000_000  # bytes of a value
NUMBERS = ["pitch", "yaw", "roll", "x", "y", "w", "h"]

# LEFT JOIN: a face without an image, a pose or a box must be seen to be reported.
QUERY = """
SELECT Faces.face_id, filepath, pitch, yaw, roll, x, y, w, h
FROM Faces
LEFT JOIN FaceImages ON FaceImages.file_id = Faces.file_id
LEFT JOIN FacePose ON FacePose.face_id = Faces.face_id
LEFT JOIN FaceRect ON FaceRect.face_id = Faces.face_id
ORDER BY Faces.face_id, filepath
"""


def read_aflw(folder: Path) -> list[Entry]:
    """`aflw.sqlite` and `data/flickr/{0,2,3}/imageNNNNN.{jpg,png}`; one row a face.

    Boxes may reach out of the image, as published. A face without a box, or with one of no area,
    is kept without. Reported: faces without pose, faces without a readable image, images without
    a face.
    """
    database = folder / DATABASE
    if not database.is_file():
        raise missing_corpus(folder, f"AFLW as {DATABASE} and {IMAGES}/", SOURCE)
    table = _query(database)
    if table.empty:
        raise InputError(f"{database}: the table Faces is empty")
    paths = {path for path in table["filepath"] if isinstance(path, str)}
    images = sorted(f"{IMAGES}/{path}" for path in paths if is_below(path))
    bad = {
        entry.file: entry.reason
        for entry in read_each(images, lambda image: check_image(folder / image), "AFLW")
        if isinstance(entry, Skipped)
    }
    unknown = sorted(_files(folder) - set(images))
    return [
        *(_entry(row, bad) for row in table.to_dict("records")),
        *(Skipped(image, f"no face of this image in {DATABASE}") for image in unknown),
    ]


def _query(database: Path) -> pd.DataFrame:
    """As the file lies there: nothing is created, locked or merged. A read-only connection would
    leave files beside a database with a write-ahead log, in the middle of the corpus.
    """
    for suffix in UNFINISHED:
        changes = database.with_name(database.name + suffix)
        if changes.exists() and changes.stat().st_size:
            raise InputError(
                f"{changes}: expected no unfinished changes of the database; end the program that "
                f"writes, and let sqlite3 merge them: sqlite3 {DATABASE} 'PRAGMA "
                "journal_mode = DELETE; SELECT count(*) FROM Faces'"
            )
    try:
        name = f"{database.absolute().as_uri()}?mode=ro&immutable=1"
        with closing(sqlite3.connect(name, uri=True)) as base:
            base.text_factory = lambda text: text.decode(errors="replace")
            base.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_LENGTH)
            base.set_progress_handler(lambda: 1, MAX_STEPS)
            rows = base.execute(QUERY).fetchall()
    except (sqlite3.Error, ValueError, MemoryError) as error:  # ValueError: a message not in UTF-8
        reason = f"takes over {MAX_STEPS} steps" if str(error) == "interrupted" else error
        if isinstance(error, MemoryError):  # a damaged length, asked for at once
            reason = "takes more memory than there is"
        raise InputError(
            f"{database}: not readable as AFLW's database: {reason}; expected its tables Faces, "
            "FaceImages, FacePose, FaceRect"
        ) from error
    # As objects: beside one NULL, numbers for names would become floats.
    table = pd.DataFrame(rows, columns=["face_id", "filepath", *NUMBERS], dtype=object)
    table[NUMBERS] = table[NUMBERS].apply(pd.to_numeric, errors="coerce")
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
    pyr_deg = pyr_from_aflw([row["pitch"], row["yaw"], row["roll"]])
    if np.isnan(pyr_deg).all():
        return Skipped(image, f"face {name}: no pose in FacePose")
    return Face(name, image, pyr_deg, _box(row["x"], row["y"], row["w"], row["h"]))


def _box(x: float, y: float, w: float, h: float) -> tuple[float, float, float, float]:
    return (x, y, x + w, y + h) if w > 0 and h > 0 and math.isfinite(x + y + w + h) else NO_BOX


def _files(folder: Path) -> set[str]:
    """All images that lie there, relative to the corpus."""
    found = (folder / IMAGES).rglob("*")
    return {
        path.relative_to(folder).as_posix()
        for path in found
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
    }
