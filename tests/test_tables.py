"""The stages `tables` and `examples` on results made up here: nothing is trained."""

import csv
import json
import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
import vl_convert
import yaml
from dvc_render.vega import VegaRenderer

from hpe_core import evaluation, paper_tables
from hpe_core.boxes import offset_grid
from hpe_core.comparison import compare, pairs_of
from hpe_core.errors import InputError
from hpe_core.io.crops import CropFormat, encode, write_crops
from hpe_core.io.files import write_json
from hpe_core.io.tables import write_csv, write_table
from hpe_core.jitter import box_jitters
from hpe_core.metrics import mae_by_yaw, over_runs, summary
from hpe_core.predictions import ENTROPY_PYR, ORACLE, PYR, SPREAD_PYR, STD_PYR, TRUE_PYR
from pipeline import examples, tables

ROOT = Path(__file__).parents[1]
CORPORA = "corpora of this test"
SEED = 3
BANDS = [0, 30, 60, 99]
DEMO = yaml.safe_load((ROOT / "params.yaml").read_text())
PAPER_PARAMS = {
    "protocols": {
        "p1": {"train": "300W_LP", "where": {}, "validation": 0.0},
        "p2": {"train": "AFLW", "where": {"split": ["train"]}, "validation": 0.1},
    },
    "tests": {
        "p1-AFLW2000": {"protocol": "p1", "dataset": "AFLW2000", "where": {}},
        "p1-BIWI": {"protocol": "p1", "dataset": "BIWI", "where": {}},
        "p2-AFLW": {"protocol": "p2", "dataset": "AFLW", "where": {"split": ["test"]}},
    },
    "students": ["resnet18", "resnet10"],
    "seeds": [4, 7],
    "imported": {},
    **{name: DEMO[name] for name in ("distill", "boxes", "crop", "filter")},
    "ensemble": {"K": 6, "d": 3, "turns_deg": [0.0], "flip": False, "precision": "32-true"},
    "tables": {"corpora": CORPORA, "examples": 8},
    "base": {
        "backbone": "resnet10",
        "weights": "none",
        "bins_deg": [1.0],
        "label_std_deg": 0.0,
        "epochs": 1,
        "batch": 1,
        "lr": 0.1,
        "schedule": "constant",
        "precision": "32-true",
    },
}
OWN_PARAMS = {
    **PAPER_PARAMS,
    "protocols": {"aflw": {"train": "AFLW", "where": {"video": ["01", "02"]}, "validation": 0.0}},
    "tests": {
        "aflw-AFLW": {"protocol": "aflw", "dataset": "AFLW", "where": {"split": ["test"]}},
        "aflw-AFLW2000": {"protocol": "aflw", "dataset": "AFLW2000", "where": {}},
    },
    "students": ["resnet50"],
}


SHARED = {
    "photograph": {"shared": 3, "training_faces": 5, "test_faces": 4},
    "subject": None,
}


def write_results(folder: Path, params: dict[str, Any], k_max: int = 15, seed: int = 0) -> Path:
    """Everything `tables` reads; the error of a network follows from its place in the list."""
    rng = np.random.default_rng(seed)
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
    for name in params["tests"]:
        truth = rng.uniform([-30, -98, -30], [30, 98, 30], (300, 3))
        noise = rng.normal(0, 5, truth.shape)
        names = ["base", "ensemble", *(f"kd-{backbone}" for backbone in params["students"])]
        predicted = {key: truth + noise * (1 - 0.03 * place) for place, key in enumerate(names)}
        networks = {key: over_runs([summary(p, truth)]) for key, p in predicted.items()}
        write_json(networks, folder / "tests" / f"{name}.json")
        bands = {key: mae_by_yaw(pyr_deg, truth, BANDS) for key, pyr_deg in predicted.items()}
        write_json(bands, folder / "bands" / f"{name}.json")
        write_sureness(folder, name, predicted, truth)
        write_cells(folder / "cells" / f"{name}.csv", networks["base"]["mae"], k_max)
        write_jitter(folder / "jitter" / f"{name}.csv", {k: n["mae"] for k, n in networks.items()})
    for dataset in ("300W_LP", "AFLW2000", "AFLW", "BIWI"):
        counts = {
            "before": 1010,
            "faces": 1000,
            "dropped": {"angle_over_limit": 7, "box_too_small": 3, "excluded_by_split": 0},
            "by_split": {"train": 700, "test": 300},
        }
        write_json(counts, folder / "counts" / f"{dataset}.json")
    for place, protocol in enumerate(params["protocols"]):
        sizes = {"training": 700 + place, "validation": 80 * place}
        write_json(sizes, folder / "sets" / f"{protocol}.json")
        held_out = {"base": {"mae": 5.0}, "kd-resnet18": {"mae": 4.5, "pitch": 4.0}}
        write_json(held_out if place else {}, folder / "validation" / f"{protocol}.json")
        own = [name for name, test in params["tests"].items() if test["protocol"] == protocol]
        write_json(dict.fromkeys(own, SHARED), folder / "leaks" / f"{protocol}.json")
        write_factors(folder / "calibration" / f"{protocol}.csv", params, rows=bool(place))
    return folder


