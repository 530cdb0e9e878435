"""The command `hpe`. A command imports torch and the like only when it runs: `--help` is quick."""

import os
import signal
import sys
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
from hpe_core.errors import InputError


class _OneLine(TyperGroup):
    """Every error is one line on stderr, as a stage's is.

    Exit codes: 1 for what an input is to blame for, 2 for a wrong command line, 130 for Ctrl-C and
    SIGTERM, 141 where nobody reads stdout any more. Anything else is our defect and keeps its
    traceback.
    """

    def main(self, *args: Any, **extra: Any) -> None:  # type: ignore[override]
        try:
            code = super().main(*args, **{**extra, "standalone_mode": False})
        except TyperException as error:
            _end(f"{_sentence(error)} `hpe --help` and `hpe COMMAND --help` say more.", 2)
        except (InputError, OSError) as error:
            _end(str(error), 1)
        _flush()
        sys.exit(code)

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            _nobody_reads()
        except KeyboardInterrupt:
            print("stopped", file=sys.stderr)
            raise  # Typer's exit code for it is 130


def _sentence(error: TyperException) -> str:
    message = error.format_message() if hasattr(error, "format_message") else str(error)
    message = message.replace("Value error, ", "")  # pydantic's
    message = message.removeprefix("Invalid value: ")  # where no option is named
    return message if message.endswith((".", "?", "!")) else f"{message}."


def _flush() -> None:
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _nobody_reads()


def _nobody_reads() -> None:
    """Of stdout, as after `| head`: the end, as for any program."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the interpreter's flush
    sys.exit(128 + signal.SIGPIPE)


def _end(message: str, code: int) -> None:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(code)


app = typer.Typer(
    cls=_OneLine,
    help="Head poses: of the faces in your images and videos, and between conventions.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain text, which pipes and narrow terminals show as it is
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _say_version(asked: bool) -> None:
    if asked:
        print(f"hpe {metadata.version('hpe-offset-ensemble')}")
        raise typer.Exit


def _example(words: str) -> str:
    return f"\b\nExample: hpe {words}"


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


_NEGATIVE = {"ignore_unknown_options": True}  # numbers
app.command(epilog=_example("predict photo.jpg --network n.safetensors --draw drawn"))(predict)
_CONVERT = _example("convert --from pyr --to quaternion -10 20 30")
app.command(epilog=_CONVERT, context_settings=_NEGATIVE)(convert)
app.command(epilog=_example("data --params pipeline/profiles/paper.yaml"))(data)
app.command(epilog=_example("doctor --network n.safetensors"))(doctor)
app.command(epilog=_example("evaluate n.safetensors --corpus faces --out errors.csv"))(evaluate)
app.command(epilog=_example("export n.safetensors --out n.onnx"))(export)


def main() -> None:
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    app(prog_name="hpe")
