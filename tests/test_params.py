"""params.yaml: every shipped file is valid, every wrong value is named."""

from pathlib import Path
from typing import get_args

import pytest
import torch
import yaml

from hpe_core.errors import InputError
from hpe_core.networks import BACKBONES
from hpe_core.params.check import validate_file
from hpe_core.params.faces import Crop
from hpe_core.params.learning import Base
from hpe_core.params.loading import Backbone, load, load_item
from pipeline import check
from pipeline._compute import start

ROOT = Path(__file__).parents[1]
SHIPPED = [ROOT / "params.yaml", *sorted((ROOT / "pipeline/profiles").glob("*.yaml"))]


@pytest.mark.parametrize("path", [pytest.param(p, id=p.stem) for p in SHIPPED])
def test_shipped_params_are_valid(path):
    validate_file(path)


def changed(tmp_path: Path, keys: str, value: object) -> Path:
    content = yaml.safe_load((ROOT / "params.yaml").read_text())
    *parents, last = keys.split(".")
    section = content
    for key in parents:
        section = section[key]
    if value is None:
        del section[last]
    else:
        section[last] = value
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        pytest.param("base.lr", "1e-4", r"base\.lr: .*number.*'1e-4'", id="number-as-text"),
        pytest.param("base.epochs", None, r"base\.epochs: Field required", id="missing-key"),
        pytest.param("base.epoch", 3, r"base\.epoch: Extra inputs.*found 3", id="unknown-key"),
        pytest.param("base.batch", 0, r"base\.batch: .*greater than 0.*found 0", id="zero"),
        pytest.param("base.batch", 1.5, r"base\.batch", id="fraction"),
        pytest.param("ensemble.d", 0, r"ensemble\.d", id="step-zero"),
        pytest.param("ensemble.K", 99, "crop.margin is 16; expected at least K = 99", id="K"),
        pytest.param("crop.codec", "webp", r"crop\.codec.*'webp'", id="codec"),
        pytest.param("crop.rule", "published", "no margin: expected 0, found 16", id="margin"),
        pytest.param("augment.flip_p", 1.5, r"augment\.flip_p", id="probability"),
        pytest.param(
            "protocols.p1.validation", 0.6, r"p1\.validation.*0\.5", id="too much held out"
        ),
        pytest.param("protocols.p1.train", "300W", "protocols.p1.train is '300W'", id="dataset"),
        pytest.param("tests.p1-BIWI.protocol", "p9", "'p9'; expected one of", id="protocol"),
        pytest.param("datasets.AFLW.reader", "COCO", r"datasets\.AFLW\.reader.*COCO", id="reader"),
        pytest.param("base.backbone", "resnet9", r"base\.backbone.*'resnet9'", id="backbone"),
        pytest.param("students", ["r8"], r"students\.0: .*'r8'", id="student's"),
        pytest.param("students", ["resnet8"] * 2, "students: .*different", id="one student twice"),
        pytest.param("seeds", [], r"seeds: .*at least 1", id="no seed"),
        pytest.param("seeds", [1, 2, 1], r"seeds: .*different.*\[1, 2, 1\]", id="one seed twice"),
        pytest.param("seeds", [-1], r"seeds\.0: .*greater than or equal to 0", id="negative seed"),
        pytest.param("seeds", ["1"], r"seeds\.0: .*integer.*'1'", id="seed-as-text"),
        pytest.param("seeds", 1, r"seeds: .*list", id="seed-alone"),
        pytest.param("tests.p3-BIWI.where", {"vidoe": ["06"]}, r"where.*'vidoe'", id="column"),
        pytest.param("tests.p3-BIWI.where", {"video": []}, r"where.*at least 1", id="no-value"),
        pytest.param("leaks.strict", "no", r"leaks\.strict: .*boolean.*'no'", id="no boolean"),
        pytest.param("bas", {}, r"unknown sections \['bas'\]", id="unknown-section"),
        pytest.param(
            "ensemble",
            {"K": 10, "d": 1, "turns_deg": [-45, 0], "flip": True, "precision": "32-true"},
            r"turns_deg is \[-45\.0, 0\.0\], of views turned by 0°, .* of 21 with K = 10, but crop",
            id="a turn past the margin",
        ),
        pytest.param(
            "jitter.shifts",
            [0.1, 0.55],
            r"jitter\.shifts has 0\.55, .* of 18, but crop\.margin is 16",
            id="a shift past the margin",
        ),
        pytest.param(
            "jitter.scales",
            [0.5, 2.2],
            r"jitter\.scales has 2\.2, .* of 19, but crop\.margin is 16",
            id="a scale past the margin",
        ),
        pytest.param("jitter.shifts", [0.1, 0.05], r"shifts: .*ascending", id="shifts fall"),
        pytest.param("jitter.shifts", [0.0, 0.1], r"shifts\.0: .*greater than 0", id="shift by 0"),
        pytest.param("jitter.shifts", [1.0], r"shifts\.0: .*less than 1", id="shift by a side"),
        pytest.param("jitter.scales", [0.9, 1.0], r"scales\.1: .*another factor", id="factor 1"),
        pytest.param("jitter.scales", [float("inf")], r"scales\.0: .*finite", id="no number"),
        pytest.param("jitter.scales", [], r"jitter\.scales: .*at least 1", id="no scale"),
        pytest.param("jitter.max_faces", 0, r"jitter\.max_faces: .*greater than 0", id="no face"),
        pytest.param("sweep", None, "no section 'sweep'", id="missing-section"),
    ],
)
def test_wrong_values_are_named(tmp_path, keys, value, message):
    with pytest.raises(InputError, match=message):
        validate_file(changed(tmp_path, keys, value))


def test_a_corpus_that_is_not_there_says_where_it_was_looked_for_and_how_to_get_it(tmp_path):
    path = changed(tmp_path, "data.root", str(tmp_path / "corpora"))
    with pytest.raises(InputError, match=f"looked for .*{tmp_path}/corpora.*3DDFA"):
        check.main(params=path, checked=tmp_path / "checked")
    assert not (tmp_path / "checked").exists()


@pytest.mark.parametrize("section", ["base", "distill"])
def test_weights_that_are_not_there_are_named_before_anything_runs(tmp_path, section):
    path = changed(tmp_path, f"{section}.weights", "data/pretrained/IMAGENET1K_V9")
    with pytest.raises(InputError, match="IMAGENET1K_V9.*no such file"):
        check.main(params=path, checked=tmp_path / "checked")


def test_a_device_that_is_not_there_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match="device is 'cuda', but torch finds none"):
        start(changed(tmp_path, "compute.device", "cuda"), "32-true")


def test_every_backbone_can_be_asked_for():
    assert get_args(Backbone) == tuple(BACKBONES)


def test_params_are_frozen():
    crop = load(ROOT / "params.yaml", "crop", Crop)
    with pytest.raises(ValueError, match="frozen"):
        crop.margin = 3


def test_an_unknown_entry_names_those_there_are():
    with pytest.raises(InputError, match=r"no protocols\.p7; found \['p1', 'p2', 'p3'\]"):
        load_item(ROOT / "params.yaml", "protocols", "p7", Base)


@pytest.mark.parametrize("text", ["a: [", "- 1"], ids=["broken-yaml", "a-list"])
def test_a_file_that_is_no_params_file(tmp_path, text):
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(InputError, match="params.yaml"):
        load(tmp_path / "params.yaml", "base", Base)
