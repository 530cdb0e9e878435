"""What is reported of a table of predictions, against loops over its rows; the calibration."""

import numpy as np
import pandas as pd
import pytest

from hpe_core.common.errors import InputError
from hpe_core.evaluation.bootstrap import mean_interval
from hpe_core.evaluation.calibration import calibrated, scale_factors
from hpe_core.evaluation.columns import (
    ENTROPY_PYR,
    ORACLE,
    PYR,
    SPREAD_PYR,
    STD_PYR,
    TRUE_PYR,
)
from hpe_core.evaluation.metrics import angle_errors_deg, face_errors_deg, summary
from hpe_core.evaluation.summaries import bands, intervals, risk_curves, summaries, uncertainties
from hpe_core.evaluation.uncertainty import (
    aurc_gain,
    face_uncertainty,
    rank_correlation,
    std_coverage,
)

SEEDS = (1, 2)
NETWORKS = {"base": 1.0, "ensemble": 0.9, "kd-resnet8": 0.8}  # size of the errors


def made_up(faces: int = 60, std_size: float = 2.0, seed: int = 0) -> pd.DataFrame:
    """Normal errors whose std is `std_size` times too large; groups of three faces."""
    rng = np.random.default_rng(seed)
    truth = rng.uniform([-30, -90, -30], [30, 90, 30], (faces, 3))
    parts = []
    for name, size in NETWORKS.items():
        for run in SEEDS:
            std = rng.uniform(1, 9, (faces, 3)) * size
            spread = std / 3 if name == "ensemble" else np.zeros_like(std)
            values = [rng.normal(truth, std), std_size * std, spread, np.log(std), truth]
            columns = [*PYR, *STD_PYR, *SPREAD_PYR, *ENTROPY_PYR, *TRUE_PYR]
            part = pd.DataFrame(np.hstack(values), columns=columns)
            part["face_id"] = [f"X/{row:03d}" for row in range(faces)]
            part = part.assign(group=part.index // 3, order="XYZ")
            parts.append(part.assign(network=name, seed=run))
    return pd.concat(parts, ignore_index=True)


def of_run(table: pd.DataFrame, network: str, seed: int) -> pd.DataFrame:
    return table[(table["network"] == network) & (table["seed"] == seed)]


def errors(table: pd.DataFrame) -> np.ndarray:
    return np.abs(table[PYR].to_numpy() - table[TRUE_PYR].to_numpy())


def test_errors_wrap_and_a_faces_is_the_mean_of_its_angles():
    table = made_up(faces=4)
    shifted = table.assign(yaw=table["yaw"] + 360, roll=table["roll"] - 720)
    np.testing.assert_allclose(angle_errors_deg(shifted), errors(table), atol=1e-9)
    by_loop = [errors(table)[row].sum() / 3 for row in range(len(table))]
    np.testing.assert_allclose(face_errors_deg(shifted), by_loop)


def test_summaries_are_means_over_the_seeds():
    table = made_up()
    found = summaries(table)
    assert list(found) == list(NETWORKS)
    runs = [summary(r[PYR], r[TRUE_PYR]) for r in (of_run(table, "ensemble", s) for s in SEEDS)]
    for measure in ("pitch", "mae", "geodesic", "aligned"):
        assert found["ensemble"][measure] == pytest.approx(np.mean([r[measure] for r in runs]))
    assert found["ensemble"]["mae_std"] == pytest.approx(np.std([r["mae"] for r in runs], ddof=1))
    assert summaries(table[:0]) == {}


def test_bands_sum_to_the_mae():
    table = made_up()
    found, whole = bands(table, [0, 45, 99]), summaries(table)
    for name, own in found.items():
        weighted = sum(band["mae"] * band["faces"] for band in own.values()) / 60
        assert weighted == pytest.approx(whole[name]["mae"])


def test_intervals_are_those_of_the_faces_means_over_the_seeds():
    table = made_up()
    found = intervals(table.sample(frac=1, random_state=0), np.random.default_rng(5))
    of_seeds = np.mean([errors(of_run(table, "kd-resnet8", seed)) for seed in SEEDS], axis=0)
    groups = np.arange(60) // 3
    low, high = mean_interval(of_seeds, np.random.default_rng(5), groups)
    for place, angle in enumerate(PYR):
        assert found["kd-resnet8"][angle] == pytest.approx([low[place], high[place]])
    low, high = mean_interval(of_seeds.mean(1), np.random.default_rng(5), groups)
    assert found["kd-resnet8"]["mae"] == pytest.approx([low, high])
    for name, whole in summaries(table).items():
        for measure, (low, high) in found[name].items():
            assert low < whole[measure] < high


def test_uncertainties_are_means_over_the_seeds():
    table = made_up()
    found = uncertainties(table, calibrated=True)
    assert [list(own) for own in found.values()] == [
        ["std", "entropy"], ["std", "entropy", "spread"], ["std", "entropy"],
    ]  # fmt: skip
    for kind, columns in {"std": STD_PYR, "entropy": ENTROPY_PYR, "spread": SPREAD_PYR}.items():
        ranks, faces, gains = [], [], []
        for run in (of_run(table, "ensemble", seed) for seed in SEEDS):
            of_face, doubt = errors(run).mean(1), face_uncertainty(run[columns])
            ranks.append(rank_correlation(run[columns], errors(run)))
            faces.append(pd.Series(doubt).corr(pd.Series(of_face), method="spearman"))
            gains.append(aurc_gain(of_face, doubt))
        own = found["ensemble"][kind]
        expected = [*np.mean(ranks, axis=0), np.mean(faces)]
        assert list(own["rank_correlation"].values()) == pytest.approx(expected)
        assert own["aurc_gain"] == pytest.approx(np.mean(gains))
    std = found["base"]["std"]
    covered = [
        std_coverage(errors(r), r[STD_PYR]) for r in (of_run(table, "base", s) for s in SEEDS)
    ]
    assert list(std["coverage"].values()) == pytest.approx(np.mean(covered, axis=0))
    assert std["calibrated"] is True


def test_risk_curves_end_in_the_mae_and_the_oracle_is_below():
    table = made_up()
    curves = risk_curves(table).pivot(index="percent", columns="network", values="mae")
    assert list(risk_curves(table)["network"].unique()) == [*NETWORKS, ORACLE]
    for name, whole in summaries(table).items():
        assert curves.loc[100, name] == pytest.approx(whole["mae"])
        assert curves.loc[20, name] < whole["mae"]
    assert (curves[ORACLE] <= curves["base"] + 1e-9).all()
    assert curves.loc[100, ORACLE] == pytest.approx(curves.loc[100, "base"])
    least = [np.sort(errors(of_run(table, "base", s)).mean(1))[:30].mean() for s in SEEDS]
    assert curves.loc[50, ORACLE] == pytest.approx(np.mean(least))


def test_factors_of_validation_faces_mend_the_std_of_others():
    factors = scale_factors(made_up(4000))
    assert len(factors) == len(NETWORKS) * len(SEEDS)
    np.testing.assert_allclose(factors[PYR], 0.5, rtol=0.1)
    test = made_up(2000, seed=1)
    raw, mended = (uncertainties(t, calibrated=True) for t in (test, calibrated(test, factors)))
    for name in NETWORKS:
        assert min(raw[name]["std"]["coverage"].values()) > 0.9
        np.testing.assert_allclose(list(mended[name]["std"]["coverage"].values()), 0.68, atol=0.04)


def test_every_run_and_angle_has_its_own_factor():
    table = made_up(4)
    runs = [(name, seed) for name in NETWORKS for seed in SEEDS]
    factors = pd.DataFrame(runs, columns=["network", "seed"])
    factors[PYR] = np.arange(1.0, 19.0).reshape(6, 3)
    found = calibrated(table, factors.sample(frac=1, random_state=0))
    for (name, seed), own in zip(runs, factors[PYR].to_numpy(), strict=True):
        ratio = of_run(found, name, seed)[STD_PYR] / of_run(table, name, seed)[STD_PYR]
        np.testing.assert_allclose(ratio, np.tile(own, (4, 1)))
    pd.testing.assert_frame_equal(found.drop(columns=STD_PYR), table.drop(columns=STD_PYR))


def test_without_validation_faces_the_std_stays():
    table = made_up(4)
    none = scale_factors(table[:0])
    assert list(none) == ["network", "seed", *PYR]
    pd.testing.assert_frame_equal(calibrated(table, none), table)


def test_a_run_without_factors_is_named():
    table = made_up(4)
    factors = scale_factors(table).query("network != 'base' or seed != 2")
    with pytest.raises(InputError, match=r"no calibration factors for .*'base', 2"):
        calibrated(table, factors)
