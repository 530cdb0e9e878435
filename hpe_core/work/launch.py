"""The processes that torchrun started, for stages without a network."""

import os
from pathlib import Path

from hpe_core.work.resume import OneProcess, Processes


def processes(params: Path) -> Processes:
    """The one process or, under torchrun, all that it started.

    Only the latter import torch, to wait for each other. Raises InputError as `device.start`.
    """
    if "TORCHELASTIC_RUN_ID" not in os.environ:  # as torch.distributed.is_torchelastic_launched
        return OneProcess()
    from hpe_core.work.device import start

    return start(params, "32-true")[0]
