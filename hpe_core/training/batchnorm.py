"""Batch normalisation over the examples of all training processes.

torch.nn.SyncBatchNorm does this on GPUs only. This module adds the CPU, so that training in several
processes can be tested and used without a GPU.
"""

from typing import Any

import torch
from torch import Tensor, nn


def synchronize(network: nn.Module, device: torch.device) -> None:
    """Makes every BatchNorm2d of a network use the batch statistics of all processes.

    Changes the network in place, but not its parameters, buffers or their names. Needs an
    initialised process group.
    """
    if device.type == "cuda":
        nn.SyncBatchNorm.convert_sync_batchnorm(network)
        return
    for module in network.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = _SyncBatchNorm2d


class _Sum(torch.autograd.Function):
    """The sum of a tensor over all processes; the backward pass sums gradients likewise."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        total = values.clone()
        torch.distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # type: ignore[override]
        return _Sum.forward(ctx, gradient)


class _SyncBatchNorm2d(nn.BatchNorm2d):
    """BatchNorm2d as in torchvision's networks: affine, with running statistics."""

    def forward(self, images: Tensor) -> Tensor:
        if not self.training:
            return super().forward(images)
        count = torch.tensor([images.numel() / images.shape[1]], device=images.device)
        torch.distributed.all_reduce(count)
        over = (0, 2, 3)
        mean = _Sum.apply(images.sum(over)) / count
        centred = images - mean[:, None, None]
        variance = _Sum.apply(centred.square().sum(over)) / count
        with torch.no_grad():
            self.num_batches_tracked += 1  # type: ignore[operator, assignment]
            self.running_mean.lerp_(mean, self.momentum)  # type: ignore[union-attr, arg-type]
            unbiased = variance * count / (count - 1)
            self.running_var.lerp_(unbiased, self.momentum)  # type: ignore[union-attr, arg-type]
        scale = self.weight * (variance + self.eps).rsqrt()
        return centred * scale[:, None, None] + self.bias[:, None, None]
