"""Cuts every face out once; the last stage that sees the corpora's own files.

images, face table → crops (HDF5)
"""

import argparse
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from hpe_core.io.crops import CropFormat, encode, write_crops
from hpe_core.io.files import sha256
from hpe_core.io.tables import DETECTED_BOX, read_table
from hpe_core.params.faces import Crop
from hpe_core.params.loading import load
from pipeline._cli import run
from pipeline._cropping import crop_face

_IN_FLIGHT = 256  # images decoded ahead of the writer: bounds the memory


def main(*, params: Path, folder: Path, faces: Path, crops: Path) -> None:
    rule = load(params, "crop", Crop)
    table = read_table(faces, ["face_id", "image", *DETECTED_BOX])
    crop_format = CropFormat(**rule.model_dump())
    encoded = encoded_crops(folder, table, crop_format)
    write_crops(crops, table, encoded, crop_format, faces_sha256=sha256(faces))


def encoded_crops(folder: Path, table: pd.DataFrame, crop_format: CropFormat) -> Iterator[bytes]:
    """One encoded crop a face, in the order of the table; decoding runs ahead in threads."""
    with ThreadPoolExecutor() as pool, tqdm(total=len(table), unit="face", desc=folder.name) as bar:
        for start in range(0, len(table), _IN_FLIGHT):
            some = table.iloc[start : start + _IN_FLIGHT].to_dict("records")
            for crop in pool.map(lambda face: crop_face(folder, face, crop_format), some):
                yield encode(crop, crop_format)
                bar.update()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--params", type=Path, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--faces", type=Path, required=True)
    parser.add_argument("--crops", type=Path, required=True)
    run(main, parser)
