"""What the detector is trained on: WIDER FACE's layout, and the format that the training reads."""

import importlib
import io
import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import onnx
import pytest
from bench import detectors
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from tiny_onnx import write_network
from tiny_project import ROOT

from data.demo.steady import draws
from data.detector import int8, mixture, recall, scenes, sheets, wider
from data.detector.yolo_format import from_lines, to_lines, write_example
from hpe_core.common.errors import InputError
from hpe_core.faces.boxes import iou
from hpe_core.faces.detector import Detector
from hpe_core.faces.images import read_image
from hpe_core.weights.catalogue import shipped

SHIPPED = ROOT / "data/detector/yolov5n-demo.onnx"
SIZE_WH = (200, 100)
TAIL = "0 0 0 {} 0 0"  # blur, expression, illumination, invalid, occlusion, pose


def line(x, y, w, h, invalid=0):
    return f"{x} {y} {w} {h} {TAIL.format(invalid)}"


@given(st.lists(st.tuples(*[st.floats(0, 1)] * 4), max_size=5))
def test_label_lines_round_trip(corners):
    first = np.array(corners).reshape(-1, 4) * np.tile(SIZE_WH, 2)
    text = to_lines(first, SIZE_WH)
    assert len(text.splitlines()) == len(corners)
    np.testing.assert_allclose(from_lines(text, SIZE_WH), first, atol=4e-4)


def test_label_line_is_centre_and_size_in_fractions():
    assert to_lines([[20, 10, 60, 40]], SIZE_WH) == "0 0.200000 0.250000 0.200000 0.300000\n"


def write_wider(root, images):
    """images: {"EVENT/name.jpg": lines}, the same for both splits."""
    for split in wider.SPLITS:
        text = ""
        for name, lines in images.items():
            file = root / f"WIDER_{split}" / "images" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", SIZE_WH).save(file)
            text += f"{name}\n{len(lines)}\n" + "\n".join(lines or [line(0, 0, 0, 0)]) + "\n"
        annotations = root / "wider_face_split" / f"wider_face_{split}_bbx_gt.txt"
        annotations.parent.mkdir(parents=True, exist_ok=True)
        annotations.write_text(text)
    return root


def test_wider_boxes_are_kept_clipped_or_left_out_by_rule(tmp_path):
    images = {
        "0--Parade/0_good.jpg": [
            line(10, 20, 30, 40),
            line(180, 80, 50, 50),  # clipped to 20 x 20
            line(50, 50, 7, 30),  # too small
            line(50, 50, 0, 30),  # empty
            line(60, 10, 30, 30, invalid=1),
            line(195, 20, 30, 30),  # clipped to 5 px: too small
        ],
        "0--Parade/0_none.jpg": [],
        "1--Crowd/1_tiny.jpg": [line(5, 5, 3, 3)],  # would teach that a face is background
    }
    root = write_wider(tmp_path / "WIDER_FACE", images)
    wider.main(root=root, out=tmp_path / "out", min_side_px=8)
    labels = tmp_path / "out" / "labels"
    for split in ("train", "val"):
        names = sorted(path.name for path in (labels / split).iterdir())
        assert names == ["0_good.txt", "0_none.txt"]
        assert (tmp_path / "out" / "images" / split / "0_none.jpg").is_file()
        found = from_lines((labels / split / "0_good.txt").read_text(), SIZE_WH)
        np.testing.assert_allclose(found, [[10, 20, 40, 60], [180, 80, 200, 100]], atol=1e-3)
        assert (labels / split / "0_none.txt").read_text() == ""


def test_wider_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match="no WIDER FACE there; expected .*train_bbx_gt.txt"):
        wider.main(root=tmp_path, out=tmp_path / "out", min_side_px=8)


