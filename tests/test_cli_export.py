"""`hpe export`: the file agrees with PyTorch and describes itself, or is not written."""

import json
import re
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pytest
import torch
from hypothesis import assume, example, given
from hypothesis import strategies as st
from test_predictor import BOXES, CROP, SPEC, student
from tiny_corpora import write_image, write_own
from tiny_project import ROOT
from typer.testing import CliRunner

from hpe_core.cli.app import app
from hpe_core.common.errors import InputError
from hpe_core.common.files import sha256
from hpe_core.common.geometry import in_head_frame, pyr_from_rotation, rotation_from_pyr
from hpe_core.crops.settings import CropFormat
from hpe_core.crops.store import Crops, encode, write_crops
from hpe_core.crops.window import rotated_window
from hpe_core.evaluation.metrics import summary
from hpe_core.inference import export, onnx_export
from hpe_core.networks.bins import BinSpec
from hpe_core.networks.checkpoints import load_network, save_network
from hpe_core.networks.model import IMAGENET_MEAN, IMAGENET_STD, BaseNet
from hpe_core.predictor import HeadPose
from hpe_core.runtime.network import angles
from hpe_core.training.loop import seeded

FORMAT = CropFormat(16, 16, 2, "enlarged", "replicate", "raw", 95)


def save(network, path: Path, **provenance) -> Path:
    rules = {"crop": CROP, "boxes": {**BOXES, "source": "published", "path": "boxes"}, **provenance}
    save_network(network, path, "resnet8", (16, 16), rules)
    return path


@pytest.fixture(scope="module")
def network(tmp_path_factory) -> Path:
    return save(student(), tmp_path_factory.mktemp("student") / "n.safetensors")


@pytest.fixture(scope="module")
def crops(tmp_path_factory) -> Path:
    return write(tmp_path_factory.mktemp("crops") / "c.h5", FORMAT, 9)


def write(path: Path, crop_format: CropFormat, faces: int, held_out: int = 0) -> Path:
    """held_out: so many faces, the last ones, are for validation."""
    rng = np.random.default_rng(5)
    table = pd.DataFrame(rng.uniform(-40, 40, (faces, 3)), columns=["pitch", "yaw", "roll"])
    table = table.assign(face_id=table.index.astype(str), group="g", order="XYZ")
    table = table.assign(validation=table.index >= faces - held_out)
    images = rng.integers(0, 256, (faces, *crop_format.shape), dtype=np.uint8)
    write_crops(path, table, (encode(image, crop_format) for image in images), crop_format, {})
    return path


def hpe(*arguments, code: int = 0) -> str:
    """→ stdout, or the one line of an error."""
    result = CliRunner().invoke(app, ["export", *map(str, arguments)])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.stdout + result.stderr
    assert not code or (result.stdout, result.stderr.count("\n")) == ("", 1)
    return result.stderr if code else result.stdout


@pytest.fixture(scope="module")
def exported(network) -> tuple[Path, str]:
    """The file, and what the command printed."""
    out = network.with_suffix(".onnx")
    return out, hpe(network, "--out", out)


def run(path: Path, faces: np.ndarray) -> list[np.ndarray]:
    return onnxruntime.InferenceSession(path).run(None, {"images": faces})


@pytest.mark.parametrize("batch", [1, 5])
def test_it_predicts_what_head_pose_predicts(network, exported, batch):
    faces = np.random.default_rng(1).integers(0, 256, (batch, 16, 16, 3), dtype=np.uint8)
    pyr_deg, std_deg, probs = run(exported[0], faces)
    assert pyr_deg.dtype == std_deg.dtype == probs.dtype == np.float32
    assert probs.shape == (batch, 3, SPEC.n_bins)
    head_pose = HeadPose.load(network)
    for at, face in enumerate(faces):
        (expected,) = head_pose.predict(face, [[0, 0, 16, 16]])
        np.testing.assert_allclose(pyr_deg[at], expected.pyr_deg, atol=1e-3)
        np.testing.assert_allclose(std_deg[at], expected.std_deg, atol=1e-3)
    np.testing.assert_allclose(probs.sum(-1), 1, atol=1e-5)


