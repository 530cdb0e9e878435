"""The training loop against a plain PyTorch loop, its determinism, and that it learns."""

import io
import re
from dataclasses import replace

import lightning_fabric
import numpy as np
import pytest
import torch
from torch.utils.data import default_collate

from hpe_core.common.errors import InputError
from hpe_core.common.geometry import flip_pyr, pyr_from_rotation, rotation_from_pyr
from hpe_core.networks.bins import BinSpec, flip_probs
from hpe_core.networks.model import BaseNet, StudentNet, normalize
from hpe_core.training.augment import CropView, Photometric, pose_view
from hpe_core.training.loop import NonFiniteLossError, Plan, fit, seeded, student_seed
from hpe_core.training.losses import base_loss, cross_entropy, distillation_loss
from hpe_core.training.tasks import BaseTask, DistillationTask
from hpe_core.training.views import EpochBatches, TrainingFaces, Views

SIZE = (16, 16)
SPECS = [BinSpec(3.0), BinSpec(9.0)]


class Arrays:
    """Crops in memory whose brightness tells the yaw: something to learn."""

    def __init__(self, n: int, margin: int = 2) -> None:
        rng = np.random.default_rng(0)
        self.pyr_deg = rng.uniform(-60, 60, (n, 1)) * [0.5, 1.0, -0.4]
        side = SIZE[0] + 2 * margin
        ramp = np.linspace(-1, 1, side)[None, None, :, None]
        level = 128 + self.pyr_deg[:, 1, None, None, None] * ramp
        self.pixels = np.clip(level + rng.normal(0, 3, (n, side, side, 3)), 0, 255).astype(np.uint8)

    def __getitem__(self, row: int) -> np.ndarray:
        return self.pixels[row]


BRIEF = Plan(epochs=2, batch=4, lr=1e-3, schedule="constant", seed=0)
PLAIN = Views(
    SIZE,
    flip_p=0.0,
    rotate_deg=0.0,
    max_shift=0.0,
    max_scale=1.0,
    photometric_p=0.0,
    blur_max_px=3,
    seed=4,
)
FULL = Views(
    SIZE,
    flip_p=0.5,
    rotate_deg=15.0,
    max_shift=0.0,
    max_scale=1.0,
    photometric_p=0.5,
    blur_max_px=3,
    seed=4,
)


def cpu() -> lightning_fabric.Fabric:
    return lightning_fabric.Fabric(accelerator="cpu", devices=1)


def trained(views: Views, workers: int, n: int = 24, epochs: int = 2):
    network = seeded(lambda: BaseNet("resnet10", SPECS), 7)
    faces = TrainingFaces(Arrays(n), np.arange(n), views)
    history = fit(BaseTask(network), faces, Plan(epochs, 8, 1e-3, "constant", 5), cpu(), workers)
    return network, history


class Teacher:
    """Random targets of V views a face."""

    def __init__(self, n: int, views: int) -> None:
        rng = np.random.default_rng(1)
        self.phi_deg = rng.uniform(-15, 15, (n, views)).astype(np.float32)
        self.probs = rng.dirichlet(np.ones(198), (n, views, 3)).astype(np.float32)

    def __getitem__(self, row_view: tuple[int, int]) -> np.ndarray:
        return self.probs[row_view]


def test_equal_to_a_plain_pytorch_loop():
    network, history = trained(PLAIN, workers=0)
    reference = seeded(lambda: BaseNet("resnet10", SPECS), 7)
    reference.train().to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(reference.parameters(), lr=1e-3, fused=True)
    arrays = Arrays(24)
    losses = []
    for rows in EpochBatches(24, 8, 2, 5):
        index = [position for _, position in rows]
        images = torch.from_numpy(arrays.pixels[index][:, 2:-2, 2:-2].copy())
        pyr_deg = torch.from_numpy(arrays.pyr_deg[index].astype(np.float32))
        logits, regression = reference.all_heads(normalize(images))
        loss = base_loss(logits, regression, pyr_deg, reference.specs).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    for name, value in reference.state_dict().items():
        torch.testing.assert_close(network.state_dict()[name], value, msg=name)
    assert history[0]["loss"] == pytest.approx(np.mean(losses[:3]), rel=1e-4)


