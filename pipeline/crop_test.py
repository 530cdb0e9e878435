"""Crops the faces of a test set: images, face table → crops (HDF5)."""

from pathlib import Path

from hpe_core.common.settings import load, load_item
from hpe_core.common.stage import run
from hpe_core.corpora.selection import select_faces
from hpe_core.corpora.settings import Test
from hpe_core.corpora.splits import groups_of
from hpe_core.crops.settings import CropFormat
from hpe_core.faces.cut_sets import origin_of_set, write_set


def main(
    *,
    params: Path,
    crop_format: Path,
    test: str,
    folder: Path,
    faces: Path,
    work: Path,
    crops: Path,
) -> None:
    rules = load(crop_format, "crop", CropFormat)
    table = select_faces(faces, load_item(params, "tests", test, Test).where)
    table = table.assign(validation=False, group=groups_of(table))
    write_set(crops, folder, table, rules, origin_of_set(params, faces), work)


if __name__ == "__main__":
    run(main)
