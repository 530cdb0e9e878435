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

All stages of `dvc.yaml` in its order, and what their files hold. `${key}` and `${item.…}` stand for
the entry that a stage runs for. **git**: small results, committed. **cache**: large ones, only in
DVC's cache. The code that a stage depends on: [what an edit re-runs](#what-an-edit-re-runs).
"""
EDITS = """## What an edit re-runs

A stage depends on the rooms that its module imports, or on single files of them. An edit there runs
the stage again, and a later stage only if its inputs then have other bytes. An edit of
`pipeline/<stage>.py` runs that stage again. **Bold**: stages that train networks.
"""
TRAINING = ("train_base", "distill", "control")


def page() -> str:
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    overview = table(
        ["stage", "once per", "what"],
        (
            (f"[{name}](#{name})", each(stage), body(stage).get("desc", ""))
            for name, stage in stages.items()
        ),
    )
    parts = [described(name, stage) for name, stage in stages.items()]
    rooms = table(["edit of", "runs again"], re_run(stages))
    return whole(INTRO, overview, *parts, EDITS, rooms, kinds.text())


def re_run(stages: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Room, or module above the rooms → the stages that depend on it."""
    rooms = [file.parent for file in ROOT.glob("hpe_core/*/__init__.py")]
    for room in sorted([*rooms, *ROOT.glob("hpe_core/[!_]*.py")]):
        path, found = str(room.relative_to(ROOT)), []
        for name, stage in stages.items():
            deps = paths(body(stage).get("deps", []))
            files = [code(Path(dep).name) for dep in deps if dep.startswith(f"{path}/")]
            shown = f"**{code(name)}**" if name in TRAINING else code(name)
            if path in deps or files:
                found.append(f"{shown} (only {', '.join(files)})" if files else shown)
        whole = len(found) == len(stages)
        yield code(path), "all stages" if whole else ", ".join(found) or "none"


def body(stage: dict[str, Any]) -> dict[str, Any]:
    return stage.get("do", stage)


def each(stage: dict[str, Any]) -> str:
    """What a stage runs once per, in the words of params.yaml."""
    names = list(stage.get("matrix", {}).values()) or [stage.get("foreach", "")]
    return " × ".join(code(str(name).strip("${}")) for name in names if name)


def described(name: str, stage: dict[str, Any]) -> str:
    inner = body(stage)
    reads = [path for path in paths(inner.get("deps", [])) if not is_code(path)]
    parts = [f"## {name}", f"{capital(inner.get('desc', ''))}.", block(command(inner), "sh")]
    parts.append(
        f"Params: {', '.join(code(str(key)) for key in inner.get('params', [])) or 'none'}."
    )
    if reads:
        parts.append(f"Reads: {', '.join(map(code, reads))}.")
    parts.append(table(["writes", "kept in", "holds"], written(inner)))
    return "\n\n".join(parts)


def command(stage: dict[str, Any]) -> str:
    """One option per line."""
    first, *options = stage["cmd"].split(" --")
    return " \\\n  --".join([first, *options])


def paths(entries: list[Any]) -> list[str]:
    return [entry if isinstance(entry, str) else next(iter(entry)) for entry in entries]


def is_code(path: str) -> bool:
    """A module, or a room of modules."""
    return path.endswith(".py") or path.startswith("hpe_core/")


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