def test_bitwise_the_same_with_any_number_of_workers():
    one, history = trained(FULL, workers=0)
    two, again = trained(FULL, workers=2)
    assert history == again
    for name, value in one.state_dict().items():
        assert torch.equal(two.state_dict()[name], value), name


class KilledError(Exception):
    pass


class Kept:
    """Progress in memory, of a process that is killed after some epochs."""

    def __init__(self) -> None:
        self.file: bytes | None = None
        self.left = 0

    def load(self):
        return torch.load(io.BytesIO(self.file), weights_only=True) if self.file else None

    def save(self, state, kept):
        file = io.BytesIO()
        torch.save(state, file)
        self.file, self.left, self.words = file.getvalue(), self.left - 1, kept
        if self.left == 0:
            raise KilledError


@pytest.mark.parametrize("schedule", ["constant", "cosine", "cooldown"])
@pytest.mark.parametrize("workers", [0, 1])
def test_training_that_was_killed_ends_with_the_same_bytes(schedule, workers):
    def run(progress=None):
        network = seeded(lambda: BaseNet("resnet10", SPECS), 7)
        faces = TrainingFaces(Arrays(20), np.arange(20), FULL)
        plan = Plan(5, 8, 1e-3, schedule, 5)
        return network, fit(BaseTask(network), faces, plan, cpu(), workers, progress)

    whole, expected = run()
    progress = Kept()
    for left in (1, 3):  # killed after epoch 1, then after epoch 4
        progress.left = left
        with pytest.raises(KilledError):
            run(progress)
    assert progress.words == "epoch 4 of 5 is"
    network, history = run(progress)
    assert history == expected
    for name, value in whole.state_dict().items():
        assert torch.equal(network.state_dict()[name], value), name
    again, history = run(progress)  # nothing is left to train
    assert history == expected
    assert torch.equal(again.regression_net.weight, whole.regression_net.weight)


def test_a_last_step_that_goes_too_far_is_noticed():
    """Its loss was finite; the next one would not be."""
    network = seeded(lambda: BaseNet("resnet10", SPECS), 7)
    faces, saved = TrainingFaces(Arrays(8), np.arange(8), PLAIN), Kept()
    with pytest.raises(NonFiniteLossError) as found:
        fit(BaseTask(network), faces, Plan(1, 8, 1e30, "constant", 5), cpu(), 0, saved)
    assert sorted(found.value.rows) == list(range(8))
    assert saved.load() is None, "the last good state is what was kept"


@pytest.mark.parametrize("workers", [0, 1])
def test_a_damaged_crop_is_one_line(monkeypatch, workers):
    def damaged(crops: Arrays, row: int) -> np.ndarray:
        raise InputError(f"c.h5: row {row} is damaged; run crop_train again")

    monkeypatch.setattr(Arrays, "__getitem__", damaged)
    with pytest.raises(InputError) as found:
        trained(PLAIN, workers, n=2)
    assert re.fullmatch(r"c\.h5: row [01] is damaged; run crop_train again", str(found.value))


def test_learns_what_can_be_learnt():
    n = 64
    network = seeded(lambda: BaseNet("resnet10", SPECS), 7)
    faces = TrainingFaces(Arrays(n), np.arange(n), PLAIN)
    history = fit(BaseTask(network), faces, Plan(25, 16, 2e-3, "constant", 5), cpu(), 0)
    assert history[-1]["loss"] < 0.5 * history[0]["loss"]


def test_views_differ_by_epoch_and_not_by_call():
    faces = TrainingFaces(Arrays(4), np.arange(4), FULL)
    first, again, later = faces[(0, 1)], faces[(0, 1)], faces[(1, 1)]
    assert torch.equal(first["images"], again["images"])
    assert not torch.equal(first["images"], later["images"])


def test_students_of_every_run_have_a_seed_that_no_base_network_has():
    seeds = [student_seed(run) for run in range(1000)]
    assert seeds[:2] == [student_seed(0), student_seed(1)]
    assert len({*seeds, *range(1000)}) == 2000


