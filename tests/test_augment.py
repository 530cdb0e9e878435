"""Views: labels follow flips and rotations exactly, photometric draws follow their seed."""

import numpy as np
import pytest

from hpe_core.augment import Photometric, pose_view
from hpe_core.geometry import flip_pyr, rotation_from_pyr

SIZE = (32, 24)


def crop(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (SIZE[0] + 16, SIZE[1] + 16, 3), np.uint8)


def test_flip_mirrors_pixels_and_pose():
    pose = np.array([10.0, 20, 30])
    window, pyr_deg, flipped = pose_view(crop(), pose, SIZE, 1.0, 0.0, np.random.default_rng(0))
    assert flipped
    np.testing.assert_array_equal(window, crop()[8:-8, 8:-8][:, ::-1])
    np.testing.assert_allclose(pyr_deg, flip_pyr(pose))


def test_no_augmentation_is_the_central_window():
    window, pyr_deg, flipped = pose_view(
        crop(), np.array([1.0, 2, 3]), SIZE, 0.0, 0.0, np.random.default_rng(0)
    )
    assert not flipped
    np.testing.assert_array_equal(window, crop()[8:-8, 8:-8])
    np.testing.assert_array_equal(pyr_deg, [1, 2, 3])


def test_rotation_leaves_the_angle_between_head_and_optical_axis():
    """An in-plane turn moves no axis towards the camera: the third row of R is unchanged."""
    rng = np.random.default_rng(3)
    for pose in rng.uniform(-80, 80, (50, 3)):
        _, turned, _ = pose_view(crop(), pose, SIZE, 0.0, 15.0, rng)
        np.testing.assert_allclose(
            rotation_from_pyr(turned)[2], rotation_from_pyr(pose)[2], atol=1e-9
        )
        assert not np.allclose(turned, pose)


def test_flips_come_half_of_the_time():
    rng = np.random.default_rng(1)
    flips = [pose_view(crop(), np.zeros(3), SIZE, 0.5, 0.0, rng)[2] for _ in range(400)]
    assert 150 < sum(flips) < 250


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
