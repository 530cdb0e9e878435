"""The two training losses: one value per example; the caller takes the mean.

`logits` are (N, 3, n_bins), angles in the order pitch, yaw, roll; `pyr_deg` is (N, 3) degrees.
"""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

from hpe_core.networks.bins import BinSpec


def cross_entropy(
    logits: Tensor, pyr_deg: Tensor, spec: BinSpec, label_std_deg: float = 0.0
) -> Tensor:
    """Cross-entropy with the label, summed over the three angles → (N).

    label_std_deg: 0 for the label's bin, as in the paper; else the std of a Gaussian soft label.
    """
    if label_std_deg:
        target = spec.gaussian(pyr_deg, label_std_deg).transpose(1, 2)
    else:
        target = spec.encode(pyr_deg)
    return F.cross_entropy(logits.transpose(1, 2), target, reduction="none").sum(-1)


def base_loss(
    head_logits: Sequence[Tensor],
    regression_pyr_deg: Tensor | None,
    pyr_deg: Tensor,
    specs: Sequence[BinSpec],
    label_std_deg: float = 0.0,
    regression_unit_deg: float = 1.0,
) -> Tensor:
    """Formula (4): the mean of M cross-entropy sums and the regression head's MAE → (N).

    head_logits: M tensors (N, 3, n_bins of the head); specs: the M heads' bins; regression_pyr_deg
    (N, 3): formula (3), or None for the mean of the M cross-entropies; label_std_deg: as in
    `cross_entropy`, 0 in the paper; regression_unit_deg: the unit of the MAE, in degrees. The paper
    names no unit, and does not say whether the MAE sums or averages the three angles; we average,
    as its tables do.
    """
    terms = [
        cross_entropy(logits, pyr_deg, spec, label_std_deg)
        for logits, spec in zip(head_logits, specs, strict=True)
    ]
    if regression_pyr_deg is not None:
        mae_deg = (regression_pyr_deg - pyr_deg).abs().mean(-1)
        terms.append(mae_deg / regression_unit_deg)
    return sum(terms[1:], terms[0]) / len(terms)


def kl_divergence(logits: Tensor, teacher_probs: Tensor) -> Tensor:
    """D_KL(teacher ‖ student), summed over the three angles → (N). 0·log 0 is 0."""
    log_probs = F.log_softmax(logits, dim=-1)
    return F.kl_div(log_probs, teacher_probs, reduction="none").sum((-2, -1))


def distillation_loss(
    logits: Tensor,
    teacher_probs: Tensor,
    pyr_deg: Tensor,
    spec: BinSpec,
    label_weight: float,
    label_std_deg: float = 0.0,
) -> Tensor:
    """Formula (7): (label_weight · CE + D_KL(ensemble ‖ student)) / 2 → (N).

    teacher_probs (N, 3, n_bins): the ensemble's mean softmax, formula (6), summing to 1;
    label_weight: 0.05 in the paper; label_std_deg: as in `cross_entropy`, 0 in the paper.
    """
    labels = cross_entropy(logits, pyr_deg, spec, label_std_deg)
    return (label_weight * labels + kl_divergence(logits, teacher_probs)) / 2
