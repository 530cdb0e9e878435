"""Every stage's `main` on a tiny corpus, one after the other, and the same again from scratch."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from tiny_project import ROOT, draw, tiny_params
from typer.testing import CliRunner

from hpe_core.cli.app import app
from hpe_core.errors import InputError
from hpe_core.io.checkpoints import load_network, save_network
from hpe_core.io.crops import Crops
from hpe_core.io.files import sha256
from hpe_core.io.tables import write_table
from hpe_core.io.targets import Targets, read_sweep
from hpe_core.metrics import absolute_error_deg, mae_by_yaw, summary
from hpe_core.networks import normalize, predict_probs
from hpe_core.page import Section
from hpe_core.predictions import PYR, SPREAD_PYR, STD_PYR, TRUE_PYR
from hpe_core.predictor import HeadPose
from hpe_core.uncertainty import coverage, distribution_std_deg
from pipeline import (
    check,
    crop_test,
    crop_train,
    distill,
    ensemble,
    evaluate,
    examples,
    export,
    filter_faces,
    imported,
    index,
    jitter,
    leaks,
    redetect,
    report,
    sweep,
    tables,
    train_base,
    validate,
    verify,
)
from tests.experiments.codecs import recoded

DETECTOR = ROOT / "data/detector/yolov5n-demo.onnx"
SEEDS = (1, 2)  # as in tiny_params
NONE = ROOT / "data/pretrained/none"


@pytest.fixture(scope="module")
def corpora(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("corpora")
    draw(folder)
    return folder / "corpora"


def run_all(root: Path, corpora: Path) -> None:
    """What `dvc repro` does, in one process."""
    params = root / "params.yaml"
    params.write_text(yaml.safe_dump(tiny_params(corpora)))
    check.main(params=params, checked=root / "params.checked")
    for name in ("AFLW2000", "AFLW"):
        folder, table = corpora / name, root / f"index/{name}.parquet"
        index.main(
            dataset=name, reader=name, folder=folder, index=table, skipped=root / f"{name}-s.csv"
        )
        redetect.main(
            params=params, dataset=name, source=DETECTOR, folder=folder, index=table,
            work=root.parent / "work",
            boxes=root / f"boxes/{name}.parquet", unmatched=root / f"boxes/{name}.csv",
            report=root / f"metrics/boxes/{name}.json",
        )  # fmt: skip
        filter_faces.main(
            params=params, dataset=name, boxes=root / f"boxes/{name}.parquet",
            skipped=root / f"{name}-s.csv",
            split_index=root / "index/AFLW2000.parquet", split_skipped=root / "AFLW2000-s.csv",
            faces=root / f"faces/{name}.parquet",
            counts=root / f"metrics/faces/{name}.json",
        )  # fmt: skip
    faces = {
        "params": params, "folder": corpora / "AFLW", "faces": root / "faces/AFLW.parquet",
        "work": root.parent / "work",
    }  # fmt: skip
    crop_train.main(
        **faces, protocol="p2", crops=root / "crops/train.h5", counts=root / "metrics/sets/p2.json"
    )
    crop_test.main(**faces, test="p2-AFLW", crops=root / "crops/test.h5")
    leaks.main(
        params=params, protocol="p2", faces=root / "faces", report=root / "metrics/leaks/p2.json",
        shared=root / "metrics/leaks/p2.csv", checked=root / "p2.checked",
    )  # fmt: skip
    data = {"params": params, "crops": root / "crops/train.h5"}
    test_data = {"params": params, "crops": root / "crops/test.h5"}
    for seed in SEEDS:
        base, targets = root / f"models/p2/base-{seed}.safetensors", root / f"targets-{seed}.h5"
        train_base.main(
            **data,
            seed=seed,
            weights=NONE,
            work=root.parent / "work",
            network=base,
            history=root / f"history/base-{seed}.csv",
        )
        ensemble.main(**data, seed=seed, network=base, work=root.parent / "work", targets=targets)
        distill.main(
            **data, backbone="resnet8", seed=seed, targets=targets, weights=NONE,
            work=root.parent / "work", network=root / f"models/p2/kd-resnet8-{seed}.safetensors",
            history=root / f"history/kd-{seed}.csv",
        )  # fmt: skip
    validate.main(
        **data, networks=root / "models/p2", metrics=root / "metrics/validation/p2.json",
        calibration=root / "metrics/calibration/p2.csv",
    )  # fmt: skip
    sweep.main(
        **test_data, network=root / "models/p2/base-1.safetensors", work=root.parent / "work",
        sweep=root / "sweep.h5",
    )  # fmt: skip
    evaluate.main(
        **test_data, sweep=root / "sweep.h5", networks=root / "models/p2",
        calibration=root / "metrics/calibration/p2.csv", predictions=root / "predictions.parquet",
        **evaluated(root / "metrics"),
    )  # fmt: skip
    jitter.main(
        **test_data, networks=root / "models/p2", work=root.parent / "work",
        jitter=root / "metrics/jitter/p2-AFLW.csv",
    )  # fmt: skip
    examples.main(
        **test_data, test="p2-AFLW", seed=1, predictions=root / "predictions.parquet",
        figure=root / "examples.png",
    )  # fmt: skip
    tables.main(
        params=params, tests=root / "metrics/tests", bands=root / "metrics/bands",
        cells=root / "metrics/sweep", intervals=root / "metrics/intervals",
        comparisons=root / "metrics/comparisons", uncertainty=root / "metrics/uncertainty",
        risk=root / "metrics/risk", jitter=root / "metrics/jitter",
        counts=root / "metrics/faces", sets=root / "metrics/sets",
        leaks=root / "metrics/leaks", validation=root / "metrics/validation",
        imported=root / "metrics/imported", published=ROOT / "data/published",
        calibration=root / "metrics/calibration", card=ROOT / "pipeline/model_card.md",
        tables=root / "tables", summary=root / "metrics/summary.json", figures=root / "figures",
    )  # fmt: skip
    report.main(**reported(root), page=root / "report.html")


def reported(root: Path) -> dict[str, Path]:
    """What the stage `report` reads: option → path. Files lie as dvc.yaml has them."""
    places = {
        "crops/train.h5": "train/p2.h5",
        "crops/test.h5": "test/p2-AFLW.h5",
        "predictions.parquet": "predictions/p2-AFLW.parquet",
    }
    for seed in SEEDS:
        places[f"targets-{seed}.h5"] = f"targets/p2-{seed}.h5"
        places[f"history/base-{seed}.csv"] = f"history/p2/base-{seed}.csv"
        places[f"history/kd-{seed}.csv"] = f"history/p2/kd-resnet8-{seed}.csv"
    linked = root / "linked"
    for source, target in places.items():
        (linked / target).parent.mkdir(parents=True, exist_ok=True)
        (linked / target).unlink(missing_ok=True)
        os.link(root / source, linked / target)
    measured = {
        name: root / "metrics" / name
        for name in (
            "tests", "bands", "intervals", "comparisons", "uncertainty", "risk", "jitter", "sets",
            "leaks", "validation", "imported", "boxes",
        )
    }  # fmt: skip
    return {
        **measured,
        "params": root / "params.yaml",
        "cells": root / "metrics/sweep",
        "counts": root / "metrics/faces",
        "published": ROOT / "data/published",
        "histories": linked / "history",
        "predictions": linked / "predictions",
        "networks": root / "models",
        "targets": linked / "targets",
        "train_crops": linked / "train",
        "test_crops": linked / "test",
        "template": ROOT / "pipeline/page",
    }


def evaluated(folder: Path) -> dict[str, Path]:
    """Where `evaluate` writes its small files: option → path."""
    return {
        "metrics": folder / "tests/p2-AFLW.json",
        "bands": folder / "bands/p2-AFLW.json",
        "cells": folder / "sweep/p2-AFLW.csv",
        "intervals": folder / "intervals/p2-AFLW.json",
        "comparisons": folder / "comparisons/p2-AFLW.csv",
        "uncertainty": folder / "uncertainty/p2-AFLW.json",
        "risk": folder / "risk/p2-AFLW.csv",
    }


@pytest.fixture(scope="module")
def done(tmp_path_factory, corpora) -> Path:
    root = tmp_path_factory.mktemp("run")
    run_all(root, corpora)
    return root


def changed_params(done: Path, folder: Path, **sections: object) -> dict[str, Path]:
    """What `report` reads, with another params.yaml in `folder`."""
    params = yaml.safe_load((done / "params.yaml").read_text())
    (folder / "params.yaml").write_text(yaml.safe_dump({**params, **sections}))
    return {**reported(done), "params": folder / "params.yaml"}


def test_the_page_shows_what_was_measured(done):
    page = (done / "report.html").read_text("utf-8")
    metrics = json.loads((done / "metrics/tests/p2-AFLW.json").read_text())
    for name, own in metrics.items():
        assert f"{name}: MAE {own['mae']:.2f}°, 95 % " in page
    assert "demo corpora (drawn); 2 runs of everything" in page
    for seed in SEEDS:
        assert f"kd-resnet8-{seed}, epoch 1: MAE " in page, "training curves"
    for name in ("models/p2/kd-resnet8-2.safetensors", "targets-1.h5", "crops/train.h5"):
        assert sha256(done / name) in page
    table = pd.read_parquet(done / "predictions.parquet").query(
        "network == 'kd-resnet8' and seed == 1"
    )
    errors = absolute_error_deg(table[PYR], table[TRUE_PYR]).mean(1)
    worst = table["face_id"].iloc[int(errors.argmax())]
    shown = page.split("largest errors of kd-resnet8")[1]
    assert shown.index(f"<h4>{worst}</h4>") < shown.index("median errors")
    assert f"{errors.max():.1f}° off" in shown.split("</article>")[0]
    assert page.count("<img") == 2 * tiny_params(done)["tables"]["examples"] + 3


def test_the_pages_distributions_are_the_networks_and_the_teachers(done, monkeypatch):
    taken = []
    monkeypatch.setattr(
        report,
        "teacher_section",
        lambda t, averaged, *a: taken.extend(averaged) or Section("a", "b", []),
    )
    report.main(**reported(done), page=done.parent / "other.html")
    (found,) = taken
    crops, targets = Crops(done / "crops/train.h5"), Targets(done / "targets-1.h5")
    rows = [crops.face_id.index(face) for face in found.face_ids]
    assert sorted(rows) == crops.training_rows.tolist(), "no validation face"
    network, _ = load_network(done / "models/p2/base-1.safetensors")
    images = torch.from_numpy(np.stack([crops[row][8:-8, 8:-8] for row in rows]))
    with torch.inference_mode():
        probs = predict_probs(network, normalize(images))
    torch.testing.assert_close(found.one, probs, rtol=1e-3, atol=1e-5)
    np.testing.assert_array_equal(found.mean, np.stack([targets[row, 0] for row in rows]))
    np.testing.assert_array_equal(found.pyr_deg, crops.pyr_deg[rows])


@pytest.mark.parametrize(
    ("sections", "expected"),
    [
        pytest.param({"students": []}, "ensemble (there is no student): MAE ", id="no student"),
        pytest.param({"seeds": [1]}, "demo corpora (drawn); one run", id="one seed"),
    ],
)
def test_the_page_of_less_than_everything(done, tmp_path, sections, expected):
    report.main(**changed_params(done, tmp_path, **sections), page=tmp_path / "page.html")
    assert expected in (tmp_path / "page.html").read_text("utf-8")


def test_the_page_without_validation_faces(done, tmp_path):
    (tmp_path / "p2.json").write_text("{}")
    report.main(**{**reported(done), "validation": tmp_path}, page=tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text("utf-8")
    assert "kd-resnet8 (the last student that params.yaml lists: no validation faces)" in page


def test_the_page_refuses_another_networks_targets(done, tmp_path):
    shutil.copytree(done / "models", tmp_path / "models")
    shutil.copy(
        tmp_path / "models/p2/base-2.safetensors", tmp_path / "models/p2/base-1.safetensors"
    )
    with pytest.raises(InputError, match=r"p2-1\.h5: made with base_sha256 = "):
        report.main(**{**reported(done), "networks": tmp_path / "models"}, page=tmp_path / "p.html")
    assert not (tmp_path / "p.html").exists()


def test_the_page_refuses_crops_without_a_face_that_was_predicted(done, tmp_path):
    shutil.copy(done / "crops/train.h5", tmp_path / "p2-AFLW.h5")
    with pytest.raises(InputError, match=r"p2-AFLW\.h5: no face .*; run evaluate again"):
        report.main(**{**reported(done), "test_crops": tmp_path}, page=tmp_path / "p.html")


def test_a_second_run_from_scratch_gives_the_same_bytes(done, tmp_path, corpora):
    run_all(tmp_path, corpora)
    files = sorted(p.relative_to(done) for p in done.rglob("*") if p.is_file())
    assert len(files) > 25
    different = [str(f) for f in files if (tmp_path / f).read_bytes() != (done / f).read_bytes()]
    assert different == ["report.html"], "it names the files, which lie elsewhere"
    pages = [(root / "report.html").read_text("utf-8") for root in (done, tmp_path)]
    assert pages[0].replace(str(done), "") == pages[1].replace(str(tmp_path), "")


def test_every_face_is_kept_or_counted(done):
    counts = json.loads((done / "metrics/faces/AFLW.json").read_text())
    indexed = len(pd.read_parquet(done / "index/AFLW.parquet"))
    assert counts["before"] == indexed + counts["dropped"]["unreadable"]
    assert counts["dropped"]["unreadable"] == len(pd.read_csv(done / "AFLW-s.csv")) > 0
    assert counts["before"] == counts["faces"] + sum(counts["dropped"].values())
    assert counts["by_split"]["test"] >= 5
    assert len(pd.read_parquet(done / "faces/AFLW.parquet")) == counts["faces"]


def test_a_crops_file_holds_exactly_the_faces_of_its_set(done):
    table = pd.read_parquet(done / "faces/AFLW.parquet")
    for part in ("train", "test"):
        crops = Crops(done / f"crops/{part}.h5")
        assert crops.face_id == table.loc[table["split"] == part, "face_id"].tolist()
        assert crops.origin["faces_sha256"] == sha256(done / "faces/AFLW.parquet")
    assert not crops.validation.any(), "a test face for validation"


def test_leaks_are_those_of_the_crops(done):
    image_of = pd.read_parquet(done / "faces/AFLW.parquet").set_index("face_id")["image"]
    training, test = (
        set(image_of[Crops(done / f"crops/{p}.h5").face_id]) for p in ("train", "test")
    )
    report = json.loads((done / "metrics/leaks/p2.json").read_text())
    assert report["p2-AFLW"]["photograph"]["shared"] == len(training & test) > 0
    assert report["p2-AFLW"]["subject"] is None
    listed = pd.read_csv(done / "metrics/leaks/p2.csv")
    assert set(listed["training_name"]) == set(listed["test_name"]) == training & test


def test_networks_are_trained_on_all_but_the_validation_faces(done):
    crops, targets = Crops(done / "crops/train.h5"), Targets(done / "targets-1.h5")
    counts = json.loads((done / "metrics/sets/p2.json").read_text())
    assert 0 < crops.validation.sum() == counts["validation"] == len(crops) - counts["training"]
    assert targets.face_id == crops.face_id
    for name in ("base-1", "kd-resnet8-1"):
        _, metadata = load_network(done / f"models/p2/{name}.safetensors")
        assert metadata["provenance"]["faces"] == counts["training"]
        assert metadata["provenance"]["crop"]["margin"] == 8
        assert metadata["provenance"]["boxes"]["square"], "how to cut a face for this network"


@pytest.mark.parametrize(
    ("where", "faces", "message"),
    [
        pytest.param(
            {"split": ["train"]}, 2, "1 faces are left to train protocol p2", id="one left"
        ),
        pytest.param({"split": ["trian"]}, 9, "no face has split in .'trian'.", id="no such split"),
        pytest.param(
            {"split": ["train"], "box_source": ["annotated"]}, 4, "no face is left", id="none"
        ),
    ],
)
def test_a_training_set_that_is_too_small_is_refused(
    done, corpora, tmp_path, where, faces, message
):
    params = yaml.safe_load((done / "params.yaml").read_text())
    params["protocols"]["p2"] |= {"where": where, "validation": 0.5}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    table = pd.read_parquet(done / "faces/AFLW.parquet").query("split == 'train'").head(faces)
    table.loc[table.index[2:], ["split", "box_source"]] = "test", "annotated"
    write_table(table, tmp_path / "faces.parquet")
    with pytest.raises(InputError, match=message):
        crop_train.main(
            params=tmp_path / "params.yaml", protocol="p2", folder=corpora / "AFLW",
            faces=tmp_path / "faces.parquet", work=tmp_path / "work",
            crops=tmp_path / "c.h5", counts=tmp_path / "c.json",
        )  # fmt: skip
    assert not (tmp_path / "c.h5").exists()


def test_metrics_are_those_of_the_predictions(done):
    metrics = json.loads((done / "metrics/tests/p2-AFLW.json").read_text())
    table = pd.read_parquet(done / "predictions.parquet")
    assert list(dict.fromkeys(table["network"])) == ["base", "ensemble", "kd-resnet8"]
    errors = sum((table[a] - table[f"true_{a}"]).abs() for a in ("pitch", "yaw", "roll")) / 3
    mae = errors.groupby([table["network"], table["seed"]]).mean().unstack()
    assert list(mae) == list(SEEDS)
    assert (mae[1] != mae[2]).all(), "both seeds gave the same network"
    for name, of_seeds in mae.iterrows():
        assert metrics[name]["mae"] == pytest.approx(of_seeds.mean(), abs=1e-3)
        assert metrics[name]["mae_std"] == pytest.approx(of_seeds.std(), abs=1e-3)
        assert metrics[name]["runs"] == len(SEEDS)
        assert metrics[name]["faces"] == table["face_id"].nunique()
    bands = json.loads((done / "metrics/bands/p2-AFLW.json").read_text())
    for name, own in bands.items():
        weighted = sum(b["mae"] * b["faces"] for b in own.values()) / metrics[name]["faces"]
        assert weighted == pytest.approx(metrics[name]["mae"], abs=1e-3)


def test_the_std_is_the_distributions_times_the_validation_factor(done):
    crops, table = Crops(done / "crops/test.h5"), pd.read_parquet(done / "predictions.parquet")
    images = torch.from_numpy(np.stack([crops[row][8:-8, 8:-8] for row in range(len(crops))]))
    factors = pd.read_csv(done / "metrics/calibration/p2.csv").set_index(["network", "seed"])
    for name, seed in (("base", 1), ("kd-resnet8", 2)):
        network, _ = load_network(done / f"models/p2/{name}-{seed}.safetensors")
        with torch.inference_mode():
            std_deg = distribution_std_deg(predict_probs(network, normalize(images)), network.spec)
        own = table[(table["network"] == name) & (table["seed"] == seed)]
        assert own["face_id"].tolist() == crops.face_id
        assert own["group"].tolist() == crops.group
        expected = std_deg.numpy() * factors.loc[(name, seed)].to_numpy()
        np.testing.assert_allclose(own[STD_PYR], expected, rtol=1e-3)
        assert (own[SPREAD_PYR] == 0).all(axis=None)
    of_ensemble = table[table["network"] == "ensemble"]
    assert (of_ensemble[SPREAD_PYR] > 0).all(axis=None)


def test_what_is_said_of_the_uncertainty_is_that_of_the_predictions(done):
    table = pd.read_parquet(done / "predictions.parquet")
    found = json.loads((done / "metrics/uncertainty/p2-AFLW.json").read_text())
    metrics = json.loads((done / "metrics/tests/p2-AFLW.json").read_text())
    limits = json.loads((done / "metrics/intervals/p2-AFLW.json").read_text())
    pairs = pd.read_csv(done / "metrics/comparisons/p2-AFLW.csv").set_index(["a", "b"])
    curves = pd.read_csv(done / "metrics/risk/p2-AFLW.csv").set_index(["network", "percent"])
    for name, of_network in found.items():
        runs = [run for _, run in table[table["network"] == name].groupby("seed")]
        covered = [coverage(absolute_error_deg(r[PYR], r[TRUE_PYR]), r[STD_PYR]) for r in runs]
        expected = np.mean(covered, axis=0)
        stated = [of_network["std"]["coverage"][angle] for angle in PYR]
        np.testing.assert_allclose(stated, expected, atol=1e-3)
        assert of_network["std"]["calibrated"] is True
        low, high = limits[name]["mae"]
        assert low <= metrics[name]["mae"] <= high
        assert curves.loc[(name, 100), "mae"] == pytest.approx(metrics[name]["mae"], abs=1e-3)
    assert list(pairs.index) == [
        ("base", "ensemble"), ("base", "kd-resnet8"), ("ensemble", "kd-resnet8"),
    ]  # fmt: skip
    difference = metrics["base"]["mae"] - metrics["kd-resnet8"]["mae"]
    assert pairs.loc[("base", "kd-resnet8"), "difference"] == pytest.approx(difference, abs=1e-3)


def test_validation_measures_the_held_out_faces(done):
    counts = json.loads((done / "metrics/sets/p2.json").read_text())
    found = json.loads((done / "metrics/validation/p2.json").read_text())
    assert sorted(found) == ["base", "ensemble", "kd-resnet8"]
    assert {own["faces"] for own in found.values()} == {counts["validation"]}
    assert {"pitch", "yaw", "roll", "mae", "mae_std"} <= set(found["base"])
    crops = Crops(done / "crops/train.h5")
    rows = np.flatnonzero(crops.validation)
    images = torch.from_numpy(np.stack([crops[int(row)][8:-8, 8:-8] for row in rows]))
    maes = []
    for seed in SEEDS:
        network, _ = load_network(done / f"models/p2/kd-resnet8-{seed}.safetensors")
        with torch.inference_mode():
            angles = network.spec.expectation(predict_probs(network, normalize(images)))
        maes.append(absolute_error_deg(angles, crops.pyr_deg[rows]).mean())
    assert found["kd-resnet8"]["mae"] == pytest.approx(np.mean(maes), abs=2e-3)


def test_without_validation_faces_nothing_is_calibrated(done, tmp_path):
    import h5py

    crops = shutil.copy(done / "crops/train.h5", tmp_path / "train.h5")
    with h5py.File(crops, "r+") as file:
        file["validation"][:] = False
    validate.main(
        params=done / "params.yaml", crops=crops, networks=done / "models/p2",
        metrics=tmp_path / "v.json", calibration=tmp_path / "c.csv",
    )  # fmt: skip
    assert json.loads((tmp_path / "v.json").read_text()) == {}
    evaluate.main(
        params=done / "params.yaml", crops=done / "crops/test.h5", sweep=done / "sweep.h5",
        networks=done / "models/p2", calibration=tmp_path / "c.csv",
        predictions=tmp_path / "p.parquet", **evaluated(tmp_path),
    )  # fmt: skip
    found = json.loads((tmp_path / "uncertainty/p2-AFLW.json").read_text())
    assert not any(of_network["std"]["calibrated"] for of_network in found.values())
    raw = pd.read_parquet(tmp_path / "p.parquet")
    scaled = pd.read_parquet(done / "predictions.parquet")
    factors = pd.read_csv(done / "metrics/calibration/p2.csv").set_index(["network", "seed"])
    of_rows = factors.loc[pd.MultiIndex.from_frame(raw[["network", "seed"]])].to_numpy()
    np.testing.assert_allclose(raw[STD_PYR] * of_rows, scaled[STD_PYR], rtol=1e-6)


def test_the_sweep_holds_the_base_network(done):
    """The cell K = 0 on the sampled faces is the base network's prediction of those faces."""
    face_ids, offsets, angles = read_sweep(done / "sweep.h5", {})
    table = pd.read_parquet(done / "predictions.parquet")
    base = (
        table[(table["network"] == "base") & (table["seed"] == 1)]
        .set_index("face_id")
        .loc[face_ids]
    )
    centre = int(np.flatnonzero((offsets == 0).all(1))[0])
    np.testing.assert_allclose(angles[:, centre], base[["pitch", "yaw", "roll"]], atol=1e-3)
    cells = pd.read_csv(done / "metrics/sweep/p2-AFLW.csv")
    assert len(cells) == 4 * 3
    assert set(cells["faces"]) == {5}


