"""What the detector is trained on: WIDER FACE's layout, and the format that the training reads."""

import importlib
import io
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from tiny_onnx import write_network
from tiny_project import ROOT

from data.demo.steady import draws
from data.detector import recall, scenes, wider
from data.detector.yolo_format import from_lines, to_lines, write_example
from hpe_core.common.errors import InputError

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
    for name in ("000001", "000000", "000002"):
        write_example(tmp_path / "scenes", "train", name, b"a scene", [[1, 2, 3, 4]], SIZE_WH)
    wider.main(
        root=root, out=tmp_path / "out", min_side_px=8, scenes=tmp_path / "scenes", scenes_max=2
    )
    labels = tmp_path / "out" / "labels"
    for split in ("train", "val"):
        names = sorted(path.name for path in (labels / split).iterdir())
        added = ["scene-000000.txt", "scene-000001.txt"] if split == "train" else []
        assert names == ["0_good.txt", "0_none.txt", *added]
        assert (tmp_path / "out" / "images" / split / "0_none.jpg").is_file()
        found = from_lines((labels / split / "0_good.txt").read_text(), SIZE_WH)
        np.testing.assert_allclose(found, [[10, 20, 40, 60], [180, 80, 200, 100]], atol=1e-3)
        assert (labels / split / "0_none.txt").read_text() == ""
    assert (tmp_path / "out/images/train/scene-000001.jpg").read_bytes() == b"a scene"


def test_wider_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match="no WIDER FACE there; expected .*train_bbx_gt.txt"):
        wider.main(
            root=tmp_path, out=tmp_path / "out", min_side_px=8, scenes=tmp_path, scenes_max=0
        )


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


def test_training_goes_on_only_with_the_same_settings(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "data/detector"))
    kept_work = importlib.import_module("train").kept_work
    work = kept_work(tmp_path / "training", {"lr": "1"})
    (work / "state").touch()
    assert (kept_work(tmp_path / "training", {"lr": "1"}) / "state").exists()
    assert not (kept_work(tmp_path / "training", {"lr": "2"}) / "state").exists()
