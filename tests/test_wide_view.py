"""Faces at the edge of a wide picture: their pose in the camera's frame, not along the ray."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from data.demo.person import sample_expression, sample_person
from data.demo.render import Camera, Light, View, render_head
from data.demo.steady import draws
from hpe_core.common.errors import InputError
from hpe_core.common.geometry import direction, geodesic_deg, in_camera, rotation_from_pyr
from hpe_core.predictor import HeadPose

SIZE_WH, FOV_DEG = (1600, 900), 100.0
ROOT = Path(__file__).parents[1]
angle, place = st.floats(-80, 80), st.floats(-200, 1800)


def ray(centre_xy, fov_deg=FOV_DEG) -> np.ndarray:
    focal_px = SIZE_WH[0] / 2 / np.tan(np.radians(fov_deg / 2))
    vector = np.array([*(np.subtract(centre_xy, SIZE_WH) + np.divide(SIZE_WH, 2)), focal_px])
    return vector / np.linalg.norm(vector)


def test_in_the_middle_of_the_picture_nothing_changes():
    np.testing.assert_allclose(in_camera([9, -20, 31], (800, 450), SIZE_WH, FOV_DEG), [9, -20, 31])


@pytest.mark.parametrize(
    ("centre_xy", "expected"),
    [
        pytest.param((1600, 450), [0, 50, 0], id="right edge: half the angle, as if looking left"),
        pytest.param((0, 450), [0, -50, 0], id="left edge"),
        pytest.param((800, 900), [-33.84, 0, 0], id="bottom: as if looking up"),
        pytest.param((800, 0), [33.84, 0, 0], id="top"),
    ],
)
def test_a_face_that_seems_to_look_into_the_lens_looks_along_its_ray(centre_xy, expected):
    """atan(450 / (800 / tan 50°)) is 33.84°."""
    found = in_camera([0, 0, 0], centre_xy, SIZE_WH, FOV_DEG)
    np.testing.assert_allclose(found, expected, atol=0.01)
    np.testing.assert_allclose(direction(found), -ray(centre_xy), atol=1e-9)


@given(place, place, st.tuples(angle, angle, angle), st.floats(5, 150))
def test_it_is_the_smallest_rotation_that_turns_the_axis_to_the_ray(x, y, pyr_deg, fov_deg):
    found = rotation_from_pyr(in_camera(pyr_deg, (x, y), SIZE_WH, fov_deg))
    applied = Rotation.from_matrix(found @ rotation_from_pyr(pyr_deg).T)
    to = ray((x, y), fov_deg)
    np.testing.assert_allclose(applied.apply([0, 0, 1]), to, atol=1e-7)
    assert applied.magnitude() == pytest.approx(np.arccos(to[2].clip(-1, 1)), abs=1e-6)


def test_many_faces_of_several_pictures_at_once():
    pyr_deg, centres = np.array([[1.0, 2, 3], [4, 50, 6]]), np.array([[10.0, 20], [300, 400]])
    sizes = np.array([[640, 480], [1600, 900]])
    each = [in_camera(*one, FOV_DEG) for one in zip(pyr_deg, centres, sizes, strict=True)]
    np.testing.assert_allclose(in_camera(pyr_deg, centres, sizes, FOV_DEG), each)


def wide_view(pyr_deg, at_xy) -> tuple[np.ndarray, np.ndarray]:
    """A drawn head at a place of a wide picture (RGB), and its pose in the camera's frame.

    It is drawn as a camera sees it that points at it, and that picture is put into the wide one as
    an ideal lens would: by the homography K R_ray K⁻¹.
    """
    rng = draws(5, 1)
    width, height = SIZE_WH
    head = np.full((height, width, 3), 190, np.uint8)
    camera = Camera((width / 2, height / 2), 110)
    light = Light(direction=(-0.3, -0.4, -0.8))
    render_head(head, View(sample_person(rng), sample_expression(rng), pyr_deg, camera, light))
    focal_px = width / 2 / np.tan(np.radians(FOV_DEG / 2))
    k = np.array([[focal_px, 0, width / 2], [0, focal_px, height / 2], [0, 0, 1]])
    turn = Rotation.align_vectors([ray(at_xy)], [[0, 0, 1]])[0].as_matrix()
    warped = cv2.warpPerspective(
        head, k @ turn @ np.linalg.inv(k), SIZE_WH, borderMode=cv2.BORDER_REPLICATE
    )
    return warped[..., ::-1].copy(), turn @ rotation_from_pyr(pyr_deg)


PLACES = [(1400, 300), (220, 450), (1350, 700), (300, 200)]


def test_drawn_heads_at_the_edge_are_read_in_the_cameras_frame():
    """Without the angle the error is about that of the ray, up to 40°; with it, the network's."""
    detector = ROOT / "data/detector/yolov5n-demo.onnx"
    plain = HeadPose.load("drawn-resnet8", detector)
    known = HeadPose.load("drawn-resnet8", detector, fov_deg=FOV_DEG)
    errors = []
    for at_xy in PLACES:
        for pose in ((0, 0, 0), (10, 35, 5), (-5, -30, -10)):
            image, rotation = wide_view(pose, at_xy)
            truth = Rotation.from_matrix(rotation).as_euler("XYZ", degrees=True)
            found = [head_pose.predict(image)[0] for head_pose in (plain, known)]
            assert found[0].bbox_xyxy.tolist() == found[1].bbox_xyxy.tolist()
            errors.append([float(geodesic_deg(face.pyr_deg, truth)) for face in found])
    without, with_angle = np.mean(errors, axis=0)
    assert with_angle < 0.5 * without
    assert with_angle < 15
    assert without > 25


@pytest.mark.parametrize("fov_deg", [0, -10, 180, 400])
def test_an_angle_that_no_lens_has_is_refused(fov_deg):
    with pytest.raises(InputError, match=f"fov_deg {fov_deg}; expected degrees between 0 and 180"):
        HeadPose.load(fov_deg=fov_deg)
