"""docs/reference/commands.md: `hpe`, the commands beside the graph, and make's targets."""

import argparse
import inspect
import re
import runpy
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import typer

from hpe_core.cli.app import app
from tests.graph import ROOT, module_of, stages
from tests.reference.markdown import block, code, table
from tests.reference.markdown import page as whole

INTRO = """# Commands

After `. .venv/bin/activate`, `hpe`, `dvc` and `python` are those of the project. What each `hpe`
command does, with its output: [predict.md](../predict.md). The stages' own commands:
[artifacts.md](artifacts.md).
"""
HPE = """## hpe

Every command has `--help`. Exit codes: 0; 1 for an input that cannot be used; 2 for a wrong command
line; 130 for Ctrl-C or SIGTERM; 141 where nobody reads stdout any more (`| head`).
"""
BESIDE = """## Beside the graph

They read what stages wrote; `dvc repro` runs none of them.
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


class _ParsedError(Exception):
    """Carries the parser out of a module."""


def of_module(module: str) -> str:
    parser = parser_of(module)
    rows = [
        (
            code(" ".join([*action.option_strings])),
            "required" if action.required else of_action(action),
            action.help or "",
        )
        for action in parser._actions
        if action.dest != "help"
    ]
    words = (
        f"### python -m {module}",
        prose(parser.description or ""),
        table(["option", "default", "meaning"], rows),
    )
    return "\n\n".join(words)


def of_action(action: argparse.Action) -> str:
    return "" if action.default is None else code(str(action.default))


def parser_of(module: str) -> argparse.ArgumentParser:
    """What the module would parse its command line with."""

    def caught(parser: argparse.ArgumentParser, *_: Any) -> None:
        raise _ParsedError(parser)

    with patch.object(argparse.ArgumentParser, "parse_args", caught):
        try:
            runpy.run_module(module, run_name="__main__")
        except _ParsedError as parsed:
            return parsed.args[0]
    raise ValueError(f"{module} parses no command line")


def prose(docstring: str) -> str:
    """A module's docstring, its commands as code."""
    lines = inspect.cleandoc(docstring).splitlines()
    commands = [line.strip() for line in lines if line.strip().startswith("python -m")]
    text = "\n".join(line for line in lines if line.strip() not in commands).strip()
    return "\n\n".join([re.sub(r"\n{2,}", "\n\n", text), block("\n".join(commands), "sh")])


def targets() -> Iterator[tuple[str, str]]:
    for name, what in re.findall(r"^([\w-]+):.*?##\s*(.*)$", (ROOT / "Makefile").read_text(), re.M):
        yield code(f"make {name}"), what