def test_a_base_network_predicts_by_its_smallest_bins(tmp_path):
    base = seeded(lambda: BaseNet("resnet8", [BinSpec(9.0), SPEC]), 1)
    hpe(save(base, tmp_path / "b.safetensors"), "--out", tmp_path / "b.onnx")
    faces = export.sample_images((16, 16))
    pyr_deg, _, probs = run(tmp_path / "b.onnx", faces)
    assert probs.shape[-1] == SPEC.n_bins
    expected, _ = onnx_export.torch_angles(base.eval(), faces)
    np.testing.assert_allclose(pyr_deg, expected, atol=1e-3)


def test_the_printed_lines(exported):
    first, parity = exported[1].splitlines()
    assert first.startswith(f"{exported[0]}: opset 18, uint8 RGB (batch, 16, 16, 3), ")
    found = re.fullmatch(r"parity: at most (\S+)° off PyTorch, on 18 images", parity)
    assert 0 < float(found[1]) < 1e-3


def test_the_file_explains_itself(network, exported):
    model = onnx.load(exported[0])
    assert [entry.version for entry in model.opset_import] == [18]
    found = {entry.key: entry.value for entry in model.metadata_props}
    assert "R = Rx(pitch) Ry(yaw) Rz(roll)" in found.pop("convention")
    assert json.loads(found.pop("bins")) == {"bin_deg": 3.0, "n_bins": 66, "theta_deg": 99.0}
    assert json.loads(found.pop("crop")) == CROP
    assert json.loads(found.pop("boxes")) == {**BOXES, "source": "published", "path": "boxes"}
    assert found.pop("colour_order") == "RGB"
    normalised = json.loads(found.pop("normalisation"))
    assert normalised["mean"] == list(IMAGENET_MEAN) and normalised["std"] == list(IMAGENET_STD)
    names = {"source": "n.safetensors", "source_sha256": sha256(network), "opset": "18"}
    assert found == names


def test_what_only_the_user_knows_stands_in_the_file(network, tmp_path):
    words = ("--licence", "CC BY 4.0", "--training-data", "my faces")
    hpe(network, "--out", tmp_path / "n.onnx", *words)
    found = {e.key: e.value for e in onnx.load(tmp_path / "n.onnx").metadata_props}
    assert (found["licence"], found["training_data"]) == ("CC BY 4.0", "my faces")


@pytest.fixture
def calibration(tmp_path) -> Path:
    """As `validate` writes it."""
    path = tmp_path / "calibration.csv"
    path.write_text(
        "network,seed,pitch,yaw,roll\nkd-n,1,0.5,0.6,0.7\nkd-n,2,2,3,0.25\nkd-m,2,9,9,9\n"
    )
    return path


def test_the_std_is_calibrated(network, exported, calibration, tmp_path, monkeypatch):
    named = tmp_path / "kd-n-2.safetensors"
    named.write_bytes(network.read_bytes())
    said = hpe(named, "--out", tmp_path / "c.onnx", "--calibration", calibration).splitlines()
    assert said[2] == f"std: multiplied by 2, 3, 0.25, of {calibration}"
    faces = export.sample_images((16, 16))
    (_, plain, _), (pyr_deg, std_deg, _) = (
        run(path, faces) for path in (exported[0], tmp_path / "c.onnx")
    )
    np.testing.assert_allclose(std_deg, plain * [2, 3, 0.25], rtol=1e-5)
    np.testing.assert_allclose(pyr_deg, run(exported[0], faces)[0], atol=1e-4)
    model = onnx.load(tmp_path / "c.onnx")
    found = {entry.key: entry.value for entry in model.metadata_props}
    assert json.loads(found["std_factors"]) == [2, 3, 0.25]
    (face,) = HeadPose.load(tmp_path / "c.onnx").predict(faces[0], [[0, 0, 16, 16]])
    np.testing.assert_allclose(face.std_deg, std_deg[0], rtol=1e-4)


