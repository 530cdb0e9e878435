"""Training that is stopped, or diverges, says so in one line (`test_faults.py` kills it)."""

import os
import re
import signal
import subprocess
import sys
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

import forks
import numpy as np
import pandas as pd
import pytest
import yaml
from tiny_project import ROOT

from hpe_core.crops.settings import CropFormat
from hpe_core.crops.store import encode, write_crops

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
    table = table.assign(group=table["face_id"], order="XYZ")
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
    return [*map(str, line)]


def wait_for_states(process: BaseProcess, work: Path, states: int) -> None:
    """Until so many more states were written, or the process is done."""
    seen = None
    while states and process.is_alive():
        times = [path.stat().st_mtime_ns for path in work.glob("*/state.pt")]
        if times and times != seen:
            seen, states = times, states - 1
        time.sleep(0.005)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("send", [os.kill, os.killpg], ids=["process", "group"])
def test_stopped_by_a_signal(inputs, tmp_path, number, send):
    """The group has the processes that draw the views, too."""
    work, line = tmp_path / "work", command(inputs, tmp_path, tmp_path / "work")
    process = forks.start("pipeline.train_base", line, tmp_path / "log")
    wait_for_states(process, work, 3)
    send(process.pid, number)
    process.join()
    errors = (tmp_path / "log").read_text()
    assert process.exitcode == 130
    assert "Traceback" not in errors
    last = errors.strip().splitlines()[-1]
    assert last.startswith(f"stopped: {tmp_path / 'n.safetensors'}: epoch "), errors
    assert last.endswith(f" of {EPOCHS} is saved; the next run continues from there")
    assert list(work.glob("*/state.pt"))


HALF_MADE = """
import os, signal
from hpe_core.common.stage import run

class Half:
    def __init__(self):
        os.kill(os.getpid(), signal.SIGINT)
        self.name = "whole"

    def __del__(self):
        self.name

def main():
    Half()

run(main)
"""


def test_a_signal_within_a_constructor_leaves_no_traceback():
    """torch's `StorageWeakRef` is such a class: its `__del__` needs what `__init__` sets."""
    ran = subprocess.run([sys.executable, "-c", HALF_MADE], capture_output=True, text=True)
    assert ran.returncode == 130
    assert ran.stderr == "stopped: nothing new is saved\n"


LOST = """
import os, signal, time
from hpe_core.common.stage import run

class Last:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.01)

def main():
    Last()
    time.sleep(60)

run(main)
"""


def test_a_signal_within_a_destructor_is_not_lost():
    """Python ignores what is raised there, and would go on for the minute."""
    ran = subprocess.run([sys.executable, "-c", LOST], capture_output=True, text=True, timeout=30)
    assert ran.returncode == 130
    assert ran.stderr == "stopped: nothing new is saved\n"


def test_a_run_that_diverges_names_the_faces(inputs, tmp_path):
    params = yaml.safe_load((inputs / "params.yaml").read_text())
    params["base"]["lr"] = 1.0e30
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    line = command(inputs, tmp_path, tmp_path / "work")
    line[line.index("--params") + 1] = str(tmp_path / "params.yaml")
    process = forks.start("pipeline.train_base", line, tmp_path / "log")
    process.join()
    assert process.exitcode == 1
    last = (tmp_path / "log").read_text().strip().splitlines()[-1]
    loss = r"the loss is (nan|inf), not finite: .*"
    found = re.fullmatch(rf"error: {inputs}/c\.h5: {loss} Faces of the batch: ([\d, ]+)", last)
    assert found, last
    named = found[2].split(", ")
    assert 1 <= len(named) <= 8
    assert set(named) <= {str(row) for row in range(N)}
    assert not (tmp_path / "n.safetensors").exists()
