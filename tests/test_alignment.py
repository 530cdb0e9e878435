"""Errors after the constant rotation between two corpora's frames is taken out."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from hpe_core.common.geometry import (
    geodesic_deg,
    in_head_frame,
    pyr_near,
    rotation_from_pyr,
)
from hpe_core.evaluation.alignment import aligned_errors_deg, constant_rotation
from hpe_core.evaluation.metrics import absolute_error_deg, summary


def poses(faces: int, seed: int = 0, noise_deg: float = 5.0) -> tuple[np.ndarray, np.ndarray]:
    """Predictions and labels that differ by noise alone."""
    rng = np.random.default_rng(seed)
    labels = rng.uniform(-60, 60, (faces, 3))
    return labels + rng.normal(0, noise_deg, labels.shape), labels


def test_a_pose_in_its_own_frame_is_itself_and_two_turns_are_one():
    pyr_deg = poses(50)[0]
    first, second = rotation_from_pyr([8, -3, 5]), rotation_from_pyr([-2, 6, 1])
    np.testing.assert_allclose(in_head_frame(pyr_deg, np.eye(3)), pyr_deg, atol=1e-9)
    twice = in_head_frame(in_head_frame(pyr_deg, first), second)
    assert geodesic_deg(twice, in_head_frame(pyr_deg, first @ second)).max() < 1e-6


def in_another_frame(pyr_deg: np.ndarray, frame_pyr_deg: tuple[float, float, float]) -> np.ndarray:
    """The same heads, whose frame is defined otherwise: R · C."""
    return pyr_near(rotation_from_pyr(pyr_deg) @ rotation_from_pyr(frame_pyr_deg), pyr_deg)


angle = st.floats(-20, 20)


@given(frame=st.tuples(angle, angle, angle))
def test_a_constant_rotation_of_the_heads_frame_is_taken_out_whole(frame):
    _, labels = poses(20)
    moved = in_another_frame(labels, frame)
    assert aligned_errors_deg(moved, labels).max() < 1e-6


def test_a_rotated_camera_is_another_error():
    """Only a rotation of the head's frame is one of definition; a camera's would be ours."""
    _, labels = poses(200)
    moved = pyr_near(rotation_from_pyr([0, 0, 10]) @ rotation_from_pyr(labels), labels)
    assert aligned_errors_deg(moved, labels).mean() > 3


@pytest.mark.parametrize("noise_deg", [0.1, 5, 40])
def test_the_rotation_is_scipys_mean_of_the_relative_rotations(noise_deg):
    predicted, labels = poses(30, noise_deg=noise_deg)
    predicted = in_another_frame(predicted, (8, -3, 5))
    said, true = (Rotation.from_euler("XYZ", each, degrees=True) for each in (predicted, labels))
    expected = (said.inv() * true).mean().as_matrix()
    np.testing.assert_allclose(constant_rotation(predicted, labels), expected, atol=1e-9)


def test_it_is_a_rotation_even_where_predictions_are_no_better_than_chance():
    for seed in range(200):
        rng = np.random.default_rng(seed)
        found = constant_rotation(*rng.uniform(-99, 99, (2, 3, 3)))
        np.testing.assert_allclose(found @ found.T, np.eye(3), atol=1e-9)
        assert np.linalg.det(found) == pytest.approx(1)


def test_no_face_is_measured_with_a_rotation_that_was_fitted_on_it():
    predicted, labels = poses(40)
    before = aligned_errors_deg(predicted, labels)
    for face in range(40):
        other = labels.copy()
        other[face] += 5
        moved = np.abs(aligned_errors_deg(predicted, other) - before) > 1e-9
        assert moved[face]
        assert moved.sum() == 1 + 20, "the other half, and the face itself"


def test_noise_alone_is_not_made_smaller():
    predicted, labels = poses(2000)
    raw = absolute_error_deg(predicted, labels).mean(-1)
    assert aligned_errors_deg(predicted, labels).mean() == pytest.approx(raw.mean(), rel=0.01)


def test_few_faces():
    predicted, labels = poses(2)
    first = rotation_from_pyr(predicted[0]) @ constant_rotation(predicted[1:], labels[1:])
    by_hand = np.abs(pyr_near(first, predicted[0]) - labels[0]).mean()
    assert aligned_errors_deg(predicted, labels)[0] == pytest.approx(by_hand)
    (alone,) = aligned_errors_deg(predicted[:1], labels[:1])
    assert alone == pytest.approx(np.abs(predicted[0] - labels[0]).mean())


def test_errors_wrap():
    predicted, labels = poses(10)
    np.testing.assert_allclose(
        aligned_errors_deg(predicted + np.array([360, 0, -720]), labels),
        aligned_errors_deg(predicted, labels),
    )


def test_summaries_show_it_beside_the_raw_error():
    predicted, labels = poses(50)
    moved = in_another_frame(predicted, (6, 0, 0))
    found = summary(moved, labels)
    assert found["mae"] == pytest.approx(absolute_error_deg(moved, labels).mean())
    assert found["aligned"] == pytest.approx(aligned_errors_deg(moved, labels).mean())
    assert found["aligned"] < found["mae"] - 0.5
    assert geodesic_deg(moved, labels).mean() == pytest.approx(found["geodesic"])
