"""`hpe doctor`: reports what works and what does not; the exit code tells them apart."""

import json
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_predictor import BOXES, CROP, student
from typer.testing import CliRunner

from hpe_core.cli.app import app
from hpe_core.faces.images import read_image
from hpe_core.inference import self_test
from hpe_core.networks.checkpoints import save_network
from hpe_core.predictor import FacePose, HeadPose
from hpe_core.weights.catalogue import default_network

ROOT = Path(__file__).parents[1]
DETECTOR = ROOT / "data" / "detector" / "yolov5n-demo.onnx"


@pytest.fixture
def network(tmp_path) -> Path:
    """Untrained, with the demo's detector."""
    boxes = {**BOXES, "input_px": 320, "path": str(DETECTOR)}
    path = tmp_path / "n.safetensors"
    save_network(student(), path, "resnet8", (16, 16), {"crop": CROP, "boxes": boxes})
    return path


def hpe(*arguments: str, code: int = 0) -> dict[str, tuple[str, str]]:
    """→ state and finding of each check."""
    result = CliRunner().invoke(app, ["doctor", "--json", *map(str, arguments)])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.stdout + result.stderr
    return {check["name"]: (check["state"], check["found"]) for check in json.loads(result.stdout)}


@pytest.fixture
def sees(monkeypatch):
    """A function that makes every network see this pose."""

    def see(pyr_deg) -> None:
        pose = FacePose(np.zeros(4), 1.0, np.array(pyr_deg), np.ones(3))
        monkeypatch.setattr(HeadPose, "predict", lambda self, image: [pose])

    return see


def test_without_options_packages_devices_and_what_ships_are_checked():
    found = hpe()
    assert found["torch"] == ("ok", metadata.version("torch"))
    assert found["opencv-python-headless"][0] == "ok"
    assert found["devices"][1].startswith("torch: cpu (")
    assert "CPUExecutionProvider" in found["devices"][1]
    assert str(default_network().path) in found["network"][1]
    assert "off the rendered pose" in found["one face"][1]


def test_another_detector():
    words = ("--network", "drawn-resnet8", "--detector", DETECTOR)
    state, found = hpe(*words)["network"]
    assert state == "ok" and found.endswith(f"detector {DETECTOR}")
    state, message = hpe("--detector", "absent.onnx", code=1)["network"]
    assert (state, message[:30]) == ("failed", "absent.onnx: no such detector;")


def test_the_rendered_face_is_found_and_an_untrained_network_fails(network):
    """An untrained network predicts much the same pose for every face, far off the label."""
    found = hpe("--network", network, code=1)
    assert found["network"][0] == "ok"
    assert str(DETECTOR) in found["network"][1]
    assert found["one face"][0] == "failed"
    assert "off, expected at most 20°" in found["one face"][1]


@pytest.mark.parametrize(
    ("pyr_deg", "code"),
    [
        pytest.param(self_test.TEST_FACE_PYR_DEG, 0, id="as rendered"),
        pytest.param([-12.9, 34.0, -24.0], 0, id="18 degrees off"),
        pytest.param([-12.9, 38.0, -24.0], 1, id="22 degrees off"),
        pytest.param([-12.9, -15.8, 24.0], 1, id="flipped"),
        pytest.param([12.9, 15.8, -24.0], 1, id="pitch of another sign"),
        pytest.param([-12.9, 15.8, 24.0], 1, id="roll of another sign"),
    ],
)
def test_a_wrong_sign_of_an_angle_fails(network, sees, pyr_deg, code):
    sees(pyr_deg)
    assert hpe("--network", network, code=code)["one face"][0] == ("failed" if code else "ok")


def test_a_picture_of_ones_own_must_have_a_face(network, sees, tmp_path):
    sees([80, 80, 80])
    state, found = hpe("--network", network, "--image", "i.jpg")["one face"]
    assert (state, found[:32]) == ("ok", "1 found in i.jpg, the surest wit")


def test_no_face_fails(network, tmp_path):
    Image.new("RGB", (64, 64)).save(tmp_path / "black.png")
    found = hpe("--network", network, "--image", tmp_path / "black.png", code=1)["one face"]
    assert found == ("failed", f"none found in {tmp_path}/black.png by this detector")


def test_a_network_that_cannot_be_loaded(network):
    for option, value in (("--detector", "absent.onnx"), ("--device", "cuda:99")):
        state, message = hpe("--network", network, option, value, code=1)["network"]
        assert state == "failed"
        assert value in message
    found = hpe("--network", "absent.safetensors", code=1)
    assert found["network"][0] == found["one face"][0] == "failed"
    assert found["network"][1].startswith("absent.safetensors: no such network")


def test_a_broken_and_a_missing_package(monkeypatch):
    monkeypatch.setitem(self_test.PACKAGES, "no-such-distribution", "json")
    monkeypatch.setitem(self_test.PACKAGES, "numpy", "no_such_module")
    found = hpe(code=1)
    assert found["no-such-distribution"] == ("failed", "not installed")
    assert found["numpy"][1] == "cannot be imported: No module named 'no_such_module'"
    assert found["devices, network, one face"][0] == "skipped"


def test_lines_for_humans():
    result = CliRunner().invoke(app, ["doctor", "--detector", "absent.onnx"])
    lines = result.stdout.splitlines()
    assert f"ok       torch: {metadata.version('torch')}" in lines
    assert [line for line in lines if line.startswith("FAILED   network: absent.onnx")]
    assert result.exit_code == 1


def test_the_module_imports_no_package_that_it_checks():
    code = "import sys, hpe_core.inference.self_test; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert not {"torch", "cv2", "numpy", "onnxruntime"} & set(done.stdout.split())


def test_the_rendered_face_is_an_image():
    assert read_image(self_test.TEST_FACE).shape == (225, 225, 3)