def write_factors(path: Path, params: dict[str, Any], *, rows: bool) -> None:
    """As `validate` writes them: no row of a protocol without validation faces."""
    names = ["base", "ensemble", *(f"kd-{backbone}" for backbone in params["students"])]
    table = pd.DataFrame(
        [
            {"network": name, "seed": seed, "pitch": 0.4 + i / 10, "yaw": 0.1 * seed, "roll": 1.25}
            for i, name in enumerate(names)
            for seed in params["seeds"]
        ]
    )
    write_csv(table if rows else table.iloc[:0], path)


def write_sureness(
    folder: Path, test: str, predicted: dict[str, np.ndarray], truth: np.ndarray
) -> None:
    """Intervals, comparisons, uncertainty and risk, as `evaluate` writes them."""
    parts = []
    for place, (name, pyr_deg) in enumerate(predicted.items()):
        std = np.abs(pyr_deg - truth) + np.random.default_rng(place).uniform(1, 5, truth.shape)
        spread = std / 2 if name == "ensemble" else 0 * std
        values = np.hstack([pyr_deg, std, spread, np.log(std), truth])
        columns = [*PYR, *STD_PYR, *SPREAD_PYR, *ENTROPY_PYR, *TRUE_PYR]
        ids = [f"X/{row}" for row in range(len(truth))]
        part = pd.DataFrame(values, columns=columns).assign(face_id=ids, group=ids)
        parts.append(part.assign(network=name, seed=1))
    table, rng = pd.concat(parts), np.random.default_rng(0)
    write_json(evaluation.intervals(table, rng), folder / "intervals" / f"{test}.json")
    write_csv(compare(table, pairs_of(table), rng), folder / "comparisons" / f"{test}.csv")
    doubt = evaluation.uncertainties(table, calibrated=test != "p1-BIWI")
    write_json(doubt, folder / "uncertainty" / f"{test}.json")
    write_csv(evaluation.risk_curves(table), folder / "risk" / f"{test}.csv")


def write_cells(path: Path, base_mae: float, k_max: int) -> None:
    """A sweep whose best cell is K = 9, d = 3 (or the largest there is)."""
    rows = []
    for k in range(k_max + 1):
        for d in range(1, max(k_max, 1) + 1):
            size = len(offset_grid(k, d))
            gain = 0.0 if size == 1 else 0.2 - 0.01 * np.hypot(k // d * d - 9, 0.4 * (d - 3))
            mae = round(base_mae - gain, 4)
            row = {"K": k, "d": d, "S": size, "pitch": mae, "yaw": mae, "roll": mae, "mae": mae}
            rows.append({**row, "faces": 300})
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows).to_csv(path, index=False)


LEVELS = {"shifts": [0.03125, 0.0625, 0.125], "scales": [0.8, 0.9, 1.1, 1.2]}


def write_jitter(path: Path, maes: dict[str, float], levels: Any = LEVELS) -> None:
    """As the stage: errors grow with the level, most downwards, least for the last network."""
    rows = []
    for place, (network, mae) in enumerate(maes.items()):
        for jitter in box_jitters(**levels):
            grown = 40 * sum(map(abs, jitter.shift_xy)) + 12 * abs(jitter.scale - 1)
            grown *= (1 - 0.15 * place) * (1.5 if jitter.direction == "down" else 1)
            row = {"network": network, "kind": jitter.kind, "direction": jitter.direction}
            rows.append({**row, "level": jitter.level, "mae": round(mae + grown, 4), "faces": 50})
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows).to_csv(path, index=False)


def run_tables(folder: Path, out: str = "out") -> Path:
    tables.main(
        params=folder / "params.yaml",
        tests=folder / "tests",
        bands=folder / "bands",
        cells=folder / "cells",
        intervals=folder / "intervals",
        comparisons=folder / "comparisons",
        uncertainty=folder / "uncertainty",
        risk=folder / "risk",
        jitter=folder / "jitter",
        counts=folder / "counts",
        sets=folder / "sets",
        leaks=folder / "leaks",
        validation=folder / "validation",
        imported=folder / "imported",
        calibration=folder / "calibration",
        published=ROOT / "data" / "published",
        card=ROOT / "pipeline" / "model_card.md",
        tables=folder / out,
        summary=folder / out / "summary.json",
        figures=folder / out / "figures",
    )
    return folder / out


def write_faces(folder: Path, params: dict[str, Any], count: int = 40) -> None:
    """Predictions and crops of one test set; the crops are grey noise."""
    rng = np.random.default_rng(1)
    truth = rng.uniform([-30, -98, -30], [30, 98, 30], (count, 3))
    ids = [f"X/{row:03d}" for row in range(count)]
    order = rng.permutation(count)  # crops need not lie in the order of the predictions
    faces = pd.DataFrame(truth, columns=["pitch", "yaw", "roll"]).assign(
        face_id=ids, group=ids, validation=False
    )
    write_table(faces.iloc[order], folder / "faces.parquet")
    crop_format = CropFormat(64, 64, 15, "enlarged", "replicate", "png", 95)
    images = [encode(np.full(crop_format.shape, 90 + row, np.uint8), crop_format) for row in order]
    write_crops(folder / "crops.h5", faces.iloc[order], images, crop_format, {"boxes": {}})
    names = ["base", "ensemble", *(f"kd-{backbone}" for backbone in params["students"])]
    labels = pd.DataFrame(truth, columns=TRUE_PYR)
    parts = [
        pd.DataFrame(truth + 5 * place + seed, columns=["pitch", "yaw", "roll"])
        .assign(face_id=ids, network=name, seed=seed)
        .join(labels)
        for place, name in enumerate(names)
        for seed in (SEED, SEED + 1)
    ]
    write_table(pd.concat(parts), folder / "predictions.parquet")