def test_a_mixture_holds_so_many_of_each_and_the_first_ones_validation_images(tmp_path):
    for source in ("wider", "scenes"):
        for number in (2, 0, 1):
            for split in ("train", "val"):
                jpeg = f"{source} {split} {number}".encode()
                box = [[number, 0, number + 10, 10]]
                write_example(tmp_path / source, split, f"00{number}", jpeg, box, SIZE_WH)
    sources, out = [tmp_path / "wider", tmp_path / "scenes"], tmp_path / "out"
    mixture.main(sources=sources, at_most=[9, 2], out=out)
    found = {path.relative_to(out).as_posix() for path in out.glob("*/*/*")}
    train = ["scenes-000", "scenes-001", "wider-000", "wider-001", "wider-002"]
    val = ["wider-000", "wider-001", "wider-002"]
    names = [f"train/{name}" for name in train] + [f"val/{name}" for name in val]
    assert found == {f"{kind}/{name}.{end}" for name in names for kind, end in KINDS.items()}
    assert (out / "images/train/scenes-001.jpg").read_bytes() == b"scenes train 1"
    label = (out / "labels/val/wider-002.txt").read_text()
    np.testing.assert_allclose(from_lines(label, SIZE_WH), [[2, 0, 12, 10]], atol=1e-3)


KINDS = {"images": "jpg", "labels": "txt"}


def test_a_mixture_of_nothing(tmp_path):
    with pytest.raises(InputError, match="wider/images/train: no \\*.jpg there"):
        mixture.main(sources=[tmp_path / "wider"], at_most=[1], out=tmp_path / "out")
    with pytest.raises(InputError, match="1 numbers for 2 data sets"):
        mixture.main(sources=[tmp_path, tmp_path], at_most=[1], out=tmp_path / "out")


@pytest.fixture(scope="module")
def aflw(tmp_path_factory) -> Path:
    """Twelve AFLW faces on a grey background, each a bright square in its annotated box."""
    root = tmp_path_factory.mktemp("sheets")
    folder = root / "AFLW"
    (folder / "data/flickr").mkdir(parents=True)
    with closing(sqlite3.connect(folder / "aflw.sqlite")) as base:
        base.executescript(AFLW_TABLES)
        for number in range(1, 14):
            name = f"image{number:05d}.png"
            left, top, side = 30 + number, 50 - number, 40 + number
            pixels = np.full((120, 160, 3), 90, np.uint8)
            x1, y1, x2, y2 = (np.array(sheets.FACE_IN_SQUARE) * side).round().astype(int)
            pixels[top + y1 : top + y2, left + x1 : left + x2] = 250
            Image.fromarray(pixels).save(folder / "data/flickr" / name)
            base.execute("INSERT INTO Faces VALUES (?, ?)", (number, name))
            base.execute("INSERT INTO FaceImages VALUES (?, ?)", (name, name))
            base.execute("INSERT INTO FacePose VALUES (?, 0.1, 0.2, 0.3)", (number,))
            base.execute(
                "INSERT INTO FaceRect VALUES (?, ?, ?, ?, ?)", (number, left, top, side, side)
            )
        base.commit()
    (root / "AFLW2000").mkdir()
    (root / "AFLW2000/image00004.jpg").touch()
    return root


AFLW_TABLES = """
CREATE TABLE Faces (face_id, file_id); CREATE TABLE FaceImages (file_id, filepath);
CREATE TABLE FacePose (face_id, pitch, yaw, roll); CREATE TABLE FaceRect (face_id, x, y, w, h);
"""


def test_sheets_show_every_training_face_once_in_its_box(aflw, tmp_path):
    sheets.main(root=aflw, out=tmp_path / "out", seed=3)
    total = 0
    for image in sorted((tmp_path / "out/images/train").iterdir()):
        pixels = np.asarray(Image.open(image).convert("L")).astype(int)
        assert pixels.shape == (480, 480)
        label = tmp_path / "out/labels/train" / f"{image.stem}.txt"
        boxes_xyxy = from_lines(label.read_text(), (480, 480))
        bright = np.zeros_like(pixels, bool)
        for left, top, right, bottom in boxes_xyxy.round().astype(int):
            bright[top:bottom, left:right] = True
        assert (pixels[bright] > 200).mean() > 0.95  # the faces
        for left, top, right, bottom in boxes_xyxy.round().astype(int):
            ring = pixels[max(top - 6, 0) : bottom + 6, max(left - 6, 0) : right + 6]
            dark = ring.size - (bottom - top) * (right - left)
            assert (ring < 200).sum() > 0.5 * dark  # which ends where they end
        assert np.triu(iou(boxes_xyxy, boxes_xyxy), 1).max() == 0
        total += len(boxes_xyxy)
    assert total == 12  # all but the one on AFLW2000