def test_jitter_without_a_change_is_the_evaluation_of_the_same_faces(done):
    jittered = pd.read_csv(done / "metrics/jitter/p2-AFLW.csv")
    table = pd.read_parquet(done / "predictions.parquet")
    ids = table["face_id"].unique()
    drawn = np.random.default_rng(3).choice(len(ids), 5, replace=False)  # as in params.yaml
    errors = sum((table[a] - table[f"true_{a}"]).abs() for a in ("pitch", "yaw", "roll")) / 3
    on_sample = table["face_id"].isin(ids[drawn])
    expected = errors[on_sample].groupby(table["network"]).mean()
    assert (expected - errors.groupby(table["network"]).mean()).abs().min() > 0.01
    for kind in ("shift", "scale"):
        plain = jittered[(jittered["kind"] == kind) & (jittered["level"] == (kind == "scale"))]
        assert plain["network"].tolist() == ["base", "ensemble", "kd-resnet8"]
        assert set(plain["direction"]) == {"none"}
        assert set(plain["faces"]) == {5}
        np.testing.assert_allclose(plain["mae"], expected[plain["network"]], atol=1e-3)


def test_a_box_moved_by_a_pixel_is_an_offset_of_the_sweep(done, tmp_path):
    """The sweep has the base network of the first seed, on the same five faces."""
    params = yaml.safe_load((done / "params.yaml").read_text())
    params["seeds"] = [1]
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    jitter.main(
        params=tmp_path / "params.yaml", crops=done / "crops/test.h5",
        networks=done / "models/p2", work=tmp_path / "work", jitter=tmp_path / "j.csv",
    )  # fmt: skip
    rows = pd.read_csv(tmp_path / "j.csv").query("network == 'base' and kind == 'shift'")
    found = rows.set_index(["direction", "level"])["mae"]
    face_ids, offsets, angles = read_sweep(done / "sweep.h5", {})
    crops = Crops(done / "crops/test.h5")
    truth = crops.pyr_deg[[crops.face_id.index(face) for face in face_ids]]
    for pixels in (1, 2, 3):
        steps = {"left": (-pixels, 0), "right": (pixels, 0), "up": (0, -pixels)}
        for direction, offset in (steps | {"down": (0, pixels)}).items():
            (window,) = np.flatnonzero((offsets == offset).all(1))
            expected = np.abs(angles[:, window] - truth).mean()
            assert found[direction, pixels / 32] == pytest.approx(expected, abs=1e-3), direction
    assert found.groupby("level").nunique().drop(0.0).min() > 1, "directions change nothing"


