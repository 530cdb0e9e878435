"""Conventions against numbers of other origin, against each other, and against bad input."""

import builtins
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpe_core.common.errors import InputError
from hpe_core.common.geometry import geodesic_deg, rotation_from_pyr
from hpe_core.inference.conventions import CONVENTIONS, EULER_ORDERS, convert_poses

GOLDEN = json.loads((Path(__file__).parent / "golden.json").read_text())
AFLW = GOLDEN["labels"]["AFLW"]
HALF = np.sqrt(0.5)


def one(values, source: str, target: str) -> np.ndarray:
    return convert_poses(np.array([values], float), CONVENTIONS[source], CONVENTIONS[target])[0]


@pytest.mark.parametrize("case", GOLDEN["matrix"], ids=lambda case: str(case["pyr_deg"]))
@pytest.mark.parametrize("name", ["matrix", "BIWI"])
def test_golden_matrices(case, name):
    matrix = np.ravel(case["R"])
    np.testing.assert_allclose(one(case["pyr_deg"], "pyr", name), matrix, atol=1e-9)
    back = one(matrix, name, "pyr")
    assert geodesic_deg(back, case["pyr_deg"]) < 1e-6


@pytest.mark.parametrize(
    ("pyr_deg", "name", "expected"),
    [
        # the corpora: radians, signs as labels.py and facts.md have them
        pytest.param([-18, 36, 9], "300W_LP", [0.1 * np.pi, 0.2 * np.pi, 0.05 * np.pi], id="300W"),
        pytest.param([-18, 36, 9], "AFLW2000", [0.1 * np.pi, 0.2 * np.pi, 0.05 * np.pi], id="2000"),
        pytest.param(AFLW["pyr_deg"], "AFLW", AFLW["pitch_yaw_roll_rad"], id="AFLW"),
        # rotations by 90°, by hand
        pytest.param([90, 0, 0], "quaternion", [HALF, 0, 0, HALF], id="quaternion: pitch"),
        pytest.param([0, -60, 0], "quaternion", [0, -0.5, 0, np.sqrt(0.75)], id="quaternion: yaw"),
        pytest.param([0, 0, 90], "rotvec", [0, 0, np.pi / 2], id="vector: roll"),
        pytest.param([0, -60, 0], "rotvec", [0, -np.pi / 3, 0], id="vector: yaw"),
        pytest.param([10, 20, 30], "XYZ", [10, 20, 30], id="ours is intrinsic XYZ"),
        pytest.param([10, 20, 30], "zyx", [30, 20, 10], id="that is extrinsic zyx"),
        pytest.param([90, 30, 0], "XYX", [90, 30, 0], id="proper Euler"),
        pytest.param([90, 0, 0], "quaternion_wxyz", [HALF, HALF, 0, 0], id="w first"),
        pytest.param([0, 0, 90], "6d", [0, 1, 0, -1, 0, 0], id="two columns"),
        pytest.param([18, 36, 9], "hopenet", [-18, 36, 9], id="degrees, pitch up"),
        pytest.param([0, 30, 0], "unity", [0, 30, 0], id="unity: yaw"),
        pytest.param([20, 0, 0], "unity", [-20, 0, 0], id="unity: a positive x looks up"),
        pytest.param([0, 0, 10], "unity", [0, 0, -10], id="unity: a positive z leans left"),
    ],
)
def test_known_values(pyr_deg, name, expected):
    np.testing.assert_allclose(one(pyr_deg, "pyr", name), expected, atol=1e-9)
    np.testing.assert_allclose(one(expected, name, "pyr"), pyr_deg, atol=1e-9)


ROOT3 = np.sqrt(3) / 2


@pytest.mark.parametrize(
    ("pyr_deg", "looks", "crown"),
    [  # x right, y up, z to the viewer
        pytest.param([0, 0, 0], [0, 0, 1], [0, 1, 0], id="into the camera"),
        pytest.param([0, 30, 0], [-0.5, 0, ROOT3], [0, 1, 0], id="to the left of the picture"),
        pytest.param([30, 0, 0], [0, -0.5, ROOT3], [0, ROOT3, 0.5], id="down"),
        pytest.param([0, 0, 30], [0, 0, 1], [0.5, ROOT3, 0], id="leaning clockwise"),
    ],
)
def test_where_a_face_looks_with_y_up(pyr_deg, looks, crown):
    """The columns of the matrix are the head's axes: its z leaves the face, its y the crown."""
    for name in ("opengl", "arkit"):
        matrix = one(pyr_deg, "pyr", name).reshape(3, 3)
        np.testing.assert_allclose(matrix[:, 2], looks, atol=1e-9)
        np.testing.assert_allclose(matrix[:, 1], crown, atol=1e-9)
    x, y, z = np.radians(one(pyr_deg, "pyr", "unity"))  # turns about z, then x, then y
    about_z = [[np.cos(z), -np.sin(z), 0], [np.sin(z), np.cos(z), 0], [0, 0, 1]]
    about_x = [[1, 0, 0], [0, np.cos(x), -np.sin(x)], [0, np.sin(x), np.cos(x)]]
    about_y = [[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]]
    unity = np.array(about_y) @ about_x @ about_z
    np.testing.assert_allclose(-unity[:, 2] * [1, 1, -1], looks, atol=1e-9)  # z into the scene
    np.testing.assert_allclose(unity[:, 1] * [1, 1, -1], crown, atol=1e-9)


