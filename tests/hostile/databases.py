"""AFLW: each case spoils a good corpus of three faces (39341 and 39342 in one image, 39343)."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from hostile.case import accepted, error, row
from tiny_corpora import add_face, write_image

WRITERS: list[sqlite3.Connection] = []  # that a case leaves open; the test closes them


def execute(folder: Path, script: str) -> None:
    with closing(sqlite3.connect(folder / "aflw.sqlite")) as base:
        base.executescript(script)


def add_image(folder: Path, filepath: object, face_id: int = 50) -> None:
    """A face in an image that the database says lies at `filepath`."""
    with closing(sqlite3.connect(folder / "aflw.sqlite")) as base, base:
        row = (9, "flickr", "other.jpg", filepath, 64, 48)
        base.execute("INSERT INTO FaceImages VALUES (?, ?, ?, ?, ?, ?)", row)
    add_face(folder, face_id, "other.jpg")


def replace_table(folder: Path, name: str, columns: str, values: str = "*") -> None:
    """The same rows, in a table without types, keys and constraints."""
    execute(
        folder,
        f"ALTER TABLE {name} RENAME TO old; CREATE TABLE {name} ({columns});"
        f"INSERT INTO {name} SELECT {values} FROM old; DROP TABLE old;",
    )


# --- the file


@error("aflw.sqlite", "file is not a database", "Faces, FaceImages, FacePose, FaceRect")
def no_database(folder: Path) -> None:
    (folder / "aflw.sqlite").write_bytes(b"no database" * 99)


@error("aflw.sqlite", "no such table: Faces")
def zero_bytes(folder: Path) -> None:
    (folder / "aflw.sqlite").write_bytes(b"")


@error("aflw.sqlite", "malformed")
def cut_in_half(folder: Path) -> None:
    os.truncate(folder / "aflw.sqlite", 9000)


@error("aflw.sqlite", "cannot be read")
def pages_of_random_bytes(folder: Path) -> None:
    content = bytearray((folder / "aflw.sqlite").read_bytes())
    content[200:] = os.urandom(len(content) - 200)
    (folder / "aflw.sqlite").write_bytes(content)


@error("aflw.sqlite", "takes more memory")
def a_schema_that_takes_all_memory(folder: Path) -> None:
    """Found by fuzzing: a text in the schema with a length of its own making."""
    execute(folder, "PRAGMA page_size = 512; VACUUM")
    content = bytearray((folder / "aflw.sqlite").read_bytes())
    start = content.index(b"FaceRectFaceRect") + 15
    content[start : start + 108] = b"\xff" * 108
    (folder / "aflw.sqlite").write_bytes(content)


@error("aflw.sqlite", "cannot be read")
def a_schema_that_is_not_utf_8(folder: Path) -> None:
    """Found by fuzzing: sqlite's message quotes it, and Python fails to decode the message."""
    execute(
        folder,
        "PRAGMA writable_schema = ON; UPDATE sqlite_master SET name = CAST(X'469F' AS TEXT), "
        "sql = 'CREATE nothing' WHERE name = 'Faces'",
    )


@error("looked for AFLW as aflw.sqlite", "which is there, but holds no such file")
def a_folder_in_its_place(folder: Path) -> None:
    (folder / "aflw.sqlite").unlink()
    (folder / "aflw.sqlite").mkdir()


@error("looked for AFLW as aflw.sqlite")
def a_link_to_nothing(folder: Path) -> None:
    (folder / "aflw.sqlite").unlink()
    (folder / "aflw.sqlite").symlink_to("nowhere.sqlite")


@error("aflw.sqlite-wal", "expected no unfinished changes", "sqlite3")
def a_write_ahead_log(folder: Path) -> None:
    """Rows that only the log holds; a reader that merges it writes into the corpus."""
    base = sqlite3.connect(folder / "aflw.sqlite")
    base.executescript("PRAGMA journal_mode = WAL; DELETE FROM Faces WHERE face_id = 39343;")
    WRITERS.append(base)


@accepted
def an_empty_write_ahead_log(folder: Path) -> None:
    """Switched on, everything merged: nothing is created beside it."""
    execute(folder, "PRAGMA journal_mode = WAL")


@error("aflw.sqlite-journal", "expected no unfinished changes")
def a_writer_in_the_middle(folder: Path) -> None:
    base = sqlite3.connect(folder / "aflw.sqlite", isolation_level=None)
    base.execute("BEGIN EXCLUSIVE")
    base.execute("DELETE FROM Faces WHERE face_id = 39343")
    WRITERS.append(base)


@accepted
def locked_before_any_change(folder: Path) -> None:
    base = sqlite3.connect(folder / "aflw.sqlite", isolation_level=None)
    base.execute("BEGIN EXCLUSIVE")
    WRITERS.append(base)


# --- its tables


@error("aflw.sqlite", "no such table: FacePose", "Faces, FaceImages, FacePose, FaceRect")
def a_table_is_missing(folder: Path) -> None:
    execute(folder, "DROP TABLE FacePose")


