"""The losses against golden numbers, slow references in numpy, and numerical gradients."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_project import ROOT

from hpe_core.common.geometry import flip_pyr
from hpe_core.common.settings import load
from hpe_core.networks.bins import BinSpec, flip_probs
from hpe_core.networks.model import BaseNet
from hpe_core.training.losses import base_loss, cross_entropy, distillation_loss, kl_divergence
from hpe_core.training.settings import REGRESSION_UNIT_DEG, Base

HERE = Path(__file__).parent
GOLDEN = json.loads((HERE / "golden.json").read_text())["kd_loss"]
INPUTS = json.loads((HERE / "kd_loss_inputs.json").read_text())
SPEC = BinSpec(1.0)


def golden_inputs() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    logits = torch.tensor(INPUTS["student_logits"], dtype=torch.float64)
    probs = torch.tensor(INPUTS["teacher_probs"], dtype=torch.float64)
    return logits, probs, torch.tensor(GOLDEN["gt_pyr_deg"], dtype=torch.float64)


def random_inputs(
    n: int, spec: BinSpec, seed: int = 0
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shape = (n, 3, spec.n_bins)
    logits = 2 * torch.randn(shape, generator=generator, dtype=torch.float64)
    probs = torch.randn(shape, generator=generator, dtype=torch.float64).softmax(-1)
    pyr_deg = 198 * torch.rand((n, 3), generator=generator, dtype=torch.float64) - 99
    return logits, probs, pyr_deg


def slow_cross_entropy(logits: np.ndarray, pyr_deg: np.ndarray, spec: BinSpec) -> np.ndarray:
    """Sum over angles of -log of the softmax at the bin whose centre is nearest."""
    centres = spec.centers_deg.double().numpy()
    losses = []
    for face_logits, face_pyr in zip(logits, pyr_deg, strict=True):
        total = 0.0
        for values, angle in zip(face_logits, face_pyr, strict=True):
            probs = np.exp(values) / np.exp(values).sum()
            total -= np.log(probs[np.abs(centres - angle).argmin()])
        losses.append(total)
    return np.array(losses)


def slow_kl(logits: np.ndarray, teacher: np.ndarray) -> np.ndarray:
    student = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    terms = np.zeros_like(teacher)
    mass = teacher > 0
    terms[mass] = teacher[mass] * np.log(teacher[mass] / student[mass])
    return terms.sum((-2, -1))


def test_golden_distillation_loss():
    logits, probs, pyr_deg = golden_inputs()
    expected = [
        (cross_entropy(logits, pyr_deg, SPEC), "cross_entropy_per_sample"),
        (kl_divergence(logits, probs), "kl_per_sample"),
        (distillation_loss(logits, probs, pyr_deg, SPEC, 0.05), "loss_per_sample"),
    ]
    for found, name in expected:
        np.testing.assert_allclose(found, GOLDEN[name], rtol=1e-7, err_msg=name)


def test_golden_prediction():
    logits, _, _ = golden_inputs()
    predicted = SPEC.expectation(logits.softmax(-1))
    np.testing.assert_allclose(predicted, GOLDEN["predicted_pyr_deg"], atol=1e-5)


@pytest.mark.parametrize("bin_deg", [1.0, 2.0, 3.0, 4.0])
def test_cross_entropy_equals_loops(bin_deg):
    spec = BinSpec(bin_deg)
    logits, _, pyr_deg = random_inputs(6, spec)
    expected = slow_cross_entropy(logits.numpy(), pyr_deg.numpy(), spec)
    np.testing.assert_allclose(cross_entropy(logits, pyr_deg, spec), expected, rtol=1e-12)


def test_kl_equals_loops_where_the_teacher_has_zeros():
    logits, probs, _ = random_inputs(6, SPEC)
    probs = torch.where(probs > 0.002, probs, 0.0)
    probs = probs / probs.sum(-1, keepdim=True)
    found = kl_divergence(logits, probs)
    np.testing.assert_allclose(found, slow_kl(logits.numpy(), probs.numpy()), rtol=1e-10)


def test_kl_of_the_teacher_itself_is_zero_and_of_others_is_positive():
    logits, probs, _ = random_inputs(6, SPEC)
    assert kl_divergence(probs.log(), probs).abs().max() < 1e-12
    assert (kl_divergence(logits, probs) > 0).all()


@pytest.mark.parametrize(("label_weight", "is_kl"), [(0.0, True), (0.05, False)])
def test_distillation_without_labels_is_half_the_divergence(label_weight, is_kl):
    logits, probs, pyr_deg = random_inputs(3, SPEC)
    loss = distillation_loss(logits, probs, pyr_deg, SPEC, label_weight)
    assert torch.equal(loss, kl_divergence(logits, probs) / 2) == is_kl


def test_base_loss_is_the_mean_of_its_terms():
    """Formula (4) with M = 4: five terms, the last one the regression's mean absolute error."""
    specs = [BinSpec(b) for b in (1.0, 2.0, 3.0, 4.0)]
    heads = [random_inputs(5, spec, seed)[0] for seed, spec in enumerate(specs)]
    _, _, pyr_deg = random_inputs(5, specs[0])
    regression = pyr_deg + torch.tensor([3.0, -6.0, 0.0])
    terms = [
        slow_cross_entropy(logits.numpy(), pyr_deg.numpy(), spec)
        for logits, spec in zip(heads, specs, strict=True)
    ]
    expected = (sum(terms) + 3.0) / 5
    np.testing.assert_allclose(base_loss(heads, regression, pyr_deg, specs), expected, rtol=1e-10)


