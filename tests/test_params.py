"""params.yaml: every shipped file is valid, every wrong value is named."""

from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import get_args

import pytest
import torch
import yaml
from torchvision import models

from hpe_core.common.errors import InputError
from hpe_core.common.settings import PRETRAINED, Backbone, load, load_item
from hpe_core.crops.settings import CropFormat, CropSettings
from hpe_core.networks.model import BACKBONES
from hpe_core.params import validate_file
from hpe_core.training.settings import Base
from hpe_core.work.device import start
from pipeline import check

ROOT = Path(__file__).parents[1]
SHIPPED = [ROOT / "params.yaml", *sorted((ROOT / "pipeline/profiles").glob("*.yaml"))]


@pytest.mark.parametrize("path", [pytest.param(p, id=p.stem) for p in SHIPPED])
def test_shipped_params_are_valid(path):
    validate_file(path)


def changed(tmp_path: Path, keys: str, value: object, **others: object) -> Path:
    """Without the key if the value is None; others: more keys, with __ for the dot."""
    content = yaml.safe_load((ROOT / "params.yaml").read_text())
    more = {name.replace("__", "."): other for name, other in others.items()}
    for each, new in ({keys: value} | more).items():
        *parents, last = each.split(".")
        section = content
        for key in parents:
            section = section[key]
        if new is None:
            del section[last]
        else:
            section[last] = new
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
        pytest.param("ensemble.K", 112, r"ensemble\.K: .*less than 112; found 112", id="half"),
        pytest.param("sweep.K_max", 200, r"sweep\.K_max: .*less than 112", id="a whole box"),
        pytest.param("ensemble.K", -1, r"ensemble\.K: .*or equal to 0; found -1", id="K"),
        pytest.param("crop.codec", "webp", r"crop\.codec.*'webp'", id="codec"),
        pytest.param(
            "crop.rule",
            "published",
            "sweep.K_max = 15 needs .* 5 pixels, found 0; with crop.rule published",
            id="no margin",
        ),
        pytest.param("crop.height", True, r"crop\.height: .*integer.*True", id="no-side"),
        pytest.param("crop.margin", -1, r"crop\.margin: .*or equal to 0; found -1", id="negative"),
        pytest.param("crop.widht", 3, r"crop\.widht: Extra inputs.*found 3", id="unknown-rule"),
        pytest.param("crop", [1], r"crop: .*; found \[1\]", id="no-mapping"),
        pytest.param("boxes.square", None, r"boxes\.square: Field required", id="missing-rule"),
        pytest.param("boxes.input_px", 100, r"input_px: .*multiple of 32; found 100", id="side"),
        pytest.param("boxes.nms_iou", "0.5", r"nms_iou: .*number.*'0\.5'", id="rule-as-text"),
        pytest.param("boxes.border", float("inf"), r"boxes\.border: .*finite", id="no-border"),
        pytest.param("augment.flip_p", 1.5, r"augment\.flip_p", id="probability"),
        pytest.param(
            "protocols.p1.validation", 0.6, r"p1\.validation.*0\.5", id="too much held out"
        ),
        pytest.param(
            "protocols.p1.train", {"300W": {}}, "protocols.p1.train is '300W'", id="dataset"
        ),
        pytest.param("protocols.p1.train", "300W_LP", r"p1\.train: .*'300W_LP'", id="no mapping"),
        pytest.param("protocols.p1.train", {}, r"p1\.train: .*at least 1", id="no corpus"),
        pytest.param(
            "protocols.p1.train",
            {"300W_LP": {}, "BIWI": {"video": ["01"]}},
            "faces of BIWI that tests.p1-BIWI contains",
            id="a test corpus",
        ),
        pytest.param("tests.p1-BIWI.protocol", "p9", "'p9'; expected one of", id="protocol"),
        pytest.param("datasets.AFLW.reader", "COCO", r"datasets\.AFLW\.reader.*COCO", id="reader"),
        pytest.param("base.backbone", "resnet9", r"base\.backbone.*'resnet9'", id="backbone"),
        pytest.param("students", ["r8"], r"students\.0: .*'r8'", id="student's"),
        pytest.param(
            "controls", ["resnet10"], r"controls is 'resnet10'.*\['resnet8'\]", id="control"
        ),
        pytest.param(
            "students", [], r"controls is 'resnet8'; expected one of \[\]", id="no student"
        ),
        pytest.param("controls", ["resnet9"], r"controls\.0: .*'resnet9'", id="unknown control"),
        pytest.param("controls", ["resnet8"] * 2, "controls: .*different", id="one control twice"),
        pytest.param("controls", None, "no section 'controls'", id="missing controls"),
        pytest.param("base.regression", "turns", r"base\.regression: .*'turns'", id="regression"),
        pytest.param("base.regression", None, r"regression: Field required", id="no regression"),
        pytest.param("distill.rotate_deg", None, r"rotate_deg: Field required", id="no rotation"),
        pytest.param("distill.rotate_deg", -1.0, r"distill\.rotate_deg: .*found -1", id="rotation"),
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