def test_factors_of_another_network_are_refused(network, calibration, tmp_path):
    words = (network, "--out", tmp_path / "n.onnx", "--calibration")
    message = hpe(*words, calibration, code=1)
    assert "calibration.csv: no factors for n; found kd-n-1, kd-n-2, kd-m-2" in message
    other = tmp_path / "other.csv"
    other.write_text("network,seed\n")
    assert "other.csv: no column pitch, yaw, roll; found ['network', 'seed']" in hpe(
        *words, other, code=1
    )
    assert "absent.csv: no such file" in hpe(*words, tmp_path / "absent.csv", code=1)
    assert not (tmp_path / "n.onnx").exists()


def test_int8_weights_take_7_bits(network, crops, tmp_path):
    """Unsigned times signed bytes, added in pairs, must fit in 16 bits: 2 · 255 · 64 does."""
    hpe(network, "--out", tmp_path / "n.onnx", "--int8", "--crops", crops)
    initial = onnx.load(tmp_path / "n.int8.onnx").graph.initializer
    weights = [onnx.numpy_helper.to_array(each) for each in initial]
    largest = [np.abs(each.astype(int)).max() for each in weights if each.dtype == np.int8]
    assert len(largest) > 5 and max(largest) == 64


FRAME = rotation_from_pyr([5.9, -1.2, 0.7])


@pytest.fixture
def frame(network, tmp_path) -> Path:
    """As `hpe evaluate --frame` writes it."""
    path = tmp_path / "frame.json"
    content = {"rotation": FRAME.tolist(), "turn_deg": 6.06, "faces": 914, "faces_of": "AFLW2000"}
    whose = {"network": network.name, "network_sha256": sha256(network)}
    path.write_text(json.dumps(content | whose))
    return path


def test_a_frame_turns_the_angles_in_the_file(network, exported, frame, tmp_path):
    said = hpe(network, "--out", tmp_path / "f.onnx", "--frame", frame).splitlines()
    assert said[2] == "frame: turned by 6.06°, fitted on 914 faces"
    faces = export.sample_images((16, 16))
    (plain, plain_std, _), (turned, std_deg, _) = (
        run(path, faces) for path in (exported[0], tmp_path / "f.onnx")
    )
    np.testing.assert_allclose(turned, in_head_frame(plain, FRAME), atol=1e-3)
    assert np.abs(turned - plain).max() > 3
    np.testing.assert_allclose(std_deg, plain_std, rtol=1e-5)
    found = {e.key: e.value for e in onnx.load(tmp_path / "f.onnx").metadata_props}
    assert json.loads(found["frame"]) == json.loads(frame.read_text())


@given(st.tuples(*[st.floats(-98.9, 98.9)] * 3), st.tuples(*[st.floats(-20, 20)] * 3))
@example((10.0, 95.0, -20.0), (6.0, -1.0, 2.0))
@example((10.0, 85.0, -20.0), (6.0, 9.0, 2.0))
@example((-98.0, 0.0, 98.0), (-20.0, 20.0, 20.0))
def test_the_graph_turns_as_geometry_does(pyr_deg, turn):
    assume(abs(pyr_from_rotation(turned_matrix(pyr_deg, turn))[1]) < 85)  # near it, roundings grow
    frame = rotation_from_pyr(turn)
    found = onnx_export._in_head_frame(
        torch.tensor([pyr_deg], dtype=torch.float32), torch.tensor(frame, dtype=torch.float32)
    )
    np.testing.assert_allclose(found.numpy()[0], in_head_frame(pyr_deg, frame), atol=2e-3)


def turned_matrix(pyr_deg, turn):
    return rotation_from_pyr(pyr_deg) @ rotation_from_pyr(turn)


def test_a_frame_of_another_network_or_none_is_refused(network, frame, tmp_path):
    words = (network, "--out", tmp_path / "n.onnx", "--frame")
    other = tmp_path / "other.json"
    content = json.loads(frame.read_text())
    for change, message in (
        ({"network_sha256": "0" * 64}, "other.json: fitted for n.safetensors, another file than"),
        ({"rotation": [[1, 0], [0, 1]]}, "expected a file of `hpe evaluate --frame`"),
        ({"rotation": np.diag([1, 1, -1]).tolist()}, "its rotation is none"),
        ({"rotation": "turn"}, "expected a file of `hpe evaluate --frame`: ValueError"),
    ):
        other.write_text(json.dumps(content | change))
        assert message in hpe(*words, other, code=1)
    other.write_text("{}")
    assert "KeyError('rotation')" in hpe(*words, other, code=1)
    assert "absent.json: no such file" in hpe(*words, tmp_path / "absent.json", code=1)
    assert not (tmp_path / "n.onnx").exists()


