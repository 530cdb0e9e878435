"""Photographs, crops and networks to measure with. Nothing in them means anything."""

from pathlib import Path

import cv2
import lightning_fabric
import numpy as np
import pandas as pd

from hpe_core.common.table_files import PYR
from hpe_core.crops.settings import CropFormat
from hpe_core.crops.store import Crops, encode, write_crops
from hpe_core.crops.window import enlarged_crop, published_crop
from hpe_core.networks.bins import BinSpec
from hpe_core.networks.model import Network, StudentNet
from hpe_core.training.loop import seeded
from tests.bench.references import Face, read


def photographs(folder: Path, n: int, px: int = 450) -> list[Face]:
    """JPEGs like photographs of 300W-LP in pixels and bytes, with a box and a pose each."""
    folder.mkdir(parents=True, exist_ok=True)
    faces = []
    for number in range(n):
        rng = np.random.default_rng(number)
        noise = rng.normal(size=(px, px, 3)).astype(np.float32)
        coarse, fine = (cv2.GaussianBlur(noise, (0, 0), sigma) for sigma in (12, 1.5))
        image = 128 + 48 * coarse / coarse.std() + 6 * fine / fine.std()
        path = folder / f"{number:06d}.jpg"
        cv2.imwrite(str(path), np.clip(image, 0, 255).astype(np.uint8))
        corner = rng.uniform(0.2, 0.33, 2) * px
        box = np.concatenate([corner, corner + 0.47 * px])
        faces.append((path, box, rng.uniform(-90, 90, 3)))
    return faces


def crops_of(
    path: Path,
    faces: list[Face],
    px: int,
    margin: int,
    codec: str = "raw",
    rule: str = "enlarged",
) -> Crops:
    crop_format = CropFormat(px, px, margin, rule, "replicate", codec, 95)
    table = pd.DataFrame([face[2] for face in faces], columns=PYR)
    names = [str(number) for number in range(len(faces))]
    table = table.assign(face_id=names, group=names, order="XYZ", validation=False)
    size_hw = (px, px)
    crops = (
        published_crop(read(image), box, size_hw)
        if rule == "published"
        else enlarged_crop(read(image), box, size_hw, margin, "replicate")
        for image, box, _ in faces
    )
    write_crops(path, table, (encode(c, crop_format) for c in crops), crop_format, {})
    return Crops(path)


def network(backbone: str) -> Network:
    return seeded(lambda: StudentNet(backbone, BinSpec()), 0)


def fabric() -> lightning_fabric.Fabric:
    return lightning_fabric.Fabric(devices=1)
