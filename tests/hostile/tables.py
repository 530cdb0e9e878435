"""A corpus of one's own: each case spoils a good faces.csv of three faces (a/1.jpg twice, b.png).

`add` appends one line: image,pitch,yaw,roll,x1,y1,x2,y2,face.
"""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from hostile.case import accepted, error, row
from pyarrow import parquet
from tiny_corpora import write_image

BOX = "3,4,20,30"


def add(folder: Path, image: str = "b.png", pose: str = "1,2,3", box: str = BOX, face: str = ""):
    with (folder / "faces.csv").open("a", encoding="utf-8", newline="") as file:
        file.write(f"{image},{pose},{box},{face}\n")


def as_parquet(folder: Path, **columns: object) -> None:
    """The same table; `columns` replace what is there."""
    faces = pd.read_csv(folder / "faces.csv").assign(**columns)
    (folder / "faces.csv").unlink()
    faces.to_parquet(folder / "faces.parquet", index=False)


# --- the file


@error("looked for a table as faces.csv or faces.parquet", "docs/own-corpus.md")
def no_table(folder: Path) -> None:
    (folder / "faces.csv").unlink()


@error("found faces.csv and faces.parquet", "expected one")
def two_tables(folder: Path) -> None:
    (folder / "faces.parquet").write_bytes(b"")


@error("faces.csv: not a regular file")
def a_folder_in_its_place(folder: Path) -> None:
    (folder / "faces.csv").unlink()
    (folder / "faces.csv").mkdir()


@error("faces.csv: not a regular file", heavy=True)
def a_pipe_in_its_place(folder: Path) -> None:
    (folder / "faces.csv").unlink()
    os.mkfifo(folder / "faces.csv")


@error("faces.csv", "8589934592 bytes, expected at most", heavy=True)
def eight_gigabytes(folder: Path) -> None:
    os.truncate(folder / "faces.csv", 2**33)


@error("faces.csv", "Empty CSV file")
def zero_bytes(folder: Path) -> None:
    (folder / "faces.csv").write_bytes(b"")


@error("faces.csv: expected one row per face, found none")
def a_header_alone(folder: Path) -> None:
    (folder / "faces.csv").write_text("image,pitch,yaw,roll\n")


@error("faces.csv", "Row #5: Expected 9 columns, got 4", "commas")
def cut_off(folder: Path) -> None:
    add(folder)
    os.truncate(folder / "faces.csv", (folder / "faces.csv").stat().st_size - 13)


@error("faces.csv", "no column image, pitch, yaw, roll; found image;pitch;yaw;roll")
def semicolons(folder: Path) -> None:
    (folder / "faces.csv").write_text("image;pitch;yaw;roll\nb.png;1;2;3\n")


@error("faces.csv", "Row #5: Expected 9 columns, got 10")
def a_comma_in_a_name(folder: Path) -> None:
    add(folder, "b,c.png")


@error("faces.csv", "Row #5", "a.png,1,2", "Expected 9 columns")
def a_quote_that_never_ends(folder: Path) -> None:
    add(folder, '"a.png')


@error("faces.csv", "cannot be read as CSV", "invalid UTF8", "UTF-8")
def latin_1(folder: Path) -> None:
    with (folder / "faces.csv").open("ab") as file:
        file.write("ü.png,1,2,3,3,4,20,30,\n".encode("latin-1"))


@error("faces.csv", "cannot be read as CSV", "UTF-8")
def utf_16(folder: Path) -> None:
    text = (folder / "faces.csv").read_text()
    (folder / "faces.csv").write_text(text, encoding="utf-16")


@accepted
def a_byte_order_mark_carriage_returns_and_an_empty_line(folder: Path) -> None:
    """As Excel writes it."""
    text = (folder / "faces.csv").read_text() + "\n"
    (folder / "faces.csv").write_text(text, encoding="utf-8-sig", newline="\r\n")


@error("faces.csv", "cannot be read as CSV", heavy=True)
def a_field_of_150_megabytes(folder: Path) -> None:
    add(folder, "x" * 150_000_000)


# --- its columns


@error("faces.csv", "no column pitch; found image, picth, yaw")
def a_misspelt_column(folder: Path) -> None:
    path = folder / "faces.csv"
    path.write_text(path.read_text().replace("pitch", "picth"))


@error("faces.csv", "no column x2; found")
def three_columns_of_a_box(folder: Path) -> None:
    path = folder / "faces.csv"
    path.write_text(path.read_text().replace("x2", "width"))


@error("faces.csv", "expected each column once, found yaw twice")
def a_column_twice(folder: Path) -> None:
    path = folder / "faces.csv"
    path.write_text(path.read_text().replace("face\n", "yaw\n"))


@accepted
def further_columns(folder: Path) -> None:
    path = folder / "faces.csv"
    path.write_text(path.read_text().replace("face\n", "remark\n"))


# --- its rows


@row("b.png", "row 4: pitch is '12;5', expected a finite number")
def another_decimal_point(folder: Path) -> None:
    add(folder, pose="12;5,2,3")


@row("b.png", "row 4: yaw is '', expected a finite number")
def no_angle(folder: Path) -> None:
    add(folder, pose="1,,3")


