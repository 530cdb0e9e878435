"""The rules of the graph and of the rooms: what is imported lies in a declared dep, every path
stands on the command line, floors point one way, few modules touch files."""

import ast
import re
import shlex
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import tyro
import yaml
from graph import ROOT, closure, imports, module_of, stages

from hpe_core.common.stage import OPTIONS
from hpe_core.params import SECTIONS

# Only order the stages: what they hold is always the same.
WAITED_FOR = {"data/params.checked", "data/leaks/${item.protocol}.checked"}
# Whose hashes are in a declared file: of all images, in the face tables.
HASHED = {"crop_train": {"${data.root}"}}
STAGES = [pytest.param(name, stage, id=name) for name, stage in stages().items()]


def paths(entries: list[Any]) -> list[str]:
    """Paths of a list of deps or outs, with or without options."""
    return [entry if isinstance(entry, str) else next(iter(entry)) for entry in entries]


PATH_SETTINGS = ("data.root", "boxes.path", "base.weights", "distill.weights", "item.file")


@pytest.mark.parametrize(("name", "stage"), STAGES)
def test_paths_of_users_are_quoted(name, stage):
    """A space in one would end an argument. (Keys are names, without spaces.)"""
    for setting in PATH_SETTINGS:
        for found in re.finditer(re.escape(f"${{{setting}}}") + r"\S*", stage["cmd"]):
            before, word = stage["cmd"][found.start() - 1], found[0]
            assert before == '"' and word.endswith('"'), f"{name}: {before}{word}"


def written(stage: dict[str, Any]) -> list[str]:
    return paths([*stage.get("outs", []), *stage.get("metrics", []), *stage.get("plots", [])])


def is_code(path: str) -> bool:
    """A module, or a room of modules."""
    return path.endswith(".py") or path.startswith("hpe_core/")


def declared_code(stage: dict[str, Any]) -> set[str]:
    return {path for path in paths(stage["deps"]) if is_code(path)}


def modules_of(room: Path) -> list[Path]:
    return [file for file in room.rglob("*.py") if file.name != "__init__.py"]


def lies_in(file: str, dep: str) -> bool:
    return file == dep or file.startswith(f"{dep}/")


@pytest.mark.parametrize(("name", "stage"), STAGES)
def test_code_deps_hold_the_import_closure(name, stage):
    declared, imported = declared_code(stage), closure(module_of(stage))
    missing = sorted(f for f in imported if not any(lies_in(f, dep) for dep in declared))
    unused = sorted(dep for dep in declared if not any(lies_in(f, dep) for f in imported))
    assert not missing, f"{name}: imported, but in none of its deps: {missing}"
    assert not unused, f"{name}: among its deps, but nothing of it is imported: {unused}"
    assert not [dep for dep in declared for room in declared - {dep} if lies_in(dep, room)]


DETECTOR = ROOT / "data/detector"


@pytest.mark.parametrize(
    "name", ["scenes", "wider", "sheets", "mixture", "train", "export", "int8", "recall"]
)
def test_deps_of_the_detectors_own_project_are_the_imported_files(name):
    """Single files: the root's .dvcignore keeps no compiled modules out of its folders."""
    stage = yaml.safe_load((DETECTOR / "dvc.yaml").read_text())["stages"][name]
    files = {(DETECTOR / path).resolve() for path in stage["deps"] if path.endswith(".py")}
    beside = {"export": {"data/detector/train.py"}}  # `from train import …`: run as a script
    imported = closure(f"data.detector.{name}") | beside.get(name, set())
    assert {str(file.relative_to(ROOT)) for file in files} == imported


@pytest.mark.parametrize(
    "name", ["train_base", "ensemble", "distill", "control", "sweep", "predict"]
)
def test_an_expensive_stage_names_the_few_modules_that_it_needs_of_a_room(name):
    """An edit of the others must not run it again."""
    stage = stages()[name]
    rooms = {dep for dep in declared_code(stage) if not dep.endswith(".py")}
    imported = closure(module_of(stage))
    needed = {room: [file for file in imported if lies_in(file, room)] for room in rooms}
    few = {room: files for room, files in needed.items() if len(files) <= 2}
    assert not {room for room, files in few.items() if len(modules_of(ROOT / room)) > len(files)}


# Rooms whose edits never train a network or run a teacher.
NEVER_TRAINS = ("corpora", "evaluation", "prediction", "inference", "tables", "page", "cli")


@pytest.mark.parametrize("name", ["train_base", "ensemble", "distill", "control"])
def test_an_edit_of_what_is_measured_never_trains(name):
    rooms = {Path(dep).parts[1] for dep in declared_code(stages()[name]) if "hpe_core" in dep}
    assert not rooms & set(NEVER_TRAINS)


