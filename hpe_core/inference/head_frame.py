"""The constant rotation between a network's frame of the head and a corpus's, as a JSON file.

`hpe evaluate --frame` fits it (`alignment`); `hpe export --frame` builds it into an .onnx.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hpe_core.common.errors import InputError
from hpe_core.common.files import sha256, write_json
from hpe_core.common.geometry import geodesic_deg, pyr_from_rotation
from hpe_core.evaluation.alignment import constant_rotation
from hpe_core.evaluation.columns import PYR, TRUE_PYR

KEYS = {"rotation", "turn_deg", "faces", "faces_of", "network", "network_sha256"}


def write_frame(network: Path, faces_of: str, table: pd.DataFrame, out: Path) -> None:
    """Fits the rotation on the evaluated faces of `measure.predict_faces`."""
    evaluated = table[table["why"] == ""]
    rotation = constant_rotation(evaluated[PYR], evaluated[TRUE_PYR])
    frame = {
        "rotation": rotation.tolist(),
        "turn_deg": float(geodesic_deg(pyr_from_rotation(rotation), np.zeros(3))),
        "faces": len(evaluated),
        "faces_of": faces_of,
        "network": network.name,
        "network_sha256": sha256(network),
    }
    write_json(frame, out, digits=8)


def read_frame(path: Path) -> dict[str, Any]:
    """Raises InputError for a file that is missing, or not of `write_frame`."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        rotation = np.array(found["rotation"], dtype=np.float64)
        missing = sorted(KEYS - set(found))
        off = np.abs(rotation @ rotation.T - np.eye(3)).max()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(f"{path}: expected a file of `hpe evaluate --frame`: {error!r}") from None
    if missing or not off < 1e-4 or not np.linalg.det(rotation) > 0:
        why = f"no {', '.join(missing)}" if missing else "its rotation is none"
        raise InputError(f"{path}: expected a file of `hpe evaluate --frame`: {why}")
    return found
