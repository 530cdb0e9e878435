"""The program in docs/onnx.md, as it stands there: without this project, the angles of HeadPose."""

import ast
import json
import re
import subprocess
import sys

import numpy as np
import onnx
import pytest
import torch
from PIL import Image
from test_cli_export import hpe, save
from test_predictor import BOXES, CROP, student

from hpe_core.faces.boxes import scale, square
from hpe_core.predictor import HeadPose
from tests.graph import ROOT


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """The page's one block of Python, as pose.py."""
    (text,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/onnx.md").read_text(), re.DOTALL)
    path = tmp_path_factory.mktemp("page") / "pose.py"
    path.write_text(text)
    return path


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    """Smooth colours, stored on their side, as a telephone does."""
    small = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    path = tmp_path_factory.mktemp("photo") / "i.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    Image.fromarray(small).resize((160, 120)).save(path, exif=exif)
    return path


def sensitive():
    """Heads that answer to small changes of the picture with degrees, as trained ones do."""
    network = student()
    with torch.no_grad():
        for head in network.head_net.children():
            head.weight *= 40
    return network


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """What `hpe export` writes, opened: a test changes its rules."""
    folder = tmp_path_factory.mktemp("exported")
    hpe(save(sensitive(), folder / "n.safetensors"), "--out", folder / "n.onnx")
    return onnx.load(folder / "n.onnx")


def test_it_needs_nothing_of_ours(program):
    imported = {
        name
        for node in ast.walk(ast.parse(program.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in (
            [node.module] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names]
        )
    }
    assert imported == {"json", "sys", "numpy", "onnxruntime", "PIL"}


INSIDE, OUTSIDE = [30.0, 40.5, 70.25, 95.0], [-14.0, 100.0, 50.0, 170.0]


@pytest.mark.parametrize(
    ("box", "border", "boxes"),
    [
        pytest.param(INSIDE, "replicate", {}, id="inside"),
        pytest.param(OUTSIDE, "replicate", {}, id="outside, edge goes on"),
        pytest.param(OUTSIDE, "black", {}, id="outside, black"),
        pytest.param(INSIDE, "replicate", {"scale": 1.3}, id="scaled"),
        pytest.param(INSIDE, "replicate", {"square": False}, id="not square"),
        pytest.param(INSIDE, "replicate", {"source": "published"}, id="published box"),
    ],
)
def test_it_says_what_head_pose_says(program, photo, exported, tmp_path, box, border, boxes):
    rules, crop = {**BOXES, **boxes}, {**CROP, "border": border}
    onnx.helper.set_model_props(exported, {"boxes": json.dumps(rules), "crop": json.dumps(crop)})
    onnx.save(exported, tmp_path / "n.onnx")
    command = [sys.executable, program, tmp_path / "n.onnx", photo, *map(str, box)]
    said = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path).stdout
    found = [[float(word) for word in line.split()[1::2]] for line in said.splitlines()]

    path = save(sensitive(), tmp_path / "n.safetensors", crop=crop)  # boxes as they are given
    shaped = square(box) if rules["square"] else np.array(box)
    shaped = box if rules["source"] == "published" else scale(shaped, rules["scale"])
    (face,) = HeadPose.load(path).predict(photo, [shaped])
    np.testing.assert_allclose(np.array(found).T, [face.pyr_deg, face.std_deg], atol=0.1)
