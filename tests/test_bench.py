"""The benchmark's references compute what the pipeline computes; its table says what was found."""

import json
from dataclasses import asdict
from importlib import import_module
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import tyro
from tiny_project import ROOT

from hpe_core.common.files import write_json
from hpe_core.common.stage import OPTIONS
from hpe_core.evaluation.columns import PYR, TRUE_PYR
from hpe_core.faces.boxes import iou
from hpe_core.networks.bins import BinSpec
from hpe_core.networks.model import BaseNet
from hpe_core.teacher.ensemble import Windows, average
from hpe_core.teacher.offsets import offset_grid
from hpe_core.teacher.windows import Runner, each_window
from hpe_core.training.augment import Photometric
from hpe_core.training.loop import Plan, fit, seeded
from hpe_core.training.tasks import BaseTask
from hpe_core.training.views import TrainingFaces, Views
from tests.bench import __main__ as bench
from tests.bench import gap, graph, material, measuring, references, scale, table
from tests.bench.doubt import empty_boxes
from tests.bench.measuring import from_times
from tests.bench.rows import cells

PX = 32


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    return material.photographs(tmp_path_factory.mktemp("photographs"), 5)


@pytest.fixture(scope="module")
def network():
    """Not all weights as they were drawn: a network of fresh ones looks at nothing much."""
    net = material.network("resnet8").train()
    with torch.no_grad():
        for _ in range(5):
            net(torch.randn(16, 3, PX, PX))
    return net.eval()


def windows(network, crops, offsets):
    rows = np.arange(len(crops))
    runner = Runner(network, material.fabric(), 64)
    return torch.cat(list(each_window(runner, crops, rows, Windows(offsets), (PX, PX))))


def test_teacher(faces, network, tmp_path):
    """Of whole pixels: 21 of 224 are 3 of 32."""
    crops = material.crops_of(tmp_path / "c.h5", faces, PX, 6)
    ours, _, _ = average(windows(network, crops, offset_grid(42, 21)), network.spec)
    theirs = references.teacher(network, faces, 42, 21, (PX, PX))
    other = references.teacher(network, faces, 21, 21, (PX, PX))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=2e-5)
    assert (other - theirs).abs().max() > 1e-4, "this network cannot tell"


def test_sweep(faces, network, tmp_path):
    crops = material.crops_of(tmp_path / "c.h5", faces, PX, 4)
    pyr_deg = torch.from_numpy(crops.pyr_deg).float()
    swept = network.spec.expectation(windows(network, crops, offset_grid(4, 1)))
    theirs = references.sweep(
        lambda offsets: network.spec.expectation(windows(network, crops, offsets)), pyr_deg, 4
    )
    ours = cells(swept, offset_grid(4, 1), pyr_deg, 4)
    assert ours == pytest.approx(theirs, abs=1e-3)
    assert len(ours) == 5 * 4
    assert max(theirs.values()) - min(theirs.values()) > 0.005, "this network cannot tell"


@pytest.mark.parametrize("codec", ["raw", "png"])
def test_training_view(faces, tmp_path, codec):
    crops = material.crops_of(tmp_path / "c.h5", faces, PX, 8, codec)
    views = Views((PX, PX), 0.5, 15.0, 0.0, 1.0, photometric_p=0.0, blur_max_px=3, seed=4)
    training = TrainingFaces(crops, np.arange(5), views)
    for row, face in enumerate(faces):
        rng = np.random.default_rng([4, 2, row + 1])
        image, pyr_deg = references.training_view(
            face, lambda image: {"image": image}, (PX, PX), 8, rng
        )
        item = training[(2, row)]
        np.testing.assert_array_equal(item["images"], image)
        np.testing.assert_allclose(item["pyr_deg"], pyr_deg, rtol=1e-6)


def test_photometric_steps():
    """The same steps with the same settings; two of ours have older formulas."""

    def described(step) -> tuple:
        inner = tuple(map(described, getattr(step, "transforms", ())))
        settings = {} if inner else step.get_transform_init_args()
        return type(step).__name__, step.p, inner, str(settings)

    ours = Photometric((112, 112), 0.5, 7)._chain
    theirs = references.photometric(112, 0.5, 7)
    assert described(ours) == described(theirs)


