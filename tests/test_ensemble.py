"""The offset ensemble: windows of one crop, their mean, and the cells (K, d) of one sweep."""

import json
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from hpe_core.common.geometry import rotate_pyr
from hpe_core.crops.window import view_rotations
from hpe_core.evaluation.cells import cell_errors
from hpe_core.evaluation.columns import TRUE_PYR
from hpe_core.evaluation.metrics import published_errors_deg
from hpe_core.networks.bins import BinSpec, flip_probs
from hpe_core.networks.model import normalize
from hpe_core.teacher.ensemble import (
    Windows,
    average,
    rotate_probs,
    shifted_windows,
    window_probs,
)
from hpe_core.teacher.offsets import cell_members, offset_grid
from hpe_core.teacher.sweeps import SweptAngles

GOLDEN = json.loads((Path(__file__).parent / "golden.json").read_text())
SPEC = BinSpec(3.0)
SIZE, MARGIN = (28, 14), 8
UNIT = 16  # pixels of a 224-pixel input that are 1 pixel across and 2 pixels down of this one


def grid_of(radius: int, step: int) -> np.ndarray:
    """`offset_grid` of whole pixels."""
    return offset_grid(UNIT * radius, UNIT * step)


def start(dx: int, dy: int) -> tuple[int, int]:
    """The first row and column of the slice at an offset."""
    return MARGIN + 2 * dy // UNIT, MARGIN + dx // UNIT


def crops(n: int = 3, seed: int = 0) -> Tensor:
    shape = (n, SIZE[0] + 2 * MARGIN, SIZE[1] + 2 * MARGIN, 3)
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)


def predict(images: Tensor) -> Tensor:
    """A small fixed network of normalised images: every pixel matters, in its own way."""
    generator = torch.Generator().manual_seed(1)
    weights = torch.randn((images[0].numel(), 3 * SPEC.n_bins), generator=generator)
    logits = images.flatten(1) @ weights / images[0].numel() ** 0.5
    return logits.unflatten(1, (3, SPEC.n_bins)).softmax(-1)


def of_face(windows_of_face: Windows, images: Tensor, batch: int = 10_000) -> Tensor:
    """images (N, T, h + 2m, w + 2m, 3)."""
    found = window_probs(predict, images, windows_of_face, SIZE, SPEC, batch)
    return torch.cat(list(found))


def all_windows(offsets: np.ndarray, batch: int = 10_000) -> Tensor:
    return of_face(Windows(offsets), crops()[:, None], batch)


@pytest.mark.parametrize("case", GOLDEN["ensemble_size"])
def test_sizes(case):
    radius, step = (int(part.split("=")[1]) for part in case.split(","))
    expected = GOLDEN["ensemble_size"][case]
    grid = offset_grid(15, 1)
    assert len(offset_grid(radius, step)) == expected
    assert len(cell_members(grid, radius, step)) == expected


def test_a_window_is_the_slice_at_its_offset():
    """dx counts columns to the right, dy rows down."""
    images = crops().permute(0, 3, 1, 2)
    offsets = grid_of(4, 2)
    found = shifted_windows(images, offsets, SIZE).unflatten(0, (3, len(offsets)))
    h, w = SIZE
    for position, (dx, dy) in enumerate(offsets.tolist()):
        for face in range(3):
            rows, columns = start(dx, dy)
            expected = images[face, :, rows : rows + h, columns : columns + w]
            assert torch.equal(found[face, position], expected), (dx, dy)


def test_windows_are_channels_last_without_another_copy():
    images = shifted_windows(normalize(crops()), grid_of(1, 1), SIZE)
    assert images.is_contiguous(memory_format=torch.channels_last)


def test_the_windows_of_one_face_stay_together():
    offsets = grid_of(2, 1)
    images = crops().permute(0, 3, 1, 2)
    together, alone = (
        shifted_windows(images, offsets, SIZE),
        shifted_windows(images[1:2], offsets, SIZE),
    )
    assert torch.equal(together[len(offsets) : 2 * len(offsets)], alone)


@pytest.mark.parametrize("offset", [(9, 0), (0, -4.5)], ids=["too far right", "too far up"])
def test_offsets_beyond_the_margin_are_an_error(offset):
    """A negative start would silently wrap around in a slice."""
    with pytest.raises(ValueError, match="reach 9 px"):
        shifted_windows(crops().permute(0, 3, 1, 2), UNIT * np.array([offset]), SIZE)


