"""Checks params.yaml and looks for the corpora before anything runs: seconds, not days.

    params.yaml → a file that says so, on which the first stages wait

The file is always the same, so a valid change re-runs only the stages that read it.
"""

import argparse
from pathlib import Path

from hpe_core.errors import InputError
from hpe_core.io.annotations import READERS
from hpe_core.io.files import atomic
from hpe_core.params.check import validate_file
from hpe_core.params.learning import Base, Distill
from hpe_core.params.loading import load
from hpe_core.params.protocols import Data, Dataset
from pipeline._cli import run

DRAWN = Path("data/demo/corpora")  # drawn when they are needed


def main(*, params: Path, checked: Path) -> None:
    validate_file(params)
    root = Path(load(params, "data", Data).root)
    if root != DRAWN:
        for name, dataset in load(params, "datasets", dict[str, Dataset]).items():
            if not (root / name).exists():
                READERS[dataset.reader](root / name)  # its error says how to get it
    for weights in (load(params, "base", Base).weights, load(params, "distill", Distill).weights):
        if not Path(weights).is_file():
            raise InputError(
                f"{params}: weights {weights!r}: no such file; expected one of data/pretrained "
                "(README) or a state dict of your own"
            )
    with atomic(checked) as temporary:
        temporary.write_text("params.yaml is valid\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--params", type=Path, required=True)
    parser.add_argument("--checked", type=Path, required=True)
    run(main, parser)
