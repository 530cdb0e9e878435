"""The experiments of docs/experiments.md: their windows are the library's, their losses reduce to
formula (7), and the commands run on a few made-up faces."""

from itertools import combinations

import cv2
import lightning_fabric
import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from tiny_project import ROOT

from hpe_core import bootstrap
from hpe_core.bins import BinSpec, flip_probs
from hpe_core.boxes import offset_grid
from hpe_core.ensemble import Windows, average
from hpe_core.errors import InputError
from hpe_core.geometry import rotate_pyr
from hpe_core.inference import each_window
from hpe_core.io.checkpoints import load_network, save_network
from hpe_core.io.crops import CropFormat, Crops, encode, write_crops
from hpe_core.io.files import sha256
from hpe_core.io.targets import TargetsOrigin, write_targets
from hpe_core.losses import distillation_loss
from hpe_core.networks import BaseNet, StudentNet, normalize, predict_probs
from hpe_core.training import DistillationTask, TrainingFaces, Views, fit, seeded
from tests.experiments import born_again, codecs, measuring, students, variants, windows

PX, MARGIN, N = 16, 8, 12
SPEC = BinSpec(3.0)
CPU = lightning_fabric.Fabric(accelerator="cpu", devices=1)


class Arrays:
    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        side = PX + 2 * MARGIN
        self.pyr_deg = rng.uniform(-50, 50, (N, 3))
        self.pixels = rng.integers(0, 256, (N, side, side, 3), dtype=np.uint8)

    def __getitem__(self, row):
        return self.pixels[row]


class Teacher:
    def __init__(self, views: int) -> None:
        rng = np.random.default_rng(1)
        self.phi_deg = rng.uniform(-15, 15, (N, views)).astype(np.float32)
        self.phi_deg[:, 0] = 0
        away = (SPEC.centers_deg.numpy() - rng.uniform(-50, 50, (N, views, 3, 1))) / 5
        self.probs = torch.softmax(-(torch.from_numpy(away) ** 2), -1).float().numpy()

    def __getitem__(self, row_view):
        return self.probs[row_view]


@pytest.fixture(scope="module")
def network():
    """Not all weights as they were drawn: a network of fresh ones looks at nothing much."""
    net = seeded(lambda: BaseNet("resnet8", [SPEC]), 0).train()
    with torch.no_grad():
        for _ in range(5):
            net(torch.randn(16, 3, PX, PX))
    return net.eval()


ONE = {"single": 1, "3 scales": 3, "5 scales": 5, "turns ±5 ±10 and 5 scales": 9}
GRIDS = {(1, 1): 9, (2, 1): 25, (3, 1): 49, (4, 1): 81, (2, 2): 9, (4, 2): 25, (3, 3): 9, (4, 4): 9}
TURNS = {"±5": 3, "±10": 3, "±15": 3, "±20": 3, "±5 ±10": 5, "±5 ±10 ±15": 7, "±10 ±20": 5,
         "all": 9, "±10 without 0": 2, "±5 ±15 without 0": 4}  # fmt: skip
SIZES = {
    **ONE,
    **{f"grid K={K} d={d}": size for (K, d), size in GRIDS.items()},
    **{f"cross {k}": 5 for k in (1, 2, 3, 4)},
    **{f"{line} {k}": 2 * k + 1 for line in ("row", "column") for k in (1, 2, 3, 4)},
    **{f"disk {k}": size for k, size in ((1, 5), (2, 13), (3, 29), (4, 49))},
    **{"grid 1x3": 21, "grid 3x1": 21, "grid 2x4": 45, "grid 4x2": 45},
    **{f"gaussian {sigma}": 81 for sigma in ("1", "1.5", "2", "3")},
    **{f"{n} scales, grid K=3 d=3": 9 * n for n in (3, 5)},
    **{f"turns {name}": size for name, size in TURNS.items()},
    **{f"turns {name}, cross 2": 5 * size for name, size in TURNS.items()},
    **{f"scale {scale} alone": 1 for scale in (0.85, 0.92, 1.08, 1.15)},
    **{f"turn {turn} alone": 1 for turn in (-20, -15, -10, -5, 5, 10, 15, 20)},
}


