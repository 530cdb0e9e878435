"""The networks that `hpe evaluate` takes: each a function from faces to poses."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from pydantic import ValidationError

from hpe_core.errors import InputError, brief
from hpe_core.io.checkpoints import load_published
from hpe_core.io.files import regular_size
from hpe_core.io.onnx_session import INPUT, OUTPUTS, Angles, Faces, angles, open_session
from hpe_core.networks import BACKBONES, Network, folded, normalize, predict_probs
from hpe_core.params.faces import Boxes, Crop
from hpe_core.predictor import cutting_rules, device_of, trained_network
from hpe_core.uncertainty import distribution_std_deg


@dataclass(frozen=True)
class Opened:
    """A network, and how faces are cut for it.

    read: uint8 RGB faces (N, h, w, 3) → pyr_deg and std_deg (N x 3 each), degrees.
    boxes: how they are found and shaped; None for a .pth, which does not say.
    theta_deg: where the bins end; no angle beyond ± that can be predicted.
    """

    path: Path
    read: Callable[[Faces], Angles]
    crop: Crop
    boxes: Boxes | None
    theta_deg: float


def open_network(
    path: Path, device: str, backbone: str | None, crop_rule: str, size_px: int
) -> Opened:
    """backbone, crop_rule, size_px: of a .pth. Raises InputError for a file that is no network."""
    if path.suffix == ".onnx":
        return _exported(path)
    if path.suffix == ".pth":
        return _published(path, device, backbone, crop_rule, size_px)
    if path.suffix != ".safetensors":
        raise InputError(f"{path}: expected a network, .safetensors, .onnx or .pth")
    network, metadata = trained_network(path)
    crop, boxes = cutting_rules(path, metadata)
    return _opened(path, _by_torch(network, device), crop, boxes, network.spec.theta_deg)


def _published(
    path: Path, device: str, backbone: str | None, crop_rule: str, size_px: int
) -> Opened:
    if backbone not in BACKBONES:
        found = f"found {backbone!r}" if backbone else "which the file does not say"
        raise InputError(f"{path}: give its --backbone, {found}; one of {', '.join(BACKBONES)}")
    network = load_published(path, backbone)
    sides = {"height": size_px, "width": size_px, "margin": 0}
    stored = {"codec": "raw", "jpeg_quality": 95}
    crop = Crop.model_validate({"rule": crop_rule, "border": "replicate", **sides, **stored})
    return Opened(path, _by_torch(network, device), crop, None, network.spec.theta_deg)


def _exported(path: Path) -> Opened:
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
        crop, boxes, bins = (json.loads(found[name]) for name in ("crop", "boxes", "bins"))
        theta_deg = float(bins["theta_deg"])
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(f"{path}: damaged metadata: {error!r}") from None
    opened = _opened(path, partial(angles, session), crop, boxes, theta_deg)
    shape, expected = session.get_inputs()[0].shape[1:], [opened.crop.height, opened.crop.width, 3]
    if shape != expected:
        raise InputError(f"{path}: takes faces of {shape}, but its metadata say {expected}")
    return opened


def _opened(
    path: Path, read: Callable[[Faces], Angles], crop: Any, boxes: Any, theta_deg: float
) -> Opened:
    try:
        return Opened(path, read, Crop.model_validate(crop), Boxes.model_validate(boxes), theta_deg)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join([error.title.lower(), *map(str, first["loc"])])
        found = f"{first['msg']}; found {brief(first['input'])}"
        raise InputError(f"{path}: says of how faces are cut for it: {where}: {found}") from None


def _by_torch(network: Network, device: str) -> Callable[[Faces], Angles]:
    place = device_of(device)
    model, spec = folded(network).to(place), network.spec

    @torch.inference_mode()
    def read(faces: Faces) -> Angles:
        probs = predict_probs(model, normalize(torch.from_numpy(faces).to(place)))
        both = spec.expectation(probs), distribution_std_deg(probs, spec)
        pyr_deg, std_deg = (_array(part) for part in both)
        return pyr_deg, std_deg

    return read


def _array(values: torch.Tensor) -> NDArray[Any]:
    return values.float().cpu().numpy()
