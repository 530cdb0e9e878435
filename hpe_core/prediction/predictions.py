"""What networks say of faces: the tables of predictions, and distributions of single windows."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import lightning_fabric
import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from hpe_core.common.files import sha256
from hpe_core.common.settings import Precision
from hpe_core.common.table_files import write_table
from hpe_core.evaluation.columns import PREDICTED
from hpe_core.networks.bins import BinSpec, entropy
from hpe_core.networks.checkpoints import load_network
from hpe_core.networks.model import Network
from hpe_core.prediction.candidates import Candidate
from hpe_core.prediction.face_sets import FaceSet
from hpe_core.teacher.ensemble import average
from hpe_core.teacher.targets import TargetsOrigin, write_targets
from hpe_core.teacher.windows import Runner, Shown, kept_in_shards
from hpe_core.work.resume import Work
from hpe_core.work.shards import Arrays


@dataclass(frozen=True)
class Session:
    """How networks run. batch: windows per forward pass, at most; work: keeps what is done."""

    fabric: lightning_fabric.Fabric
    batch: int
    precision: Precision
    work: Work

    def run(
        self,
        candidate: Candidate,
        faces: FaceSet,
        network: Network,
        read: Callable[[Tensor], tuple[Tensor, ...]],
    ) -> Iterator[Arrays]:
        """`kept_in_shards`: what `read` makes of the windows' probabilities, in order."""
        shown = Shown(faces.crops, faces.rows, candidate.windows, jittered=faces.jittered)
        name = f"{faces.name.replace('/', '-')}-{candidate.name}-{candidate.seed}"
        runner = Runner(network, self.fabric, self.batch)
        return kept_in_shards(runner, shown, read, self.work, name)


def write_predictions(
    path: Path, networks: Sequence[Candidate], faces: FaceSet, session: Session
) -> None:
    """The predictions of all networks, in one table, which says what they were computed from."""
    tables: dict[tuple[str, int], pd.DataFrame] = {}
    for shared in passes(networks):
        names = [(each.name, each.seed) for each in shared]
        tables.update(zip(names, predictions_of(shared, faces, session), strict=True))
    table = pd.concat([tables[each.name, each.seed] for each in networks])
    if session.fabric.is_global_zero:
        table.attrs.update(sources_of(networks, faces))
        write_table(table, path)


def passes(networks: Iterable[Candidate]) -> list[list[Candidate]]:
    """What one pass over the faces serves: checkpoints whose windows are all among the first's.

    So the windows of an ensemble also give its base network, and each kind of views alone.
    """
    groups: list[list[Candidate]] = []
    for each in sorted(networks, key=lambda each: -len(each.windows)):
        for group in groups:
            most = group[0]
            if most.path == each.path and most.windows.places_of(each.windows) is not None:
                group.append(each)
                break
        else:
            groups.append([each])
    return groups


def sources_of(networks: Sequence[Candidate], faces: FaceSet) -> dict[str, Any]:
    """crops_sha256; base_sha256: of the first seed; networks_sha256: file name → of all."""
    return {
        "crops_sha256": sha256(faces.crops.path),
        "base_sha256": sha256(networks[0].path),
        "networks_sha256": {each.path.name: sha256(each.path) for each in networks},
    }


def predictions_of(
    shared: Sequence[Candidate], faces: FaceSet, session: Session
) -> list[pd.DataFrame]:
    """Each candidate's rows of the table of predictions; none in processes but the first.

    shared: of one checkpoint, with windows that are all among the first's (`passes`). The std is
    not calibrated.
    """
    most = shared[0]
    network, _ = load_network(most.path)
    places = [most.windows.places_of(each.windows) for each in shared]

    def read(probs: Tensor) -> tuple[Tensor, ...]:
        return tuple(_measured(probs[:, own], network.spec) for own in places)

    parts = list(session.run(most, faces, network, read))
    if not parts:
        return [pd.DataFrame(columns=faces.columns) for _ in shared]
    return [
        _table(each, faces, np.concatenate(own))
        for each, own in zip(shared, zip(*parts, strict=True), strict=True)
    ]


def _table(candidate: Candidate, faces: FaceSet, measured: NDArray) -> pd.DataFrame:
    values = pd.DataFrame(measured.astype("f8"), columns=PREDICTED)
    table = faces.described().assign(network=candidate.name, seed=candidate.seed).join(values)
    return table[faces.columns]


def _measured(probs: Tensor, spec: BinSpec) -> Tensor:
    """Windows' probabilities (N, S, 3, n_bins) → angles, std, spread and entropy (N, 12)."""
    mean, pyr_deg, spread_deg = average(probs, spec)
    return torch.cat([pyr_deg, spec.std_deg(mean), spread_deg, entropy(mean)], dim=1)


def write_single_windows(path: Path, base: Candidate, faces: FaceSet, session: Session) -> None:
    """Targets of an "ensemble" of one window, to compare the teacher's with.

    base: with the window at the centre; faces: as they are, not jittered.
    """
    network, _ = load_network(base.path)
    spec, face_ids = network.spec, [faces.crops.face_id[row] for row in faces.rows]
    origin = TargetsOrigin(
        **asdict(spec),
        K=0,
        d=1,
        S=len(base.windows),
        n_bins=spec.n_bins,
        base_sha256=sha256(base.path),
        crops_sha256=sha256(faces.crops.path),
        precision=session.precision,
        rotations_deg=[0.0],
        flip=False,
        views=1,
        rotate_deg=0.0,
    )
    parts = session.run(base, faces, network, lambda probs: average(probs, spec))
    if session.fabric.is_global_zero:
        write_targets(path, face_ids, np.zeros((len(face_ids), 1), "f4"), parts, origin)