def test_verify_accepts_what_was_cached(done, capsys):
    verify.main(
        crops=done / "crops/train.h5", network=done / "models/p2/base-1.safetensors",
        targets=done / "targets-1.h5", rows=8, seed=0,
    )  # fmt: skip
    assert "8 of" in capsys.readouterr().out


def test_verify_notices_targets_of_another_network(done, tmp_path):
    base, metadata = load_network(done / "models/p2/base-1.safetensors")
    changed = tmp_path / "base.safetensors"
    with torch.no_grad():
        base.state_dict()["head_nets.0.yaw.bias"].add_(torch.linspace(0, 5, 198))
    save_network(base, changed, "resnet8", (32, 32), metadata["provenance"])
    arguments = {"crops": done / "crops/train.h5", "network": changed, "rows": 8, "seed": 0}
    with pytest.raises(InputError, match="made with base_sha256"):
        verify.main(**arguments, targets=done / "targets-1.h5")
    # the same, but the file claims to come from the changed network
    import h5py

    forged = shutil.copy(done / "targets-1.h5", tmp_path / "targets.h5")
    with h5py.File(forged, "r+") as file:
        file.attrs["base_sha256"] = sha256(changed)
    with pytest.raises(InputError, match="differs by"):
        verify.main(**arguments, targets=forged)


