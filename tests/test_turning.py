"""Heads that lean or lie: turned copies of an image, and what `HeadPose` makes of them."""

import numpy as np
import pytest
from bench.turns import readings
from hypothesis import given
from hypothesis import strategies as st
from tiny_project import ROOT
from typer.testing import CliRunner

from hpe_core.cli.app import app
from hpe_core.common.errors import InputError
from hpe_core.common.geometry import geodesic_deg, pyr_from_rotation, rotation_from_pyr
from hpe_core.common.table_files import ANNOTATED_BOX
from hpe_core.faces.images import read_image
from hpe_core.faces.turning import turned, turned_back
from hpe_core.predictor import FacePose, HeadPose

FACE = read_image(ROOT / "hpe_core/inference/face.jpg")
PAIR = ("drawn-resnet8", ROOT / "data/detector/yolov5n-demo.onnx")
sizes = st.integers(8, 40)


def dot(width: int, height: int, x: float, y: float) -> np.ndarray:
    """A soft bright dot before grey, its centre at (x, y); pixel i reaches from i to i + 1."""
    ys, xs = np.mgrid[:height, :width] + 0.5
    soft = np.exp(-((xs - x) ** 2 + (ys - y) ** 2) / 4)
    return np.repeat((114 + 140 * soft)[..., None], 3, axis=2).round().astype(np.uint8)


def centre_of(image: np.ndarray) -> np.ndarray:
    weights = image[..., 0].astype(float) - 114
    ys, xs = np.mgrid[: image.shape[0], : image.shape[1]] + 0.5
    return np.array([(xs * weights).sum(), (ys * weights).sum()]) / weights.sum()


@given(sizes, sizes)
def test_a_quarter_turn_moves_pixels_unchanged(width, height):
    image = np.random.default_rng(width).integers(0, 256, (height, width, 3), dtype=np.uint8)
    copy, _ = turned(image, 90)
    np.testing.assert_array_equal(copy[0, -1], image[0, 0])  # top left goes to the top right
    np.testing.assert_array_equal(copy[-1, -1], image[0, -1])
    np.testing.assert_array_equal(turned(turned(image, 270)[0], 90)[0], image)
    np.testing.assert_array_equal(turned(image, 180)[0], image[::-1, ::-1])


@given(st.floats(0, 360), st.floats(-8, 8), st.floats(-8, 8))
def test_the_matrix_says_where_a_point_goes_and_boxes_come_back(degrees, dx, dy):
    at = np.array([30 + dx, 20 + dy])
    copy, matrix = turned(dot(60, 40, *at), degrees)
    moved = matrix[:, :2] @ at + matrix[:, 2]
    np.testing.assert_allclose(centre_of(copy), moved, atol=0.15)
    boxes = [np.tile(point, 2)[None] + [-3, -5, 3, 5] for point in (moved, at)]
    np.testing.assert_allclose(turned_back(boxes[0], matrix), boxes[1], atol=1e-9)


@given(sizes, sizes, st.floats(0, 360))
def test_no_corner_is_cut_off(width, height, degrees):
    copy, matrix = turned(np.zeros((height, width, 3), np.uint8), degrees)
    corners = np.array([[0, 0], [width, 0], [0, height], [width, height]])
    moved = corners @ matrix[:, :2].T + matrix[:, 2]
    assert (moved > -1).all() and (moved < np.array(copy.shape[1::-1]) + 1).all()


class Told(HeadPose):
    """Finds what it is told, in pixels of each turned copy; the copies come in order."""

    def __init__(self, readings: dict[int, list[FacePose]], turns: int) -> None:
        self.fov_deg = None
        self.turns, self._told = turns, iter([readings.get(n, []) for n in range(turns)])

    def _find_upright(self, images):
        return [next(self._told) for _ in images]


def reading(x: float, y: float, score: float, std_deg: float) -> FacePose:
    box = np.array([x - 10, y - 10, x + 10, y + 10])
    return FacePose(box, score, np.array([5.0, 30.0, 10.0]), np.full(3, std_deg))


