"""Photographs: backgrounds, lamps, people and camera faults."""

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from data.demo import head
from data.demo.raster import Floats, grid_normals
from data.demo.render import Image, Light, View, project

FACE_SIDE_MAX, FACE_TOP = 1.3, -0.58  # the face reaches from ear to ear and up to the hairline


@dataclass(frozen=True)
class Faults:
    """What a camera does to a picture."""

    gain: float = 1.0
    offset: float = 0.0
    blur_px: float = 0.0
    noise: float = 2.0  # standard deviation, grey levels
    grey: bool = False
    seed: int = 0


def sample_light(rng: np.random.Generator) -> Light:
    direction = rng.normal(0, 1, 3) * (0.8, 0.5, 0.3) + (0, -0.5, -0.9)
    tint = 1 + rng.normal(0, 0.05, 3)
    return Light(
        direction=(float(direction[0]), float(direction[1]), float(min(direction[2], -0.1))),
        strength=rng.uniform(0.35, 0.9),
        ambient=rng.uniform(0.3, 0.6),
        tint=(float(tint[0]), float(tint[1]), float(tint[2])),
    )


def sample_faults(rng: np.random.Generator, size_px: float) -> Faults:
    """size_px: the height of the face; blur grows with it."""
    return Faults(
        gain=rng.uniform(0.75, 1.2),
        offset=rng.uniform(-12, 14),
        blur_px=max(0.0, float(rng.normal(0.0, 0.006))) * size_px,
        noise=rng.uniform(0, 7),
        grey=bool(rng.random() < 0.04),
        seed=int(rng.integers(2**31)),
    )


def sample_background(rng: np.random.Generator, size_wh: tuple[int, int]) -> Image:
    """A gradient, clutter of blurred shapes, and texture (H x W x 3, BGR)."""
    width, height = size_wh
    dull = rng.uniform(0.2, 1)  # how much colours differ from grey
    small = _muted(rng.integers(20, 235, (2, 3, 3)) * 0.6 + rng.integers(20, 235, 3) * 0.4, dull)
    image = np.asarray(cv2.resize(small, (width // 2, height // 2)), np.uint8)
    for _ in range(rng.integers(0, 16)):
        colour = tuple(float(c) for c in _muted(rng.integers(0, 255, 3), dull))
        centre = rng.uniform(0, 1, 2) * (width / 2, height / 2)
        size = rng.uniform(0.03, 0.35, 2) * height / 2
        kind, turn = rng.integers(4), rng.uniform(0, 180)
        box = cv2.boxPoints((centre.tolist(), (2 * size).tolist(), turn)).astype(np.int32)
        if kind == 0:
            cv2.ellipse(
                image, (centre.tolist(), (2 * size).tolist(), turn), colour, -1, cv2.LINE_AA
            )
        elif kind == 1:
            cv2.polylines(image, [box], True, colour, int(rng.integers(1, 6)), cv2.LINE_AA)
        elif kind == 2:
            cv2.fillConvexPoly(image, box[:3], colour, cv2.LINE_AA)
        else:
            cv2.fillConvexPoly(image, box, colour, cv2.LINE_AA)
    blurred = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 5))
    cell = int(rng.integers(2, 24))
    texture = rng.normal(0, rng.uniform(0, 14), (height // cell + 2, width // cell + 2))
    fine = cv2.resize(texture.astype(np.float32), size_wh)
    return np.clip(cv2.resize(blurred, size_wh) + fine[..., None], 0, 255).astype(np.uint8)


def _muted(colours: NDArray[np.generic], amount: float) -> Floats:
    grey = colours.mean(-1, keepdims=True)
    return np.asarray(grey + (colours - grey) * amount, dtype=np.float32)


def add_faults(image: Image, faults: Faults) -> Image:
    """The picture as a camera stores it."""
    rng = np.random.default_rng(faults.seed)
    if faults.blur_px > 0.3:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), faults.blur_px), np.uint8)
    height, width = image.shape[:2]
    noise = _noise_table(max(1024, 2 * height, 2 * width))
    y, x = rng.integers(0, [len(noise) - height, len(noise) - width])
    amount = faults.noise / 32
    grain = noise[y : y + height, x : x + width]
    # One pass: image · gain + (grain - 128) · amount + offset, rounded and clipped.
    out = cv2.addWeighted(image, faults.gain, grain, amount, faults.offset - 128 * amount)
    if faults.grey:
        out = cv2.cvtColor(cv2.cvtColor(out, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    return np.asarray(out, np.uint8)


@cache
def _noise_table(side: int) -> Image:
    """Noise of standard deviation 32 about 128 (side x side x 3), partly common to the colours."""
    rng = np.random.default_rng(side)
    table = rng.normal(128, 0.6 * 32, (side, side, 3)) + rng.normal(0, 0.8 * 32, (side, side, 1))
    return np.clip(table, 0, 255).astype(np.uint8)


def landmarks_px(view: View) -> Floats:
    """The 68 landmarks in the image: pixel x, pixel y, depth in pixels (68 x 3)."""
    points = _landmarks_camera(view)
    pixels = project(points, view.camera)
    pixels[:, 2] = points[:, 2] * view.camera.scale
    return pixels


def _landmarks_camera(view: View) -> Floats:
    skin = head.skin_vertices(view.person.shape, view.face)
    side, height = head.landmarks_canonical().T
    return np.asarray(head.surface_point(skin, side, height) @ view.rotation.T)


def face_box(view: View) -> tuple[NDArray[np.float64], float]:
    """The tight box around what can be seen of the face, hairline to chin and ear to ear.

    Returns x1, y1, x2, y2 (may reach outside the image) and the share of the face that is turned
    towards the camera: about 0.9 for a frontal face, 0.5 in profile, 0 from behind.
    """
    skin = head.skin_vertices(view.person.shape, view.face)
    heights, longitudes = head.skin_grid()
    rows = np.flatnonzero((heights >= FACE_TOP) & (heights <= 1.0))
    columns = np.flatnonzero(np.abs(np.radians(longitudes) * head.SIDE) <= FACE_SIDE_MAX)
    window = np.ix_(rows, columns)
    points = skin[window] @ view.rotation.T
    normals = grid_normals(skin)[window] @ view.rotation.T
    towards = points + np.array([0, 0, view.camera.distance], np.float32)
    seen = np.einsum("rck,rck->rc", normals, towards) < 0
    if not seen.any():
        return np.full(4, np.nan), 0.0
    pixels = project(points[seen], view.camera)[:, :2].astype(np.float64)
    return np.concatenate([pixels.min(0), pixels.max(0)]), float(seen.mean())