UPRIGHT = {
    "sweep__K_max": 0, "ensemble__K": 0, "jitter__shifts": [], "jitter__scales": [0.9],
    "augment__rotate_deg": 0.0, "augment__max_shift": 0.0, "augment__max_scale": 1.0,
}  # fmt: skip


@pytest.mark.parametrize(
    ("settings", "margin"),
    [
        pytest.param({}, 0, id="nothing"),
        pytest.param({"sweep__K_max": 15}, 5, id="K_max: 2.1 px and the filter"),
        pytest.param({"sweep__K_max": 15, "crop__width": 224, "crop__height": 224}, 15, id="224"),
        pytest.param({"ensemble__K": 35, "ensemble__d": 7}, 5, id="K, whole pixels"),
        pytest.param({"ensemble__K": 35, "ensemble__d": 5}, 7, id="K, fractions"),
        pytest.param({"augment__rotate_deg": 15.0}, 4, id="rotated training views"),
        pytest.param({"ensemble__rotations_deg": [0.0, 30.0]}, 6, id="the teacher's rotations"),
        pytest.param({"augment__rotate_deg": 30.0, "distill__views": 2}, 6, id="rotated views"),
        pytest.param({"distill__rotate_deg": 15.0}, 4, id="a student's own rotation"),
        pytest.param({"augment__max_shift": 0.25}, 8, id="moved training boxes"),
        pytest.param({"augment__max_scale": 1.5}, 8, id="larger training boxes"),
        pytest.param(
            {"augment__max_shift": 0.25, "augment__max_scale": 1.5, "augment__rotate_deg": 15.0},
            22,
            id="moved, larger and rotated",
        ),  # 8 + 1.5 (15.5 + 4) - 15.5 = 21.75
        pytest.param(
            {"augment__rotate_deg": 15.0, "distill__views": 2, "distill__rotate_deg": 15.0},
            6,
            id="upon its view's",
        ),  # as for 30°
        pytest.param({"jitter__shifts": [0.25]}, 8, id="shifted boxes"),
        pytest.param({"jitter__scales": [1.5]}, 8, id="larger boxes"),
        pytest.param({"jitter__shifts": [0.25], "sweep__K_max": 15}, 13, id="with windows"),
        pytest.param({"jitter__scales": [1.5], "sweep__K_max": 7}, 13, id="with larger windows"),
        pytest.param(
            {"jitter__shifts": [0.25], "ensemble__rotations_deg": [30.0]}, 14, id="and rotations"
        ),
    ],
)
def test_the_margin_is_derived_from_what_needs_it_most(tmp_path, settings, margin):
    crop = validate_file(changed(tmp_path, "crop.jpeg_quality", 95, **(UPRIGHT | settings)))
    assert crop.margin == margin
    given = settings | {"crop__margin": margin + 1}
    assert validate_file(changed(tmp_path, "seeds", [1], **(UPRIGHT | given))).margin == margin + 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"sweep__K_max": 15},
            r"sweep\.K_max = 15 needs .* 5 pixels, found 3; raise crop.margin",
        ),
        ({"ensemble__K": 28, "ensemble__d": 7}, r"ensemble\.K = 28 needs a margin of 4 pixels"),
        (
            {"ensemble__rotations_deg": [-45.0, 0.0], "ensemble__K": 7, "ensemble__d": 7},
            r"rotations_deg = \[-45\.0, 0\.0\], with K = 7 and views .* by up to 0°, needs .* of 8",
        ),
        ({"jitter__shifts": [0.1, 0.2]}, r"jitter\.shifts with 0\.2 needs a margin of 7 pixels"),
        ({"jitter__scales": [0.5, 1.3]}, r"jitter\.scales with 1\.3 needs a margin of 5 pixels"),
    ],
)
def test_a_given_margin_that_is_too_small_names_what_needs_more(tmp_path, settings, message):
    path = changed(tmp_path, "crop.margin", 3, **(UPRIGHT | settings))
    with pytest.raises(InputError, match=message):
        validate_file(path)


