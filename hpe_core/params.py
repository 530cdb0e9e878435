"""Checks a whole params file: every section, and that sections fit together."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from hpe_core.common.errors import InputError
from hpe_core.common.geometry import THETA_DEG
from hpe_core.common.settings import PRETRAINED, Name, read_yaml, section_of
from hpe_core.corpora.settings import Data, Dataset, Filter, Imported, Leaks, Protocol, Test
from hpe_core.crops.settings import CropFormat, CropSettings
from hpe_core.evaluation.settings import Evaluate, Jitter, Seeds, Students
from hpe_core.faces.settings import BoxRules
from hpe_core.prediction.jitter import box_jitters, margin_needed
from hpe_core.tables.settings import Tables
from hpe_core.teacher.offsets import offset_grid, reach_px, rotated_reach
from hpe_core.teacher.settings import Ensemble, Sweep
from hpe_core.training.settings import Augment, Base, Distill
from hpe_core.work.settings import Compute

SECTIONS: dict[str, Any] = {
    "data": Data,
    "datasets": dict[Name, Dataset],
    "protocols": dict[Name, Protocol],
    "tests": dict[Name, Test],
    "students": Students,
    "controls": Students,
    "seeds": Seeds,
    "imported": dict[Name, Imported],
    "boxes": BoxRules,
    "filter": Filter,
    "leaks": Leaks,
    "crop": CropSettings,
    "augment": Augment,
    "base": Base,
    "ensemble": Ensemble,
    "sweep": Sweep,
    "distill": Distill,
    "evaluate": Evaluate,
    "jitter": Jitter,
    "tables": Tables,
    "compute": Compute,
}


def validate_file(path: Path) -> CropFormat:
    """Raises InputError for the first section that is wrong or does not fit another one.

    Returns how crops are made: the section `crop` with its margin.
    """
    content = read_yaml(path)
    unknown = sorted(set(content) - set(SECTIONS))
    if unknown:
        raise InputError(f"{path}: unknown sections {unknown}; expected {sorted(SECTIONS)}")
    loaded = {name: section_of(path, content, name, model) for name, model in SECTIONS.items()}
    datasets, protocols = loaded["datasets"], loaded["protocols"]
    references = [
        *((f"datasets.{k}.split_by", v.split_by, datasets) for k, v in datasets.items()),
        *(
            (f"protocols.{k}.train", name, datasets)
            for k, v in protocols.items()
            for name in v.train
        ),
        *((f"tests.{k}.dataset", v.dataset, datasets) for k, v in loaded["tests"].items()),
        *((f"tests.{k}.protocol", v.protocol, protocols) for k, v in loaded["tests"].items()),
        *((f"imported.{k}.dataset", v.dataset, datasets) for k, v in loaded["imported"].items()),
    ]
    references += [("controls", name, loaded["students"]) for name in loaded["controls"]]
    for where, name, known in references:
        if name not in known:
            raise InputError(f"{path}: {where} is {name!r}; expected one of {sorted(known)}")
    for name, test in loaded["tests"].items():
        _check_apart(path, name, test, protocols[test.protocol])
    _check_range(path, loaded)
    _check_quotable(path, loaded)
    _check_boxes(path, loaded)
    _check_weights(path, loaded)
    _check_views(path, loaded)
    _check_precision(path, loaded)
    return _with_margin(path, loaded)


def _check_apart(path: Path, name: str, test: Test, protocol: Protocol) -> None:
    """No test face is trained on: a column of both `where`s must have no value in common."""
    common = {
        column: sorted(set(accepted) & set(test.where[column]))
        for column, accepted in protocol.train.get(test.dataset, {}).items()
        if column in test.where
    }
    if test.dataset in protocol.train and all(common.values()):
        raise InputError(
            f"{path}: protocols.{test.protocol} may train on faces of {test.dataset} that "
            f"tests.{name} contains: expected a column of both `where`s without a common value, "
            f"found {common or 'no column in both'}"
        )


def _check_range(path: Path, loaded: dict[str, Any]) -> None:
    """Every label that is kept lies in a bin: beyond, it would be taken for the last one's."""
    found = loaded["filter"].max_angle_deg
    if found > THETA_DEG:
        raise InputError(
            f"{path}: filter.max_angle_deg is {found:g}, but the bins of base.bins_deg end at "
            f"±{THETA_DEG:g}°; expected at most that"
        )


def _check_boxes(path: Path, loaded: dict[str, Any]) -> None:
    """A detector is an .onnx file, published boxes are a folder or tables."""
    boxes = loaded["boxes"]
    if (boxes.source == "detector") != (Path(boxes.path).suffix == ".onnx"):
        expected = "an .onnx file" if boxes.source == "detector" else "the published boxes"
        raise InputError(
            f"{path}: boxes.source is {boxes.source}, but boxes.path is {boxes.path!r}; expected "
            f"{expected}"
        )


def _check_weights(path: Path, loaded: dict[str, Any]) -> None:
    """Weights by the name of torchvision's exist for the backbones that get them."""
    base, students = loaded["base"], loaded["students"]
    for where, weights, backbones in (
        ("base", base.weights, {"base.backbone": base.backbone}),
        (
            "distill",
            loaded["distill"].weights,
            {f"students[{at}]": name for at, name in enumerate(students)},
        ),
    ):
        name = Path(weights).name
        if name == "none" or Path(name).suffix:  # a state dict of the user's own
            continue
        for setting, backbone in backbones.items():
            if name not in (there := PRETRAINED.get(backbone, ())):
                raise InputError(
                    f"{path}: {where}.weights is {weights!r}, but torchvision has no such weights "
                    f"for {backbone} ({setting}); expected one of {['none', *there]}, or a .pth or "
                    ".safetensors of yours"
                )