def test_two_columns_need_not_be_orthonormal():
    expected = one([10, 20, 30], "pyr", "6d")
    first, second = expected[:3], expected[3:]
    skewed = np.concatenate([3 * first, 0.5 * second + 2 * first])
    np.testing.assert_allclose(one(skewed, "6d", "pyr"), [10, 20, 30], atol=1e-9)
    with pytest.raises(InputError, match="row 1: expected two columns that are not parallel"):
        one([1, 0, 0, 2, 0, 0], "6d", "pyr")


def test_every_order_is_the_product_of_its_rotations():
    """Intrinsic: R = R1·R2·R3 about the axes as named; extrinsic: the other way round."""
    angles = [20.0, 35.0, -50.0]
    about = {axis: np.eye(3)[at] for at, axis in enumerate("XYZ")}
    assert len(EULER_ORDERS) == len(set(EULER_ORDERS)) == 24
    for order in EULER_ORDERS:
        first, second, third = (
            rotation_from_pyr(about[axis] * angle)
            for axis, angle in zip(order.upper(), angles, strict=True)
        )
        product = first @ second @ third if order.isupper() else third @ second @ first
        found = one(angles, order, "matrix").reshape(3, 3)
        np.testing.assert_allclose(found, product, atol=1e-9, err_msg=order)


@given(
    st.tuples(st.floats(-180, 180), st.floats(-89, 89), st.floats(-180, 180)),
    st.sampled_from(list(CONVENTIONS)),
    st.sampled_from(list(CONVENTIONS)),
)
def test_there_and_back_is_the_same_rotation(pyr_deg, through, then):
    there = one(one(pyr_deg, "pyr", through), through, then)
    assert geodesic_deg(one(there, then, "pyr"), pyr_deg) < 1e-4


def test_angles_beyond_90_stay_where_both_are_pitch_yaw_roll():
    back = one(one([10, 97, -5], "pyr", "AFLW"), "AFLW", "pyr")
    np.testing.assert_allclose(back, [10, 97, -5], atol=1e-9)
    assert abs(one([10, 97, -5], "pyr", "XYZ")[1]) <= 90


def test_quaternions_of_any_length_and_sign():
    np.testing.assert_allclose(one([0, 0, -3, -3], "quaternion", "pyr"), [0, 0, 90], atol=1e-9)
    assert one([0, 0, 270], "pyr", "quaternion")[3] >= 0


@pytest.mark.parametrize(
    ("values", "source", "message"),
    [
        pytest.param([[1, 2, 3], [0, np.nan, 0]], "pyr", "row 2: expected numbers, f", id="NaN"),
        pytest.param([[0, 0, 0, 1], [0] * 4], "quaternion", "row 2: .*zero norm", id="no length"),
        pytest.param(
            [np.eye(3).ravel(), np.diag([1, 1, -1]).ravel()],
            "matrix",
            "row 2: .*reflection",
            id="reflection",
        ),
        pytest.param([np.eye(3).ravel() * 2], "BIWI", "row 1: .* off by 1", id="scaled"),
    ],
)
def test_what_is_no_pose_is_named(values, source, message):
    with pytest.raises(InputError, match=message):
        convert_poses(np.array(values, float), CONVENTIONS[source], CONVENTIONS["pyr"])


def test_only_what_scipy_does_needs_scipy(monkeypatch):
    real = builtins.__import__

    def without_scipy(name, *rest):
        if name.startswith("scipy"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without_scipy)
    one(one([1, 2, 3], "pyr", "matrix"), "BIWI", "AFLW")
    for there, back in (("pyr", "XYZ"), ("quaternion", "pyr")):
        with pytest.raises(InputError, match="^this conversion needs scipy"):
            one([1, 2, 3, 4][: len(CONVENTIONS[there].columns)], there, back)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("pyr_deg", "name"), [([20, 90, 10], "XYZ"), ([0, 0, 30], "ZXZ")])
def test_gimbal_lock_keeps_the_rotation_and_says_nothing(pyr_deg, name):
    found = one(one(pyr_deg, "pyr", name), name, "pyr")
    assert geodesic_deg(found, pyr_deg) < 1e-5
