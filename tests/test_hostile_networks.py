"""Hostile and broken boxes, detectors and networks: as test_hostile.py, for stages with torch."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from hostile import detectors, lists, weights
from hostile.case import Expected, Spoil, cases
from hostile.running import ROOT, Run, check_end, run
from PIL import Image
from test_redetect import RULES
from tiny_corpora import write_image

from hpe_core.common.table_files import BOX_COLUMNS, DETECTED_BOX, INDEX_COLUMNS, write_table

__all__ = ["run"]  # a fixture


# --- published boxes and detectors, through `redetect`


def face(face_id: str, image: str) -> dict[str, object]:
    texts = dict.fromkeys(INDEX_COLUMNS, "") | {"face_id": face_id, "image": image}
    numbers = [name for name, kind in INDEX_COLUMNS.items() if kind != "str"]
    return texts | dict.fromkeys(numbers, np.nan) | {"pitch": 1.0, "yaw": 2.0, "roll": 3.0}


def redetect(run: Run, folder: Path, made: Path, expected: Expected, **rules: object) -> None:
    compute = {"device": "cpu", "workers": 0, "infer_batch": 8}
    (folder / "params.yaml").write_text(
        yaml.safe_dump({"boxes": RULES | rules, "compute": compute})
    )
    out = folder / "out"
    ended = run(
        "redetect", heavy=expected.heavy, params=folder / "params.yaml", dataset="AFLW",
        source=made, folder=folder / "AFLW", index=folder / "index.parquet", work=out / "work",
        boxes=out / "b.parquet", unmatched=out / "u.csv", report=out / "r.json",
    )  # fmt: skip
    report = pd.read_csv(out / "u.csv") if expected.end != "error" else pd.DataFrame()
    check_end(ended, expected, report)
    assert (out / "b.parquet").exists() == (expected.end != "error")


@pytest.mark.parametrize(("make", "expected"), cases(lists))
def test_published_boxes(run, tmp_path, make: Spoil, expected):
    faces = [face("AFLW/7", "a.jpg"), face("AFLW/9", "a.jpg"), face("AFLW/1", "b.jpg")]
    write_table(pd.DataFrame(faces).astype(INDEX_COLUMNS), tmp_path / "index.parquet")
    for name in ("a.jpg", "b.jpg"):
        write_image(tmp_path / "AFLW" / name)
    (tmp_path / "published").mkdir()
    make(tmp_path / "published" / "AFLW.json")
    redetect(run, tmp_path, tmp_path / "published", expected, source="published")


@pytest.mark.parametrize(("make", "expected"), cases(detectors))
def test_detector(run, tmp_path, make: Spoil, expected):
    write_table(
        pd.DataFrame([face("AFLW/7", "a.jpg")]).astype(INDEX_COLUMNS), tmp_path / "index.parquet"
    )
    (tmp_path / "AFLW").mkdir()
    Image.new("RGB", (64, 64), (90, 90, 90)).save(tmp_path / "AFLW" / "a.jpg")
    (tmp_path / "models").mkdir()
    make(tmp_path / "models" / "net.onnx")
    redetect(run, tmp_path, tmp_path / "models" / "net.onnx", expected, source="detector")


# --- foreign networks, through `imported`


@pytest.mark.parametrize(("make", "expected"), cases(weights))
def test_foreign_network(run, tmp_path, make: Spoil, expected):
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["imported"] = {
        "foreign": {
            "file": "foreign.pth", "backbone": "resnet8", "dataset": "AFLW", "where": {},
            "crop": "published", "size_px": 32,
        }
    }  # fmt: skip
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    write_image(tmp_path / "AFLW" / "a.jpg")
    table = pd.DataFrame([face("AFLW/7", "a.jpg")]).assign(box_source="published", det_score=1.0)
    table[DETECTED_BOX], table["match_iou"] = [[5.0, 6.0, 25.0, 36.0]], 1.0
    write_table(table.astype(INDEX_COLUMNS | BOX_COLUMNS), tmp_path / "faces.parquet")
    make(tmp_path / "foreign.pth", tmp_path / "executed")
    ended = run(
        "imported", params=tmp_path / "params.yaml", imported="foreign", folder=tmp_path / "AFLW",
        faces=tmp_path / "faces.parquet", network=tmp_path / "foreign.pth",
        predictions=tmp_path / "out" / "p.parquet",
    )  # fmt: skip
    check_end(ended, expected, pd.DataFrame())
    assert not (tmp_path / "executed").exists()
    assert (tmp_path / "out" / "p.parquet").exists() == (expected.end != "error")
