"""Opens the networks that `hpe evaluate` takes, .safetensors, .onnx and .pth, all alike."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import onnxruntime
import torch

from hpe_core.common.errors import InputError
from hpe_core.common.files import regular_size
from hpe_core.common.settings import validate
from hpe_core.crops.settings import CropFormat, CropRule, CropRules
from hpe_core.faces.settings import BoxRules
from hpe_core.networks.checkpoints import load_published
from hpe_core.networks.model import BACKBONES
from hpe_core.predictor import Angles, Faces, angle_reader, recorded_rules, trained_network

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


def open_network(
    path: Path,
    device: str,
    backbone: str | None = None,
    crop_rule: CropRule = "published",
    size_px: int = 224,
) -> OpenNetwork:
    """backbone, crop_rule, size_px: for a .pth. Raises InputError for a file that is no network."""
    if path.suffix == ".onnx":
        return _open_onnx(path)
    if path.suffix == ".pth":
        crop = CropRules(size_px, size_px, margin=0, rule=crop_rule, border="replicate")
        return _open_pth(path, device, backbone, crop)
    if path.suffix != ".safetensors":
        raise InputError(f"{path}: expected a network, .safetensors, .onnx or .pth")
    network, metadata = trained_network(path)
    recorded_crop, recorded_boxes = recorded_rules(path, metadata)
    crop, boxes = _validate_rules(path, recorded_crop, recorded_boxes)
    return OpenNetwork(path, angle_reader(network, device), crop, boxes, network.spec.theta_deg)


def _open_pth(path: Path, device: str, backbone: str | None, crop: CropRules) -> OpenNetwork:
    if backbone not in BACKBONES:
        found = f"found {backbone!r}" if backbone else "which the file does not say"
        raise InputError(f"{path}: give its --backbone, {found}; one of {', '.join(BACKBONES)}")
    network = load_published(path, backbone)
    return OpenNetwork(path, angle_reader(network, device), crop, None, network.spec.theta_deg)


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
    crop, boxes = _validate_rules(path, recorded_crop, recorded_boxes)
    shape, expected = session.get_inputs()[0].shape[1:], [*crop.size_hw, 3]
    if shape != expected:
        raise InputError(f"{path}: takes faces of {shape}, but its metadata says {expected}")
    return OpenNetwork(path, partial(angles, session), crop, boxes, theta_deg)


def _validate_rules(path: Path, crop: Any, boxes: Any) -> tuple[CropRules, BoxRules]:
    """Of metadata. Raises InputError naming what is wrong there."""
    source = f"{path}: wrong in its metadata"
    return validate(source, "crop", CropFormat, crop), validate(source, "boxes", BoxRules, boxes)


def open_session(model: bytes) -> Any:
    """An ONNX Runtime session on the CPU, with as many threads as torch has."""
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
