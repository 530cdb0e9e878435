"""The command `hpe`. Commands import torch and pandas only when they run: `--help` is quick."""

import os
import signal
import sys
import warnings
from collections.abc import Callable
from importlib import metadata
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from hpe_core.cli.convert import convert
from hpe_core.cli.data import data
from hpe_core.cli.doctor import doctor
from hpe_core.cli.evaluate import evaluate
from hpe_core.cli.export import export
from hpe_core.cli.predict import predict
from hpe_core.cli.weights import weights
from hpe_core.common.errors import InputError

_CLOSED = 141  # 128 + SIGPIPE, which Windows does not have
EXTRA = "pip install 'hpe-offset-ensemble[pipeline]'"


class _OneLine(TyperGroup):
    """Prints every error as one line on stderr, as the stages do.

    Exit codes: 1 for a bad input, 2 for a wrong command line, 130 for Ctrl-C and SIGTERM, 141 for a
    closed stdout. Anything else is our defect and keeps its traceback.
    """

    def main(self, *args: Any, **extra: Any) -> None:  # type: ignore[override]
        try:
            code = super().main(*args, **{**extra, "standalone_mode": False})
        except TyperException as error:
            _end(f"{_sentence(error)} See `hpe --help` and `hpe COMMAND --help`.", 2)
        except (InputError, OSError) as error:
            _end(str(error), 1)
        except ModuleNotFoundError as error:
            if (error.name or "hpe_core").partition(".")[0] == "hpe_core":
                raise
            _end(f"this needs {error.name}, which predicting does not: {EXTRA}", 1)
        try:
            sys.stdout.flush()
        except BrokenPipeError:
            _stdout_closed()
        sys.exit(code)

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            _stdout_closed()
        except KeyboardInterrupt:
            print("stopped", file=sys.stderr)
            raise  # Typer's exit code for it is 130


def _sentence(error: TyperException) -> str:
    message = error.format_message() if hasattr(error, "format_message") else str(error)
    message = message.replace("Value error, ", "")  # pydantic's
    message = message.removeprefix("Invalid value: ")  # without an option's name
    return message if message.endswith((".", "?", "!")) else f"{message}."


def _stdout_closed() -> None:
    """Exits as other programs do when a pipe such as `| head` closes their stdout."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the interpreter's flush
    sys.exit(_CLOSED)


def _end(message: str, code: int) -> None:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(code)


app = typer.Typer(
    cls=_OneLine,
    help="Head poses of the faces in images and videos; poses in other conventions.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain text, which pipes and narrow terminals show as it is
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _say_version(asked: bool) -> None:
    if asked:
        print(f"hpe {metadata.version('hpe-offset-ensemble')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_say_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    pass


_EXAMPLES: dict[Callable[..., None], str] = {
    predict: "predict photo.jpg --draw drawn",
    convert: "convert --from pyr --to quaternion -10 20 30",
    data: "data --params pipeline/profiles/paper.yaml",
    doctor: "doctor",
    evaluate: "evaluate n.safetensors --corpus faces --out errors.csv",
    export: "export n.safetensors --out n.onnx",
    weights: "weights",
}
for _command, _words in _EXAMPLES.items():
    _settings = {"ignore_unknown_options": _command is convert}  # it takes negative numbers
    app.command(epilog=f"\b\nExample: hpe {_words}", context_settings=_settings)(_command)


def main() -> None:
    warnings.filterwarnings("ignore", module=r"PIL\.")  # of odd metadata, with paths of Pillow's
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    app(prog_name="hpe")