def test_a_flipped_view_gets_the_flipped_label_and_the_flipped_target():
    arrays, teacher = Arrays(6), Teacher(6, 1)
    teacher.phi_deg[:] = 0
    views = replace(PLAIN, flip_p=1.0, seed=0)
    item = TrainingFaces(arrays, np.array([3, 5]), views, teacher.phi_deg, teacher)[(0, 1)]
    np.testing.assert_array_equal(item["images"], arrays.pixels[5][2:-2, 2:-2][:, ::-1])
    np.testing.assert_allclose(item["pyr_deg"], flip_pyr(arrays.pyr_deg[5]), rtol=1e-6)
    assert torch.equal(item["teacher_probs"], flip_probs(torch.from_numpy(teacher[5, 0])))


MOVED = replace(PLAIN, max_shift=0.1, max_scale=1.25)


def test_boxes_move_and_grow_within_their_limits_and_reach_them(monkeypatch):
    placed = []
    monkeypatch.setattr(
        "hpe_core.training.views.pose_view",
        lambda crop, pyr_deg, size_hw, place: (
            placed.append(place),
            pose_view(crop, pyr_deg, size_hw, place),
        )[1],
    )
    faces = TrainingFaces(Arrays(4, margin=6), np.arange(4), MOVED)
    for epoch in range(250):
        _ = faces[(epoch, 2)]
    shifts = np.array([each.shift_px for each in placed]) / SIZE[0]
    logs = np.log([each.scale for each in placed]) / np.log(1.25)
    for found, limit in ((shifts[:, 0], 0.1), (shifts[:, 1], 0.1), (logs, 1.0)):
        assert np.abs(found).max() <= limit
        assert np.quantile(found / limit, [0.05, 0.5, 0.95]) == pytest.approx(
            [-0.9, 0, 0.9], abs=0.15
        )
    assert abs(np.corrcoef(np.column_stack([shifts, logs]).T) - np.eye(3)).max() < 0.2
    assert all(each.phi_deg == 0 and not each.flipped for each in placed)


def test_a_moved_box_keeps_label_and_target():
    arrays, teacher = Arrays(6, margin=6), Teacher(6, 1)
    teacher.phi_deg[:] = 0
    item, still = (
        TrainingFaces(arrays, np.arange(6), views, teacher.phi_deg, teacher)[(3, 4)]
        for views in (MOVED, PLAIN)
    )
    assert not torch.equal(item.pop("images"), still.pop("images"))
    assert all(torch.equal(item[name], still[name]) for name in still)


@pytest.mark.parametrize("limits", [{"max_shift": 0.1}, {"max_scale": 1.2}])
def test_each_limit_moves_boxes_by_itself(limits):
    faces = [
        TrainingFaces(Arrays(3, 6), np.arange(3), replace(PLAIN, **each)) for each in ({}, limits)
    ]
    still, moved = (each[(0, 1)]["images"] for each in faces)
    assert not torch.equal(still, moved)


def test_boxes_that_stay_draw_no_numbers():
    """The other augmentations are then those of a run that knows of no moved boxes."""
    rng = np.random.default_rng([FULL.seed, 2, 4])
    flipped, turn = bool(rng.random() < 0.5), float(rng.uniform(-1, 1)) * 15
    arrays = Arrays(6)
    window, _ = pose_view(arrays[3], arrays.pyr_deg[3], SIZE, CropView(turn, flipped))
    expected = Photometric(SIZE, 0.5, 3)(window, rng)
    item = TrainingFaces(arrays, np.arange(6), FULL)[(2, 3)]
    np.testing.assert_array_equal(item["images"], expected)


def test_a_control_sees_what_its_student_sees():
    """The same pixels and labels in the same order, from the same seed; only the targets lack."""
    both = replace(FULL, max_shift=0.1, max_scale=1.2)
    arrays, teacher, rows = Arrays(6), Teacher(6, 2), np.arange(6)
    student = TrainingFaces(arrays, rows, both, teacher.phi_deg, teacher)
    control = TrainingFaces(arrays, rows, both, teacher.phi_deg)
    for item in [(epoch, position) for epoch in range(4) for position in range(6)]:
        seen, alone = student[item], control[item]
        del seen["teacher_probs"]
        assert seen.keys() == alone.keys()
        assert all(torch.equal(seen[name], alone[name]) for name in seen)


