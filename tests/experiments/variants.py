"""Ways to teach a student: which views and targets it sees, and by which loss.

The losses get logits (N, 3, n_bins) and a batch with `teacher_probs` and `pyr_deg`; they return
one value per example. The halves are those of formula (7); Adam does not care for a factor.
"""

import re
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hpe_core.bins import BinSpec
from hpe_core.ensemble import turn_probs, view_turns
from hpe_core.errors import InputError
from hpe_core.losses import cross_entropy, distillation_loss, kl_divergence
from hpe_core.training import Batch, TargetSource

Loss = Callable[[Tensor, Batch, BinSpec], Tensor]

PAPER_WEIGHT = 0.05


class FirstViews:
    """The first of the teacher's views of a face."""

    def __init__(self, targets: TargetSource, views: int) -> None:
        if views > (found := targets.phi_deg.shape[1]):
            raise InputError(
                f"{views} views are asked for, but the targets have {found}; raise distill.views "
                "and run the ensemble stage again"
            )
        self.targets, self.phi_deg = targets, targets.phi_deg[:, :views]

    def __getitem__(self, row_view: tuple[int, int]) -> NDArray[np.float32]:
        return self.targets[row_view]


class Moved:
    """Views that no teacher saw: the upright view's target, moved as its expected angles move."""

    def __init__(self, targets: TargetSource, phi_deg: NDArray[np.float32], spec: BinSpec) -> None:
        self.targets, self.phi_deg, self.spec = targets, phi_deg, spec

    def __getitem__(self, row_view: tuple[int, int]) -> NDArray[np.float32]:
        upright = torch.from_numpy(self.targets[row_view[0], 0])
        return turn_probs(upright, float(self.phi_deg[row_view]), self.spec).numpy()


def teacher(
    seen: str, targets: TargetSource, spec: BinSpec, epochs: int, rotate_deg: float, seed: int
) -> TargetSource:
    """What the name of the views stands for.

    static, flip: the upright view alone (static is never mirrored); views4: the teacher's first
    four; moved: all of the teacher's, but with the upright one's target, moved; fresh: likewise, of
    another view every epoch.
    """
    if seen in ("static", "flip"):
        return FirstViews(targets, 1)
    if views := re.fullmatch(r"views([1-9]\d*)", seen):
        return FirstViews(targets, int(views[1]))
    if seen == "moved":
        return Moved(targets, targets.phi_deg, spec)
    if seen == "fresh":
        phi_deg = view_turns(len(targets.phi_deg), epochs, rotate_deg, seed)
        return Moved(targets, phi_deg, spec)
    raise InputError(f"no views are named {seen!r}; expected static, flip, views<V>, moved, fresh")


def formula7(logits: Tensor, batch: Batch, spec: BinSpec, weight: float = PAPER_WEIGHT) -> Tensor:
    return distillation_loss(logits, batch["teacher_probs"], batch["pyr_deg"], spec, weight)


def labels(logits: Tensor, batch: Batch, spec: BinSpec) -> Tensor:
    return cross_entropy(logits, batch["pyr_deg"], spec) / 2


def gaussian(angle_deg: Tensor, std_deg: float, spec: BinSpec) -> Tensor:
    """An angle as a distribution: (...) degrees → (... x n_bins), one-hot as std_deg goes to 0."""
    away = (spec.centers_deg.to(angle_deg) - angle_deg[..., None]) / std_deg
    return torch.softmax(-(away**2) / 2, dim=-1)


def soft_labels(logits: Tensor, batch: Batch, spec: BinSpec, std_deg: float) -> Tensor:
    return kl_divergence(logits, gaussian(batch["pyr_deg"], std_deg, spec)) / 2


def smeared(logits: Tensor, batch: Batch, spec: BinSpec, std_deg: float, weight: float) -> Tensor:
    """The label as a Gaussian instead of one bin; (7) as std_deg goes to 0."""
    soft = soft_labels(logits, batch, spec, std_deg)
    return weight * soft + formula7(logits, batch, spec, 0)


def angles(logits: Tensor, batch: Batch, spec: BinSpec, std_deg: float) -> Tensor:
    """(7), but all that is left of the teacher's distributions is their expectation."""
    narrow = gaussian(spec.expectation(batch["teacher_probs"]), std_deg, spec)
    return formula7(logits, batch | {"teacher_probs": narrow}, spec)


def tempered(logits: Tensor, batch: Batch, spec: BinSpec, temperature: float) -> Tensor:
    """Teacher and student at a temperature (Hinton et al. 2015, with its T²); (7) at T = 1."""
    softer = batch["teacher_probs"] ** (1 / temperature)
    softer = softer / softer.sum(-1, keepdim=True)
    divergence = temperature**2 * kl_divergence(logits / temperature, softer)
    return PAPER_WEIGHT * labels(logits, batch, spec) + divergence / 2


def expected(logits: Tensor, batch: Batch, spec: BinSpec, weight: float) -> Tensor:
    """(7) and the error of the expected angles, which the tables measure; (7) at weight 0."""
    error = (spec.expectation(logits.softmax(-1)) - batch["pyr_deg"]).abs().sum(-1)
    return formula7(logits, batch, spec) + weight * error / 2


LOSSES: dict[str, Loss] = {
    "paper": formula7,
    **{f"weight{weight:g}": partial(formula7, weight=weight) for weight in (0.0, 0.5, 1.0)},
    "labels": labels,
    "soft-labels": partial(soft_labels, std_deg=2.0),
    "smeared": partial(smeared, std_deg=2.0, weight=PAPER_WEIGHT),
    "smeared0.5": partial(smeared, std_deg=2.0, weight=0.5),
    "angles": partial(angles, std_deg=0.5),
    "temperature2": partial(tempered, temperature=2.0),
    "expected": partial(expected, weight=0.1),
}
