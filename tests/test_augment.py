"""Views: labels follow flips and rotations exactly, photometric draws follow their seed."""

import random

import albumentations as A
import cv2
import numpy as np
import pytest

from hpe_core.common.geometry import flip_pyr, rotation_from_pyr
from hpe_core.training import augment
from hpe_core.training.augment import CropView, Photometric, pose_view

SIZE = (32, 24)


def crop(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (SIZE[0] + 16, SIZE[1] + 16, 3), np.uint8)


def test_a_flip_is_of_pixels_and_pose():
    pose = np.array([10.0, 20, 30])
    window, pyr_deg = pose_view(crop(), pose, SIZE, CropView(flipped=True))
    np.testing.assert_array_equal(window, crop()[8:-8, 8:-8][:, ::-1])
    np.testing.assert_allclose(pyr_deg, flip_pyr(pose))


def test_no_augmentation_is_the_central_window():
    window, pyr_deg = pose_view(crop(), np.array([1.0, 2, 3]), SIZE, CropView())
    np.testing.assert_array_equal(window, crop()[8:-8, 8:-8])
    np.testing.assert_array_equal(pyr_deg, [1, 2, 3])


def test_rotation_leaves_the_angle_between_head_and_optical_axis():
    """An in-plane rotation moves no axis towards the camera: the third row of R is unchanged."""
    rng = np.random.default_rng(3)
    for pose in rng.uniform(-80, 80, (50, 3)):
        _, rotated = pose_view(crop(), pose, SIZE, CropView(rng.uniform(1, 15)))
        np.testing.assert_allclose(
            rotation_from_pyr(rotated)[2], rotation_from_pyr(pose)[2], atol=1e-9
        )
        assert not np.allclose(rotated, pose)


def test_a_view_is_rotated_first_and_flipped_then():
    """Flipping first would rotate the other way."""
    pose = np.array([10.0, 20, 30])
    rotated, rotated_pose = pose_view(crop(), pose, SIZE, CropView(12.0))
    window, pyr_deg = pose_view(crop(), pose, SIZE, CropView(12.0, True))
    np.testing.assert_array_equal(window, rotated[:, ::-1])
    np.testing.assert_allclose(pyr_deg, flip_pyr(rotated_pose))


@pytest.mark.parametrize("p", [0.5, 1.0])
def test_photometric_is_a_function_of_its_generator(p):
    chain = Photometric(SIZE, p, 7)
    once = [chain(crop(i), np.random.default_rng(i)) for i in range(12)]
    again = [
        Photometric(SIZE, p, 7)(crop(i), np.random.default_rng(i)) for i in reversed(range(12))
    ]
    for first, second in zip(once, reversed(again), strict=True):
        np.testing.assert_array_equal(first, second)
    assert any(not np.array_equal(image, crop(i)) for i, image in enumerate(once))


def test_photometric_with_probability_zero_changes_nothing():
    np.testing.assert_array_equal(
        Photometric(SIZE, 0.0, 7)(crop(), np.random.default_rng(0)), crop()
    )


def test_the_five_steps_fire_independently_of_each_other():
    """albumentations' own seeding gives every step the same draws: all five fire, or none."""
    chain = Photometric(SIZE, 0.5, 3)
    fired: list[str] = []
    for step in chain._chain.transforms:
        name, apply = type(step).__name__ + str(id(step)), step.__class__.__call__

        class Recorder(step.__class__):
            recorded, original = name, apply

            def __call__(self, *args, force_apply=False, **kwargs):
                before = self.py_random.getstate()
                if self.py_random.random() < self.p:
                    fired.append(self.recorded)
                self.py_random.setstate(before)
                return type(self).original(self, *args, force_apply=force_apply, **kwargs)

        step.__class__ = Recorder
    image, counts, n = crop(), [], 400
    for seed in range(n):
        fired.clear()
        chain(image, np.random.default_rng(seed))
        counts.append(len(set(fired)))
    # Binomial(5, 1/2): all or none in one view of sixteen, not in every one
    assert np.mean(counts) == pytest.approx(2.5, abs=0.25)
    assert np.mean([count in (0, 5) for count in counts]) < 0.15


