"""params.yaml as frozen, strictly validated models: one a section.

An unknown, missing or mistyped key fails at load and is named, with the value found. There are no
defaults here: what a run used stands in params.yaml. Stages load only the sections they declare
to DVC, so a section they don't use may not even be valid.
"""

from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from hpe_core.errors import InputError

T = TypeVar("T")
Probability = Annotated[float, Field(ge=0, le=1)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$")]
Precision = Literal["32-true", "bf16-mixed", "16-mixed"]
Where = dict[str, list[str]]


class Section(BaseModel):
    """Frozen; refuses unknown keys and values of another type ("1e-4" is text in YAML 1.1)."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Dataset(Section):
    """A corpus: which reader, which folder, and whose images mark its test split."""

    reader: Literal["300W_LP", "AFLW2000", "AFLW", "BIWI"]
    folder: str
    split_by: Name


class Protocol(Section):
    train: Name
    where: Where


class Test(Section):
    protocol: Name
    dataset: Name
    where: Where


class Student(Section):
    protocol: Name
    train: Name
    backbone: Name
    weights: str


class Imported(Section):
    """A network published elsewhere, evaluated on one test set."""

    file: str
    backbone: Name
    dataset: Name
    where: Where


class Boxes(Section):
    source: Literal["detector", "published"]
    path: str
    input_px: Annotated[int, Field(gt=0, multiple_of=32)]
    score: Probability
    nms_iou: Probability
    border: Annotated[float, Field(ge=0, le=2)]
    match_iou: Probability
    unmatched: Literal["drop", "annotated"]
    square: bool
    scale: Annotated[float, Field(gt=0)]


class Filter(Section):
    max_angle_deg: Annotated[float, Field(gt=0, le=180)]
    min_side_px: Annotated[float, Field(ge=0)]
    strict_split: bool


class Crop(Section):
    rule: Literal["enlarged", "published"]
    height: Annotated[int, Field(gt=0)]
    width: Annotated[int, Field(gt=0)]
    margin: Annotated[int, Field(ge=0)]
    border: Literal["replicate", "black"]
    codec: Literal["raw", "jpeg", "png"]
    jpeg_quality: Annotated[int, Field(ge=1, le=100)]

    @model_validator(mode="after")
    def _published_has_no_margin(self) -> "Crop":
        if self.rule == "published" and self.margin:
            raise ValueError(f"the published crop has no margin: expected 0, found {self.margin}")
        return self


class Augment(Section):
    flip_p: Probability
    rotate_deg: Annotated[float, Field(ge=0, le=45)]
    photometric_p: Probability
    blur_max_px: Annotated[int, Field(ge=3)]


class Optim(Section):
    """What the base network and the students share of their training."""

    epochs: Annotated[int, Field(gt=0)]
    batch: Annotated[int, Field(gt=0)]
    lr: Annotated[float, Field(gt=0)]
    precision: Precision
    seed: Annotated[int, Field(ge=0)]


class Base(Optim):
    backbone: Name
    weights: str
    bins_deg: Annotated[list[Annotated[float, Field(gt=0)]], Field(min_length=1)]


class Ensemble(Section):
    K: Annotated[int, Field(ge=0)]
    d: Annotated[int, Field(gt=0)]
    precision: Precision


class Sweep(Section):
    K_max: Annotated[int, Field(ge=0)]
    max_faces: Annotated[int, Field(gt=0)] | None
    seed: Annotated[int, Field(ge=0)]
    precision: Precision


class Distill(Optim):
    label_weight: Annotated[float, Field(ge=0)]
    rotate_deg: Annotated[float, Field(ge=0, le=45)]


class Evaluate(Section):
    yaw_bands_deg: Annotated[list[float], Field(min_length=2)]
    precision: Precision


class Tables(Section):
    corpora: str
    examples: Annotated[int, Field(gt=0)]


class Compute(Section):
    """What changes no result, and so is listed under no stage."""

    device: str
    workers: Annotated[int, Field(ge=0)]
    infer_batch: Annotated[int, Field(gt=0)]


SECTIONS: dict[str, Any] = {
    "datasets": dict[Name, Dataset],
    "protocols": dict[Name, Protocol],
    "tests": dict[Name, Test],
    "students": dict[Name, Student],
    "imported": dict[Name, Imported],
    "boxes": Boxes,
    "filter": Filter,
    "crop": Crop,
    "augment": Augment,
    "base": Base,
    "ensemble": Ensemble,
    "sweep": Sweep,
    "distill": Distill,
    "evaluate": Evaluate,
    "tables": Tables,
    "compute": Compute,
}


def load(path: Path, section: str, model: type[T]) -> T:
    """One section of a params file. Raises InputError naming every wrong key and its value."""
    content = _read_yaml(path)
    if section not in content:
        raise InputError(f"{path}: no section {section!r}; found {sorted(content)}")
    return _validate(path, section, model, content[section])


def load_item(path: Path, section: str, key: str, model: type[T]) -> T:
    """One entry of a section that is a mapping, such as `protocols.p1`."""
    entries = _read_yaml(path).get(section) or {}
    if key not in entries:
        raise InputError(f"{path}: no {section}.{key}; found {sorted(entries)}")
    return _validate(path, f"{section}.{key}", model, entries[key])


def validate_file(path: Path) -> None:
    """Checks every section, and that names used in one exist in the other."""
    content = _read_yaml(path)
    unknown = sorted(set(content) - set(SECTIONS) - {"data"})
    if unknown:
        raise InputError(f"{path}: unknown sections {unknown}; expected {sorted(SECTIONS)}")
    loaded = {name: load(path, name, model) for name, model in SECTIONS.items()}
    datasets, protocols = loaded["datasets"], loaded["protocols"]
    references = [
        *((f"datasets.{k}.split_by", v.split_by, datasets) for k, v in datasets.items()),
        *((f"protocols.{k}.train", v.train, datasets) for k, v in protocols.items()),
        *((f"tests.{k}.dataset", v.dataset, datasets) for k, v in loaded["tests"].items()),
        *((f"tests.{k}.protocol", v.protocol, protocols) for k, v in loaded["tests"].items()),
        *((f"students.{k}.protocol", v.protocol, protocols) for k, v in loaded["students"].items()),
        *((f"imported.{k}.dataset", v.dataset, datasets) for k, v in loaded["imported"].items()),
    ]
    for where, name, known in references:
        if name not in known:
            raise InputError(f"{path}: {where} is {name!r}; expected one of {sorted(known)}")
    for key, student in loaded["students"].items():
        expected = protocols[student.protocol].train
        if student.train != expected:
            raise InputError(
                f"{path}: students.{key}.train is {student.train!r}, but protocol "
                f"{student.protocol} trains on {expected!r}"
            )
    crop, reach = loaded["crop"], max(loaded["ensemble"].K, loaded["sweep"].K_max)
    if crop.rule == "enlarged" and crop.margin < reach:
        raise InputError(f"{path}: crop.margin is {crop.margin}; expected at least K = {reach}")


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise InputError(f"{path}: cannot be read as YAML: {error}") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected a mapping of sections, found {type(content).__name__}")
    return content


def _validate(path: Path, name: str, model: type[T], value: Any) -> T:
    try:
        return TypeAdapter(model).validate_python(value)
    except ValidationError as error:
        lines = [
            f"{path}: {'.'.join(str(part) for part in (name, *problem['loc']))}: "
            f"{problem['msg']}; found {problem['input']!r}"
            for problem in error.errors()
        ]
        raise InputError("\n".join(lines)) from None
