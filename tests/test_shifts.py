"""Offsets in pixels of a 224-pixel input: slices there, resampled windows at other sizes."""

import math
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from shifted_box import shift_box

from hpe_core.crops.shifts import pixels_reached, shift_filters, shifted_window
from hpe_core.crops.window import enlarged_crop
from hpe_core.networks.checkpoints import load_network
from hpe_core.networks.model import normalize, predict_probs
from hpe_core.teacher.ensemble import shifted_windows
from hpe_core.teacher.offsets import offset_grid, reach_px, shifts_px

ROOT = Path(__file__).parents[1]
REAL = Path(os.environ.get("HPE_REAL", ROOT.parent / "shared" / "real"))
needs_real = pytest.mark.skipif(not REAL.is_dir(), reason=f"no real faces in {REAL}: set HPE_REAL")


def noise(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


def test_at_224_pixels_every_window_is_a_slice_to_the_bit():
    """Formula (5) as the paper has it."""
    offsets, margin = offset_grid(15, 5), 15
    images = noise(1, 3, 224 + 2 * margin, 224 + 2 * margin)
    found = shifted_windows(images, offsets, (224, 224))
    for window, (dx, dy) in zip(found, offsets.tolist(), strict=True):
        top, left = margin + dy, margin + dx
        assert torch.equal(window, images[0, :, top : top + 224, left : left + 224])


def test_whole_pixels_among_fractions_are_slices_to_the_bit():
    """At 32 pixels an offset of 7 is one pixel; the row it is in is resampled downwards only."""
    images = noise(2, 3, 44, 44)
    found = shifted_windows(images, np.array([[7, -14], [5, 5]]), (32, 32)).unflatten(0, (2, 2))
    assert torch.equal(found[:, 0], images[:, :, 6 - 2 : 38 - 2, 6 + 1 : 38 + 1])


def lanczos(x: float) -> float:
    if x == 0:
        return 1.0
    if abs(x) >= 3:
        return 0.0
    return 3 * math.sin(math.pi * x) * math.sin(math.pi * x / 3) / (math.pi * x) ** 2


def slowly_shifted(crop: np.ndarray, dx: float, dy: float, size_hw: tuple[int, int]) -> np.ndarray:
    """Pixel by pixel, a sum over all pixels of the crop (h + 2m, w + 2m)."""
    (h, w), (height, width) = size_hw, crop.shape
    window = np.empty((h, w))
    for i in range(h):
        for j in range(w):
            y, x = (height - h) / 2 + i + dy, (width - w) / 2 + j + dx
            down = np.array([lanczos(row - y) for row in range(height)])
            across = np.array([lanczos(column - x) for column in range(width)])
            window[i, j] = down @ crop @ across / (down.sum() * across.sum())
    return window


@pytest.mark.parametrize("size_hw", [(10, 6), (6, 10)], ids=["upright", "wide"])
def test_a_resampled_window_is_the_slow_sum_over_the_crop(size_hw):
    h, w = size_hw
    images, offsets = noise(2, 3, h + 10, w + 10), offset_grid(15, 5)
    found = shifted_windows(images, offsets, size_hw)
    assert found.is_contiguous(memory_format=torch.channels_last)
    found = found.unflatten(0, (2, len(offsets)))
    for place in (0, 10, 25, len(offsets) - 1):
        dx, dy = (offset * side / 224 for offset, side in zip(offsets[place], (w, h), strict=True))
        slow = slowly_shifted(images[1, 2].numpy(), dx, dy, size_hw)
        np.testing.assert_allclose(found[1, place, 2], slow, atol=1e-5)


@settings(max_examples=50, deadline=None)
@given(
    shift=st.floats(-4, 4),
    side=st.integers(4, 40),
    cycles=st.floats(0, 0.25),
    phase=st.floats(0, 6),
)
def test_what_the_pixels_can_hold_is_shifted_unchanged(shift, side, cycles, phase):
    """A wave of up to 0.25 cycles per pixel; linear interpolation would flatten it by 29 %."""
    margin = 7

    def wave(at: np.ndarray) -> np.ndarray:
        return np.cos(2 * np.pi * cycles * at + phase)

    (weights,) = shift_filters(np.array([shift]), side, side + 2 * margin)
    found = weights @ wave(np.arange(-margin, side + margin))
    np.testing.assert_allclose(found, wave(np.arange(side) + shift), atol=0.04)


@pytest.mark.parametrize(
    ("side", "radius", "pixels"),
    [
        (224, 15, 15),
        (224, 0, 0),
        (32, 7, 3),
        (32, 15, 5),
        (64, 15, 7),
        (112, 15, 10),
        (448, 15, 30),
    ],
)
def test_the_margin_is_what_the_windows_read_and_no_less(side, radius, pixels):
    every = np.arange(radius + 1)
    assert reach_px(every, side) == pixels
    length = side + 2 * pixels
    weights = shift_filters(shifts_px(np.append(every, -every), side), side, length)
    assert (np.abs(weights[..., [0, -1]]).max() > 0) == (pixels > 0 or side == length)
    if pixels:
        with pytest.raises(ValueError, match=rf"read {pixels} px .* margin is {pixels - 1} px"):
            shift_filters(shifts_px(every, side), side, length - 2)


def test_whole_pixels_read_only_themselves():
    assert pixels_reached(np.array([-2.0, 1.0])) == 2
    assert pixels_reached(np.array([1.25])) == 4
    assert pixels_reached(np.array([])) == 0


def test_one_window_in_numpy_is_the_one_of_the_ensemble():
    crop = np.random.default_rng(0).integers(100, 150, (44, 44, 3), np.uint8)
    images = torch.from_numpy(crop).permute(2, 0, 1)[None].float()
    (ours,) = shifted_windows(images, np.array([[5, -11]]), (32, 32))
    window = shifted_window(crop, (5 * 32 / 224, -11 * 32 / 224), (32, 32))
    np.testing.assert_allclose(window, ours.permute(1, 2, 0), atol=0.51)  # it is rounded


def boxes_of_photographs() -> list[tuple[np.ndarray, np.ndarray]]:
    """Real photographs with a box about the face, each of another size."""
    rng = np.random.default_rng(0)
    found = []
    for path in sorted((REAL / "AFLW2000").glob("*.jpg"))[:40]:
        half, centre = rng.uniform(70, 120), 225 + rng.uniform(-10, 10, 2)
        image = np.asarray(Image.open(path).convert("RGB"))
        found.append((image, np.concatenate([centre - half, centre + half])))
    return found


@needs_real
@pytest.mark.parametrize(
    ("side", "mean", "highest"), [(32, 1.3, 40), (64, 0.9, 45)], ids=["32 px", "64 px"]
)
def test_windows_of_photographs_are_the_shifted_boxes_cut_from_them(side, mean, highest):
    """Grey levels of 255: about 1 on average, more at the sharpest edges."""
    size_hw, offsets, differences = (side, side), offset_grid(15, 15), []
    for image, box in boxes_of_photographs():
        crop = enlarged_crop(image, box, size_hw, 8, "replicate")
        for offset in offsets:
            shift = shifts_px(offset, side)
            moved = shift_box(box, shift, size_hw)
            alone = enlarged_crop(image, moved, size_hw, 0, "replicate")
            window = shifted_window(crop, tuple(shift), size_hw)
            differences.append(np.abs(window.astype(int) - alone))
    assert np.mean(differences) < mean
    assert np.max(differences) < highest


@needs_real
def test_a_network_sees_no_difference_to_the_shifted_boxes():
    """Of a shift's own effect on the angles, resampling changes less than a twentieth."""
    network, _ = load_network(ROOT / "data/demo/kd-resnet8.safetensors")
    size_hw, offsets, angles = (32, 32), offset_grid(15, 5), []
    for image, box in boxes_of_photographs():
        crop = enlarged_crop(image, box, size_hw, 8, "replicate")
        ours = shifted_windows(normalize(torch.from_numpy(crop.copy())[None]), offsets, size_hw)
        boxes = shift_box(box, shifts_px(offsets, 32), size_hw)
        slow = [enlarged_crop(image, moved, size_hw, 0, "replicate") for moved in boxes]
        both = (ours, normalize(torch.from_numpy(np.stack(slow))))
        with torch.inference_mode():
            angles.append([network.spec.expectation(predict_probs(network, x)) for x in both])
    ours, slow = (torch.stack(each) for each in zip(*angles, strict=True))
    effect = (slow - slow[:, [len(offsets) // 2]]).abs().mean()
    assert (ours - slow).abs().mean() < 0.05 * effect
    assert (ours.mean(1) - slow.mean(1)).abs().mean() < 0.1  # degrees, of the ensemble
