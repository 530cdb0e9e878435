"""Runs a network published elsewhere on one corpus, for a row of Table 5.

    .pth with the published tensor names, images, face table → predictions

Cuts its own crops, with its own rule and size from params.yaml: `crop: published` and the published
boxes can reproduce a published number.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hpe_core.common.settings import load, load_item
from hpe_core.common.stage import run
from hpe_core.common.table_files import PYR, write_table
from hpe_core.corpora.selection import select_faces
from hpe_core.corpora.settings import Imported
from hpe_core.crops.settings import CropRules
from hpe_core.crops.window import Pixels
from hpe_core.evaluation.columns import ORDER, TRUE_PYR
from hpe_core.evaluation.settings import Evaluate
from hpe_core.faces.face_rows import read_face
from hpe_core.networks.checkpoints import load_published
from hpe_core.teacher.ensemble import CENTRE
from hpe_core.teacher.windows import Runner, each_window
from hpe_core.work.device import start


class FacesInImages:
    """A crop source that cuts faces on demand, without loss to a codec."""

    def __init__(self, folder: Path, table: pd.DataFrame, rules: CropRules) -> None:
        self.folder, self.rules = folder, rules
        self.faces: list[dict[Any, Any]] = table.to_dict("records")
        self.pyr_deg = table[PYR].to_numpy("f8")

    def __getitem__(self, row: int) -> Pixels:
        return read_face(self.folder, self.faces[row], self.rules)


def main(
    *, params: Path, imported: str, folder: Path, faces: Path, network: Path, predictions: Path
) -> None:
    item = load_item(params, "imported", imported, Imported)
    fabric, compute = start(params, load(params, "evaluate", Evaluate).precision)
    table = select_faces(faces, item.where)
    size_hw = (item.size_px, item.size_px)
    rules = CropRules(item.size_px, item.size_px, margin=0, rule=item.crop, border="replicate")
    crops = FacesInImages(folder, table, rules)
    net = load_published(network, item.backbone)
    rows = np.arange(len(table))
    runner = Runner(net, fabric, compute.infer_batch)
    batches = each_window(runner, crops, rows, CENTRE, size_hw)
    pyr_deg = np.concatenate([net.spec.expectation(probs[:, 0]).cpu().numpy() for probs in batches])
    numbers = np.hstack([pyr_deg.astype("f8"), crops.pyr_deg])
    said = table[["face_id", ORDER]].join(pd.DataFrame(numbers, columns=[*PYR, *TRUE_PYR]))
    write_table(said, predictions)


if __name__ == "__main__":
    run(main)
