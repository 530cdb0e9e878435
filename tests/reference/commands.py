"""docs/reference/commands.md: `hpe`, the commands beside the graph, and make's targets."""

import inspect
import re
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import typer
import tyro

from hpe_core.cli.app import app
from hpe_core.common.stage import OPTIONS
from tests.graph import ROOT, module_of, stages
from tests.reference.markdown import block, code, table
from tests.reference.markdown import page as whole

INTRO = """# Commands

`. .venv/bin/activate` puts the project's `hpe`, `dvc` and `python` on your path. Examples of each
`hpe` command, with output: [predict.md](../predict.md). DVC's commands:
[pipeline.md](../pipeline.md). The stages' own commands: [artifacts.md](artifacts.md).
"""
HPE = """## hpe

Every command has `--help`. Exit codes: [predict.md](../predict.md).
"""
BESIDE = """## Beside the graph

They read what stages wrote. `dvc repro` runs none of them.
"""


def page() -> str:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    return whole(
        INTRO,
        HPE,
        *(of_hpe(name, command) for name, command in commands.items()),
        BESIDE,
        *(of_module(module) for module in modules()),
        "## make",
        table(["command", "what"], targets()),
    )


def of_hpe(name: str, command: Any) -> str:
    rows = [(code(names(p)), default(p), p.help or "") for p in command.params]
    return "\n\n".join(
        [f"### hpe {name}", fenced(command.help), table(["option", "default", "meaning"], rows)]
    )


def fenced(text: str) -> str:
    """A command's help; what it sets apart from its paragraphs (Click's backspace) as a block."""
    return re.sub(
        r"\x08\n(.*?)(?=\n\n|$)", lambda m: block(m[1]), inspect.cleandoc(text), flags=re.S
    )


def names(parameter: Any) -> str:
    """As a user types it: `--draw FOLDER`, `PATH…`."""
    if parameter.param_type_name == "argument":
        return (parameter.metavar or parameter.name.upper()) + (
            "…" if parameter.nargs == -1 else ""
        )
    flag = getattr(parameter, "is_flag", False)
    return " ".join(
        [*parameter.opts, *([parameter.metavar] if parameter.metavar and not flag else [])]
    )


def default(parameter: Any) -> str:
    if parameter.required:
        return "required"
    if parameter.default in (None, False, ()):
        return ""
    return code(str(parameter.default))


def modules() -> list[str]:
    """Modules of pipeline/ that are commands and no stages."""
    of_stages = {module_of(stage) for stage in stages().values()}
    found = sorted(f"pipeline.{path.stem}" for path in ROOT.glob("pipeline/[!_]*.py"))
    return [name for name in found if name not in of_stages]


def of_module(module: str) -> str:
    command = import_module(module)
    parser = tyro.extras.get_parser(command.main, config=OPTIONS)
    rows = [
        (code(" ".join(action.option_strings)), (action.help or "").replace(" (default: None)", ""))
        for action in parser._actions
        if action.dest != "help"
    ]
    words = (
        f"### python -m {module}",
        prose(command.__doc__ or ""),
        table(["option", "meaning"], rows),
    )
    return "\n\n".join(words)


def prose(docstring: str) -> str:
    """A module's docstring, its commands as code."""
    lines = inspect.cleandoc(docstring).splitlines()
    commands = [line.strip() for line in lines if line.strip().startswith("python -m")]
    text = "\n".join(line for line in lines if line.strip() not in commands).strip()
    return "\n\n".join([re.sub(r"\n{2,}", "\n\n", text), block("\n".join(commands), "sh")])


def targets() -> Iterator[tuple[str, str]]:
    for name, what in re.findall(r"^([\w-]+):.*?##\s*(.*)$", (ROOT / "Makefile").read_text(), re.M):
        yield code(f"make {name}"), what
