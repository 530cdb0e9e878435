"""A network over many crops."""

from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import torch

from hpe_core.bins import BinSpec
from hpe_core.boxes import offset_grid
from hpe_core.ensemble import Windows
from hpe_core.inference import each_window
from hpe_core.networks import BaseNet


def test_no_other_process_is_waited_for():
    """After a kill, one process may have nothing left to compute: it will not come."""
    alone = SimpleNamespace(device=torch.device("cpu"), is_global_zero=True, autocast=nullcontext)
    crops = np.zeros((3, 20, 20, 3), np.uint8)
    network, windows = BaseNet("resnet8", [BinSpec(3.0)]), Windows(offset_grid(1, 1))
    found = each_window(network, crops, np.arange(3), windows, (16, 16), alone, 16)
    assert sum(len(probs) for probs in found) == 3
