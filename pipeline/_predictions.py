"""Predictions of all networks of a protocol, for the stages that measure them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import lightning_fabric
import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from hpe_core.bins import BinSpec
from hpe_core.ensemble import CENTRE, Windows, average
from hpe_core.io.checkpoints import load_network
from hpe_core.io.crops import Crops
from hpe_core.io.files import sha256
from hpe_core.params.learning import Ensemble
from hpe_core.params.loading import load
from hpe_core.params.machine import Compute
from hpe_core.params.protocols import Seeds, Students
from hpe_core.predictions import ENTROPY_PYR, PYR, SPREAD_PYR, STD_PYR, TRUE_PYR
from hpe_core.uncertainty import distribution_std_deg, entropy
from pipeline._inference import window_probs_of, windows_of
from pipeline._lineage import check_cut, expect


@dataclass(frozen=True)
class Candidate:
    """What is measured: a network on disk, and the windows whose distributions it averages."""

    name: str
    seed: int
    path: Path
    windows: Windows


def candidates(params: Path, networks: Path) -> Iterator[Candidate]:
    """Base, its ensemble and the students of params.yaml, each of all seeds. networks: folder."""
    grid, seeds = load(params, "ensemble", Ensemble), load(params, "seeds", Seeds)
    kinds = [("base", "base", CENTRE), ("ensemble", "base", windows_of(grid))]
    students = [f"kd-{backbone}" for backbone in load(params, "students", Students)]
    kinds += [(name, name, CENTRE) for name in students]
    for name, stem, windows in kinds:
        for seed in seeds:
            yield Candidate(name, seed, networks / f"{stem}-{seed}.safetensors", windows)


def check_family(networks: Sequence[Candidate], crops: Crops) -> None:
    """Raises InputError unless all were trained on the same crops, cut as these are, and each
    student was taught by the base network of its own seed.
    """
    provenance = {each.path: load_network(each.path)[1]["provenance"] for each in networks}
    bases = {each.seed: each.path for each in networks if each.name == "base"}
    first = networks[0].path
    for each in networks:
        path, own = each.path, provenance[each.path]
        check_cut(path, own, crops)
        expect(path, own, "crops_sha256", provenance[first].get("crops_sha256"), f"as of {first}")
        if each.name.startswith("kd-"):
            base = bases[each.seed]
            expect(path, own, "base_sha256", sha256(base), f"that of {base}")


def predictions_of(
    candidate: Candidate,
    crops: Crops,
    rows: NDArray[np.int64],
    fabric: lightning_fabric.Fabric,
    compute: Compute,
) -> pd.DataFrame:
    """The table of predictions (`hpe_core.predictions`) of one network on some of the crops, N ≥ 1.

    Its std is the distribution's own, not calibrated.
    """
    network, _ = load_network(candidate.path)
    batches = window_probs_of(network, crops, rows, candidate.windows, fabric, compute)
    measured = torch.cat([_measured(probs, network.spec).cpu() for probs in batches]).double()
    faces = pd.DataFrame({"face_id": crops.face_id, "group": crops.group}).iloc[rows]
    faces = faces.assign(network=candidate.name, seed=candidate.seed).reset_index(drop=True)
    values = np.hstack([measured.numpy(), crops.pyr_deg[rows]])
    columns = [*PYR, *STD_PYR, *SPREAD_PYR, *ENTROPY_PYR, *TRUE_PYR]
    return faces.join(pd.DataFrame(values, columns=columns))


def _measured(probs: Tensor, spec: BinSpec) -> Tensor:
    """Windows' probabilities (N, S, 3, n_bins) → angles, std, spread, entropy: (N, 12)."""
    mean, pyr_deg, spread_deg = average(probs, spec)
    return torch.cat([pyr_deg, distribution_std_deg(mean, spec), spread_deg, entropy(mean)], dim=1)
