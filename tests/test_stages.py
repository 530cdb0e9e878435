"""Every stage's `main` on a tiny corpus, one after the other, and the same again from scratch."""

import json
import shutil
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from forks import start_ranks
from tiny_project import CORPORA, ROOT, render, tiny_params
from typer.testing import CliRunner

from hpe_core.cli.app import app
from hpe_core.common.errors import InputError
from hpe_core.common.files import sha256
from hpe_core.common.table_files import AFLW_ORDER, OUR_ORDER, read_table, write_table
from hpe_core.corpora.splits import hold_out
from hpe_core.crops.store import Crops, encode, write_crops
from hpe_core.evaluation.columns import PYR, SPREAD_PYR, STD_PYR, TRUE_PYR
from hpe_core.evaluation.metrics import absolute_error_deg, mae_by_yaw, summary
from hpe_core.evaluation.uncertainty import std_coverage
from hpe_core.faces.face_rows import read_face
from hpe_core.networks.checkpoints import load_network, save_network
from hpe_core.networks.model import normalize, predict_probs
from hpe_core.page.inputs import Artifacts
from hpe_core.predictor import HeadPose
from hpe_core.teacher.sweeps import read_sweep
from hpe_core.teacher.targets import Targets
from hpe_core.training.losses import cross_entropy
from hpe_core.training.students import StudentFiles
from pipeline import (
    check,
    control,
    crop_test,
    crop_train,
    distill,
    ensemble,
    evaluate,
    evaluate_imported,
    examples,
    export,
    filter_faces,
    imported,
    index,
    leaks,
    predict,
    redetect,
    report,
    sweep,
    tables,
    train_base,
    validate,
    verify,
)

DETECTOR = ROOT / "data/detector/yolov5n-demo.onnx"
SEEDS = (1, 2)  # as in tiny_params
NONE = ROOT / "data/pretrained/none"
# Below the folder of the run, as dvc.yaml has them.
TRAIN, TEST = "crops/p2/train.h5", "crops/p2/tests/p2-AFLW.h5"
PREDICTIONS, JITTERED = (
    "predictions/p2/tests/p2-AFLW.parquet",
    "predictions/p2/jitter/p2-AFLW.parquet",
)
PARTS = ["ensemble-shifts", "ensemble-rotations", "ensemble-flip"]
NETWORKS = ["base", "ensemble", *PARTS, "control-resnet8", "kd-resnet8"]
FACTORS, MEASURED = "metrics/protocols/p2/calibration.csv", "metrics/tests/p2-AFLW"


