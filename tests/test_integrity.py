"""Every kind of artifact, one random bit flipped: noticed with what to do, or nothing has changed.

docs/integrity.md explains the means.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from flips import DETECTED, OUTSIDE, sort_flips
from tiny_onnx import write_network

from hpe_core.common.files import read_json, sha256, write_json
from hpe_core.common.table_files import read_csv, read_table, write_csv, write_table
from hpe_core.crops.settings import CropFormat
from hpe_core.crops.store import Crops, encode, write_crops
from hpe_core.faces.detector import Detector
from hpe_core.networks.bins import BinSpec
from hpe_core.networks.checkpoints import load_network, save_network
from hpe_core.networks.model import StudentNet
from hpe_core.teacher.sweeps import SweptAngles, read_sweep, write_sweep
from hpe_core.teacher.targets import Targets, TargetsOrigin, write_targets
from hpe_core.training.loop import seeded
from hpe_core.training.state import SavedState
from hpe_core.work.resume import Work
from hpe_core.work.shards import in_shards

FLIPS = 200
FACES = 5


def faces() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    table = pd.DataFrame(rng.uniform(-90, 90, (FACES, 3)), columns=["pitch", "yaw", "roll"])
    table["face_id"] = [f"AFLW/image0000{i}.jpg/{i}é" for i in range(FACES)]
    table["det_score"] = [0.5, np.nan, 0.75, 1.0, np.nan]
    table["split"] = ["train", "test", "", "train", "test"]
    table["order"] = "XYZ"
    return table.assign(validation=table.index % 3 == 1, group=[f"P{i // 2}" for i in range(FACES)])


def crops(codec: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        crop_format = CropFormat(90, 92, 4, "enlarged", "replicate", codec, 95)
        rng = np.random.default_rng(2)
        images = rng.integers(0, 256, (FACES, *crop_format.shape), dtype=np.uint8)
        encoded = (encode(image, crop_format) for image in images)
        write_crops(folder / "c.h5", faces(), encoded, crop_format, {"boxes": {"scale": 1.0}})
        return folder / "c.h5"

    return write


def all_crops(path: Path) -> Any:
    source = Crops(path)
    columns = [source.pyr_deg, source.face_id, source.group, source.validation]
    images = [source[row] for row in range(len(source))]
    return columns, source.format, source.origin, images


def targets(folder: Path) -> Path:
    rng = np.random.default_rng(3)
    origin = TargetsOrigin(
        K=15, d=5, S=49, bin_deg=9.0, theta_deg=99.0, n_bins=22, precision="32-true",
        base_sha256="b" * 64, crops_sha256="c" * 64, rotations_deg=[-10.0, 10.0], flip=False,
        views=2, rotate_deg=15.0,
    )  # fmt: skip
    probs = rng.dirichlet(np.ones(22), (2 * FACES, 3)).astype(np.float32)
    pyr_deg, std_deg = rng.normal(size=(2, 2 * FACES, 3)).astype(np.float32)
    phi_deg = rng.uniform(-15, 15, (FACES, 2)).astype(np.float32)
    ids = faces()["face_id"].tolist()
    write_targets(folder / "t.h5", ids, phi_deg, [(probs, pyr_deg, std_deg)], origin)
    return folder / "t.h5"


def all_targets(path: Path) -> Any:
    cached = Targets(path)
    columns = [cached.face_id, cached.phi_deg, cached.pyr_deg]
    return columns, cached.origin, [cached[row, v] for row in range(FACES) for v in range(2)]


SWEPT = {"base_sha256": "b" * 64, "crops_sha256": "c" * 64}


def sweep(folder: Path) -> Path:
    rng = np.random.default_rng(4)
    offsets = np.stack(np.meshgrid([-1, 0, 1], [-1, 0, 1]), -1).reshape(-1, 2)
    angles_deg = rng.normal(size=(FACES, 9, 3)).astype(np.float32)
    write_sweep(
        folder / "s.h5", SweptAngles(faces()["face_id"].tolist(), offsets, angles_deg), SWEPT
    )
    return folder / "s.h5"


def table(folder: Path) -> Path:
    write_table(faces(), folder / "t.parquet")
    return folder / "t.parquet"


def network(folder: Path) -> Path:
    net = seeded(lambda: StudentNet("resnet8", BinSpec(9.0)), 1)
    save_network(net, folder / "n.safetensors", "resnet8", (32, 32), {"weights": "none"})
    return folder / "n.safetensors"


def all_weights(path: Path) -> Any:
    net, metadata = load_network(path)
    return metadata, dict(net.state_dict())


def detector(folder: Path) -> Path:
    answer = np.zeros((5, 84), np.float32)  # of an anchor-free export: 84 cells at 64 px
    answer[:4, 7], answer[4, 7] = (30, 30, 20, 20), 0.9
    answer[:4, 50], answer[4, 50] = (12, 12, 9, 9), 0.6
    path = write_network(folder / "d.onnx", answer)
    (folder / "d.onnx.sha256").write_text(f"{sha256(path)}  d.onnx\n")
    return path


def detected(path: Path) -> Any:
    network = Detector(path, input_px=64, score=0.25, nms_iou=0.5)
    (found,) = network.detect([np.full((64, 64, 3), 128, np.uint8)])
    return found.bbox_xyxy, found.score


def record(path: Path, stage: str) -> Path:
    """As DVC does, with the file's own md5."""
    md5 = hashlib.md5(path.read_bytes()).hexdigest()
    out = {"path": path.name, "hash": "md5", "md5": md5, "size": path.stat().st_size}
    lock = {"schema": "2.0", "stages": {stage: {"cmd": "…", "outs": [out]}}}
    (path.parent / "dvc.lock").write_text(yaml.safe_dump(lock))
    return path