def test_targets_say_what_they_were_computed_from(done):
    origin = Targets(done / "targets-1.h5").origin
    # 9 offsets, each in 3 turns, and mirrored
    assert (origin.K, origin.d, origin.S, origin.n_bins) == (1, 1, 54, 198)
    assert (origin.turns_deg, origin.flip) == ([-10.0, 0.0, 10.0], True)
    assert (origin.views, origin.rotate_deg) == (2, 15.0)


@pytest.mark.parametrize(
    ("section", "key", "value", "message"),
    [
        pytest.param("ensemble", "K", 2, "made with K = 1, but 2 is asked for", id="ensemble"),
        pytest.param("distill", "views", 3, "made with views = 2, but 3 is asked for", id="views"),
    ],
)
def test_distill_refuses_other_targets(done, tmp_path, section, key, value, message):
    params = yaml.safe_load((done / "params.yaml").read_text())
    params[section][key] = value
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    with pytest.raises(InputError, match=message):
        distill.main(
            params=tmp_path / "params.yaml", backbone="resnet8", seed=1,
            crops=done / "crops/train.h5", targets=done / "targets-1.h5", weights=NONE,
            work=tmp_path / "work", network=tmp_path / "n", history=tmp_path / "h",
        )  # fmt: skip
    assert not (tmp_path / "n").exists()