def run_examples(folder: Path, test: str, out: str = "examples.png") -> Path:
    examples.main(
        params=folder / "params.yaml",
        test=test,
        seed=SEED,
        predictions=folder / "predictions.parquet",
        crops=folder / "crops.h5",
        figure=folder / out,
    )
    return folder / out


@pytest.fixture(scope="module")
def paper_run(tmp_path_factory) -> Path:
    return run_tables(write_results(tmp_path_factory.mktemp("paper"), PAPER_PARAMS))


def rows(path: Path, **where: Any) -> pd.DataFrame:
    table = pd.read_csv(path)
    for column, value in where.items():
        table = table[table[column] == value]
    return table


def row(path: Path, **where: Any) -> pd.Series:
    found = rows(path, **where)
    assert len(found) == 1, found
    return found.iloc[0]


def test_every_table_names_the_corpora(paper_run):
    names = {"table1", "table2", "table3", "table5", "bands"}
    names |= {"comparisons", "uncertainty", "jitter"}
    cards = {"model-card-p1", "model-card-p2"}
    assert {path.stem for path in paper_run.glob("*.csv")} == names
    assert {path.stem for path in paper_run.glob("*.md")} == {*names, "summary", *cards}
    for path in paper_run.glob("*.csv"):
        assert set(pd.read_csv(path)["corpora"]) == {CORPORA}, path
    for path in paper_run.glob("*.md"):
        assert f"**{CORPORA}**" in path.read_text(), path


@pytest.mark.parametrize(
    ("role", "protocol", "dataset", "ours", "published"),
    [
        pytest.param("train", "p1", "300W_LP", 700, 122415, id="the faces to train on"),
        pytest.param("train", "p2", "AFLW", 701, 22079, id="of another protocol"),
        pytest.param("validation", "p2", "AFLW", 80, np.nan, id="the faces held out"),
        pytest.param("test", "p2", "AFLW", 300, 1969, id="the faces that were evaluated"),
    ],
)
def test_table_1_counts(paper_run, role, protocol, dataset, ours, published):
    found = row(paper_run / "table1.csv", role=role, protocol=protocol, dataset=dataset)
    np.testing.assert_equal([found["faces"], found["paper_faces"]], [ours, published])


def test_table_1_has_no_validation_faces_where_none_are_held_out(paper_run):
    assert rows(paper_run / "table1.csv", protocol="p1")["role"].tolist() == [
        "train",
        "test",
        "test",
    ]


def test_table_1_counts_what_training_and_test_share(tmp_path):
    folder = write_results(tmp_path, PAPER_PARAMS)
    none = dict.fromkeys(SHARED["photograph"], 0)
    of_p1 = {
        "p1-AFLW2000": {"photograph": none, "subject": None},
        "p1-BIWI": {"photograph": none, "subject": none | {"shared": 2}},
    }
    write_json(of_p1, folder / "leaks" / "p1.json")
    out = run_tables(folder)
    table = pd.read_csv(out / "table1.csv")
    found = table[["photographs_in_training", "subjects_in_training"]]
    unknown = np.nan
    np.testing.assert_array_equal(found[table["role"] != "test"], unknown)
    expected = [[0, unknown], [0, 2], [3, unknown]]
    np.testing.assert_array_equal(found[table["role"] == "test"], expected)
    lines = [line.split("|") for line in (out / "table1.md").read_text().splitlines()]
    shown = [[cell.strip() for cell in line[4:7]] for line in lines if len(line) > 8]
    assert shown[0] == ["faces", "photographs in training", "subjects in training"]
    assert ["300", "0", "–"] in shown
    assert ["300", "0", "2"] in shown


def test_table_2_has_the_papers_cells_the_teacher_and_the_best(paper_run):
    table = rows(paper_run / "table2.csv", test="p1-BIWI")
    cells = list(zip(table["K"], table["d"], strict=True))
    assert cells == [(0, 1), (6, 3), (8, 1), (9, 3), (15, 1), (15, 5), (15, 15)]
    assert table["S"].tolist() == [1, 25, 289, 49, 961, 49, 9]
    notes = ["base", "teacher's K, d", "", "best here", "", "", ""]
    assert table["note"].fillna("").tolist() == notes
    measured = pd.read_csv(paper_run.parent / "cells" / "p1-BIWI.csv").set_index(["K", "d"])["mae"]
    assert table["avg"].tolist() == [measured[cell] for cell in cells]
    assert table["paper_avg"].dropna().tolist() == [4.135, 4.068, 4.061, 4.041, 4.040, 4.057]