def test_every_subset_has_its_size_and_twice_that_with_the_mirrored_face():
    weights = windows.subsets(windows.every_window())
    found = {name: np.count_nonzero(w) for name, w in weights.items()}
    mirrored = {f"{name}, mirrored": 2 * size for name, size in SIZES.items()}
    assert found == {**SIZES, **mirrored, "mirror image alone": 1}
    for name, w in weights.items():
        assert w.sum() == pytest.approx(1), name


def test_the_figure_has_every_ensemble_once_and_no_single_window(tmp_path, monkeypatch):
    kept = {}
    monkeypatch.setattr(windows, "save_png", lambda figure, path: kept.update({path: figure}))
    sizes = {"single": 1, "grid K=3 d=1": 49, "turns ±10, mirrored": 6, "turn 5 alone": 1}
    sizes |= {"3 scales": 3, "column 4, mirrored": 18, "turn 5 alone, mirrored": 2}
    table = pd.DataFrame({"name": list(sizes), "S": list(sizes.values())})
    windows.save_figure(table.assign(mae=6 - table.index / 10), tmp_path / "w.png")
    (axes,) = kept[tmp_path / "w.png"].axes
    points = [line for line in axes.lines if line.get_marker() == "o"]
    shown = {
        (line.get_xdata()[0], round(line.get_ydata()[0], 1)): line.get_markerfacecolor() != "none"
        for line in points
    }
    assert shown == {(49, 5.9): False, (6, 5.8): True, (3, 5.6): False, (18, 5.5): True}
    assert len({line.get_markeredgecolor() for line in points}) == 4


def test_no_window_is_measured_twice():
    assert not windows.every_window().duplicated().any()


def test_subsets_are_the_librarys_ensembles(network):
    arrays, rows, size_hw = Arrays(), np.array([4, 1, 7]), (PX, PX)
    angles = windows.angles(network, arrays, rows, size_hw, CPU, 64)
    weights = windows.subsets(windows.every_window())
    cross = windows.CROSS
    for name, ensemble, scale in (
        ("grid K=2 d=1", Windows(offset_grid(2, 1)), 1),
        ("grid K=4 d=2, mirrored", Windows(offset_grid(4, 2), flip=True), 1),
        ("turns ±10", Windows(offset_grid(0, 1), (-10.0, 0.0, 10.0)), 1),
        ("turns ±10, cross 2, mirrored", Windows(cross, (-10.0, 0.0, 10.0), True), 1),
        ("turn 5 alone", Windows(offset_grid(0, 1), (5.0,)), 1),
        ("scale 1.15 alone", Windows(offset_grid(0, 1)), 1.15),
    ):
        source = windows.Scaled(arrays, scale)
        probs = torch.cat(list(each_window(network, source, rows, ensemble, size_hw, CPU, 64)))
        found = np.einsum("nlc,l->nc", angles, weights[name])
        expected = average(probs, SPEC)[1].numpy()
        np.testing.assert_allclose(found, expected, atol=2e-3, err_msg=name)
        assert np.ptp(angles, axis=1).min() > 0.1  # windows differ, or nothing is shown


def test_a_larger_box_shows_a_smaller_face_about_the_same_centre():
    arrays = Arrays()
    arrays.pixels[:] = 0
    arrays.pixels[:, 8:24, 8:24] = 255  # 16 of 32 pixels
    for scale in (0.8, 1, 1.25):
        shown = windows.Scaled(arrays, scale)[0][..., 0] / 255
        assert shown.sum() == pytest.approx((16 / scale) ** 2, rel=0.02)
        np.testing.assert_allclose(shown, shown[::-1, ::-1], atol=0.01)


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(3)
    probs = torch.rand((5, 3, SPEC.n_bins), generator=generator)
    pyr_deg = torch.rand((5, 3), generator=generator) * 400 - 200  # some beyond ±θ
    return {"teacher_probs": probs / probs.sum(-1, keepdim=True), "pyr_deg": pyr_deg}


def logits():
    generator = torch.Generator().manual_seed(4)
    return torch.randn((5, 3, SPEC.n_bins), generator=generator).requires_grad_()