@error("aflw.sqlite", "no such column: filepath")
def a_column_is_missing(folder: Path) -> None:
    execute(folder, "ALTER TABLE FaceImages RENAME COLUMN filepath TO path")


@error("aflw.sqlite: the table Faces is empty")
def no_face(folder: Path) -> None:
    execute(folder, "DELETE FROM Faces")


@error("aflw.sqlite", "steps", heavy=True)
def a_view_that_never_ends(folder: Path) -> None:
    execute(
        folder,
        "DROP TABLE Faces; CREATE VIEW Faces AS WITH RECURSIVE n(face_id) AS "
        "(SELECT 1 UNION ALL SELECT face_id + 1 FROM n) SELECT face_id, 'x' AS file_id FROM n;",
    )


@error("aflw.sqlite", "steps", heavy=True)
def a_join_of_a_billion_rows(folder: Path) -> None:
    numbers = "WITH RECURSIVE n(i) AS (SELECT 100 UNION ALL SELECT i + 1 FROM n LIMIT 30000)"
    execute(
        folder,
        f"INSERT INTO Faces {numbers} SELECT i + 100000, 'same', '' FROM n;"
        f"INSERT INTO FaceImages {numbers} SELECT i, '', 'same', 'x.jpg', 1, 1 FROM n;",
    )


@error("aflw.sqlite", "too big", heavy=True)
def a_text_of_a_gigabyte(folder: Path) -> None:
    execute(
        folder,
        "ALTER TABLE FaceImages RENAME TO old; CREATE VIEW FaceImages AS "
        "SELECT file_id, replace(hex(zeroblob(450000000)), '0', 'a') AS filepath FROM old;",
    )


@row("face 50: no image in FaceImages")
def a_number_for_a_filepath(folder: Path) -> None:
    replace_table(folder, "FaceImages", "image_id, db_id, file_id, filepath, width, height")
    add_image(folder, 7)


@row("face 50", "no image in FaceImages")
def bytes_for_a_filepath(folder: Path) -> None:
    add_image(folder, b"0/image00002.jpg")


@row("50: non-finite pose", "nan")
def text_for_an_angle(folder: Path) -> None:
    add_face(folder, 50, "image00002.jpg", (0.1, "left", 0.2))


@row("50: impossible pose", "±1440°")
def an_angle_of_a_million(folder: Path) -> None:
    add_face(folder, 50, "image00002.jpg", (0.1, 1e6, 0.2))


@row("a face without a face_id in Faces")
def a_face_without_a_name(folder: Path) -> None:
    replace_table(folder, "Faces", "face_id, file_id, db_id")
    execute(folder, "INSERT INTO Faces VALUES (NULL, 'image00002.jpg', '')")


@row("a second face under the name 39343")
def one_name_twice(folder: Path) -> None:
    replace_table(folder, "Faces", "face_id, file_id, db_id")
    execute(folder, "INSERT INTO Faces VALUES (39343, 'image00002.jpg', '')")


# --- where its images are said to lie


@row("data/flickr/../../../outside/x.jpg", "face 50", "expected a path below data/flickr")
def a_filepath_that_climbs_out(folder: Path) -> None:
    """There is a good image there."""
    write_image(folder.parent / "outside" / "x.jpg")
    add_image(folder, "../../../outside/x.jpg")


@row("face 50", "/outside/x.jpg", "expected a path below data/flickr")
def an_absolute_filepath(folder: Path) -> None:
    write_image(folder.parent / "outside" / "x.jpg")
    add_image(folder, str(folder.parent / "outside" / "x.jpg"))


@row("face 50", "expected a path below data/flickr")
def a_filepath_that_climbs_and_returns(folder: Path) -> None:
    add_image(folder, "0/../0/image00002.jpg")


@row("face 50", "null")
def a_nul_in_a_filepath(folder: Path) -> None:
    add_image(folder, "0/image\0.jpg")


@row("face 50", "File name too long")
def a_filepath_of_100000_letters(folder: Path) -> None:
    add_image(folder, "a" * 100_000)


@row("face 50: no such file")
def a_filepath_that_is_not_utf_8(folder: Path) -> None:
    add_image(folder, "x")
    execute(
        folder, "UPDATE FaceImages SET filepath = CAST(X'FF2E6A7067' AS TEXT) WHERE image_id = 9"
    )


@accepted
def a_filepath_with_space_newline_and_umlaut(folder: Path) -> None:
    path = "0/im age\nü.jpg"
    write_image(folder / "data/flickr" / path)
    add_image(folder, path)


# --- its boxes


@accepted
def a_box_of_no_area(folder: Path) -> None:
    """The face is kept without: the detector may find it."""
    add_face(folder, 50, "image00002.jpg", xywh=(3, 4, 0, 9))


@accepted
def an_inverted_box(folder: Path) -> None:
    add_face(folder, 50, "image00002.jpg", xywh=(3, 4, -5, 9))


@accepted
def an_infinite_box(folder: Path) -> None:
    add_face(folder, 50, "image00002.jpg", xywh=(9e999, 4, 5, 9))
