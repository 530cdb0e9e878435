"""From a person and a pose to pixels: transform, rasterise, shade, composite."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from data.demo import head, paint
from data.demo import person as persons
from data.demo.head import Expression
from data.demo.person import Part, Person
from data.demo.raster import Floats, front_facing, grid_normals, grid_triangles, rasterise
from hpe_core.geometry import rotation_from_pyr

Image = NDArray[np.uint8]


@dataclass(frozen=True)
class Camera:
    """Where the head stands in the image, and how strong the perspective is."""

    centre_xy: tuple[float, float]  # pixel of the head's origin
    scale: float  # pixels a head unit at the head's origin
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
        return rotation_from_pyr(self.pyr_deg).astype(np.float32)


def project(points: Floats, camera: Camera) -> Floats:
    """Camera-frame points (... x 3), origin at the head, to pixel x, pixel y, depth (... x 3)."""
    nearness = camera.distance / (camera.distance + points[..., 2:])
    pixels = np.array(camera.centre_xy, np.float32) + camera.scale * points[..., :2] * nearness
    # Depth as -nearness: affine on the screen, as the rasteriser interpolates it.
    return np.concatenate([pixels, -nearness], axis=-1).astype(np.float32)


def draw_head(image: Image, view: View) -> None:
    """Draws the person over `image` (H x W x 3, BGR), in place."""
    skin = head.skin_vertices(view.person.shape, view.face)
    mesh = _assemble(view, skin)
    points = project(mesh.points, view.camera)
    window = _window(points, image.shape[:2])
    if window is None:
        return
    x1, y1, x2, y2 = window
    # Small heads are drawn larger and shrunk; all by at least a fifth, against jagged outlines.
    fine = float(np.clip(100 / view.camera.scale, 1.2, 2.0))
    height, width = round((y2 - y1) * fine), round((x2 - x1) * fine)
    points[:, :2] = (points[:, :2] - (x1 - 0.5, y1 - 0.5)) * fine - 0.5
    shown = mesh.triangles[mesh.two_sided | front_facing(points, mesh.triangles)]
    pixel, owner, weights = rasterise(points, shown, (height, width))
    layer = np.zeros((height * width, 4), dtype=np.uint8)  # colour times coverage, and coverage
    layer[pixel, :3] = _colour(view, mesh, shown[owner], weights)
    layer[pixel, 3] = 255
    _composite(image[y1:y2, x1:x2], layer.reshape(height, width, 4))


def _composite(under: Image, layer: Image) -> None:
    """Shrinks a layer (BGR times coverage, coverage) to `under` and lays it over it, in place."""
    height, width = under.shape[:2]
    small = np.asarray(cv2.resize(layer, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    see_through = cv2.merge([255 - small[..., 3]] * 3)
    under[:] = cv2.add(cv2.multiply(under, see_through, scale=1 / 255), small[..., :3])


@dataclass(frozen=True)
class _Mesh:
    """All parts as one triangle soup in the camera frame, origin at the head."""

    points: Floats  # V x 3
    attributes: Floats  # V x 4: atlas u, v; light level; shine
    triangles: NDArray[np.int64]
    two_sided: NDArray[np.bool_]  # per triangle


def _assemble(view: View, skin: Floats) -> _Mesh:
    points, attributes, triangles, two_sided, start = [], [], [], [], 0
    for part in persons.parts(view.person, view.face, skin):
        turn = _body_rotation(view) if part.body else view.rotation
        turned = part.vertices @ turn.T + (_body_shift(view) if part.body else 0)
        rows, columns = part.vertices.shape[:2]
        level, shine = _light(view.light, grid_normals(turned), part)
        fields = np.concatenate([part.uv, level[..., None], shine[..., None]], axis=-1)
        points.append(turned.reshape(-1, 3))
        attributes.append(fields.reshape(-1, 4))
        grid = grid_triangles(rows, columns)
        if part.hidden is not None:
            grid = grid[~part.hidden.ravel()[grid].all(1)]
        triangles.append(grid + start)
        two_sided.append(np.full(len(grid), part.two_sided))
        start += rows * columns
    return _Mesh(
        np.concatenate(points).astype(np.float32),
        np.concatenate(attributes).astype(np.float32),
        np.concatenate(triangles),
        np.concatenate(two_sided),
    )


def _body_rotation(view: View) -> Floats:
    pitch, yaw, roll = view.pyr_deg
    return rotation_from_pyr([0.15 * pitch, 0.4 * yaw, 0.25 * roll]).astype(np.float32)


def _body_shift(view: View) -> Floats:
    """Puts the base of the body's neck under the head's."""
    base = np.array([0, 1.2, 0.22], np.float32)
    return base @ view.rotation.T - base @ _body_rotation(view).T


def _window(points: Floats, size_hw: tuple[int, ...]) -> tuple[int, int, int, int] | None:
    """The part of the image that the mesh covers: x1, y1, x2, y2, or nothing."""
    low = np.floor(points[:, :2].min(0)).astype(int) - 1
    high = np.ceil(points[:, :2].max(0)).astype(int) + 2
    x1, y1 = (int(v) for v in np.maximum(low, 0))
    x2, y2 = (int(v) for v in np.minimum(high, [size_hw[1], size_hw[0]]))
    return (x1, y1, x2, y2) if x2 > x1 and y2 > y1 else None


def _light(light: Light, normals: Floats, part: Part) -> tuple[Floats, Floats]:
    """Light level and shine at the vertices of a part, from its normals in the camera frame."""
    if part.two_sided:
        normals = np.where(normals[..., 2:] > 0, -normals, normals)
    lamp = np.array(light.direction, np.float32)
    lamp /= np.linalg.norm(lamp)
    diffuse = np.clip((normals @ lamp + 0.25) / 1.25, 0, 1)  # wrapped: skin scatters light
    half = lamp + np.array([0, 0, -1], np.float32)
    half /= np.linalg.norm(half)
    shine = 255 * part.gloss * light.strength * np.clip(normals @ half, 0, 1) ** 18
    sky = light.ambient * (0.8 - 0.2 * normals[..., 1])
    return part.ambient * (sky + light.strength * diffuse), shine


def _colour(view: View, mesh: _Mesh, corners: NDArray[np.int64], weights: Floats) -> Image:
    """Colour (P x 3) of fragments. corners (P x 3): vertices; weights (P x 3)."""
    fields = [weights[:, k, None] * mesh.attributes[corners[:, k]] for k in range(3)]
    seen = fields[0] + fields[1] + fields[2]
    atlas = paint.paint_atlas(view.person.colours, view.face, view.person.hair)
    small = float(np.clip(view.camera.scale * 1.5 / paint.DENSITY, 0.1, 1.0))  # against aliasing
    shrunk = cv2.resize(atlas, None, fx=small, fy=small, interpolation=cv2.INTER_AREA)
    tinted = cv2.multiply(shrunk, np.array([*view.light.tint, 1.0]))
    albedo = _remap(np.asarray(tinted, np.uint8), seen[:, None, :2] * np.float32(small))
    colour = albedo * seen[:, 2:3] + seen[:, 3:4]
    return np.clip(colour, 0, 255, out=colour).astype(np.uint8)


def _remap(atlas: Image, uv: Floats) -> Floats:
    """Bilinear texture look-up. uv (P x 1 x 2). Returns P x 3. cv2 allows 32767 rows at most."""
    u, v = np.ascontiguousarray(uv[..., 0]), np.ascontiguousarray(uv[..., 1])
    # Two maps: OpenCV 5 reads a map of two channels wrongly.
    looked_up = [
        cv2.remap(
            atlas, u[k : k + 30000], v[k : k + 30000], cv2.INTER_LINEAR, None, cv2.BORDER_REPLICATE
        )
        for k in range(0, len(u), 30000)
    ]
    return np.concatenate([np.zeros((0, 1, 3)), *looked_up], dtype=np.float32)[:, 0]
