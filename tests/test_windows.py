"""`hpe` without what only POSIX systems have (`without_posix.py`): the nearest to Windows here."""

import csv
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from tiny_project import ROOT

from hpe_core.common import files

FACE = ROOT / "hpe_core/inference/face.jpg"
NETWORK = ROOT / "data/demo/kd-resnet8.safetensors"


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "corpus").mkdir()
    Image.open(FACE).save(tmp_path / "corpus" / "a.png")
    (tmp_path / "corpus" / "faces.csv").write_text(
        "image,pitch,yaw,roll,x1,y1,x2,y2\na.png,-12.9,15.8,-24,40,36,177,173\n"
    )
    return tmp_path


def hpe(*words: object) -> str:
    command = [sys.executable, ROOT / "tests/without_posix.py", *words]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.mark.parametrize(
    ("words", "written"),
    [
        (["predict", FACE, "--out", "t.csv", "--draw", "d"], "d/face.png"),
        (["evaluate", NETWORK, "--corpus", "corpus", "--out", "o.csv"], "o.csv"),
        (["export", NETWORK, "--out", "n.onnx"], "n.onnx"),
        (["convert", "--from", "pyr", "--to", "matrix", "1", "2", "3"], None),
    ],
)
def test_a_command_does_without_posix(place, words, written):
    assert hpe(*words) or written
    assert written is None or (place / written).stat().st_size


def test_a_table_of_two_faces_is_replaced(place):
    """Renaming over a file that exists."""
    for _ in range(2):
        hpe("predict", FACE, "--out", "t.csv")
    with Path("t.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 1


def test_files_are_synced_while_they_are_open_for_writing(tmp_path, monkeypatch):
    import fcntl
    import os

    modes = []
    monkeypatch.setattr(files.os, "fsync", lambda fd: modes.append(fcntl.fcntl(fd, fcntl.F_GETFL)))
    with files.atomic(tmp_path / "x") as temporary:
        temporary.write_text("x")
    assert [mode & os.O_ACCMODE for mode in modes] == [os.O_RDWR]