def metrics(folder: Path) -> Path:
    errors = {"pitch": 4.1234, "yaw": 3.25, "roll": 2.5, "mae": 3.2911, "faces": 120}
    write_json({"base": errors, "kd-resnet8": errors | {"mae": 2.75}}, folder / "m.json")
    return record(folder / "m.json", "evaluate@p1-BIWI")


def factors(folder: Path) -> Path:
    rng = np.random.default_rng(5)
    rows = pd.DataFrame(rng.uniform(0.5, 2, (4, 3)), columns=["pitch", "yaw", "roll"])
    rows.insert(0, "network", ["base", "base", "ensemble", "kd-resnet8"])
    write_csv(rows, folder / "c.csv")
    return record(folder / "c.csv", "validate@p1")


def state(folder: Path) -> Path:
    rng = torch.Generator().manual_seed(6)
    weights = {"conv": torch.randn(16, 3, 3, generator=rng), "steps": torch.tensor(7)}
    SavedState(Work(folder, first=True)).save(
        {"task": weights, "history": [{"mae": 1.5}]}, "epoch 1 is"
    )
    return folder / "state.pt"


def in_process() -> Any:
    return SimpleNamespace(global_rank=0, world_size=1, is_global_zero=True, barrier=lambda: None)


def shard_parts(folder: Path) -> Any:
    rng = np.random.default_rng(7)
    parts = [(rng.normal(size=(8, 3)).astype("f4"), np.array(["", "no face"] * 4))]
    return list(in_shards(Work(folder, first=True), 8, 8, lambda some: iter(parts), in_process()))


def shard(folder: Path) -> Path:
    shard_parts(folder)
    (path,) = folder.glob("*.npz")
    return path


KINDS = [
    pytest.param(crops("raw"), all_crops, "run crop_", id="crops-raw"),
    pytest.param(crops("png"), all_crops, "run crop_", id="crops-png"),
    pytest.param(crops("jpeg"), all_crops, "run crop_", id="crops-jpeg"),
    pytest.param(targets, all_targets, "run ensemble again", id="targets"),
    pytest.param(sweep, lambda p: read_sweep(p, SWEPT), "run sweep again", id="sweep"),
    pytest.param(table, read_table, "run the stage that", id="parquet"),
    pytest.param(network, all_weights, "run the stage that trains it", id="safetensors"),
    pytest.param(detector, detected, "export the file again", id="onnx"),
    pytest.param(
        metrics, read_json, "run `dvc repro --force --single-item evaluate@p1-BIWI`", id="json"
    ),
    pytest.param(factors, read_csv, "run `dvc repro --force --single-item validate@p1`", id="csv"),
    pytest.param(state, lambda p: SavedState(Work(p.parent, True)).load(), "delete it", id="state"),
    pytest.param(shard, lambda p: shard_parts(p.parent), "delete it", id="shard"),
]


@pytest.mark.parametrize(("write", "read", "remedy"), KINDS)
def test_a_flipped_bit_is_noticed_or_changes_nothing(tmp_path, write, read, remedy):
    path = write(tmp_path)
    counts = sort_flips(path, read, remedy, FLIPS)
    print("COUNTS", path.name, path.stat().st_size, counts)
    assert set(counts) <= {DETECTED, OUTSIDE}, counts
    assert counts.get(DETECTED, 0) > 0
