"""The two training tasks of the paper: from a batch to losses and predicted angles."""

from torch import Tensor, nn

from hpe_core.networks.model import BaseNet, StudentNet, normalize
from hpe_core.training.losses import base_loss, cross_entropy, distillation_loss
from hpe_core.training.views import Batch


class BaseTask(nn.Module):
    """Stage one: a batch → formula (4), and the angles of the head with the smallest bins."""

    def __init__(
        self, network: BaseNet, label_std_deg: float = 0.0, regression_unit_deg: float = 1.0
    ) -> None:
        super().__init__()
        self.network, self.label_std_deg = network, label_std_deg
        self.regression_unit_deg = regression_unit_deg

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        logits, regression = self.network.all_heads(normalize(batch["images"]))
        logits = [head.float() for head in logits]
        specs, labels = self.network.specs, batch["pyr_deg"]
        loss = base_loss(
            logits, regression, labels, specs, self.label_std_deg, self.regression_unit_deg
        )
        return loss, self.network.spec.expectation(logits[0].softmax(-1))


class DistillationTask(nn.Module):
    """Stage two: a batch with cached targets → formula (7), and the student's angles.

    A batch without targets, a control's, has the cross-entropy with the label alone.
    """

    def __init__(
        self, network: StudentNet, label_weight: float, label_std_deg: float = 0.0
    ) -> None:
        super().__init__()
        self.network = network
        self.label_weight, self.label_std_deg = label_weight, label_std_deg

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        logits = self.network(normalize(batch["images"])).float()
        spec = self.network.spec
        pyr_deg, smear = batch["pyr_deg"], self.label_std_deg
        if "teacher_probs" in batch:
            probs = batch["teacher_probs"]
            loss = distillation_loss(logits, probs, pyr_deg, spec, self.label_weight, smear)
        else:
            loss = cross_entropy(logits, pyr_deg, spec, smear)
        return loss, spec.expectation(logits.softmax(-1))
