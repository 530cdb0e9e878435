"""What a stage's start costs: only those that run a network import torch, seconds each."""

import gc
import importlib
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import pipeline
from hpe_core.common.stage import run

ROOT = Path(__file__).parents[1]
NETWORKS = {
    "train_base",
    "ensemble",
    "distill",
    "control",
    "sweep",
    "predict",
    "imported",
    "export",
    "verify",
}
OTHERS = sorted({path.stem for path in ROOT.glob("pipeline/[!_]*.py")} - NETWORKS)
# Forks, so that each stage is imported without what another one has imported.
PROGRAM = """
import importlib, os, sys
import h5py, pandas, tyro  # the dearest that they share

for name in sys.argv[1:]:
    if not os.fork():
        try:
            importlib.import_module(f"pipeline.{name}")
            heavy = {"torch", "torchvision", "lightning_fabric", "albumentations"} & {*sys.modules}
            print(name, *sorted(heavy), flush=True)
        finally:
            os._exit(0)
    os.wait()
"""


@pytest.fixture(scope="module")
def heavy() -> dict[str, list[str]]:
    """Stage → the heavy packages that importing it imports."""
    command = [sys.executable, "-c", PROGRAM, *OTHERS]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return {name: packages for name, *packages in map(str.split, done.stdout.splitlines())}


@pytest.mark.parametrize("stage", OTHERS)
def test_a_stage_without_a_network_imports_no_torch(heavy, stage):
    assert heavy[stage] == []


@pytest.mark.parametrize("searched", [True, False], ids=["imported", "python -m"])
def test_garbage_is_not_searched_while_a_stage_imports(monkeypatch, searched):
    monkeypatch.setattr(sys, "argv", ["pytest" if searched else "-m"])
    importlib.reload(pipeline)
    assert gc.isenabled() == searched
    monkeypatch.setattr(sys, "argv", ["stage"])
    monkeypatch.setattr(signal, "signal", lambda *_: None)  # pytest keeps its own
    while_running = []

    def main() -> None:
        while_running.append(gc.isenabled())

    run(main)
    gc.unfreeze()
    assert while_running == [True]
