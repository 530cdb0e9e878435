"""Inputs of the page besides metrics: predictions, histories, faces, the teacher's distributions.

And the list of files that they come from.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from hpe_core.common.files import sha256
from hpe_core.common.settings import load
from hpe_core.common.table_files import read_csv, read_table
from hpe_core.crops.store import Crops
from hpe_core.evaluation.columns import ENTROPY_PYR, PYR, TRUE_PYR
from hpe_core.evaluation.networks import trained_networks
from hpe_core.evaluation.settings import Seeds
from hpe_core.networks.distributions import Bins
from hpe_core.page.averaging import Averaged
from hpe_core.page.conclusions import Choice
from hpe_core.page.faces import FaceGroup, shown_faces, telling_groups
from hpe_core.tables.pictures import rows_of_faces
from hpe_core.tables.results import Results
from hpe_core.teacher.targets import Targets


@dataclass(frozen=True)
class Artifacts:
    """Where the stages write what the page shows about single faces, networks and epochs."""

    histories: Path
    predictions: Path
    networks: Path
    targets: Path
    crops: Path


def read_predictions(results: Results, artifacts: Artifacts) -> dict[str, pd.DataFrame]:
    """Test set → predictions of the networks that params.yaml lists."""
    columns = ["face_id", "network", "seed", *PYR, *TRUE_PYR, *ENTROPY_PYR]
    found = {}
    for test in results.tests:
        path = artifacts.predictions / test.protocol / f"tests/{test.name}.parquet"
        table = read_table(path, columns)
        found[test.name] = table[table["network"].isin(list(test.networks))]
    return found


def stems(params: Path) -> list[str]:
    """File names of a protocol's networks, without suffix."""
    seeds = load(params, "seeds", Seeds)
    return [f"{name}-{seed}" for name in trained_networks(params) for seed in seeds]


def read_histories(
    results: Results, params: Path, folder: Path
) -> dict[str, dict[str, pd.DataFrame]]:
    names = stems(params)
    return {
        protocol: {name: read_csv(folder / protocol / f"{name}.csv") for name in names}
        for protocol in results.train
    }


def face_groups(
    results: Results,
    choices: Mapping[str, Choice],
    predictions: Mapping[str, pd.DataFrame],
    shown: int,
    folder: Path,
) -> Iterator[FaceGroup]:
    """The worst and the median faces per test set, `shown` in all; predictions: of one seed."""
    for test in results.tests:
        network = choices[test.protocol].network
        table = predictions[test.name]
        runs = {name: table[table["network"] == name] for name in (network, "base")}
        crops = Crops(folder / test.protocol / f"tests/{test.name}.h5")
        row_of = rows_of_faces(crops, runs[network]["face_id"])
        for kind, faces in telling_groups(runs[network], shown).items():
            pixels = {face: crops[row_of[face]] for face in faces["face_id"]}
            yield FaceGroup(test, kind, network, list(shown_faces(faces, runs, pixels)))


def read_averaged(results: Results, seed: int, artifacts: Artifacts) -> Iterator[Averaged]:
    """Some training faces per protocol: from the box alone, and as the students are taught.

    Raises InputError unless both were computed by this seed's base network from these crops.
    """
    for protocol in results.train:
        path = artifacts.crops / protocol / "train.h5"
        network = artifacts.networks / protocol / f"base-{seed}.safetensors"
        made_from: dict[str, object]
        made_from = {"crops_sha256": sha256(path), "base_sha256": sha256(network)}
        alone = Targets(artifacts.predictions / protocol / "training.h5", made_from)
        teacher = Targets(artifacts.targets / f"{protocol}-{seed}.h5", made_from)
        crops = Crops(path)
        row_of = {face: row for row, face in enumerate(crops.face_id)}
        rows = [row_of[face] for face in alone.face_id]
        yield Averaged(
            protocol=protocol,
            face_ids=alone.face_id,
            pyr_deg=crops.pyr_deg[rows],
            one=np.stack([alone[place, 0] for place in range(len(rows))]),
            mean=np.stack([teacher[row, 0] for row in rows]),
            spec=Bins(teacher.origin.bin_deg, teacher.origin.theta_deg),
            crops={place: crops[row] for place, row in enumerate(rows)},
        )


def result_files(results: Results, params: Path, artifacts: Artifacts) -> list[Path]:
    """The crops, targets and networks that the numbers come from."""
    seeds = load(params, "seeds", Seeds)
    crops = artifacts.crops
    paths = [crops / protocol / "train.h5" for protocol in results.train]
    paths += [crops / test.protocol / f"tests/{test.name}.h5" for test in results.tests]
    for protocol in results.train:
        paths += [artifacts.targets / f"{protocol}-{seed}.h5" for seed in seeds]
        folder = artifacts.networks / protocol
        paths += [folder / f"{stem}.safetensors" for stem in stems(params)]
    return paths
