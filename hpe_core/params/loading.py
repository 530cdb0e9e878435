"""params.yaml as frozen, strictly validated models: how a section is read.

An unknown, missing or mistyped key fails at load and is named, with the value found. There are no
defaults in code: what a run used stands in params.yaml. The models live in the modules beside this
one, by who uses them, so that changing one re-runs only the stages that read it.
"""

from collections import Counter
from collections.abc import Hashable
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from hpe_core.errors import InputError, brief

T = TypeVar("T")
MAX_BYTES = 1_000_000  # of a params file; ours have 10,000
Probability = Annotated[float, Field(ge=0, le=1)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")]
Precision = Literal["32-true", "bf16-mixed", "16-mixed"]
Backbone = Literal[  # networks.BACKBONES, without importing torch
    "resnet8", "resnet10", "resnet18", "resnet34", "resnet50", "resnet101", "resnet152"
]


def distinct(values: list[T]) -> list[T]:
    """For AfterValidator: a list whose values differ."""
    if len(set(values)) < len(values):
        raise ValueError("expected different values")
    return values


class Section(BaseModel):
    """Frozen; refuses unknown keys, NaN and other types ("1e-4" is text in YAML 1.1)."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


def load(path: Path, section: str, model: type[T]) -> T:
    """One section of a params file. Raises InputError naming every wrong key and its value."""
    return section_of(path, read_yaml(path), section, model)


def section_of(path: Path, content: dict[str, Any], section: str, model: type[T]) -> T:
    """`load`, of a file that has been read. path: its name, for errors."""
    if section not in content:
        raise InputError(f"{path}: no section {section!r}; found {sorted(content)}")
    return _validate(path, section, model, content[section])


def load_item(path: Path, section: str, key: str, model: type[T]) -> T:
    """One entry of a section that is a mapping, such as `protocols.p1`."""
    entries = read_yaml(path).get(section) or {}
    if not isinstance(entries, dict):
        raise InputError(f"{path}: {section}: expected a mapping, found {brief(entries)}")
    if key not in entries:
        raise InputError(f"{path}: no {section}.{key}; found {list(entries)}")
    return _validate(path, f"{section}.{key}", model, entries[key])


def read_yaml(path: Path) -> dict[str, Any]:
    """All sections, unchecked. Raises InputError where the file is no YAML mapping, or has a key
    twice.
    """
    try:
        with path.open("rb") as file:
            text = file.read(MAX_BYTES + 1)
        if len(text) > MAX_BYTES:
            raise ValueError(f"expected at most {MAX_BYTES} bytes")
        content = yaml.load(text.decode("utf-8"), Loader=_EachKeyOnce)  # safe: it builds plain data
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        # ValueError: no UTF-8, or a 13th month
        raise InputError(f"{path}: cannot be read as YAML: {error}") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected a mapping of sections, found {type(content).__name__}")
    if unnamed := [name for name in content if not isinstance(name, str)]:
        raise InputError(f"{path}: expected text for a name, found {brief(unnamed[0])}")
    return content


class _EachKeyOnce(yaml.SafeLoader):
    """Of a key that stands there twice, yaml would take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        names = Counter(key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode))
        for name, times in names.items():
            if times > 1:
                raise yaml.constructor.ConstructorError(
                    None, None, f"expected each key once, found {name!r} twice", node.start_mark
                )
        return super().construct_mapping(node, deep)


def _validate(path: Path, name: str, model: type[T], value: Any) -> T:
    try:
        return TypeAdapter(model).validate_python(value)
    except ValidationError as error:
        lines = [
            f"{path}: {'.'.join(str(part) for part in (name, *problem['loc']))}: "
            f"{problem['msg']}; found {brief(problem['input'])}"
            for problem in error.errors()[:20]
        ]
        raise InputError("\n".join(lines)) from None
