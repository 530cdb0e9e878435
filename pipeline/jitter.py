"""How exact must a box be? The MAE of every network for boxes moved and resized by known amounts.

    networks, test crops → MAE of each network for each shift and scale, on a sample of faces

The networks and their windows are those of `evaluate`; errors are means over the seeds.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hpe_core.ensemble import average
from hpe_core.io.checkpoints import load_network
from hpe_core.io.crops import Crops
from hpe_core.io.files import atomic, sha256
from hpe_core.io.shards import Arrays, in_shards
from hpe_core.io.work import Work, unfinished
from hpe_core.jitter import BoxJitter, JitteredCrops, box_jitters
from hpe_core.metrics import absolute_error_deg, mae_deg
from hpe_core.params.learning import Ensemble
from hpe_core.params.loading import load
from hpe_core.params.results import Jitter
from pipeline._cli import run
from pipeline._compute import start
from pipeline._inference import faces_a_batch, sampled_rows, window_probs_of, windows_of
from pipeline._predictions import Candidate, candidates, check_family


def main(*, params: Path, crops: Path, networks: Path, work: Path, jitter: Path) -> None:
    settings, grid = load(params, "jitter", Jitter), load(params, "ensemble", Ensemble)
    fabric, compute = start(params, settings.precision)
    source = Crops(crops)
    faces = sampled_rows(len(source), settings.max_faces, settings.seed)
    jitters = box_jitters(settings.shifts, settings.scales)
    size_hw = source.format.size_hw
    views = JitteredCrops(source, jitters, size_hw, windows_of(grid).margin(size_hw))
    rows = np.add.outer(faces * len(jitters), np.arange(len(jitters))).ravel()

    def measured(each: Candidate, kept: Work) -> pd.DataFrame:
        network, _ = load_network(each.path)

        def angles(some: NDArray[np.int64]) -> Iterator[Arrays]:
            chosen = rows[some]
            batches = window_probs_of(
                network, source, chosen, each.windows, fabric, compute, views=views
            )
            for probs in batches:
                yield (average(probs, network.spec)[1].cpu().numpy(),)

        batch, name = faces_a_batch(each.windows, compute), f"{each.name}-{each.seed}"
        everything = [part for (part,) in in_shards(kept, len(rows), batch, angles, fabric, name)]
        if not fabric.is_global_zero:
            return pd.DataFrame()
        return errors_of(each.name, jitters, np.concatenate(everything), source.pyr_deg[faces])

    every = list(candidates(params, networks))
    check_family(every, source)
    inputs = {str(each.path): sha256(each.path) for each in every} | {"crops": sha256(crops)}
    computed_from = {
        **settings.model_dump(),
        "ensemble": grid.model_dump(),
        "inputs": inputs,
        "infer_batch": compute.infer_batch,
    }
    with unfinished(work, jitter, computed_from, fabric) as kept:
        parts = [measured(each, kept) for each in every]
        if fabric.is_global_zero:
            with atomic(jitter) as temporary:
                over_seeds(parts).to_csv(temporary, index=False)


def errors_of(
    network: str,
    jitters: Sequence[BoxJitter],
    predicted: NDArray[np.float32],
    pyr_deg: NDArray[np.float64],
) -> pd.DataFrame:
    """One row a jitter: network, kind, direction, level, mae (degrees), faces.

    predicted (N·J, 3) degrees, all jitters of the first face first; pyr_deg (N, 3): the labels.
    """
    by_face = predicted.reshape(len(pyr_deg), len(jitters), 3)
    errors = absolute_error_deg(by_face, pyr_deg[:, None])
    table = pd.DataFrame(jitters)  # its fields: kind, direction, level
    table.insert(0, "network", network)
    mae = [mae_deg(errors[:, place])["mae"] for place in range(len(jitters))]
    return table.assign(mae=mae, faces=len(pyr_deg))


def over_seeds(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """The mean of the errors of a network's seeds."""
    keys = ["network", "kind", "direction", "level"]
    means = pd.concat(parts).groupby(keys, sort=False).agg({"mae": "mean", "faces": "first"})
    return means.round({"mae": 4}).reset_index()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--params", type=Path, required=True)
    parser.add_argument("--crops", type=Path, required=True)
    parser.add_argument("--networks", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True, help="folder of unfinished work")
    parser.add_argument("--jitter", type=Path, required=True)
    run(main, parser)
