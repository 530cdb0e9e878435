"""What the page shows beside metrics: predictions, histories, faces, the teacher's distributions.

And the files that all of it comes from.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from hpe_core.ensemble import CENTRE
from hpe_core.errors import InputError
from hpe_core.findings import Choice, median_faces, worst_faces
from hpe_core.io.checkpoints import load_network
from hpe_core.io.crops import Crops
from hpe_core.io.files import sha256
from hpe_core.io.tables import read_csv
from hpe_core.io.targets import Targets
from hpe_core.page import Cards
from hpe_core.page_faces import Averaged, cards_of
from hpe_core.paper_tables import TestSet
from hpe_core.params.learning import Ensemble
from hpe_core.params.loading import load
from hpe_core.params.protocols import Seeds, Students
from hpe_core.sheets import Results
from pipeline._compute import start
from pipeline._inference import window_probs_of

_AVERAGED_FACES = 200  # of a training set, evenly spaced: enough for whole percents


def evaluated(predictions: pd.DataFrame, test: TestSet) -> pd.DataFrame:
    """Those of the networks that params.yaml lists."""
    return predictions[predictions["network"].isin(list(test.networks))]


def read_histories(
    results: Results, students: Students, seeds: Seeds, folder: Path
) -> dict[str, dict[str, pd.DataFrame]]:
    names = ["base", *(f"kd-{backbone}" for backbone in students)]
    return {
        protocol: {
            f"{name}-{seed}": read_csv(folder / protocol / f"{name}-{seed}.csv")
            for name in names
            for seed in seeds
        }
        for protocol in results.train
    }


def face_groups(
    tests: Sequence[TestSet],
    choices: Mapping[str, Choice],
    tables: Mapping[str, pd.DataFrame],
    seed: int,
    shown: int,
    folder: Path,
) -> Iterator[Cards]:
    """Of every test set the worst faces and the median ones, `shown` in all."""
    for test in tests:
        table, path = tables[test.name], folder / f"{test.name}.h5"
        of_seed = table[table["seed"] == seed]
        network = choices[test.protocol].network
        own, base = (of_seed[of_seed["network"] == name] for name in (network, "base"))
        crops = Crops(path)
        row_of = {face: row for row, face in enumerate(crops.face_id)}
        absent = set(own["face_id"]) - set(row_of)
        if absent:
            raise InputError(
                f"{path}: no face {min(absent)}, as predictions have; run evaluate again"
            )
        kinds = {"largest errors": worst_faces(own, shown - shown // 2)}
        if shown > 1:
            kinds["median errors"] = median_faces(own, shown // 2)
        for words, faces in kinds.items():
            pixels = {face: crops[row_of[face]] for face in faces["face_id"]}
            title = f"{test.title}: {words} of {network}"
            yield cards_of(title, faces, base, network, pixels)


def read_averaged(
    params: Path, results: Results, seed: int, networks: Path, targets: Path, folder: Path
) -> Iterator[Averaged]:
    """Of every protocol some training faces: by the box alone, and as the students are taught."""
    fabric, compute = start(params, load(params, "ensemble", Ensemble).precision)
    for protocol in results.train:
        path, network = folder / f"{protocol}.h5", networks / protocol / f"base-{seed}.safetensors"
        crops, (base, _) = Crops(path), load_network(network)
        made_from: dict[str, object] = {
            "crops_sha256": sha256(path),
            "base_sha256": sha256(network),
        }
        teacher = Targets(targets / f"{protocol}-{seed}.h5", made_from)
        every = crops.training_rows
        places = np.linspace(0, len(every) - 1, min(_AVERAGED_FACES, len(every)))
        rows = every[places.round().astype(int)]
        batches = window_probs_of(base, crops, rows, CENTRE, fabric, compute)
        yield Averaged(
            protocol,
            [crops.face_id[row] for row in rows],
            crops.pyr_deg[rows],
            torch.cat([probs[:, 0].float().cpu() for probs in batches]),
            torch.from_numpy(np.stack([teacher[int(row), 0] for row in rows])),
            base.spec,
            {place: crops[int(row)] for place, row in enumerate(rows)},
        )


def result_files(
    results: Results,
    students: Students,
    seeds: Seeds,
    networks: Path,
    targets: Path,
    train_crops: Path,
    test_crops: Path,
) -> list[Path]:
    """Crops, targets and networks that the numbers come from."""
    stems = ["base", *(f"kd-{backbone}" for backbone in students)]
    paths = [train_crops / f"{protocol}.h5" for protocol in results.train]
    paths += [test_crops / f"{test.name}.h5" for test in results.tests]
    for protocol in results.train:
        paths += [targets / f"{protocol}-{seed}.h5" for seed in seeds]
        paths += [networks / protocol / f"{s}-{seed}.safetensors" for s in stems for seed in seeds]
    return paths
