"""Exported networks in ONNX Runtime: all it takes to run one, which is less than to write it."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray

from hpe_core.errors import InputError

INPUT, OUTPUTS = "images", ("pyr_deg", "std_deg", "probs")

Faces = NDArray[np.uint8]  # N x h x w x 3, RGB
Angles = tuple[NDArray[np.float32], NDArray[np.float32]]  # pyr_deg and std_deg, N x 3


def open_session(model: bytes) -> Any:
    """On the CPU, with as many threads as torch has."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors only
    options.intra_op_num_threads = torch.get_num_threads()
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's own exceptions share no narrower base class
        raise InputError(f"ONNX Runtime cannot load it: {error}") from error


def angles(session: Any, faces: Faces) -> Angles:
    pyr_deg, std_deg = session.run(OUTPUTS[:2], {INPUT: faces})
    return pyr_deg, std_deg


def batches(faces: Faces, size: int = 32) -> Iterator[Faces]:
    yield from (faces[start : start + size] for start in range(0, len(faces), size))
