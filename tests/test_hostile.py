"""Hostile and broken corpora and parameters, case by case (tests/hostile), through the stage that
meets them.

Every stage is run as on the command line. Whatever the input, it ends with 0, or with 1 and one
line; a traceback fails the test. Beside its outputs nothing is written, nothing from outside the
corpus gets into a table, and nothing is executed.
"""

from pathlib import Path, PurePosixPath

import pandas as pd
import pytest
from hostile import databases, images, mats, places, poses, settings, tables
from hostile.case import Expected, Spoil, cases
from hostile.running import ROOT, Run, check_end, run
from tiny_corpora import (
    write_300w_lp,
    write_aflw,
    write_aflw2000,
    write_biwi,
    write_frame,
    write_own,
    write_pair,
)

from hpe_core.common.geometry import rotation_from_pyr

__all__ = ["run"]  # a fixture


# --- corpora, through the stage `index`


def index(
    run: Run, reader: str, folder: Path, expected: Expected, good: int
) -> pd.DataFrame | None:
    """`index` on a corpus of `good` faces beside the case's. Returns the table, if there is one."""
    out = folder.parent / "out"
    options = {"dataset": reader, "reader": reader, "folder": folder}
    files = {"index": out / "i.parquet", "skipped": out / "s.csv"}
    ended = run("index", heavy=expected.heavy, **options, **files)
    if expected.end == "error":
        check_end(ended, expected, pd.DataFrame())
        assert not out.exists()
        return None
    check_end(ended, expected, pd.read_csv(files["skipped"], keep_default_na=False))
    table = pd.read_parquet(files["index"])
    assert good <= len(table) <= good + (expected.end == "accepted")
    paths = table["image"].map(PurePosixPath)
    assert not any(path.is_absolute() or ".." in path.parts for path in paths)
    assert all((folder / path).is_file() for path in paths)
    return table


@pytest.mark.parametrize(("make", "expected"), cases(images))
def test_image(run, tmp_path, make: Spoil, expected):
    folder = tmp_path / "AFLW2000"
    write_aflw2000(folder, ["image00002", "image00099"])
    (folder / "image00099.jpg").unlink()
    make(folder / "image00099.jpg")
    index(run, "AFLW2000", folder, expected, good=1)


@pytest.mark.parametrize(("make", "expected"), cases(mats))
def test_label_of_300w_lp(run, tmp_path, make: Spoil, expected):
    folder = tmp_path / "300W_LP"
    write_300w_lp(folder)
    write_pair(folder / "AFW" / "x_1", "pt2d")
    (folder / "AFW" / "x_1.mat").unlink()
    make(folder / "AFW" / "x_1.mat")
    index(run, "300W_LP", folder, expected, good=4)


@pytest.mark.parametrize(("make", "expected"), cases(poses))
def test_label_of_biwi(run, tmp_path, make: Spoil, expected):
    folder = tmp_path / "BIWI"
    write_biwi(folder)
    write_frame(folder / "hpdb" / "01" / "frame_00099", rotation_from_pyr([1, 2, 3]))
    make(folder / "hpdb" / "01" / "frame_00099_pose.txt")
    index(run, "BIWI", folder, expected, good=4)


@pytest.mark.parametrize(("make", "expected"), cases(databases))
def test_database_of_aflw(run, tmp_path, make: Spoil, expected):
    folder = tmp_path / "AFLW"
    write_aflw(folder)
    make(folder)
    table = index(run, "AFLW", folder, expected, good=3)
    names = {"AFLW/39341", "AFLW/39342", "AFLW/39343"}
    assert table is None or names <= set(table["face_id"])
    while databases.WRITERS:
        databases.WRITERS.pop().close()


@pytest.mark.parametrize(("make", "expected"), cases(places))
def test_files_and_names(run, tmp_path, make: Spoil, expected):
    folder = tmp_path / "300W_LP"
    write_300w_lp(folder)
    make(folder)
    index(run, "300W_LP", folder, expected, good=4)


@pytest.mark.parametrize(("make", "expected"), cases(tables))
def test_table_of_ones_own(run, tmp_path, make: Spoil, expected):
    folder = tmp_path / "mine"
    box = {"x1": 3, "y1": 4, "x2": 20, "y2": 30}
    write_own(folder, images=("a/1.jpg", "a/1.jpg", "b.png"), **box, face="")
    make(folder)
    index(run, "table", folder, expected, good=3)


# --- params.yaml, through `check`


@pytest.mark.parametrize(("make", "expected"), cases(settings))
def test_params(run, tmp_path, make: Spoil, expected):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "pretrained").symlink_to(ROOT / "data/pretrained")
    path = tmp_path / "params.yaml"
    path.write_text((ROOT / "params.yaml").read_text())
    make(path)
    checked, crop_format = tmp_path / "out" / "checked", tmp_path / "out" / "format.json"
    options = {"params": path, "checked": checked, "crop_format": crop_format}
    ended = run("check", heavy=expected.heavy, **options)
    check_end(ended, expected, pd.DataFrame())
    assert not (tmp_path / "executed").exists()
    assert checked.exists() == crop_format.exists() == (expected.end != "error")
