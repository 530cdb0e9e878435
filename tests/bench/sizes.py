"""What do smaller networks, smaller faces and 8-bit weights cost?

    python -m tests.bench.sizes ../32px ../64px --out docs/speed/mae.csv

Every project is a checkout after `dvc repro`, with a `crop:` of its own. All its networks are
measured on all faces of their test sets as ONNX Runtime runs them, in float32 and in int8; int8 is
calibrated on faces that were held out of their training. Writes one row per network, seed and test
set.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm
from tyro.conf import Positional

from hpe_core.common.errors import InputError
from hpe_core.common.files import atomic
from hpe_core.common.settings import load
from hpe_core.common.stage import run
from hpe_core.corpora.settings import Test
from hpe_core.crops.store import Crops
from hpe_core.crops.window import rotated_window
from hpe_core.evaluation.metrics import summary
from hpe_core.evaluation.networks import trained_networks
from hpe_core.inference.onnx_export import batches, to_int8, to_onnx
from hpe_core.networks.checkpoints import load_network
from hpe_core.prediction.candidates import candidates, check_family
from hpe_core.runtime.network import Faces, angles, open_session

CALIBRATING = 200  # faces; as `hpe export`


def faces_of(crops: Crops, rows: NDArray[np.int64]) -> Faces:
    return np.stack([rotated_window(crops[row], crops.format.size_hw, 0) for row in rows])


def mae_deg(model: bytes, faces: Faces, pyr_deg: NDArray[np.float64]) -> float:
    session = open_session(model)
    found = np.concatenate([angles(session, some)[0] for some in batches(faces)])
    return float(summary(found, pyr_deg)["mae"])


def measured(project: Path) -> Iterator[dict[str, Any]]:
    params = project / "params.yaml"
    for name, test in load(params, "tests", dict[str, Test]).items():
        folder = project / "data/crops" / test.protocol
        crops, training = Crops(folder / f"tests/{name}.h5"), Crops(folder / "train.h5")
        held_out = np.flatnonzero(training.validation)
        if not held_out.size:
            raise InputError(f"{training.path}: no validation faces to calibrate int8 on")
        held_out = np.random.default_rng(0).permutation(held_out)[:CALIBRATING]
        calibrating, faces = faces_of(training, held_out), faces_of(crops, np.arange(len(crops)))
        networks = [
            each
            for each in candidates(params, project / "data/models" / test.protocol)
            if each.name in trained_networks(params) and each.path.exists()
        ]
        if not networks:
            raise InputError(f"{project}: no networks of {test.protocol}; run `dvc repro` there")
        check_family(networks, training, [crops])
        for each in tqdm(networks, desc=f"{project.name} {name}", unit="network"):
            network, metadata = load_network(each.path)
            model = to_onnx(network, crops.format.size_hw, 18, {})
            small = to_int8(model, calibrating, training.path.name)
            yield {
                "network": each.name,
                "backbone": metadata["backbone"],
                "px": crops.format.height,
                "seed": each.seed,
                "test": name,
                "faces": len(faces),
                "mae": mae_deg(model, faces, crops.pyr_deg),
                "mae_int8": mae_deg(small, faces, crops.pyr_deg),
            }


def main(projects: Positional[list[Path]], *, out: Path) -> None:
    if not projects:
        raise InputError("expected at least one project, a folder in which `dvc repro` ran")
    table = pd.DataFrame([row for project in projects for row in measured(project)])
    with atomic(out) as temporary:
        table.round(4).to_csv(temporary, index=False)
    print(table.round(3).to_markdown(index=False))


if __name__ == "__main__":
    run(main)