def test_the_surest_reading_of_a_face_counts_turned_back():
    """One face at (30, 50) of 100 x 200 pixels, which the third copy of four shows at (70, 150)."""
    image = np.zeros((200, 100, 3), np.uint8)
    readings = {
        0: [reading(32, 50, 0.9, 20)],
        1: [reading(200 - 50, 31, 0.5, 9)],
        2: [reading(70, 150, 0.4, 3)],
    }
    (face,) = Told(readings, 4).predict(image)
    np.testing.assert_allclose(face.bbox_xyxy, [20, 40, 40, 60], atol=1e-9)
    assert face.score == 0.4 and face.std_deg[0] == 3
    expected = rotation_from_pyr([0, 0, -180]) @ rotation_from_pyr([5, 30, 10])
    assert geodesic_deg(face.pyr_deg, pyr_from_rotation(expected)) < 1e-6


def test_a_quarter_turn_is_taken_back_the_other_way():
    """(30, 50) of 100 x 200 pixels goes to (150, 30) of 200 x 100, a quarter turn clockwise."""
    image = np.zeros((200, 100, 3), np.uint8)
    (face,) = Told({1: [reading(150, 30, 0.5, 9)]}, 4).predict(image)
    np.testing.assert_allclose(face.bbox_xyxy, [20, 40, 40, 60], atol=1e-9)
    expected = rotation_from_pyr([0, 0, -90]) @ rotation_from_pyr([5, 30, 10])
    assert geodesic_deg(face.pyr_deg, pyr_from_rotation(expected)) < 1e-6


def test_other_faces_stay_by_falling_score_and_those_beside_the_image_go():
    image = np.zeros((100, 100, 3), np.uint8)
    readings = {
        0: [reading(30, 30, 0.4, 5), reading(70, 70, 0.8, 5)],
        1: [reading(69.1, 100.2, 0.9, 2), reading(2, 2, 0.95, 1)],  # turned by 45°, 141 x 141
    }
    first, second = Told(readings, 8).predict(image)
    assert (first.score, second.score) == (0.9, 0.4)
    np.testing.assert_allclose(first.bbox_xyxy, [60, 62, 80, 82], atol=0.1)
    assert Told({}, 3).predict(image) == []


def test_a_copy_that_stands_upright_is_read_as_the_upright_image():
    """The real detector and network: of two copies of an image upside down, the second is it."""
    upright = HeadPose.load(*PAIR).predict(FACE)
    lying, _ = turned(FACE, 180)
    found = HeadPose.load(*PAIR, turns=2).predict(lying)
    back = [pyr_from_rotation(rotation_from_pyr([0, 0, 180]) @ f.rotation) for f in upright]
    assert min(geodesic_deg(found[0].pyr_deg, pose) for pose in back) < 1e-4


def test_frames_of_a_video_are_each_searched_in_all_turns():
    frames = [np.zeros((100, 100, 3), np.uint8)] * 2
    told = Told({0: [reading(30, 30, 0.4, 5)]}, 2)
    told._told = iter([[reading(30, 30, 0.4, 5)], [], [], [reading(60, 60, 0.4, 5)]])
    told.detector = HeadPose.load(*PAIR).detector
    boxes = [[face.bbox_xyxy[0] for face in faces] for faces in told.follow(frames, 10)]
    assert boxes == [[20.0], [pytest.approx(30.0)]]


def test_turns_are_checked():
    with pytest.raises(InputError, match="turns 0; expected 1"):
        HeadPose.load(*PAIR, turns=0)
    words = ["predict", "video.mp4", "--turns", "4", "--detect-every", "2"]
    assert "--turns searches every frame whole" in CliRunner().invoke(app, words).output


class Nearby:
    """Reads one face, `off` pixels from where the middle of a turned FACE is."""

    def __init__(self, off: float) -> None:
        self.off = off

    def predict(self, image):
        middle = np.array(image.shape[1::-1]) / 2 + self.off
        box = np.concatenate([middle - 40, middle + 40])
        pose = pyr_from_rotation(rotation_from_pyr([0, 0, 95]) @ rotation_from_pyr([5, 30, 10]))
        return [FacePose(box, 0.9, pose, np.array([1.0, 2.0, 6.0]))]


@pytest.mark.parametrize(("off", "expected"), [(0, (5.0, 3.0)), (50, (np.nan, np.nan))])
def test_the_bench_of_turns_measures_the_face_where_it_is(off, expected):
    height, width = FACE.shape[:2]
    box = dict(zip(ANNOTATED_BOX, (0, 0, width, height), strict=True))
    face = {"image": "face.jpg", **box, "pitch": 5, "yaw": 30, "roll": 10}
    found = list(readings(Nearby(off * width / 80), [face], ROOT / "hpe_core/inference", 90))
    np.testing.assert_allclose(found, [expected], atol=1e-6)
