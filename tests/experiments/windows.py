"""Which windows of a face should an ensemble average?

    python -m tests.experiments.windows --crops data/crops/train/aflw.h5 \
        --networks data/models/aflw --seeds 1 2 3

Every base network predicts some 320 windows of every validation face, and keeps the angles in
`--cache`; the expectation is linear, so every ensemble of them is a mean of angles. About 5 minutes
a seed for 1,185 faces of 64 px, a ResNet18 and one idle core; half a minute from the cache. The
table is printed and kept as CSV; the figure shows every ensemble's MAE against S.
"""

import argparse
from pathlib import Path

import cv2
import lightning_fabric
import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from hpe_core.boxes import offset_grid
from hpe_core.cropping import CropSource, Pixels
from hpe_core.ensemble import Windows
from hpe_core.errors import InputError
from hpe_core.inference import each_window
from hpe_core.io.checkpoints import load_network
from hpe_core.io.crops import Crops
from hpe_core.io.figures import INK, PALE, new_figure, save_png
from hpe_core.io.files import sha256
from hpe_core.networks import Network
from hpe_core.params.learning import Ensemble
from hpe_core.params.loading import load
from pipeline._cli import run
from pipeline._compute import start
from tests.experiments.measuring import Angles, compared, keep, kept_at, report, validation_rows

Weights = NDArray[np.float64]

CROSS = np.array([(0, 0), (2, 0), (-2, 0), (0, 2), (0, -2)])
TURNS = (-20.0, -15.0, -10.0, -5.0, 5.0, 10.0, 15.0, 20.0)
SCALES = (0.85, 0.92, 1.08, 1.15)
PASSES = [  # scale of the box, windows; none twice
    (1.0, Windows(offset_grid(4, 1), flip=True)),
    *((scale, Windows(offset_grid(3, 3), flip=True)) for scale in SCALES),
    (1.0, Windows(CROSS, TURNS, flip=True)),
]
TURNED = {  # name → turns of the ensemble
    "±5": [-5, 0, 5], "±10": [-10, 0, 10], "±15": [-15, 0, 15], "±20": [-20, 0, 20],
    "±5 ±10": [-10, -5, 0, 5, 10], "±5 ±10 ±15": [-15, -10, -5, 0, 5, 10, 15],
    "±10 ±20": [-20, -10, 0, 10, 20], "all": [-20, -15, -10, -5, 0, 5, 10, 15, 20],
    "±10 without 0": [-10, 10], "±5 ±15 without 0": [-15, -5, 5, 15],
}  # fmt: skip


FAMILIES = {  # how the names of subsets begin → label, colour
    "grid K": ("square grids of shifts (the paper's)", INK),
    "turns": ("turns", "#d55e00"),
    "3 scales": ("scales", "#0072b2"),
    "5 scales": ("scales", "#0072b2"),
    "single": ("the face and its mirror image", "#cc79a7"),
    "": ("other shifts", "#009e73"),  # rows, crosses, disks, other grids, Gaussian weights
}


class Scaled:
    """Crops of boxes larger by `scale` about the same centre: the face is smaller by as much."""

    def __init__(self, crops: CropSource, scale: float) -> None:
        self.crops, self.scale, self.pyr_deg = crops, scale, crops.pyr_deg

    def __getitem__(self, row: int) -> Pixels:
        crop = self.crops[row]
        height, width = crop.shape[:2]
        shrink = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), 0, 1 / self.scale)
        return cv2.warpAffine(
            crop, shrink, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )


def every_window() -> pd.DataFrame:
    """One row a window, in the order of `angles`: scale, turn, flip, dx, dy."""
    rows = [
        (scale, turn_deg, flip, dx, dy)
        for scale, windows in PASSES
        for turn_deg in windows.turns_deg
        for flip in (False, True)
        for dx, dy in windows.offsets.tolist()
    ]
    return pd.DataFrame(rows, columns=["scale", "turn", "flip", "dx", "dy"])


def angles(
    network: Network,
    crops: CropSource,
    rows: NDArray[np.int64],
    size_hw: tuple[int, int],
    fabric: lightning_fabric.Fabric,
    batch: int,
) -> Angles:
    """(rows, windows, 3) degrees, all as of the upright, unmirrored face."""
    passes = []
    for scale, windows in PASSES:
        source = crops if scale == 1 else Scaled(crops, scale)
        probs = each_window(network, source, rows, windows, size_hw, fabric, batch)
        passes.append(torch.cat([network.spec.expectation(p) for p in probs]).cpu().numpy())
    return np.concatenate(passes, axis=1)