def seeded(step: A.BasicTransform, seed: int) -> A.BasicTransform:
    step.set_random_state(np.random.default_rng(seed), random.Random(seed))
    return step


def smooth(seed: int, size: int = 96) -> np.ndarray:
    """A picture with all colours and soft edges, more like a face than noise is."""
    noise = np.random.default_rng(seed).normal(size=(size, size, 3)).astype(np.float32)
    soft = cv2.GaussianBlur(noise, (0, 0), 6)
    return cv2.normalize(soft, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)


# What albumentations 0.5.2, which the paper's authors pin, does, written out from its source.


def shadow_of_052(image: np.ndarray, polygons: list[np.ndarray]) -> np.ndarray:
    hls, mask = cv2.cvtColor(image, cv2.COLOR_RGB2HLS), np.zeros_like(image)
    for polygon in polygons:
        cv2.fillPoly(mask, [polygon.astype(np.int32)], 255)
    dark = mask[:, :, 0] == 255
    hls[:, :, 1][dark] = hls[:, :, 1][dark] * 0.5
    return cv2.cvtColor(hls, cv2.COLOR_HLS2RGB)


def iso_noise_of_052(image, color_shift: float, intensity: float, seed: int) -> np.ndarray:
    state = np.random.RandomState(seed)
    hls = cv2.cvtColor(np.multiply(image, 1 / 255, dtype=np.float32), cv2.COLOR_RGB2HLS)
    deviation = float(cv2.meanStdDev(hls)[1][1, 0])
    grain = state.poisson(deviation * intensity * 255, size=hls.shape[:2])
    hue = hls[..., 0]
    hue += state.normal(0, color_shift * 360 * intensity, size=hls.shape[:2])
    hue[hue < 0] += 360
    hue[hue > 360] -= 360
    lightness = hls[..., 1]
    lightness += (grain / 255) * (1.0 - lightness)
    return np.clip(cv2.cvtColor(hls, cv2.COLOR_HLS2RGB) * 255, 0, 255).astype(np.uint8)


def test_shadows_are_those_of_052_and_not_todays():
    rng, different = np.random.default_rng(0), 0
    for seed in range(40):
        image = smooth(seed)
        polygons = [rng.integers((0, 48), (96, 96), (5, 2)) for _ in range(1 + seed % 2)]
        found = augment.RandomShadow(p=1).apply(image, polygons, intensities=np.full(2, 0.5))
        np.testing.assert_array_equal(found, shadow_of_052(image, polygons))
        today = A.RandomShadow(p=1).apply(image, polygons, np.full(len(polygons), 0.5))
        different += not np.array_equal(found, today)
    assert different > 10  # today darkens twice where two overlap


def test_a_shadow_falls_on_the_lower_half_as_in_052():
    step = augment.RandomShadow(p=1)
    image = np.full((224, 224, 3), 200, np.uint8)
    share = [(seeded(step, seed)(image=image)["image"] < 150).any(-1) for seed in range(200)]
    polygons = [
        [np.random.default_rng([seed, part]).integers((0, 112), (225, 225), (5, 2)) for part in two]
        for seed in range(200)
        for two in [range(1 + seed % 2)]
    ]
    expected = [(shadow_of_052(image, each) < 150).any(-1) for each in polygons]
    assert not np.stack(share)[:, :112].any()
    assert np.mean(share) == pytest.approx(np.mean(expected), rel=0.15)


