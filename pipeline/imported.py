"""Evaluates a network published elsewhere on one corpus: a row of Table 5.

    .pth with the published names, crops → metrics

The crops decide how the network sees a face: with `crop.rule: published` a number published with
the paper can be checked.
"""

import argparse
from pathlib import Path

import numpy as np

from hpe_core.boxes import offset_grid
from hpe_core.io.checkpoints import load_published
from hpe_core.io.files import write_json
from hpe_core.metrics import summary
from hpe_core.params.loading import load, load_item
from hpe_core.params.protocols import Imported
from hpe_core.params.results import Evaluate
from pipeline._cli import run
from pipeline._compute import start
from pipeline._inference import window_probs_of
from pipeline._selection import select_crops


def main(
    *, params: Path, imported: str, faces: Path, crops: Path, network: Path, metrics: Path
) -> None:
    settings = load(params, "evaluate", Evaluate)
    item = load_item(params, "imported", imported, Imported)
    fabric, compute = start(params, settings.precision)
    source, rows = select_crops(crops, faces, item.where)
    net = load_published(network, item.backbone)
    batches = window_probs_of(net, source, rows, offset_grid(0, 1), fabric, compute)
    pyr_deg = np.concatenate([net.spec.expectation(probs[:, 0]).cpu().numpy() for probs in batches])
    write_json(summary(pyr_deg, source.pyr_deg[rows], settings.yaw_bands_deg), metrics)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--params", type=Path, required=True)
    parser.add_argument("--imported", required=True)
    parser.add_argument("--faces", type=Path, required=True)
    parser.add_argument("--crops", type=Path, required=True)
    parser.add_argument("--network", type=Path, required=True)
    parser.add_argument("--metrics", type=Path, required=True)
    run(main, parser)