def test_another_detector_finds_the_faces_from_now_on(network, tmp_path):
    detector = ROOT / "data/detector/yolov5n-demo.onnx"
    words = (network, "--out", tmp_path / "n.onnx", "--found-by")
    hpe(*words, detector, "--input-px", 320, "--score", 0.25, "--box-scale", 1.06)
    found = {e.key: e.value for e in onnx.load(tmp_path / "n.onnx").metadata_props}
    before = {**BOXES, "source": "published", "path": "boxes"}
    assert json.loads(found["trained_on_boxes"]) == before
    now = {"source": "detector", "path": detector.as_posix(), "input_px": 320}
    now |= {"score": 0.25, "scale": 1.06}
    assert json.loads(found["boxes"]) == before | now
    opened = HeadPose.load(tmp_path / "n.onnx").detector
    assert opened.path == detector and opened.size_hw == (320, 320)
    (tmp_path / "n.onnx").unlink()
    for option, value in (("--input-px", 320), ("--score", 0.5), ("--box-scale", 1.1)):
        message = hpe(network, "--out", tmp_path / "n.onnx", option, value, code=2)
        assert "are for --found-by" in message
    assert "no such detector" in hpe(*words, tmp_path / "absent.onnx", code=1)
    assert not (tmp_path / "n.onnx").exists()


def test_it_holds_no_path_of_this_machine(exported, tmp_path):
    assert b".py" not in exported[0].read_bytes()
    boxes = {**BOXES, "source": "detector", "path": (tmp_path / "theirs.onnx").as_posix()}
    network = save(student(), tmp_path / "n.safetensors", boxes=boxes)
    detector = ROOT / "data/detector/yolov5n-demo.onnx"
    hpe(network, "--out", tmp_path / "n.onnx", "--found-by", detector)
    assert str(tmp_path).encode() not in (tmp_path / "n.onnx").read_bytes()


def test_the_same_network_gives_the_same_bytes_and_another_opset_others(
    network, exported, tmp_path
):
    hpe(network, "--out", tmp_path / "again.onnx")
    assert (tmp_path / "again.onnx").read_bytes() == exported[0].read_bytes()
    assert "opset 20, " in hpe(network, "--out", tmp_path / "20.onnx", "--opset", 20)
    assert [entry.version for entry in onnx.load(tmp_path / "20.onnx").opset_import] == [20]


def test_an_opset_that_torch_does_not_write_is_refused(network):
    with pytest.raises(InputError, match="opset 13: torch's exporter wrote 18 instead"):
        onnx_export.to_onnx(load_network(network)[0], (16, 16), 13, {})


@pytest.mark.parametrize("part", [0, 1], ids=["angles", "std"])
@pytest.mark.parametrize("off_deg", [0.011, np.nan])
def test_a_file_that_disagrees_with_pytorch_is_not_written(
    network, tmp_path, monkeypatch, off_deg, part
):
    def one_off(session, faces):
        found = angles(session, faces)
        found[part][-1, 2] += off_deg if len(faces) > 1 else 0
        return found

    monkeypatch.setattr(export, "angles", one_off)
    message = hpe(network, "--out", tmp_path / "n.onnx", code=1)
    assert f"n.onnx: not written: ONNX Runtime is {off_deg:.2g}° off PyTorch" in message
    assert not list(tmp_path.iterdir())


