"""From a person and a pose to pixels: transform, rasterise, shade, composite."""

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from data.demo import head, paint
from data.demo import person as persons
from data.demo.head import Expression
from data.demo.person import Part, Person
from data.demo.pictures import Image, as_bytes, look_up, shrink
from data.demo.raster import Floats, front_facing, grid_normals, grid_triangles, rasterise
from data.demo.steady import rotation, turn


@dataclass(frozen=True)
class Camera:
    """Where the head stands in the image, and how strong the perspective is."""

    centre_xy: tuple[float, float]  # pixel of the head's origin
    scale: float  # pixels per head unit, at the head's origin
    distance: float = 9.0  # head units from the camera to the head's origin


@dataclass(frozen=True)
class Light:
    """One lamp and the sky; directions point towards the lamp, in the camera frame."""

    direction: tuple[float, float, float] = (-0.4, -0.5, -0.75)
    strength: float = 0.75
    ambient: float = 0.45
    tint: tuple[float, float, float] = (1.0, 1.0, 1.0)


@dataclass(frozen=True)
class View:
    """A person at one moment in front of a camera."""

    person: Person
    face: Expression
    pyr_deg: tuple[float, float, float]
    camera: Camera
    light: Light

    @property
    def rotation(self) -> Floats:
        return rotation(self.pyr_deg).astype(np.float32)


def project(points: Floats, camera: Camera) -> Floats:
    """Camera-frame points (... x 3), origin at the head, to pixel x, pixel y, depth (... x 3)."""
    nearness = camera.distance / (camera.distance + points[..., 2:])
    pixels = np.array(camera.centre_xy, np.float32) + camera.scale * points[..., :2] * nearness
    # Depth as -nearness: affine on the screen, as the rasteriser interpolates it.
    return np.concatenate([pixels, -nearness], axis=-1).astype(np.float32)


def render_head(image: Image, view: View) -> None:
    """Renders the person over `image` (H x W x 3, BGR), in place."""
    mesh = _mesh(view.person, view.face)
    camera_points, normals = _pose(mesh, view)
    points = project(camera_points, view.camera)
    window = _window(points, image.shape[:2])
    if window is None:
        return
    x1, y1, x2, y2 = window
    # Small heads are rendered larger and shrunk; all by at least a fifth, against jagged outlines.
    fine = float(np.clip(100 / view.camera.scale, 1.2, 2.0))
    height, width = round((y2 - y1) * fine), round((x2 - x1) * fine)
    points[:, :2] = (points[:, :2] - np.float32((x1 - 0.5, y1 - 0.5))) * np.float32(fine) - 0.5
    shown = mesh.triangles[mesh.two_sided_triangles | front_facing(points, mesh.triangles)]
    atlas, density = _lit_atlas(view)
    fields = np.stack([*(mesh.uv.T * density - 0.5), *_light(view.light, normals, mesh)])
    pixel, seen = rasterise(points, shown, fields, (height, width))
    layer = np.zeros((height * width, 4), dtype=np.uint8)  # colour times coverage, and coverage
    layer.view(np.uint32)[pixel] = _colour(atlas, seen).view(np.uint32)
    _composite(image[y1:y2, x1:x2], layer.reshape(height, width, 4))


def _composite(under: Image, layer: Image) -> None:
    """Shrinks a layer (BGR times coverage, coverage) to `under` and lays it over it, in place."""
    size_wh = under.shape[1], under.shape[0]
    small = np.asarray(cv2.resize(layer, size_wh, interpolation=cv2.INTER_LINEAR_EXACT))
    b, g, r, coverage = cv2.split(small)
    shaded = cv2.multiply(under, cv2.merge([255 - coverage] * 3), dtype=cv2.CV_16U) + np.uint16(128)
    shaded += shaded >> 8
    shaded >>= 8  # now under · (1 - coverage), rounded
    under[:] = cv2.add(shaded.astype(np.uint8), cv2.merge([b, g, r]))


@dataclass(frozen=True)
class _Mesh:
    """All parts of a person as one triangle soup; the parts of the body come last."""

    points: Floats  # V x 3, the head's frame or the body's
    normals: Floats  # V x 3
    uv: Floats  # V x 2, atlas pixels
    ambient: Floats  # V
    gloss: Floats  # V
    two_sided: NDArray[np.bool_]  # V
    triangles: NDArray[np.int64]  # T x 3
    two_sided_triangles: NDArray[np.bool_]  # T
    body_from: int  # index of the body's first vertex


@lru_cache(maxsize=4)
def _mesh(person: Person, face: Expression) -> _Mesh:
    """Shared between calls: never write to it."""
    parts = list(persons.parts(person, face, head.skin_vertices(person.shape, face)))
    parts.sort(key=lambda part: part.body)
    counts = [part.ambient.size for part in parts]
    starts = np.cumsum([0, *counts])
    triangles = [_triangles(part) for part in parts]
    return _Mesh(
        points=np.concatenate([part.vertices.reshape(-1, 3) for part in parts]),
        normals=np.concatenate([grid_normals(part.vertices).reshape(-1, 3) for part in parts]),
        uv=np.concatenate([part.uv.reshape(-1, 2) for part in parts]),
        ambient=np.concatenate([part.ambient.ravel() for part in parts]),
        gloss=np.repeat(np.float32([part.gloss for part in parts]), counts),
        two_sided=np.repeat([part.two_sided for part in parts], counts),
        triangles=np.concatenate([t + s for t, s in zip(triangles, starts, strict=False)]),
        two_sided_triangles=np.repeat(
            [part.two_sided for part in parts], [len(t) for t in triangles]
        ),
        body_from=sum(part.ambient.size for part in parts if not part.body),
    )