@pytest.mark.parametrize(
    ("unit", "mae"),
    [("degrees", 3.0), ("radians", 3.0 * np.pi / 180), ("theta", 3.0 / 99), ("none", None)],
)
def test_the_unit_of_the_regression_term(unit, mae):
    logits, _, pyr_deg = random_inputs(5, SPEC)
    regression = None if unit == "none" else pyr_deg + torch.tensor([3.0, -6.0, 0.0])
    cross = slow_cross_entropy(logits.numpy(), pyr_deg.numpy(), SPEC)
    expected = cross if mae is None else (cross + mae) / 2
    found = base_loss([logits], regression, pyr_deg, [SPEC], 0.0, REGRESSION_UNIT_DEG[unit])
    np.testing.assert_allclose(found, expected, rtol=1e-10)


def pulls_on_the_features(base: Base) -> list[float]:
    """How strongly each term of loss (4) pulls on the features at the start: norms of gradients."""
    torch.manual_seed(0)
    specs, regresses = [BinSpec(width) for width in base.bins_deg], base.regression != "none"
    net = BaseNet(base.backbone, specs, regression=regresses)
    features = torch.randn(256, net.encoder_net.features).abs().requires_grad_()
    net.encoder_net = torch.nn.Identity()
    pyr_deg = torch.randn(256, 3) * torch.tensor([15.0, 35.0, 12.0])
    heads, regression = net.all_heads(features)
    losses = [
        base_loss([head], None, pyr_deg, [spec], base.label_std_deg)
        for head, spec in zip(heads, net.specs, strict=True)
    ]
    if regression is not None:
        unit = REGRESSION_UNIT_DEG[base.regression]
        both = base_loss(heads[:1], regression, pyr_deg, specs[:1], base.label_std_deg, unit)
        losses.append(2 * both - losses[0])
    grads = [torch.autograd.grad(loss.mean(), features, retain_graph=True)[0] for loss in losses]
    return [float(grad.norm()) for grad in grads]


@pytest.mark.parametrize("path", [ROOT / "params.yaml", *ROOT.glob("pipeline/profiles/*.yaml")])
def test_no_head_pulls_ten_times_as_hard_as_another(path):
    """A regression term in degrees pulls 30 times as hard as the head of 1°, unnoticed for long."""
    pulls = pulls_on_the_features(load(path, "base", Base))
    assert max(pulls) < 10 * min(pulls)


def test_a_regression_term_in_degrees_would_be_noticed():
    base = load(ROOT / "pipeline/profiles/paper.yaml", "base", Base)
    pulls = pulls_on_the_features(base.model_copy(update={"regression": "degrees"}))
    assert pulls[-1] > 20 * pulls[0]


def test_base_loss_needs_a_spec_for_every_head():
    logits, _, pyr_deg = random_inputs(2, SPEC)
    with pytest.raises(ValueError, match="shorter"):
        base_loss([logits, logits], pyr_deg, pyr_deg, [SPEC])