def test_int8_is_measured_on_faces_that_did_not_calibrate_it(network, crops, tmp_path, monkeypatch):
    monkeypatch.setattr(export.Timer, "autorange", lambda timer: (1, 0.0))
    said = hpe(network, "--out", tmp_path / "n.onnx", "--int8", "--crops", crops).splitlines()
    assert said[1].endswith(" on 22 images")  # 18, and the 4 that calibrate
    small = tmp_path / "n.int8.onnx"
    assert re.fullmatch(rf"{small}: \d\.\d MB, calibrated on 4 faces", said[2])
    assert small.stat().st_size < 0.3 * (tmp_path / "n.onnx").stat().st_size
    opened, rows = Crops(crops), np.random.default_rng(0).permutation(9)[4:]
    faces = np.stack([rotated_window(opened[row], (16, 16), 0) for row in rows])
    found = [run(path, faces)[:2] for path in (tmp_path / "n.onnx", small)]
    assert np.abs(np.subtract(*found)).max() < 0.5  # 1.2, were the expectation in 8 bits, too
    mae = [summary(pyr_deg, opened.pyr_deg[rows])["mae"] for pyr_deg, _ in found]
    assert said[3] == "MAE: {:.2f}° float32, {:.2f}° int8, on 5 other faces".format(*mae)
    assert re.fullmatch(r"time: int8 takes \S+ of float32's for one face, \S+ for 32", said[4])
    metadata = {entry.key: entry.value for entry in onnx.load(small).metadata_props}
    assert json.loads(metadata["crop"]) == CROP
    assert json.loads(metadata["int8_calibration"]) == {"faces": 4, "source": "c.h5"}


def test_of_a_training_set_int8_takes_the_validation_faces_alone(tmp_path):
    source = export.faces_of_crops(write(tmp_path / "train.h5", FORMAT, 9, held_out=4))
    faces, pyr_deg = source.read((16, 16), 100)
    opened = Crops(tmp_path / "train.h5")
    order = np.lexsort(pyr_deg.T)
    own = opened.pyr_deg[5:][np.lexsort(opened.pyr_deg[5:].T)]
    np.testing.assert_array_equal(pyr_deg[order], own)
    assert faces.shape == (4, 16, 16, 3)
    few = export.faces_of_crops(write(tmp_path / "few.h5", FORMAT, 9, held_out=1))
    with pytest.raises(InputError, match="few.h5: 1 faces of .* expected at least two"):
        few.read((16, 16), 100)


def test_int8_of_a_corpus_is_measured_as_evaluate_does(tmp_path, monkeypatch):
    """On the faces of the same corpus that did not calibrate it."""
    monkeypatch.setattr(export.Timer, "autorange", lambda timer: (1, 0.0))
    crop = {**CROP, "margin": 2, "codec": "raw", "jpeg_quality": 95}
    boxes = {**BOXES, "path": "d.onnx", "match_iou": 0.3, "unmatched": "drop"}
    network = save(student(), tmp_path / "n.safetensors", crop=crop, boxes=boxes)
    rng, folder = np.random.default_rng(2), tmp_path / "c"
    poses = {angle: rng.uniform(-40, 40, 6).round(3).tolist() for angle in ("pitch", "yaw", "roll")}
    sides = {"x1": [2.0] * 6, "y1": [2.0] * 6, "x2": [20.0] * 6, "y2": [20.0] * 6}
    images = [f"{number}.png" for number in range(6)]
    write_own(folder, images, split=["a", "a", "a", "a", "b", "b"], **poses, **sides)
    for seed, image in enumerate(images):
        write_image(folder / image, seed)
    words = ("--corpus", folder, "--boxes", "annotated")
    out = tmp_path / "n.onnx"
    some = ("--where", "split=a")
    said = hpe(network, "--out", out, "--int8", *words, *some).splitlines()
    assert said[1].endswith(" on 20 images")  # 18, and the 2 that calibrate
    assert said[2].endswith("calibrated on 2 faces")
    metadata = {
        entry.key: entry.value for entry in onnx.load(tmp_path / "n.int8.onnx").metadata_props
    }
    assert json.loads(metadata["int8_calibration"]) == {"faces": 2, "source": "c"}
    table = tmp_path / "p.csv"
    done = CliRunner().invoke(app, ["evaluate", *map(str, (out, *words, *some, "--out", table))])
    assert done.exit_code == 0, done.output
    rows = pd.read_csv(table)
    errors = sum((rows[a] - rows[f"true_{a}"]).abs() for a in poses) / 3
    others = errors.iloc[np.random.default_rng(0).permutation(4)[2:]]
    assert said[3].startswith(f"MAE: {others.mean():.2f}° float32, ")
    assert said[3].endswith(" on 2 other faces")