@pytest.mark.parametrize(
    ("method", "ours", "published"),
    [
        pytest.param("HopeNet", None, 6.15, id="an earlier method"),
        pytest.param("Base ResNet10 (paper: ResNet50)", "base", 3.74, id="another base network"),
        pytest.param("Ensemble K=6, d=3", "ensemble", 3.67, id="the ensemble"),
        pytest.param("KD-ResNet18", "kd-resnet18", 3.64, id="a student of the paper"),
        pytest.param("KD-ResNet152", None, 3.48, id="a student that was not trained here"),
        pytest.param("KD-ResNet10", "kd-resnet10", None, id="a student of ours"),
    ],
)
def test_table_5_sets_ours_beside_the_papers(paper_run, method, ours, published):
    measured = json.loads((paper_run.parent / "tests" / "p1-AFLW2000.json").read_text())
    found = row(paper_run / "table5.csv", test="p1-AFLW2000", method=method)
    expected = [measured[ours][n] for n in ("yaw", "mae", "geodesic")] if ours else [np.nan] * 3
    np.testing.assert_array_equal(found[["yaw", "avg", "geodesic"]].astype("f8"), expected)
    paper_avg = found["paper_avg"]
    assert np.isnan(paper_avg) if published is None else paper_avg == published


def test_several_seeds_show_mean_and_spread(tmp_path):
    folder = write_results(tmp_path, PAPER_PARAMS)
    path = folder / "tests" / "p1-BIWI.json"
    networks = json.loads(path.read_text())
    networks["kd-resnet18"] |= {"mae": 3.123, "mae_std": 0.0456, "runs": 3}
    write_json(networks, path)
    out = run_tables(folder)
    shown = row(out / "table5.csv", test="p1-BIWI", method="KD-ResNet18")
    assert shown[["avg", "avg_std"]].tolist() == [3.123, 0.0456]
    assert np.isnan(row(out / "table5.csv", test="p1-BIWI", method="Ensemble K=6, d=3")["avg_std"])
    assert "| **3.12 ± 0.05** |" in (out / "table5.md").read_text()
    page = (out / "summary.md").read_text()
    assert "| 3.12 ± 0.05 |" in page
    assert max(map(len, page.split("## Ensembles")[0].splitlines())) <= 120
    assert f" {networks['ensemble']['mae']:.2f} |" in page
    for text in (page, (out / "table5.md").read_text()):
        assert "std" not in text


@pytest.mark.parametrize(
    ("windows", "named"),
    [
        ({"flip": True}, "K=6, d=3, mirrored"),
        ({"turns_deg": [-10.0, 0.0, 7.5]}, "K=6, d=3, turned by -10, 0, 7.5°"),
        (
            {"K": 0, "d": 1, "turns_deg": [-10.0, 10.0], "flip": True},
            "K=0, d=1, turned by -10, 10°, mirrored",
        ),
    ],
)
def test_the_teacher_is_named_with_its_turns_and_mirror_images(tmp_path, windows, named):
    ensemble = OWN_PARAMS["ensemble"] | windows
    out = run_tables(write_results(tmp_path, OWN_PARAMS | {"ensemble": ensemble}, k_max=6))
    assert pd.read_csv(out / "table5.csv")["method"][1] == f"Ensemble {named}"
    page = (out / "summary.md").read_text()
    assert f"teacher of the students: {named}.\n" in page
    assert max(map(len, page.split("## Ensembles")[0].splitlines())) <= 120
    sweep = page.split("## Ensembles")[1]
    assert "| teacher K, d |" in sweep.replace("   ", " ").replace("  ", " ")


def test_bands_are_those_of_the_metrics(paper_run):
    measured = json.loads((paper_run.parent / "bands" / "p2-AFLW.json").read_text())
    table = rows(paper_run / "bands.csv", test="p2-AFLW", network="kd-resnet18")
    assert table["abs_yaw"].tolist() == ["0-30", "30-60", "60-99"]
    bands = measured["kd-resnet18"]
    assert table["avg"].tolist() == [bands[band]["mae"] for band in table["abs_yaw"]]
    page = (paper_run / "bands.md").read_text()
    assert f"| {bands['60-99']['mae']:.2f}" in page


def test_the_jitter_table_shows_the_farthest_levels_and_what_they_lose(paper_run):
    measured = pd.read_csv(paper_run.parent / "jitter" / "p1-BIWI.csv")
    farthest = {
        "shift_0.125": ("shift", 0.125),
        "scale_0.8": ("scale", 0.8),
        "scale_1.2": ("scale", 1.2),
    }
    table = rows(paper_run / "jitter.csv", test="p1-BIWI").set_index("network")
    assert table.index.tolist() == ["base", "ensemble", "kd-resnet18", "kd-resnet10"]
    found = [name for name in table if name.startswith(("shift", "scale"))]
    assert found == [name + end for name in farthest for end in ("", "_loss")]
    for network, own in measured.groupby("network"):
        errors = own.groupby(["kind", "level"])["mae"].mean()
        plain = errors["shift", 0.0]
        assert table.loc[network, "avg"] == pytest.approx(plain, abs=1e-4)
        assert table.loc[network, "faces"] == 50
        for name, level in farthest.items():
            assert table.loc[network, name] == pytest.approx(errors[level], abs=1e-4)
            assert table.loc[network, f"{name}_loss"] == pytest.approx(
                errors[level] - plain, abs=2e-4
            )
    page = (paper_run / "jitter.md").read_text()
    assert "| shift 0.125 |" in " ".join(page.split())
    least = table["shift_0.125_loss"].min()
    assert f"**{least:.2f}**" in page