@pytest.fixture(scope="module")
def corpora(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("corpora")
    render(folder)
    return folder / CORPORA


def student_files(root: Path, name: str) -> StudentFiles:
    network, history = root / f"models/p2/{name}.safetensors", root / f"history/p2/{name}.csv"
    return StudentFiles(root / TRAIN, NONE, root.parent / "work", network, history)


def run_all(root: Path, corpora: Path) -> None:
    """What `dvc repro` does, in one process."""
    params = root / "params.yaml"
    params.write_text(yaml.safe_dump(tiny_params(corpora)))
    crop_format = root / "crops/format.json"
    check.main(params=params, checked=root / "params.checked", crop_format=crop_format)
    for name in ("AFLW2000", "AFLW"):
        folder, table = corpora / name, root / f"index/{name}.parquet"
        index.main(
            dataset=name, reader=name, folder=folder, index=table, skipped=root / f"{name}-s.csv"
        )
        redetect.main(
            params=params, dataset=name, source=DETECTOR, folder=folder, index=table,
            work=root.parent / "work",
            boxes=root / f"boxes/{name}.parquet", unmatched=root / f"boxes/{name}.csv",
            report=root / f"metrics/corpora/{name}/boxes.json",
        )  # fmt: skip
        filter_faces.main(
            params=params, dataset=name, boxes=root / f"boxes/{name}.parquet",
            skipped=root / f"{name}-s.csv",
            split_index=root / "index/AFLW2000.parquet", split_skipped=root / "AFLW2000-s.csv",
            faces=root / f"faces/{name}.parquet",
            counts=root / f"metrics/corpora/{name}/faces.json",
        )  # fmt: skip
    cut = {"params": params, "crop_format": crop_format, "work": root.parent / "work"}
    crop_train.main(
        **cut, protocol="p2", root=corpora, faces=root / "faces", crops=root / TRAIN,
        counts=root / "metrics/protocols/p2/set.json",
    )  # fmt: skip
    crop_test.main(
        **cut, test="p2-AFLW", folder=corpora / "AFLW", faces=root / "faces/AFLW.parquet",
        crops=root / TEST,
    )  # fmt: skip
    leaks.main(
        params=params, protocol="p2", faces=root / "faces",
        report=root / "metrics/protocols/p2/leaks.json",
        shared=root / "metrics/protocols/p2/leaks.csv", checked=root / "p2.checked",
    )  # fmt: skip
    data = {"params": params, "crops": root / TRAIN}
    test_data = {"params": params, "crops": root / TEST}
    for seed in SEEDS:
        base, targets = root / f"models/p2/base-{seed}.safetensors", root / f"targets/p2-{seed}.h5"
        train_base.main(
            **data,
            seed=seed,
            weights=NONE,
            work=root.parent / "work",
            network=base,
            history=root / f"history/p2/base-{seed}.csv",
        )
        ensemble.main(**data, seed=seed, network=base, work=root.parent / "work", targets=targets)
        student = {"params": params, "backbone": "resnet8", "seed": seed}
        distill.main(**student, targets=targets, files=student_files(root, f"kd-resnet8-{seed}"))
        control.main(**student, files=student_files(root, f"control-resnet8-{seed}"))
    predict.main(
        params=params, protocol="p2", crops=root / "crops/p2", networks=root / "models/p2",
        work=root.parent / "work", predictions=root / "predictions/p2",
    )  # fmt: skip
    validate.main(
        predictions=root / "predictions/p2/validation.parquet",
        metrics=root / "metrics/protocols/p2/validation.json", calibration=root / FACTORS,
    )  # fmt: skip
    sweep.main(
        **test_data, network=root / "models/p2/base-1.safetensors", work=root.parent / "work",
        sweep=root / "sweep.h5",
    )  # fmt: skip
    evaluate.main(**evaluated(root), metrics=root / MEASURED)
    examples.main(
        params=params, seed=1, predictions=root / "predictions", crops=root / "crops",
        figures=root / "examples",
    )  # fmt: skip
    tables.main(
        params=params, metrics=root / "metrics", published=ROOT / "data/published",
        card=ROOT / "pipeline/model_card.md",
        tables=root / "tables", summary=root / "metrics/summary.json", figures=root / "figures",
    )  # fmt: skip
    report.main(**reported(root), page=root / "report.html")


def reported(root: Path, **elsewhere: Path) -> dict[str, Any]:
    """What the stage `report` reads. elsewhere: other artifacts."""
    artifacts = Artifacts(
        histories=root / "history",
        predictions=root / "predictions",
        networks=root / "models",
        targets=root / "targets",
        crops=root / "crops",
    )
    return {
        "params": root / "params.yaml",
        "metrics": root / "metrics",
        "published": ROOT / "data/published",
        "artifacts": replace(artifacts, **elsewhere),
        "template": ROOT / "pipeline/page",
    }


def evaluated(root: Path, said: Path | None = None, **elsewhere: Path) -> dict[str, Path]:
    """What the stage `evaluate` reads. said: other predictions of the protocol."""
    said = said or root / "predictions/p2"
    return {
        "params": root / "params.yaml",
        "predictions": said / "tests/p2-AFLW.parquet",
        "jittered": said / "jitter/p2-AFLW.parquet",
        "sweep": root / "sweep.h5",
        "calibration": root / FACTORS,
        **elsewhere,
    }


@pytest.fixture(scope="module")
def done(tmp_path_factory, corpora) -> Path:
    root = tmp_path_factory.mktemp("run")
    run_all(root, corpora)
    return root


def changed_params(done: Path, folder: Path, **sections: object) -> dict[str, Any]:
    """What `report` reads, with another params.yaml in `folder`."""
    params = yaml.safe_load((done / "params.yaml").read_text())
    (folder / "params.yaml").write_text(yaml.safe_dump({**params, **sections}))
    return {**reported(done), "params": folder / "params.yaml"}


def test_the_page_shows_what_was_measured(done):
    page = (done / "report.html").read_text("utf-8")
    metrics = json.loads((done / MEASURED / "errors.json").read_text())
    for name, own in metrics.items():
        assert f"{name}: MAE {own['mae']:.2f}°, 95 % " in page
    assert "demo corpora (rendered); 2 seeds" in page
    for seed in SEEDS:
        assert f"kd-resnet8-{seed}, epoch 1: MAE " in page, "training curves"
    for name in ("models/p2/kd-resnet8-2.safetensors", "targets/p2-1.h5", TRAIN):
        assert sha256(done / name) in page
    table = pd.read_parquet(done / PREDICTIONS).query("network == 'kd-resnet8' and seed == 1")
    errors = absolute_error_deg(table[PYR], table[TRUE_PYR]).mean(1)
    worst = table["face_id"].iloc[int(errors.argmax())]
    shown = page.split("largest errors of kd-resnet8")[1]
    assert shown.index(f"<h4>{worst}</h4>") < shown.index("median errors")
    assert f"{errors.max():.1f}° off" in shown.split("</article>")[0]
    assert page.count("<img") == 2 * tiny_params(done)["tables"]["examples"] + 3


def test_the_pages_distributions_are_the_networks_and_the_teachers(done, monkeypatch):
    taken = []
    monkeypatch.setattr(report, "write_page", lambda values, *_: taken.extend(values["averaged"]))
    report.main(**reported(done), page=done.parent / "other.html")
    (found,) = taken
    crops, targets = Crops(done / TRAIN), Targets(done / "targets/p2-1.h5")
    rows = [crops.face_id.index(face) for face in found.face_ids]
    assert sorted(rows) == crops.training_rows.tolist(), "no validation face"
    network, _ = load_network(done / "models/p2/base-1.safetensors")
    images = torch.from_numpy(np.stack([crops[row][12:-12, 12:-12] for row in rows]))
    with torch.inference_mode():
        probs = predict_probs(network, normalize(images))
    np.testing.assert_allclose(found.one, probs.numpy(), rtol=2e-3, atol=1e-5)  # float16
    np.testing.assert_array_equal(found.mean, np.stack([targets[row, 0] for row in rows]))
    np.testing.assert_array_equal(found.pyr_deg, crops.pyr_deg[rows])


@pytest.mark.parametrize(
    ("sections", "expected"),
    [
        pytest.param(
            {"students": [], "controls": []},
            "ensemble (there is no student): MAE ",
            id="no student",
        ),
        pytest.param({"seeds": [1]}, "demo corpora (rendered); one seed", id="one seed"),
    ],
)
def test_the_page_of_less_than_everything(done, tmp_path, sections, expected):
    report.main(**changed_params(done, tmp_path, **sections), page=tmp_path / "page.html")
    assert expected in (tmp_path / "page.html").read_text("utf-8")


def test_the_page_without_validation_faces(done, tmp_path):
    metrics = shutil.copytree(done / "metrics", tmp_path / "metrics")
    (metrics / "protocols/p2/validation.json").write_text("{}")
    report.main(**{**reported(done), "metrics": metrics}, page=tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text("utf-8")
    assert "kd-resnet8 (the last student in params.yaml; no validation faces)" in page


def test_the_page_refuses_another_networks_targets(done, tmp_path):
    shutil.copytree(done / "models", tmp_path / "models")
    shutil.copy(
        tmp_path / "models/p2/base-2.safetensors", tmp_path / "models/p2/base-1.safetensors"
    )
    with pytest.raises(InputError, match=r"training\.h5: made with base_sha256 = "):
        report.main(**reported(done, networks=tmp_path / "models"), page=tmp_path / "p.html")
    assert not (tmp_path / "p.html").exists()


def test_the_page_refuses_crops_without_a_face_that_was_predicted(done, tmp_path):
    shutil.copytree(done / "crops", tmp_path / "crops")
    shutil.copy(done / TRAIN, tmp_path / TEST)
    with pytest.raises(InputError, match=r"p2-AFLW\.h5: no face .*; run predict again"):
        report.main(**reported(done, crops=tmp_path / "crops"), page=tmp_path / "p.html")


def test_a_second_run_from_scratch_gives_the_same_bytes(done, tmp_path, corpora):
    run_all(tmp_path, corpora)
    files = sorted(p.relative_to(done) for p in done.rglob("*") if p.is_file())
    assert len(files) > 25
    different = [str(f) for f in files if (tmp_path / f).read_bytes() != (done / f).read_bytes()]
    assert different == ["report.html"], "it names the files, which lie elsewhere"
    pages = [(root / "report.html").read_text("utf-8") for root in (done, tmp_path)]
    assert pages[0].replace(str(done), "") == pages[1].replace(str(tmp_path), "")


def test_every_face_is_kept_or_counted(done):
    counts = json.loads((done / "metrics/corpora/AFLW/faces.json").read_text())
    indexed = len(pd.read_parquet(done / "index/AFLW.parquet"))
    assert counts["before"] == indexed + counts["dropped"]["unreadable"]
    assert counts["dropped"]["unreadable"] == len(pd.read_csv(done / "AFLW-s.csv")) > 0
    assert counts["before"] == counts["faces"] + sum(counts["dropped"].values())
    assert counts["by_split"]["test"] >= 5
    assert len(pd.read_parquet(done / "faces/AFLW.parquet")) == counts["faces"]


def test_a_crops_file_holds_exactly_the_faces_of_its_set(done):
    table = pd.read_parquet(done / "faces/AFLW.parquet")
    for part, path in (("train", TRAIN), ("test", TEST)):
        crops = Crops(done / path)
        assert crops.face_id == table.loc[table["split"] == part, "face_id"].tolist()
        assert crops.origin["faces_sha256"] == sha256(done / "faces/AFLW.parquet")
    assert not crops.validation.any(), "a test face for validation"


def test_leaks_are_those_of_the_crops(done):
    image_of = pd.read_parquet(done / "faces/AFLW.parquet").set_index("face_id")["image"]
    training, test = (set(image_of[Crops(done / path).face_id]) for path in (TRAIN, TEST))
    report = json.loads((done / "metrics/protocols/p2/leaks.json").read_text())
    assert report["p2-AFLW"]["photograph"]["shared"] == len(training & test) > 0
    assert report["p2-AFLW"]["subject"] is None
    listed = pd.read_csv(done / "metrics/protocols/p2/leaks.csv")
    assert set(listed["test_name"]) == training & test
    assert set(listed["training_name"]) == {f"AFLW/{name}" for name in training & test}


def test_networks_are_trained_on_all_but_the_validation_faces(done):
    crops, targets = Crops(done / TRAIN), Targets(done / "targets/p2-1.h5")
    counts = json.loads((done / "metrics/protocols/p2/set.json").read_text())
    assert 0 < crops.validation.sum() == counts["validation"] == len(crops) - counts["training"]
    assert targets.face_id == crops.face_id
    for name in ("base-1", "kd-resnet8-1"):
        _, metadata = load_network(done / f"models/p2/{name}.safetensors")
        assert metadata["provenance"]["faces"] == counts["training"]
        assert metadata["provenance"]["crop"]["margin"] == 12
        assert metadata["provenance"]["boxes"]["square"], "how to cut a face for this network"


@pytest.mark.parametrize(
    ("where", "faces", "message"),
    [
        pytest.param({"split": ["train"]}, 2, "protocol p2 has 1 training and", id="one left"),
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
    params["protocols"]["p2"] |= {"train": {"AFLW": where}, "validation": 0.5}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    table = pd.read_parquet(done / "faces/AFLW.parquet").query("split == 'train'").head(faces)
    table.loc[table.index[2:], ["split", "box_source"]] = "test", "annotated"
    write_table(table, tmp_path / "AFLW.parquet")
    with pytest.raises(InputError, match=message):
        crop_train.main(
            params=tmp_path / "params.yaml", crop_format=done / "crops/format.json",
            protocol="p2", root=corpora, faces=tmp_path,
            work=tmp_path / "work", crops=tmp_path / "c.h5", counts=tmp_path / "c.json",
        )  # fmt: skip
    assert not (tmp_path / "c.h5").exists()


def test_a_training_set_of_two_corpora(done, corpora, tmp_path):
    """Corpus after corpus; a further one changes none of the first one's validation faces."""
    params = yaml.safe_load((done / "params.yaml").read_text())
    params["protocols"]["p2"] |= {"train": {"AFLW": {"split": ["train"]}, "AFLW2000": {}}}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    crop_train.main(
        params=tmp_path / "params.yaml", crop_format=done / "crops/format.json", protocol="p2",
        root=corpora, faces=done / "faces", work=tmp_path / "work", crops=tmp_path / "c.h5",
        counts=tmp_path / "c.json",
    )  # fmt: skip
    both = Crops(tmp_path / "c.h5")
    names = ("AFLW", "AFLW2000")
    tables = {name: pd.read_parquet(done / f"faces/{name}.parquet") for name in names}
    tables["AFLW"] = tables["AFLW"].query("split == 'train'")
    alone = hold_out(tables["AFLW"], params["protocols"]["p2"]["validation"])
    assert both.face_id == [face for table in tables.values() for face in table["face_id"]]
    assert both.validation[: len(alone)].tolist() == alone.tolist()
    assert both.validation[len(alone) :].any()
    assert both.order == [AFLW_ORDER] * len(alone) + [OUR_ORDER] * len(tables["AFLW2000"])
    hashes = [sha256(done / f"faces/{name}.parquet") for name in names]
    assert both.origin["faces_sha256"].split() == hashes
    last = tables["AFLW2000"].iloc[-1]
    cut = read_face(corpora / "AFLW2000", last, both.format)
    np.testing.assert_array_equal(both[len(both) - 1], cut)
    sizes = json.loads((tmp_path / "c.json").read_text())
    assert sizes == {"training": (~both.validation).sum(), "validation": both.validation.sum()}


def test_metrics_are_those_of_the_predictions(done):
    metrics = json.loads((done / MEASURED / "errors.json").read_text())
    table = pd.read_parquet(done / PREDICTIONS)
    assert list(dict.fromkeys(table["network"])) == NETWORKS
    errors = sum((table[a] - table[f"true_{a}"]).abs() for a in ("pitch", "yaw", "roll")) / 3
    mae = errors.groupby([table["network"], table["seed"]]).mean().unstack()
    assert list(mae) == list(SEEDS)
    assert (mae[1] != mae[2]).all(), "both seeds gave the same network"
    for name, of_seeds in mae.iterrows():
        assert metrics[name]["mae"] == pytest.approx(of_seeds.mean(), abs=1e-3)
        assert metrics[name]["mae_std"] == pytest.approx(of_seeds.std(), abs=1e-3)
        assert metrics[name]["runs"] == len(SEEDS)
        assert metrics[name]["faces"] == table["face_id"].nunique()
    bands = json.loads((done / MEASURED / "bands.json").read_text())
    for name, own in bands.items():
        weighted = sum(b["mae"] * b["faces"] for b in own.values()) / metrics[name]["faces"]
        assert weighted == pytest.approx(metrics[name]["mae"], abs=1e-3)


def test_the_std_is_that_of_the_distributions(done):
    crops, table = Crops(done / TEST), pd.read_parquet(done / PREDICTIONS)
    images = torch.from_numpy(np.stack([crops[row][12:-12, 12:-12] for row in range(len(crops))]))
    for name, seed in (("base", 1), ("kd-resnet8", 2)):
        network, _ = load_network(done / f"models/p2/{name}-{seed}.safetensors")
        with torch.inference_mode():
            std_deg = network.spec.std_deg(predict_probs(network, normalize(images)))
        own = table[(table["network"] == name) & (table["seed"] == seed)]
        assert own["face_id"].tolist() == crops.face_id
        assert own["group"].tolist() == crops.group
        np.testing.assert_allclose(own[STD_PYR], std_deg.numpy(), rtol=1e-3)
        assert (own[SPREAD_PYR] == 0).all(axis=None)
    of_ensembles = table[table["network"].isin(["ensemble", *PARTS])]
    assert (of_ensembles[SPREAD_PYR] > 0).all(axis=None)


@pytest.mark.parametrize(
    ("part", "alone"),
    [
        pytest.param("shifts", {"rotations_deg": [0.0], "flip": False}, id="shifts"),
        pytest.param("rotations", {"K": 0, "flip": False}, id="rotations"),
        pytest.param("flip", {"K": 0, "rotations_deg": [0.0]}, id="flip"),
    ],
)
def test_a_part_says_what_an_ensemble_of_that_kind_alone_would_say(done, tmp_path, part, alone):
    params = yaml.safe_load((done / "params.yaml").read_text())
    params["ensemble"] |= alone
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    predicted(done, tmp_path, params=tmp_path / "params.yaml")
    ours, only = (
        pd.read_parquet(path).set_index(["network", "seed", "face_id"])
        for path in (done / PREDICTIONS, tmp_path / "p/tests/p2-AFLW.parquet")
    )
    names = list(dict.fromkeys(only.index.get_level_values("network")))
    assert names == [name for name in NETWORKS if name not in PARTS], "one kind has no parts"
    of_part, of_only = ours.loc[f"ensemble-{part}"], only.loc["ensemble"]
    pd.testing.assert_frame_equal(of_part, of_only, atol=1e-3)
    others = [name for name in ("base", "ensemble", *PARTS) if name != f"ensemble-{part}"]
    for name in others:
        apart = np.abs(ours.loc[name, PYR].to_numpy() - of_only[PYR].to_numpy())
        assert apart.max() > 0.02, f"{name} says the same"


def test_a_control_is_its_student_without_the_teacher(done):
    """The same shape, bins, faces and crops; what is recorded of the teacher lacks."""
    for seed in SEEDS:
        (control_net, alone), (student, taught) = (
            load_network(done / f"models/p2/{name}-resnet8-{seed}.safetensors")
            for name in ("control", "kd")
        )
        assert control_net.spec == student.spec
        of_teacher = {"base_sha256", "targets_sha256", "K", "d"}
        assert taught["provenance"].keys() - alone["provenance"].keys() == of_teacher
        assert {k: taught["provenance"][k] for k in alone["provenance"]} == alone["provenance"]
        weights = (net.state_dict()["head_net.yaw.weight"] for net in (control_net, student))
        assert not torch.equal(*weights), "the teacher changed nothing"


def test_without_the_teachers_loss_a_student_is_its_control(done, tmp_path, monkeypatch):
    """All else is the same, bit by bit."""
    params = {"params": done / "params.yaml", "backbone": "resnet8", "seed": 1}
    files = StudentFiles(done / TRAIN, NONE, tmp_path / "w", tmp_path / "n", tmp_path / "h.csv")

    def labels_alone(logits, probs, pyr_deg, spec, weight, std_deg):
        return cross_entropy(logits, pyr_deg, spec, std_deg)

    monkeypatch.setattr("hpe_core.training.tasks.distillation_loss", labels_alone)
    distill.main(**params, targets=done / "targets/p2-1.h5", files=files)
    found, _ = load_network(tmp_path / "n")
    expected, _ = load_network(done / "models/p2/control-resnet8-1.safetensors")
    for name, tensor in expected.state_dict().items():
        assert torch.equal(found.state_dict()[name], tensor), name


def test_what_is_said_of_the_uncertainty_is_that_of_the_predictions(done):
    """With every std times its network's factor."""
    table = pd.read_parquet(done / PREDICTIONS)
    factors = pd.read_csv(done / FACTORS).set_index(["network", "seed"])
    table[STD_PYR] *= factors.loc[pd.MultiIndex.from_frame(table[["network", "seed"]])].to_numpy()
    found = json.loads((done / MEASURED / "uncertainty.json").read_text())
    metrics = json.loads((done / MEASURED / "errors.json").read_text())
    limits = json.loads((done / MEASURED / "intervals.json").read_text())
    pairs = pd.read_csv(done / MEASURED / "comparisons.csv").set_index(["a", "b"])
    curves = pd.read_csv(done / MEASURED / "risk.csv").set_index(["network", "percent"])
    for name, of_network in found.items():
        runs = [run for _, run in table[table["network"] == name].groupby("seed")]
        covered = [std_coverage(absolute_error_deg(r[PYR], r[TRUE_PYR]), r[STD_PYR]) for r in runs]
        expected = np.mean(covered, axis=0)
        stated = [of_network["std"]["coverage"][angle] for angle in PYR]
        np.testing.assert_allclose(stated, expected, atol=1e-3)
        assert of_network["std"]["calibrated"] is True
        low, high = limits[name]["mae"]
        assert low <= metrics[name]["mae"] <= high
        assert curves.loc[(name, 100), "mae"] == pytest.approx(metrics[name]["mae"], abs=1e-3)
    assert list(pairs.index) == list(combinations(NETWORKS, 2))
    for other in ("base", "control-resnet8"):
        difference = metrics[other]["mae"] - metrics["kd-resnet8"]["mae"]
        found = pairs.loc[(other, "kd-resnet8"), "difference"]
        assert found == pytest.approx(difference, abs=1e-3)


def test_validation_measures_the_held_out_faces(done):
    counts = json.loads((done / "metrics/protocols/p2/set.json").read_text())
    found = json.loads((done / "metrics/protocols/p2/validation.json").read_text())
    assert list(found) == sorted(NETWORKS)
    assert {own["faces"] for own in found.values()} == {counts["validation"]}
    assert {"pitch", "yaw", "roll", "mae", "mae_std"} <= set(found["base"])
    crops = Crops(done / TRAIN)
    rows = np.flatnonzero(crops.validation)
    images = torch.from_numpy(np.stack([crops[int(row)][12:-12, 12:-12] for row in rows]))
    maes = []
    for seed in SEEDS:
        network, _ = load_network(done / f"models/p2/kd-resnet8-{seed}.safetensors")
        with torch.inference_mode():
            angles = network.spec.expectation(predict_probs(network, normalize(images)))
        maes.append(absolute_error_deg(angles, crops.pyr_deg[rows]).mean())
    assert found["kd-resnet8"]["mae"] == pytest.approx(np.mean(maes), abs=2e-3)


def test_without_validation_faces_nothing_is_calibrated(done, tmp_path):
    import h5py

    crops, models = tmp_path / "crops", tmp_path / "models"
    shutil.copytree(done / "crops/p2", crops)
    shutil.copytree(done / "models/p2", models)
    with h5py.File(crops / "train.h5", "r+") as file:
        file["validation"][:] = False
    for seed in SEEDS:
        trained = ("base", "control-resnet8", "kd-resnet8")
        base, alone, student = (models / f"{name}-{seed}.safetensors" for name in trained)
        for path in (base, alone):
            resaved(path, crops_sha256=sha256(crops / "train.h5"))
        resaved(student, crops_sha256=sha256(crops / "train.h5"), base_sha256=sha256(base))
    predicted(done, tmp_path, crops=crops, networks=models)
    validate.main(
        predictions=tmp_path / "p/validation.parquet", metrics=tmp_path / "v.json",
        calibration=tmp_path / "c.csv",
    )  # fmt: skip
    assert json.loads((tmp_path / "v.json").read_text()) == {}
    test_crops, base = crops / "tests/p2-AFLW.h5", models / "base-1.safetensors"
    sweep.main(
        params=done / "params.yaml", crops=test_crops, network=base, work=tmp_path / "work",
        sweep=tmp_path / "s.h5",
    )  # fmt: skip
    given = {"calibration": tmp_path / "c.csv", "sweep": tmp_path / "s.h5"}
    evaluate.main(**evaluated(done, tmp_path / "p", **given), metrics=tmp_path)
    raw = pd.read_parquet(tmp_path / "p/tests/p2-AFLW.parquet")
    for name, found in json.loads((tmp_path / "uncertainty.json").read_text()).items():
        assert not found["std"]["calibrated"]
        runs = [run for _, run in raw[raw["network"] == name].groupby("seed")]
        covered = [std_coverage(absolute_error_deg(r[PYR], r[TRUE_PYR]), r[STD_PYR]) for r in runs]
        stated = [found["std"]["coverage"][angle] for angle in PYR]
        np.testing.assert_allclose(stated, np.mean(covered, axis=0), atol=1e-3)


def test_the_sweep_holds_the_base_network(done):
    """The cell K = 0 on the sampled faces is the base network's prediction of those faces."""
    swept = read_sweep(done / "sweep.h5", {})
    face_ids, offsets, angles = swept.face_id, swept.offsets, swept.angles_deg
    table = pd.read_parquet(done / PREDICTIONS)
    base = (
        table[(table["network"] == "base") & (table["seed"] == 1)]
        .set_index("face_id")
        .loc[face_ids]
    )
    centre = int(np.flatnonzero((offsets == 0).all(1))[0])
    np.testing.assert_allclose(angles[:, centre], base[["pitch", "yaw", "roll"]], atol=1e-3)
    cells = pd.read_csv(done / MEASURED / "cells.csv")
    assert len(cells) == 8 * 7
    assert set(cells["faces"]) == {5}


def test_jitter_without_a_change_is_the_evaluation_of_the_same_faces(done):
    jittered = pd.read_csv(done / MEASURED / "jitter.csv")
    table = pd.read_parquet(done / PREDICTIONS)
    ids = table["face_id"].unique()
    drawn = np.random.default_rng(3).choice(len(ids), 5, replace=False)  # as in params.yaml
    errors = sum((table[a] - table[f"true_{a}"]).abs() for a in ("pitch", "yaw", "roll")) / 3
    on_sample = table["face_id"].isin(ids[drawn])
    expected = errors[on_sample].groupby(table["network"]).mean()
    assert (expected - errors.groupby(table["network"]).mean()).abs().min() > 0.01
    for kind in ("shift", "scale"):
        plain = jittered[(jittered["kind"] == kind) & (jittered["level"] == (kind == "scale"))]
        assert plain["network"].tolist() == [name for name in NETWORKS if name not in PARTS]
        assert set(plain["direction"]) == {"none"}
        assert set(plain["faces"]) == {5}
        np.testing.assert_allclose(plain["mae"], expected[plain["network"]], atol=1e-3)


def test_a_box_moved_by_a_pixel_is_an_offset_of_the_sweep(done):
    """The sweep has the base network of the first seed, on the same five faces."""
    table = pd.read_parquet(done / JITTERED)
    moved = table[(table["network"] == "base") & (table["seed"] == 1)].query("kind == 'shift'")
    moved = moved.set_index(["direction", "level", "face_id"])[PYR]
    swept = read_sweep(done / "sweep.h5", {})
    face_ids, offsets, angles = swept.face_id, swept.offsets, swept.angles_deg
    pixel = 7  # of 224, one of 32
    steps = {"left": (-pixel, 0), "right": (pixel, 0), "up": (0, -pixel), "down": (0, pixel)}
    for direction, offset in steps.items():
        (window,) = np.flatnonzero((offsets == offset).all(1))
        found = moved.loc[direction, 1 / 32].loc[face_ids]
        np.testing.assert_allclose(found, angles[:, window], atol=1e-3, err_msg=direction)


def test_verify_accepts_what_was_cached(done, capsys):
    verify.main(
        crops=done / TRAIN, network=done / "models/p2/base-1.safetensors",
        targets=done / "targets/p2-1.h5", rows=8, seed=0,
    )  # fmt: skip
    assert "8 of" in capsys.readouterr().out


def test_verify_notices_targets_of_another_network(done, tmp_path):
    base, metadata = load_network(done / "models/p2/base-1.safetensors")
    changed = tmp_path / "base.safetensors"
    with torch.no_grad():
        base.state_dict()["head_nets.0.yaw.bias"].add_(torch.linspace(0, 5, 198))
    save_network(base, changed, "resnet8", (32, 32), metadata["provenance"])
    arguments = {"crops": done / TRAIN, "network": changed, "rows": 8, "seed": 0}
    with pytest.raises(InputError, match="made with base_sha256"):
        verify.main(**arguments, targets=done / "targets/p2-1.h5")
    # the same, but the file claims to come from the changed network
    import h5py

    forged = shutil.copy(done / "targets/p2-1.h5", tmp_path / "targets.h5")
    with h5py.File(forged, "r+") as file:
        file.attrs["base_sha256"] = sha256(changed)
    with pytest.raises(InputError, match="differs by"):
        verify.main(**arguments, targets=forged)


def test_targets_say_what_they_were_computed_from(done):
    origin = Targets(done / "targets/p2-1.h5").origin
    # 9 offsets, each at 3 rotations, and flipped
    assert (origin.K, origin.d, origin.S, origin.n_bins) == (5, 5, 54, 198)
    assert (origin.rotations_deg, origin.flip) == ([-10.0, 0.0, 10.0], True)
    assert (origin.views, origin.rotate_deg) == (2, 15.0)


@pytest.mark.parametrize(
    ("section", "key", "value", "message"),
    [
        pytest.param("ensemble", "K", 10, "made with K = 5, but 10 is expected", id="ensemble"),
        pytest.param("distill", "views", 3, "made with views = 2, but 3 is expected", id="views"),
    ],
)
def test_distill_refuses_other_targets(done, tmp_path, section, key, value, message):
    params = yaml.safe_load((done / "params.yaml").read_text())
    params[section][key] = value
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    with pytest.raises(InputError, match=message):
        distill.main(
            params=tmp_path / "params.yaml", backbone="resnet8", seed=1,
            targets=done / "targets/p2-1.h5",
            files=StudentFiles(
                done / TRAIN, NONE, tmp_path / "work", tmp_path / "n", tmp_path / "h"
            ),
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
        run = {"params": tmp_path / "params.yaml", "seed": 1}
        places = StudentFiles(
            done / TRAIN, NONE, tmp_path / "work", tmp_path / "n", tmp_path / "h.csv"
        )
        if stage == "base":
            train_base.main(**run, **vars(places))
        else:
            targets = done / "targets/p2-1.h5"
            distill.main(**run, backbone="resnet8", targets=targets, files=places)
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
        predictions=tmp_path / "p.parquet",
    )  # fmt: skip
    evaluate_imported.main(
        params=tmp_path / "params.yaml", predictions=tmp_path / "p.parquet",
        metrics=tmp_path / "m.json",
    )  # fmt: skip
    foreign = json.loads((tmp_path / "m.json").read_text())
    as_project(done, tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")
    words = ["../kd.pth", "--test", "p2-AFLW", "--backbone", "resnet8", "--size", 32, "--crop"]
    said = json.loads(hpe_evaluate(*words, rule, "--format", "json"))
    assert {name: said[name] for name in foreign} == foreign
    table = pd.read_parquet(done / PREDICTIONS)
    ours = table[(table["network"] == "kd-resnet8") & (table["seed"] == 1)]
    metrics = summary(ours[PYR], ours[TRUE_PYR])
    assert foreign["faces"] == metrics["faces"]
    measured = ("pitch", "yaw", "roll", "mae", "geodesic", "aligned")
    same = [foreign[name] == pytest.approx(metrics[name], abs=2e-3) for name in measured]
    assert all(same) == (rule == "enlarged")


def test_a_base_network_has_no_published_form(done, tmp_path):
    with pytest.raises(InputError, match="holds students only"):
        export.main(network=done / "models/p2/base-1.safetensors", output=tmp_path / "x.pth")


def recoded(crops: Crops, rows: np.ndarray, path: Path, codec: str) -> None:
    """A file of these faces, in that order, with their pixels encoded otherwise."""
    crop_format = replace(crops.format, codec=codec)
    faces = pd.DataFrame(crops.pyr_deg, columns=PYR).assign(
        face_id=crops.face_id, group=crops.group, order=crops.order, validation=crops.validation
    )
    pixels = (encode(crops[row], crop_format) for row in rows)
    write_crops(path, faces.iloc[rows], pixels, crop_format, crops.origin)


def one_batch(params: dict, crops: Crops, path: Path) -> None:
    params["compute"]["infer_batch"] = 3


def other_order(params: dict, crops: Crops, path: Path) -> None:
    recoded(crops, np.arange(len(crops))[::-1], path, "raw")


def as_png(params: dict, crops: Crops, path: Path) -> None:
    recoded(crops, np.arange(len(crops)), path, "png")


def as_jpeg(params: dict, crops: Crops, path: Path) -> None:
    recoded(crops, np.arange(len(crops)), path, "jpeg")


@pytest.mark.parametrize(
    ("change", "at_most"),
    [(one_batch, 1e-3), (other_order, 1e-3), (as_png, 1e-3), (as_jpeg, 0.05)],  # degrees
)
def test_no_metric_depends_on(done, tmp_path, change, at_most):
    """What changes no number; jpeg's bound is that of docs/integrity.md for crops of 32 pixels."""
    params = yaml.safe_load((done / "params.yaml").read_text())
    crops = shutil.copytree(done / "crops/p2", tmp_path / "crops")
    shown = crops / "tests/p2-AFLW.h5"
    change(params, Crops(done / TEST), shown)
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(params))
    predicted(done, tmp_path, crops=crops, params=path)
    sweep.main(
        params=path, crops=shown, network=done / "models/p2/base-1.safetensors",
        work=tmp_path / "work", sweep=tmp_path / "s.h5",
    )  # fmt: skip
    evaluate.main(**evaluated(done, tmp_path / "p", sweep=tmp_path / "s.h5"), metrics=tmp_path)
    ours = json.loads((tmp_path / "errors.json").read_text())
    expected = json.loads((done / MEASURED / "errors.json").read_text())
    assert list(ours) == list(expected)
    for name in expected:
        assert ours[name]["mae"] == pytest.approx(expected[name]["mae"], abs=at_most)


def predicted(done: Path, folder: Path, **elsewhere: Path) -> None:
    """What the networks say, in `folder`/p."""
    given = {
        "params": done / "params.yaml", "crops": done / "crops/p2", "networks": done / "models/p2",
    }  # fmt: skip
    out = {"work": folder / "work", "predictions": folder / "p"}
    predict.main(protocol="p2", **given | elsewhere, **out)


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
        (
            other_protocol,
            r"base-2\.safetensors: made with crops_sha256 = 'ccc.* that of .*train\.h5",
        ),
        (
            other_boxes,
            r"base-1\.safetensors: made with scale = 1\.5, but 1\.0 is expected, as .*h5",
        ),
        (other_size, r"base-1\.safetensors: made with height = 64, but 32 is expected, as .*h5"),
    ],
)


@STRANGERS
def test_networks_that_do_not_belong_together_are_refused(done, tmp_path, swap, message):
    models = tmp_path / "models"
    shutil.copytree(done / "models/p2", models)
    swap(models)
    with pytest.raises(InputError, match=message):
        predicted(done, tmp_path, networks=models)
    assert not (tmp_path / "p").exists()


def test_crops_of_another_protocol_are_refused(done, tmp_path):
    params, base = done / "params.yaml", done / "models/p2/base-1.safetensors"
    crops = shutil.copytree(done / "crops/p2", tmp_path / "crops") / "train.h5"
    as_png({}, Crops(done / TRAIN), crops)
    message = r"base-1.*: made with crops_sha256 = .* that of .*train\.h5"
    with pytest.raises(InputError, match=message):
        predicted(done, tmp_path, crops=tmp_path / "crops")
    with pytest.raises(InputError, match=message):
        ensemble.main(
            params=params, crops=crops, seed=1, network=base, work=tmp_path / "w",
            targets=tmp_path / "t.h5",
        )  # fmt: skip
    resaved_base = tmp_path / "b.safetensors"
    shutil.copy(base, resaved_base)
    resaved(resaved_base, crop={})
    with pytest.raises(InputError, match=r"b\.safetensors: made with .* = None"):
        sweep.main(
            params=params, crops=done / TEST, network=resaved_base,
            work=tmp_path / "w", sweep=tmp_path / "s.h5",
        )  # fmt: skip


def test_a_network_that_answers_nan_teaches_nobody(done, tmp_path):
    path = done / "models/p2/base-1.safetensors"
    network, metadata = load_network(path)
    with torch.no_grad():
        for parameter in network.parameters():  # finite, as a step too far leaves them
            parameter.fill_(1e30)
    save_network(network, tmp_path / "b.safetensors", "resnet8", (32, 32), metadata["provenance"])
    with pytest.raises(InputError, match=r"train\.h5: a network's probabilities are not finite"):
        ensemble.main(
            params=done / "params.yaml", crops=done / TRAIN, seed=1,
            network=tmp_path / "b.safetensors", work=tmp_path / "w", targets=tmp_path / "t.h5",
        )  # fmt: skip
    assert not (tmp_path / "t.h5").exists()


def test_an_error_inside_a_loader_is_no_death(done, tmp_path, monkeypatch):
    """torch raises it again in the main process, and says where it was caught."""
    words = "Caught RuntimeError in DataLoader worker process 0.\nOriginal Traceback …"

    def fit(*_: object) -> None:
        raise RuntimeError(words)

    monkeypatch.setattr("hpe_core.training.run.fit", fit)
    with pytest.raises(RuntimeError, match="Caught RuntimeError in DataLoader"):
        train_base.main(
            params=done / "params.yaml", crops=done / TRAIN, seed=1, weights=NONE,
            work=tmp_path / "w", network=tmp_path / "n.safetensors", history=tmp_path / "h.csv",
        )  # fmt: skip


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed."),
        ConnectionResetError(104, "Connection reset by peer"),
        EOFError(),
    ],
    ids=["before", "while it hands over", "likewise"],
)
@pytest.mark.parametrize(
    ("shared_mb", "advice"),
    [
        (64, r"/dev/shm, .* holds 64 MB: start the container with --shm-size=2g"),
        (16_000, "if memory ran out, lower compute.workers"),
    ],
)
def test_a_loader_that_dies_is_named(done, tmp_path, monkeypatch, error, shared_mb, advice):
    def fit(*_: object) -> None:
        raise error

    usage = SimpleNamespace(total=shared_mb * 2**20)
    monkeypatch.setattr("hpe_core.training.run.disk_usage", lambda path: usage)
    monkeypatch.setattr("hpe_core.training.run.fit", fit)
    named = rf"train\.h5: a process that prepares training views has died; .*{advice}"
    with pytest.raises(ChildProcessError, match=named):
        train_base.main(
            params=done / "params.yaml", crops=done / TRAIN, seed=1, weights=NONE,
            work=tmp_path / "w", network=tmp_path / "n.safetensors", history=tmp_path / "h.csv",
        )  # fmt: skip


