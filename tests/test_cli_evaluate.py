"""`hpe evaluate`: the errors, the faces left out, and its messages for unusable files."""

import json
from pathlib import Path

import numpy as np
import onnx
import pandas as pd
import pytest
import torch
from PIL import Image
from test_predictor import BOXES, SPEC, student
from tiny_corpora import write_300w_lp, write_aflw, write_aflw2000, write_biwi, write_own
from tiny_onnx import write_network
from typer.testing import CliRunner

from hpe_core.cli.app import app
from hpe_core.common.files import sha256
from hpe_core.common.geometry import direction, in_camera, pyr_from_yxz
from hpe_core.common.table_files import DETECTED_BOX
from hpe_core.crops.settings import CropFormat
from hpe_core.crops.window import enlarged_crop
from hpe_core.evaluation.alignment import constant_rotation
from hpe_core.evaluation.metrics import summary
from hpe_core.faces.images import read_image
from hpe_core.inference import labelled_faces, measure
from hpe_core.inference.labelled_faces import LabelledFaces
from hpe_core.networks.checkpoints import save_network, save_published
from hpe_core.networks.model import normalize, predict_probs
from hpe_core.runtime.network import OpenNetwork, open_network
from hpe_core.weights.catalogue import default_network

CROP = {
    "height": 16, "width": 16, "margin": 2, "rule": "enlarged", "border": "replicate",
    "codec": "raw", "jpeg_quality": 95,
}  # fmt: skip
RULES = {**BOXES, "path": "absent.onnx", "match_iou": 0.3, "unmatched": "drop"}
POSES = {"pitch": [1.0, -20.0, 5.0], "yaw": [10.0, 40.0, -70.0], "roll": [0.0, 3.0, 100.0]}
ANNOTATED = {"x1": [2, 8, 4], "y1": [2, 4, 4], "x2": [22, 28, 20], "y2": [22, 20, 20]}


@pytest.fixture
def network(tmp_path) -> Path:
    return save(tmp_path / "n.safetensors")


def save(path: Path, crop=CROP, **boxes) -> Path:
    save_network(student(), path, "resnet8", (16, 16), {"crop": crop, "boxes": {**RULES, **boxes}})
    return path


def write_own_table(folder: Path) -> None:
    write_own(folder, **POSES, **ANNOTATED)


@pytest.fixture
def corpus(tmp_path) -> Path:
    """Three faces; the last one's roll is beyond the bins."""
    folder = tmp_path / "mine"
    write_own(folder, split=["test", "train", "test"], **POSES, **ANNOTATED)
    return folder


def hpe(*words: object, code: int = 0) -> str:
    """→ stdout, or the one line of an error."""
    result = CliRunner().invoke(app, ["evaluate", *map(str, words)])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    if not code:
        return result.stdout
    assert result.stdout == ""
    return result.stderr.splitlines()[-1]


def measured(*words: object) -> dict:
    return json.loads(hpe(*words, "--boxes", "annotated", "--format", "json"))


def expected(corpus: Path, images: list[str], boxes: list[list[float]]) -> np.ndarray:
    crops = [
        enlarged_crop(read_image(corpus / image), np.array(box, float), (16, 16), 2, "replicate")
        for image, box in zip(images, boxes, strict=True)
    ]
    faces = torch.from_numpy(np.stack(crops)[:, 2:-2, 2:-2].copy())
    with torch.inference_mode():
        return SPEC.expectation(predict_probs(student().eval(), normalize(faces))).numpy()


def test_errors_are_those_of_the_networks_own_crops(network, corpus):
    """On annotated boxes, squared by the network's rules; the third face is beyond its bins."""
    said = measured(network, "--corpus", corpus)
    pyr_deg = expected(corpus, ["a/1.jpg", "a/2.jpg"], [[2, 2, 22, 22], [8, 2, 28, 22]])
    truth = np.array(list(POSES.values())).T[:2]
    for name, value in summary(pyr_deg, truth).items():
        assert said[name] == pytest.approx(value, abs=2e-4), name
    assert {band: own["faces"] for band, own in said["abs_yaw"].items()} == {"0-30": 1, "30-60": 1}
    assert said["not_evaluated"] == {"angle_over_limit": 1}
    assert said["faces_of"] == "mine" and said["network"] == "n.safetensors"


