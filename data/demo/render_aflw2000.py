"""Renders the demo corpus in the layout of AFLW2000: crops of the test photographs of AFLW."""

from functools import partial
from pathlib import Path

import numpy as np
import tyro

from data.demo.aflw_photos import Photo, plan_photos, render_photo
from data.demo.corpus import (
    Job,
    Planted,
    load_params,
    plant_in_pairs,
    pose_para,
    render_corpus,
    write_image,
    write_mat,
)
from data.demo.pictures import look_up
from data.demo.raster import Floats
from data.demo.scene import landmarks_px
from data.demo.steady import Draws, draws

CORPUS = "AFLW2000"
# Which of the 68 landmarks stand for AFLW's 21.
OF_21 = [17, 19, 21, 22, 24, 26, 36, 37, 39, 42, 43, 45, 1, 31, 30, 35, 15, 48, 62, 54, 8]


def main(*, params: Path, out: Path, planted: Path, workers: int | None = None) -> None:
    p = load_params(params)
    photos = plan_photos(p.seed, p.aflw.images, p.aflw.test_images)
    jobs: list[Job] = [
        partial(write_crop, out, p.seed, photo, p.aflw2000.size_px)
        for photo in photos
        if photo.test
    ]
    render_corpus(out=out, planted=planted, jobs=jobs, plant=plant, unit="photo", workers=workers)


def write_crop(out: Path, seed: int, photo: Photo, size_px: int) -> None:
    """A square around the photograph's first face, and its label."""
    image, views = render_photo(seed, photo)
    points = landmarks_px(views[0])
    rng = draws(seed, photo.index, size_px)
    low, high = points[:, :2].min(0), points[:, :2].max(0)
    zoom = size_px / (float((high - low).max()) * rng.uniform(2.0, 2.5))
    shift = size_px / 2 - zoom * (low + high) / 2
    x, y = np.rint((np.arange(size_px) - shift[:, None]) / zoom * 32).astype(np.int32)
    crop = look_up(image, np.stack(np.meshgrid(x, y), axis=-1))
    points = points * zoom + np.append(shift, 0)
    write_image(crop, out / f"{photo.stem}.jpg")
    content = {
        "pt2d": some_landmarks(rng, points),
        "pt3d_68": points.T.astype(np.float32),
        "roi": np.array([[1, 1, size_px, size_px]], dtype=np.int16),
        "Pose_Para": pose_para(
            views[0].pyr_deg, (size_px / 2, size_px / 2), views[0].camera.scale * zoom / 1e5
        ),
    }
    write_mat(content, out / f"{photo.stem}.mat")


def some_landmarks(rng: Draws, points: Floats) -> np.ndarray:
    """The 21 landmarks of AFLW (2 x 21): -1 where the annotator saw none, in most files."""
    chosen = points[OF_21, :2].T.astype(np.float64)
    if rng.random() < 0.85:
        chosen[:, rng.random(len(OF_21)) < 0.25] = -1.0
    return chosen


def plant(out: Path) -> list[Planted]:
    return plant_in_pairs(out, CORPUS, sorted(path.stem for path in out.glob("*.jpg")))


if __name__ == "__main__":
    tyro.cli(main, description=__doc__)
