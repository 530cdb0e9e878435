"""Faces followed from frame to frame: found where they are, and lost or new ones looked for."""

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from tiny_onnx import write_network
from tiny_project import ROOT

from hpe_core.faces.boxes import iou
from hpe_core.faces.detector import NEAR_PX, Detections, Detector
from hpe_core.faces.following import Follower
from hpe_core.faces.images import read_image
from hpe_core.inference.self_test import TEST_FACE
from hpe_core.predictor import HeadPose

DETECTOR = ROOT / "data/detector/yolov5n-demo.onnx"
FACE = read_image(TEST_FACE)


def frame(*places: tuple[int, int, int]) -> NDArray[np.uint8]:
    """640 x 480, grey; the rendered face at each x, y, with this side."""
    image = np.full((480, 640, 3), 120, np.uint8)
    for x, y, side in places:
        face = np.asarray(Image.fromarray(FACE).resize((side, side)))
        image[y : y + side, x : x + side] = face
    return image


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector(DETECTOR, input_px=320, score=0.3, nms_iou=0.45)


class Watched:
    """A detector that counts the frames that it searches whole."""

    def __init__(self, detector: Detector) -> None:
        self.whole: list[int] = []
        self.frames = 0
        self._detector = detector
        self.nms_iou, self.near_share = detector.nms_iou, detector.near_share

    def detect(self, images):
        self.whole.append(self.frames)
        return self._detector.detect(images)

    def detect_near(self, image, bbox_xyxy):
        return self._detector.detect_near(image, bbox_xyxy)

    def over(self, frames, every: int) -> list[Detections]:
        follower, found = Follower(self, every), []  # type: ignore[arg-type]
        for image in frames:
            found.append(follower.detect(image))
            self.frames += 1
        return found


def test_moving_faces_are_followed_as_if_each_frame_were_searched(detector):
    frames = [
        frame((40 + 9 * k, 60 + 4 * k, 150 + 2 * k), (420, 300 - 8 * k, 160)) for k in range(12)
    ]
    watched = Watched(detector)
    followed, searched = watched.over(frames, 5), detector.detect(frames)
    assert watched.whole == [0, 5, 10]
    for near, whole in zip(followed, searched, strict=True):
        assert len(near.score) == len(whole.score) == 2
        assert (np.diff(near.score) <= 0).all(), "best first"
        assert iou(near.bbox_xyxy, whole.bbox_xyxy).max(1).min() > 0.85


def test_every_frame_whole_is_the_detector_itself(detector):
    frames = [frame((40 + 9 * k, 60, 150)) for k in range(3)]
    watched = Watched(detector)
    for near, image in zip(watched.over(frames, 1), frames, strict=True):
        (whole,) = detector.detect([image])
        np.testing.assert_array_equal(near.bbox_xyxy, whole.bbox_xyxy)
        np.testing.assert_array_equal(near.score, whole.score)
    assert watched.whole == [0, 1, 2]


def test_a_lost_face_is_looked_for_at_once_and_then_every_n_frames(detector):
    jump = [frame((40, 60, 150))] * 3 + [frame((420, 250, 150))] * 2
    watched = Watched(detector)
    found = watched.over(jump, 9)
    assert watched.whole == [0, 3]
    assert found[3].bbox_xyxy[0, 0] > 400
    gone = [frame((40, 60, 150))] * 2 + [frame()] * 6
    watched = Watched(detector)
    found = watched.over(gone, 4)
    assert watched.whole == [0, 2, 6]
    assert [len(each.score) for each in found] == [1, 1, 0, 0, 0, 0, 0, 0]


def test_a_new_face_waits_for_the_next_whole_frame(detector):
    frames = [frame((40, 60, 150))] * 2 + [frame((40, 60, 150), (420, 250, 150))] * 4
    found = Watched(detector).over(frames, 4)
    assert [len(each.score) for each in found] == [1, 1, 1, 1, 2, 2]


class Stub:
    """Answers what it is told: whole frames, and what is near each face."""

    nms_iou, near_share = 0.45, 0.16

    def __init__(self, whole: list[list[float]], near: list[list[float]]) -> None:
        self._whole, self._near = np.array(whole), np.array(near)
        self.searches = 0

    def detect(self, images):
        self.searches += 1
        return [Detections(self._whole, np.full(len(self._whole), 0.9))]

    def detect_near(self, image, bbox_xyxy):
        return [Detections(self._near, np.full(len(self._near), 0.8)) for _ in bbox_xyxy]


TWO = [[0.0, 0, 10, 10], [4.0, 0, 14, 10]]


def test_two_faces_that_become_one_are_searched_for():
    stub = Stub(TWO, near=[[2.0, 0, 12, 10]])
    follower = Follower(stub, 10)  # type: ignore[arg-type]
    for searches in (1, 2, 3):
        assert len(follower.detect(frame()).score) == 2
        assert stub.searches == searches
    apart = Stub(TWO, near=TWO)
    follower = Follower(apart, 10)  # type: ignore[arg-type]
    for _ in range(5):
        np.testing.assert_array_equal(follower.detect(frame()).bbox_xyxy, TWO)
    assert apart.searches == 1


def test_somebody_else_nearby_is_not_taken_for_a_lost_face():
    stub = Stub([[0.0, 0, 10, 10]], near=[[8.0, 0, 18, 10]])
    follower = Follower(stub, 10)  # type: ignore[arg-type]
    for searches in (1, 2, 3):
        follower.detect(frame())
        assert stub.searches == searches


def test_many_faces_are_cheaper_to_search_for():
    boxes = [[20.0 * k, 0, 20 * k + 10, 10] for k in range(7)]
    assert len(boxes) * Stub.near_share > 1
    stub = Stub(boxes, near=boxes)
    follower = Follower(stub, 10)  # type: ignore[arg-type]
    for searches in (1, 2, 3):
        follower.detect(frame())
        assert stub.searches == searches


def test_near_a_box_positions_are_those_of_the_image(detector):
    for place in ((300, 200, 180), (0, 0, 200), (470, 320, 160)):
        image = frame(place)
        (whole,) = detector.detect([image])
        near, moved = detector.detect_near(
            image, np.array([whole.bbox_xyxy[0], whole.bbox_xyxy[0] + 25])
        )
        assert iou(near.bbox_xyxy[0], whole.bbox_xyxy[0]) > 0.85
        assert iou(moved.bbox_xyxy[0], whole.bbox_xyxy[0]) > 0.85
    assert detector.near_share == pytest.approx((NEAR_PX / 320) ** 2)
    assert detector.detect_near(image, np.empty((0, 4))) == []


def test_an_export_of_fixed_size_sees_every_frame_whole(tmp_path):
    write_network(tmp_path / "d.onnx", np.zeros((5, 84), np.float32))
    fixed = Detector(tmp_path / "d.onnx", input_px=64, score=0.3, nms_iou=0.45)
    assert fixed.near_share == 1


def test_the_first_pose_is_that_of_the_image():
    head_pose, image = HeadPose.load(), frame((220, 140, 200))
    (first,), (second,) = head_pose.follow([image] * 2, 10)
    (alone,) = head_pose.predict(image)
    np.testing.assert_array_equal(first.pyr_deg, alone.pyr_deg)
    assert iou(second.bbox_xyxy, first.bbox_xyxy)[0, 0] > 0.7