def test_training_step(faces, tmp_path):
    crops = material.crops_of(tmp_path / "c.h5", faces, PX, 4)
    views = Views((PX, PX), 0.0, 0.0, 0.0, 1.0, photometric_p=0.0, blur_max_px=3, seed=0)
    tasks = [BaseTask(seeded(lambda: BaseNet("resnet8", [BinSpec()]), 0)) for _ in range(2)]
    faces = TrainingFaces(crops, np.arange(5), views)
    fit(tasks[0], faces, Plan(1, 5, 1e-3, "constant", 0), material.fabric(), 0)
    batch = {
        "images": torch.from_numpy(np.stack([crops[row][4:-4, 4:-4] for row in range(5)])),
        "pyr_deg": torch.from_numpy(crops.pyr_deg).float(),
    }
    tasks[1].train().to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(tasks[1].parameters(), lr=1e-3, fused=True)
    references.training_step(tasks[1], optimizer, batch)
    first, second = (task.network.regression_net.weight for task in tasks)
    torch.testing.assert_close(first, second, rtol=0, atol=1e-5)  # a step moves them by 1e-3


def test_evaluation(faces, network, tmp_path):
    extreme = (*faces[0][:2], np.array([0.0, 120, 0]))
    crops = material.crops_of(tmp_path / "c.h5", faces, PX, 0, rule="published")
    angles = network.spec.expectation(windows(network, crops, offset_grid(0, 1))[:, 0])
    ours = np.abs(angles.numpy() - crops.pyr_deg).mean(0)
    theirs = references.evaluation(network, [*faces, extreme], network.spec, (PX, PX), 2)
    np.testing.assert_allclose(ours, theirs, atol=1e-3)


def test_forward(network):
    images = torch.randn(5, 3, PX, PX)
    parts = references.forward(network, images, 2)
    assert [len(part) for part in parts] == [2, 2, 1]
    with torch.inference_mode():
        torch.testing.assert_close(torch.cat(parts), network(images), rtol=1e-4, atol=1e-5)


def test_a_row_compares_pair_by_pair():
    row = from_times("x", [(1, 2), (1, 4), (2, 6)], 10, "faces/s", "slow", 3.5, extra=1)
    assert (row.ours, row.reference) == (10, 2.5)
    assert (row.ratio, row.ratios) == (3, [2, 4, 3])
    assert row.notes == {"extra": 1}


def test_scale_runs_the_stages_as_they_are(tmp_path, monkeypatch):
    """In this process; the benchmark itself starts one for each."""
    done = []

    def here(stage: str, arguments: dict[str, Any]) -> tuple[float, float]:
        words = scale.options(arguments)
        tyro.cli(import_module(f"pipeline.{stage}").main, args=words, config=OPTIONS)
        done.append(stage)
        return float(len(done)), 1.0

    monkeypatch.setattr(scale, "SIZES", (4, 6, 8))
    monkeypatch.setattr(scale, "watched", here)
    rows = scale.stages(tmp_path)
    assert done == ["crop_train", "ensemble", "distill"] * 3
    assert [row.what for row in rows] == [f"Scale, `{stage}`: 8 faces" for stage in done[:3]]
    assert all((tmp_path / str(n) / "kd.safetensors").exists() for n in (4, 6, 8))


def test_a_checkout_of_many_files_is_up_to_date(tmp_path, monkeypatch):
    """With few of each kind."""
    for name in ("LANDMARKED", "FLICKR"):
        monkeypatch.setattr(graph, name, dict.fromkeys(getattr(graph, name), 2))
    monkeypatch.setattr(graph, "FRAMES", 1)
    said = graph.dvc(graph.large(tmp_path), "repro")
    assert "up to date" in said
    assert "Running stage" not in said


def test_scale_leaves_out_the_start_of_a_process():
    runs = {1_000: (11.0, 100.0), 10_000: (20.0, 101.0), 100_000: (110.0, 102.0)}
    row = scale.row_of("crop", runs)
    assert (row.ours, row.reference, row.ratio) == (1000, 1000, 1)
    assert row.notes["peak_mb"] == {"1000": 100.0, "10000": 101.0, "100000": 102.0}