def test_losses_are_finite_and_of_each_example(batch):
    batch["teacher_probs"][0, 0] = torch.eye(SPEC.n_bins)[4]  # as certain as a teacher can be
    for name, loss in variants.LOSSES.items():
        own = logits()
        values = loss(own, batch, SPEC)
        assert values.shape == (5,), name
        values.sum().backward()
        assert torch.isfinite(values).all(), name
        assert torch.isfinite(own.grad).all(), name
        first = loss(own[:1], {key: value[:1] for key, value in batch.items()}, SPEC)
        torch.testing.assert_close(values[:1], first, msg=name)


def test_losses_reduce_to_formula_7(batch):
    own, probs, pyr_deg = logits(), batch["teacher_probs"], batch["pyr_deg"]
    of_weight = {w: distillation_loss(own, probs, pyr_deg, SPEC, w) for w in (0.0, 0.05, 0.5, 1.0)}
    paper, label_alone = of_weight[0.05], of_weight[1.0] - of_weight[0.0]
    for name, found, expected in (
        ("paper", variants.LOSSES["paper"](own, batch, SPEC), paper),
        *((f"weight{w:g}", variants.LOSSES[f"weight{w:g}"](own, batch, SPEC), of_weight[w])
          for w in (0.0, 0.5, 1.0)),
        ("labels", variants.labels(own, batch, SPEC), label_alone),
        ("temperature 1", variants.tempered(own, batch, SPEC, 1.0), paper),
        ("weight 0", variants.expected(own, batch, SPEC, 0.0), paper),
        ("narrow", variants.formula7(own, batch, SPEC, 0.05, 0.01), paper),
        ("narrow 0.5", variants.formula7(own, batch, SPEC, 0.5, 0.01), of_weight[0.5]),
        ("narrow labels", variants.labels(own, batch, SPEC, 0.01), label_alone),
    ):  # fmt: skip
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4, msg=name)
    centres = SPEC.centers_deg[torch.tensor([20, 30, 40])].expand(5, 3)
    certain = batch | {"teacher_probs": SPEC.gaussian(centres, 0.01)}
    torch.testing.assert_close(
        variants.angles(own, certain, SPEC, 0.01), variants.formula7(own, certain, SPEC)
    )
    assert not torch.allclose(variants.LOSSES["temperature2"](own, batch, SPEC), paper, atol=0.01)
    assert not torch.allclose(variants.LOSSES["angles"](own, batch, SPEC), paper, atol=0.01)
    assert not torch.allclose(variants.LOSSES["expected"](own, batch, SPEC), paper, atol=0.01)


def test_a_moved_target_is_the_upright_ones_turned_as_its_angles_turn():
    cached = Teacher(3)
    moved = variants.teacher("moved", cached, SPEC, 8, 15.0, 1)
    expectation = lambda probs: SPEC.expectation(torch.from_numpy(probs)).numpy()  # noqa: E731
    for row in range(N):
        np.testing.assert_array_equal(moved[row, 0], cached[row, 0])
        turned = rotate_pyr(expectation(cached[row, 0]), cached.phi_deg[row, 2])
        np.testing.assert_allclose(expectation(moved[row, 2]), turned, atol=0.05)
    fresh = variants.teacher("fresh", cached, SPEC, 8, 15.0, 1)
    assert fresh.phi_deg.shape == (N, 8)
    assert len(np.unique(fresh.phi_deg[0])) == 8


@pytest.mark.parametrize(("seen", "views"), [("static", 1), ("flip", 1), ("views2", 2)])
def test_the_first_views_are_the_teachers(seen, views):
    cached = Teacher(3)
    found = variants.teacher(seen, cached, SPEC, 8, 15.0, 1)
    np.testing.assert_array_equal(found.phi_deg, cached.phi_deg[:, :views])
    np.testing.assert_array_equal(found[3, views - 1], cached[3, views - 1])


def test_a_flipped_moved_target_belongs_to_the_flipped_picture():
    arrays, cached = Arrays(), Teacher(2)
    moved = variants.teacher("moved", cached, SPEC, 8, 15.0, 1)
    views = Views((PX, PX), flip_p=1, rotate_deg=15, photometric_p=0, blur_max_px=3, seed=0)
    item = TrainingFaces(arrays, np.arange(N), views, moved)[(0, 3)]
    assert torch.equal(item["teacher_probs"], flip_probs(torch.from_numpy(moved[3, 1])))


