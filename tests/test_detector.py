"""The detector: exact letterbox, both output layouts, fixed and open batches, real weights."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_onnx import FLOAT, message, node, tensor, value_info, write_network
from torchvision.ops import nms

from data.demo.steady import draws
from hpe_core.common.errors import InputError
from hpe_core.faces import boxes
from hpe_core.faces.detector import (
    GREY,
    Detector,
    Placement,
    boxes_and_scores,
    layout_of,
    letterbox,
    non_maximum_suppression,
)
from hpe_core.faces.images import read_image
from hpe_core.faces.settings import BoxRules

ROOT = Path(__file__).parents[1]
REAL = Path(os.environ.get("HPE_REAL", ROOT.parent / "shared" / "real"))
SHIPPED = ROOT / "data" / "detector" / "yolov5n-demo.onnx"
GRID_64 = 64 + 16 + 4  # cells of a 64 px input
sides = st.integers(1, 700)


# --- letterbox ---------------------------------------------------------------------------------


def to_network(placement: Placement, bbox_xyxy: np.ndarray) -> np.ndarray:
    """Boxes (N x 4) in image pixels → in network pixels."""
    return bbox_xyxy * np.tile(placement.scale_xy, 2) + np.tile(placement.offset_xy, 2)


@given(sides, sides, st.sampled_from([(64, 64), (320, 320), (96, 160)]), st.floats(0, 1))
def test_letterbox_goes_back_exactly_and_keeps_the_aspect(height, width, size_hw, border):
    image = np.zeros((height, width, 3), np.uint8)
    canvas, placement = letterbox(image, size_hw, border)
    assert canvas.shape == (*size_hw, 3)
    whole = np.array([[0, 0, width, height], [-3.5, 0.25, width / 3, height + 9]], dtype=float)
    placed = to_network(placement, whole)
    np.testing.assert_allclose(placement.to_image(placed), whole, atol=1e-9)
    x1, y1, x2, y2 = placed[0]
    assert min(x1, y1) >= 0
    assert x2 <= size_hw[1] + 1e-9
    assert y2 <= size_hw[0] + 1e-9
    margin = 2 * border * max(height, width)
    factor = min(size_hw[1] / (width + margin), size_hw[0] / (height + margin))
    assert x2 - x1 == pytest.approx(max(factor * width, 1), abs=0.501)
    assert y2 - y1 == pytest.approx(max(factor * height, 1), abs=0.501)


@pytest.mark.parametrize("size_wh", [(450, 450), (640, 480), (100, 333), (40, 24)])
@pytest.mark.parametrize("border", [0.0, 0.5])
def test_letterbox_places_the_pixels_where_it_says(size_wh, border):
    width, height = size_wh
    image = np.zeros((height, width, 3), np.uint8)
    x1, y1, x2, y2 = width // 4, height // 3, width // 2, height * 3 // 4
    image[y1:y2, x1:x2] = 255
    canvas, placement = letterbox(image, (160, 160), border)
    rows, columns = np.nonzero(canvas.min(2) > GREY + 40)
    seen = [[columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]]
    expected = to_network(placement, np.array([[x1, y1, x2, y2]], dtype=float))
    np.testing.assert_allclose(seen, expected, atol=1.01)


def test_letterbox_pads_with_grey_and_the_border_with_the_edge():
    image = np.full((50, 100, 3), 7, np.uint8)
    canvas, _ = letterbox(image, (64, 64))
    assert canvas[0, 0].tolist() == [GREY] * 3
    assert (canvas != GREY).any(axis=(1, 2)).sum() == 32
    canvas, placement = letterbox(image, (64, 64), border=0.5)
    assert (canvas != GREY).any(axis=(1, 2)).sum() == 16 + 2 * 16
    assert placement.offset_xy == (16, 24)
    assert (canvas[8:-8] == 7).all()


# --- settings ------------------------------------------------------------------------------------


@pytest.mark.parametrize("other", [True, False], ids=["another file", "the rules' own"])
def test_a_detector_by_rules_has_all_of_their_settings(tmp_path, other):
    (tmp_path / "copy.onnx").symlink_to(SHIPPED)
    rules = BoxRules(
        source="detector", path=str(SHIPPED), input_px=96, score=0.21, nms_iou=0.34, border=0.5,
        match_iou=0.3, unmatched="drop", square=True, scale=1.0,
    )  # fmt: skip
    path = tmp_path / "copy.onnx" if other else SHIPPED
    network = Detector.by(rules, path if other else None)
    assert (network.path, network.size_hw) == (path, (96, 96))
    assert (network.score, network.nms_iou, network.border) == (0.21, 0.34, 0.5)


# --- what the network says -----------------------------------------------------------------------


def slow_decode(output, layout, min_score):
    """Row by row, as the formats are described."""
    found = []
    rows = output if layout == "original" else [output[:, i] for i in range(output.shape[1])]
    for row in rows:
        x, y, w, h = (float(value) for value in row[:4])
        score = row[4] * max(row[5:]) if layout == "original" else max(row[4:])
        if score >= min_score:
            found.append([x - w / 2, y - h / 2, x + w / 2, y + h / 2, float(score)])
    return np.array(found).reshape(-1, 5)


@pytest.mark.parametrize("classes", [1, 3])
@pytest.mark.parametrize("layout", ["original", "anchor-free"])
@pytest.mark.parametrize("min_score", [0.0, 0.3, 1.0])
def test_decode_against_the_slow_one(layout, classes, min_score):
    rng = np.random.default_rng(7)
    geometry = rng.uniform(0, 64, (GRID_64, 4))
    scores = rng.uniform(0, 1, (GRID_64, classes + (layout == "original")))
    scores[7] = 1.0  # exactly the highest threshold
    rows = np.concatenate([geometry, scores], axis=1).astype(np.float32)
    output = rows if layout == "original" else rows.T.copy()
    bbox_xyxy, score = boxes_and_scores(output, layout, min_score)
    assert 1.0 in score
    expected = slow_decode(output, layout, min_score)
    np.testing.assert_allclose(np.column_stack([bbox_xyxy, score]), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("shape", "size_hw", "expected"),
    [
        pytest.param((1, 25200, 6), (640, 640), "original", id="original-face"),
        pytest.param((4, 25200, 85), (640, 640), "original", id="original-coco"),
        pytest.param((1, 102000, 85), (1280, 1280), "original", id="original-p6"),
        pytest.param((1, 5, 8400), (640, 640), "anchor-free", id="anchor-free-face"),
        pytest.param((1, 84, 8400), (640, 640), "anchor-free", id="anchor-free-coco"),
        pytest.param((8, 5, 1260), (192, 320), "anchor-free", id="not-square"),
        pytest.param((1, 25200, 16), (640, 640), "original", id="yolo5face"),
        pytest.param((1, 20, 8400), (640, 640), "anchor-free", id="yolov8-face"),
        pytest.param((1, 300, 6), (640, 640), "end-to-end", id="with-nms"),
        pytest.param((1, 300, 7), (640, 640), None, id="with-nms-and-the-image's-number"),
        pytest.param((1, 3, 80, 80, 6), (640, 640), None, id="without-detection-layer"),
        pytest.param((1, 25200, 6), (320, 320), None, id="another-input-size"),
        pytest.param((1, 8400, 5), (640, 640), None, id="transposed"),
    ],
)
def test_layout(shape, size_hw, expected):
    if expected:
        assert layout_of(shape, size_hw, "x.onnx") == expected
    else:
        with pytest.raises(InputError, match=r"x\.onnx.*expected an output.*found \("):
            layout_of(shape, size_hw, "x.onnx")


SEEN = [280, 281, 1, 360, 282, 0.5, 320, 310, 1, 290, 350, 1, 352, 351, 0]  # and whether visible
MARKS = [280, 281, 360, 282, 320, 310, 290, 350, 352, 351]  # x, y of five landmarks, pixels


@pytest.mark.parametrize(
    ("layout", "rows", "expected"),
    [
        pytest.param(
            "original", [[320, 300, 200, 220, 0.9, *MARKS, 0.5]], [220, 190, 420, 410, 0.45],
            id="yolo5face",
        ),
        pytest.param(
            "anchor-free", [[320, 300, 200, 220, 0.9, *MARKS]], [220, 190, 420, 410, 0.9],
            id="score and five points",
        ),
        pytest.param(
            "anchor-free",
            [[320, 300, 200, 220, 0.8, *SEEN]],
            [220, 190, 420, 410, 0.8], id="yolov8-face, points that say whether they are seen",
        ),
        pytest.param(
            "end-to-end", [[220, 190, 420, 410, 0.7, 3]], [220, 190, 420, 410, 0.7], id="after nms"
        ),
    ],
)  # fmt: skip
def test_landmarks_and_suppressed_detections_are_read_by_their_meaning(layout, rows, expected):
    output = np.zeros((84, len(rows[0])), np.float32)
    output[7] = rows[0]
    output = output.T.copy() if layout == "anchor-free" else output
    bbox_xyxy, score = boxes_and_scores(output, layout, 0.3)
    np.testing.assert_allclose(np.column_stack([bbox_xyxy, score]), [expected], rtol=1e-6)
    assert boxes_and_scores(output, layout, 0.91)[1].size == 0


def test_eleven_classes_are_no_landmarks():
    """The same number of columns; only the values tell."""
    rows = np.zeros((84, 16), np.float32)
    rows[7] = [320, 300, 200, 220, 0.9, *np.linspace(0, 1, 11)[::-1]]
    assert boxes_and_scores(rows, "original", 0.3)[1] == pytest.approx([0.9])


def test_scores_that_are_none_are_refused():
    rows = np.zeros((GRID_64, 17), np.float32)
    rows[5, 7] = 41.0
    with pytest.raises(InputError, match=r"face\.onnx.*\[0, 41\]"):
        boxes_and_scores(rows, "original", 0.3, "face.onnx")


# --- non-maximum suppression ---------------------------------------------------------------------


def slow_nms(bbox_xyxy, score, max_iou):
    """Pair by pair: the best of those left stays, and what overlaps it more than max_iou goes."""
    left, kept = list(range(len(score))), []
    while left:
        best = max(left, key=lambda row: (score[row], -row))
        kept.append(best)
        left = [row for row in left if row != best and slow_iou(bbox_xyxy, best, row) <= max_iou]
    return kept


def slow_iou(bbox_xyxy, one, other):
    (ax1, ay1, ax2, ay2), (bx1, by1, bx2, by2) = bbox_xyxy[one], bbox_xyxy[other]
    width, height = min(ax2, bx2) - max(ax1, bx1), min(ay2, by2) - max(ay1, by1)
    common = width * height if width > 0 and height > 0 else 0
    union = (ax2 - ax1) * (ay2 - ay1) + (bx2 - bx1) * (by2 - by1) - common
    return common / union if union else 0


# Whole numbers from few: many boxes touch, are equal, have no area, or the very IoU asked for.
corner, extent = st.integers(0, 6), st.integers(0, 4)
crowded = st.tuples(corner, corner, extent, extent, st.sampled_from([0.3, 0.5, 0.9, 1.0]))
limits = st.sampled_from([0.0, 0.2, 1 / 3, 0.45, 0.5, 2 / 3, 1.0])


@given(st.lists(crowded, max_size=25), limits)
def test_suppression_with_ties_against_the_slow_one_and_torchvisions(found, max_iou):
    table = np.array(found, dtype=np.float64).reshape(-1, 5)
    bbox_xyxy = np.concatenate([table[:, :2], table[:, :2] + table[:, 2:4]], axis=1)
    kept = non_maximum_suppression(bbox_xyxy, table[:, 4], max_iou)
    assert kept.tolist() == slow_nms(bbox_xyxy.tolist(), table[:, 4].tolist(), max_iou)
    theirs = nms(torch.from_numpy(bbox_xyxy), torch.from_numpy(table[:, 4].copy()), max_iou)
    assert kept.tolist() == theirs.tolist()


@pytest.mark.parametrize("max_iou", [0.1, 0.45, 0.9])
def test_suppression_of_many_boxes_is_torchvisions(max_iou):
    rng = np.random.default_rng(5)
    corner_xy, side_wh = rng.uniform(0, 300, (2000, 2)), rng.uniform(5, 80, (2000, 2))
    bbox_xyxy, score = np.concatenate([corner_xy, corner_xy + side_wh], axis=1), rng.random(2000)
    kept = non_maximum_suppression(bbox_xyxy, score, max_iou)
    expected = nms(torch.from_numpy(bbox_xyxy), torch.from_numpy(score), max_iou)
    assert kept.tolist() == expected.tolist()
    assert 1 < len(kept) < 2000


# --- through ONNX Runtime ------------------------------------------------------------------------


def face_rows(layout):
    """Rows of a 64 px network: a good box, its worse double, and one seen in bright images only."""
    rows = np.zeros((GRID_64 * (3 if layout == "original" else 1), 6), np.float32)
    factor = np.zeros_like(rows)
    rows[:, :4] = 1
    rows[10] = [20, 24, 16, 20, 0.8, 0.5]
    rows[3] = [20.5, 24, 16, 20, 0.9, 0.9]
    rows[40] = [50, 40, 10, 12, 0.0, 1.0]
    factor[40, 4] = 1.0  # objectness = brightness
    if layout == "original":
        return rows, factor
    merged = np.column_stack([rows[:, :4], rows[:, 4] * rows[:, 5]])
    return merged.T.copy(), np.delete(factor, 5, axis=1).T.copy()


def grey_images(*levels, size_hw=(64, 64)):
    return [np.full((*size_hw, 3), level, np.uint8) for level in levels]


@pytest.mark.parametrize("layout", ["original", "anchor-free"])
@pytest.mark.parametrize(
    ("input_shape", "half"),
    [
        pytest.param((1, 3, 64, 64), False, id="fixed-batch-of-1"),
        pytest.param((4, 3, 64, 64), False, id="fixed-batch-of-4"),
        pytest.param(("batch", 3, 64, 64), False, id="open-batch"),
        pytest.param(("batch", 3, "height", "width"), False, id="open-size"),
        pytest.param((1, 3, 64, 64), True, id="float16"),
    ],
)
def test_detect(tmp_path, layout, input_shape, half):
    rows, factor = face_rows(layout)
    path = write_network(tmp_path / "x.onnx", rows, factor, input_shape=input_shape, half=half)
    detector = Detector(path, input_px=64, score=0.3, nms_iou=0.45)
    assert detector.size_hw == (64, 64)
    levels = [0, 255, 102, 230, 10, 0, 255, 0, 0, 128]
    found = detector.detect(grey_images(*levels))
    assert len(found) == len(levels)
    close = {"atol": 0.01 if half else 1e-4}
    for level, faces in zip(levels, found, strict=True):
        bright = [level / 255] if level / 255 >= 0.3 else []
        np.testing.assert_allclose(faces.score, sorted([0.81, *bright], reverse=True), **close)
        assert faces.bbox_xyxy.dtype == np.float64
        own = faces.bbox_xyxy[faces.score.round(2) == 0.81]
        np.testing.assert_allclose(own, [[12.5, 14, 28.5, 34]], **close)  # its double is gone


def test_boxes_come_back_in_image_pixels(tmp_path):
    path = write_network(tmp_path / "x.onnx", face_rows("anchor-free")[0])
    detector = Detector(path, input_px=64, score=0.3, nms_iou=0.45)
    [found] = detector.detect(grey_images(0, size_hw=(128, 256)))  # a quarter, 16 grey rows above
    np.testing.assert_allclose(found.bbox_xyxy, [[4 * 12.5, 4 * -2, 4 * 28.5, 4 * 18]], atol=1e-5)


def test_what_lies_in_the_border_only_is_no_face(tmp_path):
    path = write_network(tmp_path / "x.onnx", face_rows("anchor-free")[0])
    [inside] = Detector(path, input_px=64, score=0.3, nms_iou=1, border=0.2).detect(grey_images(0))
    [outside] = Detector(path, input_px=64, score=0.3, nms_iou=1, border=1).detect(grey_images(0))
    assert len(inside.score) == 2
    assert len(outside.score) == 0  # the image is 22..42 px of the network's input


def test_no_images_no_detections(tmp_path):
    path = write_network(tmp_path / "x.onnx", face_rows("anchor-free")[0])
    assert Detector(path, input_px=64, score=0.3, nms_iou=0.45).detect([]) == []


def two_inputs() -> bytes:
    graph = message(
        (1, node("Add", ["a", "b"], "c")),
        (2, "tiny"),
        (11, value_info("a", (1, 3, 8, 8), FLOAT)),
        (11, value_info("b", (1, 3, 8, 8), FLOAT)),
        (12, value_info("c", (1, 3, 8, 8), FLOAT)),
    )
    return message((1, 8), (7, graph), (8, message((1, ""), (2, 13))))


def test_a_network_that_cannot_run_is_named(tmp_path):
    graph = message(
        (1, node("Reshape", ["images", "shape"], "output0")),
        (2, "tiny"),
        (5, tensor("shape", np.array([7], dtype="i8"))),
        (11, value_info("images", ("batch", 3, 64, 64), FLOAT)),
        (12, value_info("output0", (7,), FLOAT)),
    )
    path = tmp_path / "broken.onnx"
    path.write_bytes(message((1, 8), (7, graph), (8, message((1, ""), (2, 13)))))
    network = Detector(path, input_px=64, score=0.3, nms_iou=0.5)
    with pytest.raises(InputError, match=r"broken\.onnx: cannot run on a \(1, 3, 64, 64\) input"):
        network.detect([np.zeros((64, 64, 3), np.uint8)])


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param(None, "no such detector", id="missing"),
        pytest.param(b"not a network", "cannot load", id="no-onnx"),
        pytest.param(two_inputs(), r"expected one input .*found \{'a'.*'b'", id="two-inputs"),
    ],
)
def test_files_that_are_no_detector(tmp_path, content, expected):
    path = tmp_path / "x.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=f"(?s)x.onnx.*{expected}"):
        Detector(path, input_px=64, score=0.3, nms_iou=0.45)


# --- real networks -------------------------------------------------------------------------------


def test_a_public_detector_finds_real_faces():
    weights = REAL / "weights" / "yolov5n05-face-640.onnx"
    images = sorted((REAL / "AFLW2000").glob("*.jpg"))[::50][:20]
    if not (weights.is_file() and images):
        pytest.skip(f"no real weights or faces in {REAL}; set HPE_REAL to where they are")
    scipy_io = pytest.importorskip("scipy.io")
    detector = Detector(weights, input_px=320, score=0.3, nms_iou=0.45)
    assert detector.size_hw == (640, 640)  # the file's own, not the 320 asked for
    found = detector.detect([read_image(image) for image in images])
    best = []
    for image, faces in zip(images, found, strict=True):
        points = scipy_io.loadmat(image.with_suffix(".mat"))["pt3d_68"][:2]
        annot = [*points.min(1), *points.max(1)]
        best.append(boxes.iou(annot, faces.bbox_xyxy).max(initial=0))
    assert sum(iou > 0.3 for iou in best) >= 19
    assert np.median(best) > 0.55


@pytest.mark.skipif(not SHIPPED.is_file(), reason=f"{SHIPPED} is not there")
def test_the_shipped_detector_finds_drawn_faces():
    from data.detector.scenes import render_scene

    detector = Detector(SHIPPED, input_px=320, score=0.3, nms_iou=0.45)
    hits = []
    for seed in range(30):
        image_bgr, faces = render_scene(draws(99, seed), (450, 450), 2)
        [found] = detector.detect([cv2.cvtColor(image_bgr, cv2.COLOR_BGR2RGB)])
        hits += list(boxes.iou(faces, found.bbox_xyxy).max(1, initial=0) > 0.5)
    assert np.mean(hits) >= 0.95
    assert SHIPPED.stat().st_size <= 8_000_000
