"""Training stages that are killed and started again end with the bytes of an undisturbed run."""

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
from hpe_core.io.crops import CropFormat, encode, write_crops
from hpe_core.io.files import sha256
from hpe_core.io.targets import TargetsOrigin, write_targets

PX, MARGIN, N, EPOCHS = 16, 4, 32, 60
SPEC = BinSpec(3.0)
NONE = ROOT / "data/pretrained/none"


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """Params, crops and targets of no meaning."""
    folder, rng = tmp_path_factory.mktemp("inputs"), np.random.default_rng(0)
    side = PX + 2 * MARGIN
    form = CropFormat(PX, PX, MARGIN, "enlarged", "replicate", "raw", 95)
    table = pd.DataFrame(rng.uniform(-50, 50, (N, 3)), columns=["pitch", "yaw", "roll"])
    table = table.assign(face_id=[str(i) for i in range(N)], validation=False)
    table["group"] = table["face_id"]
    pixels = rng.integers(0, 256, (N, side, side, 3), dtype=np.uint8)
    write_crops(folder / "c.h5", table, (encode(c, form) for c in pixels), form, "f" * 64)
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    for section in ("base", "distill"):
        params[section] |= {"epochs": EPOCHS, "batch": 8, "schedule": "cosine"}
    params["base"]["backbone"] = "resnet8"
    params["compute"] |= {"device": "cpu", "workers": 1}
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    grid = params["ensemble"]
    origin = TargetsOrigin(
        K=grid["K"], d=grid["d"], S=18, bin_deg=3.0, theta_deg=99.0, n_bins=SPEC.n_bins,
        base_sha256="b" * 64, crops_sha256=sha256(folder / "c.h5"), precision=grid["precision"],
        turns_deg=grid["turns_deg"], flip=grid["flip"], views=1,
        rotate_deg=params["augment"]["rotate_deg"],
    )  # fmt: skip
    probs = torch.softmax(torch.randn(N, 3, SPEC.n_bins), -1).numpy()
    rest = np.zeros((N, 3), np.float32)
    ids, upright = table["face_id"].tolist(), np.zeros((N, 1), np.float32)
    write_targets(folder / "t.h5", ids, upright, [(probs, rest, rest)], origin)
    return folder


def command(inputs: Path, stage: str, out: Path, work: Path) -> list[str]:
    own = {"train_base": [], "distill": ["--backbone", "resnet8", "--targets", inputs / "t.h5"]}
    shared = ["--params", inputs / "params.yaml", "--crops", inputs / "c.h5", "--seed", "1"]
    places = ["--weights", NONE, "--work", work, "--network", out / "n.safetensors"]
    line = [*shared, *own[stage], *places, "--history", out / "h.csv"]
    return [sys.executable, "-m", f"pipeline.{stage}", *map(str, line)]


def started(line: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(line, cwd=ROOT, text=True, stderr=subprocess.PIPE)


def wait_for_epochs(process: subprocess.Popen[str], work: Path, epochs: int) -> None:
    """Until so many more states were written, or the process is done."""
    seen = None
    while epochs and process.poll() is None:
        states = [path.stat().st_mtime_ns for path in work.glob("*.pt")]
        if states and states != seen:
            seen, epochs = states, epochs - 1
        time.sleep(0.005)


@pytest.mark.parametrize("stage", ["train_base", "distill"])
def test_killed_at_any_moment(inputs, tmp_path, stage):
    work, whole, killed = tmp_path / "work", tmp_path / "whole", tmp_path / "killed"
    subprocess.run(command(inputs, stage, whole, tmp_path / "w"), cwd=ROOT, check=True)
    chance, starts, kills = random.Random(3), 0, 0
    while not (killed / "n.safetensors").exists():
        process = started(command(inputs, stage, killed, work))
        starts += 1
        if kills < 4:
            wait_for_epochs(process, work, chance.randrange(2, 12))
            time.sleep(chance.uniform(0, 0.05))
            process.kill()
        _, errors = process.communicate()
        kills += process.returncode == -signal.SIGKILL
        assert process.returncode in (0, -signal.SIGKILL), errors
        assert starts <= 6, "no progress was kept"
    assert kills == 4
    for name in ("n.safetensors", "h.csv"):
        assert (killed / name).read_bytes() == (whole / name).read_bytes(), name
    assert [path.suffix for path in work.iterdir()] == [".lock"], "finished work was left behind"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stopped_by_a_signal(inputs, tmp_path, number):
    work, line = tmp_path / "work", command(inputs, "train_base", tmp_path, tmp_path / "work")
    process = started(line)
    wait_for_epochs(process, work, 3)
    process.send_signal(number)
    _, errors = process.communicate()
    assert process.returncode == 130
    assert "Traceback" not in errors
    last = errors.strip().splitlines()[-1]
    assert last.startswith(f"stopped: {tmp_path / 'n.safetensors'}: epoch "), errors
    assert last.endswith(f" of {EPOCHS} is saved, and the next run goes on from there")
    assert list(work.glob("*.pt"))


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