@pytest.mark.parametrize("seen", ["views4", "views0", "turned"])
def test_unknown_or_missing_views_are_refused(seen):
    with pytest.raises(InputError, match=r"views"):
        variants.teacher(seen, Teacher(3), SPEC, 8, 15.0, 1)


def test_students_learn_together_as_they_would_alone():
    """And the paper's is the pipeline's, bit by bit."""
    views = Views((PX, PX), flip_p=0.5, rotate_deg=15, photometric_p=0.5, blur_max_px=3, seed=2)
    faces = TrainingFaces(Arrays(), np.arange(N), views, Teacher(2))
    student = lambda: seeded(lambda: StudentNet("resnet8", SPEC), 5)  # noqa: E731
    labels, *alone = (student() for _ in range(3))
    paper, smeared = student(), student()
    losses = [variants.LOSSES[name] for name in ("labels", "paper", "smeared0.5")]
    together = students.Together([labels, paper, smeared], losses)
    for task in (DistillationTask(alone[0], 0.05), DistillationTask(alone[1], 0.5, 2.0), together):
        fit(task, faces, 2, 6, 1e-3, "cosine", 7, CPU, 0)
    for one, other in zip(alone, (paper, smeared), strict=True):
        for name, value in one.state_dict().items():
            assert torch.equal(other.state_dict()[name], value), name
    weights = [net.head_net.yaw.weight for net in (labels, paper, smeared)]
    assert not any(torch.equal(a, b) for a, b in combinations(weights, 2))


def test_gains_are_shares_of_the_references_error():
    pyr_deg = np.stack([np.zeros(40), np.linspace(-80, 80, 40), np.zeros(40)], axis=-1)
    worse = pyr_deg + np.array([2.0, 0, 0]) * np.linspace(0.5, 1.5, 40)[:, None]
    better = pyr_deg + (worse - pyr_deg) * np.where(np.abs(pyr_deg[:, 1:2]) < 40, 0.5, 1)
    found = {"a": np.stack([worse, worse]), "b": np.stack([better, better])}
    table = measuring.compared(found, pyr_deg, "a", (0, 180)).set_index("name")
    errors = [np.abs(p - pyr_deg).mean() for p in (worse, better)]
    assert table["mae"].tolist() == pytest.approx(errors)
    assert table.loc["b", "gain"] == pytest.approx(100 * (1 - errors[1] / errors[0]))
    assert 0 < table.loc["b", "low"] < table.loc["b", "gain"] < table.loc["b", "high"]
    assert table.loc["a", "gain"] == 0
    frontal = measuring.compared(found, pyr_deg, "a", (0, 39)).set_index("name")
    assert frontal.loc["b", "gain"] == pytest.approx(50)
    assert frontal.loc["b", "faces"] == (np.abs(pyr_deg[:, 1]) <= 39).sum()


@pytest.fixture
def project(tmp_path, network, monkeypatch):
    """Crops, base networks and targets of two seeds, of no meaning."""
    monkeypatch.setattr(bootstrap, "DRAWS", 20)
    arrays, cached = Arrays(), Teacher(2)
    form = CropFormat(PX, PX, MARGIN, "enlarged", "replicate", "raw", 95)
    table = pd.DataFrame(arrays.pyr_deg, columns=["pitch", "yaw", "roll"])
    table = table.assign(face_id=[str(i) for i in range(N)], validation=table.index % 3 == 0)
    table["group"] = table["face_id"]
    write_crops(tmp_path / "c.h5", table, (encode(c, form) for c in arrays.pixels), form, "f" * 64)
    crops_sha256 = sha256(tmp_path / "c.h5")
    base = {"base_sha256": "b" * 64, "crops_sha256": crops_sha256, "precision": "32-true"}
    shape = {"bin_deg": 3.0, "theta_deg": 99.0, "n_bins": SPEC.n_bins, "K": 0, "d": 1, "S": 1}
    more = {"turns_deg": [0.0], "flip": False, "views": 2, "rotate_deg": 15.0}
    probs = cached.probs.reshape(-1, 3, SPEC.n_bins)
    chunk = (probs, np.zeros((2 * N, 3), np.float32), np.zeros((2 * N, 3), np.float32))
    ids = table["face_id"].tolist()
    for seed in (1, 2):
        path = tmp_path / f"base-{seed}.safetensors"
        save_network(network, path, "resnet8", (PX, PX), {"crops_sha256": crops_sha256})
        origin = TargetsOrigin(**base, **shape, **more)
        write_targets(tmp_path / f"t-{seed}.h5", ids, cached.phi_deg, [chunk], origin)
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["distill"] |= {"epochs": 1, "batch": 4, "weights": str(ROOT / "data/pretrained/none")}
    params["compute"] |= {"device": "cpu", "workers": 0, "infer_batch": 256}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    return tmp_path


