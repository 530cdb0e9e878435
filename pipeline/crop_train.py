"""Cuts every face of a training set out once, and says which of them are for validation.

images, face table → crops (HDF5), how many faces train and validate
"""

import argparse
from pathlib import Path

from hpe_core.errors import InputError
from hpe_core.io.crops import CropFormat
from hpe_core.io.files import sha256, write_json
from hpe_core.params.faces import Crop
from hpe_core.params.loading import load, load_item
from hpe_core.params.protocols import Protocol
from hpe_core.splits import groups_of, hold_out
from pipeline._cli import run
from pipeline._cropping import write_set
from pipeline._selection import select_faces


def main(
    *, params: Path, protocol: str, folder: Path, faces: Path, work: Path, crops: Path, counts: Path
) -> None:
    rule = load(params, "crop", Crop)
    item = load_item(params, "protocols", protocol, Protocol)
    table = select_faces(faces, item.where)
    table = table.assign(validation=hold_out(table, item.validation), group=groups_of(table))
    validation = int(table["validation"].sum())
    training = len(table) - validation
    if training < 2:
        raise InputError(
            f"{faces}: {training} faces are left to train protocol {protocol} on, {validation} "
            f"are for validation; expected at least 2: is protocols.{protocol}.validation too high?"
        )
    write_set(crops, folder, table, CropFormat(**rule.model_dump()), sha256(faces), work)
    write_json({"training": training, "validation": validation}, counts)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--params", type=Path, required=True)
    parser.add_argument("--protocol", required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--faces", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True, help="folder of unfinished work")
    parser.add_argument("--crops", type=Path, required=True)
    parser.add_argument("--counts", type=Path, required=True)
    run(main, parser)