def test_the_jitter_figure_has_every_level_once(tmp_path, monkeypatch):
    shown = []
    monkeypatch.setattr(tables, "save_jitter", lambda *arguments: shown.append(arguments))
    run_tables(write_results(tmp_path, PAPER_PARAMS))
    ((levels, title, path),) = shown
    assert CORPORA in title
    assert path.name == "jitter.png"
    expected = [f"{name}, 50 faces" for name in PAPER_PARAMS["tests"]]
    assert list(levels["test"].unique()) == expected
    assert len(levels) == 3 * 4 * 9, "tests, networks, and the levels with the box as it is twice"
    own = pd.read_csv(tmp_path / "jitter" / "p2-AFLW.csv").query("network == 'base'")
    found = levels.query("test == 'p2-AFLW, 50 faces' and network == 'base'").set_index(
        ["kind", "level"]
    )
    directions = own.query("kind == 'shift' and level == 0.0625")["mae"]
    assert len(directions) == 4
    assert found.loc[("shift", 0.0625), "mae"] == pytest.approx(directions.mean())


def test_without_shifts_there_are_scales_alone(tmp_path):
    folder = write_results(tmp_path, OWN_PARAMS)
    for name in OWN_PARAMS["tests"]:
        levels = {"shifts": [], "scales": [0.9]}
        write_jitter(folder / "jitter" / f"{name}.csv", {"base": 5.0, "ensemble": 4.9}, levels)
    table = pd.read_csv(run_tables(folder) / "jitter.csv")
    assert list(table)[3:-1] == ["avg", "scale_0.9", "scale_0.9_loss"]
    assert table["avg"].tolist() == [5.0, 4.9] * 2


def test_the_summary_shows_base_ensemble_and_students_with_their_gain(paper_run):
    page = (paper_run / "summary.md").read_text()
    measured = json.loads((paper_run.parent / "tests" / "p1-AFLW2000.json").read_text())
    lines = [[cell.strip() for cell in line.split("|")] for line in page.splitlines()]
    first = next(i for i, line in enumerate(lines) if "p1: 300W_LP → AFLW2000" in line)
    shown = {line[2]: line[3:-1] for line in lines[first : first + 4]}
    base = measured["base"]["mae"]
    assert list(shown) == ["base", "ensemble", "kd-resnet18", "kd-resnet10"]
    limits = json.loads((paper_run.parent / "intervals" / "p1-AFLW2000.json").read_text())
    for name, (mae, interval, gain, geodesic, *_) in shown.items():
        assert mae == f"{measured[name]['mae']:.2f}"
        assert interval == "{:.2f}–{:.2f}".format(*limits[name]["mae"])
        assert geodesic == f"{measured[name]['geodesic']:.2f}"
        saved = 100 * (1 - measured[name]["mae"] / base)
        assert gain == ("–" if name == "base" else f"{saved:+.1f} %*")
    assert shown["kd-resnet18"][4:] == ["3.64", "+2.7 %"]
    assert "looked up on the test set itself" in page
    assert "9, 3, 49" in page


def test_a_gain_that_may_be_chance_has_no_star(tmp_path):
    folder = write_results(tmp_path, PAPER_PARAMS)
    path = folder / "comparisons" / "p1-BIWI.csv"
    table = pd.read_csv(path)
    table.loc[(table["a"] == "base") & (table["b"] == "ensemble"), ["p", "significant"]] = (
        0.2,
        False,
    )
    table.to_csv(path, index=False)
    page = (run_tables(folder) / "summary.md").read_text()
    of_test = page.split("p1: 300W_LP → BIWI")[1].splitlines()
    assert ["%*" in line for line in of_test[:4]] == [False, False, True, True]


def test_the_metrics_of_dvc_are_one_mae_a_test_set_and_network(paper_run):
    shown = json.loads((paper_run / "summary.json").read_text())
    assert sorted(shown) == ["p1-AFLW2000", "p1-BIWI", "p2 validation", "p2-AFLW"]
    for name in PAPER_PARAMS["tests"]:
        measured = json.loads((paper_run.parent / "tests" / f"{name}.json").read_text())
        assert shown[name] == {network: own["mae"] for network, own in measured.items()}
    assert shown["p2 validation"] == {"base": 5.0, "kd-resnet18": 4.5}


def test_comparisons_are_those_of_the_test_sets(paper_run):
    table = rows(paper_run / "comparisons.csv", test="p1-BIWI").drop(columns=["test", "corpora"])
    expected = pd.read_csv(paper_run.parent / "comparisons" / "p1-BIWI.csv")
    pd.testing.assert_frame_equal(table.reset_index(drop=True), expected)
    assert len(table) == 6
    page = (paper_run / "comparisons.md").read_text()
    assert "positive where b is better" in page
    assert "| < 0.001 | yes " in page