def test_a_sweep_of_other_crops_is_refused(done, tmp_path):
    as_png({}, Crops(done / TEST), tmp_path / "c.h5")
    sweep.main(
        params=done / "params.yaml", crops=tmp_path / "c.h5", work=tmp_path / "w",
        network=done / "models/p2/base-1.safetensors", sweep=tmp_path / "s.h5",
    )  # fmt: skip
    with pytest.raises(InputError, match=r"s\.h5: made with crops_sha256 = "):
        evaluate.main(**evaluated(done, sweep=tmp_path / "s.h5"), metrics=tmp_path / "m")
    assert not (tmp_path / "m").exists(), "checked too late"


def test_a_sweep_of_another_network_is_refused(done, tmp_path):
    sweep.main(
        params=done / "params.yaml", crops=done / TEST, work=tmp_path / "w",
        network=done / "models/p2/base-2.safetensors", sweep=tmp_path / "s.h5",
    )  # fmt: skip
    with pytest.raises(InputError, match=r"s\.h5: made with base_sha256 = "):
        evaluate.main(**evaluated(done, sweep=tmp_path / "s.h5"), metrics=tmp_path / "m")


def test_predictions_of_other_networks_are_not_measured_together(done, tmp_path):
    table = read_table(done / JITTERED)
    table.attrs["networks_sha256"] = {"kd-resnet8-1.safetensors": "of another training"}
    write_table(table, tmp_path / "j.parquet")
    with pytest.raises(InputError, match=r"j\.parquet: made with networks_sha256 = .*another"):
        evaluate.main(**evaluated(done, jittered=tmp_path / "j.parquet"), metrics=tmp_path / "m")
    assert not (tmp_path / "m").exists()


