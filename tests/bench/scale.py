"""Stages as processes of their own on 1,000, 10,000 and 100,000 faces: seconds and peak memory."""

import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from hpe_core.common.files import write_json
from hpe_core.common.table_files import AFLW_ORDER, DETECTED_BOX, PYR, write_table
from hpe_core.crops.store import Crops
from hpe_core.networks.bins import BinSpec
from hpe_core.networks.checkpoints import save_network
from hpe_core.networks.model import BaseNet
from hpe_core.params import validate_file
from hpe_core.training.loop import seeded
from hpe_core.training.run import provenance_of
from tests.bench import material
from tests.bench.measuring import Row

ROOT = Path(__file__).parents[2]
SIZES = (1_000, 10_000, 100_000)
PX, PHOTOS = 16, 500
# A small process between: a child's peak begins at that of the process it was forked from.
WATCH = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:], stdout=sys.stderr).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)
"""


def stages(folder: Path) -> list[Row]:
    material.photographs(folder / "corpora/AFLW", PHOTOS, px=64)
    params = folder / "params.yaml"
    params.write_text(yaml.safe_dump(small_params()))
    write_json({"crop": asdict(validate_file(params))}, folder / "format.json")
    measured: dict[str, dict[int, tuple[float, float]]] = {}
    for n in SIZES:
        at = folder / str(n)
        write_table(face_table(n), at / "AFLW.parquet")
        for stage, arguments in commands(params, at).items():
            if stage == "ensemble":
                save_untrained_base(at / "base.safetensors", at / "train.h5")
            measured.setdefault(stage, {})[n] = watched(stage, arguments)
        (at / "train.h5").unlink()
    return [row_of(stage, runs) for stage, runs in measured.items()]


def commands(params: Path, at: Path) -> dict[str, dict[str, Any]]:
    """Stage → its options, to run in this order. at: the folder of all they read and write."""
    common = {"params": params, "work": at / "work", "crops": at / "train.h5"}
    return {
        "crop_train": {
            **common, "crop_format": params.parent / "format.json", "protocol": "p2",
            "root": params.parent / "corpora", "faces": at, "counts": at / "counts.json",
        },
        "ensemble": {
            **common, "seed": 1, "network": at / "base.safetensors", "targets": at / "targets.h5",
        },
        "distill": {
            **common, "backbone": "resnet8", "seed": 1, "targets": at / "targets.h5",
            "weights": ROOT / "data/pretrained/none", "network": at / "kd.safetensors",
            "history": at / "kd.csv",
        },
    }  # fmt: skip


def save_untrained_base(path: Path, crops: Path) -> None:
    """A base network that says it was trained on these crops."""
    net = seeded(lambda: BaseNet("resnet8", [BinSpec(1.0)]), 0)
    save_network(net, path, "resnet8", (PX, PX), provenance_of(Crops(crops), "none", 1))


def options(arguments: dict[str, Any]) -> list[str]:
    """Of a stage's command line."""
    return [f"--{name.replace('_', '-')}={value}" for name, value in arguments.items()]


def watched(stage: str, arguments: dict[str, Any]) -> tuple[float, float]:
    """Seconds, and peak resident memory in MB, of a stage's process."""
    python = [sys.executable, "-c", WATCH, sys.executable]
    command = [*python, "-m", f"pipeline.{stage}", *options(arguments)]
    start = time.perf_counter()
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if run.returncode:
        raise RuntimeError(run.stderr)
    return time.perf_counter() - start, int(run.stdout) / 1024


def row_of(stage: str, runs: dict[int, tuple[float, float]]) -> Row:
    """Rates between two sizes, so that the start of the process does not count."""
    small, middle, large = SIZES
    later, earlier = (
        (more - less) / (runs[more][0] - runs[less][0])
        for less, more in ((middle, large), (small, middle))
    )
    ratio = later / earlier
    return Row(
        f"Scale, `{stage}`: {large:,} faces", "faces/s", later, earlier, ratio, [ratio],
        f"the rate from {small:,} to {middle:,} faces", None,
        {"seconds": {str(n): s for n, (s, _) in runs.items()},
         "peak_mb": {str(n): mb for n, (_, mb) in runs.items()}},
    )  # fmt: skip


def face_table(n: int) -> pd.DataFrame:
    table = pd.DataFrame({"face_id": [f"AFLW/{number:06d}" for number in range(n)]})
    table["image"] = [f"{number % PHOTOS:06d}.jpg" for number in range(n)]
    table = table.assign(dataset="AFLW", split="train", subject="", video="", image_sha256="")
    table["order"] = AFLW_ORDER
    rng = np.random.default_rng(0)
    table[PYR] = rng.uniform(-60, 60, (n, 3))
    corner = rng.uniform(4, 12, (n, 2))
    table[DETECTED_BOX] = np.hstack([corner, corner + 40])
    return table


def small_params() -> dict[str, Any]:
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["crop"] |= {"height": PX, "width": PX}
    params["augment"] |= {"photometric_p": 0.0}
    params["ensemble"] |= {"K": 1, "d": 1}
    params["distill"] |= {"epochs": 1, "batch": 256}
    params["compute"] |= {"device": "cpu", "workers": 1, "infer_batch": 2048}
    return params