@pytest.mark.parametrize("std_deg", [0.4, 2.0, 7.0])
def test_smeared_labels_equal_loops(std_deg):
    """Per angle: -sum over bins of the Gaussian about the label, normalised, times log p."""
    spec = BinSpec(3.0)
    logits, probs, pyr_deg = random_inputs(4, spec)
    expected = np.zeros(4)
    for face in range(4):
        for angle in range(3):
            away = (spec.centers_deg.double().numpy() - float(pyr_deg[face, angle])) / std_deg
            label = np.exp(-0.5 * away**2) / np.exp(-0.5 * away**2).sum()
            expected[face] -= (label * logits[face, angle].log_softmax(-1).numpy()).sum()
    found = cross_entropy(logits, pyr_deg, spec, std_deg)
    np.testing.assert_allclose(found, expected, rtol=1e-10)
    hard = distillation_loss(logits, probs, pyr_deg, spec, 0.5)
    smeared = distillation_loss(logits, probs, pyr_deg, spec, 0.5, std_deg)
    moved = (expected - slow_cross_entropy(logits.numpy(), pyr_deg.numpy(), spec)) / 4
    np.testing.assert_allclose(smeared - hard, moved, rtol=1e-8, atol=1e-12)


def test_every_head_of_the_base_has_smeared_labels():
    specs = [BinSpec(b) for b in (2.0, 5.0)]
    heads = [random_inputs(4, spec, seed)[0] for seed, spec in enumerate(specs)]
    _, _, pyr_deg = random_inputs(4, specs[0])
    terms = [cross_entropy(h, pyr_deg, spec, 3.0) for h, spec in zip(heads, specs, strict=True)]
    found = base_loss(heads, pyr_deg, pyr_deg, specs, 3.0)
    torch.testing.assert_close(found, sum(terms) / 3)


LOSSES = {
    "smeared": lambda logits, probs, pyr, spec: cross_entropy(logits, pyr, spec, 20.0),
    "cross_entropy": lambda logits, probs, pyr, spec: cross_entropy(logits, pyr, spec),
    "kl": lambda logits, probs, pyr, spec: kl_divergence(logits, probs),
    "distillation": lambda logits, probs, pyr, spec: distillation_loss(
        logits, probs, pyr, spec, 0.05
    ),
    "base": lambda logits, probs, pyr, spec: base_loss([logits], logits[..., 0], pyr, [spec]),
}


@pytest.mark.parametrize("name", LOSSES)
def test_gradients(name):
    """Against finite differences, on bins coarse enough to be quick."""
    spec = BinSpec(33.0)
    logits, probs, pyr_deg = random_inputs(2, spec)
    logits.requires_grad_()
    torch.autograd.gradcheck(lambda values: LOSSES[name](values, probs, pyr_deg, spec), logits)


@pytest.mark.parametrize("name", LOSSES)
def test_one_value_a_face_whatever_the_batch(name):
    logits, probs, pyr_deg = random_inputs(5, SPEC)
    together = LOSSES[name](logits, probs, pyr_deg, SPEC)
    assert together.shape == (5,)
    for i in range(5):
        alone = LOSSES[name](logits[i : i + 1], probs[i : i + 1], pyr_deg[i : i + 1], SPEC)
        torch.testing.assert_close(alone, together[i : i + 1], rtol=1e-12, atol=0)


def test_the_gradient_of_the_distillation_loss_is_the_formula():
    """d/dlogits of (w·CE + KL)/2 = (w·(p - onehot) + (p - teacher))/2."""
    logits, probs, pyr_deg = random_inputs(3, SPEC)
    logits.requires_grad_()
    distillation_loss(logits, probs, pyr_deg, SPEC, 0.05).sum().backward()
    student = logits.detach().softmax(-1)
    onehot = torch.nn.functional.one_hot(SPEC.encode(pyr_deg), SPEC.n_bins)
    torch.testing.assert_close(logits.grad, (0.05 * (student - onehot) + student - probs) / 2)


def test_the_flipped_face_has_the_same_loss():
    """Bins are symmetric, so flipping logits, targets and labels changes nothing."""
    logits, probs, pyr_deg = random_inputs(4, SPEC)
    flipped = torch.from_numpy(flip_pyr(pyr_deg.numpy()))
    loss = distillation_loss(flip_probs(logits), flip_probs(probs), flipped, SPEC, 0.05)
    torch.testing.assert_close(loss, distillation_loss(logits, probs, pyr_deg, SPEC, 0.05))


@pytest.mark.parametrize("scale", [1e3, -1e3])
def test_extreme_logits_stay_finite(scale):
    logits, probs, pyr_deg = random_inputs(2, SPEC)
    loss = distillation_loss((scale * logits).float(), probs.float(), pyr_deg.float(), SPEC, 0.05)
    assert loss.isfinite().all()
