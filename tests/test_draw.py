"""The drawn axes agree with the geometry of the labels."""

import json
from pathlib import Path

import numpy as np
import pytest

from hpe_core.common.geometry import flip_pyr, rotate_pyr, rotation_from_pyr
from hpe_core.inference.draw import AXIS_COLOURS, axis_vectors, draw_axes, pose_tile

GOLDEN = json.loads((Path(__file__).parent / "golden.json").read_text())
SIDE, LENGTH = 201, 80
CENTRE = (100.0, 100.0)
RED, GREEN, BLUE = AXIS_COLOURS
GREY = np.full((SIDE, SIDE, 3), 128, np.uint8)


def tip(image: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """(dx, dy) from the centre to the furthest pixel of exactly this colour."""
    y, x = np.nonzero((image == np.array(colour)).all(-1))
    assert len(x), f"nothing is drawn in {colour}"
    offsets = np.stack([x, y], axis=-1) - np.array(CENTRE)
    return offsets[np.abs(offsets).max(-1).argmax()]


@pytest.mark.parametrize("case", GOLDEN["matrix"], ids=lambda case: str(case["pyr_deg"]))
def test_axes_are_the_columns_of_the_golden_matrices(case):
    x, y, front = axis_vectors(case["pyr_deg"])
    rotation = np.array(case["R"])
    np.testing.assert_allclose(x, rotation[:, 0], atol=1e-9)
    np.testing.assert_allclose(y, rotation[:, 1], atol=1e-9)
    np.testing.assert_allclose(front, -rotation[:, 2], atol=1e-9)


def test_a_frontal_face():
    image = draw_axes(GREY, CENTRE, LENGTH, [0, 0, 0], thickness=3)
    np.testing.assert_allclose(tip(image, RED), [LENGTH, 0], atol=2)
    np.testing.assert_allclose(tip(image, GREEN), [0, LENGTH], atol=2)
    assert np.abs(tip(image, BLUE)).max() <= 3, "it looks at us: a dot"
    y, x = np.nonzero((image != GREY).any(-1))
    assert x.min() >= 96 and y.min() >= 96, "nothing points left or up"


@pytest.mark.parametrize(
    ("pyr_deg", "expected"),
    [
        # the way the nose points on screen, x to the right, y down
        pytest.param([0, 60, 0], (-1, 0), id="positive yaw looks to the left of the image"),
        pytest.param([0, -60, 0], (1, 0), id="negative yaw looks to the right"),
        pytest.param([60, 0, 0], (0, 1), id="positive pitch looks down"),
        pytest.param([-60, 0, 0], (0, -1), id="negative pitch looks up"),
    ],
)
def test_where_the_nose_points(pyr_deg, expected):
    image = draw_axes(GREY, CENTRE, LENGTH, pyr_deg, thickness=3)
    length = LENGTH * np.sin(np.radians(60))
    np.testing.assert_allclose(tip(image, BLUE), length * np.array(expected), atol=2)


def test_positive_roll_is_clockwise_on_screen():
    image = draw_axes(GREY, CENTRE, LENGTH, [0, 0, 30], thickness=3)
    angle = np.radians(30)
    expected = LENGTH * np.array([np.cos(angle), np.sin(angle)])
    np.testing.assert_allclose(tip(image, RED), expected, atol=2)


@pytest.mark.parametrize("pyr_deg", [[-15, 45, 5], [20, -60, -10], [30, 85, 12]], ids=str)
def test_every_tip_is_the_projected_column_of_r(pyr_deg):
    image = draw_axes(GREY, CENTRE, LENGTH, pyr_deg, thickness=3)
    rotation = rotation_from_pyr(pyr_deg)
    for colour, column in ((RED, rotation[:, 0]), (GREEN, rotation[:, 1]), (BLUE, -rotation[:, 2])):
        if np.hypot(*column[:2]) > 0.3:  # a shorter one may be covered by the others
            np.testing.assert_allclose(tip(image, colour), LENGTH * column[:2], atol=2)


def test_the_flipped_image_has_the_axes_of_the_flipped_pose():
    """A flip keeps where the chin and the nose point and swaps the head's sides."""
    x, y, front = axis_vectors([10, 35, 20])
    flipped_x, flipped_y, flipped_front = axis_vectors(flip_pyr([10, 35, 20]))
    flip = np.array([-1, 1, 1])
    np.testing.assert_allclose(flipped_y, flip * y, atol=1e-12)
    np.testing.assert_allclose(flipped_front, flip * front, atol=1e-12)
    np.testing.assert_allclose(flipped_x, -flip * x, atol=1e-12)


def test_the_rotated_image_has_the_axes_of_the_rotated_pose():
    angle = np.radians(25)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    vectors, turned = axis_vectors([10, 35, 20]), axis_vectors(rotate_pyr([10, 35, 20], 25))
    np.testing.assert_allclose(turned[:, :2], vectors[:, :2] @ turn.T, atol=1e-12)


def test_the_nearer_axis_is_drawn_over_the_further_one():
    """At yaw 50° the nose points at us and left, at 130° away and left: over x, under x."""
    near = draw_axes(GREY, CENTRE, LENGTH, [0, 50, 0], thickness=9)
    away = draw_axes(GREY, CENTRE, LENGTH, [0, 130, 0], thickness=9)
    x_column = 100 - 30  # both axes lie on the row through the centre for 130°
    assert tuple(near[100, x_column]) == BLUE
    assert tuple(away[100, x_column]) == RED


def test_the_image_itself_is_left_alone():
    image = GREY.copy()
    image.flags.writeable = False
    drawn = draw_axes(image, CENTRE, LENGTH, [0, 0, 0], 2)
    assert (image == 128).all()
    assert (drawn != image).any()


def test_axes_may_leave_the_image():
    assert draw_axes(GREY, (190, 190), LENGTH, [0, 0, 0], 3).shape == GREY.shape


def test_a_tile_shows_prediction_bold_and_truth_thin():
    """Rolls of 0° and 30°, counted on a line across both x axes."""
    crop = np.full((40, 60, 3), 128, np.uint8)
    image = pose_tile(crop, 240, [0, 0, 30], [0, 0, 0]).astype(int)
    assert image.shape == (240, 240, 3)
    red = np.flatnonzero(image[:, 180, 0] - image[:, 180, 1:].max(-1) > 60) - 120
    truth, prediction = red[np.abs(red) < 10], red[np.abs(red - 60 * np.tan(np.pi / 6)) < 10]
    assert 1 <= len(truth) < len(prediction) / 2
    assert len(truth) + len(prediction) == len(red)
