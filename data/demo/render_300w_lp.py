"""Renders the demo corpus in the layout of 300W-LP: photos turned to profile, and flipped twins."""

from functools import partial
from pathlib import Path

import numpy as np
import tyro

from data.demo.corpus import (
    Job,
    Planted,
    Pose,
    as_pose,
    load_params,
    plant_in_pairs,
    pose_para,
    render_corpus,
    write_image,
    write_mat,
)
from data.demo.head import FLIP_68
from data.demo.person import sample_expression, sample_person
from data.demo.raster import Floats
from data.demo.render import Camera, Image, View, render_head
from data.demo.scene import (
    add_faults,
    landmarks_px,
    sample_background,
    sample_faults,
    sample_light,
)
from data.demo.steady import Draws, draws
from hpe_core.common.geometry import flip_pyr

CORPUS = "300W_LP"
STREAM = 300  # of random numbers: apart from the other corpora's
# Share of each source in the original, and how it names its photos.
GROUPS = {
    "AFW": (0.085, "AFW_{:06d}_1"),
    "HELEN": (0.615, "HELEN_{:06d}_1"),
    "IBUG": (0.03, "IBUG_image_{:03d}_1"),
    "LFPW": (0.27, "LFPW_image_train_{:04d}"),
}


def main(*, params: Path, out: Path, planted: Path, workers: int | None = None) -> None:
    p = load_params(params)
    jobs: list[Job] = [
        partial(render_photo, out, p.seed, photo, p.w300lp.photos, p.w300lp.views, p.w300lp.size_px)
        for photo in range(p.w300lp.photos)
    ]
    render_corpus(out=out, planted=planted, jobs=jobs, plant=plant, unit="photo", workers=workers)


def group_of(photo: int, photos: int) -> str:
    """The source of a photo: the groups follow one another in their original shares."""
    reached = np.cumsum([share for share, _ in GROUPS.values()])
    return list(GROUPS)[int(np.searchsorted(reached, (photo + 0.5) / photos))]


def render_photo(out: Path, seed: int, photo: int, photos: int, views: int, size_px: int) -> None:
    """All views of one photo, with their twins."""
    rng = draws(seed, STREAM, photo)
    group = group_of(photo, photos)
    name = GROUPS[group][1].format(photo)
    person, face, light = sample_person(rng), sample_expression(rng), sample_light(rng)
    background = sample_background(rng, (size_px, size_px))
    scale, distance = size_px * rng.uniform(0.165, 0.245), rng.uniform(7, 15)
    for k, pyr_deg in enumerate(sample_poses(rng, views)):
        centre = size_px / 2 + rng.normal(0, 0.02 * size_px, 2)
        camera = Camera((float(centre[0]), float(centre[1])), scale, distance)
        view = View(person, face, pyr_deg, camera, light)
        image = background.copy()
        render_head(image, view)
        image = add_faults(image, sample_faults(rng, 2 * scale))
        write_pair(out / group / f"{name}_{k}", image, view, landmarks_px(view)[:, :2])


def sample_poses(rng: Draws, views: int) -> list[Pose]:
    """The photo's own pose, then the same head with growing yaw, up to profile."""
    pitch, yaw, roll = np.clip(rng.normal(0, [12, 20, 12]), -32, 32)
    target = np.copysign(rng.uniform(70, 90), yaw)
    poses = []
    for k in range(views):
        turned = yaw + (target - yaw) * k / max(views - 1, 1)
        wobble = rng.normal(0, [3, 3, 3]) * (k > 0)
        poses.append(as_pose(np.clip(np.array([pitch, turned, roll]) + wobble, -90, 90)))
    return poses


def write_pair(stem: Path, image: Image, view: View, pt2d: Floats) -> None:
    """GROUP/NAME.jpg + .mat and their flipped twins in GROUP_Flip."""
    width = image.shape[1]
    twin = stem.parent.with_name(f"{stem.parent.name}_Flip") / stem.name
    flipped_px = pt2d[FLIP_68] * [-1, 1] + [width - 1, 0]
    flipped = as_pose(flip_pyr(view.pyr_deg))
    for path, picture, points, pyr_deg in (
        (stem, image, pt2d, view.pyr_deg),
        (twin, np.ascontiguousarray(image[:, ::-1]), flipped_px, flipped),
    ):
        write_image(picture, path.with_name(f"{path.name}.jpg"))
        centre = points.mean(0)
        content = {
            "pt2d": points.T.astype(np.float64),
            "roi": np.array([[1, 1, width, image.shape[0]]], dtype=np.int16),
            "Pose_Para": pose_para(
                pyr_deg, (float(centre[0]), float(width - centre[1])), view.camera.scale / 1e5
            ),
        }
        write_mat(content, path.with_name(f"{path.name}.mat"))


def plant(out: Path) -> list[Planted]:
    """Adds the folders that hold no faces, and the defects."""
    pictures = sorted(out.glob("*/*.jpg"))
    pairs = [path.relative_to(out).with_suffix("").as_posix() for path in pictures]
    write_mat({"pts_2d": np.zeros((68, 2))}, out / "landmarks" / "AFW" / "AFW_000000_1_0_pts.mat")
    (out / "Code").mkdir()
    (out / "Code" / "main_show_without_BFM.m").write_text("% not a face\n", encoding="utf-8")
    return plant_in_pairs(out, CORPUS, [pair for pair in pairs if "_Flip" not in pair])


if __name__ == "__main__":
    tyro.cli(main, description=__doc__)