def test_uncertainty_shows_every_network_and_the_spread_over_offsets(paper_run):
    measured = json.loads((paper_run.parent / "uncertainty" / "p1-BIWI.json").read_text())
    table = rows(paper_run / "uncertainty.csv", test="p1-BIWI")
    assert table["uncertainty"].tolist() == [
        "std", "entropy", "std", "entropy", "spread over windows", *["std", "entropy"] * 2,
    ]  # fmt: skip
    spread = row(paper_run / "uncertainty.csv", test="p1-BIWI", uncertainty="spread over windows")
    own = measured["ensemble"]["spread"]
    found = spread[[*PYR, "face", "of_oracle"]].tolist()
    assert found == [*(own["rank_correlation"][a] for a in (*PYR, "face")), own["aurc_gain"]]
    assert np.isnan(spread["covered_yaw"])
    std = row(paper_run / "uncertainty.csv", test="p1-BIWI", network="base", uncertainty="std")
    assert std["covered_yaw"] == measured["base"]["std"]["coverage"]["yaw"]


def test_the_page_says_whose_std_is_calibrated(paper_run):
    page = (paper_run / "uncertainty.md").read_text()
    lines = [line for line in page.splitlines() if line.startswith("| p") and line.count("|") == 7]
    of_base = {line.split("|")[1].strip(): line.split("|")[6].strip() for line in lines}
    assert of_base == {"p1-AFLW2000": "yes", "p1-BIWI": "no", "p2-AFLW": "yes"}


def test_risk_panels_have_every_network_and_the_oracle(tmp_path, monkeypatch):
    shown = []
    monkeypatch.setattr(tables, "save_risk_coverage", lambda found, *_: shown.extend(found))
    run_tables(write_results(tmp_path, PAPER_PARAMS))
    curves = pd.read_csv(tmp_path / "risk" / "p1-BIWI.csv")
    panel = shown[1]
    assert panel.title == "p1: 300W_LP → BIWI"
    assert list(panel.curves) == ["base", "ensemble", "kd-resnet18", "kd-resnet10"]
    for name, curve in {**panel.curves, ORACLE: panel.oracle}.items():
        assert curve["mae"].tolist() == curves.loc[curves["network"] == name, "mae"].tolist()


def test_equal_metrics_give_equal_bytes_and_stale_files_change_nothing(paper_run, tmp_path):
    folder = write_results(tmp_path, PAPER_PARAMS)
    for stale in (
        "risk/p9-OLD.csv",
        "tests/p9-OLD.json",
        "cells/p9-OLD.csv",
        "counts/OLD.json",
        "imported/OLD.json",
    ):
        (folder / stale).parent.mkdir(exist_ok=True)
        (folder / stale).write_text("left by an earlier params.yaml")
    again = run_tables(folder)
    files = sorted(path.relative_to(paper_run) for path in paper_run.rglob("*.*"))
    assert files == sorted(path.relative_to(again) for path in again.rglob("*.*"))
    assert {Path(f"figures/{name}.png") for name in ("heatmap", "risk", "jitter")} <= set(files)
    for file in files:
        assert (again / file).read_bytes() == (paper_run / file).read_bytes(), file


def test_a_protocol_of_the_users_own_has_no_published_values(tmp_path):
    out = run_tables(write_results(tmp_path, OWN_PARAMS, k_max=4))
    assert not list(out.glob("table[234].*"))
    ensemble = pd.read_csv(out / "ensemble-aflw.csv")
    assert ensemble.filter(like="paper").isna().all(axis=None)
    cells = set(zip(ensemble["K"], ensemble["d"], strict=True))
    assert cells == {(0, 1), (4, 4)}, "the sweep ends before the teacher's K = 6"
    assert pd.read_csv(out / "table5.csv")["method"].tolist()[:3] == [
        "Base ResNet10", "Ensemble K=6, d=3", "KD-ResNet50",
    ]  # fmt: skip
    assert "paper" not in (out / "table5.md").read_text().split("|", 1)[1]


def test_a_sweep_of_the_base_network_alone(tmp_path):
    out = run_tables(write_results(tmp_path, OWN_PARAMS, k_max=0))
    assert pd.read_csv(out / "ensemble-aflw.csv")["note"].tolist() == ["base, best here"] * 2


def test_imported_networks_are_rows_of_table_5(tmp_path):
    network = {"file": "x.pth", "backbone": "resnet18", "crop": "published", "size_px": 224}
    params = {
        **PAPER_PARAMS,
        "imported": {
            "theirs": {**network, "dataset": "AFLW2000", "where": {}},
            "other": {**network, "dataset": "AFLW", "where": {"split": ["train"]}},
        },
    }
    folder = write_results(tmp_path, params)
    with pytest.raises(InputError, match=r"imported/theirs\.json"):
        run_tables(folder)
    summary_of, by_yaw = (
        json.loads((folder / kind / "p1-BIWI.json").read_text())["base"]
        for kind in ("tests", "bands")
    )
    for place, key in enumerate(params["imported"]):
        content = {**summary_of, "mae": 1.5 + place, "abs_yaw": by_yaw}
        write_json(content, folder / "imported" / f"{key}.json")
    table = run_tables(folder) / "table5.csv"
    assert row(table, method="imported theirs")[["test", "avg"]].tolist() == ["p1-AFLW2000", 1.5]
    assert row(table, method="imported other")[["test", "avg"]].tolist() == ["AFLW", 2.5]