@pytest.mark.parametrize("stage", ["base", "distill"])
def test_training_smears_labels_as_its_own_section_says(done, tmp_path, stage):
    """And not as the other's says."""
    params = yaml.safe_load((done / "params.yaml").read_text())
    losses = []
    for base_deg, distill_deg in ((0.0, 0.0), (9.0, 0.0), (0.0, 9.0)):
        params["base"]["label_std_deg"], params["distill"]["label_std_deg"] = base_deg, distill_deg
        (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
        places = {"params": tmp_path / "params.yaml", "crops": done / "crops/train.h5", "seed": 1}
        places |= {"weights": NONE, "work": tmp_path / "work", "network": tmp_path / "n"}
        places |= {"history": tmp_path / "h.csv"}
        if stage == "base":
            train_base.main(**places)
        else:
            distill.main(**places, backbone="resnet8", targets=done / "targets-1.h5")
        losses.append(pd.read_csv(tmp_path / "h.csv")["loss"][0])
    neither, base, student = losses
    own, others = (base, student) if stage == "base" else (student, base)
    assert others == neither
    assert own != neither


@pytest.mark.parametrize("rule", ["enlarged", "published"])
def test_an_exported_student_as_a_foreign_network(done, corpora, tmp_path, monkeypatch, rule):
    """Ours → the published .pth → the row of Table 5 that a foreign network gets."""
    student = done / "models/p2/kd-resnet8-1.safetensors"
    export.main(network=student, output=tmp_path / "kd.pth")
    params = yaml.safe_load((done / "params.yaml").read_text())
    params["imported"] = {
        "ours": {
            "file": "kd.pth", "backbone": "resnet8", "dataset": "AFLW",
            "where": {"split": ["test"]}, "crop": rule, "size_px": 32,
        }
    }  # fmt: skip
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    imported.main(
        params=tmp_path / "params.yaml", imported="ours", folder=corpora / "AFLW",
        faces=done / "faces/AFLW.parquet", network=tmp_path / "kd.pth",
        metrics=tmp_path / "m.json",
    )  # fmt: skip
    foreign = json.loads((tmp_path / "m.json").read_text())
    as_project(done, tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")
    words = ["../kd.pth", "--test", "p2-AFLW", "--backbone", "resnet8", "--size", 32, "--crop"]
    said = json.loads(hpe_evaluate(*words, rule, "--format", "json"))
    assert {name: said[name] for name in foreign} == foreign
    table = pd.read_parquet(done / "predictions.parquet")
    ours = table[(table["network"] == "kd-resnet8") & (table["seed"] == 1)]
    metrics = summary(ours[PYR], ours[TRUE_PYR])
    assert foreign["faces"] == metrics["faces"]
    for name in ("pitch", "yaw", "roll", "mae", "geodesic"):
        same = foreign[name] == pytest.approx(metrics[name], abs=2e-3)
        assert same == (rule == "enlarged"), name


def test_a_base_network_has_no_published_form(done, tmp_path):
    with pytest.raises(InputError, match="holds students only"):
        export.main(network=done / "models/p2/base-1.safetensors", output=tmp_path / "x.pth")


def one_batch(params: dict, crops: Crops, path: Path) -> None:
    params["compute"]["infer_batch"] = 3


def other_order(params: dict, crops: Crops, path: Path) -> None:
    recoded(crops, np.arange(len(crops))[::-1], path, "raw", 95)


def as_png(params: dict, crops: Crops, path: Path) -> None:
    recoded(crops, np.arange(len(crops)), path, "png", 95)


def as_jpeg(params: dict, crops: Crops, path: Path) -> None:
    recoded(crops, np.arange(len(crops)), path, "jpeg", 95)


@pytest.mark.parametrize(
    ("change", "at_most"),
    [(one_batch, 1e-3), (other_order, 1e-3), (as_png, 1e-3), (as_jpeg, 0.05)],  # degrees
)
def test_no_metric_depends_on(done, tmp_path, change, at_most):
    """What changes no number; jpeg's bound is that of docs/integrity.md for crops of 32 pixels."""
    params = yaml.safe_load((done / "params.yaml").read_text())
    shutil.copy(done / "crops/test.h5", tmp_path / "c.h5")
    change(params, Crops(done / "crops/test.h5"), tmp_path / "c.h5")
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    changed = {"params": tmp_path / "params.yaml", "crops": tmp_path / "c.h5"}
    sweep.main(
        **changed, network=done / "models/p2/base-1.safetensors", work=tmp_path / "work",
        sweep=tmp_path / "s.h5",
    )  # fmt: skip
    evaluate.main(
        **changed, sweep=tmp_path / "s.h5", networks=done / "models/p2",
        calibration=done / "metrics/calibration/p2.csv", predictions=tmp_path / "p.parquet",
        **evaluated(tmp_path),
    )  # fmt: skip
    ours = json.loads((tmp_path / "tests/p2-AFLW.json").read_text())
    expected = json.loads((done / "metrics/tests/p2-AFLW.json").read_text())
    assert list(ours) == list(expected)
    for name in expected:
        assert ours[name]["mae"] == pytest.approx(expected[name]["mae"], abs=at_most)


def evaluation(done: Path, folder: Path, **changed: Path) -> None:
    given = {"crops": done / "crops/test.h5", "networks": done / "models/p2"} | changed
    evaluate.main(
        params=done / "params.yaml", sweep=done / "sweep.h5", **given, **evaluated(folder),
        calibration=done / "metrics/calibration/p2.csv", predictions=folder / "p.parquet",
    )  # fmt: skip


def resaved(path: Path, **provenance: object) -> None:
    """The same network with another origin."""
    network, metadata = load_network(path)
    changed = metadata["provenance"] | provenance
    save_network(network, path, metadata["backbone"], tuple(metadata["size_hw"]), changed)


def other_seed(models: Path) -> None:
    shutil.copy(models / "kd-resnet8-2.safetensors", models / "kd-resnet8-1.safetensors")


def other_protocol(models: Path) -> None:
    resaved(models / "base-2.safetensors", crops_sha256="c" * 64)


def other_boxes(models: Path) -> None:
    for path in models.iterdir():
        boxes = load_network(path)[1]["provenance"]["boxes"]
        resaved(path, boxes=boxes | {"scale": 1.5})


def other_size(models: Path) -> None:
    for path in models.iterdir():
        crop = load_network(path)[1]["provenance"]["crop"]
        resaved(path, crop=crop | {"height": 64})


STRANGERS = pytest.mark.parametrize(
    ("swap", "message"),
    [
        (other_seed, r"kd-resnet8-1\.safetensors: made with base_sha256 = .* of .*base-1"),
        (other_protocol, r"base-2\.safetensors: made with crops_sha256 = 'ccc.* as of .*base-1"),
        (
            other_boxes,
            r"base-1\.safetensors: made with scale = 1\.5, but 1\.0 is expected, as .*h5",
        ),
        (other_size, r"base-1\.safetensors: made with height = 64, but 32 is expected, as .*h5"),
    ],
)


@STRANGERS
@pytest.mark.parametrize("stage", ["evaluate", "validate", "jitter"])
def test_networks_that_do_not_belong_together_are_refused(done, tmp_path, swap, message, stage):
    models = tmp_path / "models"
    shutil.copytree(done / "models/p2", models)
    swap(models)
    paths = {"params": done / "params.yaml", "networks": models}
    with pytest.raises(InputError, match=message):
        if stage == "evaluate":
            evaluation(done, tmp_path, networks=models)
        elif stage == "validate":
            out = {"metrics": tmp_path / "m.json", "calibration": tmp_path / "c.csv"}
            validate.main(**paths, **out, crops=done / "crops/train.h5")
        else:
            out = {"work": tmp_path / "work", "jitter": tmp_path / "j.csv"}
            jitter.main(**paths, **out, crops=done / "crops/test.h5")
    assert not (tmp_path / "p.parquet").exists()


def test_crops_of_another_protocol_are_refused(done, tmp_path):
    out = {"metrics": tmp_path / "m.json", "calibration": tmp_path / "c.csv"}
    params, base = done / "params.yaml", done / "models/p2/base-1.safetensors"
    as_png({}, Crops(done / "crops/train.h5"), tmp_path / "c.h5")
    given = {"params": params, "crops": tmp_path / "c.h5"}
    with pytest.raises(InputError, match=r"base-1.*: made with crops_sha256 = .* that of .*c\.h5"):
        validate.main(**given, networks=done / "models/p2", **out)
    with pytest.raises(InputError, match=r"base-1.*: made with crops_sha256 = .* that of .*c\.h5"):
        ensemble.main(**given, seed=1, network=base, work=tmp_path / "w", targets=tmp_path / "t.h5")
    resaved_base = tmp_path / "b.safetensors"
    shutil.copy(base, resaved_base)
    resaved(resaved_base, crop={})
    with pytest.raises(InputError, match=r"b\.safetensors: made with .* = None"):
        sweep.main(
            params=params, crops=done / "crops/test.h5", network=resaved_base,
            work=tmp_path / "w", sweep=tmp_path / "s.h5",
        )  # fmt: skip


def test_a_network_that_answers_nan_teaches_nobody(done, tmp_path):
    path = done / "models/p2/base-1.safetensors"
    network, metadata = load_network(path)
    with torch.no_grad():
        for parameter in network.parameters():  # finite, as a step too far leaves them
            parameter.fill_(1e30)
    save_network(network, tmp_path / "b.safetensors", "resnet8", (32, 32), metadata["provenance"])
    with pytest.raises(InputError, match=r"train\.h5: a network answers with something else"):
        ensemble.main(
            params=done / "params.yaml", crops=done / "crops/train.h5", seed=1,
            network=tmp_path / "b.safetensors", work=tmp_path / "w", targets=tmp_path / "t.h5",
        )  # fmt: skip
    assert not (tmp_path / "t.h5").exists()


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed."),
        ConnectionResetError(104, "Connection reset by peer"),
        EOFError(),
    ],
    ids=["before", "while it hands over", "likewise"],
)
def test_a_loader_that_dies_is_named(done, tmp_path, monkeypatch, error):
    def fit(*_: object) -> None:
        raise error

    monkeypatch.setattr("pipeline._training.fit", fit)
    with pytest.raises(ChildProcessError, match=r"train\.h5: a process that draws its views has"):
        train_base.main(
            params=done / "params.yaml", crops=done / "crops/train.h5", seed=1, weights=NONE,
            work=tmp_path / "w", network=tmp_path / "n.safetensors", history=tmp_path / "h.csv",
        )  # fmt: skip


