"""`hpe data`: which corpora params.yaml expects, and what of them is there."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from hpe_core.cli._options import check_params


def data(
    *,
    params: Annotated[Path, typer.Option(help="The params file that names the corpora.")] = Path(
        "params.yaml"
    ),
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON array, an object for each input.")
    ] = False,
) -> None:
    """Say which corpora are expected where, and what is there.

    Beside it stands what their owners publish. Every label and the header of every image is read,
    as `dvc repro` will: minutes for the whole corpora. The exit code is 1 if a corpus is missing,
    or the detector or the published boxes are.
    """
    check_params(params)
    from hpe_core.cli import _corpora  # pandas and SciPy take a moment

    found = []
    for one in _corpora.inputs(params):
        found.append(one)
        if not as_json:
            print(_corpora.text(one))
    if as_json:
        print(json.dumps([asdict(one) for one in found], indent=1))
    raise typer.Exit(any(one.state == "missing" for one in found))
