"""Training that is stopped, or diverges, says so in one line (`test_faults.py` kills it)."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from tiny_project import ROOT

from hpe_core.io.crops import CropFormat, encode, write_crops

PX, MARGIN, N, EPOCHS = 16, 4, 32, 60
NONE = ROOT / "data/pretrained/none"


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """Params and crops of no meaning."""
    folder = tmp_path_factory.mktemp("inputs")
    rng = np.random.default_rng(0)
    side = PX + 2 * MARGIN
    form = CropFormat(PX, PX, MARGIN, "enlarged", "replicate", "raw", 95)
    table = pd.DataFrame(rng.uniform(-50, 50, (N, 3)), columns=["pitch", "yaw", "roll"])
    table = table.assign(face_id=[str(i) for i in range(N)], validation=False)
    table["group"] = table["face_id"]
    pixels = rng.integers(0, 256, (N, side, side, 3), dtype=np.uint8)
    write_crops(
        folder / "c.h5", table, (encode(crop, form) for crop in pixels), form, {"boxes": {}}
    )
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["base"] |= {"backbone": "resnet8", "epochs": EPOCHS, "batch": 8, "schedule": "cosine"}
    params["compute"] |= {"device": "cpu", "workers": 1}
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    return folder


def command(inputs: Path, out: Path, work: Path) -> list[str]:
    line = ["--params", inputs / "params.yaml", "--work", work, "--crops", inputs / "c.h5"]
    line += ["--seed", "1", "--weights", NONE]
    line += ["--network", out / "n.safetensors", "--history", out / "h.csv"]
    return [sys.executable, "-m", "pipeline.train_base", *map(str, line)]


def started(line: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        line, cwd=ROOT, text=True, stderr=subprocess.PIPE, start_new_session=True
    )


def wait_for_states(process: subprocess.Popen[str], work: Path, states: int) -> None:
    """Until so many more states were written, or the process is done."""
    seen = None
    while states and process.poll() is None:
        times = [path.stat().st_mtime_ns for path in work.glob("*/state.pt")]
        if times and times != seen:
            seen, states = times, states - 1
        time.sleep(0.005)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("send", [os.kill, os.killpg], ids=["process", "group"])
def test_stopped_by_a_signal(inputs, tmp_path, number, send):
    """The group has the processes that draw the views, too."""
    work, line = tmp_path / "work", command(inputs, tmp_path, tmp_path / "work")
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
    line = command(inputs, tmp_path, tmp_path / "work")
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
