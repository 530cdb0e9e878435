"""Jittered views against jittered boxes cut out of the image, and the margin that they take."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shifted_box import shift_box

from hpe_core.crops.window import enlarged_crop
from hpe_core.evaluation.columns import PYR, SCALE, SHIFT, TRUE_PYR
from hpe_core.evaluation.jitter import jitter_errors
from hpe_core.faces.boxes import scale
from hpe_core.prediction.jitter import (
    BoxJitter,
    JitteredCrops,
    box_jitters,
    jittered_view,
    margin_needed,
)

SIZE_HW, K, MARGIN = (32, 40), 2, 14
BOX = np.array([60.3, 40.8, 131.9, 97.1])  # not square: 1.79 x 1.76 image pixels a network pixel
JITTERS = box_jitters([0.025, 0.07, 0.125], [0.75, 0.9, 1.2, 1.37])


def smooth_image(height: int = 150, width: int = 200) -> np.ndarray:
    """Waves of some 60 pixels, another one in each channel."""
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(x / 10 + y / 23), np.cos(x / 31 - y / 9), np.sin((x + y) / 17)]
    return np.round(127 + 100 * np.stack(waves, axis=-1)).astype(np.uint8)


def jittered_box(jitter: BoxJitter) -> np.ndarray:
    """The same with `boxes`: in pixels of the image."""
    h, w = SIZE_HW
    dx, dy = jitter.shift_xy
    return shift_box(scale(BOX, jitter.scale), (dx * w, dy * h), SIZE_HW)


@pytest.mark.parametrize(
    "jitter", [pytest.param(j, id=f"{j.kind}-{j.direction}-{j.level}") for j in JITTERS]
)
def test_a_view_is_the_crop_of_the_jittered_box(jitter):
    """Two levels of 255: linear interpolation between pixels of the crop, and rounding twice."""
    crop = enlarged_crop(smooth_image(), BOX, SIZE_HW, MARGIN, "replicate")
    view = jittered_view(crop, jitter, SIZE_HW, K)
    alone = enlarged_crop(smooth_image(), jittered_box(jitter), SIZE_HW, K, "replicate")
    assert view.shape == alone.shape == (36, 44, 3)
    assert np.abs(view.astype(int) - alone).max() <= 2
    plain = enlarged_crop(smooth_image(), BOX, SIZE_HW, K, "replicate")
    changed = jitter.scale != 1 or jitter.shift_xy != (0, 0)
    assert (np.abs(plain.astype(int) - alone).max() > 8) == changed, "the tolerance sees no jitter"


@pytest.mark.parametrize(
    ("jitter", "dx", "dy"),
    [
        pytest.param(BoxJitter(SHIFT, "none", 0.0), 0, 0, id="the box as it is"),
        pytest.param(BoxJitter(SCALE, "none", 1.0), 0, 0, id="its sides as they are"),
        pytest.param(BoxJitter(SHIFT, "left", 0.1), -4, 0, id="left"),
        pytest.param(BoxJitter(SHIFT, "right", 0.1), 4, 0, id="right"),
        pytest.param(BoxJitter(SHIFT, "up", 0.125), 0, -4, id="up"),
        pytest.param(BoxJitter(SHIFT, "down", 0.125), 0, 4, id="down"),
    ],
)
def test_a_shift_by_whole_pixels_is_a_slice(jitter, dx, dy):
    """Noise: interpolation would show. 0.1 of 40 and 0.125 of 32 are 4 pixels."""
    h, w = SIZE_HW
    crop = np.random.default_rng(0).integers(0, 256, (h + 28, w + 28, 3), np.uint8)
    top, left = MARGIN - K + dy, MARGIN - K + dx
    expected = crop[top : top + h + 2 * K, left : left + w + 2 * K]
    np.testing.assert_array_equal(jittered_view(crop, jitter, SIZE_HW, K), expected)


def test_all_jitters_are_each_level_and_the_box_as_it_is_once_a_kind():
    found = [(j.kind, j.direction, j.level) for j in box_jitters([0.1, 0.2], [0.9])]
    directions = ("left", "right", "up", "down")
    assert found == [
        (SHIFT, "none", 0.0),
        *((SHIFT, direction, 0.1) for direction in directions),
        *((SHIFT, direction, 0.2) for direction in directions),
        (SCALE, "none", 1.0),
        (SCALE, "none", 0.9),
    ]
    assert [(j.kind, j.level) for j in box_jitters([], [0.9])] == [(SCALE, 1.0), (SCALE, 0.9)]


LEVELS = st.one_of(
    st.builds(
        BoxJitter, st.just(SHIFT), st.sampled_from(["left", "right", "up", "down"]),
        st.floats(0, 0.5),
    ),
    st.builds(BoxJitter, st.just(SCALE), st.just("none"), st.floats(0.5, 2)),
)  # fmt: skip


@given(jitter=LEVELS, h=st.integers(4, 40), w=st.integers(4, 40))
def test_the_margin_needed_is_the_least_that_holds_all_pixels_of_the_box(jitter, h, w):
    """The slow way: every pixel's centre, in boxes of one image pixel a network pixel."""
    box = scale([-w / 2, -h / 2, w / 2, h / 2], jitter.scale)
    box = shift_box(box, np.array(jitter.shift_xy) * (w, h) / jitter.scale, (h, w))
    needed = margin_needed(jitter, (h, w))
    beyond = []
    for low, high, side in ((box[0], box[2], w), (box[1], box[3], h)):
        pixel = (high - low) / side
        centres = low + pixel * (np.arange(side) + 0.5)
        beyond.append(np.abs(centres).max() - (side - 1) / 2)  # of the box's own outermost centres
    assert max(beyond) <= needed + 1e-5
    assert needed == 0 or max(beyond) > needed - 1 - 1e-5


