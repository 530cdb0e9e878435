"""Errors per face and their summary, against sums written out."""

import math

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hpe_core.common.geometry import pyr_from_yxz, rotation_from_pyr
from hpe_core.evaluation.metrics import (
    absolute_error_deg,
    mae_by_yaw,
    mae_deg,
    mean_of,
    over_runs,
    published_errors_deg,
    summary,
)

BANDS = [0.0, 30.0, 60.0, 99.0]


def poses(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = rng.uniform([-40, -98, -40], [40, 98, 40], (n, 3))
    return truth + rng.normal(0, 6, (n, 3)), truth


@pytest.mark.parametrize(
    ("predicted", "label", "expected"),
    [
        pytest.param(10.0, 30.0, 20.0, id="plain"),
        pytest.param(30.0, 10.0, 20.0, id="sign does not matter"),
        pytest.param(179.0, -179.0, 2.0, id="wrapped by 360"),
        pytest.param(-350.0, 5.0, 5.0, id="several turns are one"),
        pytest.param(0.0, 180.0, 180.0, id="a head turned backwards is wrong by 180"),
        pytest.param(85.0, -85.0, 170.0, id="the other profile is wrong by 170, not by 10"),
        pytest.param(99.0, -99.0, 162.0, id="the ends of the range"),
    ],
)
def test_errors_wrap_by_360_only(predicted, label, expected):
    error = absolute_error_deg([predicted] * 3, [label] * 3)
    np.testing.assert_allclose(error, [expected] * 3, atol=1e-12)


def test_mae_is_the_mean_over_faces_then_over_angles():
    errors = [[1.0, 2.0, 3.0], [3.0, 4.0, 8.0]]
    assert mae_deg(errors) == {"pitch": 2.0, "yaw": 3.0, "roll": 5.5, "mae": 3.5}


@pytest.mark.parametrize("batch", [1, 7, 64, 200])
def test_batches_do_not_change_the_result(batch):
    """Also for a last batch that is smaller: the mean of batch means would differ."""
    predicted, truth = poses(200)
    starts = range(0, 200, batch)
    errors = [absolute_error_deg(predicted[i : i + batch], truth[i : i + batch]) for i in starts]
    whole = summary(predicted, truth)
    assert mae_deg(np.concatenate(errors)) == {n: whole[n] for n in ("pitch", "yaw", "roll", "mae")}


def test_the_order_of_the_faces_does_not_matter():
    predicted, truth = poses(100)
    order = np.random.default_rng(1).permutation(100)
    one, other = summary(predicted, truth), summary(predicted[order], truth[order])
    assert one["mae"] == pytest.approx(other["mae"], rel=1e-12)
    assert one["geodesic"] == pytest.approx(other["geodesic"], rel=1e-12)


def test_summary_equals_loops():
    predicted, truth = poses(50)
    errors, geodesic = [], []
    for one, other in zip(predicted, truth, strict=True):
        errors.append(
            [
                min(abs(a - b + turn) for turn in (-360, 0, 360))
                for a, b in zip(one, other, strict=True)
            ]
        )
        relative = rotation_from_pyr(one).T @ rotation_from_pyr(other)
        geodesic.append(math.degrees(math.acos((np.trace(relative) - 1) / 2)))
    found = summary(predicted, truth)
    expected = np.mean(errors, axis=0)
    np.testing.assert_allclose([found["pitch"], found["yaw"], found["roll"]], expected, rtol=1e-12)
    assert found["mae"] == pytest.approx(expected.mean(), rel=1e-12)
    assert found["geodesic"] == pytest.approx(np.mean(geodesic), rel=1e-9)
    assert found["faces"] == 50


def test_errors_as_published_are_those_of_the_corpus_own_order():
    """By SciPy, face by face: of AFLW's faces in Y-X-Z, of the others as they are."""
    predicted, truth = poses(40)
    truth = np.clip(truth, -80, 80)
    order = ["YXZ", "XYZ"] * 20
    expected = np.abs(predicted - truth)
    for row in range(0, 40, 2):
        both = Rotation.from_euler("XYZ", [predicted[row], truth[row]], degrees=True)
        yaw, pitch, roll = both.as_euler("YXZ", degrees=True).T
        apart = np.diff([pitch, yaw, roll])[:, 0]
        expected[row] = np.abs((apart + 180) % 360 - 180)
    found = summary(predicted, truth, order)
    assert list(found["published"].values())[:3] == pytest.approx(expected.mean(0).tolist())
    assert found["published"]["mae"] == pytest.approx(expected.mean())
    plain = summary(predicted, truth)
    assert {key: value for key, value in found.items() if key != "published"} == plain
    assert summary(predicted, truth, ["XYZ"] * 40) == plain


def test_a_prediction_beyond_a_pitch_of_90_is_near_its_label_as_published():
    published = np.array([[92.0, 3.0, -4.0], [88.0, 3.0, -4.0]])  # across the end of the branch
    predicted, label = pyr_from_yxz(published)
    (error,) = published_errors_deg([predicted], [label], ["YXZ"])
    assert error == pytest.approx([4, 0, 0], abs=1e-6)


def test_geodesic_sees_one_rotation_where_angles_see_two():
    """Two names of one rotation: Euler angles differ, the head does not."""
    found = summary([[10.0, 80.0, 20.0]], [[-170.0, 100.0, -160.0]])
    assert found["geodesic"] == pytest.approx(0, abs=1e-9)
    assert found["mae"] > 100


@pytest.mark.parametrize(
    ("yaw", "band"),
    [
        pytest.param(0.0, "0-30", id="frontal"),
        pytest.param(-29.99, "0-30", id="left and right alike"),
        pytest.param(30.0, "30-60", id="a lower edge"),
        pytest.param(-60.0, "60-99", id="a negative edge"),
        pytest.param(99.0, "60-99", id="the last edge belongs to the last band"),
        pytest.param(99.5, None, id="outside"),
    ],
)
def test_the_label_decides_the_band(yaw, band):
    found = mae_by_yaw([[0.0, 45.0, 0.0]], [[0.0, yaw, 0.0]], BANDS)
    assert list(found) == ([band] if band else [])
    if band:
        assert found[band]["faces"] == 1
        assert found[band]["yaw"] == pytest.approx(abs(45 - yaw))


def test_bands_make_up_the_whole():
    predicted, truth = poses(300)
    bands = mae_by_yaw(predicted, truth, BANDS).values()
    assert sum(band["faces"] for band in bands) == 300
    weighted = sum(band["mae"] * band["faces"] for band in bands) / 300
    assert weighted == pytest.approx(summary(predicted, truth)["mae"], rel=1e-12)


def test_an_empty_test_set_is_an_error():
    with pytest.raises(ValueError, match="no face"):
        summary(np.empty((0, 3)), np.empty((0, 3)))


def test_over_several_runs_every_value_is_averaged_and_the_mae_has_a_spread():
    truth = poses(50)[1]
    runs = [summary(poses(50, seed)[0], truth) for seed in (0, 1, 2)]
    found = over_runs(runs)
    for name in ("pitch", "yaw", "roll", "mae", "geodesic"):
        assert found[name] == pytest.approx(np.mean([run[name] for run in runs]), rel=1e-12)
    assert found["mae_std"] == pytest.approx(np.std([run["mae"] for run in runs], ddof=1))
    assert (found["runs"], found["faces"]) == (3, 50)
    assert isinstance(found["faces"], int)


def test_one_run_is_itself_and_has_no_spread():
    run = summary(*poses(50))
    assert over_runs([run]) == {**run, "runs": 1}


def test_bands_are_averaged_band_by_band():
    truth = poses(300)[1]
    one, two = (mae_by_yaw(poses(300, seed)[0], truth, BANDS) for seed in (0, 1))
    found = mean_of([one, two])
    assert list(found) == list(one)
    for band, values in found.items():
        assert values["faces"] == one[band]["faces"]
        assert values["mae"] == pytest.approx((one[band]["mae"] + two[band]["mae"]) / 2)
