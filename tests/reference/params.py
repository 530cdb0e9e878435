"""docs/reference/params.md: every key of params.yaml, from its model, comment and values."""

import inspect
import re
from collections.abc import Iterator, Mapping
from dataclasses import is_dataclass
from functools import cache
from typing import Any, get_args

import yaml
from pydantic import AfterValidator, BaseModel, TypeAdapter

from hpe_core import params as check
from hpe_core.common.settings import section_of_fields
from hpe_core.params import SECTIONS
from tests.graph import ROOT, stages
from tests.reference.markdown import code, table
from tests.reference.markdown import page as whole

DEMO, PAPER = ROOT / "params.yaml", ROOT / "pipeline/profiles/paper.yaml"
MODELS: dict[str, Any] = {
    name: section_of_fields(model) if is_dataclass(model) else model
    for name, model in SECTIONS.items()
}
ENTRY = "NAME"  # of a corpus, a protocol, a test set: chosen by the user
# Checks that a name alone does not explain.
CHECKS = {"distinct": "all different", "_changed": "none of them 1"}

INTRO = """# params.yaml, key by key

Every section and key is required; there are no defaults in code. The first stage, `check`, refuses
keys that are missing, unknown or of the wrong type or range, and names them. "Demo" is the
committed `params.yaml`, "paper" is `pipeline/profiles/paper.yaml`. The meanings are the comments in
`params.yaml`; sections and formulas are those of the paper.

**Read by**: the stages that run again when the section changes, and then all that depend on their
results. **In dvc.yaml**: the stages that exist once per entry, or have a value of the section on
their command line.
"""


def page() -> str:
    values = [yaml.safe_load(path.read_text()) for path in (DEMO, PAPER)]
    said = {key: linked(text) for key, text in comments(DEMO.read_text()).items()}
    return whole(INTRO, *(section(name, values, said) for name in MODELS), across())


def section(name: str, values: list[dict[str, Any]], said: Mapping[str, str]) -> str:
    annotation = MODELS[name]
    model = model_of(annotation)
    parts = [f"## {name}", capital(said.get(name, "")), uses(name)]
    if model is annotation:  # one section of fixed keys
        rows = [
            (
                code(key),
                accepted(model, key),
                *(shown(value[name][key]) for value in values),
                said.get(f"{name}.{key}", ""),
            )
            for key in values[0][name]
        ]
        parts.append(table(["key", "accepts", "demo", "paper", "meaning"], rows))
    elif model:  # entries of the user's own names
        rows = [(code(f"{ENTRY}.{key}"), accepted(model, key)) for key in model.model_fields]
        parts.append(table(["key", "accepts"], rows))
        names = [", ".join(map(code, value[name])) or "none" for value in values]
        parts.append(f"Entries of the demo: {names[0]}; of the paper: {names[1]}.")
    else:
        kind = described(TypeAdapter(annotation).json_schema(), checks_of(annotation))
        rows = [(code(name), kind, *(shown(value[name]) for value in values))]
        parts.append(table(["key", "accepts", "demo", "paper"], rows))
    if model:
        parts += [f"Also checked: {sentence(check)}." for check in model_checks(name, model)]
    return "\n\n".join(part for part in parts if part)


def across() -> str:
    """What `check` looks for beyond single sections: the docstrings of its functions."""
    found = [
        f"- {inspect.getdoc(function)}"
        for name, function in vars(check).items()
        if name.startswith("_check_") and inspect.isfunction(function)
    ]
    return "\n".join(["## Across sections", "", "`check` also looks at these:", "", *found])