def test_a_sweep_of_other_crops_is_refused(done, tmp_path):
    as_png({}, Crops(done / "crops/test.h5"), tmp_path / "c.h5")
    with pytest.raises(InputError, match=r"sweep\.h5: made with crops_sha256 = "):
        evaluation(done, tmp_path, crops=tmp_path / "c.h5")
    assert not (tmp_path / "p.parquet").exists(), "checked too late"


def test_the_tables_name_their_corpora(done):
    for path in sorted((done / "tables").glob("*.md")):
        assert "demo corpora (drawn)" in path.read_text(), path.name


def test_networks_are_loadable_and_know_their_input(done):
    network, metadata = load_network(done / "models/p2/kd-resnet8-1.safetensors")
    assert metadata["size_hw"] == [32, 32]
    assert not network.training
    assert metadata["provenance"]["K"] == 1


@pytest.mark.parametrize("network", ["base", "kd-resnet8"])
def test_the_predictor_says_what_the_evaluation_said(done, corpora, network):
    """From the image files on: the same boxes, crops, angles and standard deviations."""
    table = pd.read_parquet(done / "predictions.parquet").set_index(["network", "seed", "face_id"])
    factors = pd.read_csv(done / "metrics/calibration/p2.csv").set_index(["network", "seed"])
    faces = pd.read_parquet(done / "faces/AFLW.parquet").query("split == 'test'")
    head_pose = HeadPose.load(done / f"models/p2/{network}-1.safetensors", DETECTOR)
    images = [corpora / "AFLW" / image for image in faces["image"]]
    every = head_pose.predict_each(images)
    for (_, face), found in zip(faces.iterrows(), every, strict=True):
        box = face[["det_x1", "det_y1", "det_x2", "det_y2"]].to_numpy(float)
        own = min(found, key=lambda pose: np.abs(pose.bbox_xyxy - box).max())
        row = table.loc[(network, 1, face["face_id"])]
        np.testing.assert_allclose(own.bbox_xyxy, box, atol=0.01)
        assert own.score == pytest.approx(face["det_score"], abs=1e-4)
        np.testing.assert_allclose(own.pyr_deg, row[PYR].astype(float), atol=0.05)
        std_deg = own.std_deg * factors.loc[(network, 1)].to_numpy()
        np.testing.assert_allclose(std_deg, row[STD_PYR].astype(float), rtol=0.01)


