"""Pairs of networks from a table of predictions, and the command that prints them."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hpe_core.common.errors import InputError
from hpe_core.common.geometry import ANGLES
from hpe_core.common.table_files import write_table
from hpe_core.evaluation.bootstrap import paired_difference
from hpe_core.evaluation.columns import TRUE_PYR
from hpe_core.evaluation.comparison import NEEDED_COLUMNS, compare, errors_by_network, pairs_of
from hpe_core.evaluation.metrics import summary
from pipeline import compare as command

SIZES = {"base": 6.0, "ensemble": 5.6, "kd-resnet8": 5.6}  # of the errors, degrees


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def predictions(seeds: int = 1, faces: int = 200, shuffle: int | None = None) -> pd.DataFrame:
    """Networks whose errors are alike, but for their size; every network and seed in its order."""
    truth = rng().uniform([-40, -98, -40], [40, 98, 40], (faces, 3))
    shared = rng(1).normal(0, 1, truth.shape)
    parts = []
    for place, (name, size) in enumerate(SIZES.items()):
        for seed in range(seeds):
            own = rng(100 * place + seed).normal(0, 0.2, truth.shape)
            part = pd.DataFrame(truth + size * (shared + own), columns=list(ANGLES))
            part[TRUE_PYR] = truth
            ids = [f"X/{row:03d}" for row in range(faces)]
            part = part.assign(face_id=ids, group=ids, network=name, seed=seed)
            order = np.arange(faces) if shuffle is None else rng(shuffle + place).permutation(faces)
            parts.append(part.iloc[order])
    return pd.concat(parts, ignore_index=True)[NEEDED_COLUMNS]


def only(table: pd.DataFrame, network: str, seed: int = 0) -> pd.DataFrame:
    return table[(table["network"] == network) & (table["seed"] == seed)]


def errors_by_loop(table: pd.DataFrame, network: str, seed: int) -> np.ndarray:
    rows = only(table, network, seed).sort_values("face_id")
    return np.array([summary(r[[*ANGLES]], r[TRUE_PYR])["mae"] for r in _single(rows)])


def _single(rows: pd.DataFrame) -> list[pd.DataFrame]:
    return [rows.iloc[[i]] for i in range(len(rows))]


def test_pairs_follow_the_order_of_the_table():
    assert pairs_of(predictions()) == [
        ("base", "ensemble"), ("base", "kd-resnet8"), ("ensemble", "kd-resnet8"),
    ]  # fmt: skip


def test_a_row_is_the_paired_difference_of_errors_face_by_face():
    table = predictions(seeds=2, faces=40)
    found = compare(table, [("base", "kd-resnet8")], rng()).iloc[0]
    a, b = (
        np.stack([errors_by_loop(table, name, seed) for seed in range(2)])
        for name in ("base", "kd-resnet8")
    )
    expected = paired_difference(a, b, rng(int(rng().integers(2**32))))
    assert found[["a", "b", "faces", "groups", "runs"]].tolist() == [
        "base",
        "kd-resnet8",
        40,
        40,
        2,
    ]
    assert found["mae_a"] == pytest.approx(a.mean())
    assert found["mae_b"] == pytest.approx(b.mean())
    assert found["gain"] == pytest.approx(100 * (a.mean() - b.mean()) / a.mean())
    assert found[["difference", "low", "high", "p", "run_std"]].tolist() == pytest.approx(
        [expected.mean, expected.low, expected.high, expected.p, expected.run_std]
    )
    assert found["significant"] == expected.significant


def test_the_smaller_error_is_better_with_enough_faces():
    table = compare(predictions(), pairs_of(predictions()), rng()).set_index(["a", "b"])
    base = table.loc[("base", "ensemble")]
    assert base["significant"]
    assert 0 < base["low"] < base["difference"] < base["high"]
    assert base["gain"] > 0
    assert not table.loc[("ensemble", "kd-resnet8")]["significant"]


def test_errors_wrap():
    table = predictions(faces=1)
    table.loc[0, [*ANGLES]] = table.loc[0, TRUE_PYR].to_numpy() + np.array([358, -1, 361])
    assert errors_by_network(table)["base"].iloc[0, 0] == pytest.approx((2 + 1 + 1) / 3)


def test_the_order_of_rows_does_not_matter():
    pairs = pairs_of(predictions())
    one = compare(predictions(seeds=2), pairs, rng())
    other = compare(predictions(seeds=2, shuffle=5), pairs, rng())
    pd.testing.assert_frame_equal(one, other, rtol=1e-9)


def test_a_pair_does_not_depend_on_the_others():
    pairs = pairs_of(predictions())
    every, last = (compare(predictions(), some, rng()) for some in (pairs, pairs[-1:]))
    pd.testing.assert_frame_equal(every.iloc[-1:].reset_index(drop=True), last)


def test_only_seeds_of_both_count():
    table = predictions(seeds=3)
    table = table[~((table["network"] == "ensemble") & (table["seed"] == 1))]
    found = compare(table, [("base", "ensemble"), ("base", "kd-resnet8")], rng())
    assert found["runs"].tolist() == [2, 3]
    kept = predictions(seeds=3).query("seed != 1")
    expected = compare(kept, [("base", "ensemble")], rng())
    pd.testing.assert_frame_equal(found.iloc[:1], expected)


def test_groups_make_it_less_sure():
    table = predictions()
    names = [f"X/{row:03d}" for row in range(200)]
    videos = {name: str(row // 25) for row, name in enumerate(names)}
    shift = table["face_id"].map(videos).map(lambda video: 8.0 * (int(video) % 3 - 1))
    better = table["network"] != "base"
    table.loc[better, "pitch"] += shift[better]  # a video is as good or bad as a whole
    in_videos = table.assign(group=table["face_id"].map(videos))
    alone, grouped = (compare(t, [("base", "ensemble")], rng()) for t in (table, in_videos))
    assert grouped["groups"].tolist() == [8]
    assert grouped["difference"].tolist() == alone["difference"].tolist()
    assert (grouped["high"] - grouped["low"])[0] > 1.5 * (alone["high"] - alone["low"])[0]


def relabel(table: pd.DataFrame) -> pd.DataFrame:
    table.loc[250, "true_yaw"] += 0.01
    return table


@pytest.mark.parametrize(
    ("break_it", "expected"),
    [
        pytest.param(lambda t: t[t["network"] != "base"], r"no network \['base'\]", id="network"),
        pytest.param(
            lambda t: t.drop(index=0), "predictions for 1 faces, such as X/000", id="face"
        ),
        pytest.param(lambda t: pd.concat([t, t[:1]]), "predicted twice: .*X/000", id="twice"),
        pytest.param(relabel, "X/050 has labels that differ by 0.010", id="label"),
        pytest.param(
            lambda t: t.assign(seed=t["network"].map({"base": 0}).fillna(1)),
            r"no seed in common: \[0.*\] and \[1",
            id="no common seed",
        ),
        pytest.param(
            lambda t: pd.concat([t, t[5:200].assign(seed=1)]),
            "base: 5 faces are missing for some seeds, such as X/000",
            id="a seed with fewer faces",
        ),
    ],
)
def test_what_cannot_be_compared_is_refused(break_it, expected):
    with pytest.raises(InputError, match=expected):
        compare(break_it(predictions()), [("base", "ensemble")], rng())


def run_command(*arguments: str | Path) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "pipeline.compare", *map(str, arguments)],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
    )


def printed(capsys, **arguments) -> list[list[str]]:
    """The printed table's cells, heading first."""
    command.main(**{"other": None, "networks": None, "seed": 0, **arguments})
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [cells[0], *cells[2:]]


