"""params.yaml as frozen, strictly validated models: how a section is read.

An unknown, missing or mistyped key fails at load and is named, with the value found. There are no
defaults in code: what a run used stands in params.yaml. The models live in the modules beside this
one, by who uses them, so that changing one re-runs only the stages that read it.
"""

from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from hpe_core.errors import InputError

T = TypeVar("T")
Probability = Annotated[float, Field(ge=0, le=1)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")]
Precision = Literal["32-true", "bf16-mixed", "16-mixed"]
Backbone = Literal[  # networks.BACKBONES, without importing torch
    "resnet8", "resnet10", "resnet18", "resnet34", "resnet50", "resnet101", "resnet152"
]


class Section(BaseModel):
    """Frozen; refuses unknown keys and values of another type ("1e-4" is text in YAML 1.1)."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


def load(path: Path, section: str, model: type[T]) -> T:
    """One section of a params file. Raises InputError naming every wrong key and its value."""
    content = read_yaml(path)
    if section not in content:
        raise InputError(f"{path}: no section {section!r}; found {sorted(content)}")
    return _validate(path, section, model, content[section])


def load_item(path: Path, section: str, key: str, model: type[T]) -> T:
    """One entry of a section that is a mapping, such as `protocols.p1`."""
    entries = read_yaml(path).get(section) or {}
    if key not in entries:
        raise InputError(f"{path}: no {section}.{key}; found {sorted(entries)}")
    return _validate(path, f"{section}.{key}", model, entries[key])


def read_yaml(path: Path) -> dict[str, Any]:
    """All sections, unchecked. Raises InputError where the file is no YAML mapping."""
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
