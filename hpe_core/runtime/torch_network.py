"""Networks that torch runs: the pipeline's .safetensors, and .pth as published with the paper."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from hpe_core.common.errors import InputError
from hpe_core.crops.settings import CropRules
from hpe_core.networks.checkpoints import load_network, load_published
from hpe_core.networks.model import BACKBONES, Network, folded, normalize, predict_probs
from hpe_core.runtime.network import MISSING, Angles, Faces, OpenNetwork, rules_of


def trained_network(path: Path) -> tuple[Network, dict[str, Any]]:
    """`load_network`, with advice for users in the errors for missing files and .onnx."""
    if path.suffix == ".onnx":
        raise InputError(f"{path}: expected a .safetensors, from which an .onnx is made")
    if not path.exists():
        raise InputError(f"{path}: {MISSING}")
    return load_network(path)


def open_safetensors(path: Path, device: str) -> OpenNetwork:
    network, metadata = trained_network(path)
    crop, boxes = rules_of(path, *recorded_rules(path, metadata))
    return OpenNetwork(path, angle_reader(network, device), crop, boxes, network.spec.theta_deg)


def open_pth(path: Path, device: str, backbone: str | None, crop: CropRules) -> OpenNetwork:
    if backbone not in BACKBONES:
        found = f"found {backbone!r}" if backbone else "which the file does not say"
        raise InputError(f"{path}: give its --backbone, {found}; one of {', '.join(BACKBONES)}")
    network = load_published(path, backbone)
    return OpenNetwork(path, angle_reader(network, device), crop, None, network.spec.theta_deg)


def recorded_rules(path: Path, metadata: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The sections `crop` and `boxes` that a network was trained with.

    metadata: as `load_network` gives it. Raises InputError where they are missing.
    """
    try:
        return metadata["provenance"]["crop"], metadata["provenance"]["boxes"]
    except KeyError as error:
        raise InputError(f"{path}: does not say how faces are cut for it: {error}") from None


def angle_reader(network: Network, device: str) -> Callable[[Faces], Angles]:
    """A function from uint8 RGB faces (N, h, w, 3) to pyr_deg and std_deg (N x 3 each).

    Raises InputError for a device that is not there.
    """
    place = device_of(device)
    model, spec = folded(network).to(place), network.spec

    @torch.inference_mode()
    def read(faces: Faces) -> Angles:
        probs = predict_probs(model, normalize(torch.from_numpy(faces).to(place)))
        pyr_deg, std_deg = spec.angle_and_std_deg(probs)
        return pyr_deg.float().cpu().numpy(), std_deg.float().cpu().numpy()

    return read


def device_of(name: str) -> torch.device:
    try:
        device = torch.device(name)
    except RuntimeError:  # torch's message lists twenty device types
        raise InputError(f"device {name!r}: expected cpu, cuda, cuda:1, … or mps") from None
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:  # torch raises any of them
        reason = str(error).partition("\n")[0]
        raise InputError(f"device {name!r} cannot be used here: {reason}") from None
    return device
