"""The stages `tables` and `examples` on results made up here: nothing is trained."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
import yaml

from hpe_core.common.errors import InputError
from hpe_core.common.files import write_json
from hpe_core.common.table_files import write_csv, write_table
from hpe_core.crops.settings import CropFormat
from hpe_core.crops.store import encode, write_crops
from hpe_core.evaluation import summaries as evaluation
from hpe_core.evaluation.columns import ENTROPY_PYR, PYR, SPREAD_PYR, STD_PYR, TRUE_PYR
from hpe_core.evaluation.comparison import compare, pairs_of
from hpe_core.evaluation.metrics import mae_by_yaw, over_runs, summary
from hpe_core.prediction.jitter import box_jitters
from hpe_core.tables import paper_tables
from hpe_core.tables.catalogue import (
    Sheet,
    ensemble_sheet,
    faces_sheet,
    headline,
    jitter_sheet,
    methods_sheet,
    results_sheet,
    sweep_sheet,
)
from hpe_core.tables.charts import heatmap_charts
from hpe_core.tables.results import Results, ensemble_size, read_results
from hpe_core.teacher.offsets import offset_grid
from pipeline import examples, tables

ROOT = Path(__file__).parents[1]
CORPORA = "corpora of this test"
SEED = 3
BANDS = [0, 30, 60, 99]
DEMO = yaml.safe_load((ROOT / "params.yaml").read_text())
PAPER_PARAMS = {
    "protocols": {
        "p1": {"train": {"300W_LP": {}}, "validation": 0.0},
        "p2": {"train": {"AFLW": {"split": ["train"]}}, "validation": 0.1},
    },
    "tests": {
        "p1-AFLW2000": {"protocol": "p1", "dataset": "AFLW2000", "where": {}},
        "p1-BIWI": {"protocol": "p1", "dataset": "BIWI", "where": {}},
        "p2-AFLW": {"protocol": "p2", "dataset": "AFLW", "where": {"split": ["test"]}},
    },
    "students": ["resnet18", "resnet10"],
    "controls": ["resnet18"],  # of one student, so that both cases are seen
    "seeds": [4, 7],
    "imported": {},
    **{name: DEMO[name] for name in ("distill", "boxes", "crop", "filter")},
    "ensemble": {"K": 6, "d": 3, "rotations_deg": [0.0], "flip": False, "precision": "32-true"},
    "tables": {"corpora": CORPORA, "examples": 8},
    "base": {
        "backbone": "resnet10",
        "weights": "none",
        "bins_deg": [1.0],
        "regression": "degrees",
        "label_std_deg": 0.0,
        "epochs": 1,
        "batch": 1,
        "lr": 0.1,
        "schedule": "constant",
        "precision": "32-true",
    },
}
NETWORKS = ["base", "ensemble", "control-resnet18", "kd-resnet18", "kd-resnet10"]
OWN_PARAMS = {
    **PAPER_PARAMS,
    "protocols": {"aflw": {"train": {"AFLW": {"video": ["01", "02"]}}, "validation": 0.0}},
    "tests": {
        "aflw-AFLW": {"protocol": "aflw", "dataset": "AFLW", "where": {"split": ["test"]}},
        "aflw-AFLW2000": {"protocol": "aflw", "dataset": "AFLW2000", "where": {}},
    },
    "students": ["resnet50"],
    "controls": [],
}


SHARED = {
    "photograph": {"shared": 3, "training_faces": 5, "test_faces": 4},
    "subject": None,
}


def names_of(params: dict[str, Any]) -> list[str]:
    """Every network of these params, in the order of the tables; spelled out, not asked for."""
    teacher = params["ensemble"]
    kinds = {
        "shifts": teacher["K"] >= teacher["d"],
        "rotations": teacher["rotations_deg"] != [0.0],
        "flip": teacher["flip"],
    }
    parts = [f"ensemble-{kind}" for kind, used in kinds.items() if used]
    controls = [f"control-{backbone}" for backbone in params["controls"]]
    students = [f"kd-{backbone}" for backbone in params["students"]]
    return ["base", "ensemble", *(parts if len(parts) > 1 else []), *controls, *students]


def write_results(folder: Path, params: dict[str, Any], k_max: int = 15, seed: int = 0) -> Path:
    """Everything `tables` reads; the error of a network follows from its place in the list."""
    rng = np.random.default_rng(seed)
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
    for name, test in params["tests"].items():
        order = ["YXZ" if test["dataset"] == "AFLW" else "XYZ"] * 300
        truth = rng.uniform([-30, -98, -30], [30, 98, 30], (300, 3))
        noise = rng.normal(0, 5, truth.shape)
        names = names_of(params)
        predicted = {key: truth + noise * (1 - 0.03 * place) for place, key in enumerate(names)}
        networks = {key: over_runs([summary(p, truth, order)]) for key, p in predicted.items()}
        write_json(networks, folder / f"tests/{name}/errors.json")
        bands = {key: mae_by_yaw(pyr_deg, truth, BANDS) for key, pyr_deg in predicted.items()}
        write_json(bands, folder / f"tests/{name}/bands.json")
        write_sureness(folder, name, predicted, truth)
        published = networks["base"].get("published")
        write_cells(folder / f"tests/{name}/cells.csv", networks["base"]["mae"], k_max, published)
        whole = {k: n["mae"] for k, n in networks.items() if not k.startswith("ensemble-")}
        write_jitter(folder / f"tests/{name}/jitter.csv", whole)
    for dataset in ("300W_LP", "AFLW2000", "AFLW", "BIWI"):
        counts = {
            "before": 1010,
            "faces": 1000,
            "dropped": {"angle_over_limit": 7, "box_too_small": 3, "excluded_by_split": 0},
            "beyond_limit": 2,
            "by_split": {"train": 700, "test": 300},
        }
        write_json(counts, folder / f"corpora/{dataset}/faces.json")
    for place, protocol in enumerate(params["protocols"]):
        sizes = {"training": 700 + place, "validation": 80 * place}
        write_json(sizes, folder / f"protocols/{protocol}/set.json")
        held_out = {"base": {"mae": 5.0}, "kd-resnet18": {"mae": 4.5, "pitch": 4.0}}
        write_json(held_out if place else {}, folder / f"protocols/{protocol}/validation.json")
        own = [name for name, test in params["tests"].items() if test["protocol"] == protocol]
        write_json(dict.fromkeys(own, SHARED), folder / f"protocols/{protocol}/leaks.json")
        write_factors(folder / f"protocols/{protocol}/calibration.csv", params, rows=bool(place))
    return folder


def write_factors(path: Path, params: dict[str, Any], *, rows: bool) -> None:
    """As `validate` writes them: no row of a protocol without validation faces."""
    table = pd.DataFrame(
        [
            {"network": name, "seed": seed, "pitch": 0.4 + i / 10, "yaw": 0.1 * seed, "roll": 1.25}
            for i, name in enumerate(names_of(params))
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
        spread = std / 2 if name.startswith("ensemble") else 0 * std
        values = np.hstack([pyr_deg, std, spread, np.log(std), truth])
        columns = [*PYR, *STD_PYR, *SPREAD_PYR, *ENTROPY_PYR, *TRUE_PYR]
        ids = [f"X/{row}" for row in range(len(truth))]
        part = pd.DataFrame(values, columns=columns).assign(face_id=ids, group=ids)
        parts.append(part.assign(network=name, seed=1))
    table, rng = pd.concat(parts), np.random.default_rng(0)
    write_json(evaluation.intervals(table, rng), folder / f"tests/{test}/intervals.json")
    write_csv(compare(table, pairs_of(table), rng), folder / f"tests/{test}/comparisons.csv")
    doubt = evaluation.uncertainties(table, calibrated=test != "p1-BIWI")
    write_json(doubt, folder / f"tests/{test}/uncertainty.json")
    write_csv(evaluation.risk_curves(table), folder / f"tests/{test}/risk.csv")


def write_cells(
    path: Path, base_mae: float, k_max: int, published: dict[str, float] | None = None
) -> None:
    """A sweep whose best cell is K = 9, d = 3 (or the largest there is).

    published: the base network's errors in the corpus's own order, where it is another one.
    """
    rows = []
    for k in range(k_max + 1):
        for d in range(1, max(k_max, 1) + 1):
            size = len(offset_grid(k, d))
            gain = 0.0 if size == 1 else 0.2 - 0.01 * np.hypot(k // d * d - 9, 0.4 * (d - 3))
            mae = round(base_mae - gain, 4)
            row = {"K": k, "d": d, "S": size, "pitch": mae, "yaw": mae, "roll": mae, "mae": mae}
            for angle, error in (published or {}).items():
                row[f"published_{angle}"] = round(error - gain, 4)
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


def results_of(folder: Path) -> Results:
    return read_results(folder / "params.yaml", folder, ROOT / "data/published")


def run_tables(folder: Path, out: str = "out") -> Path:
    tables.main(
        params=folder / "params.yaml",
        metrics=folder,
        published=ROOT / "data" / "published",
        card=ROOT / "pipeline" / "model_card.md",
        tables=folder / out,
        summary=folder / out / "summary.json",
        figures=folder / out / "figures",
    )
    return folder / out


def write_faces(folder: Path, params: dict[str, Any], count: int = 40) -> None:
    """params.yaml, predictions and crops of one test set; the crops are grey noise."""
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
    rng = np.random.default_rng(1)
    truth = rng.uniform([-30, -98, -30], [30, 98, 30], (count, 3))
    ids = [f"X/{row:03d}" for row in range(count)]
    order = rng.permutation(count)  # crops need not lie in the order of the predictions
    faces = pd.DataFrame(truth, columns=["pitch", "yaw", "roll"]).assign(
        face_id=ids, group=ids, order="XYZ", validation=False
    )
    write_table(faces.iloc[order], folder / "faces.parquet")
    crop_format = CropFormat(64, 64, 15, "enlarged", "replicate", "png", 95)
    images = [encode(np.full(crop_format.shape, 90 + row, np.uint8), crop_format) for row in order]
    write_crops(folder / "crops.h5", faces.iloc[order], images, crop_format, {"boxes": {}})
    labels = pd.DataFrame(truth, columns=TRUE_PYR)
    parts = [
        pd.DataFrame(truth + 5 * place + seed, columns=["pitch", "yaw", "roll"])
        .assign(face_id=ids, network=name, seed=seed)
        .join(labels)
        for place, name in enumerate(names_of(params))
        for seed in (SEED, SEED + 1)
    ]
    write_table(pd.concat(parts), folder / "predictions.parquet")


def run_examples(folder: Path, test: str, out: str = "examples") -> Path:
    """Of one test set, which has the predictions and crops of `folder`."""
    params = yaml.safe_load((folder / "params.yaml").read_text())
    params["tests"] = {test: params["tests"][test]}
    own = folder / out / params["tests"][test]["protocol"] / "tests"
    own.mkdir(parents=True)
    (folder / out / "params.yaml").write_text(yaml.safe_dump(params))
    shutil.copy(folder / "predictions.parquet", own / f"{test}.parquet")
    shutil.copy(folder / "crops.h5", own / f"{test}.h5")
    examples.main(
        params=folder / out / "params.yaml", seed=SEED, predictions=folder / out,
        crops=folder / out, figures=folder / out / "figures",
    )  # fmt: skip
    return folder / out / f"figures/{test}.png"


@pytest.fixture(scope="module")
def paper_run(tmp_path_factory) -> Path:
    return run_tables(write_results(tmp_path_factory.mktemp("paper"), PAPER_PARAMS))


@pytest.fixture
def measured(paper_run, tmp_path) -> Path:
    """A copy of what the run read, to be changed."""
    shutil.copytree(paper_run.parent, tmp_path, dirs_exist_ok=True)
    shutil.rmtree(tmp_path / "out")
    return tmp_path


def shown(sheet: Sheet) -> list[list[str]]:
    """Headings and rows, as a reader sees them; bold cells between asterisks."""
    readable = sheet.shown()
    rows = [[f"**{t}**" if best else t for t, best in row] for row in readable.rows()]
    return [list(readable.text), *rows]


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
    expected = [ours, published, ours - published]  # the last where the paper has such a row
    np.testing.assert_equal(found[["faces", "paper_faces", "difference"]].tolist(), expected)


def test_table_1_has_no_validation_faces_where_none_are_held_out(paper_run):
    assert rows(paper_run / "table1.csv", protocol="p1")["role"].tolist() == [
        "train",
        "test",
        "test",
    ]


def test_table_1_counts_what_training_and_test_share(measured):
    none = dict.fromkeys(SHARED["photograph"], 0)
    of_p1 = {
        "p1-AFLW2000": {"photograph": none, "subject": None},
        "p1-BIWI": {"photograph": none, "subject": none | {"shared": 2}},
    }
    write_json(of_p1, measured / "protocols/p1/leaks.json")
    sheet = faces_sheet(results_of(measured))
    found = sheet.table[["photographs_in_training", "subjects_in_training"]]
    assert found[sheet.table["role"] != "test"].isna().all(axis=None)
    of_tests = found[sheet.table["role"] == "test"].astype(object)
    expected = [[0, None], [0, 2], [3, None]]
    assert of_tests.where(of_tests.notna(), None).to_numpy().tolist() == expected
    heading, *lines = (line[3:6] for line in shown(sheet))
    assert heading == ["faces", "photographs in training", "subjects in training"]
    assert ["300", "0", "–"] in lines
    assert ["300", "0", "2"] in lines


@pytest.mark.parametrize(
    "path", [ROOT / "params.yaml", *sorted((ROOT / "pipeline" / "profiles").glob("*.yaml"))],
    ids=lambda path: path.stem,
)  # fmt: skip
def test_every_run_sweeps_all_cells_that_the_paper_shows(path):
    """At any size of the input, since K and d are pixels of a 224-pixel one."""
    published = pd.read_csv(ROOT / "data" / "published" / "ensemble.csv")
    largest = int(published[["K", "d"]].max(axis=None))
    assert yaml.safe_load(path.read_text())["sweep"]["K_max"] >= largest


def test_fig_7_has_all_of_our_cells_and_the_papers(paper_run):
    cells = pd.read_csv(paper_run / "figures" / "heatmap.csv")
    assert list(cells) == [
        "test", "source", "K", "d", "S", "pitch", "yaw", "roll", "mae", "faces", "teacher",
    ]  # fmt: skip
    published = pd.read_csv(ROOT / "data" / "published" / "ensemble.csv")
    assert list(cells["test"].unique()) == list(PAPER_PARAMS["tests"])
    for name, test in PAPER_PARAMS["tests"].items():
        own = cells[cells["test"] == name].drop(columns="test")
        ours = own[own["source"] == "ours"].drop(columns=["source", "teacher"])
        measured = pd.read_csv(paper_run.parent / "tests" / name / "cells.csv")
        assert len(measured) == 240
        np.testing.assert_array_equal(ours, measured[list(ours)])
        paper = own[own["source"] == "paper"].rename(columns={"mae": "avg"})
        theirs = published[
            (published["protocol"] == test["protocol"]) & (published["dataset"] == test["dataset"])
        ]
        columns = ["K", "d", "S", "pitch", "yaw", "roll", "avg"]
        np.testing.assert_array_equal(paper[columns], theirs[columns])
        assert paper["faces"].isna().all()
        teacher = own[own["teacher"].notna()]
        assert teacher[["source", "K", "d"]].to_numpy().tolist() == [["ours", 6, 3]]


def test_table_2_has_the_papers_cells_the_teacher_and_the_best(paper_run):
    table = rows(paper_run / "table2.csv", test="p1-BIWI")
    cells = list(zip(table["K"], table["d"], strict=True))
    assert cells == [(0, 1), (6, 3), (8, 1), (9, 3), (15, 1), (15, 5), (15, 15)]
    assert table["S"].tolist() == [1, 25, 289, 49, 961, 49, 9]
    notes = ["base", "teacher's K, d", "", "best here", "", "", ""]
    assert table["note"].fillna("").tolist() == notes
    measured = pd.read_csv(paper_run.parent / "tests/p1-BIWI/cells.csv").set_index(["K", "d"])[
        "mae"
    ]
    assert table["avg"].tolist() == [measured[cell] for cell in cells]
    assert table["paper_avg"].dropna().tolist() == [4.135, 4.068, 4.061, 4.041, 4.040, 4.057]
    page = (paper_run / "table2.md").read_text().replace("\n", " ")
    assert "K and d are pixels of a 224-pixel input" in page


@pytest.mark.parametrize(
    ("method", "ours", "published"),
    [
        pytest.param("HopeNet", None, 6.15, id="an earlier method"),
        pytest.param("Base ResNet10 (paper: ResNet50)", "base", 3.74, id="another base network"),
        pytest.param("Ensemble K=6, d=3", "ensemble", 3.67, id="the ensemble"),
        pytest.param("KD-ResNet18", "kd-resnet18", 3.64, id="a student of the paper"),
        pytest.param("Control ResNet18", "control-resnet18", None, id="without its teacher"),
        pytest.param("KD-ResNet152", None, 3.48, id="a student that was not trained here"),
        pytest.param("KD-ResNet10", "kd-resnet10", None, id="a student of ours"),
    ],
)
def test_table_5_sets_ours_beside_the_papers(paper_run, method, ours, published):
    measured = json.loads((paper_run.parent / "tests/p1-AFLW2000/errors.json").read_text())
    found = row(paper_run / "table5.csv", test="p1-AFLW2000", method=method)
    names = ("yaw", "mae", "geodesic", "aligned")
    expected = [measured[ours][name] for name in names] if ours else [np.nan] * len(names)
    shown = found[["yaw", "avg", "geodesic", "aligned"]]
    np.testing.assert_array_equal(shown.astype("f8"), expected)
    paper_avg = found["paper_avg"]
    assert np.isnan(paper_avg) if published is None else paper_avg == published


def test_newer_methods_stand_below_ours_and_name_where_they_are_from(paper_run):
    table = rows(paper_run / "table5.csv", test="p1-AFLW2000").set_index("method")
    later = pd.read_csv(ROOT / "data/published/later.csv")
    own = later[(later["protocol"] == "p1") & (later["dataset"] == "AFLW2000")]
    assert len(own) > 0
    assert list(table.index[-len(own) :]) == own["method"].tolist()
    assert set(table["published_in"].iloc[-len(own) :]) == {"later"}
    np.testing.assert_array_equal(table["paper_avg"].iloc[-len(own) :], own["avg"])
    assert table.loc["HopeNet", "published_in"] == "paper"
    assert table.loc[["KD-ResNet10", "Control ResNet18"], "published_in"].isna().all()


def test_several_seeds_show_mean_and_spread(measured):
    path = measured / "tests/p1-BIWI/errors.json"
    networks = json.loads(path.read_text())
    networks["kd-resnet18"] |= {"mae": 3.123, "mae_std": 0.0456, "runs": 3}
    write_json(networks, path)
    results = results_of(measured)
    methods = methods_sheet(results)
    of_test = methods.table[methods.table["test"] == "p1-BIWI"].set_index("method")
    assert of_test.loc["KD-ResNet18", ["avg", "avg_std"]].tolist() == [3.123, 0.0456]
    assert np.isnan(of_test.loc["Ensemble K=6, d=3", "avg_std"])
    assert "| **3.12 ± 0.05** |" in methods.markdown()
    page = tables.summary_page(results)
    assert "| 3.12 ± 0.05 |" in page
    assert max(map(len, page.split("## Ensembles")[0].splitlines())) <= 120
    assert f" {networks['ensemble']['mae']:.2f} |" in page
    for sheet in (methods, results_sheet(results)):
        assert not [heading for heading in shown(sheet)[0] if "std" in heading]


@pytest.mark.parametrize(
    ("windows", "named"),
    [
        ({"flip": True}, "K=6, d=3, flipped"),
        ({"rotations_deg": [-10.0, 0.0, 7.5]}, "K=6, d=3, rotated by -10, 0, 7.5°"),
        (
            {"K": 0, "d": 1, "rotations_deg": [-10.0, 10.0], "flip": True},
            "K=0, d=1, rotated by -10, 10°, flipped",
        ),
    ],
)
def test_the_teacher_is_named_with_its_rotations_and_flips(tmp_path, windows, named):
    params = PAPER_PARAMS | {"ensemble": PAPER_PARAMS["ensemble"] | windows}
    results = results_of(write_results(tmp_path, params, k_max=6))
    assert f"Ensemble {named}" in set(methods_sheet(results).table["method"])
    page = tables.summary_page(results)
    assert named in results_sheet(results).note
    assert max(map(len, page.split("## Ensembles")[0].splitlines())) <= 120
    assert "teacher K, d" in shown(sweep_sheet(results))[0]


def test_bands_are_those_of_the_metrics(paper_run):
    measured = json.loads((paper_run.parent / "tests/p2-AFLW/bands.json").read_text())
    table = rows(paper_run / "bands.csv", test="p2-AFLW", network="kd-resnet18")
    assert table["abs_yaw"].tolist() == ["0-30", "30-60", "60-99"]
    bands = measured["kd-resnet18"]
    assert table["avg"].tolist() == [bands[band]["mae"] for band in table["abs_yaw"]]
    page = (paper_run / "bands.md").read_text()
    assert f"| {bands['60-99']['mae']:.2f}" in page


def test_the_jitter_table_shows_the_farthest_levels_and_what_they_lose(paper_run):
    measured = pd.read_csv(paper_run.parent / "tests/p1-BIWI/jitter.csv")
    farthest = {
        "shift_0.125": ("shift", 0.125),
        "scale_0.8": ("scale", 0.8),
        "scale_1.2": ("scale", 1.2),
    }
    table = rows(paper_run / "jitter.csv", test="p1-BIWI").set_index("network")
    assert table.index.tolist() == NETWORKS
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


def test_jitter_is_the_mean_over_the_directions_of_each_level(paper_run):
    levels = results_of(paper_run.parent).jitter
    assert len(levels) == 3 * 5 * 9, "tests, networks, and the levels with the box as it is twice"
    own = pd.read_csv(paper_run.parent / "tests/p2-AFLW/jitter.csv").query("network == 'base'")
    found = levels.query("test == 'p2-AFLW' and network == 'base'").set_index(["kind", "level"])
    directions = own.query("kind == 'shift' and level == 0.0625")["mae"]
    assert len(directions) == 4
    assert found.loc[("shift", 0.0625), "mae"] == pytest.approx(directions.mean())


def test_without_shifts_there_are_scales_alone(measured):
    for name in PAPER_PARAMS["tests"]:
        levels = {"shifts": [], "scales": [0.9]}
        write_jitter(measured / f"tests/{name}/jitter.csv", {"base": 5.0, "ensemble": 4.9}, levels)
    table = jitter_sheet(results_of(measured)).table
    assert list(table)[3:] == ["avg", "scale_0.9", "scale_0.9_loss"]
    assert table["avg"].tolist() == [5.0, 4.9] * 3


def test_the_summary_shows_every_network_with_its_gains(paper_run):
    page = (paper_run / "summary.md").read_text()
    measured = json.loads((paper_run.parent / "tests/p1-AFLW2000/errors.json").read_text())
    lines = [[cell.strip() for cell in line.split("|")] for line in page.splitlines()]
    errors, others, *_ = (i for i, line in enumerate(lines) if "p1: 300W_LP → AFLW2000" in line)
    shown = {line[2]: line[3:-1] for line in lines[errors : errors + 5]}
    beside = {line[2]: line[3:-1] for line in lines[others : others + 5]}
    assert list(shown) == list(beside) == NETWORKS
    limits = json.loads((paper_run.parent / "tests/p1-AFLW2000/intervals.json").read_text())

    def saved(name: str, reference: str) -> str:
        return f"{100 * (1 - measured[name]['mae'] / measured[reference]['mae']):+.1f} %*"

    over = {"ensemble": "base", "kd-resnet18": "control-resnet18"}
    for name, (mae, interval, gain, _, base_gain) in shown.items():
        assert mae == f"{measured[name]['mae']:.2f}"
        assert interval == "{:.2f}–{:.2f}".format(*limits[name]["mae"])
        assert beside[name][:2] == [f"{measured[name][n]:.2f}" for n in ("geodesic", "aligned")]
        assert gain == (saved(name, over[name]) if name in over else "–")
        assert base_gain == ("–" if name == "base" else saved(name, "base"))
    assert beside["kd-resnet18"][-2:] == ["3.64", "+2.7 %"]
    assert "chosen on the test set itself" in page
    assert "9, 3, 49" in page


def test_a_students_gain_is_over_its_control_with_the_interval_of_their_comparison(paper_run):
    results = results_of(paper_run.parent)
    table = paper_tables.results_table(results.tests, results.published.methods)
    found = table[table["test"] == "p1-BIWI"].set_index("network")
    pairs = pd.read_csv(paper_run.parent / "tests/p1-BIWI/comparisons.csv").set_index(["a", "b"])
    for network, reference in (("kd-resnet18", "control-resnet18"), ("ensemble", "base")):
        pair = pairs.loc[(reference, network)]
        assert found.loc[network, "gain"] == pytest.approx(pair["gain"])
        low, high = (100 * pair[limit] / pair["mae_a"] for limit in ("low", "high"))
        assert found.loc[network, "gain_interval"] == f"{low:.1f}; {high:.1f}"
        assert low < pair["gain"] < high
    over_base = pairs.loc["base"]["gain"]
    pd.testing.assert_series_equal(
        found.loc[over_base.index, "base_gain"], over_base, check_names=False
    )
    assert found.loc["kd-resnet18", "gain"] < found.loc["kd-resnet18", "base_gain"] - 5
    for network in ("base", "control-resnet18", "kd-resnet10"):  # no control of the last one
        assert np.isnan(found.loc[network, "gain"])
        assert (found.loc[network, ["gain_mark", "gain_interval"]] == "").all()
    assert np.isnan(found.loc["base", "base_gain"])


def test_stars_are_those_of_the_pair_that_the_gain_is_of(measured):
    path = measured / "tests/p1-BIWI/comparisons.csv"
    table = pd.read_csv(path)
    chance = (table["a"] == "control-resnet18") & (table["b"] == "kd-resnet18")
    table.loc[chance, ["p", "significant"]] = (0.2, False)
    table.to_csv(path, index=False)
    results = results_of(measured)
    found = paper_tables.results_table(results.tests, results.published.methods)
    found = found[found["test"] == "p1-BIWI"].set_index("network")
    assert found["gain_mark"].tolist() == ["", "*", "", "", ""]
    assert found["base_gain_mark"].tolist() == ["", "*", "*", "*", "*"]


def test_each_kind_of_views_stands_beside_the_ensemble(tmp_path):
    windows = {"rotations_deg": [-10.0, 0.0, 10.0], "flip": True}
    params = PAPER_PARAMS | {"ensemble": PAPER_PARAMS["ensemble"] | windows}
    results = results_of(write_results(tmp_path, params, k_max=6))
    parts = [f"ensemble-{kind}" for kind in ("shifts", "rotations", "flip")]
    table = paper_tables.results_table(results.tests, results.published.methods)
    found = table[table["test"] == "p1-BIWI"].set_index("network")
    assert list(found.index) == ["base", "ensemble", *parts, *NETWORKS[2:]]
    assert (found.loc[parts, "gain"] == found.loc[parts, "base_gain"]).all(), "over the base"
    assert (found.loc[parts, "gain"] > 0).all()
    methods = set(methods_sheet(results).table["method"])
    assert {f"Ensemble, alone: {kind}" for kind in ("shifts", "rotations", "flip")} <= methods
    assert list(headline(results)["p1-BIWI"]) == NETWORKS, "few enough for `dvc exp show`"
    jittered = jitter_sheet(results).table
    assert jittered.loc[jittered["test"] == "p1-BIWI", "network"].tolist() == NETWORKS


def test_a_corpus_in_another_order_has_its_errors_as_published_too(paper_run):
    angles = ["pitch", "yaw", "roll", "avg"]
    columns = [f"as_published_{angle}" for angle in angles]
    networks = json.loads((paper_run.parent / "tests/p2-AFLW/errors.json").read_text())
    of_method = {"Base ResNet10 (paper: ResNet50)": "base", "KD-ResNet18": "kd-resnet18"}
    for method, network in of_method.items():
        found = row(paper_run / "table5.csv", test="p2-AFLW", method=method)
        expected = [networks[network]["published"][name] for name in (*angles[:3], "mae")]
        np.testing.assert_allclose(found[columns].astype("f8"), expected, atol=1e-4)
        assert found["as_published_avg"] != pytest.approx(found["avg"], abs=0.01)
    table = rows(paper_run / "table3.csv", test="p2-AFLW")
    cells = pd.read_csv(paper_run.parent / "tests/p2-AFLW/cells.csv").set_index(["K", "d"])
    ours = table[table["faces"].notna()]
    assert len(ours) > 3
    own = cells.loc[pd.MultiIndex.from_frame(ours[["K", "d"]])]
    expected = own[[f"published_{name}" for name in (*angles[:3], "mae")]]
    np.testing.assert_allclose(ours[columns], expected, atol=1e-4)
    assert "| as published MAE |" in " ".join((paper_run / "table3.md").read_text().split())


def test_a_corpus_in_our_order_has_no_errors_as_published(paper_run):
    ours = rows(paper_run / "table5.csv", test="p1-BIWI").filter(like="as_published")
    assert len(ours) and ours.isna().all(axis=None)
    assert pd.read_csv(paper_run / "table2.csv").filter(like="as_published").isna().all(axis=None)
    assert "as published" not in (paper_run / "table2.md").read_text()


def test_a_gain_that_may_be_chance_has_no_star(measured):
    path = measured / "tests/p1-BIWI/comparisons.csv"
    table = pd.read_csv(path)
    table.loc[(table["a"] == "base") & (table["b"] == "ensemble"), ["p", "significant"]] = (
        0.2,
        False,
    )
    table.to_csv(path, index=False)
    lines = [line for line in shown(results_sheet(results_of(measured))) if "BIWI" in line[0]]
    assert ["%*" in " ".join(line) for line in lines] == [False, False, True, True, True]


def test_the_metrics_of_dvc_are_one_mae_per_test_set_and_network(paper_run):
    shown = json.loads((paper_run / "summary.json").read_text())
    assert sorted(shown) == ["p1-AFLW2000", "p1-BIWI", "p2 validation", "p2-AFLW"]
    for name in PAPER_PARAMS["tests"]:
        measured = json.loads((paper_run.parent / f"tests/{name}/errors.json").read_text())
        assert shown[name] == {network: own["mae"] for network, own in measured.items()}
    assert shown["p2 validation"] == {"base": 5.0, "kd-resnet18": 4.5}


def test_comparisons_are_those_of_the_test_sets(paper_run):
    table = rows(paper_run / "comparisons.csv", test="p1-BIWI").drop(columns=["test", "corpora"])
    expected = pd.read_csv(paper_run.parent / "tests/p1-BIWI/comparisons.csv")
    pd.testing.assert_frame_equal(table.reset_index(drop=True), expected)
    assert len(table) == 10
    page = (paper_run / "comparisons.md").read_text()
    assert "positive where b is better" in page
    assert "| < 0.001 | yes " in page


def test_uncertainty_shows_every_network_and_the_spread_over_offsets(paper_run):
    measured = json.loads((paper_run.parent / "tests/p1-BIWI/uncertainty.json").read_text())
    table = rows(paper_run / "uncertainty.csv", test="p1-BIWI")
    assert table["uncertainty"].tolist() == [
        "std", "entropy", "std", "entropy", "spread over windows", *["std", "entropy"] * 3,
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


def test_equal_metrics_give_equal_bytes_and_stale_files_change_nothing(paper_run, tmp_path):
    folder = write_results(tmp_path, PAPER_PARAMS)
    for stale in (
        "tests/p9-OLD/risk.csv",
        "tests/p9-OLD/errors.json",
        "tests/p9-OLD/cells.csv",
        "corpora/OLD/faces.json",
        "imported/OLD.json",
    ):
        (folder / stale).parent.mkdir(exist_ok=True)
        (folder / stale).write_text("left by an earlier params.yaml")
    again = run_tables(folder)
    files = sorted(path.relative_to(paper_run) for path in paper_run.rglob("*.*"))
    assert files == sorted(path.relative_to(again) for path in again.rglob("*.*"))
    figures = ("heatmap.png", "heatmap.csv", "risk.png", "jitter.png")
    assert {Path("figures") / name for name in figures} <= set(files)
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
    lines = (out / "table5.md").read_text().splitlines()
    assert "paper" not in " ".join(line for line in lines if line.startswith("|"))


def test_a_sweep_of_the_base_network_alone(measured):
    for name in PAPER_PARAMS["tests"]:
        write_cells(measured / f"tests/{name}/cells.csv", 5.0, k_max=0)
    sheet = ensemble_sheet(results_of(measured), "p2")
    own = sheet.table[sheet.table["faces"].notna()]
    assert own["note"].tolist() == ["base, best here"]
    results = results_of(measured)
    ours, _ = heatmap_charts(results.tests[0], (6, 3), results.published.ensemble)
    assert ours.text.endswith("d=1 (+0.0 %).")


def test_imported_networks_are_rows_of_table_5(measured):
    network = {"file": "x.pth", "backbone": "resnet18", "crop": "published", "size_px": 224}
    params = {
        **PAPER_PARAMS,
        "imported": {
            "theirs": {**network, "dataset": "AFLW2000", "where": {}},
            "other": {**network, "dataset": "AFLW", "where": {"split": ["train"]}},
        },
    }
    (measured / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    with pytest.raises(InputError, match=r"imported/theirs\.json"):
        results_of(measured)
    summary_of, by_yaw = (
        json.loads((measured / f"tests/p1-BIWI/{kind}.json").read_text())["base"]
        for kind in ("errors", "bands")
    )
    for place, key in enumerate(params["imported"]):
        content = {**summary_of, "mae": 1.5 + place, "abs_yaw": by_yaw}
        write_json(content, measured / "imported" / f"{key}.json")
    table = methods_sheet(results_of(measured)).table.set_index("method")
    assert table.loc["imported theirs", ["test", "avg"]].tolist() == ["p1-AFLW2000", 1.5]
    assert table.loc["imported other", ["test", "avg"]].tolist() == ["AFLW", 2.5]


@pytest.mark.parametrize(
    "missing",
    [
        pytest.param("tests/p1-BIWI/errors.json", id="a test set"),
        pytest.param("tests/p1-BIWI/bands.json", id="its bands"),
        pytest.param("corpora/AFLW/faces.json", id="a corpus"),
        pytest.param("protocols/p2/set.json", id="a training set"),
        pytest.param("protocols/p2/validation.json", id="validation"),
        pytest.param("protocols/p2/leaks.json", id="leaks"),
        pytest.param("tests/p1-BIWI/cells.csv", id="a sweep"),
        pytest.param("tests/p1-BIWI/intervals.json", id="intervals"),
        pytest.param("tests/p1-BIWI/comparisons.csv", id="comparisons"),
        pytest.param("tests/p1-BIWI/uncertainty.json", id="uncertainty"),
        pytest.param("tests/p1-BIWI/risk.csv", id="risk"),
        pytest.param("tests/p1-BIWI/jitter.csv", id="jittered boxes"),
    ],
)
def test_missing_metrics_are_named(measured, missing):
    (measured / missing).unlink()
    with pytest.raises(InputError, match=f"{re.escape(missing)}: no such file; run"):
        results_of(measured)


def test_a_student_without_metrics_is_named(measured):
    path = measured / "tests/p2-AFLW/errors.json"
    networks = json.loads(path.read_text())
    del networks["kd-resnet18"]
    write_json(networks, path)
    with pytest.raises(InputError, match=r"errors\.json: no \['kd-resnet18'\]"):
        results_of(measured)


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
    assert [ensemble_size((k, d)) for k, d in zip(table["K"], table["d"], strict=True)] == (
        table["S"].tolist()
    )


def drawn(path: Path) -> np.ndarray:
    return cv2.imread(str(path))


def test_examples_show_the_last_student_of_the_seed(tmp_path):
    write_faces(tmp_path, PAPER_PARAMS)
    picture = run_examples(tmp_path, "p1-AFLW2000")
    table = pd.read_parquet(tmp_path / "predictions.parquet")
    others = (table["network"] != "kd-resnet10") | (table["seed"] != SEED)
    table.loc[others, ["pitch", "yaw", "roll"]] = 0.0
    write_table(table, tmp_path / "predictions.parquet")
    again = run_examples(tmp_path, "p1-AFLW2000", "again")
    assert again.read_bytes() == picture.read_bytes(), "another network changed the picture"
    table.loc[~others, ["pitch", "yaw", "roll"]] = 0.0
    write_table(table, tmp_path / "predictions.parquet")
    changed = run_examples(tmp_path, "p1-AFLW2000", "changed")
    assert (drawn(changed) != drawn(picture)).any()


def test_each_example_has_the_crop_of_its_own_face(tmp_path, monkeypatch):
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
        pytest.param({"face_id": "Y/1"}, "no face Y/1", id="no crop of a face"),
    ],
)
def test_examples_refuse_what_does_not_match(tmp_path, break_it, expected):
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
