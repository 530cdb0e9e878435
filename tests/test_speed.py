"""Speed and errors of networks side by side: docs/speed.md."""

from dataclasses import asdict
from itertools import count

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from tiny_project import ROOT

from hpe_core.common.errors import InputError
from hpe_core.common.files import read_json, sha256
from hpe_core.crops.settings import CropFormat
from hpe_core.crops.store import Crops, encode, write_crops
from hpe_core.networks.bins import BinSpec
from hpe_core.networks.checkpoints import load_network, save_network
from hpe_core.networks.model import BACKBONES, BaseNet, StudentNet
from hpe_core.prediction.candidates import Candidate
from hpe_core.prediction.face_sets import whole_set
from hpe_core.prediction.predictions import Session, predictions_of
from hpe_core.teacher.ensemble import CENTRE
from hpe_core.training.loop import seeded
from hpe_core.work.resume import Work
from tests.bench import material, sizes, speed, speed_table

PX, N, SMALL = 16, 12, "resnet10"


def told_apart(network):
    """Fresh weights give every face the same angles, until batch normalisation has seen some."""
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 0.5
    with torch.no_grad():
        for _ in range(10):
            network.train()(torch.randn(N, 3, PX, PX))
    return network.eval()


@pytest.fixture
def project(tmp_path):
    """A base network, its student, and crops of two sets of the same faces."""
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params |= {"seeds": [2], "students": [SMALL]}
    params["tests"] = {"a": {"protocol": "p", "dataset": "d", "where": {}}}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    rng, form = np.random.default_rng(0), CropFormat(PX, PX, 2, "enlarged", "replicate", "raw", 95)
    faces = pd.DataFrame(rng.uniform(-50, 50, (N, 3)), columns=["pitch", "yaw", "roll"])
    faces = faces.assign(face_id=[str(i) for i in range(N)], validation=faces.index % 3 == 0)
    pixels = rng.integers(0, 256, (N, PX + 4, PX + 4, 3), dtype=np.uint8)
    for path in (tmp_path / "data/crops/p/train.h5", tmp_path / "data/crops/p/tests/a.h5"):
        path.parent.mkdir(parents=True)
        images = [encode(image, form) for image in pixels]
        write_crops(
            path, faces.assign(group=faces["face_id"], order="XYZ"), images, form, {"boxes": {}}
        )
    folder = tmp_path / "data/models/p"
    folder.mkdir(parents=True)
    trained = sha256(tmp_path / "data/crops/p/train.h5")
    origin = {"crops_sha256": trained, "crop": asdict(form), "boxes": {}}
    base, student = (folder / f"{name}-2.safetensors" for name in ("base", f"kd-{SMALL}"))
    net = told_apart(seeded(lambda: BaseNet("resnet8", [BinSpec(3.0)]), 2))
    save_network(net, base, "resnet8", (PX, PX), origin)
    net = told_apart(seeded(lambda: StudentNet(SMALL, BinSpec(3.0)), 2))
    save_network(net, student, SMALL, (PX, PX), origin | {"base_sha256": sha256(base)})
    return tmp_path


def test_sizes_measure_what_the_pipeline_measures(project):
    sizes.main(projects=[project], out=project / "mae.csv")
    table = pd.read_csv(project / "mae.csv")
    assert len(table) == 2
    assert (table["px"] == PX).all()
    assert (table["faces"] == N).all()
    crops = Crops(project / "data/crops/p/tests/a.h5")
    session = Session(material.fabric(), 8, "32-true", Work(project / "work", first=True))
    for row in table.itertuples():
        path = project / f"data/models/p/{row.network}-{row.seed}.safetensors"
        one = Candidate(row.network, row.seed, path, CENTRE)
        (found,) = predictions_of([one], whole_set("a", crops), session)
        errors = found[["pitch", "yaw", "roll"]].to_numpy() - crops.pyr_deg
        assert row.mae == pytest.approx(np.abs(errors).mean(), abs=1e-3)
        assert 0 < abs(row.mae_int8 - row.mae) < 1
        assert load_network(path)[1]["backbone"] == row.backbone


def test_sizes_of_networks_of_other_crops_are_refused(project):
    path = project / f"data/models/p/kd-{SMALL}-2.safetensors"
    network, metadata = load_network(path)
    save_network(network, path, SMALL, (PX, PX), metadata["provenance"] | {"crops_sha256": ""})
    with pytest.raises(InputError, match=r"kd-resnet10-2.*crops_sha256"):
        sizes.main(projects=[project], out=project / "mae.csv")
    assert not (project / "mae.csv").exists()


