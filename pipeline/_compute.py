"""The machine's side of a run: what changes speed, not results."""

import ctypes
import os
from datetime import timedelta
from pathlib import Path

import lightning_fabric
import torch
from lightning_fabric.plugins.environments import LightningEnvironment, TorchElasticEnvironment
from lightning_fabric.strategies import DDPStrategy

from hpe_core.errors import InputError
from hpe_core.params.loading import Precision, load
from hpe_core.params.machine import Compute

_WAIT = timedelta(days=1)  # for a slower process; a dead one ends the others through torchrun
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # of glibc's mallopt


def start(params: Path, precision: Precision) -> tuple[lightning_fabric.Fabric, Compute]:
    """The device named under `compute` in params.yaml, and deterministic kernels.

    One process, or as many as torchrun has started: how many is no parameter of any stage.
    """
    compute = load(params, "compute", Compute)
    found = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not found.get(compute.device, True):
        raise InputError(f"{params}: compute.device is {compute.device!r}, but torch finds none")
    torch.use_deterministic_algorithms(True, warn_only=True)
    keep_memory()
    launched = TorchElasticEnvironment.detect()
    world = int(os.environ["WORLD_SIZE"]) if launched else 1
    local = int(os.environ["LOCAL_WORLD_SIZE"]) if launched else 1
    fabric = lightning_fabric.Fabric(
        accelerator=compute.device,
        devices=local,
        num_nodes=world // local,
        strategy=DDPStrategy(timeout=_WAIT) if world > 1 else "auto",
        precision=precision,
        # A batch script of SLURM's sets variables that would pass for several processes.
        plugins=TorchElasticEnvironment() if launched else LightningEnvironment(),
    )
    fabric.launch()
    return fabric, compute


def keep_memory() -> None:
    """Freed memory stays with the process, where the C library is glibc.

    By default every large tensor is new memory of the system's, with a page fault for each 4 kB:
    some 6 % of a training step on a CPU (docs/performance.md).
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(_M_MMAP_MAX, 0)
        libc.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