def shared(project):
    paths = {"params": project / "params.yaml", "crops": project / "c.h5"}
    places = {"cache": project / "cache", "csv": project / "metrics" / "table.csv"}
    return {**paths, **places, "seeds": [1, 2], "yaw_deg": (0.0, 180.0)}


def test_windows_command(project, capsys, monkeypatch):
    windows.main(**shared(project), networks=project, figure=project / "w.png")
    first = (project / "metrics/table.csv").read_bytes()
    assert "| single" in capsys.readouterr().out
    table = pd.read_csv(project / "metrics/table.csv").set_index("name")
    assert set(table["faces"]) == {int(Crops(project / "c.h5").validation.sum())}
    assert table.loc["single", "gain"] == 0
    assert cv2.imread(str(project / "w.png")).shape[1] > 600
    monkeypatch.setattr(windows, "angles", None)  # computed once
    windows.main(**shared(project), networks=project, figure=project / "w.png")
    assert (project / "metrics/table.csv").read_bytes() == first


def test_windows_of_a_network_of_other_crops_are_refused(project, network):
    other = {"crops_sha256": "0" * 64}
    save_network(network, project / "base-2.safetensors", "resnet8", (PX, PX), other)
    with pytest.raises(InputError, match=r"base-2.*not trained on"):
        windows.main(**shared(project), networks=project, figure=project / "w.png")


def test_students_command(project, capsys, monkeypatch):
    asked = {"targets": str(project / "t-{seed}.h5"), "backbone": "resnet8", "epochs": None}
    asked |= {"reference": "views2/paper", "networks": None}
    first = ["flip/paper", "views2/labels", "moved/paper"]
    students.main(**shared(project), **asked, students=first)
    table = pd.read_csv(project / "metrics/table.csv").set_index("name")
    assert list(table.index) == ["views2/paper", *first]
    assert table.loc["views2/paper", "gain"] == 0
    assert table["mae"].nunique() == 4
    assert "| moved/paper" in capsys.readouterr().out
    taught = []
    teach = students.taught
    monkeypatch.setattr(
        students, "taught", lambda names, *rest: taught.append(names) or teach(names, *rest)
    )
    students.main(**shared(project), **asked, students=[*first, "views2/angles"])
    assert taught == [["views2/angles"]] * 2  # the others are remembered
    again = pd.read_csv(project / "metrics/table.csv").set_index("name")
    assert again.loc[first, "mae"].tolist() == table.loc[first, "mae"].tolist()


