"""docs/reference/artifacts.md: what each stage runs, reads and writes, and what is in the files."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.graph import ROOT
from tests.reference import kinds
from tests.reference.markdown import block, code, table
from tests.reference.markdown import page as whole

INTRO = """# Stages and files

All stages of `dvc.yaml`, in its order, and what is in their files. `${key}` and `${item.…}` are the
entry that a stage is run for. Code dependencies are left out: they are the modules that a stage's
own module imports. **git**: small results, committed. **cache**: large ones, in DVC's cache alone.
"""


def page() -> str:
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    overview = table(
        ["stage", "once for each", "what"],
        (
            (f"[{name}](#{name})", each(stage), body(stage).get("desc", ""))
            for name, stage in stages.items()
        ),
    )
    parts = [described(name, stage) for name, stage in stages.items()]
    return whole(INTRO, overview, *parts, kinds.text())


def body(stage: dict[str, Any]) -> dict[str, Any]:
    return stage.get("do", stage)


def each(stage: dict[str, Any]) -> str:
    """What a stage is repeated for, in words of params.yaml."""
    names = list(stage.get("matrix", {}).values()) or [stage.get("foreach", "")]
    return " × ".join(code(str(name).strip("${}")) for name in names if name)


def described(name: str, stage: dict[str, Any]) -> str:
    inner = body(stage)
    reads = [path for path in paths(inner.get("deps", [])) if not path.endswith(".py")]
    parts = [f"## {name}", f"{capital(inner.get('desc', ''))}.", block(command(inner), "sh")]
    parts.append(
        f"Params: {', '.join(code(str(key)) for key in inner.get('params', [])) or 'none'}."
    )
    if reads:
        parts.append(f"Reads: {', '.join(map(code, reads))}.")
    parts.append(table(["writes", "kept in", "holds"], written(inner)))
    return "\n\n".join(parts)


def command(stage: dict[str, Any]) -> str:
    """One option a line."""
    first, *options = stage["cmd"].split(" --")
    return " \\\n  --".join([first, *options])


def paths(entries: list[Any]) -> list[str]:
    return [entry if isinstance(entry, str) else next(iter(entry)) for entry in entries]


def written(stage: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    for entry in [*stage.get("outs", []), *stage.get("metrics", []), *stage.get("plots", [])]:
        path, options = (entry, {}) if isinstance(entry, str) else next(iter(entry.items()))
        kept = "git" if options.get("cache") is False else "cache"
        for file in files(path):
            yield code(file), kept, kinds.held(Path(file))


def files(path: str) -> list[str]:
    """The output itself, or the files in it where it is a folder in git."""
    folder = ROOT / path
    if not (path.startswith("metrics/") and folder.is_dir()):
        return [path]
    return [f"{path}/{file.name}" for file in sorted(folder.iterdir())]


def capital(text: str) -> str:
    return text[:1].upper() + text[1:]
