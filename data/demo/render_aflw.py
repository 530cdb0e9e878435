"""Renders the demo corpus in the layout of AFLW: whole photographs and an SQLite file of labels."""

import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path

import numpy as np
import tyro

from data.demo.aflw_photos import Photo, plan_photos, render_photo
from data.demo.corpus import (
    Job,
    Planted,
    Pose,
    load_params,
    render_corpus,
    truncate,
    write_image,
)
from data.demo.render import View
from data.demo.scene import landmarks_px
from data.demo.steady import settle
from hpe_core.common.geometry import yxz_from_pyr

CORPUS = "AFLW"
IMAGES = Path("data") / "flickr"
TABLES = """
CREATE TABLE Faces (face_id INTEGER PRIMARY KEY, file_id TEXT, db_id TEXT);
CREATE TABLE FaceImages (image_id INTEGER PRIMARY KEY, db_id TEXT, file_id TEXT, filepath TEXT,
                         bw INTEGER, width INTEGER, height INTEGER);
CREATE TABLE FacePose (face_id INTEGER PRIMARY KEY, roll REAL, pitch REAL, yaw REAL,
                       annot_type_id INTEGER, upsidedown INTEGER);
CREATE TABLE FaceRect (face_id INTEGER PRIMARY KEY, x INTEGER, y INTEGER, w INTEGER, h INTEGER,
                       annot_type_id INTEGER);
"""


def main(*, params: Path, out: Path, planted: Path, workers: int | None = None) -> None:
    p = load_params(params)
    photos = plan_photos(p.seed, p.aflw.images, p.aflw.test_images)
    jobs: list[Job] = [partial(write_photo, out, p.seed, photo) for photo in photos]
    render_corpus(
        out=out,
        planted=planted,
        jobs=jobs,
        plant=partial(finish, photos),
        unit="photo",
        workers=workers,
    )


def write_photo(out: Path, seed: int, photo: Photo) -> None:
    """The image, and beside the corpus' own files the rows of its faces, until `finish`."""
    image, views = render_photo(seed, photo)
    write_image(image, out / IMAGES / photo.filepath)
    height, width = image.shape[:2]
    rows = [
        _sql_row(
            "FaceImages",
            photo.index,
            "flickr",
            photo.stem + photo.suffix,
            photo.filepath,
            0,
            width,
            height,
        )
    ]
    for slot, view in enumerate(views):
        face_id = photo.first_face_id + slot
        rows += [
            _sql_row("Faces", face_id, photo.stem + photo.suffix, "flickr"),
            _sql_row("FacePose", face_id, *stored_angles(view.pyr_deg, photo), 1, 0),
            _sql_row("FaceRect", face_id, *face_rect(view), 1),
        ]
    (out / f"{photo.index:06d}.sql").write_text("\n".join(rows), encoding="utf-8")


def stored_angles(pyr_deg: Pose, photo: Photo) -> tuple[float, float, float]:
    """AFLW's roll, pitch, yaw in radians, in its order. In a few photos yaw is 360° too large."""
    pitch, yaw, roll = (float(angle) for angle in settle(np.radians(yxz_from_pyr(pyr_deg))))
    turns = 2 * np.pi * (photo.index % 53 == 9)
    return -roll, -pitch, float(yaw + turns)


def face_rect(view: View) -> tuple[int, int, int, int]:
    """A square x, y, w, h over the landmarks with some forehead; may extend beyond the image."""
    points = landmarks_px(view)[:, :2]
    low, high = points.min(0), points.max(0)
    forehead = -0.2 * view.camera.scale * view.rotation[:2, 1]
    centre = (low + high) / 2 + forehead / 2
    side = float((high - low).max()) * 1.15
    x, y = (int(v) for v in np.round(centre - side / 2))
    return x, y, round(side), round(side)


def finish(photos: list[Photo], out: Path) -> list[Planted]:
    """Collects the rows into aflw.sqlite, then breaks an image, a file name and a pose."""
    scripts = sorted(out.glob("*.sql"))
    with closing(sqlite3.connect(out / "aflw.sqlite")) as database:
        database.executescript(TABLES)
        for script in scripts:
            database.executescript(script.read_text(encoding="utf-8"))
            script.unlink()
        defects = _plant(photos, out, database)
        database.commit()
        database.execute("VACUUM")
    return defects


def _plant(photos: list[Photo], out: Path, database: sqlite3.Connection) -> list[Planted]:
    victims = [p for p in photos if not p.test and p.faces == 1 and p.suffix == ".jpg"]
    assert len(victims) >= 3, f"{len(victims)} training photos are too few for 3 defects"
    torn, gone, undefined = (victims[(2 * k + 1) * len(victims) // 6] for k in range(3))
    truncate(out / IMAGES / torn.filepath)
    (out / IMAGES / gone.filepath).unlink()
    database.execute("UPDATE FacePose SET yaw = NULL WHERE face_id = ?", [undefined.first_face_id])
    return [
        _planted(torn, (IMAGES / torn.filepath).as_posix(), "truncated image"),
        _planted(gone, (IMAGES / gone.filepath).as_posix(), "missing image"),
        _planted(undefined, "aflw.sqlite", "pose is not a number"),
    ]


def _planted(photo: Photo, file: str, defect: str) -> Planted:
    return Planted(f"{CORPUS}/{photo.first_face_id}", file, defect)


def _sql_row(table: str, *values: float | str) -> str:
    return f"INSERT INTO {table} VALUES ({', '.join(repr(value) for value in values)});"


if __name__ == "__main__":
    tyro.cli(main, description=__doc__)
