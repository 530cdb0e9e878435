"""What the graph's tests need: the resolved stages, and the import closure of a module."""

import ast
import shlex
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
PACKAGES = ("hpe_core", "pipeline", "data")


def stages() -> dict[str, dict[str, Any]]:
    """The definitions in dvc.yaml as written, those under foreach without it."""
    written = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    return {name: stage.get("do", stage) for name, stage in written.items()}


def module_of(stage: dict[str, Any]) -> str:
    words = shlex.split(stage["cmd"])
    return words[words.index("-m") + 1]


@cache
def closure(module: str) -> frozenset[str]:
    """Files of ours that importing `module` runs, itself included, relative to the root.

    Rooms' `__init__.py` files say what lives there; they run nothing (tested) and are left out.
    """
    seen: set[Path] = set()
    waiting = [_file(module)]
    while waiting:
        file = waiting.pop()
        if file is None or file in seen:
            continue
        seen.add(file)
        waiting += [_file(name) for name in imports(file)]
    return frozenset(str(f.relative_to(ROOT)) for f in seen if f.name != "__init__.py")


def imports(file: Path) -> set[str]:
    """Names of our modules that a file imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return {name for name in names if name.split(".")[0] in PACKAGES}


def _file(module: str) -> Path | None:
    path = ROOT / Path(*module.split("."))
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if candidate.exists():
            return candidate
    return None
