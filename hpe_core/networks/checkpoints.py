"""Checkpoints: safetensors with metadata to rebuild the network, and foreign weights."""

import json
from collections.abc import Mapping
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn
from torchvision import models

from hpe_core.common.dvc_lock import damaged, how_to_remake
from hpe_core.common.errors import InputError
from hpe_core.common.files import atomic, check_sha256_beside
from hpe_core.networks.bins import BinSpec
from hpe_core.networks.model import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    BaseNet,
    Encoder,
    Network,
    StudentNet,
)

_STAGE = "the stage that trains it"


def save_network(
    network: Network, path: Path, backbone: str, size_hw: tuple[int, int], provenance: Any
) -> None:
    """Saves the weights and everything needed to use them, with a digest of both.

    provenance: JSON-able, how the network was trained.
    """
    specs = network.specs if isinstance(network, BaseNet) else (network.spec,)
    metadata = {
        "kind": "base" if isinstance(network, BaseNet) else "student",
        "backbone": backbone,
        "bins_deg": [spec.bin_deg for spec in specs],
        "theta_deg": network.spec.theta_deg,
        "size_hw": list(size_hw),
        "mean": IMAGENET_MEAN,
        "std": IMAGENET_STD,
        "provenance": provenance,
    }
    state = {name: v.detach().cpu().contiguous() for name, v in network.state_dict().items()}
    metadata["content_sha256"] = _weights_digest(state, metadata)
    # One JSON entry: safetensors keeps entries in a hash map, whose order changes between runs.
    text = json.dumps(metadata, sort_keys=True)
    with atomic(path) as temporary:
        temporary.write_bytes(safetensors.torch.save(state, metadata={"hpe": text}))


def load_network(path: Path) -> tuple[Network, dict[str, Any]]:
    """The network in evaluation mode, and its metadata.

    Raises InputError if the file is missing, damaged or not a network of this project.
    """
    if not path.exists():
        raise InputError(f"{path}: no such network; run the stage that trains it")
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get("hpe")
        state = safetensors.torch.load_file(path)
        metadata = json.loads(text or "{}")
        intact = metadata.pop("content_sha256", None) == _weights_digest(state, metadata)
    except (safetensors.SafetensorError, ValueError) as error:
        remedy = how_to_remake(path, _STAGE)
        raise InputError(f"{path}: not a safetensors file: {error}; {remedy}") from error
    if text is None:
        remedy = how_to_remake(path, _STAGE)
        raise InputError(f"{path}: no `hpe` metadata, so not a network of this project; {remedy}")
    if not intact:
        raise damaged(path, "its content does not match its content_sha256", _STAGE)
    specs = [BinSpec(b, metadata["theta_deg"]) for b in metadata["bins_deg"]]
    backbone, base = metadata["backbone"], metadata["kind"] == "base"
    if base:
        network: Network = BaseNet(backbone, specs, regression="regression_net.weight" in state)
    else:
        network = StudentNet(backbone, specs[0])
    _load_strictly(network, state, path)
    return network.eval(), metadata


def load_published(path: Path, backbone: str) -> StudentNet:
    """A student as published with the paper: a .pth with StudentNet's tensor names.

    The bin size follows from the number of outputs. Pickled code is refused (`weights_only`).
    Raises InputError that names missing, unexpected or misshapen tensors.
    """
    state = _read_state_dict(path)
    key = "head_net.yaw.weight"
    if key not in state:
        raise InputError(f"{path}: no {key!r}; found {sorted(state)[:5]} and others")
    specs = {spec.n_bins: spec for spec in map(BinSpec, (1.0, 2.0, 3.0, 4.0))}
    n_bins = len(state[key]) if state[key].ndim else 0
    if n_bins not in specs:
        raise InputError(f"{path}: {n_bins} bins; expected one of {sorted(specs)}")
    spec = specs[n_bins]
    network = StudentNet(backbone, spec)
    _load_strictly(network, state, path)
    return network.eval()


def save_published(network: StudentNet, path: Path) -> None:
    """Saves a student as the published evaluation program reads it: a .pth of its state dict."""
    data = BytesIO()  # torch.save to a file would hide the OSError of a full disk
    torch.save(network.state_dict(), data)
    with atomic(path) as temporary:
        temporary.write_bytes(data.getbuffer())


def load_pretrained(encoder: Encoder, backbone: str, source: Path) -> str:
    """Loads pretrained weights into a backbone; returns their name for the provenance.

    source: a path whose name is `none` (keeps the random weights) or a member of torchvision's
    enum, such as `IMAGENET1K_V1` (torchvision downloads and checks it), or a state dict of the
    torchvision ResNet (.pth or .safetensors; its classifier is ignored). Raises InputError if the
    weights do not fit.
    """
    if source.name == "none":
        return "none"
    if source.suffix:
        state = _read_state_dict(source)
    else:
        if backbone not in models.list_models():
            raise InputError(f"{source}: torchvision has no weights for {backbone!r}; use none")
        enum = models.get_model_weights(backbone)
        if source.name not in enum.__members__:
            raise InputError(f"{source}: expected none, a file, or one of {list(enum.__members__)}")
        state = enum[source.name].get_state_dict(progress=True, check_hash=True)
    state = {name: value for name, value in state.items() if not name.startswith("fc.")}
    _load_strictly(encoder.model, state, source)
    return source.name


def _weights_digest(state: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> str:
    """sha256 of the metadata and of every tensor's name, type, shape and bytes."""
    digest = sha256(json.dumps(metadata, sort_keys=True).encode())
    for name in sorted(state):
        tensor = state[name]
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _read_state_dict(path: Path) -> Mapping[str, Tensor]:
    if not path.exists():
        raise InputError(f"{path}: no such weights file")
    check_sha256_beside(path)
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # on damaged data the unpickler can raise anything
        raise InputError(f"{path}: cannot be read as plain weights: {error}") from error
    if not isinstance(state, Mapping):
        raise InputError(f"{path}: expected a state dict of tensors, found {type(state).__name__}")
    foreign = [n for n, v in state.items() if not (isinstance(n, str) and isinstance(v, Tensor))]
    if foreign:
        raise InputError(f"{path}: expected only named tensors, found others under {foreign[:5]}")
    return state


def _load_strictly(network: nn.Module, state: Mapping[str, Tensor], path: Path) -> None:
    shapes = {name: list(value.shape) for name, value in network.state_dict().items()}
    fit = {name for name, value in state.items() if list(value.shape) == shapes.get(name)}
    wrong = {
        "missing": [name for name in shapes if name not in state],
        "unexpected": [name for name in state if name not in shapes],
        "of the wrong shape": [
            f"{name} {list(state[name].shape)}, expected {shape}"
            for name, shape in shapes.items()
            if name in state and name not in fit
        ],
        "not finite": sorted(name for name in fit if not state[name].isfinite().all()),
    }
    found = [
        f"{len(names)} {kind}: {', '.join(names[:5])}" for kind, names in wrong.items() if names
    ]
    if found:
        raise InputError(f"{path}: weights don't fit the network: {'; '.join(found)}")
    network.load_state_dict(state, strict=True)