def test_the_tables_name_their_corpora(done):
    for path in sorted((done / "tables").glob("*.md")):
        assert "demo corpora (rendered)" in path.read_text(), path.name


def test_networks_are_loadable_and_know_their_input(done):
    network, metadata = load_network(done / "models/p2/kd-resnet8-1.safetensors")
    assert metadata["size_hw"] == [32, 32]
    assert not network.training
    assert metadata["provenance"]["K"] == 5


@pytest.mark.parametrize("network", ["base", "kd-resnet8"])
def test_the_predictor_says_what_the_evaluation_said(done, corpora, network):
    """From the image files on: the same boxes, crops, angles and standard deviations."""
    table = pd.read_parquet(done / PREDICTIONS).set_index(["network", "seed", "face_id"])
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
        np.testing.assert_allclose(own.std_deg, row[STD_PYR].astype(float), rtol=0.01)


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
    table = pd.read_parquet(done / PREDICTIONS)
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
    counts = json.loads((done / "metrics/corpora/AFLW/faces.json").read_text())["dropped"]
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
    counts = json.loads((done / "metrics/corpora/AFLW/faces.json").read_text())
    only_there = ("excluded_by_split", "box_too_small")
    more = sum(counts["dropped"][rule] for rule in only_there)
    assert said["faces"] == len(own) == len(faces) + more
    boxes = faces[["det_x1", "det_y1", "det_x2", "det_y2"]]
    found = own.loc[faces["face_id"], ["x1", "y1", "x2", "y2"]]
    np.testing.assert_allclose(found, boxes, atol=1e-4)
    table = pd.read_parquet(done / PREDICTIONS)
    tested = table[(table["network"] == "kd-resnet8") & (table["seed"] == 1)]
    np.testing.assert_allclose(own.loc[tested["face_id"], PYR], tested[PYR], atol=3e-4)
    lost = said["not_evaluated"]
    assert sum(lost.values()) == counts["before"] - said["faces"]
    assert lost["unreadable"] == counts["dropped"]["unreadable"] > 0
    assert rows["why"].value_counts().to_dict() == lost