def hpe_evaluate(*words: object) -> str:
    result = CliRunner().invoke(app, ["evaluate", *map(str, words)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def as_project(done: Path, root: Path) -> None:
    """The run's files where `hpe evaluate` looks for them, below the folder it is started in."""
    (root / "data").mkdir(parents=True)
    for name, file in (("data/faces", "faces"), ("metrics", "metrics"), ("models", "models/p2")):
        (root / name).symlink_to(done / file)
    shutil.copy(done / "params.yaml", root)


@pytest.mark.parametrize("network", ["base", "kd-resnet8"])
@pytest.mark.parametrize("suffix", [".safetensors", ".onnx"])
def test_hpe_evaluate_gives_the_evaluations_numbers(done, tmp_path, monkeypatch, network, suffix):
    as_project(done, tmp_path)
    monkeypatch.chdir(tmp_path)
    path = done / f"models/p2/{network}-1.safetensors"
    if suffix == ".onnx":
        path = tmp_path / "n.onnx"
        words = ["export", str(done / f"models/p2/{network}-1.safetensors"), "--out", str(path)]
        assert CliRunner().invoke(app, words).exit_code == 0
    text = hpe_evaluate(path, "--test", "p2-AFLW", "--format", "json", "--out", "p.parquet")
    said = json.loads(text)
    table = pd.read_parquet(done / "predictions.parquet")
    own = table[(table["network"] == network) & (table["seed"] == 1)].reset_index(drop=True)
    expected = summary(own[PYR], own[TRUE_PYR])
    for name, value in expected.items():
        assert said[name] == pytest.approx(value, abs=1e-4), name
    bands = mae_by_yaw(own[PYR], own[TRUE_PYR], [0.0, 30.0, 60.0, 99.0])
    assert [band["faces"] for band in said["abs_yaw"].values()] == [
        band["faces"] for band in bands.values()
    ]
    for band, values in bands.items():
        assert said["abs_yaw"][band]["mae"] == pytest.approx(values["mae"], abs=1e-4)
    counts = json.loads((done / "metrics/faces/AFLW.json").read_text())["dropped"]
    assert said["left_out_by_filter"] == {name: n for name, n in counts.items() if n}
    rows = pd.read_parquet("p.parquet")
    assert rows["face_id"].tolist() == own["face_id"].tolist()
    np.testing.assert_allclose(rows[PYR], own[PYR], atol=3e-4)
    np.testing.assert_allclose(rows[TRUE_PYR], own[TRUE_PYR], atol=1e-4)


def test_hpe_evaluate_finds_the_faces_of_a_corpus_as_the_stages_do(done, corpora, tmp_path):
    """No stage's output is used. What only `filter` and its split leave out is measured, too."""
    words = ["--corpus", corpora / "AFLW", "--reader", "AFLW", "--detector", DETECTOR]
    network = done / "models/p2/kd-resnet8-1.safetensors"
    out = tmp_path / "p.csv"
    said = json.loads(hpe_evaluate(network, *words, "--format", "json", "--out", out))
    rows = pd.read_csv(out, keep_default_na=False, na_values=[""])
    faces = pd.read_parquet(done / "faces/AFLW.parquet")
    own = rows[rows["why"].isna()].set_index("face_id")
    counts = json.loads((done / "metrics/faces/AFLW.json").read_text())
    only_there = ("excluded_by_split", "box_too_small")
    more = sum(counts["dropped"][rule] for rule in only_there)
    assert said["faces"] == len(own) == len(faces) + more
    boxes = faces[["det_x1", "det_y1", "det_x2", "det_y2"]]
    found = own.loc[faces["face_id"], ["x1", "y1", "x2", "y2"]]
    np.testing.assert_allclose(found, boxes, atol=1e-4)
    table = pd.read_parquet(done / "predictions.parquet")
    tested = table[(table["network"] == "kd-resnet8") & (table["seed"] == 1)]
    np.testing.assert_allclose(own.loc[tested["face_id"], PYR], tested[PYR], atol=3e-4)
    lost = said["not_evaluated"]
    assert sum(lost.values()) == counts["before"] - said["faces"]
    assert lost["unreadable"] == counts["dropped"]["unreadable"] > 0
    assert rows["why"].value_counts().to_dict() == lost


def launched(processes: int, stage: str, **arguments: object) -> None:
    """A stage as torchrun starts it: `HPE_LAUNCH="torchrun …" dvc repro` does the same."""
    words = [f"--{name.replace('_', '-')}={value}" for name, value in arguments.items()]
    launch = [
        *("torch.distributed.run", "--standalone"),
        *(f"--nproc-per-node={processes}", "--no-python"),
    ]
    command = [sys.executable, "-m", *launch, sys.executable, "-m", f"pipeline.{stage}", *words]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    run = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-3000:]


def left_of(work: Path) -> list[str]:
    """What lies in the folder of unfinished work, by suffix."""
    return [path.suffix for path in work.iterdir()]


def test_two_processes_detect_the_same_bytes(done, corpora, tmp_path):
    launched(
        2, "redetect", params=done / "params.yaml", dataset="AFLW", source=DETECTOR,
        folder=corpora / "AFLW", index=done / "index/AFLW.parquet", work=tmp_path / "work",
        boxes=tmp_path / "b.parquet",
        unmatched=tmp_path / "u.csv", report=tmp_path / "r.json",
    )  # fmt: skip
    assert (tmp_path / "b.parquet").read_bytes() == (done / "boxes/AFLW.parquet").read_bytes()
    assert (tmp_path / "u.csv").read_bytes() == (done / "boxes/AFLW.csv").read_bytes()
    assert left_of(tmp_path / "work") == [".lock"], "shards were left behind"


@pytest.mark.parametrize(
    ("stage", "crops", "output", "more"),
    [
        pytest.param("ensemble", "train.h5", "targets", {"seed": 1}, id="ensemble"),
        pytest.param("sweep", "test.h5", "sweep", {}, id="sweep"),
    ],
)
def test_two_processes_write_the_same_bytes(done, tmp_path, stage, crops, output, more):
    """As one process of the stage: inside pytest, memory lies otherwise, and so may last bits."""
    outputs = {processes: tmp_path / f"{processes}.h5" for processes in (1, 2)}
    for processes, path in outputs.items():
        launched(
            processes, stage, params=done / "params.yaml", crops=done / "crops" / crops,
            network=done / "models/p2/base-1.safetensors", work=tmp_path / "work",
            **{output: path}, **more,
        )  # fmt: skip
    assert outputs[2].read_bytes() == outputs[1].read_bytes()
    assert set(left_of(tmp_path / "work")) == {".lock"}, "shards were left behind"


def test_two_processes_measure_the_same_jitter(done, tmp_path):
    launched(
        2, "jitter", params=done / "params.yaml", crops=done / "crops/test.h5",
        networks=done / "models/p2", work=tmp_path / "work", jitter=tmp_path / "j.csv",
    )  # fmt: skip
    found, expected = (
        pd.read_csv(path) for path in (tmp_path / "j.csv", done / "metrics/jitter/p2-AFLW.csv")
    )
    pd.testing.assert_frame_equal(found, expected, atol=1e-3)
    assert left_of(tmp_path / "work") == [".lock"], "shards were left behind"


def test_two_processes_train_the_same_network(done, tmp_path):
    """Equal but for rounding, which Adam makes larger: at a small rate the angles show none of it.

    At the profile's rate two threads of one process differ by as much as two processes, 0.1 %.
    """
    params = yaml.safe_load((done / "params.yaml").read_text())
    params["base"]["lr"] = 1.0e-4
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    crops = Crops(done / "crops/train.h5")
    images = torch.from_numpy(np.stack([crops[row][8:-8, 8:-8] for row in range(len(crops))]))
    histories, angles = [], []
    for processes in (1, 2):
        network, history = tmp_path / f"{processes}.safetensors", tmp_path / f"{processes}.csv"
        launched(
            processes, "train_base", params=tmp_path / "params.yaml", weights=NONE,
            work=tmp_path / "work",
            crops=done / "crops/train.h5", network=network, history=history, seed=1,
        )  # fmt: skip
        histories.append(pd.read_csv(history))
        net, _ = load_network(network)
        with torch.inference_mode():
            angles.append(net.spec.expectation(predict_probs(net, normalize(images))))
    np.testing.assert_allclose(histories[1], histories[0], rtol=1e-4)
    torch.testing.assert_close(angles[1], angles[0], rtol=0, atol=0.02)