def test_a_student_may_rotate_further_than_its_teacher():
    """Section 4.3 as the paper may mean it: face and label rotate, the cached target does not."""
    arrays, teacher = Arrays(6), Teacher(6, 1)
    teacher.phi_deg[:] = 0
    views = replace(PLAIN, rotate_deg=15.0, seed=0)
    faces = TrainingFaces(arrays, np.arange(6), views, teacher.phi_deg, teacher)
    rolls = []
    for epoch in range(20):
        item = faces[(epoch, 3)]
        assert torch.equal(item["teacher_probs"], torch.from_numpy(teacher[3, 0]))
        own = arrays.pyr_deg[3]
        turned = rotation_from_pyr(item["pyr_deg"]) @ rotation_from_pyr(own).T
        rolls.append(pyr_from_rotation(turned))
    np.testing.assert_allclose(np.array(rolls)[:, :2], 0, atol=1e-3)  # about the camera's axis
    assert 10 < np.abs(rolls).max() <= 15


def test_a_student_sees_its_teachers_views_all_equally_often():
    """The rotation of the pixels, the label and the target are those of one view."""
    arrays, teacher = Arrays(4), Teacher(4, 3)
    faces = TrainingFaces(arrays, np.array([1, 3]), PLAIN, teacher.phi_deg, teacher)
    seen = []
    for epoch in range(6):
        item = faces[(epoch, 1)]
        view = next(v for v in range(3) if np.array_equal(item["teacher_probs"], teacher[3, v]))
        phi_deg = float(teacher.phi_deg[3, view])
        window, pyr_deg = pose_view(arrays[3], arrays.pyr_deg[3], SIZE, CropView(phi_deg))
        np.testing.assert_array_equal(item["images"], window)
        np.testing.assert_allclose(item["pyr_deg"], pyr_deg, rtol=1e-6)
        seen.append(view)
    assert sorted(seen) == [0, 0, 1, 1, 2, 2]


def rates_of(schedule: str, monkeypatch, epochs: int = 3) -> list[float]:
    """The learning rate of every step of a run with two steps per epoch."""
    rates = []
    step = torch.optim.Adam.step

    def noting(self, closure=None):
        rates.append(self.param_groups[0]["lr"])
        return step(self, closure)

    monkeypatch.setattr(torch.optim.Adam, "step", noting)
    faces = TrainingFaces(Arrays(8), np.arange(8), PLAIN)
    plan = Plan(epochs, 4, 1e-3, schedule, 5)
    fit(BaseTask(BaseNet("resnet10", SPECS)), faces, plan, cpu(), 0)
    return rates


def test_the_rate_falls_along_half_a_cosine_to_nothing(monkeypatch):
    expected = 1e-3 * (1 + np.cos(np.pi * np.arange(6) / 6)) / 2
    np.testing.assert_allclose(rates_of("cosine", monkeypatch), expected)


def test_a_constant_rate_stays(monkeypatch):
    np.testing.assert_allclose(rates_of("constant", monkeypatch), 1e-3)


def test_a_rate_that_cools_down_falls_over_the_last_quarter_to_nothing(monkeypatch):
    expected = 1e-3 * np.array([1.0] * 13 + [0.75, 0.5, 0.25])
    np.testing.assert_allclose(rates_of("cooldown", monkeypatch, epochs=8), expected)


@pytest.mark.parametrize(
    ("n", "batch", "sizes"),
    [
        pytest.param(8, 4, [4, 4], id="even"),
        pytest.param(10, 4, [4, 3, 3], id="uneven"),
        pytest.param(9, 8, [5, 4], id="a-single-face-more-than-a-batch"),
        pytest.param(3, 2, [3], id="two-faces-at-least"),
        pytest.param(3, 8, [3], id="fewer-faces-than-a-batch"),
    ],
)
def test_every_face_once_an_epoch_and_no_batch_of_one(n, batch, sizes):
    batches = list(EpochBatches(n, batch, 2, 0))
    assert [len(rows) for rows in batches] == sizes * 2
    for epoch in (0, 1):
        seen = sorted(p for rows in batches for e, p in rows if e == epoch)
        assert seen == list(range(n))
    assert len(batches) == len(EpochBatches(n, batch, 2, 0))


