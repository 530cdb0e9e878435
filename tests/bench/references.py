"""What our code is compared with: the obvious programs, written plainly.

tests/test_bench.py checks that each computes the same thing as the pipeline does.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import albumentations as A
import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hpe_core.crops.window import enlarged_crop, published_crop
from hpe_core.networks.bins import BinSpec
from hpe_core.networks.model import normalize
from hpe_core.teacher.offsets import offset_grid, shifts_px
from hpe_core.training.augment import CropView, pose_view
from tests.shifted_box import shift_box

Face = tuple[Path, NDArray[np.float64], NDArray[np.float64]]  # image, box, pose in degrees


def read(path: Path) -> NDArray[np.uint8]:
    return np.ascontiguousarray(cv2.imread(str(path))[..., ::-1])


def teacher(
    network: nn.Module, faces: list[Face], K: int, d: int, size_hw: tuple[int, int]
) -> Tensor:
    """Every shifted box decoded, cropped and resized by itself, to a square; one face a batch."""
    means = []
    with torch.inference_mode():
        for path, bbox_xyxy, _ in faces:
            views = [
                enlarged_crop(read(path), box, size_hw, 0, "replicate")
                for box in shift_box(bbox_xyxy, shifts_px(offset_grid(K, d), size_hw[0]), size_hw)
            ]
            images = normalize(torch.from_numpy(np.stack(views))).contiguous()
            means.append(network(images.to(_device(network))).softmax(-1).mean(0).cpu())
    return torch.stack(means)


def forward(network: nn.Module, images: Tensor, batch: int) -> list[Tensor]:
    """The limit: nothing but the network, on tensors that are ready."""
    with torch.inference_mode():
        return [network(part) for part in images.split(batch)]


def sweep(
    angles_of: Callable[[NDArray[np.int64]], Tensor], pyr_deg: Tensor, K_max: int
) -> dict[tuple[int, int], float]:
    """MAE of every cell (K, d), each cell's windows computed by themselves.

    angles_of: offsets (S, 2) → degrees (faces, S, 3).
    """
    return {
        (K, d): float((angles_of(offset_grid(K, d)).mean(1) - pyr_deg).abs().mean())
        for K in range(K_max + 1)
        for d in range(1, K_max + 1)
    }


def photometric(side_px: int, p: float, blur_max_px: int) -> A.Compose:
    """albumentations' own steps, in the paper's order; shadows and noise as they are today."""
    hole = (max(1, round(8 * side_px / 224)),) * 2
    return A.Compose(
        [
            A.OneOf(
                [A.HueSaturationValue(p=1), A.CLAHE(p=1), A.Equalize(p=1), A.Solarize(p=1)], p=p
            ),
            A.OneOf([A.ChannelShuffle(p=1), A.ChannelDropout(p=1)], p=p),
            A.MedianBlur(blur_limit=(3, blur_max_px), p=p),
            A.OneOf([A.RandomShadow(p=1), A.ISONoise(p=1)], p=p),
            A.CoarseDropout((8, 8), hole, hole, p=p),
        ]
    )


def training_view(
    face: Face,
    chain: A.Compose,
    size_hw: tuple[int, int],
    margin: int,
    rng: np.random.Generator,
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """From the raw file: decode, crop, resize, turn, flip, augment."""
    path, bbox_xyxy, pyr_deg = face
    crop = enlarged_crop(read(path), bbox_xyxy, size_hw, margin, "replicate")
    flipped, phi_deg = bool(rng.random() < 0.5), float(rng.uniform(-15, 15))
    window, pyr_deg = pose_view(crop, pyr_deg, size_hw, CropView(phi_deg, flipped))
    return chain(image=window)["image"], pyr_deg


def training_step(
    task: nn.Module, optimizer: torch.optim.Optimizer, batch: dict[str, Tensor]
) -> float:
    losses, _ = task(batch)
    losses.mean().backward()
    optimizer.step()
    optimizer.zero_grad()
    return float(losses.detach().mean())


def evaluation(
    network: nn.Module,
    faces: list[Face],
    spec: BinSpec,
    size_hw: tuple[int, int],
    batch: int,
) -> NDArray[np.float64]:
    """One process, every image decoded, faces beyond ±99° left out afterwards. MAE per angle."""
    errors = []
    for images, pyr_deg in _batches(faces, size_hw, batch):
        with torch.inference_mode():
            logits = network(normalize(images).to(_device(network)))
            angles = spec.expectation(logits.softmax(-1)).cpu().double()
        kept = (pyr_deg.abs() <= spec.theta_deg).all(1)
        errors.append((angles - pyr_deg).abs()[kept].numpy())
    return np.concatenate(errors).mean(0)


def _device(network: nn.Module) -> torch.device:
    return next(network.parameters()).device


def _batches(
    faces: list[Face], size_hw: tuple[int, int], batch: int
) -> Iterator[tuple[Tensor, Tensor]]:
    for start in range(0, len(faces), batch):
        some = faces[start : start + batch]
        crops = [published_crop(read(path), box, size_hw) for path, box, _ in some]
        yield torch.from_numpy(np.stack(crops)), torch.from_numpy(np.stack([p for *_, p in some]))
