"""One pass over the faces serves the base network, its ensemble, and each kind of views alone."""

import numpy as np
import pandas as pd
import pytest
import torch

from hpe_core.crops.settings import CropFormat
from hpe_core.crops.store import Crops, encode, write_crops
from hpe_core.networks.bins import BinSpec
from hpe_core.networks.checkpoints import save_network
from hpe_core.networks.model import BaseNet
from hpe_core.prediction.candidates import Candidate
from hpe_core.prediction.face_sets import whole_set
from hpe_core.prediction.predictions import Session, passes, predictions_of
from hpe_core.teacher.ensemble import CENTRE, Windows
from hpe_core.teacher.offsets import offset_grid
from hpe_core.training.loop import seeded
from hpe_core.work.resume import Work
from tests.bench import material

PX, FACES = 16, 5
OFFSETS = offset_grid(28, 14)  # of 224 px: whole and half pixels of 16
WHOLE = Windows(OFFSETS, (0.0, 10.0), flip=True)


def kinds(path) -> list[Candidate]:
    windows = {
        "base": CENTRE,
        "ensemble": WHOLE,
        "ensemble-shifts": Windows(OFFSETS),
        "ensemble-rotations": Windows(CENTRE.offsets, (0.0, 10.0)),
        "ensemble-flip": Windows(CENTRE.offsets, flip=True),
    }
    return [Candidate(name, 1, path, each) for name, each in windows.items()]


def test_places_are_those_of_the_same_views():
    views = list(WHOLE._views())
    assert len(set(views)) == len(views) == len(WHOLE)
    for each in kinds(None):
        places = WHOLE.places_of(each.windows)
        assert [views[place] for place in places] == list(each.windows._views())
        assert each.windows.places_of(WHOLE) is None or each.name == "ensemble"


def test_windows_that_an_ensemble_lacks_have_a_pass_of_their_own(tmp_path):
    rotated = Candidate("ensemble", 1, tmp_path / "a", Windows(OFFSETS, (-10.0, 10.0)))
    base = Candidate("base", 1, tmp_path / "a", CENTRE)
    other = Candidate("base", 2, tmp_path / "b", CENTRE)
    groups = passes([base, rotated, other])
    assert [[each.name for each in group] for group in groups] == [["ensemble"], ["base"], ["base"]]
    assert groups[1:] == [[base], [other]]


@pytest.fixture
def network(tmp_path):
    net = seeded(lambda: BaseNet("resnet8", [BinSpec(3.0)]), 0)
    for _ in range(10):  # batch statistics, or every face looks the same
        net.train()(torch.randn(8, 3, PX, PX))
    save_network(net.eval(), tmp_path / "base.safetensors", "resnet8", (PX, PX), {})
    return tmp_path / "base.safetensors"


def test_one_pass_says_what_passes_of_their_own_say(tmp_path, network):
    form = CropFormat(PX, PX, 8, "enlarged", "replicate", "raw", 95)
    rng = np.random.default_rng(0)
    faces = pd.DataFrame(rng.uniform(-50, 50, (FACES, 3)), columns=["pitch", "yaw", "roll"])
    names = [f"face {number}" for number in range(FACES)]
    faces = faces.assign(face_id=names, group=names, order="XYZ", validation=False)
    pixels = rng.integers(0, 256, (FACES, PX + 16, PX + 16, 3), dtype=np.uint8)
    images = [encode(image, form) for image in pixels]
    write_crops(tmp_path / "faces.h5", faces, images, form, {"boxes": {}})
    every = whole_set("faces", Crops(tmp_path / "faces.h5"))

    def said(shared: list[Candidate], work: str) -> list[pd.DataFrame]:
        session = Session(material.fabric(), 64, "32-true", Work(tmp_path / work, first=True))
        return predictions_of(shared, every, session)

    (group,) = passes(kinds(network))
    assert len(group) == len(kinds(network))
    angles = {}
    for each, together in zip(group, said(group, "together"), strict=True):
        (alone,) = said([each], each.name)
        pd.testing.assert_frame_equal(together, alone, rtol=1e-4, atol=1e-3)
        angles[each.name] = together[["pitch", "yaw", "roll"]].to_numpy()
    assert len({tuple(pyr_deg.round(2).ravel()) for pyr_deg in angles.values()}) == len(group)
