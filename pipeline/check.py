"""Checks params.yaml and the presence of the corpora, so that mistakes show in seconds, not days.

    params.yaml → a mark that the first stages depend on; how crops are made, with their margin

The mark never changes, so a valid change re-runs only the stages that read its section. The margin
follows from several sections; cropping runs again only if it changes.
"""

from dataclasses import asdict
from pathlib import Path

from hpe_core.common.errors import InputError
from hpe_core.common.files import atomic, write_json
from hpe_core.common.settings import load
from hpe_core.common.stage import run
from hpe_core.corpora.readers import LAYOUTS
from hpe_core.corpora.settings import Data, Dataset
from hpe_core.params import validate_file
from hpe_core.training.settings import Base, Distill

RENDERED = Path("data/demo/corpora")  # made by data/demo/dvc.yaml when needed


def main(*, params: Path, checked: Path, crop_format: Path) -> None:
    crop = validate_file(params)
    root = Path(load(params, "data", Data).root)
    if root != RENDERED:
        for name, dataset in load(params, "datasets", dict[str, Dataset]).items():
            if not (root / name).exists():
                LAYOUTS[dataset.reader].entries(root / name)  # its error says how to get it
    for weights in (load(params, "base", Base).weights, load(params, "distill", Distill).weights):
        if not Path(weights).is_file():
            raise InputError(
                f"{params}: weights {weights!r}: no such file; expected a file in data/pretrained "
                "or your own state dict"
            )
    write_json({"crop": asdict(crop)}, crop_format)
    with atomic(checked) as temporary:
        temporary.write_text("params.yaml is valid\n")


if __name__ == "__main__":
    run(main)
