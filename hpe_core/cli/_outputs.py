"""Where a command may write: said before anything is read, so that no input is lost."""

from collections.abc import Iterable
from pathlib import Path

import typer

SUFFIXES = (".csv", ".json", ".parquet")  # of tables


def check_name(out: Path, suffixes: Iterable[str] | None, otherwise: str = "") -> None:
    """A new file, or one to be replaced, in a folder that is there.

    suffixes: with which its name must end; None: any. otherwise: what else can be done. Raises
    BadParameter.
    """
    expected = f"expected a name that ends in {' or '.join(suffixes)}" if suffixes else ""
    if suffixes and out.suffix.lower() not in suffixes:
        raise typer.BadParameter(f"--out is {out}; {expected}{otherwise}.")
    if not out.parent.is_dir():
        raise typer.BadParameter(f"--out is {out}; no such folder: {out.parent}.")
    if out.exists() and not out.is_file():
        raise typer.BadParameter(f"--out is {out}, which is no file; expected one.")


def check_no_input(out: Path, inputs: Iterable[Path | None]) -> None:
    """The file is none of the inputs, by whatever name. Raises BadParameter."""
    if not out.exists():
        return
    for path in inputs:
        if path and path.exists() and out.samefile(path):
            raise typer.BadParameter(f"--out is {out}, an input; it would be lost.")
