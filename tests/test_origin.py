"""What DVC has on record of a file, and the sha256 beside an input."""

import hashlib
import os
import shutil

import numpy as np
import pandas as pd
import pytest
import yaml

from hpe_core.common.dvc_lock import how_to_remake, recorded_bytes
from hpe_core.common.errors import InputError
from hpe_core.common.files import check_sha256_beside, read_json, sha256
from hpe_core.common.table_files import read_csv, read_table
from hpe_core.faces.detector import Detector
from hpe_core.faces.published_boxes import read_published_boxes


def record(folder, **stages):
    """A dvc.lock as DVC writes it. stages: name → its output, with the md5 that it has."""
    locked = {}
    for name, path in stages.items():
        md5 = hashlib.md5((folder / path).read_bytes()).hexdigest()
        locked[name] = {"cmd": "…", "outs": [{"path": path, "hash": "md5", "md5": md5}]}
    (folder / "dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": locked}))


@pytest.fixture
def metrics(tmp_path):
    path = tmp_path / "metrics" / "x.json"
    path.parent.mkdir()
    path.write_text('{"mae": 3.14}')
    record(tmp_path, evaluate="metrics/x.json")
    return path


def test_what_the_stage_wrote_is_read(metrics, monkeypatch):
    assert read_json(metrics) == {"mae": 3.14}
    monkeypatch.chdir(metrics.parent)
    assert read_json(metrics.relative_to(metrics.parent)) == {"mae": 3.14}


def test_a_digit_that_changed_is_refused_though_its_time_did_not(metrics):
    before = metrics.stat()
    metrics.write_text('{"mae": 3.15}')
    os.utime(metrics, ns=(before.st_atime_ns, before.st_mtime_ns))
    expected = r"x\.json: damaged.*; run `dvc repro --force --single-item evaluate`"
    with pytest.raises(InputError, match=expected):
        read_json(metrics)


def test_a_stage_that_ran_again_is_believed(metrics, tmp_path):
    read_json(metrics)
    metrics.write_text('{"mae": 2.5}')
    record(tmp_path, evaluate="metrics/x.json")
    lock = tmp_path / "dvc.lock"
    os.utime(lock, ns=(0, lock.stat().st_mtime_ns + 1))  # clocks may be coarse
    assert read_json(metrics) == {"mae": 2.5}


def test_a_file_without_a_record_is_read_as_it_is(metrics):
    other = metrics.with_name("mine.json")
    other.write_text("1")
    assert recorded_bytes(other) == b"1"
    assert how_to_remake(other, "evaluate") == "run evaluate again"


def test_the_nearest_record_counts(metrics, tmp_path):
    """A copy of the project inside another one, as `dvc exp run --temp` makes it."""
    copy = tmp_path / "inner"
    shutil.copytree(metrics.parent, copy / "metrics")
    (copy / "metrics/x.json").write_text('{"mae": 1.0}')
    record(copy, elsewhere="metrics/x.json")
    assert read_json(copy / "metrics/x.json") == {"mae": 1.0}
    assert how_to_remake(copy / "metrics/x.json").endswith("elsewhere`")


@pytest.mark.parametrize("text", ["<<<<<<< HEAD\na: b\n", "stages: [1]\n", "{}"], ids=str)
def test_a_record_that_cannot_be_read_is_named(metrics, tmp_path, text):
    (tmp_path / "dvc.lock").write_text(text)
    with pytest.raises(InputError, match=r"dvc\.lock: not a valid dvc.lock"):
        read_json(metrics)


@pytest.mark.parametrize("read", [read_json, read_csv, read_table], ids=lambda read: read.__name__)
def test_a_missing_file_is_named_with_its_stage(metrics, read):
    metrics.unlink()
    with pytest.raises(InputError, match=r"x\.json: no such .*; run `dvc .* evaluate`"):
        read(metrics)


def test_a_table_of_another_program_is_refused(tmp_path):
    pd.DataFrame({"a": [1.0, np.nan]}).to_parquet(tmp_path / "t.parquet")
    with pytest.raises(InputError, match=r"t\.parquet: damaged.* content_sha256"):
        read_table(tmp_path / "t.parquet")


def damaged_input(folder, name):
    path = folder / name
    path.write_bytes(b"{}")
    path.with_name(f"{name}.sha256").write_text(f"{sha256(path)}  {name}\n")
    check_sha256_beside(path)
    path.write_bytes(b"[]")
    return path


@pytest.mark.parametrize(
    "read",
    [
        pytest.param(lambda p: Detector(p, input_px=64, score=0.5, nms_iou=0.5), id="detector"),
        pytest.param(read_published_boxes, id="published boxes"),
    ],
)
def test_an_input_must_have_the_sha256_beside_it(tmp_path, read):
    path = damaged_input(tmp_path, "input.bin")
    with pytest.raises(InputError, match=r"input\.bin: damaged, or replaced: its sha256"):
        read(path)


def test_an_empty_sha256_is_not_believed(tmp_path):
    path = damaged_input(tmp_path, "d.onnx")
    path.with_name("d.onnx.sha256").write_text("")
    with pytest.raises(InputError, match="says nothing"):
        check_sha256_beside(path)