def test_the_frame_is_the_rotation_between_predictions_and_labels(network, corpus, tmp_path):
    words = (network, "--corpus", corpus, "--out", tmp_path / "faces.csv")
    measured(*words, "--frame", tmp_path / "frame.json")
    found = json.loads((tmp_path / "frame.json").read_text())
    faces = pd.read_csv(tmp_path / "faces.csv").query("why.isna()")
    labels = faces[["true_pitch", "true_yaw", "true_roll"]]
    expected_rotation = constant_rotation(faces[["pitch", "yaw", "roll"]], labels)
    np.testing.assert_allclose(found["rotation"], expected_rotation, atol=1e-5)
    whose = {"faces": 2, "faces_of": "mine", "network": "n.safetensors"}
    assert whose.items() <= found.items() and found["network_sha256"] == sha256(network)
    angle = np.degrees(np.arccos((np.trace(expected_rotation) - 1) / 2))
    assert found["turn_deg"] == pytest.approx(angle, abs=1e-3)


def test_what_a_network_exports_with_its_frame_has_the_error_that_is_left(
    network, corpus, tmp_path
):
    """From the network to the frame to the .onnx, whose angles are turned."""
    words = ("--corpus", corpus, "--boxes", "annotated", "--format", "json")
    frame = tmp_path / "frame.json"
    hpe(network, *words, "--frame", frame)
    exported = ["export", network, "--out", tmp_path / "n.onnx", "--frame", frame]
    assert CliRunner().invoke(app, [str(word) for word in exported]).exit_code == 0
    raw, turned = (json.loads(hpe(each, *words)) for each in (network, tmp_path / "n.onnx"))
    assert turned["geodesic"] < raw["geodesic"] - 1
    hpe(tmp_path / "n.onnx", *words, "--frame", tmp_path / "second.json")
    assert json.loads((tmp_path / "second.json").read_text())["turn_deg"] < 0.05


def test_a_frame_is_written_to_json_only_and_never_over_an_input(network, corpus, tmp_path):
    words = (network, "--corpus", corpus, "--boxes", "annotated", "--frame")
    message = hpe(*words, tmp_path / "frame.txt", code=2)
    assert "--frame is" in message and "ends in .json" in message
    assert not (tmp_path / "frame.txt").exists()
    (tmp_path / "link.json").symlink_to(network)
    assert "--frame is" in (message := hpe(*words, tmp_path / "link.json", code=2))
    assert "an input; it would be overwritten" in message


def test_a_network_that_ships_is_evaluated_by_its_name(corpus):
    first = default_network()
    said = [measured(network, "--corpus", corpus) for network in (first.name, first.path)]
    assert said[0] == said[1] and said[0]["network"] == first.file


def test_a_corpus_in_another_order_has_both_errors(network, tmp_path):
    write_aflw(tmp_path / "AFLW")
    words = (network, "--corpus", tmp_path / "AFLW", "--reader", "AFLW")
    said = measured(*words)
    pyr_deg = expected(
        tmp_path / "AFLW/data/flickr",
        ["0/image00002.jpg", "0/image00002.jpg", "2/image00003.png"],
        [[-8, 4, 22, 34]] * 3,
    )
    truth = np.tile(pyr_from_yxz(np.degrees([-0.1, -0.4, -0.3])), (3, 1))
    found = summary(pyr_deg, truth, ["YXZ"] * 3)
    assert said["mae"] == pytest.approx(found["mae"], abs=2e-4)
    assert said["published"] == pytest.approx(found["published"], abs=2e-4)
    assert abs(said["published"]["mae"] - said["mae"]) > 0.1
    *_, last, _ = hpe(*words, "--boxes", "annotated").splitlines()
    numbers = [f"{said['published'][name]:.2f}" for name in ("pitch", "yaw", "roll", "mae")]
    assert last.split() == ["all,", "as", "published", "3", *numbers]


def test_text_and_csv_say_the_same_and_count_who_is_missing(network, corpus):
    said = measured(network, "--corpus", corpus)
    words = (network, "--corpus", corpus, "--boxes", "annotated")
    heading, columns, whole, *_, last = hpe(*words).splitlines()
    assert heading == "n.safetensors on mine, degrees"
    names = ["pitch", "yaw", "roll", "mae", "geodesic", "aligned"]
    assert columns.replace("MAE", "mae").split() == ["|yaw|", "faces", *names]
    assert whole.split() == ["all", "2", *(f"{said[name]:.2f}" for name in names)]
    assert last == "not evaluated: 1 of 3 faces: 1 angle_over_limit"
    lines = hpe(*words, "--format", "csv").splitlines()
    assert lines[0] == "network,faces_of,abs_yaw,faces,pitch,yaw,roll,mae,geodesic,aligned"
    assert [line.split(",")[2] for line in lines[1:]] == ["all", "0-30", "30-60"]
    assert float(lines[1].split(",")[7]) == said["mae"]


