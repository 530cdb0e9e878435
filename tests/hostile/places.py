"""Files and folders of a corpus: each case spoils a good 300W-LP corpus of four faces."""

import os
from pathlib import Path

from hostile.case import accepted, error, row
from tiny_corpora import write_pair


def good_pair(folder: Path, name: str) -> None:
    write_pair(folder / "AFW" / name, "pt2d")


@accepted
def a_name_with_spaces(folder: Path) -> None:
    good_pair(folder, " a  b ")


@accepted
def a_name_with_a_newline(folder: Path) -> None:
    good_pair(folder, "a\nb")


@accepted
def a_name_with_quotes_and_commas(folder: Path) -> None:
    good_pair(folder, """a,"b';--""")


@accepted
def a_name_in_chinese(folder: Path) -> None:
    good_pair(folder, "脸_1")


@row(r"AFW/\xff_1.jpg", "expected a name in UTF-8")
def a_name_that_is_not_utf_8(folder: Path) -> None:
    good_pair(folder, os.fsdecode(b"\xff_1"))


@row(r"AFW/\xff_1.jpg", r"no \xff_1.mat")
def half_a_pair_that_is_not_utf_8(folder: Path) -> None:
    good_pair(folder, os.fsdecode(b"\xff_1"))
    (folder / "AFW" / os.fsdecode(b"\xff_1.mat")).unlink()


@row("AFW/x_1.jpg", "no such file")
def an_image_that_is_a_link_to_nothing(folder: Path) -> None:
    good_pair(folder, "x_1")
    (folder / "AFW" / "x_1.jpg").unlink()
    (folder / "AFW" / "x_1.jpg").symlink_to("nowhere.jpg")


@row("AFW/x_1.jpg", "Too many levels of symbolic links")
def an_image_that_is_a_link_to_itself(folder: Path) -> None:
    good_pair(folder, "x_1")
    (folder / "AFW" / "x_1.jpg").unlink()
    (folder / "AFW" / "x_1.jpg").symlink_to("x_1.jpg")


@row("AFW/x_1.jpg", "x_1.mat", "Too many levels of symbolic links")
def a_label_that_is_a_link_to_itself(folder: Path) -> None:
    good_pair(folder, "x_1")
    (folder / "AFW" / "x_1.mat").unlink()
    (folder / "AFW" / "x_1.mat").symlink_to("x_1.mat")


@row("AFW/x_1.jpg", "not a regular file")
def a_folder_called_as_an_image(folder: Path) -> None:
    good_pair(folder, "x_1")
    (folder / "AFW" / "x_1.jpg").unlink()
    (folder / "AFW" / "x_1.jpg").mkdir()


@row("AFW/x_1.jpg", "x_1.mat", "not a regular file")
def a_folder_called_as_a_label(folder: Path) -> None:
    good_pair(folder, "x_1")
    (folder / "AFW" / "x_1.mat").unlink()
    (folder / "AFW" / "x_1.mat").mkdir()


@accepted
def a_folder_that_is_a_link_to_its_parent(folder: Path) -> None:
    (folder / "AFW" / "loop").symlink_to("..")


@accepted
def a_part_that_is_a_link_to_itself(folder: Path) -> None:
    (folder / "LFPW").symlink_to("LFPW")


@accepted
def an_image_that_is_a_link_to_a_whole_one(folder: Path) -> None:
    """Corpora may lie on another disk: links are followed."""
    good_pair(folder, "x_1")
    image = folder / "AFW" / "x_1.jpg"
    image.rename(folder / "store")
    image.symlink_to("../store")


@accepted
def litter_of_file_managers(folder: Path) -> None:
    (folder / "AFW" / "._x_1.jpg").write_bytes(b"\0\5\x16\7")
    (folder / "AFW" / "Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0")
    (folder / "readme.txt").write_text("300W-LP")


@error("no corpus", "which is there, but holds no such file")
def all_files_one_folder_too_deep(folder: Path) -> None:
    (folder / "300W_LP").mkdir()
    for part in ("AFW", "AFW_Flip", "landmarks", "Code"):
        (folder / part).rename(folder / "300W_LP" / part)


@error("none of 4 faces can be read as 300W_LP", "AFW/AFW_1_1_0.jpg: no image")
def every_image_is_empty(folder: Path) -> None:
    for path in folder.glob("AFW*/*.jpg"):
        path.write_bytes(b"")


@error("no corpus", "does not exist")
def a_link_to_nothing_for_a_corpus(folder: Path) -> None:
    folder.rename(folder.with_name("moved"))
    folder.symlink_to("nowhere")