def _triangles(part: Part) -> NDArray[np.int64]:
    grid = grid_triangles(*part.ambient.shape)
    return grid if part.hidden is None else grid[~part.hidden.ravel()[grid].all(1)]


def _pose(mesh: _Mesh, view: View) -> tuple[Floats, Floats]:
    """Vertices and normals (V x 3) in the camera frame, origin at the head."""
    head_turn, body_turn, n = view.rotation, _body_rotation(view), mesh.body_from
    body = turn(mesh.points[n:], body_turn) + _body_shift(view)
    points = np.concatenate([turn(mesh.points[:n], head_turn), body])
    normals = [turn(mesh.normals[:n], head_turn), turn(mesh.normals[n:], body_turn)]
    return points, np.concatenate(normals)


def _body_rotation(view: View) -> Floats:
    pitch, yaw, roll = view.pyr_deg
    return rotation([0.15 * pitch, 0.4 * yaw, 0.25 * roll]).astype(np.float32)


def _body_shift(view: View) -> Floats:
    """Puts the base of the body's neck under the head's."""
    base = np.array([0, 1.2, 0.22], np.float32)
    return np.asarray(turn(base, view.rotation) - turn(base, _body_rotation(view)))


def _window(points: Floats, size_hw: tuple[int, ...]) -> tuple[int, int, int, int] | None:
    """The part of the image that the mesh covers: x1, y1, x2, y2, or nothing."""
    low = np.floor(points[:, :2].min(0)).astype(int) - 1
    high = np.ceil(points[:, :2].max(0)).astype(int) + 2
    x1, y1 = (int(v) for v in np.maximum(low, 0))
    x2, y2 = (int(v) for v in np.minimum(high, [size_hw[1], size_hw[0]]))
    return (x1, y1, x2, y2) if x2 > x1 and y2 > y1 else None


def _light(light: Light, normals: Floats, mesh: _Mesh) -> Floats:
    """Light level and shine at the vertices (2 x V), from their normals in the camera frame."""
    x, y, z = normals.T
    sign = np.where(mesh.two_sided & (z > 0), np.float32(-1), np.float32(1))
    lamp = _unit(np.array(light.direction))
    half = _unit(lamp + np.array([0, 0, -1]))
    towards = (x * lamp[0] + y * lamp[1] + z * lamp[2]) * sign
    diffuse = np.clip((towards + 0.25) / 1.25, 0, 1)  # wrapped: skin scatters light
    mirror = np.clip((x * half[0] + y * half[1] + z * half[2]) * sign, 0, 1)
    power2 = mirror * mirror
    power8 = (power2 * power2) * (power2 * power2)
    shine = 255 * mesh.gloss * light.strength * (power8 * power8 * power2)
    sky = light.ambient * (0.8 - 0.2 * y * sign)
    level = mesh.ambient * (sky + light.strength * diffuse)
    return np.stack([level, shine]).astype(np.float32)


def _unit(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(vector / np.sqrt((vector * vector).sum()))


def _lit_atlas(view: View) -> tuple[Image, Floats]:
    """The person's paint in the lamp's colour, shrunk against aliasing, and how much, as float32.

    In steps of a sixteenth, so that the frames of a video share it.
    """
    sixteenths = int(np.clip(np.ceil(view.camera.scale * 1.5 / paint.DENSITY * 16), 2, 16))
    atlas = _tinted(view.person.colours, view.face, view.person.hair, view.light.tint, sixteenths)
    return atlas, np.float32(sixteenths / 16)


@lru_cache(maxsize=4)
def _tinted(
    colours: paint.Colours, face: Expression, hair: head.Hair, tint: paint.Colour, sixteenths: int
) -> Image:
    atlas = paint.paint_atlas(colours, face, hair)
    levels = as_bytes(np.arange(256)[:, None, None] * np.array(tint))
    tinted = cv2.LUT(atlas, levels)
    height, width = (side * sixteenths // 16 for side in atlas.shape[:2])
    return shrink(np.asarray(tinted, np.uint8), (width, height))


def _colour(atlas: Image, seen: Floats) -> Image:
    """Colour and coverage (P x 4) of fragments. seen (4 x P): atlas u, v; light level; shine."""
    u, v, level, shine = seen
    steps = np.zeros((-(-len(u) // 512) * 512, 2), np.int32)  # fills lines of 512 fragments
    steps[: len(u), 0], steps[: len(u), 1] = u * 32 + 0.5, v * 32 + 0.5
    albedo = look_up(atlas, steps.reshape(-1, 512, 2)).reshape(-1, 3)
    out = np.full((len(u), 4), 255, np.uint8)
    for k in range(3):
        out[:, k] = (albedo[: len(u), k] * level + shine).clip(0, 255)
    return out
