"""A network over many crops, and what is kept of its work."""

from contextlib import nullcontext
from types import SimpleNamespace

import lightning_fabric
import numpy as np
import pytest
import torch

from hpe_core.common.errors import InputError
from hpe_core.crops.window import rotated_window
from hpe_core.networks.bins import BinSpec
from hpe_core.networks.model import BaseNet, normalize, predict_probs
from hpe_core.teacher.ensemble import CENTRE, Windows
from hpe_core.teacher.offsets import offset_grid
from hpe_core.teacher.windows import Runner, Shown, each_window, kept_in_shards, window_probs_of
from hpe_core.training.loop import seeded
from hpe_core.work.resume import Work


def test_no_other_process_is_waited_for():
    """After a kill, one process may have nothing left to compute: it will not come."""
    alone = SimpleNamespace(device=torch.device("cpu"), is_global_zero=True, autocast=nullcontext)
    crops = np.zeros((3, 24, 24, 3), np.uint8)
    network, windows = BaseNet("resnet8", [BinSpec(3.0)]), Windows(offset_grid(1, 1))
    found = each_window(Runner(network, alone, 16), crops, np.arange(3), windows, (16, 16))
    assert sum(len(probs) for probs in found) == 3


class Faces(list):
    """Crops in memory, which count how often they are read."""

    path, format = "c.h5", SimpleNamespace(margin=4, size_hw=(16, 16))

    def __init__(self, n: int) -> None:
        super().__init__(np.random.default_rng(0).integers(0, 256, (n, 24, 24, 3), np.uint8))
        self.read: list[int] = []

    def __getitem__(self, row: int) -> np.ndarray:
        self.read.append(row)
        return super().__getitem__(row)


def on_cpu(batch: int) -> Runner:
    network = seeded(lambda: BaseNet("resnet8", [BinSpec(3.0)]), 1).eval()
    return Runner(network, lightning_fabric.Fabric(accelerator="cpu", devices=1), batch)


def test_what_is_kept_is_what_the_network_says_of_each_view(tmp_path):
    """A face asked for twice, at its own angle each; a second run computes nothing again."""
    runner, crops, work = on_cpu(2), Faces(5), Work(tmp_path, first=True)
    rows, phi_deg = np.array([3, 0, 0, 4, 2]), np.array([0, 5, -5, 9, 0], np.float32)
    shown = Shown(crops, rows, CENTRE, phi_deg)

    def read(probs):
        return probs[:, 0], runner.network.spec.expectation(probs[:, 0])

    parts = list(kept_in_shards(runner, shown, read, work))
    probs, pyr_deg = (np.concatenate(column) for column in zip(*parts, strict=True))
    for place, (row, phi) in enumerate(zip(rows, phi_deg, strict=True)):
        alone = torch.from_numpy(rotated_window(crops[row], (16, 16), float(phi)))[None]
        with torch.inference_mode():
            expected = predict_probs(runner.network, normalize(alone))
        np.testing.assert_allclose(probs[place], expected[0], atol=1e-5)
        np.testing.assert_allclose(
            pyr_deg[place], runner.network.spec.expectation(expected)[0], atol=1e-3
        )
    places = np.array([3, 1])
    (some,) = window_probs_of(runner, shown.part(places))
    np.testing.assert_allclose(some[:, 0], probs[places], atol=1e-6)
    crops.read.clear()
    again = list(kept_in_shards(runner, shown, read, work))
    assert not crops.read
    np.testing.assert_array_equal(again[0][0], parts[0][0])


def test_offsets_past_the_margin_are_refused():
    shown = Shown(Faces(1), np.arange(1), Windows(offset_grid(30, 30)))
    with pytest.raises(InputError, match=r"c\.h5: .* margin is 4 pixels, but the offsets need 5"):
        next(window_probs_of(on_cpu(9), shown))
