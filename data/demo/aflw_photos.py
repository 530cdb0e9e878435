"""The photographs behind AFLW and AFLW2000: the people in each and their poses.

The two corpora share the test photographs, so both render them here.
"""

from dataclasses import dataclass

import numpy as np

from data.demo.corpus import Pose, as_pose
from data.demo.person import sample_expression, sample_person
from data.demo.render import Camera, Image, Light, View, render_head
from data.demo.scene import add_faults, sample_background, sample_faults, sample_light
from data.demo.steady import Draws, draws

STREAM = 2000  # of random numbers: apart from the other corpora's
SIZES_WH = ((500, 375), (480, 480), (450, 600), (640, 480), (400, 500))
FIRST_FACE_ID = 39341


@dataclass(frozen=True)
class Photo:
    """One image of AFLW, before it is rendered."""

    index: int  # in the order of the stems
    stem: str  # imageNNNNN
    folder: str  # 0, 2 or 3
    suffix: str  # .jpg, or .png for a few
    faces: int
    first_face_id: int
    test: bool

    @property
    def filepath(self) -> str:
        return f"{self.folder}/{self.stem}{self.suffix}"


def plan_photos(seed: int, images: int, test_images: int) -> list[Photo]:
    """All images, ordered by stem. The first `test_images` .jpg are the test set."""
    assert images > test_images, f"{images} images leave none for training beside {test_images}"
    rng = draws(seed, STREAM)
    photos: list[Photo] = []
    number, face_id, tests = 0, FIRST_FACE_ID, 0
    for index in range(images):
        number += int(rng.integers(1, 40))
        suffix = ".png" if index % 97 == 3 else ".jpg"
        test = suffix == ".jpg" and tests < test_images
        faces = 2 if index % 19 == 5 else 1
        folder = "023"[int(rng.integers(3))]
        photos.append(Photo(index, f"image{number:05d}", folder, suffix, faces, face_id, test))
        tests += test
        face_id += faces
    return photos


def render_photo(seed: int, photo: Photo) -> tuple[Image, list[View]]:
    """The photograph and its faces; the first is the one that AFLW2000 shows."""
    rng = draws(seed, STREAM, photo.index)
    size_wh = SIZES_WH[rng.integers(len(SIZES_WH))]
    image, light = sample_background(rng, size_wh), sample_light(rng)
    views = [_sample_view(rng, size_wh, light, photo, slot) for slot in range(photo.faces)]
    for view in sorted(views, key=lambda v: v.camera.scale):
        render_head(image, view)
    return add_faults(image, sample_faults(rng, 2 * views[0].camera.scale)), views


def _sample_view(
    rng: Draws, size_wh: tuple[int, int], light: Light, photo: Photo, slot: int
) -> View:
    width, height = size_wh
    if photo.faces == 1:
        scale = rng.uniform(58, 100)
        centre = np.array([rng.uniform(0.28, 0.72) * width, rng.uniform(0.36, 0.6) * height])
    else:  # side by side
        scale = rng.uniform(0.1, 0.13) * width
        centre = np.array([(0.26 + 0.48 * slot) * width, rng.uniform(0.36, 0.52) * height])
        centre += rng.normal(0, 0.008 * width, 2)
    if photo.index % 23 == 11 and photo.faces == 1:  # at the border: its box begins outside
        centre[0], scale = 0.6 * 95, 95.0
    return View(
        sample_person(rng),
        sample_expression(rng),
        sample_pose(rng, beyond=photo.index % 41 == 7),
        Camera((float(centre[0]), float(centre[1])), scale, rng.uniform(7, 15)),
        light,
    )


def sample_pose(rng: Draws, beyond: bool) -> Pose:
    """Faces in the wild. beyond: past the ±99° of the method."""
    pyr = np.clip(rng.normal(0, [14, 42, 13]), [-45, -95, -50], [45, 95, 50])
    pyr[2] += 0.06 * pyr[1]  # people who look aside tilt the head a little
    if beyond:
        angle = rng.integers(1, 3)
        pyr[angle] = rng.choice([-1, 1]) * rng.uniform(102, 150)
    return as_pose(pyr)