@pytest.mark.parametrize(
    ("missing", "expected"),
    [
        pytest.param("tests/p1-BIWI.json", r"p1-BIWI\.json: no such file; run", id="a test set"),
        pytest.param("bands/p1-BIWI.json", r"p1-BIWI\.json: no such file; run", id="its bands"),
        pytest.param("counts/AFLW.json", r"AFLW\.json: no such file; run", id="a corpus"),
        pytest.param("sets/p2.json", r"p2\.json: no such file; run", id="a training set"),
        pytest.param("leaks/p2.json", r"leaks/p2\.json: no such file; run", id="leaks"),
        pytest.param("cells/p1-BIWI.csv", r"p1-BIWI\.csv", id="a sweep"),
        pytest.param("intervals/p1-BIWI.json", r"p1-BIWI\.json: no such", id="intervals"),
        pytest.param("comparisons/p1-BIWI.csv", r"p1-BIWI\.csv", id="comparisons"),
        pytest.param("uncertainty/p1-BIWI.json", r"p1-BIWI\.json: no such", id="uncertainty"),
        pytest.param("risk/p1-BIWI.csv", r"p1-BIWI\.csv", id="risk"),
        pytest.param("jitter/p1-BIWI.csv", r"jitter/p1-BIWI\.csv", id="jittered boxes"),
    ],
)
def test_missing_metrics_are_named(tmp_path, missing, expected):
    folder = write_results(tmp_path, PAPER_PARAMS)
    (folder / missing).unlink()
    with pytest.raises((InputError, FileNotFoundError), match=expected):
        run_tables(folder)


def test_a_student_without_metrics_is_named(tmp_path):
    folder = write_results(tmp_path, PAPER_PARAMS)
    path = folder / "tests" / "p2-AFLW.json"
    networks = json.loads(path.read_text())
    del networks["kd-resnet18"]
    write_json(networks, path)
    with pytest.raises(InputError, match=r"p2-AFLW\.json: no \['kd-resnet18'\]"):
        run_tables(folder)


def test_of_equal_cells_the_cheapest_is_best():
    cells = pd.DataFrame(
        [(9, 1, 361, 3.0), (15, 5, 49, 3.0), (9, 3, 49, 3.0), (11, 3, 49, 3.0), (0, 1, 1, 3.1)],
        columns=["K", "d", "S", "mae"],
    )
    assert paper_tables.best_cell(cells) == (9, 3)


@pytest.mark.parametrize(
    ("name", "digits"),
    [pytest.param("ensemble", 3, id="Tables 2-4"), pytest.param("methods", 2, id="Table 5")],
)
def test_published_averages_are_the_mean_of_the_published_angles(name, digits):
    """Catches a digit that was copied wrongly."""
    table = pd.read_csv(ROOT / "data" / "published" / f"{name}.csv")
    difference = table[["pitch", "yaw", "roll"]].mean(axis=1) - table["avg"]
    assert difference.abs().max() <= 1.5 * 10**-digits  # one earlier method is off by 0.013


def test_published_sizes_are_those_of_formula_5():
    table = pd.read_csv(ROOT / "data" / "published" / "ensemble.csv")
    assert [
        paper_tables.ensemble_size((k, d)) for k, d in zip(table["K"], table["d"], strict=True)
    ] == (table["S"].tolist())


def test_the_plots_template_fills_with_a_sweep(tmp_path):
    """As DVC fills it: the values of a CSV file arrive as text."""
    write_cells(tmp_path / "cells.csv", 5.0, k_max=2)
    with (tmp_path / "cells.csv").open(newline="") as file:
        data = [{**line, "rev": "workspace", "filename": "a"} for line in csv.DictReader(file)]
    folder = str(ROOT / ".dvc" / "plots")
    renderer = VegaRenderer(data, "a", template="heatmap", template_dir=folder, x="d", y="K")
    filled = json.loads(renderer.partial_html())
    assert "<DVC_METRIC" not in json.dumps(filled)
    assert filled["data"]["values"] == data
    calculated = {step["as"]: step["calculate"] for step in filled["transform"] if "as" in step}
    assert calculated["x"] == "toNumber(datum['d'])"
    assert calculated["y"] == "toNumber(datum['K'])"


def test_the_plots_template_fills_with_jittered_boxes(tmp_path):
    write_jitter(tmp_path / "jitter.csv", {"base": 5.0, "ensemble": 4.9})
    with (tmp_path / "jitter.csv").open(newline="") as file:
        data = [{**line, "rev": "workspace", "filename": "a"} for line in csv.DictReader(file)]
    folder = str(ROOT / ".dvc" / "plots")
    renderer = VegaRenderer(data, "a", template="jitter", template_dir=folder, x="level", y="mae")
    filled = json.loads(renderer.partial_html())
    assert "<DVC_METRIC" not in json.dumps(filled)
    assert filled["data"]["values"] == data
    x, y, mean = filled["transform"]
    assert (x["calculate"], x["as"]) == ("toNumber(datum['level'])", "x")
    assert (y["calculate"], y["as"]) == ("toNumber(datum['mae'])", "y")
    assert set(mean["groupby"]) - {"x", "rev"} < set(data[0])


