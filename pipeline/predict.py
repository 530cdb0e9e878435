"""Runs all networks of a protocol on all faces that they are measured on.

    networks, crops of the protocol → predictions: of the validation faces, of every test set, of a
    sample of it with boxes shifted and resized by known amounts; and the base network's
    distributions for some training faces

One run serves the base network, its ensemble and all students, with all seeds, so that they are
compared on the same faces. Measuring needs no network: an edit of `evaluation` runs none again.
"""

from pathlib import Path

from hpe_core.common.files import sha256
from hpe_core.common.settings import load
from hpe_core.common.stage import run
from hpe_core.corpora.settings import Test
from hpe_core.crops.store import Crops
from hpe_core.evaluation.names import is_part
from hpe_core.evaluation.settings import Evaluate, Jitter
from hpe_core.prediction.candidates import candidates, check_family
from hpe_core.prediction.face_sets import (
    jittered_sample,
    training_sample,
    validation_set,
    whole_set,
)
from hpe_core.prediction.predictions import Session, write_predictions, write_single_windows
from hpe_core.teacher.settings import Ensemble
from hpe_core.teacher.windows import windows_of
from hpe_core.work.device import start
from hpe_core.work.resume import unfinished


def main(
    *, params: Path, protocol: str, crops: Path, networks: Path, work: Path, predictions: Path
) -> None:
    levels, grid = load(params, "jitter", Jitter), load(params, "ensemble", Ensemble)
    precision = load(params, "evaluate", Evaluate).precision
    fabric, compute = start(params, precision)
    every, training = list(candidates(params, networks)), Crops(crops / "train.h5")
    tests = {
        name: Crops(crops / f"tests/{name}.h5")
        for name, test in load(params, "tests", dict[str, Test]).items()
        if test.protocol == protocol
    }
    check_family(every, training, list(tests.values()))
    sets = [validation_set(training)]
    for name, source in tests.items():
        sets += [whole_set(name, source), jittered_sample(name, source, levels, windows_of(grid))]
    paths = [*(each.path for each in every), training.path, *(each.path for each in tests.values())]
    computed_from = {
        "jitter": levels.model_dump(),
        "ensemble": grid.model_dump(),
        "precision": precision,
        "inputs": {str(path): sha256(path) for path in paths},
        "infer_batch": compute.infer_batch,
    }
    with unfinished(work, predictions, computed_from, fabric) as kept:
        session = Session(fabric, compute.infer_batch, precision, kept)
        for faces in sets:
            shown = [each for each in every if faces.jittered is None or not is_part(each.name)]
            write_predictions(predictions / f"{faces.name}.parquet", shown, faces, session)
        few = training_sample(training)
        write_single_windows(predictions / "training.h5", every[0], few, session)


if __name__ == "__main__":
    run(main)
