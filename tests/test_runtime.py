"""Predicting from an .onnx: as with torch, and without it."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image
from tiny_onnx import write_network
from tiny_project import ROOT
from typer.testing import CliRunner

from hpe_core.cli.app import app
from hpe_core.common.errors import InputError
from hpe_core.common.files import sha256
from hpe_core.networks.bins import BinSpec
from hpe_core.networks.checkpoints import save_network
from hpe_core.networks.model import StudentNet
from hpe_core.predictor import HeadPose
from hpe_core.runtime.network import open_network
from hpe_core.training.loop import seeded
from hpe_core.weights.catalogue import network_path

CROP = {
    "height": 16, "width": 16, "margin": 2, "rule": "enlarged", "border": "replicate",
    "codec": "raw", "jpeg_quality": 95,
}  # fmt: skip
BOXES = {
    "source": "detector", "path": "d.onnx", "input_px": 64, "score": 0.3, "nms_iou": 0.5,
    "border": 0.0, "match_iou": 0.3, "unmatched": "drop", "square": True, "scale": 1.0,
}  # fmt: skip
# What an installation for predicting does without. (Typer itself needs pydantic.)
HEAVY = [
    "torch", "torchvision", "lightning_fabric", "pandas", "pyarrow", "h5py", "safetensors",
    "scipy", "dvc", "albumentations", "onnx", "onnxscript",
]  # fmt: skip
ALONE = f"""
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {HEAVY}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name.partition(".")[0])

sys.meta_path.insert(0, Absent())
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A photograph, a detector that finds two faces in it, and one network in both forms."""
    folder = tmp_path_factory.mktemp("runtime")
    rows = np.zeros((84, 5), np.float32)
    rows[:2] = [[20, 22, 16, 24, 0.9], [46, 18, 12, 12, 0.8]]
    write_network(folder / "d.onnx", rows.T.copy())
    network = seeded(lambda: StudentNet("resnet8", BinSpec(3.0)), 3)
    rules = {"crop": CROP, "boxes": BOXES}
    save_network(network, folder / "n.safetensors", "resnet8", (16, 16), rules)
    words = ["export", str(folder / "n.safetensors"), "--out", str(folder / "n.onnx")]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / "i.png")
    return folder


def alone(place: Path, program: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Runs a program in a Python where the heavy packages are not installed."""
    command = [sys.executable, "-c", ALONE + program, *words]
    return subprocess.run(command, cwd=place, capture_output=True, text=True)


def test_an_onnx_says_what_its_safetensors_says(place):
    ours, exported = (
        HeadPose.load(place / name).predict(place / "i.png") for name in ("n.safetensors", "n.onnx")
    )
    assert len(ours) == len(exported) == 2
    for one, other in zip(ours, exported, strict=True):
        np.testing.assert_array_equal(one.bbox_xyxy, other.bbox_xyxy)
        assert one.score == other.score
        np.testing.assert_allclose(one.pyr_deg, other.pyr_deg, atol=1e-3)
        np.testing.assert_allclose(one.std_deg, other.std_deg, atol=1e-3)
    (given,) = HeadPose.load(place / "n.onnx").predict(place / "i.png", [8, 10, 32, 34])
    assert given.bbox_xyxy.tolist() == [8, 10, 32, 34] and given.score == 1


def test_hpe_predict_needs_no_torch(place):
    program = "from hpe_core.cli.app import main; sys.argv[0] = 'hpe'; main()"
    words = ("predict", "i.png", "--network", "n.onnx", "--draw", "drawn")
    done = alone(place, program, *words)
    assert done.returncode == 0, done.stderr
    here = CliRunner().invoke(app, ["predict", f"{place}/i.png", "--network", f"{place}/n.onnx"])
    numbers = [line.partition(",")[2] for line in done.stdout.splitlines()]
    assert numbers == [line.partition(",")[2] for line in here.stdout.splitlines()]
    assert len(numbers) == 3
    assert (place / "drawn/i.png").exists()
    as_json = alone(place, program, *words, "--format", "json")
    assert len(json.loads(as_json.stdout)) == 2


def test_what_needs_torch_or_pandas_says_so(place):
    program = "from hpe_core.cli.app import main; sys.argv[0] = 'hpe'; main()"
    done = alone(place, program, "predict", "i.png", "--network", "n.safetensors")
    assert done.returncode == 1
    assert "n.safetensors: needs torch, which predicting from an .onnx does not" in done.stderr
    words = ("predict", "i.png", "--network", "n.onnx", "--out", "t.parquet")
    done = alone(place, program, *words)
    assert done.returncode == 1
    assert "t.parquet: parquet needs pandas" in done.stderr


def test_the_predictor_imports_none_of_them(place):
    program = "import hpe_core.predictor; print(*sorted(sys.modules))"
    found = subprocess.run(
        [sys.executable, "-c", f"import sys; {program}"], capture_output=True, text=True, check=True
    )
    assert not {name.partition(".")[0] for name in found.stdout.split()} & set(HEAVY)


def test_a_pth_is_no_network_for_photographs(place):
    with pytest.raises(InputError, match=r"n\.pth: does not say how its faces are found"):
        HeadPose.load(place / "n.pth")


def test_the_network_of_the_repository_is_one_in_both_forms():
    """One of them ships; docs/onnx.md exports the other."""
    exported, trained = network_path("drawn-resnet8"), ROOT / "data/demo/kd-resnet8.safetensors"
    model = onnx.load(exported)
    found = {entry.key: entry.value for entry in model.metadata_props}
    assert found["source_sha256"] == sha256(trained)
    image = ROOT / "hpe_core/inference/face.jpg"
    (one,), (other,) = (HeadPose.load(path).predict(image) for path in (exported, trained))
    np.testing.assert_allclose(one.pyr_deg, other.pyr_deg, atol=1e-3)


def test_an_onnx_runs_on_the_cpu(place):
    with pytest.raises(InputError, match=r"n\.onnx: an \.onnx runs on the CPU; .* cuda:1"):
        HeadPose.load(place / "n.onnx", device="cuda:1")


def test_a_network_without_box_rules_is_none_for_photographs(place):
    opened = open_network(place / "n.onnx")
    with pytest.raises(InputError, match=r"n\.onnx: does not say how faces are found"):
        HeadPose(type(opened)(opened.path, opened.read, opened.crop, None, 99.0), None)
