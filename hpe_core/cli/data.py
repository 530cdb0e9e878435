"""`hpe data`: the corpora that params.yaml expects, and whether they are there."""

from pathlib import Path
from typing import Annotated

import typer

from hpe_core.cli.options import JsonOption, check_params, print_each


def data(
    *,
    params: Annotated[Path, typer.Option(help="The params file that names the corpora.")] = Path(
        "params.yaml"
    ),
    as_json: JsonOption = False,
) -> None:
    """List the expected corpora, and what is found of each.

    Counts are compared with what the owners publish. Reads every label and every image's header,
    as `dvc repro` does; that takes minutes for whole corpora. The exit code is 1 if a corpus, the
    detector or the published boxes are missing.
    """
    check_params(params)
    from hpe_core.corpora.inventory import describe_input, find_inputs  # pandas takes a moment

    found = print_each(find_inputs(params), as_json, describe_input)
    raise typer.Exit(any(one.state == "missing" for one in found))