def test_where_takes_some_of_the_faces(network, corpus):
    said = measured(network, "--corpus", corpus, "--where", "split=test")
    assert said["faces"] == 1 and list(said["abs_yaw"]) == ["0-30"]
    both = ["--where", "split=test", "--where", "split=train"]
    assert measured(network, "--corpus", corpus, *both)["faces"] == 2


def test_where_reports_unreadable_faces_that_it_cannot_classify(network, corpus, monkeypatch):
    (corpus / "a/2.jpg").write_bytes(b"no image")
    monkeypatch.chdir(corpus)
    words = ["--corpus", ".", "--boxes", "annotated", "--where", "split=test"]
    said = CliRunner().invoke(app, ["evaluate", str(network), *words])
    assert "note: 1 of the corpus cannot be read; whether --where means them" in said.stderr
    assert said.stdout.startswith("n.safetensors on mine, degrees\n")


@pytest.mark.parametrize("suffix", ["csv", "json", "parquet"])
def test_every_face_has_a_row_with_its_numbers_or_its_reason(network, corpus, tmp_path, suffix):
    (corpus / "a/1.jpg").write_bytes(b"none")
    out = tmp_path / f"p.{suffix}"
    said = measured(network, "--corpus", corpus, "--out", out)
    read = {"csv": pd.read_csv, "json": pd.read_json, "parquet": pd.read_parquet}[suffix]
    rows = read(out)
    evaluated = rows[rows["pitch"].notna()]
    assert evaluated["face_id"].tolist() == ["mine/a/2.jpg"]
    assert said["faces"] == 1
    errors = sum((evaluated[a] - evaluated[f"true_{a}"]).abs() for a in POSES) / 3
    assert errors.mean() == pytest.approx(said["mae"], abs=1e-3)
    assert evaluated[["x1", "y1", "x2", "y2"]].to_numpy().tolist() == [[8, 2, 28, 22]]
    assert sorted(rows.loc[rows["pitch"].isna(), "why"]) == ["angle_over_limit", "unreadable"]
    assert rows.loc[rows["why"] == "unreadable", "reason"].item().startswith("row 1: ")


def test_with_the_field_of_view_poses_are_those_of_the_camera(network, corpus, tmp_path):
    words = (network, "--corpus", corpus, "--boxes", "annotated", "--out", tmp_path / "f.csv")
    raw = measured(*words)
    seen = pd.read_csv(tmp_path / "f.csv").query("why.isna()")
    turned = measured(*words, "--fov", "70")
    found = pd.read_csv(tmp_path / "f.csv").query("why.isna()")
    sizes = [Image.open(corpus / name).size for name in seen["image"]]
    corners = seen[["x1", "y1", "x2", "y2"]].to_numpy()
    middle = (corners[:, :2] + corners[:, 2:]) / 2
    expected = in_camera(seen[[*POSES]], middle, sizes, 70)
    np.testing.assert_allclose(found[[*POSES]], expected, atol=1e-3)
    np.testing.assert_allclose(found[["dir_x", "dir_y", "dir_z"]], direction(expected), atol=1e-3)
    assert np.abs(expected - seen[[*POSES]].to_numpy()).max() > 5
    assert turned["mae"] != raw["mae"]


@pytest.mark.parametrize("degrees", ["0", "180", "-20"])
def test_a_field_of_view_that_no_lens_has_is_refused(network, corpus, degrees):
    said = hpe(network, "--corpus", corpus, "--fov", degrees, code=2)
    assert f"--fov is {degrees}; expected degrees between 0 and 180" in said


def test_the_labels_are_not_overwritten(network, corpus):
    labels = corpus / "faces.csv"
    before = labels.read_bytes()
    words = ("--corpus", corpus, "--boxes", "annotated", "--out", labels)
    assert "faces.csv, an input; it would be overwritten" in hpe(network, *words, code=2)
    assert labels.read_bytes() == before


def test_the_detector_is_looked_for_beside_the_network(corpus, tmp_path):
    (tmp_path / "nets").mkdir()
    found_at(tmp_path / "nets" / "d.onnx", 0, 0, 1.5, 1.5)
    boxes = {**RULES, "path": "data/d.onnx", "unmatched": "annotated"}
    network = tmp_path / "nets" / "n.safetensors"
    save_network(student(), network, "resnet8", (16, 16), {"crop": CROP, "boxes": boxes})
    assert json.loads(hpe(network, "--corpus", corpus, "--format", "json"))["faces"] == 2


