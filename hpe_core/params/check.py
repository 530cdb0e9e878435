"""A whole params file: every section, and that the names in one exist in the other."""

from pathlib import Path
from typing import Any

from hpe_core.boxes import turned_reach
from hpe_core.errors import InputError
from hpe_core.jitter import box_jitters, margin_needed
from hpe_core.params.faces import Boxes, Crop, Filter
from hpe_core.params.learning import Augment, Base, Distill, Ensemble
from hpe_core.params.loading import Name, read_yaml, section_of
from hpe_core.params.machine import Compute
from hpe_core.params.protocols import (
    Data,
    Dataset,
    Imported,
    Leaks,
    Protocol,
    Seeds,
    Students,
    Test,
)
from hpe_core.params.results import Evaluate, Jitter, Sweep, Tables

SECTIONS: dict[str, Any] = {
    "data": Data,
    "datasets": dict[Name, Dataset],
    "protocols": dict[Name, Protocol],
    "tests": dict[Name, Test],
    "students": Students,
    "seeds": Seeds,
    "imported": dict[Name, Imported],
    "boxes": Boxes,
    "filter": Filter,
    "leaks": Leaks,
    "crop": Crop,
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


def validate_file(path: Path) -> None:
    """Checks every section, and that names used in one exist in the other."""
    content = read_yaml(path)
    unknown = sorted(set(content) - set(SECTIONS))
    if unknown:
        raise InputError(f"{path}: unknown sections {unknown}; expected {sorted(SECTIONS)}")
    loaded = {name: section_of(path, content, name, model) for name, model in SECTIONS.items()}
    datasets, protocols = loaded["datasets"], loaded["protocols"]
    references = [
        *((f"datasets.{k}.split_by", v.split_by, datasets) for k, v in datasets.items()),
        *((f"protocols.{k}.train", v.train, datasets) for k, v in protocols.items()),
        *((f"tests.{k}.dataset", v.dataset, datasets) for k, v in loaded["tests"].items()),
        *((f"tests.{k}.protocol", v.protocol, protocols) for k, v in loaded["tests"].items()),
        *((f"imported.{k}.dataset", v.dataset, datasets) for k, v in loaded["imported"].items()),
    ]
    for where, name, known in references:
        if name not in known:
            raise InputError(f"{path}: {where} is {name!r}; expected one of {sorted(known)}")
    for name, test in loaded["tests"].items():
        _check_apart(path, name, test, protocols[test.protocol])
    crop, reach = loaded["crop"], max(loaded["ensemble"].K, loaded["sweep"].K_max)
    if crop.margin < reach:
        raise InputError(f"{path}: crop.margin is {crop.margin}; expected at least K = {reach}")
    _check_turns(path, crop, loaded["ensemble"], _view_turns(loaded))
    _check_jitter(path, crop, loaded["jitter"])


def _check_apart(path: Path, name: str, test: Test, protocol: Protocol) -> None:
    """That no face of a test set trains: some column of the two `where`s has no value in common."""
    common = {
        column: sorted(set(accepted) & set(test.where[column]))
        for column, accepted in protocol.where.items()
        if column in test.where
    }
    if protocol.train == test.dataset and all(common.values()):
        raise InputError(
            f"{path}: protocols.{test.protocol} may train on the same faces of {test.dataset} that "
            f"tests.{name} holds: expected a column of both `where`s without a common value, found "
            f"{common or 'no column in both'}"
        )


def _view_turns(loaded: dict[str, Any]) -> float:
    """How far the views are turned that the teacher sees."""
    several = loaded["distill"].views > 1
    return float(loaded["augment"].rotate_deg) if several else 0.0


def _check_turns(path: Path, crop: Crop, teacher: Ensemble, view_deg: float) -> None:
    """That no turned window of the teacher shows anything but the crop."""
    turns_deg = [min(45.0, abs(turn) + view_deg) for turn in teacher.turns_deg]
    needed = turned_reach(max(crop.height, crop.width), teacher.K, turns_deg)
    if crop.margin < needed:
        raise InputError(
            f"{path}: ensemble.turns_deg is {teacher.turns_deg}, of views turned by {view_deg:g}°, "
            f"which takes a margin of {needed} with K = {teacher.K}, but crop.margin is "
            f"{crop.margin}; raise it, or turn less"
        )


def _check_jitter(path: Path, crop: Crop, levels: Jitter) -> None:
    """That the crops hold every jittered box."""
    size_hw = crop.height, crop.width
    jitters = box_jitters(levels.shifts, levels.scales)
    needed = [margin_needed(jitter, size_hw) for jitter in jitters]
    if crop.margin < max(needed):
        worst = jitters[needed.index(max(needed))]
        raise InputError(
            f"{path}: jitter.{worst.kind}s has {worst.level}, which takes a margin of "
            f"{max(needed)}, but crop.margin is {crop.margin}; raise it, or leave the level out"
        )
