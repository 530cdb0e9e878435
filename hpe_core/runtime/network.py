"""Opens a network for prediction: the .onnx of `hpe export` without torch; others with it."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from hpe_core.common.errors import InputError
from hpe_core.common.files import regular_size
from hpe_core.common.settings import validate
from hpe_core.crops.settings import CropRule, CropRules
from hpe_core.faces.detector import threads
from hpe_core.faces.settings import BoxRules

Rules = TypeVar("Rules", CropRules, BoxRules)
Faces = NDArray[np.uint8]  # N x h x w x 3, RGB
Angles = tuple[NDArray[np.float32], NDArray[np.float32]]  # pyr_deg and std_deg, N x 3

MISSING = "no such network; `make demo` trains the demo's"
INPUT, OUTPUTS = "images", ("pyr_deg", "std_deg", "probs")  # of exported networks


@dataclass(frozen=True)
class OpenNetwork:
    """A network, and the rules by which its faces are found and cut.

    read: uint8 RGB faces (N, h, w, 3) → pyr_deg and std_deg (N x 3 each), degrees.
    boxes: None for a .pth, which does not record them.
    theta_deg: the bins end at ± this angle; the network can predict none beyond.
    """

    path: Path
    read: Callable[[Faces], Angles]
    crop: CropRules
    boxes: BoxRules | None
    theta_deg: float

    def angles(self, faces: Faces) -> Angles:
        """`read`. Raises InputError where an angle or its std is NaN or infinite."""
        both = self.read(faces)
        if not all(np.isfinite(part).all() for part in both):
            raise InputError(f"{self.path}: damaged: it predicts NaN or infinite angles")
        return both


def open_network(
    path: Path,
    device: str = "cpu",
    backbone: str | None = None,
    crop_rule: CropRule = "published",
    size_px: int = 224,
) -> OpenNetwork:
    """A .onnx of `hpe export`, a .safetensors of the pipeline, or a .pth as published.

    device: of a network that torch runs; backbone, crop_rule, size_px: of a .pth, which says
    neither. Raises InputError for a file that is missing, damaged or no network, for a device that
    is not there, and without torch for all but .onnx.
    """
    if path.suffix not in (".onnx", ".safetensors", ".pth"):
        raise InputError(
            f"{path}: expected a network, .onnx, .safetensors or .pth, or one of `hpe weights`"
        )
    if not path.exists():
        raise InputError(f"{path}: {MISSING}")
    if path.suffix == ".onnx":
        if device != "cpu":
            raise InputError(f"{path}: an .onnx runs on the CPU; a .safetensors also on {device}")
        return _open_onnx(path)
    try:
        from hpe_core.runtime import torch_network
    except ModuleNotFoundError as error:
        raise InputError(
            f"{path}: needs {error.name}, which predicting from an .onnx does not; "
            "`hpe export` writes one, or install the extra `pipeline`"
        ) from None
    if path.suffix == ".safetensors":
        return torch_network.open_safetensors(path, device)
    crop = CropRules(size_px, size_px, margin=0, rule=crop_rule, border="replicate")
    return torch_network.open_pth(path, device, backbone, crop)


def rules_of(path: Path, crop: object, boxes: object) -> tuple[CropRules, BoxRules]:
    """What a file's metadata record of both. Raises InputError that names what is wrong there."""
    return _rules(path, "crop", CropRules, crop), _rules(path, "boxes", BoxRules, boxes)


def _rules(path: Path, name: str, kind: type[Rules], recorded: object) -> Rules:
    if isinstance(recorded, Mapping):  # how the training's crops were stored is of no concern
        known = {field.name for field in fields(kind)}  # type: ignore[arg-type]
        recorded = {key: value for key, value in recorded.items() if key in known}
    return validate(f"{path}: wrong in its metadata", name, kind, recorded)


def _open_onnx(path: Path) -> OpenNetwork:
    regular_size(path)
    try:
        session = open_session(path.read_bytes())
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    names = {entry.name for entry in (*session.get_inputs(), *session.get_outputs())}
    found = session.get_modelmeta().custom_metadata_map
    if not {INPUT, *OUTPUTS} <= names or not {"crop", "boxes", "bins"} <= set(found):
        raise InputError(f"{path}: expected a file of `hpe export`, which says how faces are cut")
    try:
        recorded_crop, recorded_boxes, bins = (
            json.loads(found[name]) for name in ("crop", "boxes", "bins")
        )
        theta_deg = float(bins["theta_deg"])
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(f"{path}: damaged metadata: {error!r}") from None
    crop, boxes = rules_of(path, recorded_crop, recorded_boxes)
    shape, expected = session.get_inputs()[0].shape[1:], [*crop.size_hw, 3]
    if shape != expected:
        raise InputError(f"{path}: takes faces of {shape}, but its metadata says {expected}")
    return OpenNetwork(path, partial(angles, session), crop, boxes, theta_deg)


def open_session(model: bytes) -> Any:
    """An ONNX Runtime session on the CPU."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors only
    options.intra_op_num_threads = threads()
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's own exceptions share no narrower base class
        raise InputError(f"ONNX Runtime cannot load it: {error}") from error


def angles(session: Any, faces: Faces) -> Angles:
    pyr_deg, std_deg = session.run(OUTPUTS[:2], {INPUT: faces})
    return pyr_deg, std_deg