def found_at(path: Path, x1: float, y1: float, x2: float, y2: float) -> Path:
    """A detector that finds this box in every image (of 64 pixels, letterboxed)."""
    rows = np.zeros((84, 5), np.float32)
    rows[0] = [(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1, 0.9]
    return write_network(path, rows.T.copy())


def test_a_face_that_is_not_found_is_counted_or_falls_back_to_its_own_box(
    network, corpus, tmp_path
):
    detector = found_at(tmp_path / "d.onnx", 0, 0, 1.5, 1.5)  # far from any face
    words = ("--corpus", corpus, "--detector", detector)
    message = hpe(network, *words, code=1)
    assert "no face can be evaluated: 2 no_match, 1 angle_over_limit; the last, mine/a" in message
    falls_back = save(tmp_path / "f.safetensors", unmatched="annotated")
    out = tmp_path / "p.csv"
    said = json.loads(hpe(falls_back, *words, "--format", "json", "--out", out))
    assert said["mae"] == measured(network, "--corpus", corpus)["mae"]
    assert pd.read_csv(out)["box_source"].dropna().tolist() == ["annotated"] * 2


def test_a_published_pth_says_neither_backbone_nor_boxes(corpus, tmp_path, network):
    path = tmp_path / "n.pth"
    save_published(student(), path)
    params = Path(__file__).parents[1] / "params.yaml"
    words = ("--corpus", corpus, "--params", params, "--crop", "enlarged", "--size", 16)
    said = measured(path, *words, "--backbone", "resnet8")
    assert said["mae"] == pytest.approx(measured(network, "--corpus", corpus)["mae"], abs=0.05)
    message = hpe(path, *words, "--boxes", "annotated", code=1)
    assert "give its --backbone, which the file does not say; one of resnet8" in message
    assert "resnet99" in hpe(path, *words, "--backbone", "resnet99", code=1)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        pytest.param([], "give --test or --corpus, and not both", id="neither"),
        pytest.param(["--test", "a", "--corpus", "b"], "and not both", id="both"),
        pytest.param(["--test", "a", "--where", "split=b"], "are for --corpus", id="where"),
        pytest.param(["--test", "a", "--boxes", "annotated"], "are for --corpus", id="boxes"),
        pytest.param(["--corpus", "a", "--size", "9"], "are for a .pth", id="size"),
        pytest.param(
            ["--corpus", "a", "--boxes", "annotated", "--detector", "d"],
            "--detector is not used with --boxes annotated",
            id="detector",
        ),
        pytest.param(["--test", "a", "--params", "b"], "b: no such file; run", id="params"),
        pytest.param(["--corpus", "a", "--out", "b.txt"], "ends in .csv or .json", id="out"),
        pytest.param(["--corpus", "a", "--out", "no/b.csv"], "no such folder: no.", id="folder"),
    ],
)
def test_a_wrong_command_line(words, says):
    assert says in hpe("n.safetensors", *words, code=2)


def test_a_wrong_option_for_this_network(network, corpus):
    there = ("--corpus", corpus)
    assert "expected split=, subject= or" in hpe(network, *there, "--where", "age=3", code=2)
    assert "runs on the cpu here" in hpe("n.onnx", *there, "--device", "cuda", code=2)


def test_what_cannot_be_used_is_named(network, corpus, tmp_path):
    there, own = ("--corpus", corpus), ("--boxes", "annotated")
    assert "n.pt: expected a network" in hpe("n.pt", *there, code=1)
    assert "x.safetensors: no such network; `make d" in hpe("x.safetensors", *there, code=1)
    assert "absent.onnx: no such network" in hpe(tmp_path / "absent.onnx", *there, code=1)
    assert "no face has split in ['x']" in hpe(network, *there, "--where", "split=x", *own, code=1)
    message = hpe(network, *there, code=1)
    assert "the detector of its training, absent.onnx, does not exist" in message
    assert message.endswith("HeadPose.load(network, detector)), or give --boxes annotated")
    message = hpe(network, *there, "--detector", "absent.onnx", code=1)
    assert "absent.onnx: no such detector; give --detector" in message
    published = save(tmp_path / "p.safetensors", source="published")
    assert "trained on published boxes" in hpe(published, *there, code=1)
    odd = save(tmp_path / "odd.safetensors", crop={**CROP, "border": "mirror"})
    assert "crop.border: Input should be 'replicate' or 'black'; found 'mirror'" in hpe(
        odd, *there, code=1
    )
    message = hpe(network, "--corpus", tmp_path, *own, code=1)
    assert "looked for a table" in message and "data.root" not in message


