"""The stage `index`: its files, its one line, and how it ends when a user got something wrong."""

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image
from tiny_corpora import write_300w_lp, write_aflw2000, write_image

from hpe_core.common import stage
from hpe_core.common.table_files import INDEX_COLUMNS
from pipeline import index

ROOT = Path(__file__).parents[1]


def run_index(folder: Path, out: Path) -> dict[str, bytes]:
    table, skipped = out / "300W_LP.parquet", out / "300W_LP-skipped.csv"
    index.main(dataset="300W_LP", reader="300W_LP", folder=folder, index=table, skipped=skipped)
    return {path.name: path.read_bytes() for path in (table, skipped)}


def command(*options: object) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "pipeline.index", *map(str, options)]
    return subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False)


def options(folder: Path, out: Path, reader: str = "AFLW2000") -> list[object]:
    return [
        *("--dataset", "mine", "--reader", reader, "--folder", folder),
        *("--index", out / "mine.parquet", "--skipped", out / "mine-skipped.csv"),
    ]


def test_table_and_report(tmp_path, capsys):
    write_300w_lp(tmp_path / "in")
    write_image(tmp_path / "in" / "AFW" / "alone.jpg")
    run_index(tmp_path / "in", tmp_path / "out")
    table = pd.read_parquet(tmp_path / "out" / "300W_LP.parquet")
    assert list(table) == list(INDEX_COLUMNS)
    assert len(table) == 4
    report = (tmp_path / "out" / "300W_LP-skipped.csv").read_text()
    assert report == "file,reason\nAFW/alone.jpg,no alone.mat\n"
    assert capsys.readouterr().out.startswith("300W_LP: 4 faces in 4 images, 1 skipped")


@pytest.mark.parametrize(
    ("orientation", "said"), [(6, "1 images have an EXIF orientation, which is ignored"), (1, "")]
)
def test_orientations_that_are_not_applied_are_counted(tmp_path, capsys, orientation, said):
    """Labels of the published corpora mean the pixels as they are stored."""
    write_300w_lp(tmp_path / "in")
    image = next((tmp_path / "in" / "AFW").glob("*.jpg"))
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.open(image).save(image, exif=exif)
    run_index(tmp_path / "in", tmp_path / "out")
    found = capsys.readouterr().out
    assert said in found
    assert ("EXIF" in found) == bool(said)


def test_equal_corpora_give_equal_bytes_wherever_they_lie(tmp_path):
    for name in ("here", "there/deeper"):
        write_300w_lp(tmp_path / name)
        (tmp_path / name / "AFW" / "bad.jpg").write_bytes(b"x")
        (tmp_path / name / "AFW" / "bad.mat").write_bytes(b"x")
    here = run_index(tmp_path / "here", tmp_path / "out1")
    there = run_index(tmp_path / "there/deeper", tmp_path / "out2")
    assert here == there
    assert b"AFW/bad.jpg" in here["300W_LP-skipped.csv"]


def test_command_line(tmp_path):
    write_aflw2000(tmp_path / "in")
    done = command(*options(tmp_path / "in", tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("mine: 2 faces in 2 images, 0 skipped")
    assert "AFLW2000: 100%" in done.stderr  # the progress bar
    assert len(pd.read_parquet(tmp_path / "out" / "mine.parquet")) == 2


def test_a_missing_corpus_is_one_line_and_leaves_no_file(tmp_path):
    done = command(*options(tmp_path / "nowhere", tmp_path / "out"))
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("error: no corpus: looked for AFLW2000-3D")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_an_unwritable_output_is_one_line(tmp_path):
    write_aflw2000(tmp_path / "in")
    (tmp_path / "out").write_text("a file where a folder should be")
    done = command(*options(tmp_path / "in", tmp_path / "out"))
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "error: " in done.stderr


def test_the_stage_starts_without_torch_and_scipy():
    code = "import sys, pipeline.index; print({'torch', 'scipy', 'cv2'} & set(sys.modules))"
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "set()"


def test_a_defect_of_ours_keeps_its_traceback(monkeypatch):
    def broken(*, folder: Path) -> None:
        raise KeyError("ours")

    monkeypatch.setattr(sys, "argv", ["index", "--folder", "a"])
    with pytest.raises(KeyError):
        stage.run(broken)
