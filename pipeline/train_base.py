"""Stage one of the paper: trains the base network of a protocol.

training crops → base network, history of its training
"""

import argparse
from pathlib import Path

from hpe_core.bins import BinSpec
from hpe_core.io.checkpoints import load_pretrained, save_network
from hpe_core.io.crops import Crops
from hpe_core.io.files import sha256
from hpe_core.io.state import SavedState
from hpe_core.io.work import unfinished
from hpe_core.networks import BaseNet
from hpe_core.params.learning import Augment, Base
from hpe_core.params.loading import load
from hpe_core.training import BaseTask, seeded
from pipeline._cli import run
from pipeline._compute import start
from pipeline._training import train


def main(
    *,
    params: Path,
    seed: int,
    crops: Path,
    weights: Path,
    work: Path,
    network: Path,
    history: Path,
) -> None:
    base, augment = load(params, "base", Base), load(params, "augment", Augment)
    fabric, compute = start(params, base.precision)
    source = Crops(crops)
    rows = source.training_rows
    net = seeded(lambda: BaseNet(base.backbone, [BinSpec(b) for b in base.bins_deg]), seed)
    provenance = load_pretrained(net.encoder_net, base.backbone, weights)
    origin = {
        "weights": provenance,
        "crops_sha256": sha256(crops),
        "faces": len(rows),
        "seed": seed,
    }
    sections = {"base": base.model_dump(), "augment": augment.model_dump()}
    computed_from = {**origin, **sections, "weights_sha256": sha256(weights)}
    with unfinished(work, network, computed_from, fabric) as kept:
        settings = (augment, base, seed, fabric, compute, history)
        task = BaseTask(net, base.label_std_deg)
        train(task, source, rows, *settings, progress=SavedState(kept))
        if fabric.is_global_zero:
            save_network(net, network, base.backbone, source.format.size_hw, origin)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--params", type=Path, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--crops", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True, help="folder of unfinished work")
    parser.add_argument("--network", type=Path, required=True)
    parser.add_argument("--history", type=Path, required=True)
    run(main, parser)