@row("b.png", "row 4: roll is '1e999'")
def an_infinite_angle(folder: Path) -> None:
    add(folder, pose="1,2,1e999")


@row("b.png", "row 4: pitch is '١'")
def arabic_digits(folder: Path) -> None:
    """`float` would read them."""
    add(folder, pose="١,2,3")


@row("b.png", "impossible pose", "±1440°")
def an_angle_of_a_million(folder: Path) -> None:
    add(folder, pose="1,2,1e6")


@row("faces.csv", "row 4: no image")
def no_image(folder: Path) -> None:
    add(folder, "")


@row("c.png", "row 4: no such file")
def an_image_that_is_missing(folder: Path) -> None:
    add(folder, "c.png")


@row("c.png", "row 4: damaged or cut off")
def an_image_that_is_cut_off(folder: Path) -> None:
    (folder / "c.png").write_bytes((folder / "b.png").read_bytes()[:900])
    add(folder, "c.png")


@row("../outside/x.jpg", "row 4: expected a path below")
def a_path_that_climbs_out(folder: Path) -> None:
    """There is a good image there."""
    write_image(folder.parent / "outside" / "x.jpg")
    add(folder, "../outside/x.jpg")


@row("/outside/x.jpg", "row 4: expected a path below")
def an_absolute_path(folder: Path) -> None:
    write_image(folder.parent / "outside" / "x.jpg")
    add(folder, str(folder.parent / "outside" / "x.jpg"))


@row("row 4", "null")
def a_nul_in_a_path(folder: Path) -> None:
    add(folder, "b\0.png")


@accepted
def a_path_with_a_dot_and_two_slashes(folder: Path) -> None:
    """The third face of a/1.jpg."""
    add(folder, "./a//1.jpg")


@accepted
def a_path_with_comma_quote_and_newline(folder: Path) -> None:
    write_image(folder / 'ü,"\n.png')
    add(folder, '"ü,""\n.png"')


@row("b.png", "row 4: x2 is '', expected a finite number")
def half_a_box(folder: Path) -> None:
    add(folder, box="3,4,,30")


@row("b.png", "row 4: y1 is 'nan'")
def a_box_with_nan(folder: Path) -> None:
    add(folder, box="3,nan,20,30")


@row("b.png", "row 4: expected x1 < x2 and y1 < y2, found 30, 4, 17, 26")
def width_and_height_for_a_corner(folder: Path) -> None:
    add(folder, box="30,4,17,26")


@row("b.png", "row 4: the box", "not in or near the 64 x 48 image")
def the_box_of_a_larger_image(folder: Path) -> None:
    add(folder, box="300,400,900,950")


@accepted
def one_face_without_a_box_beside_others(folder: Path) -> None:
    add(folder, box=",,,")


@accepted
def a_box_that_reaches_out(folder: Path) -> None:
    add(folder, box="-20,-9.5,30,30")


@row("b.png", "a second face under the name 7")
def one_name_twice(folder: Path) -> None:
    path = folder / "faces.csv"
    path.write_text(
        path.read_text().replace(f"b.png,1.5,-20.25,0.1,{BOX},", f"b.png,1,2,3,{BOX},7")
    )
    add(folder, face="7")


# --- parquet


@accepted
def parquet_of_whole_numbers_and_categories(folder: Path) -> None:
    as_parquet(folder, pitch=[1, 2, 3], subject=pd.Categorical(["x", "x", None]))


@error("faces.parquet: cannot be read as parquet")
def parquet_cut_off(folder: Path) -> None:
    as_parquet(folder)
    os.truncate(folder / "faces.parquet", 500)


@error("faces.parquet: cannot be read as parquet")
def a_pickle_for_parquet(folder: Path) -> None:
    pd.read_csv(folder / "faces.csv").to_pickle(folder / "faces.parquet")
    (folder / "faces.csv").unlink()


@error("faces.parquet: column pitch: expected text or numbers, found list")
def parquet_of_lists(folder: Path) -> None:
    as_parquet(folder, pitch=[[1.0], [2.0], [3.0]])


@error("faces.parquet: unpacks to", "bytes, expected at most", heavy=True)
def a_parquet_bomb(folder: Path) -> None:
    """A text of 250 MB in 12 kB."""
    (folder / "faces.csv").unlink()
    face = {"image": ["x" * 250_000_000], "pitch": [1], "yaw": [2], "roll": [3]}
    parquet.write_table(
        pa.table(face), folder / "faces.parquet", compression="zstd", write_statistics=False
    )


@error("faces.parquet: unpacks to", "bytes, expected at most", heavy=True)
def a_parquet_of_repetitions(folder: Path) -> None:
    """Two million times the same text of 30 kB, stored once."""
    (folder / "faces.csv").unlink()
    numbers = dict.fromkeys(("pitch", "yaw", "roll"), pa.array(np.zeros(2_000_000)))
    same = pa.DictionaryArray.from_arrays(pa.array(np.zeros(2_000_000, int)), ["x" * 30_000])
    parquet.write_table(pa.table({"image": same, **numbers}), folder / "faces.parquet")