def test_sheets_are_the_same_for_a_seed_and_need_aflw2000(aflw, tmp_path):
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        sheets.main(root=aflw, out=tmp_path / name, seed=seed)
    first, same, other = (
        [path.read_bytes() for path in sorted((tmp_path / name).rglob("*.*"))] for name in "abc"
    )
    assert first == same != other
    shutil.copytree(aflw / "AFLW", tmp_path / "root/AFLW")
    with pytest.raises(InputError, match="root: expected AFLW/aflw.sqlite there, and AFLW2000"):
        sheets.main(root=tmp_path / "root", out=tmp_path / "d", seed=3)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("a.jpg\nmany\n1 2 3 4 0 0 0 0 0 0\n", id="count-is-no-number"),
        pytest.param("a.jpg\n1\n1 2 3 4\n", id="short-row"),
        pytest.param("a.jpg\n2\n1 2 3 4 0 0 0 0 0 0\n", id="cut-off"),
        pytest.param("a.jpg\n", id="only-a-name"),
    ],
)
def test_wider_annotations_that_are_damaged(tmp_path, text):
    path = tmp_path / "x_bbx_gt.txt"
    path.write_text("b.jpg\n0\n0 0 0 0 0 0 0 0 0 0\n" + text)
    with pytest.raises(InputError, match=r"x_bbx_gt.txt: line 4: .*a\.jpg"):
        list(wider.read_annotations(path))


def test_scenes_are_the_same_whoever_renders_them():
    size_wh = (160, 120)
    faces = 0
    for seed in range(12):
        image, boxes_xyxy = scenes.render_scene(draws(seed), size_wh, 3)
        again, boxes_again = scenes.render_scene(draws(seed), size_wh, 3)
        np.testing.assert_array_equal(image, again)
        np.testing.assert_array_equal(boxes_xyxy, boxes_again)
        assert image.shape == (120, 160, 3)
        assert (boxes_xyxy >= 0).all()
        assert (boxes_xyxy <= np.tile(size_wh, 2)).all()
        assert (boxes_xyxy[:, 2:] - boxes_xyxy[:, :2] > 5).all()
        faces += len(boxes_xyxy)
    assert faces >= 6


@pytest.fixture
def half_found(tmp_path):
    """Two images with one face each, and a detector that says the first one's box of both."""
    rows = np.zeros((84, 5), np.float32)
    rows[9] = [20, 24, 16, 20, 0.9]
    write_network(tmp_path / "net.onnx", rows.T.copy())
    jpeg = io.BytesIO()
    Image.new("RGB", (64, 64)).save(jpeg, "JPEG")
    for name, box in (("a", [12, 14, 28, 34]), ("b", [40, 40, 60, 60])):
        write_example(tmp_path / "data", "val", name, jpeg.getvalue(), [box], (64, 64))
    return tmp_path


@pytest.mark.parametrize("minimum", [0.5, 0.51])
def test_recall_counts_what_is_found_and_refuses_less(half_found, minimum):
    def measure():
        recall.main(
            detector=half_found / "net.onnx",
            data=half_found / "data",
            metrics=half_found / "recall.json",
            input_px=64,
            score=0.3,
            nms_iou=0.45,
            iou=0.5,
            minimum=minimum,
        )

    if minimum > 0.5:
        with pytest.raises(SystemExit, match=r"recall 0\.5000, expected 0\.51"):
            measure()
    else:
        measure()
    found = json.loads((half_found / "recall.json").read_text())
    by_side = found.pop("by_side")
    assert found == {"images": 2, "faces": 2, "recall": 0.5, "precision": 0.5, "median_iou": 1.0}
    assert set(by_side) == {"0-20", "20-32", "32-64", "64-128", "128-"}
    assert by_side["20-32"] == {"faces": 2, "recall": 0.5, "detections": 2, "false": 0.5}
    assert by_side["64-128"] == {"faces": 0, "recall": 0.0, "detections": 0, "false": 0.0}


def test_detections_are_false_by_their_own_size():
    faces = np.array([30.0, 70.0, 200.0]), np.array([0.8, -1.0, 0.9])
    detections = np.array([31.0, 64.0, 65.0, 128.0]), np.array([True, False, True, True])
    by_side = recall.counts(faces, detections)["by_side"]
    assert by_side["20-32"] == {"faces": 1, "recall": 1.0, "detections": 1, "false": 0.0}
    assert by_side["64-128"] == {"faces": 1, "recall": 0.0, "detections": 2, "false": 0.5}
    assert by_side["128-"]["detections"] == 1


