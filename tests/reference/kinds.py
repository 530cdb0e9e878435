"""What is in the files: columns, keys, datasets and attributes, as the code writes them.

Small results lie in git and are read; of HDF5 and networks the code writes one of a single face.
Names come from there, meanings and units from `meanings.py`. A name without one has an empty cell
on the page, and `tests/test_reference.py` names it.
"""

import csv
import json
import re
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import h5py
import numpy as np
import pandas as pd

from hpe_core.common.table_files import BOX_COLUMNS, INDEX_COLUMNS, PYR
from hpe_core.crops.settings import CropFormat
from hpe_core.crops.store import encode, write_crops
from hpe_core.evaluation.columns import JITTER, ORDER, PREDICTED, TRUE_PYR
from hpe_core.networks.bins import BinSpec
from hpe_core.networks.checkpoints import load_network, save_network
from hpe_core.networks.model import StudentNet
from hpe_core.teacher.sweeps import SweptAngles, write_sweep
from hpe_core.teacher.targets import TargetsOrigin, write_targets
from tests.graph import ROOT
from tests.reference.markdown import code, table
from tests.reference.meanings import (
    CROPS,
    FACE_TABLE,
    KINDS,
    LISTS,
    NETWORK,
    OTHERS,
    PREDICTIONS,
    RESULTS,
    SWEEP,
    TARGETS,
)

PLACEHOLDERS = [  # names that differ from run to run, all keys of a mapping at once
    (re.compile(r"base|ensemble(-\w+)?|(control|kd)-\w+"), "NETWORK"),
    (re.compile(r"\d+-\d+"), "BAND"),
    (re.compile(r"\w+ validation|\w+-\w+"), "TEST"),
]


def text() -> str:
    """The sections of the kinds of files, and what the columns of small results mean."""
    face_types = {**INDEX_COLUMNS, **BOX_COLUMNS}
    prediction_types = dict.fromkeys(["face_id", "group", "network"], "str")
    prediction_types |= {"seed": "int64", **dict.fromkeys([*PREDICTED, *TRUE_PYR], "float64")}
    prediction_types |= {ORDER: "str"}
    prediction_types |= dict(zip(JITTER, ["str", "str", "float64"], strict=True))
    with TemporaryDirectory() as folder:
        crops, targets, sweep, network = samples(Path(folder))
    parts = [
        "## Face tables\n\nParquet, one row per face: `data/index`; `data/boxes` and `data/faces` "
        "also have the columns from `det_x1` on.",
        columns(face_types, FACE_TABLE),
        "## Crops\n\nHDF5, N faces.",
        columns(crops, CROPS),
        "## Targets\n\nHDF5, N faces of V views (`distill.views`), face by face.",
        columns(targets, TARGETS),
        "## Sweeps\n\nHDF5, N faces, L offsets.",
        columns(sweep, SWEEP),
        "## Networks\n\nsafetensors: the tensors of the state dict, and as JSON in the metadata, "
        "under `hpe`:",
        columns(dict.fromkeys(network, "metadata"), NETWORK),
        "## Predictions\n\nParquet, one row per network, seed and face: `validation.parquet`, "
        "`tests/`, and with moved boxes `jitter/`, one row also per jitter. The metadata says of "
        "which crops and networks. `training.h5` holds [targets](#targets) of one window, of some "
        "training faces. Of imported networks: `face_id`, angles, labels and `order`.",
        columns(prediction_types, PREDICTIONS),
        "## Columns and keys of the small results",
        columns(dict.fromkeys(sorted(result_names()), ""), RESULTS),
    ]
    return "\n\n".join(parts)


def columns(types: Mapping[str, str], meanings: Mapping[str, str]) -> str:
    """In the order of the meanings; neighbours with the same meaning share a row."""
    rows: list[tuple[list[str], str, str]] = []
    order = {name: at for at, name in enumerate(meanings)}
    for name, kind in sorted(types.items(), key=lambda item: order.get(item[0], len(order))):
        meaning = meaning_of(name, meanings)
        if rows and meaning and rows[-1][1:] == (kind, meaning):
            rows[-1][0].append(name)
        else:
            rows.append(([name], kind, meaning))
    lines = [(", ".join(map(code, names)), *rest) for names, *rest in rows]
    if any(types.values()):
        return table(["name", "type", "meaning"], lines)
    return table(["name", "meaning"], [(names, meaning) for names, _, meaning in lines])


def meaning_of(name: str, meanings: Mapping[str, str]) -> str:
    if name in meanings:
        return meanings[name]
    return next((m for n, m in meanings.items() if n.endswith("*") and name.startswith(n[:-1])), "")


def held(path: Path) -> str:
    """What is in a file that a stage writes: a link to its kind, or its columns and keys."""
    name = str(path)
    for end, names in LISTS.items():
        if name.endswith(end):
            return f"list: {names}"
    for start, section in KINDS.items():
        if name.startswith(start):
            return f"[{section}](#{section.lower().replace(' ', '-')})"
    for start, what in OTHERS.items():
        if name.startswith(start):
            return what
    there = sorted(ROOT.glob(re.sub(r"\$\{[^}]+\}", "*", name)))
    return shape(there[0]) if there else ""


