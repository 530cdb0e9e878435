"""A face over its image: its box, and its axes, where and as long as they are said to be."""

import numpy as np
import pytest

from hpe_core.inference.draw import AXIS_COLOURS, BOX_COLOUR, draw_face

GREY = np.full((300, 400, 3), 128, np.uint8)
BOX = [100.0, 50.0, 300.0, 250.0]


def where(image, colour) -> np.ndarray:
    """x and y of the pixels of a colour (N x 2)."""
    y, x = np.nonzero((image == np.array(colour)).all(-1))
    assert len(x)
    return np.stack([x, y], axis=-1)


def test_the_box_is_drawn_where_it_is():
    points = where(draw_face(GREY, BOX, [0, 60, 0], 7), BOX_COLOUR)
    np.testing.assert_allclose([*points.min(0), *points.max(0)], BOX, atol=1)


def test_axes_start_in_the_middle_and_grow_with_the_box():
    for box, length in ((BOX, 120), ([150, 100, 250, 200], 60)):
        red = where(draw_face(GREY, box, [0, 0, 0], 1), AXIS_COLOURS[0])
        assert red[:, 0].min() == pytest.approx(200, abs=4)
        assert red[:, 0].max() == pytest.approx(200 + length, abs=3)
        assert np.median(red[:, 1]) == pytest.approx(150, abs=1)


def test_the_number_is_drawn():
    one, seven = (draw_face(GREY, BOX, [0, 0, 0], number) for number in (1, 7))
    y, x = np.nonzero((one != seven).any(-1))
    assert x.min() > 100 and x.max() < 160 and y.min() > 50 and y.max() < 100


@pytest.mark.parametrize(
    "box",
    [
        pytest.param([-80, -80, 120, 120], id="upper left"),
        pytest.param([395, 100, 595, 300], id="right"),
        pytest.param([100, 295, 300, 495], id="below"),
    ],
)
def test_the_number_is_in_the_image_where_the_corner_of_the_box_is_not(box):
    """The whole number: the pixels that differ between two numbers."""
    blank, image = (draw_face(GREY, box, [0, 0, 0], number) for number in ("", 88))
    inside = [100.0, 50.0, 300.0, 250.0]
    there, whole = (draw_face(GREY, inside, [0, 0, 0], number) for number in ("", 88))
    expected = np.count_nonzero((whole != there).any(-1))
    assert np.count_nonzero((image != blank).any(-1)) > 0.8 * expected


def test_the_image_is_left_alone_and_boxes_may_leave_it():
    image = GREY.copy()
    drawn = draw_face(image, [-30.5, -20, 60, 500], [10, 20, 30], 123)
    assert drawn.shape == GREY.shape
    assert (image == GREY).all()
    assert draw_face(GREY, [5, 5, 5.4, 5.4], [0, 0, 0], 1).shape == GREY.shape
