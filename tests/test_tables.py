"""The stages `tables` and `examples` on results made up here: nothing is trained."""

import csv
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
import yaml

from hpe_core.boxes import offset_grid
from hpe_core.errors import InputError
from hpe_core.geometry import rotation_from_pyr
from hpe_core.io.crops import CropFormat, encode, write_crops
from hpe_core.io.files import sha256, write_json
from hpe_core.io.tables import write_table
from hpe_core.metrics import summary
from pipeline import examples, tables

ROOT = Path(__file__).parents[1]
CORPORA = "corpora of this test"
BANDS = [0, 30, 60, 99]
PAPER_PARAMS = {
    "protocols": {
        "p1": {"train": "300W_LP", "where": {}},
        "p2": {"train": "AFLW", "where": {"split": ["train"]}},
    },
    "tests": {
        "p1-AFLW2000": {"protocol": "p1", "dataset": "AFLW2000", "where": {}},
        "p1-BIWI": {"protocol": "p1", "dataset": "BIWI", "where": {}},
        "p2-AFLW": {"protocol": "p2", "dataset": "AFLW", "where": {"split": ["test"]}},
    },
    "students": {
        "p1-resnet18": {
            "protocol": "p1",
            "train": "300W_LP",
            "backbone": "resnet18",
            "weights": "none",
        },
        "p1-resnet10": {
            "protocol": "p1",
            "train": "300W_LP",
            "backbone": "resnet10",
            "weights": "none",
        },
        "p2-resnet18": {
            "protocol": "p2",
            "train": "AFLW",
            "backbone": "resnet18",
            "weights": "none",
        },
    },
    "imported": {},
    "ensemble": {"K": 6, "d": 3, "precision": "32-true"},
    "tables": {"corpora": CORPORA, "examples": 8},
    "base": {
        "backbone": "resnet10",
        "weights": "none",
        "bins_deg": [1.0],
        "epochs": 1,
        "batch": 1,
        "lr": 0.1,
        "precision": "32-true",
        "seed": 0,
    },
}
OWN_PARAMS = {
    **PAPER_PARAMS,
    "protocols": {"aflw": {"train": "AFLW", "where": {"video": ["01", "02"]}}},
    "tests": {
        "aflw-AFLW": {"protocol": "aflw", "dataset": "AFLW", "where": {"split": ["test"]}},
        "aflw-AFLW2000": {"protocol": "aflw", "dataset": "AFLW2000", "where": {}},
    },
    "students": {
        "aflw-resnet50": {
            "protocol": "aflw",
            "train": "AFLW",
            "backbone": "resnet50",
            "weights": "none",
        },
    },
}


def write_results(folder: Path, params: dict[str, Any], k_max: int = 15, seed: int = 0) -> Path:
    """Everything `tables` reads; the error of a network follows from its place in the list."""
    rng = np.random.default_rng(seed)
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
    for name, test in params["tests"].items():
        truth = rng.uniform([-30, -98, -30], [30, 98, 30], (300, 3))
        noise = rng.normal(0, 5, truth.shape)
        own = [s for s in params["students"].values() if s["protocol"] == test["protocol"]]
        names = ["base", "ensemble", *(f"kd-{s['backbone']}" for s in own)]
        networks = {
            key: summary(truth + noise * (1 - 0.03 * place), truth, BANDS)
            for place, key in enumerate(names)
        }
        write_json(networks, folder / "tests" / f"{name}.json")
        write_cells(folder / "cells" / f"{name}.csv", networks["base"]["mae"], k_max)
    for dataset in ("300W_LP", "AFLW2000", "AFLW", "BIWI"):
        counts = {
            "before": 1010,
            "faces": 1000,
            "dropped": {"angle_over_limit": 7, "box_too_small": 3, "excluded_by_split": 0},
            "by_split": {"train": 700, "test": 300},
        }
        write_json(counts, folder / "counts" / f"{dataset}.json")
    return folder


def write_cells(path: Path, base_mae: float, k_max: int) -> None:
    """A sweep whose best cell is K = 9, d = 3 (or the largest there is)."""
    rows = []
    for k in range(k_max + 1):
        for d in range(1, max(k_max, 1) + 1):
            size = len(offset_grid(k, d))
            gain = 0.0 if size == 1 else 0.2 - 0.01 * np.hypot(k // d * d - 9, 0.4 * (d - 3))
            mae = round(base_mae - gain, 4)
            row = {"K": k, "d": d, "S": size, "pitch": mae, "yaw": mae, "roll": mae, "mae": mae}
            rows.append({**row, "faces": 300})
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows).to_csv(path, index=False)


def run_tables(folder: Path, out: str = "out") -> Path:
    tables.main(
        params=folder / "params.yaml",
        tests=folder / "tests",
        cells=folder / "cells",
        counts=folder / "counts",
        imported=folder / "imported",
        published=ROOT / "data" / "published",
        tables=folder / out,
        figures=folder / out / "figures",
    )
    return folder / out


def write_faces(folder: Path, params: dict[str, Any], test: str, count: int = 40) -> None:
    """Predictions and crops of one test set; the crops are grey noise."""
    rng = np.random.default_rng(1)
    truth = rng.uniform([-30, -98, -30], [30, 98, 30], (count, 3))
    ids = [f"X/{row:03d}" for row in range(count)]
    order = rng.permutation(count)  # crops need not lie in the order of the predictions
    faces = pd.DataFrame(truth, columns=["pitch", "yaw", "roll"]).assign(face_id=ids)
    write_table(faces.iloc[order], folder / "faces.parquet")
    crop_format = CropFormat(64, 64, 15, "enlarged", "replicate", "png", 95)
    images = [encode(np.full(crop_format.shape, 90 + row, np.uint8), crop_format) for row in order]
    digest = sha256(folder / "faces.parquet")
    write_crops(folder / "crops.h5", faces.iloc[order], images, crop_format, digest)
    own = [
        s for s in params["students"].values() if s["protocol"] == params["tests"][test]["protocol"]
    ]
    names = ["base", "ensemble", *(f"kd-{s['backbone']}" for s in own)]
    labels = pd.DataFrame(truth, columns=examples.TRUE_PYR)
    parts = [
        pd.DataFrame(truth + 5 * place, columns=["pitch", "yaw", "roll"])
        .assign(face_id=ids, network=name)
        .join(labels)
        for place, name in enumerate(names)
    ]
    write_table(pd.concat(parts), folder / "predictions.parquet")


def run_examples(folder: Path, test: str, out: str = "examples.png") -> Path:
    examples.main(
        params=folder / "params.yaml",
        test=test,
        predictions=folder / "predictions.parquet",
        crops=folder / "crops.h5",
        figure=folder / out,
    )
    return folder / out
