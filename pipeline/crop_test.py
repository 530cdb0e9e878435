"""Cuts every face of a test set out once; no stage after the crops sees the corpora's own files.

images, face table → crops (HDF5)
"""

import argparse
from pathlib import Path

from hpe_core.io.crops import CropFormat
from hpe_core.io.files import sha256
from hpe_core.params.faces import Crop
from hpe_core.params.loading import load, load_item
from hpe_core.params.protocols import Test
from hpe_core.splits import groups_of
from pipeline._cli import run
from pipeline._cropping import write_set
from pipeline._selection import select_faces


def main(*, params: Path, test: str, folder: Path, faces: Path, work: Path, crops: Path) -> None:
    rule = load(params, "crop", Crop)
    table = select_faces(faces, load_item(params, "tests", test, Test).where)
    table = table.assign(validation=False, group=groups_of(table))
    write_set(crops, folder, table, CropFormat(**rule.model_dump()), sha256(faces), work)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--params", type=Path, required=True)
    parser.add_argument("--test", required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--faces", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True, help="folder of unfinished work")
    parser.add_argument("--crops", type=Path, required=True)
    run(main, parser)