def test_sizes_without_networks(project):
    for path in (project / "data/models/p").iterdir():
        path.unlink()
    with pytest.raises(InputError, match=r"no networks of p; run `dvc repro` there"):
        sizes.main(projects=[project], out=project / "mae.csv")


def test_sizes_without_faces_to_calibrate_on(project):
    with h5py.File(project / "data/crops/p/train.h5", "r+") as file:
        file["validation"][:] = False
    with pytest.raises(InputError, match=r"train\.h5: no validation faces to calibrate int8 on"):
        sizes.main(projects=[project], out=project / "mae.csv")


def test_what_is_timed_takes_turns():
    calls = []
    runs = {name: lambda name=name: calls.append(name) for name in "ab"}
    table = speed.timed(runs, rounds=3)
    assert table.shape == (3, 2)
    assert (table > 0).all(axis=None)
    changes = [name for name, before in zip(calls[1:], calls, strict=False) if name != before]
    assert changes == list("bababab")[: len(changes)]
    assert len(changes) >= 5


def test_speed_command(tmp_path, monkeypatch):
    """One small network: what is written, not how fast."""
    monkeypatch.setattr(speed, "REFERENCE", ("resnet8", 32))
    monkeypatch.setattr(speed, "BACKBONES", ["resnet8"])
    monkeypatch.setattr(speed, "PAPER_PX", 48)
    monkeypatch.setattr(speed, "ROUNDS", 1)
    monkeypatch.setattr(speed, "FRAMES", 2)
    monkeypatch.setattr(speed.Timer, "autorange", lambda _: (1, 0.0))
    errors = pd.DataFrame(
        {"network": ["base", "kd-resnet8", "kd-resnet8"], "backbone": "resnet8", "px": 32,
         "seed": [1, 1, 2], "test": "t", "mae": [9.0, 5.0, 6.0], "mae_int8": [9.5, 5.5, 6.7]}
    )  # fmt: skip
    errors.to_csv(tmp_path / "mae.csv", index=False)
    paths = {"results": tmp_path / "s.json", "markdown": tmp_path / "s.md"}
    detector = ROOT / "data/detector/yolov5n-demo.onnx"
    figure = tmp_path / "s.png"
    speed.main(errors=tmp_path / "mae.csv", detector=detector, figure=figure, **paths)
    found = read_json(paths["results"])["networks"]
    assert [(row["backbone"], row["px"]) for row in found] == [("resnet8", 32), ("resnet8", 48)]
    weights = sum(weight.numel() for weight in StudentNet("resnet8", BinSpec()).parameters())
    assert [row["parameters"] for row in found] == [weights] * 2
    assert all(0 < row["int8_bytes"] < row["bytes"] for row in found)
    assert all(row[run]["ms"] > 0 for row in found for run in ("torch", "onnx", "int8", "video"))
    lines = paths["markdown"].read_text().splitlines()
    assert [line.split("|")[-2].strip() for line in lines[-2:]] == ["5.50 (6.10)", "–"]
    assert figure.read_bytes()[:4] == b"\x89PNG"


def test_every_backbone_is_timed_at_the_papers_size():
    errors = pd.DataFrame({"backbone": ["resnet10", "resnet10"], "px": [32, 32]})
    found = speed.sizes(errors)
    assert found[:2] == [("resnet10", 32), speed.REFERENCE]
    assert found[2:] == [(backbone, 224) for backbone in BACKBONES]


def test_the_front_is_what_no_other_beats():
    numbers = count()
    points = pd.DataFrame(
        [(next(numbers), *p) for p in [(1, 9), (2, 9), (3, 7), (3, 8), (4, 7.5), (5, 6)]],
        columns=["name", "ms", "mae"],
    ).sample(frac=1, random_state=0)
    assert speed_table.front(points)["name"].tolist() == [0, 2, 5]


def test_the_table_in_the_docs_is_the_one_that_was_measured():
    found = read_json(ROOT / "metrics/speed.json")
    table = speed_table.joined(found, pd.read_csv(ROOT / "docs/speed/mae.csv"))
    expected = speed_table.page(found, table)
    assert expected == (ROOT / "metrics/speed.md").read_text()
    assert expected in (ROOT / "docs/speed.md").read_text()