@pytest.mark.parametrize("world", [2, 3])
def test_processes_share_every_batch(world):
    whole = list(EpochBatches(23, 8, 2, 5))
    shares = [list(EpochBatches(23, 8, 2, 5, (rank, world))) for rank in range(world)]
    for batch, *parts in zip(whole, *shares, strict=True):
        assert sorted(batch) == sorted(row for part in parts for row in part)
        assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_a_process_without_a_face_is_an_error():
    with pytest.raises(InputError, match="5 processes cannot share batches of 4 faces"):
        EpochBatches(8, 4, 1, 0, share=(0, 5))


def test_one_face_is_no_training_set():
    with pytest.raises(ValueError, match="at least 2 faces, found 1"):
        EpochBatches(1, 4, 1, 0)


def test_distillation_reaches_the_teacher_it_can_express():
    spec = BinSpec(9.0)
    n = 32
    arrays = Arrays(n)
    edges = torch.from_numpy(arrays.pyr_deg)[..., None] - spec.centers_deg
    teacher = Teacher(n, 1)
    teacher.phi_deg[:] = 0
    teacher.probs = torch.softmax(-((edges / 9.0) ** 2), dim=-1).float().numpy()[:, None]
    student = seeded(lambda: StudentNet("resnet10", spec), 3)
    faces = TrainingFaces(arrays, np.arange(n), PLAIN, teacher.phi_deg, teacher)
    task = DistillationTask(student, 0.05)
    history = fit(task, faces, Plan(20, 16, 2e-3, "constant", 1), cpu(), 0)
    assert history[-1]["loss"] < 0.6 * history[0]["loss"]


def test_tasks_smear_labels():
    """Both tasks: the library's losses, of labels smeared as asked."""
    faces, teacher = TrainingFaces(Arrays(4), np.arange(4), PLAIN), Teacher(4, 1)
    batch = default_collate([faces[0, i] for i in range(4)])
    batch["teacher_probs"] = torch.from_numpy(teacher.probs[:, 0])
    images, pyr_deg = normalize(batch["images"]), batch["pyr_deg"]
    base, student = BaseNet("resnet10", SPECS).eval(), StudentNet("resnet10", BinSpec()).eval()
    control = {name: value for name, value in batch.items() if name != "teacher_probs"}
    for std_deg in (0.0, 2.0):
        labels_alone = cross_entropy(student(images), pyr_deg, student.spec, std_deg)
        found = DistillationTask(student, 0.5, std_deg)(control)[0]
        torch.testing.assert_close(found, labels_alone)
        heads, regression = base.all_heads(images)
        expected = base_loss(heads, regression, pyr_deg, base.specs, std_deg)
        torch.testing.assert_close(BaseTask(base, std_deg)(batch)[0], expected)
        in_radians = base_loss(heads, regression, pyr_deg, base.specs, std_deg, 57.3)
        torch.testing.assert_close(BaseTask(base, std_deg, 57.3)(batch)[0], in_radians)
        of_labels = pyr_deg, student.spec, 0.5, std_deg
        expected = distillation_loss(student(images), batch["teacher_probs"], *of_labels)
        torch.testing.assert_close(DistillationTask(student, 0.5, std_deg)(batch)[0], expected)


def test_a_loss_that_is_not_finite_stops_the_training_and_names_the_faces():
    """And what was kept last is from before."""
    arrays, rows = Arrays(12), np.arange(2, 10)
    arrays.pyr_deg[5] = np.nan
    network = seeded(lambda: BaseNet("resnet10", SPECS), 7)
    with pytest.raises(NonFiniteLossError, match="the loss is nan") as error:
        fit(BaseTask(network), TrainingFaces(arrays, rows, PLAIN), BRIEF, cpu(), 0)
    assert error.value.rows == [5]
    progress, good = Kept(), TrainingFaces(Arrays(12), rows, PLAIN)
    progress.left = 1
    with pytest.raises(KilledError):
        fit(BaseTask(network), good, BRIEF, cpu(), 0, progress)
    before = progress.file
    with pytest.raises(NonFiniteLossError):
        fit(BaseTask(network), TrainingFaces(arrays, rows, PLAIN), BRIEF, cpu(), 0, progress)
    assert progress.file == before
