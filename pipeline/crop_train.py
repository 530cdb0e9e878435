"""Crops a training set and holds out validation faces: images, face tables → crops, counts."""

from pathlib import Path

from hpe_core.common.errors import InputError
from hpe_core.common.files import write_json
from hpe_core.common.settings import load, load_item
from hpe_core.common.stage import run
from hpe_core.corpora.selection import select_training
from hpe_core.corpora.settings import Protocol
from hpe_core.crops.settings import CropFormat
from hpe_core.faces.cut_sets import origin_of_set, write_set


def main(
    *,
    params: Path,
    crop_format: Path,
    protocol: str,
    root: Path,
    faces: Path,
    work: Path,
    crops: Path,
    counts: Path,
) -> None:
    rules = load(crop_format, "crop", CropFormat)
    item = load_item(params, "protocols", protocol, Protocol)
    table = select_training(faces, item)
    validation = int(table["validation"].sum())
    training = len(table) - validation
    if training < 2:
        raise InputError(
            f"{faces}: protocol {protocol} has {training} training and {validation} validation "
            f"faces, by a validation share of {item.validation:g}; expected at least 2 for training"
        )
    origin = origin_of_set(params, *(faces / f"{name}.parquet" for name in item.train))
    write_set(crops, root, table, rules, origin, work)
    write_json({"training": training, "validation": validation}, counts)


if __name__ == "__main__":
    run(main)