def test_one_face_of_a_corpus_is_too_few(network, tmp_path):
    sides = {"x1": [2.0], "y1": [2.0], "x2": [20.0], "y2": [20.0]}
    write_own(tmp_path / "c", ["a.png"], pitch=[1.0], yaw=[2.0], roll=[3.0], **sides)
    crop = {**CROP, "margin": 2, "codec": "raw", "jpeg_quality": 95}
    boxes = {**BOXES, "path": "d.onnx", "match_iou": 0.3, "unmatched": "drop"}
    network = save(student(), tmp_path / "n.safetensors", crop=crop, boxes=boxes)
    words = ("--corpus", tmp_path / "c", "--boxes", "annotated", "--out", tmp_path / "n.onnx")
    done = CliRunner().invoke(app, ["export", str(network), *map(str, words)])
    message = done.stderr.splitlines()[-1]  # below the progress
    assert message == f"error: {tmp_path}/c: 1 usable faces; expected at least two"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        pytest.param(["--out", "n.onnx", "--int8"], "--int8 needs faces to", id="int8 alone"),
        pytest.param(["--out", "n.onnx", "--crops", "a", "--corpus", "b"], "not both", id="both"),
        pytest.param(["--out", "n.onnx", "--reader", "biwi"], "are for --corpus", id="reader"),
        pytest.param(
            ["--out", "n.onnx", "--corpus", "a", "--boxes", "annotated", "--detector", "d"],
            "--detector is not used with --boxes annotated",
            id="detector",
        ),
        pytest.param(["--out", "n.pt"], "expected a name that ends in .onnx", id="suffix"),
        pytest.param(["--out", "no/n.onnx"], "no such folder: no.", id="folder"),
        pytest.param(["--out", "n.onnx", "--opset", "17"], "greater than or equal to 18", id="old"),
        pytest.param(["--out", "n.onnx", "--opset", "24"], "less than or equal to 23", id="new"),
    ],
)
def test_a_wrong_command_line(arguments, expected):
    assert expected in hpe("absent.safetensors", *arguments, code=2)


@pytest.mark.parametrize("out", ["d.onnx", "d.int8.onnx"])
def test_the_detector_is_not_overwritten(tmp_path, out):
    (tmp_path / out).write_bytes(b"mine")
    boxes = {**BOXES, "path": f"gone/{out}"}  # lies beside the network now
    network = save(student(), tmp_path / "n.safetensors", boxes=boxes)
    message = hpe(network, "--out", tmp_path / "d.onnx", code=2)
    assert f"--out is {tmp_path / out}, an input; it would be overwritten" in message
    assert (tmp_path / out).read_bytes() == b"mine"


def test_crops_of_another_size_and_of_one_face_are_refused(network, tmp_path):
    other = CropFormat(20, 16, 2, "enlarged", "replicate", "raw", 95)
    for crop_format, faces in ((other, 9), (FORMAT, 1)):
        path = write(tmp_path / "c.h5", crop_format, faces)
        message = hpe(network, "--out", tmp_path / "n.onnx", "--crops", path, code=1)
        assert f"c.h5: {faces} faces of {crop_format.size_hw} pixels; expected at" in message
    assert [path.name for path in tmp_path.iterdir()] == ["c.h5"]


def test_a_network_that_does_not_say_how_faces_are_cut(tmp_path):
    path = tmp_path / "n.safetensors"
    save_network(student(), path, "resnet8", (16, 16), {})
    message = hpe(path, "--out", tmp_path / "n.onnx", code=1)
    assert "does not say how faces are cut for it" in message


def test_a_file_that_is_exported_already(exported, tmp_path):
    message = hpe(exported[0], "--out", tmp_path / "n.onnx", code=1)
    assert "n.onnx: expected a .safetensors, from which an .onnx is made" in message


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    message = hpe("absent.safetensors", "--out", "n.onnx", code=1)
    assert message.startswith("error: exporting needs onnxscript, which predicting does not: pip ")