@pytest.mark.parametrize(
    ("jitter", "size_hw", "needed"),
    [
        pytest.param(BoxJitter(SHIFT, "none", 0.0), (32, 32), 0, id="plain"),
        pytest.param(BoxJitter(SHIFT, "left", 0.1), (64, 30), 3, id="left: the width"),
        pytest.param(BoxJitter(SHIFT, "up", 0.1), (64, 30), 7, id="up: the height, 6.4"),
        pytest.param(BoxJitter(SHIFT, "left", 0.07), (100, 100), 7, id="0.07 x 100 > 7 in floats"),
        pytest.param(BoxJitter(SCALE, "none", 1.2), (64, 64), 7, id="larger: 6.3"),
        pytest.param(BoxJitter(SCALE, "none", 0.8), (64, 64), 0, id="smaller: within the box"),
    ],
)
def test_margins(jitter, size_hw, needed):
    assert margin_needed(jitter, size_hw) == needed


@pytest.mark.parametrize("jitter", [BoxJitter(SHIFT, "right", 0.3), BoxJitter(SCALE, "none", 1.5)])
def test_a_view_past_the_crop_is_refused_and_one_that_ends_with_it_is_exact(jitter):
    """Columns that count: a replicated edge would repeat the last number."""
    size_hw, needed = (21, 21), margin_needed(jitter, (21, 21))
    crop = np.repeat(np.arange(21 + 2 * needed, dtype=np.uint8)[None, :, None] * 4, 3, axis=2)
    crop = np.repeat(crop, 21 + 2 * needed, axis=0)
    steps = np.diff(jittered_view(crop, jitter, size_hw, 0)[0, :, 0].astype(int))
    np.testing.assert_allclose(steps, 4 * jitter.scale, atol=1)
    with pytest.raises(ValueError, match=f"needs a margin of {needed} px.*{needed - 1} px"):
        jittered_view(crop[1:-1, 1:-1], jitter, size_hw, 0)


class Faces:
    """Two enlarged crops of noise."""

    pyr_deg = np.array([[10.0, 20, 30], [-5, -60, 0]])

    def __getitem__(self, row: int) -> np.ndarray:
        return np.random.default_rng(row).integers(0, 256, (60, 68, 3), np.uint8)


def test_jittered_crops_are_the_views_of_one_face_after_the_other():
    chosen = np.array([1, 0])
    views = JitteredCrops(Faces(), chosen, JITTERS, SIZE_HW, margin=K)
    assert len(views) == len(views.pyr_deg) == 2 * len(JITTERS)
    for place, face in enumerate(chosen.tolist()):
        for number, jitter in enumerate(JITTERS):
            row = place * len(JITTERS) + number
            expected = jittered_view(Faces()[face], jitter, SIZE_HW, K)
            np.testing.assert_array_equal(views[row], expected)
            np.testing.assert_array_equal(views.pyr_deg[row], Faces.pyr_deg[face])


def test_the_ensembles_offsets_are_slices_of_the_view():
    """Offset (dx, dy) of a jittered box is the jittered box moved by s·(dx, dy) network pixels."""
    h, w = SIZE_HW
    jitter, (dx, dy) = BoxJitter(SCALE, "none", 1.2), (2, -1)
    crop = enlarged_crop(smooth_image(), BOX, SIZE_HW, MARGIN, "replicate")
    view = jittered_view(crop, jitter, SIZE_HW, K)
    box = shift_box(scale(BOX, 1.2), (dx, dy), SIZE_HW)
    alone = enlarged_crop(smooth_image(), box, SIZE_HW, 0, "replicate")
    window = view[K + dy :, K + dx :][:h, :w]
    assert np.abs(window.astype(int) - alone).max() <= 2


def said_of_views(off_deg: np.ndarray, network: str, seed: int) -> pd.DataFrame:
    """Predictions of three faces' views, off by so many degrees (a number per jitter)."""
    views = JitteredCrops(Faces(), np.array([1, 0, 1]), JITTERS, SIZE_HW, margin=K)
    faces = pd.DataFrame({"face_id": ["a", "b"]})
    faces[TRUE_PYR] = Faces.pyr_deg
    table = views.described(faces).assign(network=network, seed=seed)
    np.testing.assert_array_equal(table[TRUE_PYR], views.pyr_deg)
    table[PYR] = views.pyr_deg + np.tile(off_deg, 3)[:, None] * [1, -1, 1]
    return table


def test_the_errors_of_a_jitter_are_those_of_its_views():
    """Jitter j is off by j degrees in each angle of every face."""
    table = jitter_errors(said_of_views(np.arange(len(JITTERS)), "base", 1))
    np.testing.assert_allclose(table["mae"], np.arange(len(JITTERS)))
    found = list(zip(table["kind"], table["direction"], table["level"], strict=True))
    assert found == [(j.kind, j.direction, j.level) for j in JITTERS]
    assert set(table["faces"]) == {3}


def test_seeds_are_averaged_and_networks_keep_their_order():
    runs = {("b", 1): 1.0, ("a", 1): 4.0, ("b", 2): 5.0}
    parts = [
        said_of_views(np.full(len(JITTERS), off), network, seed)
        for (network, seed), off in runs.items()
    ]
    found = jitter_errors(pd.concat(parts))
    means = found.groupby("network", sort=False)["mae"].unique()
    assert means.index.tolist() == ["b", "a"]
    assert [value.tolist() for value in means] == [[3.0], [4.0]]
    assert set(found["faces"]) == {3}
