"""Crops a training set and holds out validation faces: images, face table → crops, counts."""

from pathlib import Path

from hpe_core.common.errors import InputError
from hpe_core.common.files import write_json
from hpe_core.common.settings import load, load_item
from hpe_core.common.stage import run
from hpe_core.corpora.selection import select_faces
from hpe_core.corpora.settings import Protocol
from hpe_core.corpora.splits import groups_of, hold_out
from hpe_core.crops.settings import CropFormat
from hpe_core.faces.cut_sets import origin_of_set, write_set


def main(
    *,
    params: Path,
    crop_format: Path,
    protocol: str,
    folder: Path,
    faces: Path,
    work: Path,
    crops: Path,
    counts: Path,
) -> None:
    rules = load(crop_format, "crop", CropFormat)
    item = load_item(params, "protocols", protocol, Protocol)
    table = select_faces(faces, item.where)
    table = table.assign(validation=hold_out(table, item.validation), group=groups_of(table))
    validation = int(table["validation"].sum())
    training = len(table) - validation
    if training < 2:
        raise InputError(
            f"{faces}: protocol {protocol} has {training} training and {validation} validation "
            f"faces; expected at least 2 for training: is protocols.{protocol}.validation too high?"
        )
    write_set(crops, folder, table, rules, origin_of_set(params, faces), work)
    write_json({"training": training, "validation": validation}, counts)


if __name__ == "__main__":
    run(main)
