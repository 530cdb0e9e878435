"""Cutting a set out goes on where it was stopped, and never with other images, boxes or rules."""

import os
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from hpe_core.common.table_files import DETECTED_BOX
from hpe_core.crops.settings import CropFormat
from hpe_core.faces import cut_sets as _crop_sets
from hpe_core.faces.cut_sets import write_set

RAW = CropFormat(16, 16, 4, "enlarged", "replicate", "raw", 95)
N = 23


@pytest.fixture
def faces(tmp_path, monkeypatch) -> pd.DataFrame:
    """Two faces an image, and shards of four."""
    monkeypatch.setattr(_crop_sets, "_SHARD", 4)
    rng = np.random.default_rng(0)
    for number in range(N // 2 + 1):
        pixels = rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    table = pd.DataFrame(rng.uniform(-50, 50, (N, 3)), columns=["pitch", "yaw", "roll"])
    table[DETECTED_BOX] = rng.uniform(0, 15, (N, 4)) + np.array([0, 0, 20, 20])
    names = {"face_id": [f"f{i}" for i in range(N)], "image": [f"{i // 2}.png" for i in range(N)]}
    return table.assign(**names, group=names["image"], order="XYZ", validation=False)


@pytest.fixture
def cut(monkeypatch, tmp_path, faces):
    """Cuts the set out; → how many faces it cut. Stopped after so many, it raises."""

    def run(table=faces, crop_format=RAW, stop_after=N, origin="1") -> int:
        done = []

        def counted(folder, face, crop_format):
            if len(done) == stop_after:
                raise KeyboardInterrupt
            done.append(face["face_id"])
            return read_face(folder, face, crop_format)

        read_face = _crop_sets.read_face
        with monkeypatch.context() as patch:
            patch.setattr(_crop_sets, "_CROPS_AHEAD", 0)
            patch.setattr(_crop_sets, "read_face", counted)
            files = tmp_path / "c.h5", tmp_path
            write_set(*files, table, crop_format, {"boxes": origin}, tmp_path / "work")
        return len(done)

    return run


@pytest.mark.parametrize("codec", ["raw", "png", "jpeg"])
def test_it_goes_on_within_one_shard(tmp_path, cut, codec):
    crop_format = replace(RAW, codec=codec)
    assert cut(crop_format=crop_format) == N
    whole = (tmp_path / "c.h5").read_bytes()
    with pytest.raises(KeyboardInterrupt) as stop:
        cut(crop_format=crop_format, stop_after=10)
    assert stop.value.__notes__ == [
        f"{tmp_path / 'c.h5'}: 8 of {N} are saved; the next run continues from there"
    ]
    assert cut(crop_format=crop_format) == N - 8
    assert (tmp_path / "c.h5").read_bytes() == whole
    assert [path.suffix for path in (tmp_path / "work").iterdir()] == [".lock"]


@pytest.mark.parametrize("changed", ["image", "faces", "table", "format"])
def test_other_inputs_start_anew(tmp_path, faces, cut, changed):
    with pytest.raises(KeyboardInterrupt):
        cut(stop_after=10)
    other = {}
    if changed == "image":
        os.utime(tmp_path / "0.png", ns=(0, 1))
    if changed == "faces":
        other = {"table": faces.iloc[1:]}
    if changed == "table":
        other = {"origin": "2"}
    if changed == "format":
        other = {"crop_format": replace(RAW, margin=5)}
    assert cut(**other) == len(other.get("table", faces))