@pytest.fixture
def file(tmp_path) -> Path:
    write_table(predictions(), tmp_path / "predictions.parquet")
    return tmp_path / "predictions.parquet"


def test_the_command_prints_every_pair(file):
    done = run_command("--predictions", file)
    assert done.returncode == 0, done.stderr
    assert "positive where b is better" in done.stdout
    assert done.stdout.count("| base ") == 2
    assert run_command("--predictions", file).stdout == done.stdout


def test_the_command_rounds_and_marks(file, capsys):
    heading, first, *_ = printed(capsys, predictions=file)
    cells = dict(zip(heading, first, strict=True))
    expected = compare(predictions(), [("base", "ensemble")], rng()).iloc[0]
    assert cells["mae a"] == f"{expected['mae_a']:.3f}"
    assert (cells["p"], cells["significant"]) == ("< 0.001", "yes")
    assert cells["gain"] == f"{expected['gain']:+.1f} %"
    assert "run std" not in cells, "one run has no spread"


def test_the_command_compares_the_networks_asked_for(file, capsys):
    _, *rows = printed(capsys, predictions=file, networks=["kd-resnet8", "base"])
    assert [row[:2] for row in rows] == [["kd-resnet8", "base"]]


def test_the_command_compares_namesakes_of_two_files(file, tmp_path, capsys):
    other = predictions()[lambda t: t["network"] != "ensemble"].copy()
    other["yaw"] += 3.0
    write_table(other, tmp_path / "other.parquet")
    heading, *rows = printed(capsys, predictions=file, other=tmp_path / "other.parquet")
    assert [row[:2] for row in rows] == [
        ["base", "base (other)"], ["kd-resnet8", "kd-resnet8 (other)"],
    ]  # fmt: skip
    assert all(float(row[heading.index("difference")]) < 0 for row in rows)


def test_the_command_draws_whole_groups(tmp_path, capsys):
    table = predictions()
    write_table(table.assign(group=table["face_id"].str[2]), tmp_path / "predictions.parquet")
    heading, *rows = printed(capsys, predictions=tmp_path / "predictions.parquet")
    assert {row[heading.index("groups")] for row in rows} == {"2"}
    assert {row[heading.index("significant")] for row in rows} == {"no"}


def test_the_command_shows_the_spread_over_the_seeds(tmp_path, capsys):
    write_table(predictions(seeds=2), tmp_path / "predictions.parquet")
    heading, first, *_ = printed(capsys, predictions=tmp_path / "predictions.parquet")
    expected = compare(predictions(seeds=2), [("base", "ensemble")], rng()).iloc[0]
    shown = f"{expected['difference']:.3f} ± {expected['run_std']:.3f}"
    assert first[heading.index("difference")] == shown


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        pytest.param({"networks": ["base", "kd"]}, r"no network \['kd'\]; found", id="unknown"),
        pytest.param({"networks": ["base"]}, r"nothing to compare: \['base'\]", id="one"),
    ],
)
def test_the_command_refuses(file, arguments, expected, capsys):
    with pytest.raises(InputError, match=expected):
        printed(capsys, predictions=file, **arguments)