@pytest.mark.parametrize("batch", [1, 7, 25, 26, 50, 1000])
def test_splitting_into_batches_changes_nothing(batch):
    """Faces and the offsets of one face may be cut apart; the last batch may be smaller."""
    offsets = grid_of(2, 1)
    expected = all_windows(offsets)
    assert expected.shape == (3, 25, 3, SPEC.n_bins)
    torch.testing.assert_close(all_windows(offsets, batch), expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("batch", [1, 7, 1000])
def test_flipped_windows_are_those_of_the_flipped_crop_flipped_back(batch):
    offsets = grid_of(2, 2)
    found = of_face(Windows(offsets, flip=True), crops()[:, None], batch)
    assert found.shape == (3, 18, 3, SPEC.n_bins)
    torch.testing.assert_close(found[:, :9], all_windows(offsets), rtol=1e-5, atol=1e-7)
    for position, (dx, dy) in enumerate(offsets.tolist()):
        top, left = start(dx, dy)
        cut = crops().flip(2)[:, top : top + SIZE[0], left : left + SIZE[1]]
        pitch, yaw, roll = predict(normalize(cut)).unbind(1)
        expected = torch.stack([pitch, yaw.flip(-1), roll.flip(-1)], 1)
        torch.testing.assert_close(found[:, 9 + position], expected, rtol=1e-5, atol=1e-7)


def test_the_flipped_ensemble_of_a_flipped_face_is_flipped():
    """Why a student may be flipped for nothing: reversing the bins is then exact."""
    offsets = grid_of(2, 1)

    def ensemble(images: Tensor) -> Tensor:
        return of_face(Windows(offsets, flip=True), images[:, None]).mean(1)

    torch.testing.assert_close(ensemble(crops().flip(2)), flip_probs(ensemble(crops())))


@pytest.mark.parametrize("batch", [1, 1000])
def test_rotated_windows_are_rotated_back(batch):
    offsets, rotations_deg = grid_of(1, 1), (-10.0, 0.0, 10.0)
    images = torch.stack([crops(seed=seed) for seed in range(3)], 1)
    found = of_face(Windows(offsets, rotations_deg, flip=True), images, batch)
    assert found.shape == (3, 54, 3, SPEC.n_bins)
    for position, phi_deg in enumerate(rotations_deg):
        alone = of_face(Windows(offsets, flip=True), images[:, position : position + 1])
        torch.testing.assert_close(
            found[:, 18 * position : 18 * (position + 1)],
            rotate_probs(alone, -phi_deg, SPEC),
            rtol=1e-4,
            atol=1e-6,
        )


def test_a_rotated_distribution_expects_the_rotated_angles():
    spec = BinSpec(1.0)
    pyr_deg = torch.tensor([[10.0, -40, 20], [-5, 70, -30]])
    probs = torch.softmax(-(((spec.centers_deg - pyr_deg[..., None]) / 4) ** 2), -1)
    rotated = spec.expectation(rotate_probs(probs, 12.0, spec)).numpy()
    np.testing.assert_allclose(rotated, rotate_pyr(pyr_deg.numpy(), 12.0), atol=0.02)
    assert torch.equal(rotate_probs(probs, 0.0, spec), probs)


def test_a_face_has_as_many_windows_as_its_set_says():
    every = Windows(grid_of(4, 2), (-5.0, 5.0), flip=True)
    assert (len(every), every.reach(SIZE)) == (2 * 2 * 25, 8)  # 2 pixels down per unit


def test_views_are_upright_first_and_differ_between_runs():
    phi_deg = view_rotations(500, 4, 15.0, seed=1)
    assert phi_deg.shape == (500, 4)
    assert (phi_deg[:, 0] == 0).all()
    others = phi_deg[:, 1:]
    assert np.abs(others).max() <= 15
    assert np.abs(others).mean() == pytest.approx(7.5, abs=0.4)  # uniform
    assert not np.array_equal(phi_deg, view_rotations(500, 4, 15.0, seed=2))


def test_no_batch_is_larger_than_asked_for():
    seen = []
    offsets = grid_of(2, 1)

    def noting(images: Tensor) -> Tensor:
        seen.append(len(images))
        return predict(images)

    list(window_probs(noting, crops()[:, None], Windows(offsets), SIZE, SPEC, 10))
    assert max(seen) <= 10
    assert sum(seen) == 3 * 25


def test_predictions_are_of_normalised_windows():
    offsets = grid_of(1, 1)
    found = all_windows(offsets)
    h, w = SIZE
    for position, (dx, dy) in enumerate(offsets.tolist()):
        top, left = start(dx, dy)
        cut = crops()[:, top : top + h, left : left + w]
        torch.testing.assert_close(found[:, position], predict(normalize(cut)))


def test_the_expectation_is_linear():
    """The ensemble's angle, of the mean distribution, is the mean of the windows' angles."""
    probs = all_windows(grid_of(3, 1))
    mean, pyr_deg, std_deg = average(probs, SPEC)
    angles = SPEC.expectation(probs)
    torch.testing.assert_close(mean.sum(-1), torch.ones(3, 3))
    torch.testing.assert_close(pyr_deg, angles.mean(1), rtol=0, atol=1e-4)
    torch.testing.assert_close(pyr_deg, SPEC.expectation(mean))
    np.testing.assert_allclose(std_deg, angles.numpy().std(1), atol=1e-4)


def test_the_mean_is_of_probabilities_not_of_logits():
    probs = torch.zeros(1, 2, 3, SPEC.n_bins)
    probs[0, 0, :, 10], probs[0, 1, :, 20] = 1.0, 1.0
    mean, _, _ = average(probs, SPEC)
    assert mean[0, 0, 10] == mean[0, 0, 20] == 0.5


def test_one_window_is_the_network_itself():
    probs = all_windows(grid_of(0, 1))
    mean, _, std_deg = average(probs, SPEC)
    assert torch.equal(mean, probs[:, 0])
    assert (std_deg == 0).all()


@pytest.mark.parametrize(
    ("radius", "step"),
    [(0, 1), (4, 1), (4, 2), (3, 2), (4, 3), (4, 4), (2, 3)],
    ids=lambda value: str(value),
)
def test_a_cell_of_the_sweep_is_the_ensemble_computed_by_itself(radius, step):
    grid = grid_of(4, 1)
    swept = SPEC.expectation(all_windows(grid)).double()
    from_sweep = swept[:, cell_members(grid, UNIT * radius, UNIT * step)].mean(1)
    _, alone, _ = average(all_windows(grid_of(radius, step)), SPEC)
    torch.testing.assert_close(from_sweep.float(), alone, rtol=0, atol=1e-4)


def test_cells_do_not_depend_on_the_order_of_the_grid():
    grid = offset_grid(3, 1)
    shuffled = grid[np.random.default_rng(0).permutation(len(grid))]
    members = shuffled[cell_members(shuffled, 2, 2)]
    assert {tuple(o) for o in members} == {tuple(o) for o in offset_grid(2, 2)}


def test_a_cell_larger_than_the_sweep_is_an_error():
    with pytest.raises(KeyError):
        cell_members(offset_grid(2, 1), 3, 1)


def test_cell_errors_are_those_of_the_mean_over_the_cells_windows():
    """Of the faces that were swept, in their order; other predictions count for nothing."""
    rng, grid = np.random.default_rng(0), offset_grid(2, 1)
    truth = rng.uniform(-60, 60, (3, 3))
    said = pd.DataFrame(truth, columns=TRUE_PYR).assign(face_id=["a", "b", "c"], order="YXZ")
    said = pd.concat([said.assign(network=name) for name in ("base", "ensemble")])
    angles_deg = rng.uniform(-60, 60, (2, len(grid), 3)).astype(np.float32)
    table = cell_errors(SweptAngles(["c", "a"], grid, angles_deg), said)
    assert list(zip(table["K"], table["d"], strict=True)) == list(product(range(3), (1, 2)))
    assert table["S"].tolist() == [1, 1, 9, 1, 25, 9]
    assert set(table["faces"]) == {2}
    for row in table.itertuples():
        members = [tuple(offset) in set(map(tuple, offset_grid(row.K, row.d))) for offset in grid]
        errors = np.abs(angles_deg[:, members].mean(1) - truth[[2, 0]])
        assert row.mae == pytest.approx(errors.mean(), rel=1e-5)
        assert row.yaw == pytest.approx(errors[:, 1].mean(), rel=1e-5)
        both = angles_deg[:, members].mean(1), truth[[2, 0]]
        assert row.published_mae == pytest.approx(published_errors_deg(*both, ["YXZ"] * 2).mean())
    ours = cell_errors(SweptAngles(["c", "a"], grid, angles_deg), said.assign(order="XYZ"))
    pd.testing.assert_frame_equal(ours, table[ours.columns])
    assert not any(name.startswith("published") for name in ours)