def shape(file: Path) -> str:
    if file.suffix == ".csv":
        return ", ".join(header_of(file))
    if file.suffix == ".json":
        return keys_in(json.loads(file.read_text()))
    return {".png": "a picture", ".md": "Markdown"}.get(file.suffix, "")


def header_of(file: Path) -> list[str]:
    with file.open(newline="") as lines:
        return next(csv.reader(lines))


def keys_in(value: Any) -> str:
    """`NETWORK: {faces, mae, …}`: the keys of a JSON file, those of a run's own names replaced."""
    inside = []
    for name, below in general(value).items():
        deeper = keys_in(below) if isinstance(below, dict) else ""
        inside.append(f"{name}: {{{deeper}}}" if deeper else name)
    return ", ".join(inside)


def general(value: Mapping[str, Any]) -> Mapping[str, Any]:
    """A mapping whose keys are a run's own names (networks, test sets, bands), as one entry."""
    for pattern, name in PLACEHOLDERS:
        if value and all(pattern.fullmatch(key) for key in value):
            merged: dict[str, Any] = {}
            for below in value.values():
                merged |= below if isinstance(below, dict) else {}
            return {name: merged}
    if any(isinstance(below, dict) and "photograph" in below for below in value.values()):
        return {"TEST": next(iter(value.values()))}
    return {key: {} if key.startswith("by_") else below for key, below in value.items()}


def result_names() -> set[str]:
    """All columns and keys of the results in git that stages write, placeholders left out."""
    names: set[str] = set()
    for file in sorted((ROOT / "metrics").glob("*/**/*")):
        if file.suffix == ".csv":
            names |= set(header_of(file))
        elif file.suffix == ".json":
            names |= set(re.findall(r"[\w.]+", keys_in(json.loads(file.read_text()))))
    wild = [name[:-1] for name in RESULTS if name.endswith("*")]
    short = {
        next((f"{start}*" for start in wild if name.startswith(start)), name) for name in names
    }
    return short - {"NETWORK", "TEST", "BAND"}


def without_meaning() -> list[str]:
    """Names in the small results of which RESULTS says nothing."""
    return sorted(name for name in result_names() if not meaning_of(name, RESULTS))


def samples(folder: Path) -> list[dict[str, str]]:
    """Name → type of crops, targets, a sweep and a network of one face, as the code writes them."""
    crop_format = CropFormat(2, 2, 0, "enlarged", "replicate", "raw", 95)
    faces = pd.DataFrame([[0.0, 0.0, 0.0]], columns=PYR)
    faces = faces.assign(face_id="a", group="a", order="XYZ", validation=False)
    data = [encode(np.zeros(crop_format.shape, np.uint8), crop_format)]
    write_crops(folder / "crops.h5", faces, data, crop_format, {})
    spec = BinSpec()
    probs = np.zeros((1, 3, spec.n_bins), np.float32)
    angles = np.zeros((1, 3), np.float32)
    origin = TargetsOrigin(0, 1, 1, 1.0, 99.0, spec.n_bins, "", "", "", [0.0], False, 1, 0.0)
    write_targets(
        folder / "targets.h5",
        ["a"],
        np.zeros((1, 1), np.float32),
        [(probs, angles, angles)],
        origin,
    )
    offsets = np.zeros((1, 2), np.int64)
    swept = SweptAngles(["a"], offsets, angles[None])
    write_sweep(folder / "sweep.h5", swept, {"base_sha256": "", "crops_sha256": ""})
    save_network(StudentNet("resnet8", spec), folder / "n.safetensors", "resnet8", (2, 2), {})
    _, metadata = load_network(folder / "n.safetensors")
    return [
        hdf5_names(folder / "crops.h5", {"pyr_deg": "N, 3", "offsets": "N + 1", "pixels": "bytes"}),
        hdf5_names(folder / "targets.h5", {"phi_deg": "N, V", "probs": "N · V, 3, n_bins",
                                           "pyr_deg": "N · V, 3", "std_deg": "N · V, 3"}),
        hdf5_names(folder / "sweep.h5", {"angles_deg": "N, L, 3", "offsets": "L, 2"}),
        dict.fromkeys([*metadata, "content_sha256"], ""),
    ]  # fmt: skip


def hdf5_names(path: Path, shapes: Mapping[str, str]) -> dict[str, str]:
    with h5py.File(path) as file:
        sets = {
            name: f"({shapes.get(name, 'N')}) {kind_of(dataset.dtype)}"
            for name, dataset in file.items()
        }
        return sets | dict.fromkeys(file.attrs, "attribute")


def kind_of(dtype: np.dtype[Any]) -> str:
    return "text" if dtype.kind == "S" else str(dtype)