def model_of(annotation: Any) -> type[BaseModel] | None:
    """The model of a section, or of each entry of a section of names; None for a list."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    last = get_args(annotation)[-1] if get_args(annotation) else None
    return last if isinstance(last, type) and issubclass(last, BaseModel) else None


def accepted(model: type[BaseModel], key: str) -> str:
    field = model.model_fields[key]
    schema = model.model_json_schema()["properties"][key]
    return described(schema, [*checks_in(field.metadata), *checks_of(field.annotation)])


def described(schema: Mapping[str, Any], checks: list[str]) -> str:
    """A JSON schema in words."""
    if "anyOf" in schema:
        kinds = [described(one, []) for one in schema["anyOf"]]
        return ", or ".join([*kinds, *checks])
    if "enum" in schema:
        return ", ".join(code(str(value)) for value in schema["enum"])
    kind = schema.get("type")
    words = {
        "boolean": ["`true`, `false`"],
        "string": ["text"],
        "null": ["`null`"],
        "number": ["number", *limits(schema)],
        "integer": ["integer", *limits(schema)],
    }.get(str(kind))
    if kind == "array":
        least = {0: "list", 1: "list, not empty"}.get(
            n := schema.get("minItems", 0), f"list of {n} or more"
        )
        words = [f"{least}: {described(schema['items'], [])}"]
    if kind == "object":
        ((pattern, value),) = schema["patternProperties"].items()
        names = re.sub(r"[\^$()]", "", pattern).split("|")
        words = [f"{', '.join(map(code, names))} → {described(value, [])}"]
    return ", ".join([*(words or [str(kind)]), *checks])


def limits(schema: Mapping[str, Any]) -> Iterator[str]:
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    yield from (f"{sign} {schema[key]:g}" for key, sign in signs.items() if key in schema)
    if "multipleOf" in schema:
        yield f"multiple of {schema['multipleOf']}"


def checks_of(annotation: Any) -> list[str]:
    """Of an annotation and all within it."""
    inner = [check for each in get_args(annotation) for check in checks_of(each)]
    return [*checks_in(getattr(annotation, "__metadata__", ())), *inner]


def checks_in(metadata: Any) -> list[str]:
    names = [m.func.__name__ for m in metadata if isinstance(m, AfterValidator)]
    return [sentence(name) for name in names]


def model_checks(name: str, model: type[BaseModel]) -> list[str]:
    if is_dataclass(SECTIONS[name]):
        check = getattr(SECTIONS[name], "__post_init__", None)
        return [check.__doc__.rstrip(".").lower()] if check else []
    return list(model.__pydantic_decorators__.model_validators)


def sentence(name: str) -> str:
    return CHECKS.get(name, name.strip("_").replace("_", " "))


def shown(value: Any) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, width=1000)
    return code(text.removesuffix("\n").removesuffix("\n...").strip())


def linked(comment: str) -> str:
    """With its pages of docs/ as links."""
    return re.sub(r"\bdocs/([\w-]+\.md)", r"[\1](../\1)", comment)


def capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def uses(section: str) -> str:
    inside = [code(name) for name, text in definitions().items() if f"${{{section}" in text]
    lines = [f"Read by: {', '.join(readers(section)) or 'no stage'}."]
    if inside:
        lines.append(f"In dvc.yaml: {', '.join(inside)}.")
    return " ".join(lines)


@cache
def definitions() -> dict[str, str]:
    """Stage → its definition as text, with its foreach or matrix."""
    written = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    return {name: yaml.safe_dump(stage) for name, stage in written.items()}


declared = cache(stages)


def readers(section: str) -> Iterator[str]:
    for name, stage in declared().items():
        read = [str(param) for param in stage.get("params", [])]
        keys = [key for key in read if key.split(".")[0] == section]
        if section in keys or any("$" in key for key in keys):
            yield code(name)
        elif keys:
            yield f"{code(name)} ({', '.join(code(key.split('.', 1)[1]) for key in keys)})"


def comments(text: str) -> dict[str, str]:
    """`section` and `section.key` → what the comments of a params file say of it.

    A comment belongs to the key on its line, or to the key below it. Lines below a line with a
    comment go on with it, unless they stand right above a key that has none of its own.
    """
    found: dict[str, str] = {}
    waiting: list[str] = []  # lines of comment that may belong to the next key
    last, section = "", ""  # the key that a comment may go on with; the section we are in
    for line in [*text.splitlines(), ""]:
        stripped, hash_at = line.strip(), re.search(r"(?:^|\s)#\s?(.*)$", line)
        if stripped.startswith("#"):
            waiting.append(stripped.lstrip("# "))
            continue
        key = re.match(r"(\s*)([\w-]+):", line)
        own = hash_at[1] if hash_at else ""
        if waiting and last and (not key or own):
            found[last] = " ".join([found[last], *waiting])
            waiting = []
        if not key:  # an empty line ends a comment; one above it, at the top, is the file's
            waiting, last = ([], "") if not stripped else (waiting, last)
            continue
        depth = len(key[1])
        section = key[2] if depth == 0 else section
        name = section if depth == 0 else f"{section}.{key[2]}"
        said = " ".join(waiting)
        words = " ".join(filter(None, [said, capital(own) if said.endswith(".") else own]))
        waiting, last = [], ""
        if depth <= 2 and words:
            found[name] = words
            last = name if own else ""
    return found
