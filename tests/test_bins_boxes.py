"""Bins and boxes against golden.json, slow obvious versions and known cases."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from shifted_box import shift_box

from hpe_core.faces import boxes
from hpe_core.networks import distributions
from hpe_core.networks.bins import BinSpec, entropy, flip_probs, shift_probs
from hpe_core.teacher.offsets import offset_grid

GOLDEN = json.loads((Path(__file__).parent / "golden.json").read_text())
SPECS = [pytest.param(float(b), s, id=f"b={b}") for b, s in GOLDEN["bins"]["specs"].items()]
SIZES = [pytest.param(key, size, id=key) for key, size in GOLDEN["ensemble_size"].items()]

coordinate = st.floats(-1000, 1000, allow_nan=False)
side = st.floats(1, 500)
box = st.builds(lambda x, y, w, h: (x, y, x + w, y + h), coordinate, coordinate, side, side)


@pytest.mark.parametrize(("bin_deg", "expected"), SPECS)
def test_golden_bins(bin_deg, expected):
    spec = BinSpec(bin_deg, GOLDEN["bins"]["theta_deg"])
    assert spec.n_bins == expected["n_bins"] == len(spec.centers_deg)
    assert spec.centers_deg[0] == expected["first_center"]
    assert spec.centers_deg[-1] == expected["last_center"]
    angles = torch.tensor([float(angle) for angle in expected["index_of"]])
    assert spec.encode(angles).tolist() == list(expected["index_of"].values())


@pytest.mark.parametrize(("bin_deg", "expected"), SPECS)
def test_each_centre_is_in_its_own_bin_and_symmetric(bin_deg, expected):
    spec = BinSpec(bin_deg)
    assert spec.encode(spec.centers_deg).tolist() == list(range(expected["n_bins"]))
    assert torch.equal(spec.centers_deg, -spec.centers_deg.flip(0))


def test_bins_cover_theta_where_the_size_does_not_divide():
    assert BinSpec(7.0).n_bins == 29  # 198 / 7 = 28.3
    assert float(BinSpec(7.0).centers_deg[-1]) + 3.5 >= 99


@given(st.sampled_from([1.0, 2.0, 3.0, 4.0]), st.floats(-99, 99, width=32))
def test_an_angle_lies_in_the_bin_it_is_given(bin_deg, angle_deg):
    spec = BinSpec(bin_deg)
    centre = float(spec.centers_deg[int(spec.encode(torch.tensor(angle_deg)))])
    assert abs(angle_deg - centre) <= bin_deg / 2 + 1e-4


@pytest.mark.parametrize("angle_deg", [99.1, 150.0, 1e6, -99.1, -1e6])
def test_beyond_theta_is_the_outermost_bin(angle_deg):
    spec = BinSpec()
    assert int(spec.encode(torch.tensor(angle_deg))) == (197 if angle_deg > 0 else 0)


@given(st.floats(-70, 70, width=32), st.floats(1.5, 9))
def test_a_smeared_angle_is_a_gaussian_about_it(angle_deg, std_deg):
    spec = BinSpec(1.0)
    probs = spec.gaussian(torch.tensor(angle_deg).double(), std_deg)
    assert float(probs.sum()) == pytest.approx(1)
    assert float(spec.expectation(probs)) == pytest.approx(angle_deg, abs=0.02)
    variance = (probs * (spec.centers_deg - angle_deg) ** 2).sum()
    assert float(variance.sqrt()) == pytest.approx(std_deg, rel=0.02)


@pytest.mark.parametrize("angle_deg", [-250.0, -99.0, -0.4, 12.7, 98.9, 1e4])
def test_a_hardly_smeared_angle_is_its_bin(angle_deg):
    spec = BinSpec(3.0)
    angle = torch.tensor(angle_deg)
    assert int(spec.gaussian(angle, 1e-3).argmax()) == int(spec.encode(angle))
    assert float(spec.gaussian(angle, 1e-3).max()) == pytest.approx(1)


def test_expectation_of_one_bin_is_its_centre_and_of_a_mixture_the_mean():
    spec = BinSpec(3.0)
    sure = torch.eye(spec.n_bins)
    torch.testing.assert_close(spec.expectation(sure), spec.centers_deg)
    half = (sure[3] + sure[10]) / 2
    expected = float(spec.centers_deg[3] + spec.centers_deg[10]) / 2
    assert float(spec.expectation(half)) == pytest.approx(expected)


def test_flip_of_probabilities_negates_yaw_and_roll_and_undoes_itself():
    spec = BinSpec()
    probs = torch.rand((5, 3, spec.n_bins), generator=torch.Generator().manual_seed(0)).double()
    probs /= probs.sum(-1, keepdim=True)
    signs = torch.tensor([1.0, -1.0, -1.0], dtype=torch.float64)
    flipped = flip_probs(probs)
    torch.testing.assert_close(spec.expectation(flipped), spec.expectation(probs) * signs)
    assert torch.equal(flip_probs(flipped), probs)
    assert torch.equal(flipped[:, 0], probs[:, 0])


@pytest.mark.parametrize("sharpness", [0.1, 3.0, 40.0])
@pytest.mark.parametrize("bin_deg", [0.5, 1.0, 3.0, 4.0, 7.0])
def test_numpys_formulas_are_torchs(bin_deg, sharpness):
    spec = BinSpec(bin_deg)
    bins = distributions.Bins(bin_deg)
    assert bins.n_bins == spec.n_bins
    assert distributions.centers_deg(bins).tolist() == spec.centers_deg.tolist()
    logits = torch.randn((4, 3, spec.n_bins), generator=torch.Generator().manual_seed(0))
    probs = torch.softmax(sharpness * logits.double(), -1)
    probs[0] = torch.eye(spec.n_bins)[:3]  # log 0
    close = {"rtol": 1e-12, "atol": 1e-10}
    pairs = [
        (distributions.expectation(probs, bins), spec.expectation(probs)),
        (distributions.std_deg(probs, bins), spec.std_deg(probs)),
        (distributions.entropy_nats(probs), entropy(probs)),
    ]
    for ours, theirs in pairs:
        assert ours.shape == theirs.shape == (4, 3)
        np.testing.assert_allclose(ours, theirs, **close)
    edges = torch.arange(-110, 110, bin_deg / 2, dtype=torch.float64)
    assert distributions.bin_of(edges, bins).tolist() == spec.encode(edges).tolist()


@pytest.mark.parametrize(("bin_deg", "theta_deg"), [(0, 99), (-1, 99), (1, 0)])
def test_impossible_bins(bin_deg, theta_deg):
    with pytest.raises(ValueError, match="must be positive"):
        BinSpec(bin_deg, theta_deg)


@pytest.mark.parametrize(("key", "size"), SIZES)
def test_golden_ensemble_size(key, size):
    radius, step = (int(part.split("=")[1]) for part in key.split(","))
    assert len(offset_grid(radius, step)) == size


@given(st.integers(0, 15), st.integers(1, 15))
def test_offsets_are_all_multiples_within_the_radius(radius, step):
    span = range(-radius, radius + 1)
    expected = [(dx, dy) for dy in span for dx in span if dx % step == dy % step == 0]
    assert [tuple(offset) for offset in offset_grid(radius, step)] == expected


@given(box, st.integers(-15, 15), st.integers(-15, 15))
def test_shift_equals_the_slow_version(bbox_xyxy, dx, dy):
    x1, y1, x2, y2 = bbox_xyxy
    h, w = 64, 112
    right, down = dx * (x2 - x1) / w, dy * (y2 - y1) / h
    expected = [x1 + right, y1 + down, x2 + right, y2 + down]
    many = shift_box(bbox_xyxy, [[0, 0], [dx, dy]], (h, w))
    np.testing.assert_allclose(many, [bbox_xyxy, expected], rtol=1e-12, atol=1e-9)


@given(box, box)
def test_iou_is_symmetric_and_bounded(a, b):
    value = boxes.iou([a], [b])[0, 0]
    assert 0 <= value <= 1 + 1e-12
    assert value == pytest.approx(boxes.iou([b], [a])[0, 0])
    assert boxes.iou([a], [a])[0, 0] == pytest.approx(1)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        pytest.param((0, 0, 2, 2), (1, 0, 3, 2), 1 / 3, id="half-over"),
        pytest.param((0, 0, 4, 4), (1, 1, 3, 3), 1 / 4, id="inside"),
        pytest.param((0, 0, 1, 1), (1, 0, 2, 1), 0, id="touching"),
        pytest.param((0, 0, 1, 1), (5, 5, 6, 6), 0, id="apart"),
        pytest.param((0, 0, 0, 0), (0, 0, 0, 0), 0, id="no-area"),
        pytest.param((3, 3, 1, 1), (0, 0, 4, 4), 0, id="inverted"),
    ],
)
def test_iou_of_known_boxes(a, b, expected):
    assert boxes.iou([a], [b])[0, 0] == pytest.approx(expected)


def test_iou_is_a_matrix_of_pairs():
    a, b = np.array([[0, 0, 2, 2], [5, 5, 6, 6]]), np.array([[0, 0, 2, 2]] * 3)
    np.testing.assert_allclose(boxes.iou(a, b), [[1, 1, 1], [0, 0, 0]])
    assert boxes.iou(np.empty((0, 4)), b).shape == (0, 3)


@given(box)
def test_square_keeps_the_centre_and_the_longer_side(bbox_xyxy):
    x1, y1, x2, y2 = bbox_xyxy
    sx1, sy1, sx2, sy2 = boxes.square(bbox_xyxy)
    longer = max(x2 - x1, y2 - y1)
    np.testing.assert_allclose([sx2 - sx1, sy2 - sy1], longer)
    np.testing.assert_allclose([sx1 + sx2, sy1 + sy2], [x1 + x2, y1 + y2], atol=1e-9)


def test_scale_keeps_the_centre():
    np.testing.assert_allclose(boxes.scale([[0, 0, 4, 2]], 1.5), [[-1, -0.5, 5, 2.5]])
    np.testing.assert_allclose(boxes.scale([0, 0, 4, 2], 1.0), [0, 0, 4, 2])


@given(st.floats(-60, 60), st.floats(1, 8), st.floats(-30, 30), st.sampled_from([1.0, 3.0]))
def test_a_shifted_distribution_expects_the_shifted_angle(mean, width, shift, bin_deg):
    spec = BinSpec(bin_deg)
    probs = torch.softmax(-(((spec.centers_deg.double() - mean) / width) ** 2), -1)
    moved = shift_probs(probs, torch.tensor(shift, dtype=torch.float64), spec)
    assert moved.sum().item() == pytest.approx(1)
    wanted = float(spec.expectation(probs)) + shift
    # some mass lies at the end of the range only where the distribution reaches it
    if abs(wanted) + 6 * width < spec.theta_deg:
        assert float(spec.expectation(moved)) == pytest.approx(wanted, abs=1e-3)


def test_a_shift_by_whole_bins_moves_the_bins_and_keeps_what_would_leave():
    spec = BinSpec(3.0, 9.0)
    probs = torch.tensor([[0.1, 0.2, 0.3, 0.1, 0.1, 0.2]])
    up = shift_probs(probs, torch.tensor([6.0]), spec)
    torch.testing.assert_close(up, torch.tensor([[0.0, 0.0, 0.1, 0.2, 0.3, 0.4]]))
    far = shift_probs(probs, torch.tensor([-100.0]), spec)
    torch.testing.assert_close(far, torch.tensor([[1.0, 0, 0, 0, 0, 0]]))
    half = shift_probs(probs, torch.tensor([1.5]), spec)
    torch.testing.assert_close(half, torch.tensor([[0.05, 0.15, 0.25, 0.2, 0.1, 0.25]]))


@pytest.mark.parametrize(
    ("bbox_xyxy", "pixels", "centred"),
    [
        pytest.param([10, 10, 20, 15], 50, True, id="inside"),
        pytest.param([-20, -10, 30, 30], 900, True, id="over-the-corner"),
        pytest.param([-40, 0, 10, 40], 400, False, id="centre-outside"),
        pytest.param([-40, 0, 0.5, 40], 0, False, id="half-a-pixel"),
        pytest.param([100, 100, 130, 130], 0, False, id="far-away"),
        pytest.param([20, 10, 10, 15], 0, True, id="inverted"),
        pytest.param([np.nan] * 4, np.nan, False, id="none"),
    ],
)
def test_boxes_in_an_image_of_64_by_48(bbox_xyxy, pixels, centred):
    np.testing.assert_equal(boxes.pixels_inside(bbox_xyxy, (64, 48)), pixels)
    assert boxes.centred_inside(bbox_xyxy, (64, 48)) == centred
