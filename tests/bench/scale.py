"""Stages as processes of their own on 1,000, 10,000 and 100,000 faces: seconds and peak memory."""

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from hpe_core.common.table_files import DETECTED_BOX, PYR, write_table
from hpe_core.networks.bins import BinSpec
from hpe_core.networks.checkpoints import save_network
from hpe_core.networks.model import BaseNet
from hpe_core.training.loop import seeded
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
    photos = material.photographs(folder / "photos", PHOTOS, px=64)
    params = folder / "params.yaml"
    params.write_text(yaml.safe_dump(small_params()))
    network = folder / "base.safetensors"
    save_network(
        seeded(lambda: BaseNet("resnet8", [BinSpec(1.0)]), 0), network, "resnet8", (PX, PX), {}
    )
    measured: dict[str, dict[int, tuple[float, float]]] = {}
    for n in SIZES:
        faces, crops, targets = (folder / f"{name}-{n}" for name in ("faces", "crops", "targets"))
        write_table(face_table(photos, n), faces)
        data = {"params": params, "crops": crops}
        for stage, arguments in {
            "crop_train": {
                **data, "protocol": "p2", "faces": faces, "folder": folder / "photos",
                "counts": folder / "counts.json",
            },
            "ensemble": {**data, "network": network, "targets": targets},
            "distill": {
                **data, "backbone": "resnet8", "seed": 1, "targets": targets,
                "weights": ROOT / "data/pretrained/none", "network": folder / "kd.safetensors",
                "history": folder / "kd.csv",
            },
        }.items():  # fmt: skip
            measured.setdefault(stage, {})[n] = watched(stage, arguments)
        crops.unlink()
    return [row_of(stage, runs) for stage, runs in measured.items()]


def watched(stage: str, arguments: dict[str, Any]) -> tuple[float, float]:
    """Seconds, and peak resident memory in MB, of a stage's process."""
    words = [f"--{name}={value}" for name, value in arguments.items()]
    command = [sys.executable, "-c", WATCH, sys.executable, "-m", f"pipeline.{stage}", *words]
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
        f"Scale, `{stage}`: 100,000 faces", "faces/s", later, earlier, ratio, [ratio],
        "the rate from 1,000 to 10,000 faces", None,
        {"seconds": {str(n): s for n, (s, _) in runs.items()},
         "peak_mb": {str(n): mb for n, (_, mb) in runs.items()}},
    )  # fmt: skip


def face_table(photos: list[Any], n: int) -> pd.DataFrame:
    table = pd.DataFrame({"face_id": [f"AFLW/{number:06d}" for number in range(n)]})
    table["image"] = [photos[number % len(photos)][0].name for number in range(n)]
    table = table.assign(split="train", subject="")
    rng = np.random.default_rng(0)
    table[PYR] = rng.uniform(-60, 60, (n, 3))
    corner = rng.uniform(4, 12, (n, 2))
    table[DETECTED_BOX] = np.hstack([corner, corner + 40])
    return table


def small_params() -> dict[str, Any]:
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["crop"] |= {"height": PX, "width": PX, "margin": 2}
    params["augment"] |= {"photometric_p": 0.0}
    params["ensemble"] |= {"K": 1, "d": 1}
    params["distill"] |= {"epochs": 1, "batch": 256}
    params["compute"] |= {"device": "cpu", "workers": 1, "infer_batch": 2048}
    return params