def test_the_table_names_what_was_missed():
    rows = [
        from_times("one", [(1, 2), (1, 4), (2, 6)], 10_000, "faces/s", "slow", 3.5, runs={"a": 1}),
        from_times("two", [(2, 1)], 10, "faces/s", "fast", 0.5),
        from_times("three", [(2, 1)], 10, "faces/s", "fast"),
    ]  # fmt: skip
    machine = {"cpu": "x", "cores": 2, "threads": 1, "gpu": None, "torch": "0"}
    lines = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in table.markdown(machine, [asdict(row) for row in rows]).splitlines()[4:]
    ]
    assert lines[0] == ["one", "faces/s", "10,000", "2,500", "3.00 (2.00-4.00)", "≥ 3.5: missed",
                        "slow", "runs: 1"]  # fmt: skip
    assert lines[1][4:6] == ["0.50", "≥ 0.5: met"]
    assert lines[2][5] == ""


def test_the_table_in_the_docs_is_the_one_that_was_measured():
    found = json.loads((ROOT / "metrics/bench.json").read_text())
    rows = [row for part in table.PARTS for row in found["parts"][part]]
    expected = table.markdown(found["machine"], rows)
    assert expected == (ROOT / "metrics/bench.md").read_text()
    assert expected in (ROOT / "docs/performance.md").read_text()


def test_a_row_measured_on_another_machine_says_so(tmp_path, monkeypatch):
    row = from_times("one", [(1, 2)], 10, "faces/s", "slow")
    monkeypatch.setattr(bench, "MEASURE", {"video": lambda _: [row], "detector": lambda _: [row]})
    here = measuring.machine()
    results, markdown = tmp_path / "b.json", tmp_path / "b.md"
    write_json({"machine": {**here, "cpu": "another"}, "parts": {"detector": []}}, results)
    bench.main(only=("video",), results=results, markdown=markdown)
    found = json.loads(results.read_text())
    assert found["machine"]["cpu"] == "another"
    assert found["parts"]["video"][0]["notes"] == {"machine": here["cpu"]}
    assert f"machine: {here['cpu']}" in markdown.read_text()
    write_json({"machine": here, "parts": {}}, results)
    bench.main(only=("video",), results=results, markdown=markdown)
    assert json.loads(results.read_text())["parts"]["video"][0]["notes"] == {}


def test_boxes_of_background_lie_in_the_image_beside_all_faces():
    rng, size_wh = np.random.default_rng(3), (400, 300)
    faces = np.array([[0.0, 0, 180, 150], [250, 100, 400, 300]])
    found = np.concatenate([empty_boxes(faces, size_wh, rng) for _ in range(60)])
    assert 60 < len(found) < 300
    assert iou(found, faces).max() < 0.01
    assert found.min() >= 0 and (found[:, 2:] <= size_wh).all()
    sides = found[:, 2:] - found[:, :2]
    np.testing.assert_allclose(sides[:, 0], sides[:, 1])
    assert 40 <= sides.min() < 60 and 110 < sides.max() <= 150
    assert len(empty_boxes(np.zeros((0, 4)), size_wh, rng)) == 6


def test_the_bench_of_gaps_finds_what_was_put_in():
    """Pitch is predicted at half its size, yaw is right, roll is chance; one face is not read."""
    rng = np.random.default_rng(0)
    true = rng.uniform(-20, 20, (400, 3))
    found = true * [0.5, 1, 0] + rng.normal(0, 5, (400, 3)) * [0, 0, 1]
    rows = pd.DataFrame(np.hstack([found, true]), columns=[*PYR, *TRUE_PYR])
    rows = rows.assign(image="x", why=np.where(np.arange(400) == 7, "no_match", None))
    table = gap.with_errors(rows)
    assert len(table) == 399
    told = gap.following(table).set_index("angle")
    assert told["slope"].tolist() == pytest.approx([0.5, 1, 0], abs=0.05)
    assert told["correlation"].tolist() == pytest.approx([1, 1, 0], abs=0.1)
    bands = gap.by_angle(table)
    assert bands.groupby("angle")["faces"].sum().tolist() == [399] * 3
    pitch = bands[bands["angle"] == "pitch"]
    assert pitch["degrees"].tolist() == ["0-15", "15-30"]
    assert pitch["mean"].diff().iloc[1] > 0.5
    assert len(gap.near(table.assign(true_yaw=40.0))) == 0
