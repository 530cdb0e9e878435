"""Intervals and tests over faces, against formulas for large samples and against loops."""

import itertools
import tracemalloc

import numpy as np
import pytest

from hpe_core.evaluation import bootstrap
from hpe_core.evaluation.bootstrap import group_sums, mean_interval, paired_difference, sign_flip_p

Z = 1.96  # the normal distribution's 95 % interval is ± 1.96 standard errors


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def half_width(errors: np.ndarray, groups: np.ndarray | None = None) -> float:
    low, high = mean_interval(errors, rng(), groups)
    return float(high - low) / 2


@pytest.mark.parametrize("n", [200, 3000])
def test_the_interval_is_that_of_the_central_limit_theorem(n):
    errors = rng(1).exponential(5, n)
    low, high = mean_interval(errors, rng())
    standard_error = errors.std() / np.sqrt(n)
    assert low == pytest.approx(errors.mean() - Z * standard_error, abs=0.2 * standard_error)
    assert high == pytest.approx(errors.mean() + Z * standard_error, abs=0.2 * standard_error)


def test_the_interval_equals_a_loop_over_drawn_faces():
    errors = rng(1).exponential(5, 40)
    draws, means = rng(), []
    for _ in range(bootstrap.DRAWS):
        means.append(np.mean([errors[face] for face in draws.integers(40, size=40)]))
    np.testing.assert_allclose(mean_interval(errors, rng()), np.quantile(means, [0.025, 0.975]))


def test_groups_are_drawn_whole():
    """Against a loop that puts the drawn groups' faces together; groups differ in size."""
    names = np.array(["c", "a", "a", "b", "c", "c", "c", "d"])
    errors = rng(1).exponential(5, (8, 2))
    draws, means = rng(), []
    for _ in range(bootstrap.DRAWS):
        drawn = np.array(["c", "a", "b", "d"])[draws.integers(4, size=4)]
        means.append(np.concatenate([errors[names == name] for name in drawn]).mean(0))
    expected = np.quantile(means, [0.025, 0.975], axis=0)
    np.testing.assert_allclose(mean_interval(errors, rng(), names), expected)


def test_columns_are_intervals_of_their_own():
    errors = rng(1).exponential([1, 5, 9], (100, 3))
    together = np.array(mean_interval(errors, rng()))
    assert together.shape == (2, 3)
    for column in range(3):
        np.testing.assert_allclose(together[:, column], mean_interval(errors[:, column], rng()))


@pytest.mark.parametrize("size", [4, 25])
def test_copies_of_a_face_say_nothing_new(size):
    """A face written `size` times is as wide as one face, and √size times as taken for many."""
    errors = rng(1).exponential(5, 400)
    copies, names = np.repeat(errors, size), np.repeat(np.arange(400), size)
    assert half_width(copies, names) == pytest.approx(half_width(errors))
    ratio = half_width(copies, names) / half_width(copies)
    assert ratio == pytest.approx(np.sqrt(size), rel=0.1)


def test_independent_faces_lose_nothing_by_groups():
    errors, names = rng(1).exponential(5, 4000), np.repeat(np.arange(400), 10)
    assert half_width(errors, names) == pytest.approx(half_width(errors), rel=0.15)


def test_groups_of_one_face_are_no_groups():
    errors = rng(1).exponential(5, 50)
    assert mean_interval(errors, rng(), np.arange(50)) == mean_interval(errors, rng())


@pytest.mark.parametrize(
    ("errors", "groups"),
    [
        pytest.param([3.0], None, id="one face"),
        pytest.param([1.0, 3.0, 5.0], ["v", "v", "v"], id="one group"),
        pytest.param([3.0, 3.0, 3.0], None, id="faces alike"),
    ],
)
def test_what_cannot_vary_has_no_width(errors, groups):
    assert mean_interval(errors, rng(), groups) == (3.0, 3.0)


def test_no_face_is_an_error():
    with pytest.raises(ValueError, match="no face"):
        mean_interval(np.empty((0, 3)), rng())
    with pytest.raises(ValueError, match="no face"):
        paired_difference(np.empty((1, 0)), np.empty((1, 0)), rng())


@pytest.mark.parametrize(
    "other", [(1, 50), (4, 49), (4, 1)], ids=["one run", "a face less", "one face"]
)
def test_other_runs_or_faces_are_an_error(other):
    """Arrays of one row or column would silently be repeated."""
    with pytest.raises(ValueError, match=r"\(4, 50\) of a"):
        paired_difference(np.ones((4, 50)), np.ones(other), rng())


def test_memory_does_not_grow_with_the_draws():
    errors = rng(1).exponential(5, 20_000)
    tracemalloc.start()
    mean_interval(errors, rng())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10 * errors.nbytes


def test_sums_and_sizes_of_groups():
    totals, sizes = group_sums([[1, 2], [3, 4], [5, 6]], ["b", "a", "b"])
    assert totals.tolist() == [[6, 8], [3, 4]]
    assert sizes.tolist() == [2, 1]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("shift", [0.0, 0.5, 1.0])
def test_p_is_the_share_of_all_sign_patterns(seed, shift):
    differences = rng(seed).normal(shift, 1, 9)
    patterns = np.array(list(itertools.product([-1, 1], repeat=9)))
    exact = np.mean(np.abs(patterns @ differences) >= abs(differences.sum()) - 1e-9)
    assert sign_flip_p(differences, rng()) == pytest.approx(exact, abs=0.035)


