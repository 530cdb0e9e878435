"""Reads sections of params.yaml as frozen, strictly validated models.

Unknown, missing and mistyped keys fail at load, with an error that names the key and the value. The
code has no defaults: params.yaml shows everything a run used. Each room keeps the models of its
sections in its own `settings.py`, so a change re-runs only the stages that read it.
"""

from collections import Counter
from collections.abc import Hashable
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_type_hints

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    create_model,
)

from hpe_core.common.errors import InputError, brief

Setting = TypeVar("Setting")
_MAX_BYTES = 1_000_000  # per params file; ours have 10,000
Probability = Annotated[float, Field(ge=0, le=1)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")]
Precision = Literal["32-true", "bf16-mixed", "16-mixed"]
Backbone = Literal[  # networks.model.BACKBONES, without importing torch
    "resnet8", "resnet10", "resnet18", "resnet34", "resnet50", "resnet101", "resnet152"
]

PRETRAINED = {  # torchvision's weights of backbones, without importing it; of others there are none
    **dict.fromkeys(("resnet18", "resnet34"), ("IMAGENET1K_V1",)),
    **dict.fromkeys(("resnet50", "resnet101", "resnet152"), ("IMAGENET1K_V1", "IMAGENET1K_V2")),
}


def distinct(values: list[Setting]) -> list[Setting]:
    """For AfterValidator: requires that no value repeats."""
    if len(set(values)) < len(values):
        raise ValueError("expected different values")
    return values


class Section(BaseModel):
    """Frozen; rejects unknown keys, NaN and wrong types ("1e-4" is text in YAML 1.1)."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


def load(path: Path, section: str, model: type[Setting]) -> Setting:
    """One section of a params file. Raises InputError that names every wrong key and its value."""
    return section_of(path, read_yaml(path), section, model)


def section_of(path: Path, content: dict[str, Any], section: str, model: type[Setting]) -> Setting:
    """As `load`, from content already read. path: for errors."""
    if section not in content:
        raise InputError(f"{path}: no section {section!r}; found {sorted(content)}")
    return validate(path, section, model, content[section])


def load_item(path: Path, section: str, key: str, model: type[Setting]) -> Setting:
    """One entry of a section that is a mapping, such as `protocols.p1`."""
    entries = read_yaml(path).get(section) or {}
    if not isinstance(entries, dict):
        raise InputError(f"{path}: {section}: expected a mapping, found {brief(entries)}")
    if key not in entries:
        raise InputError(f"{path}: no {section}.{key}; found {list(entries)}")
    return validate(path, f"{section}.{key}", model, entries[key])


def read_yaml(path: Path) -> dict[str, Any]:
    """All sections, unchecked. Raises InputError unless it is a YAML mapping with unique keys."""
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_BYTES + 1)
        if len(text) > _MAX_BYTES:
            raise ValueError(f"expected at most {_MAX_BYTES} bytes")
        content = yaml.load(text.decode("utf-8"), Loader=_EachKeyOnce)  # safe: it builds plain data
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        # ValueError: not UTF-8, or a date with month 13
        raise InputError(f"{path}: cannot be read as YAML: {error}") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected a mapping of sections, found {type(content).__name__}")
    if unnamed := [name for name in content if not isinstance(name, str)]:
        raise InputError(f"{path}: expected text as a key, found {brief(unnamed[0])}")
    return content


class _EachKeyOnce(yaml.SafeLoader):
    """Rejects duplicate keys, of which yaml would silently take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        names = Counter(key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode))
        for name, times in names.items():
            if times > 1:
                raise yaml.constructor.ConstructorError(
                    None, None, f"expected each key once, found {name!r} twice", node.start_mark
                )
        return super().construct_mapping(node, deep)


def validate(source: Path | str, name: str, model: type[Setting], value: Any) -> Setting:
    """A value as its model: a Section, a type, or a dataclass with limits (`section_of_fields`).

    source, name: where the value comes from, for the InputError that names every wrong key.
    """
    accepted: Any = model
    if is_dataclass(model):
        build = AfterValidator(lambda checked: model(**dict(checked)))
        accepted = Annotated[section_of_fields(model), build]
    try:
        checked: Setting = TypeAdapter(accepted).validate_python(value)
        return checked
    except ValidationError as error:
        lines = [
            f"{source}: {'.'.join(str(part) for part in (name, *problem['loc']))}: "
            f"{problem['msg']}; found {brief(problem['input'])}"
            for problem in error.errors()[:20]
        ]
        raise InputError("\n".join(lines)) from None


def section_of_fields(rules: type) -> type[Section]:
    """The Section with the fields of a dataclass, so that modules without pydantic can share it.

    The metadata of a field are its limits, as pydantic's Field names them.
    """
    types = get_type_hints(rules)
    columns: dict[str, Any] = {
        field.name: (types[field.name], Field(**field.metadata)) for field in fields(rules)
    }
    return create_model(rules.__name__, __base__=Section, **columns)