def test_the_bench_of_detectors_pools_the_large_faces():
    """Two bands of ≥ 64 px: three of four faces found, one of five detections false."""
    bands = {
        f"{low}-": dict.fromkeys(("faces", "recall", "detections", "false"), 0) for low in "abc"
    }
    bands["64-128"] = {"faces": 3, "recall": 2 / 3, "detections": 2, "false": 0.5}
    bands["128-"] = {"faces": 1, "recall": 1.0, "detections": 3, "false": 0.0}
    found = detectors.shares({"by_side": bands, "median_iou": 0.7})
    assert found["≥ 64 px"] == pytest.approx(75)
    assert found["false ≥ 64 px"] == pytest.approx(20)
    assert found["64-128 px"] == pytest.approx(200 / 3) and found["IoU"] == 0.7


def test_the_bench_of_detectors_prints_a_row_each(half_found, capsys):
    network = half_found / "net.onnx"
    detectors.main(data=half_found / "data", detectors=[network], input_px=(64,))
    header, _, row = (line.split("|") for line in capsys.readouterr().out.splitlines())
    values = {name.strip(): value.strip() for name, value in zip(header, row, strict=True)}
    assert values["detector"] == "net.onnx" and values["input"] == "64"
    assert values["20-32 px"] == "50.00" and float(values["ms"]) > 0


def test_in_8_bits_the_shipped_detector_finds_the_same_face_in_a_third_of_the_size(tmp_path):
    face = ROOT / "hpe_core/inference/face.jpg"
    for number in range(4):
        write_example(tmp_path, "train", str(number), face.read_bytes(), [[0, 0, 9, 9]], (9, 9))
    words = {"detector": SHIPPED, "data": tmp_path, "input_px": 320}
    int8.main(**words, out=tmp_path / "int8.onnx", images=4)
    assert (tmp_path / "int8.onnx").stat().st_size < 0.4 * SHIPPED.stat().st_size
    full, small = (
        Detector(path, input_px=320, score=0.3, nms_iou=0.45).detect([read_image(face)])[0]
        for path in (SHIPPED, tmp_path / "int8.onnx")
    )
    assert len(full.bbox_xyxy) == len(small.bbox_xyxy) == 1
    assert iou(full.bbox_xyxy, small.bbox_xyxy)[0, 0] > 0.8
    np.testing.assert_allclose(small.score, full.score, atol=0.1)
    with pytest.raises(InputError, match="4 training images; expected at least 5"):
        int8.main(**words, out=tmp_path / "more.onnx", images=5)
    assert not (tmp_path / "more.onnx").exists()


def test_an_exported_detector_names_neither_folder_nor_time(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "data/detector"))
    write_network(tmp_path / "net.onnx", np.zeros((84, 5), np.float32))
    model = onnx.load(tmp_path / "net.onnx")
    told = {"description": "trained on /home/me", "date": "2026-11-30", "task": "detect"}
    onnx.helper.set_model_props(model, told)
    onnx.save(model, tmp_path / "net.onnx")
    module = importlib.import_module("export")
    module.write_without_traces(tmp_path / "net.onnx", tmp_path / "out.onnx")
    found = onnx.load(tmp_path / "out.onnx")
    assert {entry.key: entry.value for entry in found.metadata_props} == {"task": "detect"}
    assert found.graph == model.graph


def test_no_weights_that_ship_name_a_folder_of_a_machine():
    for each in shipped():
        content = each.path.read_bytes()
        for folder in (b"/work/", b"/tmp/", b"/home/", b"/root/"):
            assert folder not in content, f"{each.name}: {folder.decode()}"


def test_training_goes_on_only_with_the_same_settings(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "data/detector"))
    kept_work = importlib.import_module("train").kept_work
    work = kept_work(tmp_path / "training", {"lr": "1"})
    (work / "state").touch()
    assert (kept_work(tmp_path / "training", {"lr": "1"}) / "state").exists()
    assert not (kept_work(tmp_path / "training", {"lr": "2"}) / "state").exists()
