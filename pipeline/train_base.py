"""Stage one of the paper: training crops → base network, training history."""

from pathlib import Path

from hpe_core.common.files import sha256
from hpe_core.common.settings import load
from hpe_core.common.stage import run
from hpe_core.crops.store import Crops
from hpe_core.networks.bins import BinSpec
from hpe_core.networks.checkpoints import load_pretrained, save_network
from hpe_core.networks.model import BaseNet
from hpe_core.training.loop import seeded
from hpe_core.training.run import Training, provenance_of, train
from hpe_core.training.settings import REGRESSION_UNIT_DEG, Augment, Base
from hpe_core.training.state import SavedState
from hpe_core.training.tasks import BaseTask
from hpe_core.work.device import start
from hpe_core.work.resume import unfinished


def main(
    *, params: Path, seed: int, crops: Path, weights: Path, work: Path, network: Path, history: Path
) -> None:
    base, augment = load(params, "base", Base), load(params, "augment", Augment)
    fabric, compute = start(params, base.precision)
    source = Crops(crops)
    specs, regresses = [BinSpec(width) for width in base.bins_deg], base.regression != "none"
    net = seeded(lambda: BaseNet(base.backbone, specs, regression=regresses), seed)
    pretrained = load_pretrained(net.encoder_net, base.backbone, weights)
    origin = provenance_of(source, pretrained, seed)
    sections = {"base": base.model_dump(), "augment": augment.model_dump()}
    computed_from = {**origin, **sections, "weights_sha256": sha256(weights)}
    with unfinished(work, network, computed_from, fabric) as kept:
        task = BaseTask(net, base.label_std_deg, REGRESSION_UNIT_DEG[base.regression])
        training = Training(source, augment, base, seed)
        train(task, training, fabric, compute.workers, history, SavedState(kept))
        if fabric.is_global_zero:
            save_network(net, network, base.backbone, source.format.size_hw, origin)


if __name__ == "__main__":
    run(main)