def subsets(table: pd.DataFrame) -> dict[str, Weights]:
    """Name → weight of every window of the table, in sum 1; each also with the mirrored face's."""
    scale, turn, flip, dx, dy = (table[name].to_numpy() for name in table)
    far = np.maximum(np.abs(dx), np.abs(dy))
    centre, on_axis = far == 0, (dx == 0) | (dy == 0)
    upright, unscaled = turn == 0, scale == 1
    shifted = upright & unscaled
    chosen = {"single": shifted & centre}
    for K, d in [(1, 1), (2, 1), (3, 1), (4, 1), (2, 2), (4, 2), (3, 3), (4, 4)]:
        grid = (dx % d == 0) & (dy % d == 0) & (far <= K)
        chosen[f"grid K={K} d={d}"] = shifted & grid
    for k in (1, 2, 3, 4):
        chosen[f"cross {k}"] = shifted & on_axis & np.isin(far, (0, k))
        chosen[f"row {k}"] = shifted & (dy == 0) & (far <= k)
        chosen[f"column {k}"] = shifted & (dx == 0) & (far <= k)
        chosen[f"disk {k}"] = shifted & (dx**2 + dy**2 <= k**2)
    for x, y in [(1, 3), (3, 1), (2, 4), (4, 2)]:
        chosen[f"grid {x}x{y}"] = shifted & (np.abs(dx) <= x) & (np.abs(dy) <= y)
    for sigma in (1.0, 1.5, 2.0, 3.0):
        chosen[f"gaussian {sigma:g}"] = shifted * np.exp(-(dx**2 + dy**2) / 2 / sigma**2)
    three = np.isin(scale, (0.92, 1, 1.08))
    grid3 = (dx % 3 == 0) & (dy % 3 == 0) & (far <= 3)
    chosen["3 scales"], chosen["5 scales"] = upright & centre & three, upright & centre
    chosen["3 scales, grid K=3 d=3"] = upright & grid3 & three
    chosen["5 scales, grid K=3 d=3"] = upright & grid3
    for name, turns_deg in TURNED.items():
        turned = unscaled & np.isin(turn, turns_deg)
        chosen[f"turns {name}"] = turned & centre
        chosen[f"turns {name}, cross 2"] = turned & on_axis & np.isin(far, (0, 2))
    chosen["turns ±5 ±10 and 5 scales"] = centre & (np.abs(turn) <= 10)
    for alone in (*SCALES, *TURNS):
        kind, column = ("scale", scale) if alone in SCALES else ("turn", turn)
        chosen[f"{kind} {alone:g} alone"] = centre & (column == alone)
    found = {}
    for name, weights in chosen.items():
        found[name] = weights * ~flip / (weights * ~flip).sum()
        found[f"{name}, mirrored"] = weights / weights.sum()
    found["mirror image alone"] = (shifted & centre & flip).astype(np.float64)
    return found


def save_figure(table: pd.DataFrame, path: Path) -> None:
    """MAE against S, a point an ensemble, filled where the mirrored face belongs to it."""
    one_look = table["name"].str.contains(" alone") | (table["name"] == "single")
    with new_figure(6.4, 4.2) as figure:
        axes = figure.subplots()
        for _, row in table[~one_look].iterrows():
            prefix = next(prefix for prefix in FAMILIES if row["name"].startswith(prefix))
            label, colour = FAMILIES[prefix]
            filled = row["name"].endswith(", mirrored")
            face = colour if filled else "none"
            axes.plot(row["S"], row["mae"], "o", ms=4.5, mec=colour, mfc=face, label=label)
        axes.axhline(table.set_index("name")["mae"]["single"], color=PALE, lw=0.8)
        axes.set_xscale("log")
        axes.set_xticks(ticks := [2, 5, 10, 20, 50, 100], labels=map(str, ticks), minor=False)
        axes.minorticks_off()
        axes.set_xlabel("S, windows a face")
        axes.set_ylabel("MAE, degrees")
        axes.set_title("filled: with the mirrored face; line: one window", fontsize=9, loc="left")
        shown = dict(zip(*axes.get_legend_handles_labels()[::-1], strict=True))
        place = {"loc": "outside lower left", "ncols": 3, "fontsize": 8, "frameon": False}
        figure.legend(shown.values(), shown.keys(), **place)
        save_png(figure, path)


def main(
    *,
    params: Path,
    crops: Path,
    networks: Path,
    seeds: list[int],
    yaw_deg: tuple[float, float],
    cache: Path,
    csv: Path,
    figure: Path,
) -> None:
    precision = load(params, "ensemble", Ensemble).precision
    fabric, compute = start(params, precision)
    source, crops_sha256 = Crops(crops), sha256(crops)
    rows = validation_rows(source)
    table = every_window()
    by_seed = []
    for seed in seeds:
        path = networks / f"base-{seed}.safetensors"
        network, metadata = load_network(path)
        if metadata["provenance"]["crops_sha256"] != crops_sha256:
            raise InputError(f"{path}: not trained on {crops}; its validation faces may be others")
        origin = {"base": sha256(path), "crops": crops_sha256, "windows": table.to_dict("list")}
        kept = kept_at(cache, f"windows-{seed}", origin | {"precision": precision})
        if not kept.exists():
            size_hw, batch = source.format.size_hw, compute.infer_batch
            keep(kept, angles(network, source, rows, size_hw, fabric, batch))
        by_seed.append(np.load(kept))
    every = np.stack(by_seed)
    weights = subsets(table)
    means = {name: np.einsum("snlc,l->snc", every, w) for name, w in weights.items()}
    result = compared(means, source.pyr_deg[rows], "single", yaw_deg)
    result.insert(1, "S", [np.count_nonzero(w) for w in weights.values()])
    print(report(result, csv))
    save_figure(result, figure)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    parser.add_argument("--crops", type=Path, required=True)
    parser.add_argument("--networks", type=Path, required=True, help="folder of base-<seed>")
    parser.add_argument("--seeds", type=int, nargs="+", required=True)
    parser.add_argument("--yaw-deg", type=float, nargs=2, default=(0.0, 180.0), help="of |yaw|")
    parser.add_argument("--cache", type=Path, default=Path("data/experiments"))
    parser.add_argument("--csv", type=Path, default=Path("metrics/experiments/windows.csv"))
    parser.add_argument("--figure", type=Path, default=Path("metrics/experiments/windows.png"))
    run(main, parser)
