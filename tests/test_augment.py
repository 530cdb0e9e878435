"""Views: labels follow flips and rotations exactly, photometric draws follow their seed."""

import random

import albumentations as A
import cv2
import numpy as np
import pytest

from hpe_core import augment
from hpe_core.augment import Photometric, pose_view
from hpe_core.geometry import flip_pyr, rotation_from_pyr

SIZE = (32, 24)


def crop(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (SIZE[0] + 16, SIZE[1] + 16, 3), np.uint8)


def test_flip_mirrors_pixels_and_pose():
    pose = np.array([10.0, 20, 30])
    window, pyr_deg = pose_view(crop(), pose, SIZE, 0.0, True)
    np.testing.assert_array_equal(window, crop()[8:-8, 8:-8][:, ::-1])
    np.testing.assert_allclose(pyr_deg, flip_pyr(pose))


def test_no_augmentation_is_the_central_window():
    window, pyr_deg = pose_view(crop(), np.array([1.0, 2, 3]), SIZE, 0.0, False)
    np.testing.assert_array_equal(window, crop()[8:-8, 8:-8])
    np.testing.assert_array_equal(pyr_deg, [1, 2, 3])


def test_rotation_leaves_the_angle_between_head_and_optical_axis():
    """An in-plane turn moves no axis towards the camera: the third row of R is unchanged."""
    rng = np.random.default_rng(3)
    for pose in rng.uniform(-80, 80, (50, 3)):
        _, turned = pose_view(crop(), pose, SIZE, rng.uniform(1, 15), False)
        np.testing.assert_allclose(
            rotation_from_pyr(turned)[2], rotation_from_pyr(pose)[2], atol=1e-9
        )
        assert not np.allclose(turned, pose)


def test_a_view_is_turned_first_and_mirrored_then():
    """Mirroring first would turn the other way."""
    pose = np.array([10.0, 20, 30])
    turned, turned_pose = pose_view(crop(), pose, SIZE, 12.0, False)
    window, pyr_deg = pose_view(crop(), pose, SIZE, 12.0, True)
    np.testing.assert_array_equal(window, turned[:, ::-1])
    np.testing.assert_allclose(pyr_deg, flip_pyr(turned_pose))


@pytest.mark.parametrize("p", [0.5, 1.0])
def test_photometric_is_a_function_of_its_generator(p):
    chain = Photometric(p, 7)
    once = [chain(crop(i), np.random.default_rng(i)) for i in range(12)]
    again = [Photometric(p, 7)(crop(i), np.random.default_rng(i)) for i in reversed(range(12))]
    for first, second in zip(once, reversed(again), strict=True):
        np.testing.assert_array_equal(first, second)
    assert any(not np.array_equal(image, crop(i)) for i, image in enumerate(once))


def test_photometric_with_probability_zero_changes_nothing():
    np.testing.assert_array_equal(Photometric(0.0, 7)(crop(), np.random.default_rng(0)), crop())


def test_the_five_steps_fire_independently_of_each_other():
    """albumentations' own seeding gives every step the same draws: all five fire, or none."""
    chain = Photometric(0.5, 3)
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


def test_shadows_are_albumentations_own_bytes():
    for seed in range(40):
        image = smooth(seed)
        expected = seeded(A.RandomShadow(p=1), seed)(image=image)["image"]
        found = seeded(augment.RandomShadow(p=1), seed)(image=image)["image"]
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("color_shift", "intensity"),
    [
        pytest.param(0.01, 0.1, id="least"),
        pytest.param(0.03, 0.3, id="middle"),
        pytest.param(0.05, 0.5, id="most"),
        pytest.param(60.0, 0.3, id="colours-that-show"),  # the rest moves hues by 0.025° at most
    ],
)
def test_sensor_noise_has_albumentations_distribution(color_shift, intensity):
    """The change of a channel, over 60 draws of 9,216 pixels: histograms within sampling noise."""
    image = smooth(1)
    theirs, ours = (
        np.stack([step.apply(image, color_shift, intensity, seed) for seed in seeds]).astype(int)
        - image
        for step, seeds in (
            (A.ISONoise(p=1), range(60)),
            (augment.ISONoise(p=1), range(100, 160)),
        )
    )
    n = theirs[..., 0].size
    for channel in range(3):
        counts = [
            np.bincount(change[..., channel].ravel() + 255, minlength=511)
            for change in (theirs, ours)
        ]
        common = sum(counts) >= 20
        difference = (counts[0] - counts[1])[common] / np.sqrt(sum(counts)[common])
        # each difference is about normal, so their mean square is about 1
        assert np.mean(difference**2) < 2, channel
        # and noise that falls on neighbouring pixels is not correlated
        change = ours[..., channel] - ours[..., channel].mean(0)
        correlation = (change[:, :, 1:] * change[:, :, :-1]).mean() / max(change.var(), 1e-9)
        assert abs(correlation) < 5 / np.sqrt(n)


def test_sensor_noise_follows_its_seed_alone():
    image, step = smooth(2), augment.ISONoise(p=1)
    cv2.setRNGSeed(3)
    once = step.apply(image, 30.0, 0.3, 7)
    cv2.randn(np.empty(99), 0, 1)
    np.testing.assert_array_equal(step.apply(image, 30.0, 0.3, 7), once)
    assert not np.array_equal(step.apply(image, 30.0, 0.3, 8), once)
