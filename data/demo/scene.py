"""Photographs: backgrounds, lamps, people and camera faults."""

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from data.demo import head
from data.demo.pictures import LEVEL, Image, add_noise, as_bytes, grow, noise
from data.demo.raster import Floats, grid_normals
from data.demo.render import Light, View, project
from data.demo.steady import Draws, Floats64, cos, draws, sin, turn

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


def sample_light(rng: Draws) -> Light:
    direction = rng.normal(0, 1, 3) * (0.8, 0.5, 0.3) + (0, -0.5, -0.9)
    tint = 1 + rng.normal(0, 0.05, 3)
    return Light(
        direction=(float(direction[0]), float(direction[1]), float(min(direction[2], -0.1))),
        strength=rng.uniform(0.35, 0.9),
        ambient=rng.uniform(0.3, 0.6),
        tint=(float(tint[0]), float(tint[1]), float(tint[2])),
    )


def sample_faults(rng: Draws, size_px: float) -> Faults:
    """size_px: the height of the face; blur grows with it."""
    return Faults(
        gain=rng.uniform(0.75, 1.2),
        offset=rng.uniform(-12, 14),
        blur_px=max(0.0, float(rng.normal(0.0, 0.006))) * size_px,
        noise=rng.uniform(0, 7),
        grey=bool(rng.random() < 0.04),
        seed=int(rng.integers(2**31)),
    )


def sample_background(rng: Draws, size_wh: tuple[int, int]) -> Image:
    """A gradient, clutter of blurred shapes, and texture (H x W x 3, BGR)."""
    width, height = size_wh
    dull = rng.uniform(0.2, 1)  # how much colours differ from grey
    small = _muted(rng.integers(20, 235, (2, 3, 3)) * 0.6 + rng.integers(20, 235, 3) * 0.4, dull)
    image = grow(as_bytes(small), (width // 2, height // 2))
    for _ in range(rng.integers(0, 16)):
        colour = tuple(float(c) for c in _muted(rng.integers(0, 255, 3), dull))
        centre = rng.uniform(0, 1, 2) * (width / 2, height / 2)
        size = rng.uniform(0.03, 0.35, 2) * height / 2
        kind, angle = rng.integers(4), rng.uniform(0, 180)
        box = _rectangle(centre, size, angle)
        if kind == 0:
            cv2.ellipse(
                image, (centre.tolist(), (2 * size).tolist(), angle), colour, -1, cv2.LINE_AA
            )
        elif kind == 1:
            cv2.polylines(image, [box], True, colour, int(rng.integers(1, 6)), cv2.LINE_AA)
        elif kind == 2:
            cv2.fillConvexPoly(image, box[:3], colour, cv2.LINE_AA)
        else:
            cv2.fillConvexPoly(image, box, colour, cv2.LINE_AA)
    blurred = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 5))
    cell = int(rng.integers(2, 24))
    std = rng.uniform(0, 14)
    cells = rng.normal(128, LEVEL, (height // cell + 2, width // cell + 2))
    texture = grow(as_bytes(cells), size_wh)
    return add_noise(grow(np.asarray(blurred, np.uint8), size_wh), cv2.merge([texture] * 3), std)


def _muted(colours: NDArray[np.generic], amount: float) -> Floats64:
    grey = colours.mean(-1, keepdims=True)
    return np.asarray(grey + (colours - grey) * amount)


def _rectangle(centre: Floats64, half: Floats64, turn_deg: float) -> NDArray[np.int32]:
    """The corners (4 x 2, pixels) of a rectangle turned about its centre, one after the other."""
    along = half[0] * np.array([cos(np.radians(turn_deg)), sin(np.radians(turn_deg))])
    across = half[1] * np.array([-sin(np.radians(turn_deg)), cos(np.radians(turn_deg))])
    corners = [across - along, -along - across, along - across, along + across]
    return (centre + np.array(corners)).astype(np.int32)


def add_faults(image: Image, faults: Faults) -> Image:
    """The picture as a camera stores it."""
    rng = draws(faults.seed)
    if faults.blur_px > 0.3:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), faults.blur_px), np.uint8)
    height, width = image.shape[:2]
    grain = _noise_table(max(1024, height + 256, width + 256))
    y, x = rng.integers(0, [len(grain) - height, len(grain) - width])
    exposed = cv2.LUT(image, as_bytes(np.arange(256) * faults.gain + faults.offset))
    out = add_noise(exposed, grain[y : y + height, x : x + width], faults.noise)
    if faults.grey:
        blue, green, red = (out[..., k].astype(np.uint16) for k in range(3))
        out = cv2.merge([((29 * blue + 150 * green + 77 * red) >> 8).astype(np.uint8)] * 3)
    return np.asarray(out, np.uint8)


@cache
def _noise_table(side: int) -> Image:
    """Noise (side x side x 3) as of `noise`, partly common to the three colours."""
    rng = draws(side)
    *own, common = (noise(rng, (side, side)).astype(np.float32) - 128 for _ in range(4))
    return np.asarray(cv2.merge([as_bytes(128 + 0.6 * plane + 0.8 * common) for plane in own]))


def landmarks_px(view: View) -> Floats:
    """The 68 landmarks in the image: pixel x, pixel y, depth in pixels (68 x 3)."""
    points = _landmarks_camera(view)
    pixels = project(points, view.camera)
    pixels[:, 2] = points[:, 2] * view.camera.scale
    return pixels


def _landmarks_camera(view: View) -> Floats:
    skin = head.skin_vertices(view.person.shape, view.face)
    side, height = head.landmarks_canonical().T
    return turn(head.surface_point(skin, side, height), view.rotation)


def face_box(view: View) -> tuple[NDArray[np.float64], float]:
    """The tight box around what can be seen of the face, hairline to chin and ear to ear.

    Returns x1, y1, x2, y2 (may extend beyond the image) and the share of the face that is turned
    towards the camera: about 0.9 for a frontal face, 0.5 in profile, 0 from behind.
    """
    skin = head.skin_vertices(view.person.shape, view.face)
    heights, longitudes = head.skin_grid()
    rows = np.flatnonzero((heights >= FACE_TOP) & (heights <= 1.0))
    columns = np.flatnonzero(np.abs(np.radians(longitudes) * head.SIDE) <= FACE_SIDE_MAX)
    window = np.ix_(rows, columns)
    points = turn(skin[window], view.rotation)
    normals = turn(grid_normals(skin)[window], view.rotation)
    towards = points + np.array([0, 0, view.camera.distance], np.float32)
    seen = (normals * towards).sum(-1) < 0
    if not seen.any():
        return np.full(4, np.nan), 0.0
    pixels = project(points[seen], view.camera)[:, :2].astype(np.float64)
    return np.concatenate([pixels.min(0), pixels.max(0)]), float(seen.mean())