@pytest.mark.parametrize(
    ("reader", "write_corpus"),
    [
        pytest.param("300W_LP", write_300w_lp),
        pytest.param("AFLW2000", write_aflw2000),
        pytest.param("AFLW", write_aflw),
        pytest.param("BIWI", write_biwi),
        pytest.param("table", write_own_table),
    ],
)
def test_the_reader_that_a_folder_looks_like_is_named(network, tmp_path, reader, write_corpus):
    write_corpus(tmp_path / "c")
    wrong = "BIWI" if reader == "table" else "table"
    words = ("--corpus", tmp_path / "c", "--boxes", "annotated", "--reader")
    message = hpe(network, *words, wrong, code=1)
    assert message.endswith(f"it looks like {reader}: give --reader {reader}")
    (tmp_path / "other").mkdir()
    message = hpe(network, "--corpus", tmp_path / "other", *words[2:], wrong, code=1)
    assert "looks like" not in message


def test_a_reader_in_any_case(network, corpus):
    said = measured(network, "--corpus", corpus, "--reader", "TABLE")
    assert said == measured(network, "--corpus", corpus)


def test_an_onnx_file_of_somebody_else_is_refused(corpus, tmp_path):
    other = found_at(tmp_path / "d.onnx", 1, 1, 2, 2)
    assert "expected a file of `hpe export`" in hpe(other, "--corpus", corpus, code=1)
    (tmp_path / "e.onnx").write_bytes(b"none")
    assert "e.onnx: ONNX Runtime cannot load it" in hpe(
        tmp_path / "e.onnx", "--corpus", corpus, code=1
    )


def test_its_onnx_file_is_measured_on_the_same_faces(network, corpus, tmp_path):
    path = tmp_path / "n.onnx"
    assert CliRunner().invoke(app, ["export", str(network), "--out", str(path)]).exit_code == 0
    ours, exported = (measured(file, "--corpus", corpus) for file in (network, path))
    assert exported["not_evaluated"] == ours["not_evaluated"] == {"angle_over_limit": 1}
    assert exported["mae"] == pytest.approx(ours["mae"], abs=1e-3)


@pytest.mark.parametrize(
    ("crop", "says"),
    [
        pytest.param("{", "n.onnx: damaged metadata", id="no JSON"),
        pytest.param("[]", "n.onnx: wrong in its metadata: crop", id="no mapping"),
        pytest.param(json.dumps({**CROP, "height": -1}), "crop.height: Input should be", id="-1"),
        pytest.param(
            json.dumps({**CROP, "height": 20}), "takes faces of [16, 16, 3], but its", id="another"
        ),
    ],
)
def test_damaged_metadata_of_an_onnx_file(network, corpus, tmp_path, crop, says):
    path = tmp_path / "n.onnx"
    assert CliRunner().invoke(app, ["export", str(network), "--out", str(path)]).exit_code == 0
    model = onnx.load(path)
    next(entry for entry in model.metadata_props if entry.key == "crop").value = crop
    onnx.save(model, path)
    message = hpe(path, "--corpus", corpus, "--boxes", "annotated", code=1)
    assert says in message


def test_other_box_rules_than_the_networks_are_noted(network, tmp_path, monkeypatch):
    """A test set's boxes are those of params.yaml, whatever the network was trained on."""
    opened = open_network(network, "cpu", None, "published", 16)
    params = Path(__file__).parents[1] / "params.yaml"
    said: list[str] = []
    monkeypatch.setattr("builtins.print", lambda line, file: said.append(line))
    labelled_faces._note_other_boxes(params, opened)
    assert [line.split()[1] for line in said] == ["boxes.input_px", "boxes.nms_iou"]
    assert "is 320 in" in said[0] and "was 64 in the training of" in said[0]


def test_pixels_are_those_of_the_crops_file_to_the_last_bit(tmp_path):
    """Without the margin of the training's crops, 5 pixels per million are rounded otherwise."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (200, 200, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "i.png")
    corners = rng.uniform(0, 80, (400, 2))
    boxes = np.hstack([corners, corners + rng.uniform(30, 110, (400, 2))])
    table = pd.DataFrame(boxes, columns=DETECTED_BOX).assign(image="i.png")
    crop = CropFormat(**{**CROP, "height": 48, "width": 48, "margin": 24})
    network = OpenNetwork(tmp_path / "n", lambda faces: (faces, faces), crop, None, 99.0)
    faces = LabelledFaces("x", tmp_path, table, table.head(0), [0, 99])
    differ = 0
    for found, box in zip(measure.cut_faces(network, faces), boxes, strict=True):
        whole = enlarged_crop(pixels, box, (48, 48), 24, "replicate")
        np.testing.assert_array_equal(found.pixels, whole[24:-24, 24:-24])
        differ += (enlarged_crop(pixels, box, (48, 48), 0, "replicate") != found.pixels).sum()
    assert differ > 0
