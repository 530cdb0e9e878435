"""Renders demo scenes as a YOLO data set: images/{train,val}/N.jpg, labels/{train,val}/N.txt.

demo renderer → data set

A scene is what an annotator could label without doubt: faces up to profile, not hidden and not cut
off by more than a third, and people who turn their backs and show no face.
"""

from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import tyro
from numpy.typing import NDArray
from tqdm import tqdm

from data.demo.person import sample_expression, sample_person
from data.demo.render import Camera, Image, View, render_head
from data.demo.scene import add_faults, face_box, sample_background, sample_faults, sample_light
from data.demo.steady import Draws, draws
from data.detector.yolo_format import write_example
from hpe_core.faces.boxes import area

# What the demo corpora hold, and smaller ones: width, height.
SIZES_WH = ((450, 450), (500, 375), (480, 480), (640, 480), (450, 600), (320, 240))
SPLITS = ("train", "val")
BACK_P, EMPTY_P = 0.12, 0.08  # people seen from behind, scenes without anybody
# Half a head's height, as a fraction of the picture's shorter side: of people somewhere in the
# picture, and of the one in the middle of a portrait (AFLW2000 is cut close around the face).
SOMEWHERE, PORTRAIT = (0.085, 0.36), (0.28, 0.48)
PORTRAIT_P = 0.35


def main(*, out: Path, train: int, val: int, seed: int, faces_max: int) -> None:
    counts = zip(SPLITS, (train, val), strict=True)
    jobs = [(split, n) for split, count in counts for n in range(count)]
    write = partial(write_scene, out=out, seed=seed, faces_max=faces_max)
    cv2.setNumThreads(1)
    with ProcessPoolExecutor() as pool:
        for _ in tqdm(pool.map(write, jobs, chunksize=16), total=len(jobs), unit="scene"):
            pass


def write_scene(job: tuple[str, int], *, out: Path, seed: int, faces_max: int) -> None:
    """Scene `n` of a split: the same whatever process renders it, however many others there are."""
    split, n = job
    rng = draws(seed, SPLITS.index(split), n)
    size_wh = SIZES_WH[rng.integers(len(SIZES_WH))]
    image_bgr, bbox_xyxy = render_scene(rng, size_wh, faces_max)
    quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(75, 98))]
    ok, jpeg = cv2.imencode(".jpg", image_bgr, quality)
    assert ok
    write_example(out, split, f"{n:06d}", jpeg.tobytes(), bbox_xyxy, size_wh)


def render_scene(
    rng: Draws, size_wh: tuple[int, int], faces_max: int
) -> tuple[Image, NDArray[np.float64]]:
    """Up to faces_max people: picture (H x W x 3, BGR) and the faces' boxes (N x 4, clipped)."""
    image, light = sample_background(rng, size_wh), sample_light(rng)
    views: list[View] = []
    boxes: list[NDArray[np.float64]] = []
    portrait = rng.random() < PORTRAIT_P
    wanted = 0 if rng.random() < EMPTY_P else 1 if portrait else int(rng.integers(1, faces_max + 1))
    for _ in range(4 * wanted):  # some find no place
        if len(views) == wanted:
            break
        back = rng.random() < BACK_P
        camera = sample_camera(rng, size_wh, wanted, portrait)
        view = View(
            sample_person(rng), sample_expression(rng), sample_pose(rng, back), camera, light
        )
        box, _ = face_box(view)
        inside = np.clip(box, 0, np.tile(size_wh, 2))
        if any(hides(view, other) for other in views) or (
            not back and area(inside) < 0.67 * area(box)
        ):
            continue
        views.append(view)
        if not back:
            boxes.append(inside)
    for view in sorted(views, key=lambda v: v.camera.scale):  # the near hide the far
        render_head(image, view)
    head_px = max((2 * view.camera.scale for view in views), default=100.0)
    return add_faults(image, sample_faults(rng, head_px)), np.array(boxes).reshape(-1, 4)


def sample_camera(rng: Draws, size_wh: tuple[int, int], people: int, portrait: bool) -> Camera:
    low, high = np.multiply(PORTRAIT if portrait else SOMEWHERE, min(size_wh))
    margin = (0.35, 0.35) if portrait else (0.1, 0.15)
    x, y = rng.uniform(margin, np.subtract(1, margin)) * size_wh
    scale = rng.uniform(low, high if portrait else high / np.sqrt(people))
    return Camera((float(x), float(y)), float(scale), rng.uniform(6, 15))


def sample_pose(rng: Draws, back: bool) -> tuple[float, float, float]:
    """Degrees. back: turned away by 140° or more. Else up to profile, as the demo corpora are."""
    pitch, yaw, roll = np.clip(rng.normal(0, [18, 45, 16]), [-60, -95, -55], [60, 95, 55])
    if back:
        yaw = 180 + rng.uniform(-40, 40)
    return float(pitch), float(yaw), float(roll)


def hides(one: View, other: View) -> bool:
    """Whether the nearer of two people stands before the other's head, generously."""
    far, near = sorted((one.camera, other.camera), key=lambda camera: camera.scale)
    x, y = np.abs(np.subtract(near.centre_xy, far.centre_xy))
    heads_apart = max(x, y) > 1.3 * (near.scale + far.scale)
    above = far.centre_xy[1] < near.centre_xy[1]
    beside = x > 2.4 * near.scale + 1.2 * far.scale
    return not (heads_apart and (above or beside))


if __name__ == "__main__":
    tyro.cli(main, description=__doc__)