@pytest.mark.parametrize("shape", ["normal", "rare and large"])
def test_networks_that_are_alike_differ_in_five_percent_of_the_cases(shape, monkeypatch):
    """Also for twelve faces with heavy tails, where an interval of the bootstrap is too narrow."""
    monkeypatch.setattr(bootstrap, "DRAWS", 199)
    data, draws = rng(2), rng(3)
    found = []
    for _ in range(600):
        noise = data.normal(size=12) if shape == "normal" else data.standard_t(1.5, 12)
        found.append(sign_flip_p(noise, draws) <= 0.05)
    assert 0.025 < np.mean(found) < 0.075


def test_a_real_difference_has_an_interval_around_it():
    a, noise = rng(1).exponential(5, (1, 2000)), rng(2).normal(0, 2, (1, 2000))
    found = paired_difference(a, a - 0.3 + noise - noise.mean(), rng())
    assert found.mean == pytest.approx(0.3)
    width = Z * noise.std() / np.sqrt(2000)
    assert (found.low, found.high) == pytest.approx((0.3 - width, 0.3 + width), abs=0.1 * width)
    assert found.p == pytest.approx(1 / (bootstrap.DRAWS + 1)), "never 0"
    assert found.significant
    assert (found.runs, found.groups) == (1, 2000)
    assert np.isnan(found.run_std)


def test_pairing_sees_what_two_intervals_do_not():
    """Faces differ by far more than the networks do."""
    a = rng(1).exponential(5, (1, 500))
    b = a - 0.1 + rng(2).normal(0, 0.5, a.shape)
    (low_a, _), (_, high_b) = mean_interval(a[0], rng()), mean_interval(b[0], rng())
    assert high_b > low_a
    assert paired_difference(a, b, rng()).significant


def test_exchanging_the_networks_exchanges_the_sign():
    a, b = rng(1).exponential(5, (2, 3, 200))
    one, other = paired_difference(a, b, rng()), paired_difference(b, a, rng())
    assert (one.mean, one.p, one.run_std) == (-other.mean, other.p, other.run_std)
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low))


def test_a_network_does_not_differ_from_itself():
    a = rng(1).exponential(5, (2, 50))
    found = paired_difference(a, a, rng())
    assert (found.mean, found.low, found.high, found.p) == (0, 0, 0, 1)
    assert not found.significant


def test_the_test_is_of_the_mean_over_the_runs():
    a, b = rng(1).exponential(5, (2, 4, 100))
    found = paired_difference(a, b, rng())
    merged = paired_difference(a.mean(0)[None], b.mean(0)[None], rng())
    assert found.mean == pytest.approx(merged.mean)
    assert found.p == pytest.approx(merged.p, abs=0.03)  # other random signs
    assert found.runs == 4
    assert found.by_run == pytest.approx((a - b).mean(1))
    assert found.run_std == pytest.approx(np.std((a - b).mean(1), ddof=1))


def test_the_interval_covers_seeds_and_faces():
    """By loops: runs and whole groups, both drawn with replacement."""
    a, b = rng(1).exponential(5, (2, 3, 40))
    a += np.array([[0.0], [1.0], [4.0]])
    names = np.arange(40) // 4
    found, draws, means = paired_difference(a, b, rng(), names), rng(), []
    for _ in range(bootstrap.DRAWS):
        groups, runs = draws.integers(10, size=10), draws.integers(3, size=3)
        faces = [face for group in groups for face in np.flatnonzero(names == group)]
        means.append(np.mean([(a - b)[run, face] for run in runs for face in faces]))
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(means, [0.025, 0.975])))


def test_three_seeds_that_disagree_widen_the_interval():
    faces = rng(1).exponential(5, (1, 2000))
    alike = paired_difference(np.repeat(faces, 3, 0), np.repeat(faces - 1, 3, 0), rng())
    apart = paired_difference(
        np.repeat(faces, 3, 0), faces - np.array([[0.5], [1.0], [1.5]]), rng()
    )
    assert (alike.low, alike.high) == pytest.approx((1, 1))
    assert (apart.low, apart.high) == pytest.approx((0.5, 1.5))  # 1 in 27 draws is three of one


@pytest.mark.parametrize("groups", [2, 5])
def test_few_videos_prove_nothing_however_many_frames(groups):
    """2^G signs: five videos of one mind come to p = 1/16."""
    names = np.repeat(np.arange(groups), 200)
    a, b = np.full((1, len(names)), 5.0), np.full((1, len(names)), 4.0)
    found = paired_difference(a, b, rng(), names)
    assert found.groups == groups
    assert found.p == pytest.approx(2 / 2**groups, abs=0.03)
    assert not found.significant
    assert paired_difference(a, b, rng()).significant


def test_copies_of_a_face_prove_nothing_new():
    a = rng(1).exponential(5, (1, 100))
    b = a - 0.1 + rng(2).normal(0, 1, a.shape)
    copies = [np.repeat(x, 50, axis=1) for x in (a, b)]
    grouped = paired_difference(*copies, rng(), np.repeat(np.arange(100), 50))
    assert grouped.p == pytest.approx(paired_difference(a, b, rng()).p)
    assert not grouped.significant
    assert paired_difference(*copies, rng()).significant
