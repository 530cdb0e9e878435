"""Backbone and heads (paper, section 3.2).

The base network has M classification heads and one regression head; a student has one
classification head. A student's state dict has the names of the networks published with the
paper: `encoder_net.model.<torchvision names>`, `head_net.{pitch,yaw,roll}.{weight,bias}`.
"""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.fx.experimental.optimization import fuse
from torchvision.models import resnet

from hpe_core.common.geometry import ANGLES
from hpe_core.networks.bins import BinSpec

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

# Type of torchvision's blocks, and their number per stage (four, or only the first three).
BACKBONES: dict[str, tuple[type[resnet.BasicBlock] | type[resnet.Bottleneck], list[int]]] = {
    "resnet8": (resnet.BasicBlock, [1, 1, 1]),  # not in the paper: small enough for the demo
    "resnet10": (resnet.BasicBlock, [1, 1, 1, 1]),  # not in the paper either
    "resnet18": (resnet.BasicBlock, [2, 2, 2, 2]),
    "resnet34": (resnet.BasicBlock, [3, 4, 6, 3]),
    "resnet50": (resnet.Bottleneck, [3, 4, 6, 3]),
    "resnet101": (resnet.Bottleneck, [3, 4, 23, 3]),
    "resnet152": (resnet.Bottleneck, [3, 8, 36, 3]),
}


def normalize(images: Tensor) -> Tensor:
    """uint8 RGB (N, h, w, 3) → float32 (N, 3, h, w), by ImageNet's mean and std; channels last."""
    mean = torch.tensor(IMAGENET_MEAN, device=images.device) * 255
    std = torch.tensor(IMAGENET_STD, device=images.device) * 255
    return ((images.float() - mean) / std).permute(0, 3, 1, 2)


class Encoder(nn.Module):
    """A torchvision ResNet without its classifier: (N, 3, h, w) → (N, features)."""

    def __init__(self, backbone: str) -> None:
        super().__init__()
        if backbone not in BACKBONES:
            raise ValueError(f"unknown backbone {backbone!r}; expected one of {list(BACKBONES)}")
        block, layers = BACKBONES[backbone]
        self.model = resnet.ResNet(block, [*layers, 1][:4])
        self.features = self.model.fc.in_features
        if len(layers) == 3:  # each stage doubles the channels
            self.model.layer4, self.features = nn.Identity(), self.features // 2  # type: ignore[assignment]
        self.model.fc = nn.Identity()  # type: ignore[assignment]

    def forward(self, images: Tensor) -> Tensor:
        return self.model(images)


class ClassificationHead(nn.Module):
    """One linear layer per angle: (N, features) → logits (N, 3, n_bins)."""

    def __init__(self, features: int, n_bins: int) -> None:
        super().__init__()
        self.pitch = nn.Linear(features, n_bins)
        self.yaw = nn.Linear(features, n_bins)
        self.roll = nn.Linear(features, n_bins)

    def forward(self, features: Tensor) -> Tensor:
        return torch.stack([self.pitch(features), self.yaw(features), self.roll(features)], dim=1)


class StudentNet(nn.Module):
    """Backbone and one classification head: (N, 3, h, w) → logits (N, 3, n_bins)."""

    def __init__(self, backbone: str, spec: BinSpec) -> None:
        super().__init__()
        self.spec = spec
        self.encoder_net = Encoder(backbone)
        self.head_net = ClassificationHead(self.encoder_net.features, spec.n_bins)

    def forward(self, images: Tensor) -> Tensor:
        return self.head_net(self.encoder_net(images))


class BaseNet(nn.Module):
    """Backbone, M classification heads and a regression head (paper, Fig. 2).

    `forward` gives the logits of the head with the smallest bins, which makes the predictions, so
    base networks and students are used alike. `all_heads` is for training. regression: whether
    there is a regression head.
    """

    def __init__(self, backbone: str, specs: Sequence[BinSpec], *, regression: bool = True) -> None:
        super().__init__()
        self.specs = tuple(sorted(specs, key=lambda spec: spec.bin_deg))
        self.spec = self.specs[0]
        self.encoder_net = Encoder(backbone)
        features = self.encoder_net.features
        self.head_nets = nn.ModuleList(ClassificationHead(features, s.n_bins) for s in self.specs)
        self.regression_net = nn.Linear(features, len(ANGLES)) if regression else None

    def forward(self, images: Tensor) -> Tensor:
        return self.head_nets[0](self.encoder_net(images))

    def all_heads(self, images: Tensor) -> tuple[list[Tensor], Tensor | None]:
        """(N, 3, h, w) → M logits (N, 3, n_bins), and formula (3): θ·tanh, (N, 3) degrees."""
        features = self.encoder_net(images)
        logits = [head(features) for head in self.head_nets]
        if self.regression_net is None:
            return logits, None
        return logits, self.spec.theta_deg * torch.tanh(self.regression_net(features).float())


Network = BaseNet | StudentNet


def folded(network: Network) -> Network:
    """A copy for inference, with every batch normalisation folded into its convolution.

    The same function up to rounding, but with fewer passes over memory.
    """
    network = copy.deepcopy(network).eval()
    network.encoder_net.model = fuse(network.encoder_net.model, inplace=True)  # type: ignore[assignment]
    return network


def predict_probs(network: nn.Module, images: Tensor) -> Tensor:
    """Softmax of a network's logits in float32: (N, 3, h, w) → (N, 3, n_bins)."""
    return torch.softmax(network(images).float(), dim=-1)