@pytest.mark.parametrize(("name", "stage"), STAGES)
def test_every_path_stands_on_the_command_line(name, stage):
    """Itself, or, of what is below metrics/, its folder."""
    data_deps = {path for path in paths(stage["deps"]) if not is_code(path)}
    expected = (data_deps - WAITED_FOR) | set(written(stage))
    arguments = set(re.findall(r"(?:\$\{[^}]+\}|[^\s$\"])+", stage["cmd"]))
    on_line = {word for word in arguments if "/" in word or word.startswith("${")}
    on_line |= arguments & {"metrics"}
    on_line -= {"data/work", *HASHED.get(name, ())}  # unfinished work: of no weight for results
    # names and numbers, no paths; params.yaml is declared as params
    on_line -= {"${key}", "${item.reader}", "${item.student}", "${item.seed}", "${seeds[0]}"}
    folders = {word for word in on_line - expected if word.startswith("metrics")}
    named = {path for path in expected if any(path.startswith(f"{word}/") for word in folders)}
    empty = [word for word in folders if not any(path.startswith(f"{word}/") for path in named)]
    assert not empty, f"{name}: nothing is declared in {empty}"
    assert on_line - folders | named == expected, f"{name}: {sorted(on_line ^ expected)}"


@pytest.mark.parametrize(("name", "stage"), STAGES)
def test_declared_params_are_the_sections_that_the_stage_loads(name, stage):
    declared = {str(param).split(".")[0] for param in stage.get("params", [])}
    loaded = set()
    for file in closure(module_of(stage)):
        for node in ast.walk(ast.parse((ROOT / file).read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in {"load", "load_item"}:
                path, section = node.args[:2]
                if isinstance(section, ast.Constant) and path.id == "params":  # not crop_format
                    loaded.add(section.value)
    assert loaded <= set(SECTIONS)
    if name == "check":  # reads them all, in a loop
        loaded = set(SECTIONS)
    # what changes no result is declared nowhere
    assert declared == loaded - {"compute"}, name


# From the ground up: a room imports rooms below its own floor only.
FLOORS = [
    {"common", "weights"},
    {"work", "crops", "networks"},
    {"faces", "training", "teacher"},
    {"corpora", "evaluation", "runtime"},
    {"predictor", "tables", "prediction"},
    {"inference", "params"},
    {"page", "cli"},
    {"pipeline"},
]
FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
ROOMS = sorted(path for path in (ROOT / "hpe_core").iterdir() if (path / "__init__.py").exists())
MODULES = sorted(
    file
    for folder in ("hpe_core", "pipeline")
    for file in (ROOT / folder).rglob("*.py")
    if file.name != "__init__.py"
)


def room_of(module: str) -> str:
    """`hpe_core.faces.cut` → faces; `pipeline.index` → pipeline."""
    package, _, rest = module.partition(".")
    return rest.partition(".")[0] if package == "hpe_core" else package


def test_every_room_stands_on_a_floor():
    assert {room_of(".".join(f.relative_to(ROOT).with_suffix("").parts)) for f in MODULES} == set(
        FLOOR_OF
    )


@pytest.mark.parametrize("file", [pytest.param(f, id=str(f.relative_to(ROOT))) for f in MODULES])
def test_no_module_imports_one_above_it_or_beside_it(file):
    own = room_of(".".join(file.relative_to(ROOT).with_suffix("").parts))
    others = {name for name in imports(file) if room_of(name) not in {own, ""}}
    assert not [name for name in others if FLOOR_OF.get(room_of(name), 99) >= FLOOR_OF[own]]


def test_stages_import_no_other_stage():
    for file in (ROOT / "pipeline").glob("*.py"):
        assert not [name for name in imports(file) if room_of(name) == "pipeline"], file.name


@pytest.mark.parametrize("room", [pytest.param(room, id=room.name) for room in ROOMS])
def test_a_room_says_what_lives_there_and_runs_nothing(room):
    """No re-exports: the test of deps leaves these files out."""
    statement, *others = ast.parse((room / "__init__.py").read_text()).body
    assert not others
    assert isinstance(statement, ast.Expr)
    assert 2 <= ast.literal_eval(statement.value).strip().count("\n") + 1 <= 3


# The modules that open files or print; the others are given what they work on.
OUTSIDE = {
    *("common/dvc_lock", "common/files", "common/settings", "common/stage", "corpora/own_corpus"),
    *("faces/images", "inference/labelled_faces", "inference/measure", "inference/media"),
    *("inference/head_frame",),
    *("runtime/network", "inference/onnx_export", "inference/row_files", "page/html"),
    *("networks/checkpoints", "page/provenance", "tables/catalogue", "tables/charts"),
    *("tables/model_card", "tables/pictures", "training/state", "weights/catalogue"),
    *("work/resume", "work/shards"),
}
FORBIDDEN_CALLS = {
    *("open", "print", "getenv", "imread", "imwrite"),
    *("read_text", "write_text", "read_bytes", "write_bytes"),
}


def test_modules_that_touch_files_are_known():
    touching = set()
    for file in modules_of(ROOT / "hpe_core"):
        called = {
            getattr(node.func, "id", getattr(node.func, "attr", ""))
            for node in ast.walk(ast.parse(file.read_text()))
            if isinstance(node, ast.Call)
        }
        if called & FORBIDDEN_CALLS:
            touching.add(file.relative_to(ROOT / "hpe_core").with_suffix("").as_posix())
    assert {name for name in touching if not name.startswith("cli/")} == OUTSIDE


@pytest.mark.parametrize(("name", "stage"), STAGES)
def test_a_stages_command_gives_every_option_that_has_no_default(name, stage):
    parser = tyro.extras.get_parser(import_module(module_of(stage)).main, config=OPTIONS)
    options = {option for action in parser._actions for option in action.option_strings}
    used = {word for word in shlex.split(stage["cmd"]) if word.startswith("--")}
    assert used == options - {"-h", "--help"}
