"""The rules of the graph: declared code is imported code, every path stands on the command line,
layers point one way, nothing outside io/ touches files."""

import ast
import re
import shlex
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from graph import ROOT, closure, imports, module_of, stages

from hpe_core.params.check import SECTIONS
from pipeline._results import Folders

# Only order the stages: what they hold is always the same.
WAITED_FOR = {"data/params.checked", "data/leaks/${item.protocol}.checked"}
STAGES = [pytest.param(name, stage, id=name) for name, stage in stages().items()]


def paths(entries: list[Any]) -> list[str]:
    """Paths of a list of deps or outs, with or without options."""
    return [entry if isinstance(entry, str) else next(iter(entry)) for entry in entries]


def written(stage: dict[str, Any]) -> list[str]:
    return paths([*stage.get("outs", []), *stage.get("metrics", []), *stage.get("plots", [])])


@pytest.mark.parametrize(("name", "stage"), STAGES)
def test_code_deps_are_the_import_closure(name, stage):
    declared = {path for path in paths(stage["deps"]) if path.endswith(".py")}
    imported = closure(module_of(stage))
    missing, unused = sorted(imported - declared), sorted(declared - imported)
    assert not missing, f"{name}: imported, but not among its deps: {missing}"
    assert not unused, f"{name}: among its deps, but not imported: {unused}"


@pytest.mark.parametrize(("name", "stage"), STAGES)
def test_every_path_stands_on_the_command_line(name, stage):
    data_deps = {path for path in paths(stage["deps"]) if not path.endswith(".py")}
    expected = (data_deps - WAITED_FOR) | set(written(stage))
    arguments = set(re.findall(r"(?:\$\{[^}]+\}|[^\s$])+", stage["cmd"]))
    on_line = {word for word in arguments if "/" in word or word.startswith("${")}
    on_line -= {"data/work"}  # unfinished work, of no weight for results
    # names and numbers, no paths; params.yaml is declared as params
    on_line -= {"${key}", "${item.reader}", "${item.student}", "${item.seed}", "${seeds[0]}"}
    assert on_line == expected, f"{name}: {sorted(on_line ^ expected)}"


@pytest.mark.parametrize(("name", "stage"), STAGES)
def test_declared_params_are_the_sections_that_the_stage_loads(name, stage):
    declared = {str(param).split(".")[0] for param in stage.get("params", [])}
    loaded = set()
    for file in closure(module_of(stage)):
        for node in ast.walk(ast.parse((ROOT / file).read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in {"load", "load_item"}:
                section = node.args[1]
                if isinstance(section, ast.Constant):
                    loaded.add(section.value)
    assert loaded <= set(SECTIONS)
    if name == "check":  # reads them all, in a loop
        loaded = set(SECTIONS)
    # what changes no result is declared nowhere
    assert declared == loaded - {"compute"}, name


LAYERS = {"pure": 0, "io": 1, "predictor": 2, "cli": 3, "pipeline": 4}


def layer(module: str) -> int:
    if module.startswith("pipeline"):
        return LAYERS["pipeline"]
    if module == "hpe_core.predictor":
        return LAYERS["predictor"]
    if module.startswith("hpe_core.cli"):
        return LAYERS["cli"]
    return LAYERS["io" if module.startswith("hpe_core.io") else "pure"]


MODULES = sorted([*ROOT.glob("hpe_core/**/*.py"), *ROOT.glob("pipeline/**/*.py")])


@pytest.mark.parametrize("file", [pytest.param(f, id=str(f.relative_to(ROOT))) for f in MODULES])
def test_no_module_imports_one_above_it(file):
    own = layer(".".join(file.relative_to(ROOT).with_suffix("").parts))
    above = [name for name in imports(file) if layer(name) > own or name.startswith("data.")]
    assert not above


# params/ reads params.yaml: it belongs to the stages' own start.
PURE = [f for f in MODULES if f.parent.name == "hpe_core"]
FORBIDDEN_CALLS = {
    *("open", "print", "getenv", "imread", "imwrite"),
    *("read_text", "write_text", "read_bytes", "write_bytes"),
}


@pytest.mark.parametrize("file", [pytest.param(f, id=f.name) for f in PURE])
def test_pure_modules_touch_no_files_and_print_nothing(file):
    called = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Call):
            called.add(getattr(node.func, "id", getattr(node.func, "attr", "")))
    assert not called & FORBIDDEN_CALLS


def test_a_stages_help_names_every_option_of_its_command():
    for name, stage in stages().items():
        module = ROOT / Path(*module_of(stage).split(".")).with_suffix(".py")
        code = module.read_text()
        options = set(re.findall(r'"(--[a-z-]+)"', code))
        if "add_folders(parser)" in code:
            options |= {f"--{folder.name}" for folder in fields(Folders)}
        used = {word for word in shlex.split(stage["cmd"]) if word.startswith("--")}
        assert used == options, name