@pytest.mark.parametrize("degrees", [99.5, 120.0, 180.0])
def test_labels_beyond_the_bins_are_refused(tmp_path, degrees):
    path = changed(tmp_path, "filter.max_angle_deg", degrees)
    with pytest.raises(InputError, match=r"filter.max_angle_deg is .* bins of base.bins_deg .*99"):
        validate_file(path)
    validate_file(changed(tmp_path, "filter.max_angle_deg", 99.0))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        pytest.param(
            {"base.weights": "data/pretrained/IMAGENET1K_V1", "base__backbone": "resnet10"},
            r"base\.weights is .*V1', but .* for resnet10 \(base\.backbone\); .* \['none'\]",
            id="a base network that torchvision does not have",
        ),
        pytest.param(
            {
                "distill.weights": "data/pretrained/IMAGENET1K_V2",
                "students": ["resnet50", "resnet18"],
            }
            | {"controls": []},
            r"distill\.weights is .*V2'.* resnet18 \(students\[1\]\); .*'IMAGENET1K_V1'\]",
            id="a student without the newer weights",
        ),
        pytest.param(
            {"boxes.source": "detector", "boxes__path": "mine/boxes.csv"},
            r"boxes\.source is detector, but boxes\.path is 'mine/boxes\.csv'; expected an \.onnx",
            id="a table as a detector",
        ),
        pytest.param(
            {"boxes.source": "published", "boxes__path": "mine/net.onnx"},
            r"boxes\.source is published, but boxes\.path is 'mine/net\.onnx'; expected the publ",
            id="a network as published boxes",
        ),
        pytest.param(
            {"distill.views": 4, "augment__rotate_deg": 0.0},
            r"distill\.views is 4, but augment\.rotate_deg is 0: .* the same",
            id="views that do not differ",
        ),
        *(
            pytest.param(
                {f"{section}.precision": "16-mixed", "compute__device": "cpu"},
                rf"{section}\.precision is 16-mixed, but compute\.device is cpu",
                id=f"{section}: half floats without a GPU",
            )
            for section in ("base", "ensemble", "distill", "sweep", "evaluate")
        ),
    ],
)
def test_two_settings_that_do_not_fit_are_both_named(tmp_path, settings, message):
    (key, value), *others = settings.items()
    with pytest.raises(InputError, match=message):
        validate_file(changed(tmp_path, key, value, **dict(others)))


def test_settings_that_fit_are_accepted(tmp_path):
    named = "data/pretrained/IMAGENET1K_V1"
    validate_file(changed(tmp_path, "base.weights", named, base__backbone="resnet18"))
    validate_file(changed(tmp_path, "base.weights", "mine/IMAGENET1K_V1.pth"))
    validate_file(changed(tmp_path, "distill.views", 4, augment__rotate_deg=15.0))
    validate_file(changed(tmp_path, "base.precision", "16-mixed", compute__device="auto"))
    validate_file(changed(tmp_path, "base.precision", "bf16-mixed", compute__device="cpu"))


@pytest.mark.parametrize("backbone", get_args(Backbone))
def test_which_weights_there_are_is_what_torchvision_says(backbone):
    known = models.list_models()
    names = list(models.get_model_weights(backbone).__members__) if backbone in known else []
    assert sorted({*names} - {"DEFAULT"}) == list(PRETRAINED.get(backbone, ()))


@pytest.mark.parametrize("key", ["data.root", "boxes.path", "base.weights", "distill.weights"])
@pytest.mark.parametrize("sign", ['"', "$", "`", "\\", "\n"])
def test_a_path_that_a_shell_would_change_is_refused(tmp_path, key, sign):
    with pytest.raises(InputError, match=f"{key} is .*expected a path without"):
        validate_file(changed(tmp_path, key, f"a{sign}b"))
    ending = ".onnx" if key == "boxes.path" else ".pth"
    validate_file(changed(tmp_path, key, f"my corpora/it's (2), & more; *{ending}"))


def test_check_writes_how_crops_are_made(tmp_path):
    checked, crop_format = tmp_path / "checked", tmp_path / "crops/format.json"
    check.main(params=ROOT / "params.yaml", checked=checked, crop_format=crop_format)
    assert load(crop_format, "crop", CropFormat) == validate_file(ROOT / "params.yaml")


def test_a_corpus_that_is_not_there_says_where_it_was_looked_for_and_how_to_get_it(tmp_path):
    path = changed(tmp_path, "data.root", str(tmp_path / "corpora"))
    with pytest.raises(InputError, match=f"looked for .*{tmp_path}/corpora.*3DDFA"):
        check.main(params=path, checked=tmp_path / "checked", crop_format=tmp_path / "format.json")
    assert not (tmp_path / "checked").exists()


@pytest.mark.parametrize("section", ["base", "distill"])
def test_weights_that_are_not_there_are_named_before_anything_runs(tmp_path, section):
    path = changed(tmp_path, f"{section}.weights", "data/pretrained/mine.pth")
    with pytest.raises(InputError, match="mine.pth.*no such file"):
        check.main(params=path, checked=tmp_path / "checked", crop_format=tmp_path / "format.json")


def test_a_device_that_is_not_there_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match="device is 'cuda', but torch finds none"):
        start(changed(tmp_path, "compute.device", "cuda"), "32-true")


def test_every_backbone_can_be_asked_for():
    assert get_args(Backbone) == tuple(BACKBONES)


def test_params_are_frozen():
    base = load(ROOT / "params.yaml", "base", Base)
    with pytest.raises(ValueError, match="frozen"):
        base.batch = 3
    crop = load(ROOT / "params.yaml", "crop", CropSettings)
    with pytest.raises(FrozenInstanceError):
        crop.margin = 3


def test_an_unknown_entry_names_those_there_are():
    with pytest.raises(InputError, match=r"no protocols\.p7; found \['p1', 'p2', 'p3'\]"):
        load_item(ROOT / "params.yaml", "protocols", "p7", Base)


@pytest.mark.parametrize("text", ["a: [", "- 1"], ids=["broken-yaml", "a-list"])
def test_a_file_that_is_no_params_file(tmp_path, text):
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(InputError, match="params.yaml"):
        load(tmp_path / "params.yaml", "base", Base)
