"""A network's own uncertainty: closed forms, and loops over faces."""

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from hpe_core.evaluation.uncertainty import (
    ONE_SIGMA,
    aurc_gain,
    face_uncertainty,
    rank_correlation,
    risk_coverage,
    scale_for_coverage,
    std_coverage,
)
from hpe_core.networks.bins import BinSpec, entropy
from hpe_core.teacher.ensemble import average

SPEC = BinSpec(1.0)
PER_FACE = [std_coverage, scale_for_coverage, rank_correlation, risk_coverage, aurc_gain]


def noise(n: int = 500, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Errors (n x 3) that are normal, of the standard deviations returned beside them."""
    rng = np.random.default_rng(seed)
    std = rng.uniform(1, 10, (n, 3))
    return rng.normal(0, std), std


def discrete_normal(mean_deg: float, std_deg: float) -> Tensor:
    return torch.softmax(-((SPEC.centers_deg.double() - mean_deg) ** 2) / (2 * std_deg**2), -1)


@pytest.mark.parametrize("mean_deg", [0.0, -40.3, 60.0])
@pytest.mark.parametrize("std_deg", [1.0, 4.0, 9.0])
def test_the_std_of_a_normal_distribution(mean_deg, std_deg):
    found = SPEC.std_deg(discrete_normal(mean_deg, std_deg))
    assert found.item() == pytest.approx(std_deg, rel=1e-3)


@pytest.mark.parametrize(
    ("bins", "expected"),
    [
        pytest.param([0], 0.0, id="one bin, the outermost"),
        pytest.param([98, 99], 0.5, id="two neighbours"),
        pytest.param([0, 197], 98.5, id="both ends"),
        pytest.param(range(198), np.sqrt((198**2 - 1) / 12), id="all bins alike"),
    ],
)
def test_the_std_of_equal_bins(bins, expected):
    probs = torch.zeros(2, 3, SPEC.n_bins)
    probs[1, 2, list(bins)] = 1 / len(bins)
    probs[..., 0] += probs.sum(-1) == 0
    found = SPEC.std_deg(probs)
    assert found.shape == (2, 3)
    assert found[1, 2].item() == pytest.approx(expected, rel=1e-5)
    assert found.sum() == found[1, 2]


def test_what_is_read_from_a_distribution():
    probs = torch.rand(5, 3, SPEC.n_bins, generator=torch.Generator().manual_seed(0)).softmax(-1)
    angle_deg, std_deg = SPEC.angle_and_std_deg(probs)
    for face, angle in np.ndindex(5, 3):
        mean, variance = np.average(SPEC.centers_deg, weights=probs[face, angle]), 0.0
        for centre, prob in zip(SPEC.centers_deg, probs[face, angle], strict=True):
            variance += float(prob) * (float(centre) - mean) ** 2
        assert angle_deg[face, angle].item() == pytest.approx(mean, abs=1e-4)
        assert std_deg[face, angle].item() == pytest.approx(variance**0.5, rel=1e-5)


@pytest.mark.parametrize("bin_deg", [1.0, 3.0, 4.0])
def test_total_variance_is_that_within_windows_and_between_them(bin_deg):
    spec = BinSpec(bin_deg)
    logits = 3 * torch.randn(5, 9, 3, spec.n_bins, generator=torch.Generator().manual_seed(0))
    probs = logits.double().softmax(-1)
    mean, _, between = average(probs, spec)
    within = spec.std_deg(probs).square().mean(1)
    total = spec.std_deg(mean).square()
    torch.testing.assert_close(total, within + between.square())
    assert (between > 1).all(), "the windows must differ for this to say anything"


def test_coverage_counts_faces_per_angle():
    errors = [[1.0, -5.0, 2.0], [-3.0, 0.0, 2.1], [1.5, 9.0, -2.0], [2.0, 9.0, -2.2]]
    assert std_coverage(errors, np.full((4, 3), 2.0)).tolist() == [0.75, 0.25, 0.5]


def test_a_normal_error_is_covered_as_a_normal_error():
    errors, std = noise(200_000)
    np.testing.assert_allclose(std_coverage(errors, std), ONE_SIGMA, atol=0.005)
    np.testing.assert_allclose(scale_for_coverage(errors, std), 1.0, atol=0.01)
    np.testing.assert_allclose(scale_for_coverage(errors, std / [1, 2, 4]), [1, 2, 4], rtol=0.01)


@pytest.mark.parametrize("bins", [1, 2, 198])
def test_the_entropy_of_equal_bins(bins):
    probs = torch.zeros(2, 3, SPEC.n_bins)
    probs[..., :bins] = 1 / bins
    torch.testing.assert_close(entropy(probs), torch.full((2, 3), float(np.log(bins))))


def test_the_entropy_is_scipys():
    probs = torch.softmax(torch.linspace(-9, 9, 5 * 198).reshape(5, 198).sin() * 4, -1)
    np.testing.assert_allclose(entropy(probs), stats.entropy(probs, axis=1), rtol=1e-5)


@pytest.mark.parametrize("n", [1, 2, 3, 10, 101])
def test_the_factor_is_the_least_that_covers_enough(n):
    errors, std = noise(n)
    factor = scale_for_coverage(errors, std)
    assert (std_coverage(errors, std * factor * (1 + 1e-12)) >= ONE_SIGMA).all()
    assert (std_coverage(errors, std * factor * (1 - 1e-12)) < ONE_SIGMA).all()


def test_faces_of_no_uncertainty_are_covered_only_where_they_have_no_error():
    errors, std = np.full((10, 3), -6.0), np.full((10, 3), 2.0)
    std[:3] = 0
    np.testing.assert_allclose(scale_for_coverage(errors, std), 3.0)
    std[3, 1] = 0
    with pytest.raises(ValueError, match=r"std is 0 for \[0.3 0.4 0.3\]"):
        scale_for_coverage(errors, std)
    errors[:4] = 0
    np.testing.assert_allclose(scale_for_coverage(errors, std), 3.0)


def test_rank_correlation_is_scipys():
    errors, std = noise(300)
    errors, std = errors.round(), std.round()  # with many equal values
    found = rank_correlation(std, errors)
    expected = [stats.spearmanr(std[:, i], np.abs(errors[:, i])).statistic for i in range(3)]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_rank_correlation_sees_order_alone_and_no_sign():
    std = np.arange(1.0, 31.0).reshape(10, 3)
    signs = np.where(np.arange(30) % 2, 1, -1).reshape(10, 3)
    np.testing.assert_allclose(rank_correlation(std, signs * std**3), 1.0)
    np.testing.assert_allclose(rank_correlation(std, signs / std), -1.0)


@pytest.mark.parametrize("n", [1, 2, 7, 50])
def test_what_is_the_same_for_all_faces_has_no_rank(n):
    errors, std = noise(n)
    assert rank_correlation(np.full((n, 3), 0.1), errors).tolist() == [0, 0, 0]
    assert rank_correlation(std, np.full((n, 3), 0.1)).tolist() == [0, 0, 0]


def test_the_uncertainty_of_a_face_is_proportional_to_its_expected_error():
    std = np.array([[1.0, 1.0, 10.0], [4.0, 4.0, 4.0]])  # the root mean square orders them so
    errors = np.abs(np.random.default_rng(0).normal(0, std, (100_000, 2, 3))).mean((0, 2))
    np.testing.assert_allclose(errors / face_uncertainty(std), np.sqrt(2 / np.pi), rtol=0.01)


@pytest.mark.parametrize("n", [1, 3, 10, 37])
def test_risk_coverage_equals_a_loop(n):
    errors, std = noise(n)
    errors, uncertainty = np.abs(errors).mean(1), face_uncertainty(std)
    curve = risk_coverage(errors, uncertainty)
    assert curve["percent"].tolist() == list(range(10, 101, 10))
    for percent, mae in curve.itertuples(index=False):
        kept = sorted(zip(uncertainty, errors, strict=True))[: int(np.ceil(percent * n / 100))]
        assert mae == pytest.approx(np.mean([error for _, error in kept])), percent


def test_of_equally_certain_faces_the_expectation_over_their_orders_counts():
    errors = np.array([1.0, 9.0, 2.0, 4.0, 6.0])
    uncertainty = np.array([1.0, 2.0, 2.0, 2.0, 3.0])
    rng = np.random.default_rng(0)
    orders = []
    for _ in range(20_000):
        tie = rng.permutation([9.0, 2.0, 4.0])
        orders.append(np.cumsum([1.0, *tie, 6.0]) / np.arange(1, 6))
    expected = np.repeat(np.mean(orders, axis=0), 2)  # 10 and 20 % of five faces: one
    np.testing.assert_allclose(risk_coverage(errors, uncertainty)["mae"], expected, rtol=0.01)
    flipped = risk_coverage(errors[::-1], uncertainty[::-1])
    np.testing.assert_allclose(flipped, risk_coverage(errors, uncertainty), rtol=1e-12)


def test_the_gain_is_one_for_the_oracle_and_zero_for_chance():
    errors = np.random.default_rng(0).exponential(5, 20_000)
    assert aurc_gain(errors, errors**2) == pytest.approx(1)
    assert aurc_gain(errors, np.full(len(errors), 3.0)) == pytest.approx(0, abs=1e-12)
    assert aurc_gain(errors, np.random.default_rng(1).random(len(errors))) == pytest.approx(
        0, abs=0.03
    )
    assert aurc_gain(errors, -errors) < -1


def test_the_gain_in_a_closed_form():
    """Errors 1, 2, 3. Oracle: (1 + 1.5 + 2) / 3 = 1.5; random: 2; as ordered here: 5.5 / 3."""
    assert aurc_gain([1.0, 2.0, 3.0], [1.0, 3.0, 2.0]) == pytest.approx((2 - 5 / 3) / 0.5)
    assert aurc_gain([1.0, 2.0, 3.0], [2.0, 1.0, 3.0]) == pytest.approx((2 - 5.5 / 3) / 0.5)


def test_errors_that_are_all_equal_leave_nothing_to_gain():
    assert aurc_gain(np.full(7, 0.1), np.arange(7.0)) == 0


@pytest.mark.parametrize("function", PER_FACE)
@pytest.mark.parametrize(("n", "others"), [(0, 0), (3, 2)], ids=["no face", "other faces"])
def test_what_cannot_be_measured_is_an_error(function, n, others):
    with pytest.raises(ValueError, match="same faces"):
        function(np.ones((n, 3)), np.ones((others, 3)))