def launched(processes: int, stage: str, log: Path, **arguments: object) -> None:
    """A stage as torchrun starts it: `HPE_LAUNCH="torchrun …" dvc repro` does the same."""
    words = [f"--{name.replace('_', '-')}={value}" for name, value in arguments.items()]
    children = start_ranks(processes, f"pipeline.{stage}", words, log)
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0] * processes, log.read_text()[-3000:]


def left_of(work: Path) -> list[str]:
    """What lies in the folder of unfinished work, by suffix."""
    return [path.suffix for path in work.iterdir()]


def test_two_processes_detect_the_same_bytes(done, corpora, tmp_path):
    launched(
        2, "redetect", tmp_path / "log", params=done / "params.yaml", dataset="AFLW",
        source=DETECTOR,
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
        pytest.param("ensemble", TRAIN, "targets", {"seed": 1}, id="ensemble"),
        pytest.param("sweep", TEST, "sweep", {}, id="sweep"),
    ],
)
def test_two_processes_write_the_same_bytes(done, tmp_path, stage, crops, output, more):
    """As one process of the stage: inside pytest, memory lies otherwise, and so may last bits."""
    outputs = {processes: tmp_path / f"{processes}.h5" for processes in (1, 2)}
    for processes, path in outputs.items():
        launched(
            processes, stage, tmp_path / "log", params=done / "params.yaml",
            crops=done / crops, network=done / "models/p2/base-1.safetensors",
            work=tmp_path / "work", **{output: path}, **more,
        )  # fmt: skip
    assert outputs[2].read_bytes() == outputs[1].read_bytes()
    assert set(left_of(tmp_path / "work")) == {".lock"}, "shards were left behind"


