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


def formula7(
    logits: Tensor,
    batch: Batch,
    spec: BinSpec,
    weight: float = PAPER_WEIGHT,
    label_std_deg: float = 0.0,
) -> Tensor:
    labels = batch["pyr_deg"], spec, weight, label_std_deg
    return distillation_loss(logits, batch["teacher_probs"], *labels)


def labels(logits: Tensor, batch: Batch, spec: BinSpec, std_deg: float = 0.0) -> Tensor:
    return cross_entropy(logits, batch["pyr_deg"], spec, std_deg) / 2


def angles(logits: Tensor, batch: Batch, spec: BinSpec, std_deg: float) -> Tensor:
    """(7), but all that is left of the teacher's distributions is their expectation."""
    narrow = spec.gaussian(spec.expectation(batch["teacher_probs"]), std_deg)
    return formula7(logits, batch | {"teacher_probs": narrow}, spec)


def tempered(logits: Tensor, batch: Batch, spec: BinSpec, temperature: float) -> Tensor:
    """Teacher and student at a temperature (Hinton et al. 2015, with its T²); (7) at T = 1."""
    softer = batch["teacher_probs"] ** (1 / temperature)
    softer = softer / softer.sum(-1, keepdim=True)
    divergence = temperature**2 * kl_divergence(logits / temperature, softer)
    return PAPER_WEIGHT * labels(logits, batch, spec) + divergence / 2


def expected(
    logits: Tensor,
    batch: Batch,
    spec: BinSpec,
    weight: float,
    label_weight: float = PAPER_WEIGHT,
    label_std_deg: float = 0.0,
) -> Tensor:
    """(7) and the error of the expected angles, which the tables measure; (7) at weight 0."""
    error = (spec.expectation(logits.softmax(-1)) - batch["pyr_deg"]).abs().sum(-1)
    return formula7(logits, batch, spec, label_weight, label_std_deg) + weight * error / 2


def _smeared(weight: float, label_std_deg: float) -> Loss:
    return partial(formula7, weight=weight, label_std_deg=label_std_deg)


LOSSES: dict[str, Loss] = {
    "paper": formula7,
    **{f"weight{weight:g}": partial(formula7, weight=weight) for weight in (0.0, 0.5, 1.0)},
    "labels": labels,
    "soft-labels": partial(labels, std_deg=2.0),
    **{f"smeared{weight:g}": _smeared(weight, 2.0) for weight in (PAPER_WEIGHT, 0.5, 2.0)},
    "smeared0.5-4deg": _smeared(0.5, 4.0),
    "smeared0.5-expected": partial(expected, weight=0.1, label_weight=0.5, label_std_deg=2.0),
    "angles": partial(angles, std_deg=0.5),
    "temperature2": partial(tempered, temperature=2.0),
    "expected": partial(expected, weight=0.1),
}
