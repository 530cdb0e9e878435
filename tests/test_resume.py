"""Stages that are killed and started again end with the bytes of an undisturbed run."""

import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from tiny_project import ROOT

from hpe_core.bins import BinSpec
from hpe_core.io.checkpoints import save_network
from hpe_core.io.crops import CropFormat, encode, write_crops
from hpe_core.io.files import sha256
from hpe_core.io.targets import TargetsOrigin, write_targets
from hpe_core.networks import BaseNet
from hpe_core.training import seeded

PX, MARGIN, N, EPOCHS = 16, 4, 32, 60
MANY = 5000  # faces, for several shards
SPEC = BinSpec(3.0)
NONE = ROOT / "data/pretrained/none"


def write_faces(path: Path, count: int) -> list[str]:
    rng = np.random.default_rng(0)
    side = PX + 2 * MARGIN
    form = CropFormat(PX, PX, MARGIN, "enlarged", "replicate", "raw", 95)
    table = pd.DataFrame(rng.uniform(-50, 50, (count, 3)), columns=["pitch", "yaw", "roll"])
    table = table.assign(face_id=[str(i) for i in range(count)], validation=False)
    table["group"] = table["face_id"]
    pixels = rng.integers(0, 256, (count, side, side, 3), dtype=np.uint8)
    write_crops(path, table, (encode(crop, form) for crop in pixels), form, {"boxes": {}})
    return table["face_id"].tolist()


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """Params, crops, a network and targets of no meaning."""
    folder = tmp_path_factory.mktemp("inputs")
    ids = write_faces(folder / "c.h5", N)
    write_faces(folder / "many.h5", MANY)
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    for section in ("base", "distill"):
        params[section] |= {"epochs": EPOCHS, "batch": 8, "schedule": "cosine"}
    params["base"]["backbone"] = "resnet8"
    params["ensemble"] |= {"K": 0, "d": 1, "turns_deg": [0.0], "flip": True}
    params["sweep"] |= {"K_max": 0, "max_faces": None}
    params["compute"] |= {"device": "cpu", "workers": 1, "infer_batch": 100}
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    network = seeded(lambda: BaseNet("resnet8", [SPEC]), 0)
    save_network(network, folder / "base.safetensors", "resnet8", (PX, PX), {})
    grid = params["ensemble"]
    origin = TargetsOrigin(
        K=grid["K"], d=grid["d"], S=2, bin_deg=3.0, theta_deg=99.0, n_bins=SPEC.n_bins,
        base_sha256="b" * 64, crops_sha256=sha256(folder / "c.h5"), precision=grid["precision"],
        turns_deg=grid["turns_deg"], flip=grid["flip"], views=1,
        rotate_deg=params["augment"]["rotate_deg"],
    )  # fmt: skip
    generator = torch.Generator().manual_seed(0)
    probs = torch.softmax(torch.randn(N, 3, SPEC.n_bins, generator=generator), -1).numpy()
    rest, upright = np.zeros((N, 3), np.float32), np.zeros((N, 1), np.float32)
    write_targets(folder / "t.h5", ids, upright, [(probs, rest, rest)], origin)
    return folder


def command(inputs: Path, stage: str, out: Path, work: Path) -> list[str]:
    trained = ["--crops", inputs / "c.h5", "--seed", "1", "--weights", NONE]
    trained += ["--network", out / "n.safetensors", "--history", out / "h.csv"]
    measured = ["--crops", inputs / "many.h5", "--network", inputs / "base.safetensors"]
    own = {
        "train_base": trained,
        "distill": [*trained, "--backbone", "resnet8", "--targets", inputs / "t.h5"],
        "ensemble": [*measured, "--seed", "1", "--targets", out / "t.h5"],
        "sweep": [*measured, "--sweep", out / "s.h5"],
    }
    line = ["--params", inputs / "params.yaml", "--work", work, *own[stage]]
    return [sys.executable, "-m", f"pipeline.{stage}", *map(str, line)]


def started(line: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        line, cwd=ROOT, text=True, stderr=subprocess.PIPE, start_new_session=True
    )


def wait_for_states(process: subprocess.Popen[str], work: Path, states: int) -> None:
    """Until so many more states or shards were written, or the process is done."""
    seen = None
    while states and process.poll() is None:
        found = [*work.glob("*/state.pt"), *work.glob("*/*.npz")]
        times = [path.stat().st_mtime_ns for path in found]
        if times and times != seen:
            seen, states = times, states - 1
        time.sleep(0.005)


@pytest.mark.parametrize(
    ("stage", "kills", "states"),
    [
        pytest.param("train_base", 4, (2, 12), id="train_base"),
        pytest.param("distill", 3, (2, 12), id="distill"),
        pytest.param("ensemble", 2, (2, 3), id="ensemble"),
        pytest.param("sweep", 2, (2, 3), id="sweep"),
    ],
)
def test_killed_at_any_moment(inputs, tmp_path, stage, kills, states):
    work, whole, killed = tmp_path / "work", tmp_path / "whole", tmp_path / "killed"
    subprocess.run(command(inputs, stage, whole, tmp_path / "w"), cwd=ROOT, check=True)
    chance = random.Random(3)
    for _ in range(kills):
        process = started(command(inputs, stage, killed, work))
        wait_for_states(process, work, chance.randrange(*states))
        time.sleep(chance.uniform(0, 0.05))
        process.kill()
        _, errors = process.communicate()
        assert process.returncode == -signal.SIGKILL, f"not killed: {errors}"
    process = started(command(inputs, stage, killed, work))
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    for everything in (EPOCHS * N // 8, MANY):  # batches, faces
        assert f" 0/{everything} " not in errors, f"no progress was kept: {errors}"
    for path in whole.iterdir():
        assert (killed / path.name).read_bytes() == path.read_bytes(), path.name
    assert [path.suffix for path in work.iterdir()] == [".lock"], "finished work was left behind"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("send", [os.kill, os.killpg], ids=["process", "group"])
def test_stopped_by_a_signal(inputs, tmp_path, number, send):
    """The group has the processes that draw the views, too."""
    work, line = tmp_path / "work", command(inputs, "train_base", tmp_path, tmp_path / "work")
    process = started(line)
    wait_for_states(process, work, 3)
    send(process.pid, number)
    _, errors = process.communicate()
    assert process.returncode == 130
    assert "Traceback" not in errors
    last = errors.strip().splitlines()[-1]
    assert last.startswith(f"stopped: {tmp_path / 'n.safetensors'}: epoch "), errors
    assert last.endswith(f" of {EPOCHS} is saved, the next run goes on from there")
    assert list(work.glob("*/state.pt"))


def test_a_run_that_diverges_names_the_faces(inputs, tmp_path):
    params = yaml.safe_load((inputs / "params.yaml").read_text())
    params["base"]["lr"] = 1.0e30
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    line = command(inputs, "train_base", tmp_path, tmp_path / "work")
    line[line.index("--params") + 1] = str(tmp_path / "params.yaml")
    done = subprocess.run(line, cwd=ROOT, text=True, capture_output=True, check=False)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    found = re.fullmatch(
        rf"error: {inputs}/c\.h5: the loss is (nan|inf); .* Faces of the batch: ([\d, ]+)", last
    )
    assert found, last
    named = found[2].split(", ")
    assert 1 <= len(named) <= 8
    assert set(named) <= {str(row) for row in range(N)}
    assert not (tmp_path / "n.safetensors").exists()