def test_two_processes_predict_the_same(done, tmp_path):
    launched(
        2, "predict", tmp_path / "log", params=done / "params.yaml", protocol="p2",
        crops=done / "crops/p2", networks=done / "models/p2", work=tmp_path / "work",
        predictions=tmp_path / "p",
    )  # fmt: skip
    expected = done / "predictions/p2"
    tables = sorted(path.relative_to(expected) for path in expected.rglob("*.parquet"))
    assert len(tables) == 3
    for name in tables:
        found, own = read_table(tmp_path / "p" / name), read_table(expected / name)
        pd.testing.assert_frame_equal(found, own, atol=1e-3)
        assert found.attrs == own.attrs
    alone, own = (Targets(folder / "training.h5") for folder in (tmp_path / "p", expected))
    assert alone.origin == own.origin
    np.testing.assert_allclose(alone.pyr_deg, own.pyr_deg, atol=1e-3)
    assert left_of(tmp_path / "work") == [".lock"], "shards were left behind"


def test_two_processes_train_the_same_network(done, tmp_path):
    """Equal but for rounding, which Adam makes larger: at a small rate the angles show none of it.

    At the profile's rate two threads of one process differ by as much as two processes, 0.1 %.
    """
    params = yaml.safe_load((done / "params.yaml").read_text())
    params["base"]["lr"] = 1.0e-4
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    crops = Crops(done / TRAIN)
    images = torch.from_numpy(np.stack([crops[row][12:-12, 12:-12] for row in range(len(crops))]))
    histories, angles = [], []
    for processes in (1, 2):
        network, history = tmp_path / f"{processes}.safetensors", tmp_path / f"{processes}.csv"
        launched(
            processes, "train_base", tmp_path / "log", params=tmp_path / "params.yaml",
            weights=NONE, work=tmp_path / "work",
            crops=done / TRAIN, network=network, history=history, seed=1,
        )  # fmt: skip
        histories.append(pd.read_csv(history))
        net, _ = load_network(network)
        with torch.inference_mode():
            angles.append(net.spec.expectation(predict_probs(net, normalize(images))))
    np.testing.assert_allclose(histories[1], histories[0], rtol=1e-4)
    torch.testing.assert_close(angles[1], angles[0], rtol=0, atol=0.02)
