"""Device and processes: what changes the speed of a run, not its results."""

import ctypes
import os
from datetime import timedelta
from pathlib import Path

import lightning_fabric
import torch
from lightning_fabric.plugins.environments import LightningEnvironment, TorchElasticEnvironment
from lightning_fabric.strategies import DDPStrategy

from hpe_core.common.errors import InputError
from hpe_core.common.settings import Precision, load
from hpe_core.work.settings import Compute

_WAIT = timedelta(days=1)  # for slower processes; if one dies, torchrun stops the others
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # options of glibc's mallopt


def start(params: Path, precision: Precision) -> tuple[lightning_fabric.Fabric, Compute]:
    """Sets up the device of `compute` in params.yaml, with deterministic kernels.

    Uses one process, or as many as torchrun started. Raises InputError if torch has no such device.
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
        # SLURM sets variables in batch scripts that Fabric would take for several processes.
        plugins=TorchElasticEnvironment() if launched else LightningEnvironment(),
    )
    fabric.launch()
    return fabric, compute


def keep_memory() -> None:
    """Makes glibc keep freed memory in the process; does nothing with other C libraries.

    By default every large tensor is newly mapped, with a page fault per 4 kB: some 6 % of a
    training step on a CPU (docs/performance.md).
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(_M_MMAP_MAX, 0)
        libc.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