def test_students_beside_the_pipelines_own(project, network):
    """In the order of the seeds that are asked for, not of the params file."""
    params = yaml.safe_load((project / "params.yaml").read_text())
    params |= {"seeds": [2, 1, 5], "students": ["resnet8"]}
    params["ensemble"] |= {"K": 0, "turns_deg": [0.0], "flip": True}
    (project / "params.yaml").write_text(yaml.safe_dump(params))
    for seed in (1, 2):
        student = seeded(lambda: StudentNet("resnet8", SPEC), seed)
        save_network(student, project / f"kd-resnet8-{seed}.safetensors", "resnet8", (PX, PX), {})
    asked = {"targets": str(project / "t-{seed}.h5"), "backbone": "resnet8", "epochs": None}
    asked |= {"reference": "kd-resnet8", "students": ["flip/paper"], "networks": project}
    students.main(**shared(project), **asked)
    table = pd.read_csv(project / "metrics/table.csv").set_index("name")
    assert sorted(table.index) == ["base", "ensemble", "flip/paper", "kd-resnet8"]
    assert table.loc["kd-resnet8", "gain"] == 0
    found = students.of_seeds(project / "params.yaml", project, [1, 2])
    assert [(c.name, c.seed) for c in found][:3] == [
        ("base", 1),
        ("ensemble", 1),
        ("kd-resnet8", 1),
    ]
    crops = Crops(project / "c.h5")
    rows = np.flatnonzero(crops.validation)
    images = torch.stack(
        [torch.from_numpy(crops[row][MARGIN:-MARGIN, MARGIN:-MARGIN].copy()) for row in rows]
    )
    with torch.inference_mode():
        errors = [
            (
                net.spec.expectation(predict_probs(net, normalize(images))).numpy()
                - crops.pyr_deg[rows]
            )
            for net in (
                load_network(project / f"kd-resnet8-{seed}.safetensors")[0] for seed in (1, 2)
            )
        ]
    by_seed = [np.abs(error).mean() for error in errors]
    assert table.loc["kd-resnet8", "mae"] == pytest.approx(np.mean(by_seed), abs=1e-3)
    with pytest.raises(InputError, match=r"seeds lack \[3\]"):
        students.main(**shared(project) | {"seeds": [1, 3]}, **asked)


def test_born_again_command(project, capsys, monkeypatch):
    """Round 1 is the pipeline's student, and the student of a round is the next one's teacher."""
    taught = []
    teach = born_again.ensemble.main
    monkeypatch.setattr(
        born_again.ensemble, "main", lambda **paths: taught.append(paths) or teach(**paths)
    )
    asked = {"networks": project, "backbone": "resnet8"}
    born_again.main(**shared(project), **asked, rounds=1)
    born_again.main(**shared(project), **asked, rounds=2)
    table = pd.read_csv(project / "metrics/table.csv").set_index("name")
    names = ["base", "round 1", "round 2"]
    assert list(table.index) == [*names, *(f"{name}, ensemble" for name in names)]
    assert table.loc["round 1", "gain"] == 0
    assert table["mae"].nunique() == 6
    assert "| round 2, ensemble" in capsys.readouterr().out
    assert [paths["seed"] for paths in taught] == [1, 2, 1001, 1002]  # round 1 is remembered
    for seed, first, second in zip((1, 2), taught[:2], taught[2:], strict=True):
        assert first["network"] == project / f"base-{seed}.safetensors"
        by_round = [paths["targets"].with_suffix(".safetensors") for paths in (first, second)]
        assert second["network"] == by_round[0]
        students_of = [load_network(path)[1]["provenance"] for path in by_round]
        assert students_of[1]["base_sha256"] == sha256(by_round[0])
    params, crops, targets = (project / name for name in ("params.yaml", "c.h5", "again.h5"))
    paths = {"params": params, "seed": 2, "crops": crops, "targets": targets}
    paths["work"] = project / "work"
    teach(**paths, network=project / "base-2.safetensors")
    places = {"network": project / "again.safetensors", "history": project / "again.csv"}
    places["weights"] = ROOT / "data/pretrained/none"
    born_again.distill.main(**paths, **places, backbone="resnet8")
    alone = (project / "again.safetensors").read_bytes()
    assert alone == taught[1]["targets"].with_suffix(".safetensors").read_bytes()


def test_codecs_command(project, capsys):
    params = yaml.safe_load((project / "params.yaml").read_text()) | {"students": []}
    (project / "params.yaml").write_text(yaml.safe_dump(params))
    codecs.main(params=project / "params.yaml", crops=project / "c.h5", networks=project)
    names, _, *rows = (
        [word.strip() for word in line.split("|")] for line in capsys.readouterr().out.splitlines()
    )
    moved = pd.DataFrame(rows, columns=names).query("network == 'base'")["moved"].astype(float)
    png, jpeg = moved.iloc[0], moved.iloc[1:]
    assert png == 0
    assert (jpeg > 0).all()