def _check_views(path: Path, loaded: dict[str, Any]) -> None:
    """Several views of a face differ: their rotation is all that they differ in."""
    views, rotate_deg = loaded["distill"].views, loaded["augment"].rotate_deg
    if views > 1 and rotate_deg == 0:
        raise InputError(
            f"{path}: distill.views is {views}, but augment.rotate_deg is 0: these views of a face "
            "would be the same; expected 1 view, or a rotation"
        )


def _check_precision(path: Path, loaded: dict[str, Any]) -> None:
    """Half-precision floats need a GPU."""
    if loaded["compute"].device != "cpu":
        return
    for section in ("base", "ensemble", "distill", "sweep", "evaluate"):
        if loaded[section].precision == "16-mixed":
            raise InputError(
                f"{path}: {section}.precision is 16-mixed, but compute.device is cpu, which has no "
                "such arithmetic; expected 32-true or bf16-mixed"
            )


def _check_quotable(path: Path, loaded: dict[str, Any]) -> None:
    """dvc.yaml puts these paths between double quotes, within which a shell reads a few signs."""
    paths = {
        "data.root": loaded["data"].root,
        "boxes.path": loaded["boxes"].path,
        "base.weights": loaded["base"].weights,
        "distill.weights": loaded["distill"].weights,
        **{f"imported.{name}.file": each.file for name, each in loaded["imported"].items()},
    }
    for name, text in paths.items():
        if found := sorted(set(text) & set('"$`\\\n')):
            signs = " ".join(map(repr, found))
            raise InputError(f"{path}: {name} is {text!r}; expected a path without {signs}")


def _with_margin(path: Path, loaded: dict[str, Any]) -> CropFormat:
    """Raises InputError if a margin is given that is too small."""
    settings: CropSettings = loaded["crop"]
    needs = list(_margins_needed(loaded))
    crop = settings.with_margin(max(_margin_wanted(loaded), *(needed for needed, _ in needs)))
    remedy = {
        "enlarged": "raise crop.margin, or give null: as much as is needed",
        "published": "with crop.rule published there is none; remove the setting, or use enlarged",
    }[crop.rule]
    for needed, setting in needs:
        if crop.margin < needed:
            raise InputError(
                f"{path}: {setting} needs a margin of {needed} pixels, found {crop.margin}; "
                f"{remedy}"
            )
    return crop


def _margin_wanted(loaded: dict[str, Any]) -> int:
    """Past a smaller margin, training views and windows of jittered boxes repeat the edge of the
    crop. With the windows of K_max, so that no K below it crops again.
    """
    size_hw, teacher, jitter = loaded["crop"].size_hw, loaded["ensemble"], loaded["jitter"]
    seen_deg = max(loaded["augment"].rotate_deg, _view_deg(loaded) + loaded["distill"].rotate_deg)
    side, rotate_deg = max(size_hw), min(45.0, seen_deg)
    every, taught = np.arange(loaded["sweep"].K_max + 1), offset_grid(teacher.K, teacher.d)
    shifted = max(reach_px(offsets, side) for offsets in (every, taught))
    reach = rotated_reach(side, shifted, [0.0, *teacher.rotations_deg])
    jitters = box_jitters(jitter.shifts, jitter.scales)
    moved = [margin_needed(each, size_hw, reach) for each in jitters]
    return max(_view_reach(loaded["augment"], side, rotate_deg), *moved)


def _view_reach(augment: Augment, side: int, rotate_deg: float) -> int:
    """How many pixels beyond the box the farthest training view reaches."""
    half = (side - 1) / 2
    rotated = half + rotated_reach(side, 0, [rotate_deg])
    return math.ceil(augment.max_shift * side + augment.max_scale * rotated - half - 1e-6)


def _margins_needed(loaded: dict[str, Any]) -> Iterator[tuple[int, str]]:
    """What windows and jittered boxes read around the box, pixels, and the setting behind it."""
    size_hw, teacher, jitter = loaded["crop"].size_hw, loaded["ensemble"], loaded["jitter"]
    side = max(size_hw)
    k_max, taught = loaded["sweep"].K_max, offset_grid(teacher.K, teacher.d)
    yield reach_px(np.arange(k_max + 1), side), f"sweep.K_max = {k_max}"
    yield reach_px(taught, side), f"ensemble.K = {teacher.K}"
    view_deg = _view_deg(loaded)
    rotations_deg = [min(45.0, abs(phi_deg) + view_deg) for phi_deg in teacher.rotations_deg]
    yield (
        rotated_reach(side, reach_px(taught, side), rotations_deg),
        f"ensemble.rotations_deg = {teacher.rotations_deg}, with K = {teacher.K} and views rotated "
        f"by up to {view_deg:g}°,",
    )
    jitters = box_jitters(jitter.shifts, jitter.scales)
    worst = max(jitters, key=lambda each: margin_needed(each, size_hw))
    yield margin_needed(worst, size_hw), f"jitter.{worst.kind}s with {worst.level}"


def _view_deg(loaded: dict[str, Any]) -> float:
    """The largest rotation of the teacher's views: with a single one per face, it is upright."""
    return loaded["augment"].rotate_deg if loaded["distill"].views > 1 else 0.0
