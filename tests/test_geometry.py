"""The pose convention against golden.json, against slow obvious versions, and its invariances."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from hpe_core.common import geometry as g
from hpe_core.corpora.labels import pyr_from_biwi, pyr_from_pose_para, yxz_from_aflw

GOLDEN = json.loads((Path(__file__).parent / "golden.json").read_text())
LABELS = GOLDEN["labels"]

angle = st.floats(-180, 180, allow_nan=False)
pyr = st.tuples(angle, st.floats(-89.9, 89.9), angle)  # the front branch, off gimbal lock
any_pyr = st.tuples(angle, angle, angle)


def named(cases, *keys):
    return [pytest.param(case, id="_".join(str(case[key]) for key in keys)) for case in cases]


@pytest.mark.parametrize("case", named(GOLDEN["matrix"], "pyr_deg"))
def test_golden_matrix_both_ways(case):
    np.testing.assert_allclose(g.rotation_from_pyr(case["pyr_deg"]), case["R"], atol=1e-11)
    np.testing.assert_allclose(g.pyr_from_rotation(case["R"]), case["pyr_deg"], atol=1e-8)


@pytest.mark.parametrize("case", named(GOLDEN["flip"], "pyr_deg"))
def test_golden_flip(case):
    np.testing.assert_allclose(g.flip_pyr(case["pyr_deg"]), case["flipped_pyr_deg"], atol=1e-12)


@pytest.mark.parametrize("case", named(GOLDEN["rotate_clockwise_on_screen"], "pyr_deg", "phi_deg"))
def test_golden_rotation_on_screen(case):
    rotated = g.rotate_pyr(case["pyr_deg"], case["phi_deg"])
    np.testing.assert_allclose(rotated, case["rotated_pyr_deg"], atol=1e-7)


@pytest.mark.parametrize(
    ("convert", "label", "key"),
    [
        pytest.param(
            pyr_from_pose_para, LABELS["300W_LP_and_AFLW2000"], "pose_para_rad", id="Pose_Para"
        ),
        pytest.param(
            lambda label: g.pyr_from_yxz(yxz_from_aflw(label)),
            LABELS["AFLW"],
            "pitch_yaw_roll_rad",
            id="FacePose",
        ),
        pytest.param(pyr_from_biwi, LABELS["BIWI"], "R_rows", id="pose.txt"),
    ],
)
def test_golden_labels_one_and_many(convert, label, key):
    np.testing.assert_allclose(convert(label[key]), label["pyr_deg"], atol=1e-6)
    np.testing.assert_allclose(convert([label[key]] * 3), [label["pyr_deg"]] * 3, atol=1e-6)


def test_golden_published_angles_of_aflw():
    label = LABELS["AFLW"]
    published = yxz_from_aflw(label["pitch_yaw_roll_rad"])
    np.testing.assert_allclose(published, label["yxz_deg"], atol=1e-8)
    np.testing.assert_allclose(g.yxz_from_pyr(label["pyr_deg"]), label["yxz_deg"], atol=1e-6)


@given(any_pyr)
def test_yxz_is_yaw_then_pitch_then_roll(yxz_deg):
    about_x, about_y, about_z = g.rotation_from_pyr(np.diag(yxz_deg))
    rotation = about_y @ about_x @ about_z
    ours = g.pyr_from_yxz(yxz_deg)
    np.testing.assert_allclose(g.rotation_from_pyr(ours), rotation, atol=1e-6)
    reference = Rotation.from_euler("YXZ", np.array(yxz_deg)[[1, 0, 2]], degrees=True)
    np.testing.assert_allclose(rotation, reference.as_matrix(), atol=1e-9)


within_theta = st.tuples(*[st.floats(-99, 99)] * 3)


@given(within_theta)
@example((96.0, 1.0, 99.0))  # at the limit itself
@example((99.0, -99.0, -99.0))
def test_published_angles_come_back_from_ours(yxz_deg):
    ours = g.pyr_from_yxz(yxz_deg)
    near = g.yxz_from_pyr(ours, near_yxz_deg=yxz_deg)
    locked = abs(abs(yxz_deg[0]) - 90) < 0.01 or abs(abs(ours[1]) - 90) < 0.01
    if not locked:
        np.testing.assert_allclose(near, yxz_deg, atol=1e-4)
    if not locked and min(map(abs, yxz_deg)) < 81:  # else the other branch is within ±99°, too
        np.testing.assert_allclose(g.yxz_from_pyr(ours), yxz_deg, atol=1e-4)


@given(angle, st.floats(-80, 80))
def test_one_angle_alone_is_the_same_in_both_orders(yaw, pitch):
    for pyr_deg in ([0, yaw, 0], [pitch, 0, 0], [0, 0, yaw]):
        np.testing.assert_allclose(g.pyr_from_yxz(pyr_deg), pyr_deg, atol=1e-5)


@pytest.mark.parametrize(
    "matrix",
    [
        pytest.param(np.diag([1.0, 1.0, -1.0]), id="reflection"),
        pytest.param(np.diag([1.0, 1.0, 0.0]), id="rank-2"),
        pytest.param(np.eye(3) * 1.2, id="scaled"),
        pytest.param(np.eye(3) + np.eye(3, k=1) * 0.3, id="sheared"),
    ],
)
def test_biwi_matrix_that_is_no_rotation(matrix):
    with pytest.raises(ValueError, match="rotation matrix"):
        pyr_from_biwi(matrix)


@pytest.mark.parametrize(
    "matrix",
    [
        pytest.param(np.diag([1.0, 1.0, -1.0]), id="reflection"),
        pytest.param(np.diag([1.0, 1.0, 0.0]), id="rank-2"),
        pytest.param(np.zeros((3, 3)), id="zero"),
        pytest.param(np.stack([np.eye(3), -np.eye(3)]), id="one-of-two"),
    ],
)
def test_no_rotation_is_near_a_reflection_or_a_degenerate_matrix(matrix):
    with pytest.raises(ValueError, match="reflection or a degenerate"):
        g.nearest_rotation(matrix)


@given(pyr)
def test_angles_survive_the_matrix(pyr_deg):
    back = g.pyr_from_rotation(g.rotation_from_pyr(pyr_deg))
    np.testing.assert_allclose(g.wrap_deg(back - np.array(pyr_deg) + 1) - 1, 0, atol=1e-5)


@given(any_pyr)
def test_matrix_is_a_rotation_and_survives_the_angles(pyr_deg):
    rotation = g.rotation_from_pyr(pyr_deg)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(rotation) == pytest.approx(1)
    again = g.rotation_from_pyr(g.pyr_from_rotation(rotation))
    # At gimbal lock arcsin loses half the digits: 1e-7 rad.
    np.testing.assert_allclose(again, rotation, atol=1e-6)


@pytest.mark.parametrize("yaw", [90, -90])
def test_gimbal_lock_keeps_the_rotation(yaw):
    rotation = g.rotation_from_pyr([20, yaw, 35])
    pitch, yaw_back, roll = g.pyr_from_rotation(rotation)
    assert roll == 0
    assert yaw_back == pytest.approx(yaw)
    np.testing.assert_allclose(g.rotation_from_pyr([pitch, yaw_back, roll]), rotation, atol=1e-9)


@pytest.mark.parametrize(
    "source",
    [
        pytest.param([5, 97, -12], id="left-of-90"),
        pytest.param([-8, -98.5, 20], id="right-of-90"),
        pytest.param([3, 89, 1], id="front"),
        pytest.param([175, 30, 182], id="upside-down"),
    ],
)
def test_branch_nearest_to_the_source_returns_the_source(source):
    np.testing.assert_allclose(g.pyr_near(g.rotation_from_pyr(source), source), source, atol=1e-9)


@given(any_pyr, any_pyr)
def test_branch_choice_never_changes_the_rotation(pyr_deg, source):
    rotation = g.rotation_from_pyr(pyr_deg)
    near = g.pyr_near(rotation, source)
    np.testing.assert_allclose(g.rotation_from_pyr(near), rotation, atol=1e-6)
    assert np.all(np.abs(near - source) <= 180 + 1e-9)


@pytest.mark.parametrize("phi_deg", [-15, 15])
@pytest.mark.parametrize(
    "source",
    [
        pytest.param([-30, -85, 12], id="before-90"),
        pytest.param([5, 97, -12], id="past-90"),
        pytest.param([20, -98, 40], id="past-minus-90"),
        pytest.param([10, 20, 30], id="front"),
    ],
)
def test_rotation_is_where_small_steps_lead(source, phi_deg):
    """Followed degree by degree, the nearest of both candidates is never in doubt."""
    angles = np.array(source, dtype=float)
    for part in np.linspace(0, phi_deg, 1000):
        turn = g.rotation_from_pyr([0, 0, part]) @ g.rotation_from_pyr(source)
        p, y, r = g.pyr_from_rotation(turn)
        candidates = [
            angles + g.wrap_deg(c - angles) for c in ([p, y, r], [p + 180, 180 - y, r + 180])
        ]
        angles = min(candidates, key=lambda c: np.abs(c - angles).sum())
    difference = g.rotate_pyr(source, phi_deg) - angles
    np.testing.assert_allclose(g.wrap_deg(difference), 0, atol=1e-6)


@given(any_pyr, st.floats(-15, 15))
def test_rotating_there_and_back(pyr_deg, phi_deg):
    there = g.rotate_pyr(pyr_deg, phi_deg)
    back = g.rotate_pyr(there, -phi_deg)
    assert g.geodesic_deg(back, pyr_deg) < 1e-4
    assert g.geodesic_deg(there, pyr_deg) == pytest.approx(abs(phi_deg), abs=1e-4)


@given(any_pyr, st.floats(-15, 15))
def test_the_flipped_rotated_pose_is_the_counter_rotated_flipped_one(pyr_deg, phi_deg):
    one = g.flip_pyr(g.rotate_pyr(pyr_deg, phi_deg))
    other = g.rotate_pyr(g.flip_pyr(pyr_deg), -phi_deg)
    assert g.geodesic_deg(one, other) < 1e-4


@given(any_pyr)
def test_a_flip_of_the_matrix(pyr_deg):
    flip = np.diag([-1.0, 1.0, 1.0])
    expected = flip @ g.rotation_from_pyr(pyr_deg) @ flip
    np.testing.assert_allclose(g.rotation_from_pyr(g.flip_pyr(pyr_deg)), expected, atol=1e-12)


def test_rotation_about_a_frontal_face_adds_to_roll_and_only_there():
    np.testing.assert_allclose(g.rotate_pyr([0, 0, 7], 10), [0, 0, 17], atol=1e-12)
    assert abs(g.rotate_pyr([0, 60, 0], 10)[0]) > 1


@pytest.mark.parametrize(
    ("pyr_deg", "expected"),
    [
        pytest.param([0, 0, 0], [0, 0, -1], id="into the camera"),
        pytest.param([0, 90, 0], [-1, 0, 0], id="yaw: to the left of the image"),
        pytest.param([90, 0, 0], [0, 1, 0], id="pitch: down"),
        pytest.param([0, 0, 77], [0, 0, -1], id="roll: turns about it"),
        pytest.param([0, -45, 0], [0.5**0.5, 0, -(0.5**0.5)], id="half to the right"),
        pytest.param([-30, 0, 0], [0, -0.5, -(0.75**0.5)], id="30 degrees up"),
    ],
)
def test_direction_is_where_the_face_points(pyr_deg, expected):
    np.testing.assert_allclose(g.direction(pyr_deg), expected, atol=1e-12)


@given(any_pyr)
def test_direction_is_opposite_to_the_back_of_the_head(pyr_deg):
    vector = g.direction(pyr_deg)
    assert np.linalg.norm(vector) == pytest.approx(1)
    np.testing.assert_allclose(vector, g.rotation_from_pyr(pyr_deg) @ [0, 0, -1], atol=1e-12)


def test_columns_point_where_the_convention_says():
    """Camera x right, y down, z into the scene; no test against our own formulas."""
    back_of_head = g.rotation_from_pyr([0, 30, 0])[:, 2]
    assert back_of_head[0] > 0  # positive yaw: the back goes right, so the face looks left
    chin = g.rotation_from_pyr([0, 0, 30])[:, 1]
    assert chin[0] < 0  # positive roll: clockwise on screen, the chin swings left
    back_of_head = g.rotation_from_pyr([30, 0, 0])[:, 2]
    assert back_of_head[1] < 0  # positive pitch: the back goes up, so the face looks down


@given(any_pyr, any_pyr)
def test_geodesic_is_a_symmetric_distance(a, b):
    distance = g.geodesic_deg(a, b)
    assert 0 <= distance <= 180
    assert distance == pytest.approx(g.geodesic_deg(b, a), abs=1e-6)
    assert g.geodesic_deg(a, a) < 1e-9
    turn = g.rotation_from_pyr(a).T @ g.rotation_from_pyr(b)
    cosine = np.clip((np.trace(turn) - 1) / 2, -1, 1)
    assert np.cos(np.radians(distance)) == pytest.approx(cosine, abs=1e-9)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        pytest.param([0, 0, 0], [0, 30, 0], 30, id="one-axis"),
        pytest.param([0, 0, 0], [0, 180, 0], 180, id="opposite"),
        pytest.param([0, -99, 0], [0, 99, 0], 162, id="the-short-way-round"),
        pytest.param([0, 0, 0], [1e-7, 0, 0], 1e-7, id="tiny"),
        pytest.param([10, 120, 5], [190, 60, 185], 0, id="two-branches-of-one-pose"),
    ],
)
def test_geodesic_of_known_rotations(a, b, expected):
    assert g.geodesic_deg(a, b) == pytest.approx(expected, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize(
    ("angle_deg", "expected"),
    [(0, 0), (180, -180), (-180, -180), (190, -170), (-541, 179), (713.745, -6.255)],
)
def test_wrap(angle_deg, expected):
    assert g.wrap_deg(angle_deg) == pytest.approx(expected)


def test_everything_broadcasts():
    many = np.random.default_rng(0).uniform(-80, 80, (4, 5, 3))
    rotation = g.rotation_from_pyr(many)
    assert rotation.shape == (4, 5, 3, 3)
    np.testing.assert_allclose(rotation[2, 3], g.rotation_from_pyr(many[2, 3]))
    np.testing.assert_allclose(g.pyr_from_rotation(rotation), many, atol=1e-9)
    phi = np.linspace(-15, 15, 5)
    np.testing.assert_allclose(g.rotate_pyr(many, phi)[1, 4], g.rotate_pyr(many[1, 4], phi[4]))
    assert g.geodesic_deg(many, many[0, 0]).shape == (4, 5)


@given(any_pyr, st.integers(0, 2**32 - 1))
def test_nearest_rotation_undoes_small_noise(pyr_deg, seed):
    rotation = g.rotation_from_pyr(pyr_deg)
    np.testing.assert_allclose(g.nearest_rotation(rotation), rotation, atol=1e-12)
    noisy = rotation + np.random.default_rng(seed).normal(0, 1e-4, (3, 3))
    nearest = g.nearest_rotation(noisy)
    np.testing.assert_allclose(nearest @ nearest.T, np.eye(3), atol=1e-12)
    assert np.linalg.norm(nearest - noisy) <= np.linalg.norm(rotation - noisy)