@pytest.mark.parametrize(
    ("color_shift", "intensity"),
    [
        pytest.param(0.01, 0.1, id="least"),
        pytest.param(0.03, 0.3, id="middle"),
        pytest.param(0.05, 0.5, id="most"),
    ],
)
def test_sensor_noise_has_the_distribution_of_052(color_shift, intensity):
    """The change of a channel, over 60 draws of 9,216 pixels: histograms within sampling noise."""
    image = smooth(1)
    theirs = [iso_noise_of_052(image, color_shift, intensity, seed) for seed in range(60)]
    step = augment.ISONoise(p=1)
    ours = [step.apply(image, color_shift, intensity, seed) for seed in range(100, 160)]
    changes = [np.stack(each).astype(int) - image for each in (theirs, ours)]
    for channel in range(3):
        counts = [np.bincount(c[..., channel].ravel() + 255, minlength=511) for c in changes]
        common = sum(counts) >= 20
        difference = (counts[0] - counts[1])[common] / np.sqrt(sum(counts)[common])
        # each difference is about normal, so their mean square is about 1
        assert np.mean(difference**2) < 2, channel
        # and the noise of neighbouring pixels is not correlated
        change = changes[1][..., channel] - changes[1][..., channel].mean(0)
        correlation = (change[:, :, 1:] * change[:, :, :-1]).mean() / max(change.var(), 1e-9)
        assert abs(correlation) < 0.03


def test_sensor_noise_is_on_every_pixel_and_todays_is_not():
    image, (ours, todays) = smooth(3), (augment.ISONoise(p=1), A.ISONoise(p=1))
    changed = [
        np.mean([(step.apply(image, 0.03, 0.3, seed) != image).any(-1) for seed in range(20)])
        for step in (ours, todays)
    ]
    assert changed[0] > 0.8
    assert changed[1] < 0.2


@pytest.mark.parametrize(("side", "hole"), [(224, 8), (112, 4), (64, 2), (32, 1)])
def test_eight_holes_take_a_hundredth_of_the_picture(side, hole):
    """0.5.2: eight of 8 x 8 pixels; today's default is one or two of a tenth to a fifth."""
    chain = Photometric((side, side), 1.0, 3)._chain
    step = next(each for each in chain.transforms if isinstance(each, A.CoarseDropout))
    image = np.full((side, side, 3), 9, np.uint8)
    black = [(seeded(step, seed)(image=image)["image"] == 0).all(-1) for seed in range(100)]
    assert np.mean(black) == pytest.approx(0.0102, abs=0.0035)
    assert max(each.sum() for each in black) == 8 * hole**2


def test_the_other_steps_have_the_arguments_of_052():
    """Their defaults are the same in both versions; a later albumentations may change them."""
    names = {}
    for step in Photometric((224, 224), 0.5, 7)._chain.transforms:
        for each in getattr(step, "transforms", [step]):
            names[type(each).__name__] = each
    assert names["HueSaturationValue"].hue_shift_limit == (-20, 20)
    assert names["HueSaturationValue"].sat_shift_limit == (-30, 30)
    assert names["HueSaturationValue"].val_shift_limit == (-20, 20)
    assert names["CLAHE"].clip_limit == (1, 4)
    assert names["CLAHE"].tile_grid_size == (8, 8)
    assert (names["Equalize"].mode, names["Equalize"].by_channels) == ("cv", True)
    assert names["Solarize"].threshold_range == (0.5, 0.5)
    assert names["ChannelDropout"].channel_drop_range == (1, 1)
    assert names["MedianBlur"].blur_limit == (3, 7)
    assert names["RandomShadow"].shadow_roi == (0, 0.5, 1, 1)
    assert names["RandomShadow"].num_shadows_limit == (1, 2)
    assert names["RandomShadow"].shadow_dimension == 5
    assert names["ISONoise"].color_shift == (0.01, 0.05)
    assert names["ISONoise"].intensity == (0.1, 0.5)


def test_sensor_noise_follows_its_seed_alone():
    image, step = smooth(2), augment.ISONoise(p=1)
    cv2.setRNGSeed(3)
    once = step.apply(image, 0.05, 0.3, 7)
    cv2.randn(np.empty(99), 0, 1)
    np.testing.assert_array_equal(step.apply(image, 0.05, 0.3, 7), once)
    assert not np.array_equal(step.apply(image, 0.05, 0.3, 8), once)
