"""The size and the names of the house: thin stages, short functions, one name for one thing."""

import ast
from collections import defaultdict
from pathlib import Path

import pytest
from graph import ROOT

FILES = sorted(f for room in ("hpe_core", "pipeline") for f in (ROOT / room).rglob("*.py"))
TREES = {str(file.relative_to(ROOT)): ast.parse(file.read_text()) for file in FILES}
OPTIONS = "hpe_core/cli/"  # a command of `hpe` has as many parameters as options


def functions() -> list[tuple[str, ast.FunctionDef]]:
    return [
        (file, node)
        for file, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
    ]


def body_lines(function: ast.FunctionDef) -> int:
    """Lines from the first statement to the last, the docstring left out."""
    own = function.body[ast.get_docstring(function) is not None :]
    return (own[-1].end_lineno or 0) - own[0].lineno + 1 if own else 0


def defined(statement: ast.stmt) -> list[str]:
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        return [statement.name]
    targets = statement.targets if isinstance(statement, ast.Assign) else []
    if isinstance(statement, ast.AnnAssign):
        targets = [statement.target]
    return [t.id for target in targets for t in ast.walk(target) if isinstance(t, ast.Name)]


def is_private(name: str) -> bool:
    return name.startswith("_")


@pytest.mark.parametrize("file", sorted((ROOT / "pipeline").glob("*.py")), ids=lambda f: f.stem)
def test_a_stage_is_thin(file: Path):
    assert len(file.read_text().splitlines()) <= 90


def test_no_function_is_longer_than_a_screen():
    assert not [(file, f.name) for file, f in functions() if body_lines(f) > 45]


def test_a_public_name_stands_in_one_module():
    """Stages' `main` aside: two things with one name are taken for one."""
    homes = defaultdict(set)
    for file, tree in TREES.items():
        for name in (name for statement in tree.body for name in defined(statement)):
            if not is_private(name) and name != "main":
                homes[name].add(file)
    assert not {name: sorted(files) for name, files in homes.items() if len(files) > 1}


def test_a_call_of_ours_has_at_most_six_arguments():
    """More are a small frozen dataclass, whose constructor may have more."""
    ours = {f.name for file, f in functions() if not file.startswith(OPTIONS)} - {"main"}
    long = [
        f"{file}:{node.lineno}"
        for file, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in ours
        and len(node.args) + len(node.keywords) > 6
    ]
    assert not long