@pytest.mark.parametrize(
    ("template", "file", "x", "y", "row", "marks"),
    [
        pytest.param(
            "risk", "risk/p2-AFLW.csv", "percent", "mae", ("base", "100"), 50, id="risk"
        ),
        pytest.param(
            "bands", "out/bands.csv", "abs_yaw", "avg", ("kd-resnet10", "60-99"), 36, id="bands"
        ),
        pytest.param(
            "coverage", "out/uncertainty.csv", "covered_yaw", "network", ("base", ""), 36,
            id="coverage",
        ),
    ],
)  # fmt: skip
def test_the_other_plots_templates_draw_what_is_measured(
    paper_run, template, file, x, y, row, marks
):
    with (paper_run.parent / file).open(newline="") as opened:
        data = [{**line, "rev": "workspace", "filename": "a"} for line in csv.DictReader(opened)]
    assert any((line["network"], line[x] if row[1] else "") == row for line in data)
    folder = str(ROOT / ".dvc" / "plots")
    renderer = VegaRenderer(data, "a", template=template, template_dir=folder, x=x, y=y)
    filled = json.loads(renderer.partial_html())
    assert "<DVC_METRIC" not in json.dumps(filled)
    svg = vl_convert.vegalite_to_svg(filled, vl_version="5.8")  # DVC's page loads one like it
    assert len(re.findall(r'aria-roledescription="(?:point|circle)"', svg)) == marks
    assert "NaN" not in svg
    if template != "risk":
        assert {line["test"] for line in data} <= set(re.findall(r">([^<]+)</text>", svg))


def drawn(path: Path) -> np.ndarray:
    return cv2.imread(str(path))


def test_examples_show_the_last_student_of_the_seed(tmp_path):
    write_results(tmp_path, PAPER_PARAMS)
    write_faces(tmp_path, PAPER_PARAMS)
    picture = run_examples(tmp_path, "p1-AFLW2000")
    table = pd.read_parquet(tmp_path / "predictions.parquet")
    others = (table["network"] != "kd-resnet10") | (table["seed"] != SEED)
    table.loc[others, ["pitch", "yaw", "roll"]] = 0.0
    write_table(table, tmp_path / "predictions.parquet")
    again = run_examples(tmp_path, "p1-AFLW2000", "again.png")
    assert again.read_bytes() == picture.read_bytes(), "another network changed the picture"
    table.loc[~others, ["pitch", "yaw", "roll"]] = 0.0
    write_table(table, tmp_path / "predictions.parquet")
    changed = run_examples(tmp_path, "p1-AFLW2000", "changed.png")
    assert (drawn(changed) != drawn(picture)).any()


def test_each_example_has_the_crop_of_its_own_face(tmp_path, monkeypatch):
    write_results(tmp_path, PAPER_PARAMS)
    write_faces(tmp_path, PAPER_PARAMS)
    shown = []
    tile = examples.pose_tile
    monkeypatch.setattr(
        examples, "pose_tile", lambda crop, *rest: shown.append((crop, rest)) or tile(crop, *rest)
    )
    run_examples(tmp_path, "p1-AFLW2000")
    table = pd.read_parquet(tmp_path / "predictions.parquet").query(
        f"network == 'kd-resnet10' and seed == {SEED}"
    )
    assert len(shown) == PAPER_PARAMS["tables"]["examples"]
    for crop, (_, predicted, truth) in shown:
        face = table.iloc[int(crop[0, 0, 0]) - 90]  # write_faces paints the row number
        assert face[["pitch", "yaw", "roll"]].tolist() == predicted
        assert face[TRUE_PYR].tolist() == truth


@pytest.mark.parametrize(
    ("break_it", "expected"),
    [
        pytest.param({"network": "kd-resnet99"}, "no 'kd-resnet10'", id="no such network"),
        pytest.param({"seed": 7}, r"no 'kd-resnet10' of seed 3; found .*7\)", id="no such seed"),
        pytest.param({"face_id": "Y/1"}, "has no Y/1", id="no crop of a face"),
    ],
)
def test_examples_refuse_what_does_not_match(tmp_path, break_it, expected):
    write_results(tmp_path, PAPER_PARAMS)
    write_faces(tmp_path, PAPER_PARAMS)
    table = pd.read_parquet(tmp_path / "predictions.parquet").assign(**break_it)
    write_table(table, tmp_path / "predictions.parquet")
    with pytest.raises(InputError, match=expected):
        run_examples(tmp_path, "p1-AFLW2000")


def test_without_a_student_the_ensemble_is_shown():
    assert examples.shown_network([]) == "ensemble"


@pytest.mark.parametrize("count", [1, 3, 50])
def test_examples_are_spread_over_yaw(count):
    yaw = np.r_[np.linspace(-5, 5, 30), -60.0, 95.0]
    faces = pd.DataFrame({"true_yaw": yaw, "face_id": [f"{i:02d}" for i in range(len(yaw))]})
    chosen = examples.spread_over_yaw(faces.sample(frac=1, random_state=0), count)
    assert len(chosen) == chosen["face_id"].nunique() == min(count, len(faces))
    abs_yaw = chosen["true_yaw"].abs().tolist()
    assert abs_yaw == sorted(abs_yaw)
    if count == 3:
        assert abs_yaw[1:] == [60.0, 95.0]
    shuffled = examples.spread_over_yaw(faces.sample(frac=1, random_state=1), count)
    assert shuffled["face_id"].tolist() == chosen["face_id"].tolist()
