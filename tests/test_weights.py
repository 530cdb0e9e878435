"""What ships with the package: listed with licence, data and card, and found without a path."""

import json
from hashlib import sha256
from pathlib import Path

import pytest
from tiny_project import ROOT
from typer.testing import CliRunner

from hpe_core.cli.app import app
from hpe_core.common.errors import InputError
from hpe_core.predictor import HeadPose
from hpe_core.runtime.network import open_session
from hpe_core.weights.catalogue import FOLDER, default_network, network_path, shipped

FACE = ROOT / "hpe_core/inference/face.jpg"
NAMES = [pytest.param(each, id=each.name) for each in shipped()]


def hpe(*words: object) -> str:
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == 0, done.output
    return done.stdout


def test_every_file_is_listed_once():
    assert {each.path.name for each in shipped()} >= {path.name for path in FOLDER.glob("*.onnx")}
    assert {each.card for each in shipped()} == {path.name for path in FOLDER.glob("*.md")}
    names = [each.name for each in shipped()]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("weights", NAMES)
def test_what_is_listed_is_there_and_has_a_card_that_says_the_same(weights):
    assert weights.path.is_file()
    card = (FOLDER / weights.card).read_text()
    assert card.startswith(f"# {weights.name}\n")
    assert weights.licence.split(",")[0] in card
    assert weights.kind in ("network", "detector")


@pytest.mark.parametrize("weights", [each for each in NAMES if each.values[0].kind == "network"])
def test_a_network_says_itself_what_the_list_says(weights):
    said = open_session(weights.path.read_bytes()).get_modelmeta().custom_metadata_map
    assert (said["licence"], said["training_data"]) == (weights.licence, weights.training_data)
    assert said["colour_order"] == "RGB"
    assert json.loads(said["normalisation"])["mean"] == [0.485, 0.456, 0.406]


def test_the_command_lists_them():
    listed = json.loads(hpe("weights", "--json"))
    assert [each["name"] for each in listed] == [each.name for each in shipped()]
    for each in listed:
        content = Path(each["file"]).read_bytes()
        assert each["sha256"] == sha256(content).hexdigest()
        assert each["mb"] == pytest.approx(len(content) / 1e6, abs=0.05)
        assert Path(each["card"]).is_file()
    text = hpe("weights")
    for each in shipped():
        assert f"{each.name}: {each.kind}, " in text
        assert each.licence in text and each.training_data in text


def test_a_name_or_nothing_stands_for_what_ships(tmp_path, monkeypatch):
    first = default_network()
    assert network_path() == network_path(first.name) == first.path
    monkeypatch.chdir(tmp_path)
    assert network_path("yolov5n-demo") == Path("yolov5n-demo"), "a detector is no network"
    Path(first.name).touch()
    assert network_path(first.name) == Path(first.name), "a file of that name goes first"
    with pytest.raises(InputError, match=r"nonesuch: expected a network, .*`hpe weights`"):
        HeadPose.load("nonesuch")


def test_no_path_is_needed_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (face,) = HeadPose.load().predict(FACE)
    assert face.yaw == pytest.approx(15.8, abs=5)  # as rendered
    done = CliRunner().invoke(app, ["predict", str(FACE)])
    assert done.exit_code == 0, done.output
    assert f",{int(face.yaw)}." in done.stdout
    first = default_network()
    assert f"network: {first.name} ({first.licence}), trained on" in done.stderr
    named = CliRunner().invoke(app, ["predict", str(FACE), "--network", first.name])
    assert named.stdout == done.stdout
    assert "trained on" not in named.stderr
