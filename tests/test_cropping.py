"""Crops: windows of the enlarged crop against boxes cropped one by one, rotation, bad boxes."""

import cv2
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image
from shifted_box import shift_box

from hpe_core.common.geometry import rotate_pyr, rotation_from_pyr
from hpe_core.crops.window import enlarged_crop, published_crop, rotated_window


def smooth_image(seed: int, height: int = 160, width: int = 200) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(0, 256, (height // 8, width // 8, 3), np.uint8)
    return cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)


def cropped_alone(image: np.ndarray, box: np.ndarray, size_hw: tuple[int, int]) -> np.ndarray:
    """The slow, obvious way: pad the whole image, resize the one box with PIL."""
    pad = 400
    padded = cv2.copyMakeBorder(image, pad, pad, pad, pad, cv2.BORDER_REPLICATE)
    return np.asarray(
        Image.fromarray(padded).resize(
            size_hw[::-1], Image.Resampling.BILINEAR, box=tuple(box + pad)
        )
    )


@settings(max_examples=30, deadline=None)
@given(
    x1=st.floats(-30, 90), y1=st.floats(-30, 60), width=st.floats(20, 150),
    height=st.floats(20, 140), dx=st.integers(-5, 5), dy=st.integers(-5, 5),
)  # fmt: skip
def test_a_window_equals_the_shifted_box_cropped_alone(x1, y1, width, height, dx, dy):
    image, size_hw, margin = smooth_image(0), (24, 20), 5
    box = np.array([x1, y1, x1 + width, y1 + height])
    assume(x1 + width > 1 and y1 + height > 1)  # it touches the image
    crop = enlarged_crop(image, box, size_hw, margin, "replicate")
    window = crop[margin + dy :, margin + dx :][: size_hw[0], : size_hw[1]]
    alone = cropped_alone(image, shift_box(box, [dx, dy], size_hw), size_hw)
    difference = np.abs(window.astype(int) - alone)
    assert difference.max() <= 2  # PIL rounds its filter's weights


def test_margin_of_black_border_is_black_and_replicated_is_not():
    image = np.full((40, 40, 3), 200, np.uint8)
    box = np.array([-20.0, 0, 20, 40])
    black = enlarged_crop(image, box, (20, 20), 4, "black")
    assert black[:, 0].max() == 0
    assert enlarged_crop(image, box, (20, 20), 4, "replicate").min() == 200


@pytest.mark.parametrize(
    "box",
    [
        pytest.param([10, 10, 10, 30], id="no-width"),
        pytest.param([30, 10, 10, 30], id="inverted"),
        pytest.param([300, 10, 320, 30], id="right-of-the-image"),
        pytest.param([float("nan"), 10, 30, 30], id="nan"),
    ],
)
@pytest.mark.parametrize("rule", ["enlarged", "published"])
def test_a_box_without_pixels_is_refused(box, rule):
    image = smooth_image(1)
    with pytest.raises(ValueError, match="no area inside the image of 200x160"):
        if rule == "enlarged":
            enlarged_crop(image, np.array(box, float), (8, 8), 1, "replicate")
        else:
            published_crop(image, np.array(box, float), (8, 8))


def test_published_crop_has_integer_corners_clipped_at_zero():
    image = smooth_image(2)
    crop = published_crop(image, np.array([-3.7, 5.9, 40.9, 60.2]), (16, 12))
    expected = cv2.resize(image[5:60, 0:40], (12, 16), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_array_equal(crop, expected)


def test_published_crop_of_a_box_past_the_right_edge_keeps_what_is_there():
    image = smooth_image(2)
    crop = published_crop(image, np.array([150, 100, 400, 400.0]), (16, 12))
    np.testing.assert_array_equal(crop, cv2.resize(image[100:, 150:], (12, 16)))


@pytest.mark.parametrize("phi_deg", [-15.0, -4.0, 9.0, 15.0])
def test_the_image_is_rotated_as_rotate_pyr_rotates_the_pose(phi_deg):
    """A dot where the head's x axis points, seen from the front, moves to where the new R says."""
    crop = np.zeros((101, 101, 3), np.uint8)
    direction = rotation_from_pyr([0, 0, 20])[:2, 0]
    x, y = np.round(50 + 35 * direction).astype(int)
    cv2.circle(crop, (int(x), int(y)), 3, (255, 255, 255), -1)
    rotated = rotated_window(crop, (91, 91), phi_deg)
    ys, xs = np.nonzero(rotated[..., 0] > 128)
    found = np.array([xs.mean(), ys.mean()]) - 45
    expected = rotation_from_pyr(rotate_pyr([0, 0, 20], phi_deg))[:2, 0] * 35
    np.testing.assert_allclose(found, expected, atol=1.0)


def test_rotation_by_zero_is_the_central_window():
    crop = smooth_image(3, 40, 48)
    np.testing.assert_array_equal(rotated_window(crop, (32, 40), 0.0), crop[4:36, 4:44])


@pytest.mark.parametrize(
    ("shift_px", "scale"),
    [((6.0, 0.0), 1.0), ((0.0, -5.0), 1.0), ((-3.5, 4.25), 1.2), ((0, 0), 0.8)],
)
def test_a_moved_and_resized_window_is_the_crop_of_that_box(shift_px, scale):
    """Cut from the image by itself; the window of the crop is interpolated once more."""
    image = cv2.GaussianBlur(smooth_image(4, 300, 320), (0, 0), 4)
    (h, w), margin = (40, 48), 14
    box = np.array([90.0, 80, 90 + 96, 80 + 80])  # two image pixels per crop pixel
    crop = enlarged_crop(image, box, (h, w), margin, "replicate")
    centre, half = np.array([138.0, 120]) + 2 * np.array(shift_px), scale * np.array([48.0, 40])
    moved = enlarged_crop(image, np.concatenate([centre - half, centre + half]), (h, w), 0, "black")
    window = rotated_window(crop, (h, w), 0.0, shift_px, scale)
    assert np.abs(window.astype(int) - moved).mean() < 1
    assert np.abs(crop[margin:-margin, margin:-margin].astype(int) - moved).mean() > 3


def test_a_moved_window_is_rotated_about_its_own_centre():
    crop = smooth_image(5, 100, 100)
    turned = rotated_window(crop, (40, 40), 12.0, (10.0, -7.0))
    np.testing.assert_array_equal(turned, rotated_window(crop[13:73, 30:90], (40, 40), 12.0))


def test_rotation_by_fifteen_degrees_shows_no_corner_from_outside_the_crop():
    """With a margin of 0.12 sides, what lies past the crop is never sampled."""
    side, margin = 100, 12 + 1  # the outermost ring stands for what lies past the margin
    crop = np.full((side + 2 * margin, side + 2 * margin, 3), 100, np.uint8)
    crop[0], crop[-1], crop[:, 0], crop[:, -1] = 255, 255, 255, 255  # would be replicated
    for phi_deg in (-15.0, 15.0):
        assert rotated_window(crop, (side, side), phi_deg).max() == 100
