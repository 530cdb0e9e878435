"""Every network of a protocol on its validation faces: here settings are chosen, never on a test.

    networks, training crops → metrics, factors that make the networks' std the right size

Without validation faces there are no metrics and no factors.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from hpe_core.calibration import scale_factors
from hpe_core.evaluation import summaries
from hpe_core.io.checkpoints import load_network
from hpe_core.io.crops import Crops
from hpe_core.io.files import write_json
from hpe_core.io.tables import write_csv
from hpe_core.params.loading import load
from hpe_core.params.results import Evaluate
from pipeline._cli import run
from pipeline._compute import start
from pipeline._lineage import check_trained_on
from pipeline._predictions import candidates, check_family, predictions_of


def main(*, params: Path, crops: Path, networks: Path, metrics: Path, calibration: Path) -> None:
    fabric, compute = start(params, load(params, "evaluate", Evaluate).precision)
    source = Crops(crops)
    rows = np.flatnonzero(source.validation)
    chosen = list(candidates(params, networks)) if len(rows) else []
    if chosen:
        check_family(chosen, source)
        check_trained_on(chosen[0].path, load_network(chosen[0].path)[1]["provenance"], crops)
    parts = [predictions_of(each, source, rows, fabric, compute) for each in chosen]
    table = pd.concat(parts) if parts else pd.DataFrame(columns=["network", "seed"])
    write_json(summaries(table), metrics)
    write_csv(scale_factors(table), calibration)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--params", type=Path, required=True)
    parser.add_argument("--crops", type=Path, required=True)
    parser.add_argument("--networks", type=Path, required=True)
    parser.add_argument("--metrics", type=Path, required=True)
    parser.add_argument("--calibration", type=Path, required=True)
    run(main, parser)
