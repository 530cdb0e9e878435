"""Numbers of faces from frame to frame, and the mean of their rotations."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpe_core.common.geometry import geodesic_deg, rotate_pyr
from hpe_core.inference.tracking import Smoother, Tracker

LEFT, RIGHT = [0.0, 0.0, 10.0, 10.0], [50.0, 0.0, 60.0, 10.0]
NOBODY: list[list[float]] = []


def moved(box: list[float], dx: float) -> list[float]:
    return [box[0] + dx, box[1], box[2] + dx, box[3]]


def test_a_face_keeps_its_number_whatever_the_order_of_the_boxes():
    tracker = Tracker()
    assert tracker.update([LEFT, RIGHT]) == [1, 2]
    assert tracker.update([moved(RIGHT, -2), moved(LEFT, 2)]) == [2, 1]
    assert tracker.update([moved(LEFT, 7), moved(RIGHT, -7)]) == [1, 2], "from the last box on"


def test_the_larger_overlap_is_paired_first():
    tracker = Tracker()
    tracker.update([LEFT])
    assert tracker.update([moved(LEFT, 3), moved(LEFT, 1)]) == [2, 1]


def test_too_little_overlap_is_another_face():
    tracker = Tracker(min_iou=0.5)
    tracker.update([LEFT])
    assert tracker.update([moved(LEFT, 4)]) == [2], "6 of 14 pixels: an IoU of 0.43"


@pytest.mark.parametrize(("missed", "number"), [(0, 1), (3, 1), (4, 2)])
def test_a_track_survives_as_many_missed_frames_as_it_may(missed, number):
    tracker = Tracker(max_missed=3)
    tracker.update([LEFT])
    for _ in range(missed):
        assert tracker.update(NOBODY) == []
    assert tracker.update([LEFT]) == [number]


def test_only_consecutive_missed_frames_are_counted():
    tracker = Tracker(max_missed=1)
    for boxes in ([LEFT], NOBODY, [LEFT], NOBODY):
        tracker.update(boxes)
    assert tracker.update([LEFT]) == [1]


def test_no_number_is_given_twice():
    tracker = Tracker(max_missed=0)
    assert [tracker.update(boxes) for boxes in ([LEFT], [RIGHT], [LEFT])] == [[1], [2], [3]]


angles = st.tuples(st.floats(-90, 90), st.floats(-98, 98), st.floats(-90, 90))


@given(angles)
def test_a_still_head_stays(pyr_deg):
    smoother = Smoother(0.5)
    for time_s in (0.0, 0.04, 0.08, 3.0):
        mean = smoother.update(1, time_s, pyr_deg)
        assert geodesic_deg(mean, pyr_deg) < 1e-5
        assert np.abs(mean - pyr_deg).max() < 1e-5 or abs(abs(pyr_deg[1]) - 90) < 0.1


def test_after_an_in_plane_rotation_the_mean_is_1_over_e_away_after_the_time_constant():
    """Small rotations about one axis add up, so the mean of rotations is that of the angles."""
    smoother = Smoother(0.5)
    smoother.update(1, 0.0, [0, 0, 0])
    for step in range(1, 51):
        mean = smoother.update(1, step / 100, [0, 0, 1.0])
    assert mean == pytest.approx([0, 0, 1 - np.exp(-1)], abs=1e-3)


@given(angles, st.floats(-60, 60))
def test_the_mean_lies_between_and_rotates_with_the_image(pyr_deg, phi_deg):
    def mean_of(one, other):
        smoother = Smoother(1.0)
        smoother.update(1, 0.0, one)
        return smoother.update(1, np.log(2), other)  # half of each

    other = rotate_pyr(pyr_deg, 40)
    mean = mean_of(pyr_deg, other)
    assert geodesic_deg(mean, pyr_deg) == pytest.approx(20, abs=1e-4)
    assert geodesic_deg(mean, other) == pytest.approx(20, abs=1e-4)
    rotated = mean_of(rotate_pyr(pyr_deg, phi_deg), rotate_pyr(other, phi_deg))
    assert geodesic_deg(rotated, rotate_pyr(mean, phi_deg)) < 1e-4


def test_past_the_profile_the_mean_does_not_jump():
    """yaw 89° and 91° are 2° apart; as angles with |yaw| ≤ 90° they differ by 180°."""
    smoother = Smoother(1.0)
    smoother.update(1, 0.0, [5, 89, 5])
    mean = smoother.update(1, np.log(2), [5, 91, 5])
    assert geodesic_deg(mean, [5, 90, 5]) < 1e-4
    smoother.update(2, 0.0, [5, 93, 5])
    assert smoother.update(2, 1.0, [5, 95, 5])[1] == pytest.approx(94.26, abs=0.01)


def test_each_track_has_a_mean_of_its_own():
    smoother = Smoother(1e6)
    smoother.update(1, 0.0, [0, 30, 0])
    assert smoother.update(2, 0.1, [0, -30, 0]) == pytest.approx([0, -30, 0])
    assert smoother.update(1, 0.2, [0, 31, 0])[1] == pytest.approx(30, abs=1e-4)


def test_180_degrees_apart_the_pose_is_taken_as_seen():
    smoother = Smoother(1.0)
    smoother.update(1, 0.0, [0, 0, 0])
    assert smoother.update(1, np.log(2), [0, 0, 180]) == pytest.approx([0, 0, 180])


def test_time_that_goes_back_changes_nothing():
    smoother = Smoother(1.0)
    smoother.update(1, 5.0, [0, 20, 0])
    assert smoother.update(1, 4.0, [0, 40, 0]) == pytest.approx([0, 20, 0])
