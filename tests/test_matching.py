"""Faces and detections of one image: who gets which, and that none is shared."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpe_core.faces import boxes
from hpe_core.faces.matching import match, match_by_iou, match_by_position, why_unmatched

SIZE_WH = (640, 480)
NO_BOX = [np.nan] * 4
LEFT, RIGHT, MIDDLE = [10, 100, 110, 200], [500, 100, 600, 200], [270, 190, 370, 290]


def moved(box, by):
    return [box[0] + by, box[1], box[2] + by, box[3]]


@pytest.mark.parametrize(
    ("annot", "found", "expected"),
    [
        pytest.param([LEFT, RIGHT], [RIGHT, LEFT], [1, 0], id="own-box-whatever-the-score"),
        pytest.param([LEFT], [MIDDLE, moved(LEFT, 20)], [1], id="overlap-beats-score"),
        pytest.param([LEFT, moved(LEFT, 30)], [moved(LEFT, 5)], [0, -1], id="nearer-face-wins"),
        pytest.param([LEFT, LEFT], [LEFT], [0, -1], id="tie-goes-to-the-earlier-face"),
        pytest.param([LEFT], [LEFT, LEFT], [0], id="tie-takes-the-better-score"),
        pytest.param([LEFT], [moved(LEFT, 60)], [-1], id="too-little-overlap"),
        pytest.param([LEFT], [], [-1], id="nothing-detected"),
        pytest.param([], [LEFT], [], id="no-faces"),
        pytest.param([NO_BOX], [LEFT, MIDDLE], [1], id="without-a-box-the-middle-counts"),
        pytest.param([NO_BOX, MIDDLE], [MIDDLE, LEFT], [1, 0], id="boxless-takes-what-is-left"),
        pytest.param([NO_BOX, MIDDLE], [MIDDLE], [-1, 0], id="boxless-never-shares"),
        pytest.param([NO_BOX, NO_BOX], [LEFT, MIDDLE], [1, 0], id="boxless-in-order"),
    ],
)
def test_match(annot, found, expected):
    score = np.linspace(0.9, 0.8, len(found))
    index, iou = match(annot, found, score, SIZE_WH, min_iou=0.3)
    assert index.tolist() == expected
    for face, own in enumerate(index):
        if own < 0 or annot[face] is NO_BOX:
            assert np.isnan(iou[face])
        else:
            assert iou[face] == boxes.iou(annot[face], found[own])[0, 0]


def test_a_much_better_score_beats_the_position():
    index, _ = match([NO_BOX], [moved(MIDDLE, 60), MIDDLE], [0.95, 0.35], SIZE_WH, 0.3)
    assert index.tolist() == [0]


@given(st.integers(0, 6), st.integers(0, 6), st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_never_shared_and_always_overlapping(faces, detections, seed, min_iou):
    rng = np.random.default_rng(seed)
    corners = rng.uniform(0, 100, (faces + detections, 2))
    every = np.concatenate([corners, corners + rng.uniform(5, 60, corners.shape)], axis=1)
    annot, found = every[:faces].copy(), every[faces:]
    annot[rng.random(faces) < 0.3] = np.nan
    index, iou = match(annot, found, rng.random(detections), SIZE_WH, min_iou)
    taken = index[index >= 0]
    assert len(set(taken)) == len(taken)
    annotated = ~np.isnan(annot).any(1)
    assert (iou[annotated & (index >= 0)] >= min_iou).all()
    # Nobody who went away empty would rather have had a detection that is left over.
    left = np.setdiff1d(np.arange(detections), index)
    empty = annotated & (index < 0)
    overlap = boxes.iou(annot[empty], found[left])
    assert not ((overlap >= min_iou) & (overlap > 0)).any()
    # Faces without a box go away empty only when everything is taken.
    assert not (len(left) and (~annotated & (index < 0)).any())


@given(st.integers(1, 5), st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_by_iou_equals_sorting_all_pairs(faces, detections, seed):
    overlap = np.random.default_rng(seed).random((faces, detections))
    expected = np.full(faces, -1)
    for face, detection in sorted(np.ndindex(overlap.shape), key=lambda pair: -overlap[pair]):
        if expected[face] < 0 and detection not in expected and overlap[face, detection] >= 0.4:
            expected[face] = detection
    assert match_by_iou(overlap, 0.4).tolist() == expected.tolist()


def test_by_position_prefers_the_centre_symmetrically():
    boxes_xyxy = np.array([LEFT, MIDDLE, moved(MIDDLE, 80), moved(MIDDLE, -80)], dtype=float)
    assert match_by_position(boxes_xyxy, np.ones(4), SIZE_WH).tolist() == [1, 2, 3, 0]


@pytest.mark.parametrize(
    ("annot", "found", "reason"),
    [
        pytest.param(LEFT, [LEFT], "", id="matched"),
        pytest.param(LEFT, [], "nothing detected", id="nothing"),
        pytest.param(LEFT, [moved(LEFT, 60)], "best IoU 0.25, expected 0.3", id="elsewhere"),
        pytest.param(NO_BOX, [], "nothing detected", id="boxless"),
    ],
)
def test_reason(annot, found, reason):
    found = np.array(found, dtype=float).reshape(-1, 4)
    index, _ = match([annot], found, np.ones(len(found)), SIZE_WH, 0.3)
    [why] = why_unmatched(index, np.array([annot]), found, 0.3)
    assert why.endswith(reason)
    assert bool(why) == bool(reason)


def test_reason_of_the_face_that_lost_its_detection():
    found = np.array([LEFT], dtype=float)
    faces = np.array([LEFT, LEFT], dtype=float)
    index, _ = match(faces, found, [0.9], SIZE_WH, 0.3)
    assert why_unmatched(index, faces, found, 0.3) == ["", "its detection belongs to another face"]
