"""What the experiments share: the faces they measure, where angles are kept, and the table.

The faces are the validation rows of a training set's crops: no network is trained on them, and no
stage of the pipeline measures them.
"""

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hpe_core.bootstrap import LEVEL, paired_difference
from hpe_core.errors import InputError
from hpe_core.geometry import geodesic_deg
from hpe_core.io.crops import Crops
from hpe_core.io.files import atomic
from hpe_core.metrics import absolute_error_deg

Angles = NDArray[np.floating]

LEGEND = (
    f"MAE: degrees, mean ± standard deviation over the seeds; gain: share of the reference's error "
    f"that is saved, with its {LEVEL:.0%} interval over the choice of faces; p: two-sided, of this "
    f"row's MAE alone, although there are many rows."
)


def validation_rows(crops: Crops) -> NDArray[np.int64]:
    if not crops.validation.any():
        raise InputError(f"{crops.path}: no validation faces; set `validation` of its protocol")
    return np.flatnonzero(crops.validation)


def kept_at(cache: Path, name: str, origin: Mapping[str, Any]) -> Path:
    """Where to keep angles. origin: all they depend on but code, JSON-able; in the name."""
    digest = sha256(json.dumps(origin, sort_keys=True).encode()).hexdigest()
    return cache / f"{name}-{digest[:12]}.npy"


def keep(path: Path, pyr_deg: Angles) -> None:
    with atomic(path) as temporary, temporary.open("wb") as file:
        np.save(file, pyr_deg)


def compared(
    predictions: Mapping[str, Angles], pyr_deg: Angles, reference: str, yaw_deg: tuple[float, float]
) -> pd.DataFrame:
    """One row a prediction; its gains are over the one named `reference`, positive where better.

    predictions: name → (seeds, N, 3) degrees; pyr_deg (N, 3): labels; yaw_deg: only the faces whose
    |yaw| lies between these.
    """
    yaw = np.abs(pyr_deg[:, 1])
    faces = (yaw >= yaw_deg[0]) & (yaw <= yaw_deg[1])
    labels, chosen = pyr_deg[faces], {name: p[:, faces] for name, p in predictions.items()}
    mae = {name: absolute_error_deg(p, labels).mean(-1) for name, p in chosen.items()}
    angle = {name: geodesic_deg(p, labels) for name, p in chosen.items()}
    rows = [
        {"name": name, "faces": len(labels), "mae": mae[name].mean()}
        | ({"mae_std": mae[name].mean(1).std(ddof=1)} if len(mae[name]) > 1 else {})
        | _gain("", mae[reference], mae[name])
        | {"geodesic": angle[name].mean()}
        | _gain("geodesic ", angle[reference], angle[name])
        for name in chosen
    ]
    return pd.DataFrame(rows)


def _gain(prefix: str, reference: Angles, errors: Angles) -> dict[str, float]:
    """In percent of the reference's mean error; the same draws for every row of the table."""
    found = paired_difference(reference, errors, np.random.default_rng(0))
    percent = np.array([found.mean, found.low, found.high]) * 100 / reference.mean()
    names = [f"{prefix}{name}" for name in ("gain", "low", "high", "p")]
    return dict(zip(names, [*percent, found.p], strict=True))


def report(table: pd.DataFrame, csv: Path) -> str:
    """Writes all columns, and returns the Markdown of those for reading."""
    with atomic(csv) as temporary:
        table.round(4).to_csv(temporary, index=False)
    page = table.filter(["name", "S"])
    page["MAE"] = table["mae"].map("{:.3f}".format)
    if "mae_std" in table:
        page["MAE"] += table["mae_std"].map(" ± {:.3f}".format)
    for prefix in ("", "geodesic "):
        gains = table[[f"{prefix}{end}" for end in ("gain", "low", "high")]].to_numpy()
        page[f"{prefix}gain, %"] = [f"{g:+.1f} [{lo:+.1f}; {hi:+.1f}]" for g, lo, hi in gains]
    page["p"] = table["p"].map(lambda p: "< 0.001" if p < 0.001 else f"{p:.3f}")
    return f"{LEGEND}\n\n{page.to_markdown(index=False, disable_numparse=True)}"
