"""Renders the demo corpus in the layout of BIWI: videos of people who turn their heads."""

from functools import partial
from pathlib import Path

import numpy as np
import tyro
from numpy.typing import NDArray

from data.demo.corpus import (
    Job,
    Planted,
    Pose,
    as_pose,
    load_params,
    render_corpus,
    truncate,
    write_image,
)
from data.demo.head import UNIT_MM
from data.demo.person import sample_expression, sample_person
from data.demo.render import Camera, View, render_head
from data.demo.scene import Faults, add_faults, sample_background, sample_light
from data.demo.steady import Draws, draws, rotation, sin

Floats64 = NDArray[np.float64]

CORPUS = "BIWI"
STREAM = 640  # of random numbers: apart from the other corpora's
SIZE_WH = (640, 480)
FOCAL_PX = 575.0  # of a Kinect
FIRST_FRAME = 3
# 24 videos, 20 people: as in the original, 15, 18, 21 and 22 show somebody again.
PERSON_OF_VIDEO = [*range(1, 15), 3, 15, 16, 5, 17, 18, 2, 7, 19, 20]


def main(*, params: Path, out: Path, planted: Path, workers: int | None = None) -> None:
    p = load_params(params)
    jobs: list[Job] = [
        partial(render_video, out, p.seed, video, p.biwi.frames) for video in range(1, 25)
    ]
    render_corpus(out=out, planted=planted, jobs=jobs, plant=plant, unit="video", workers=workers)


def render_video(out: Path, seed: int, video: int, frames: int) -> None:
    """frame_NNNNN_rgb.png and frame_NNNNN_pose.txt of one video."""
    person = sample_person(draws(seed, STREAM, PERSON_OF_VIDEO[video - 1]))
    rng = draws(seed, STREAM, 100, video)
    background, light = sample_background(rng, SIZE_WH), sample_light(rng)
    face, path = sample_expression(rng), sample_path(rng, frames)
    for k, (pyr_deg, translation_mm) in enumerate(zip(*path, strict=True)):
        view = View(person, face, as_pose(pyr_deg), camera_at(translation_mm), light)
        image = background.copy()
        render_head(image, view)
        image = add_faults(image, Faults(noise=0.7, blur_px=0.6, seed=video * 100000 + k))
        stem = out / "hpdb" / f"{video:02d}" / f"frame_{FIRST_FRAME + k:05d}"
        write_image(image, stem.with_name(f"{stem.name}_rgb.png"))
        label = stem.with_name(f"{stem.name}_pose.txt")
        label.write_text(pose_text(view.pyr_deg, translation_mm), encoding="ascii")


def sample_path(rng: Draws, frames: int) -> tuple[Floats64, Floats64]:
    """Pitch, yaw, roll (frames x 3, degrees) and translation (frames x 3, mm) of a smooth motion.

    Each angle swings slowly, up to 60°, 75° and 40°; the head sways a little.
    """
    time = np.linspace(0, 1, frames)[:, None]
    reach = np.array([60.0, 75.0, 40.0]) * rng.uniform(0.55, 1.0, 3)
    turns = rng.uniform([0.8, 1.0, 0.6], [1.8, 2.0, 1.6])
    start = rng.uniform(0, 1, 3)
    swing = sin(2 * np.pi * (turns * time + start))
    ripple = 0.2 * sin(2 * np.pi * (2.7 * turns * time + start))
    pyr_deg = reach * (swing + ripple) / 1.2
    pyr_deg[:, [0, 2]] *= 1 - 0.45 * np.abs(swing[:, 1:2])  # nobody looks far up and far aside
    place = rng.uniform([-120, -60, 850], [120, 40, 1150])
    sway = rng.uniform(-40, 40, 3) * sin(2 * np.pi * (time + rng.uniform(0, 1, 3)))
    return pyr_deg, place + sway


def camera_at(translation_mm: Floats64) -> Camera:
    """The camera that sees the head's origin at a place (x, y, z in mm)."""
    x, y, z = (float(v) for v in translation_mm)
    centre = SIZE_WH[0] / 2 + FOCAL_PX * x / z, SIZE_WH[1] / 2 + FOCAL_PX * y / z
    return Camera(centre, scale=FOCAL_PX * UNIT_MM / z, distance=z / UNIT_MM)


def pose_text(pyr_deg: Pose, translation_mm: Floats64) -> str:
    """Three rows of R, an empty line, the translation in mm."""
    rows = [" ".join(f"{value:.9f}" for value in row) for row in rotation(pyr_deg)]
    return "\n".join([*rows, "", " ".join(f"{value:.4f}" for value in translation_mm), ""])


def plant(out: Path) -> list[Planted]:
    """An image that is missing (as in the original), one cut in half, and two wrong poses."""
    folder, first = out / "hpdb", f"frame_{FIRST_FRAME:05d}"
    (folder / "01" / f"{first}_rgb.png").unlink()
    truncate(folder / "09" / f"{first}_rgb.png")
    short = folder / "13" / f"{first}_pose.txt"
    short.write_text("".join(short.read_text("ascii").splitlines(keepends=True)[:2]), "ascii")
    flat = folder / "17" / f"{first}_pose.txt"
    flat.write_text("0 0 0\n0 0 0\n0 0 0\n\n0 0 0\n", "ascii")
    defects = {
        "01": ("rgb.png", "missing image"),
        "09": ("rgb.png", "truncated image"),
        "13": ("pose.txt", "too few rows"),
        "17": ("pose.txt", "not a rotation"),
    }
    return [
        Planted(f"{CORPUS}/{video}/{first}", f"hpdb/{video}/{first}_{end}", defect)
        for video, (end, defect) in defects.items()
    ]


if __name__ == "__main__":
    tyro.cli(main, description=__doc__)
