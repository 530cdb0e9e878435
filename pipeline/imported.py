"""Evaluates a network published elsewhere on one corpus: a row of Table 5.

    .pth with the published names, images, face table → metrics

It cuts its own crops, by the rule and size that params.yaml gives it: with `crop: published` and
the published boxes, a number published with the paper can be checked.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hpe_core.cropping import Pixels
from hpe_core.ensemble import CENTRE
from hpe_core.inference import each_window
from hpe_core.io.checkpoints import load_published
from hpe_core.io.crops import CropFormat
from hpe_core.io.files import write_json
from hpe_core.io.tables import PYR
from hpe_core.metrics import mae_by_yaw, summary
from hpe_core.params.loading import load, load_item
from hpe_core.params.protocols import Imported
from hpe_core.params.results import Evaluate
from pipeline._cli import run
from pipeline._compute import start
from pipeline._cropping import crop_face
from pipeline._selection import select_faces


class FacesInImages:
    """A crop source that cuts each face when it is asked for: nothing is lost to a codec."""

    def __init__(self, folder: Path, table: pd.DataFrame, crop_format: CropFormat) -> None:
        self.folder, self.format = folder, crop_format
        self.faces: list[dict[Any, Any]] = table.to_dict("records")
        self.pyr_deg = table[PYR].to_numpy("f8")

    def __getitem__(self, row: int) -> Pixels:
        return crop_face(self.folder, self.faces[row], self.format)


def main(
    *, params: Path, imported: str, folder: Path, faces: Path, network: Path, metrics: Path
) -> None:
    settings = load(params, "evaluate", Evaluate)
    item = load_item(params, "imported", imported, Imported)
    fabric, compute = start(params, settings.precision)
    table = select_faces(faces, item.where)
    size_hw = (item.size_px, item.size_px)
    crops = FacesInImages(
        folder, table, CropFormat(*size_hw, 0, item.crop, "replicate", "raw", jpeg_quality=95)
    )
    net = load_published(network, item.backbone)
    rows = np.arange(len(table))
    batches = each_window(net, crops, rows, CENTRE, size_hw, fabric, compute.infer_batch)
    pyr_deg = np.concatenate([net.spec.expectation(probs[:, 0]).cpu().numpy() for probs in batches])
    bands = mae_by_yaw(pyr_deg, crops.pyr_deg, settings.yaw_bands_deg)
    write_json({**summary(pyr_deg, crops.pyr_deg), "abs_yaw": bands}, metrics)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--params", type=Path, required=True)
    parser.add_argument("--imported", required=True)
    parser.add_argument("--faces", type=Path, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--network", type=Path, required=True)
    parser.add_argument("--metrics", type=Path, required=True)
    run(main, parser)
