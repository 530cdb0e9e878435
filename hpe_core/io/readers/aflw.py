"""AFLW: photographs from flickr, their faces in one sqlite database."""

import sqlite3
from collections.abc import Hashable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hpe_core.errors import InputError
from hpe_core.io.images import check_image
from hpe_core.io.readers.common import NO_BOX, Entry, Face, Skipped, missing_corpus, read_each
from hpe_core.labels import pyr_from_aflw

DATABASE = "aflw.sqlite"
IMAGES = "data/flickr"
SUFFIXES = {".jpg", ".png"}
SOURCE = "It is given out on request by its owners, the ICG of TU Graz (Köstinger et al., 2011)."
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
    images = sorted(f"{IMAGES}/{path}" for path in table["filepath"].dropna().unique())
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
    """Read-only: a plain connect would create an empty database where there is none."""
    try:
        with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)) as base:
            table = pd.DataFrame(base.execute(QUERY), columns=["face_id", "filepath", *NUMBERS])
    except sqlite3.Error as error:
        raise InputError(f"{database}: not readable as AFLW's database: {error}") from error
    table[NUMBERS] = table[NUMBERS].apply(pd.to_numeric, errors="coerce")
    return table


def _entry(row: dict[Hashable, Any], bad: dict[str, str]) -> Entry:
    name = str(row["face_id"])
    if not isinstance(row["filepath"], str):
        return Skipped(DATABASE, f"face {name}: no image in FaceImages")
    image = f"{IMAGES}/{row['filepath']}"
    if image in bad:
        return Skipped(image, f"face {name}: {bad[image]}")
    pyr_deg = pyr_from_aflw([row["pitch"], row["yaw"], row["roll"]])
    if np.isnan(pyr_deg).all():
        return Skipped(image, f"face {name}: no pose in FacePose")
    return Face(name, image, pyr_deg, _box(row["x"], row["y"], row["w"], row["h"]))


def _box(x: float, y: float, w: float, h: float) -> tuple[float, float, float, float]:
    return (x, y, x + w, y + h) if w > 0 and h > 0 else NO_BOX


def _files(folder: Path) -> set[str]:
    """All images that lie there, relative to the corpus."""
    found = (folder / IMAGES).rglob("*")
    return {
        path.relative_to(folder).as_posix()
        for path in found
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
    }
