"""The machine's side of a run: what changes speed, not results."""

from pathlib import Path

import lightning_fabric
import torch

from hpe_core.errors import InputError
from hpe_core.params.loading import Precision, load
from hpe_core.params.machine import Compute


def start(params: Path, precision: Precision) -> tuple[lightning_fabric.Fabric, Compute]:
    """The device named under `compute` in params.yaml, and deterministic kernels."""
    compute = load(params, "compute", Compute)
    found = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not found.get(compute.device, True):
        raise InputError(f"{params}: compute.device is {compute.device!r}, but torch finds none")
    torch.use_deterministic_algorithms(True, warn_only=True)
    fabric = lightning_fabric.Fabric(accelerator=compute.device, devices=1, precision=precision)
    return fabric, compute
