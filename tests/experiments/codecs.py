"""How much do compressed crops change what is measured?

    python -m tests.experiments.codecs --params params.yaml --crops data/crops/test/p1-BIWI.h5 \
        --networks data/models/p1

Raw crops are coded again, and all networks of a protocol predict all faces from every code. Prints
one row a code and kind of network.
"""

import argparse
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hpe_core.errors import InputError
from hpe_core.io.crops import Crops, encode, write_crops
from hpe_core.predictions import PYR, TRUE_PYR
from pipeline._cli import run
from pipeline._compute import start
from pipeline._predictions import candidates, predictions_of

CODES = [("png", 95), ("jpeg", 100), ("jpeg", 95), ("jpeg", 90), ("jpeg", 75)]


def recoded(
    crops: Crops, rows: NDArray[np.int64], path: Path, codec: str, jpeg_quality: int
) -> Crops:
    """A file of the chosen faces, in that order, with their pixels coded otherwise."""
    crop_format = replace(crops.format, codec=codec, jpeg_quality=jpeg_quality)
    faces = pd.DataFrame(crops.pyr_deg, columns=PYR).assign(
        face_id=crops.face_id, group=crops.group, validation=crops.validation
    )
    pixels = (encode(crops[row], crop_format) for row in rows)
    write_crops(path, faces.iloc[rows], pixels, crop_format, crops.faces_sha256)
    return Crops(path)


def changes(raw: pd.DataFrame, coded: pd.DataFrame) -> pd.DataFrame:
    """By kind of network: raw's MAE, the largest change of any seed's, and of faces' angles."""
    moved = np.abs(coded[PYR].to_numpy() - raw[PYR].to_numpy())
    errors = [
        np.abs(table[PYR].to_numpy() - table[TRUE_PYR].to_numpy()).mean(1) for table in (raw, coded)
    ]
    table = raw[["network", "seed"]].assign(
        mae=errors[0], change=errors[1] - errors[0], moved=moved.mean(1), farthest=moved.max(1)
    )
    runs = table.groupby(["network", "seed"], sort=False)
    measured = runs.agg({"mae": "mean", "change": "mean", "moved": "mean", "farthest": "max"})
    measured["change"] = measured["change"].abs()
    kinds = measured.groupby("network", sort=False)
    return kinds.agg({"mae": "mean", "change": "max", "moved": "mean", "farthest": "max"})


def main(*, params: Path, crops: Path, networks: Path) -> None:
    fabric, compute = start(params, "32-true")
    source, chosen = Crops(crops), list(candidates(params, networks))
    if source.format.codec != "raw":
        raise InputError(f"{crops}: expected raw crops, found {source.format.codec}")

    rows = np.arange(len(source))

    def predicted(crops: Crops) -> pd.DataFrame:
        return pd.concat([predictions_of(each, crops, rows, fabric, compute) for each in chosen])

    raw, parts = predicted(source), {}
    with TemporaryDirectory() as folder:
        for codec, quality in CODES:
            path = Path(folder) / f"{codec}-{quality}.h5"
            coded = changes(raw, predicted(recoded(source, rows, path, codec, quality)))
            share = path.stat().st_size / crops.stat().st_size
            parts[codec, quality] = coded.assign(size=share)
    table = pd.concat(parts, names=["codec", "quality"]).reset_index()
    print(table.round(4).to_markdown(index=False))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--params", type=Path, required=True)
    parser.add_argument("--crops", type=Path, required=True)
    parser.add_argument("--networks", type=Path, required=True)
    run(main, parser)
