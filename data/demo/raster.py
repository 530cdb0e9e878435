"""A z-buffered triangle rasteriser in numpy: which triangle each pixel sees, and where on it."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


@lru_cache(maxsize=64)
def grid_triangles(rows: int, columns: int) -> Ints:
    """The triangles of a rows × columns vertex grid, row-major. Returns T x 3 vertex indices."""
    corner = np.arange(rows * columns).reshape(rows, columns)
    a, b, c, d = corner[:-1, :-1], corner[:-1, 1:], corner[1:, :-1], corner[1:, 1:]
    return np.concatenate([np.stack([a, b, c], -1), np.stack([b, d, c], -1)]).reshape(-1, 3)


def grid_normals(vertices: Floats) -> Floats:
    """Unit normals of a vertex grid (rows x columns x 3), pointing outwards for our parts.

    A part is wound so that its columns run to the right and its rows run down when it is seen from
    outside. A first or last row that shrinks to a point takes the mean of the row beside it.
    """
    along = np.gradient(vertices, axis=1)
    if np.allclose(vertices[:, 0], vertices[:, -1], atol=1e-5):  # a closed ring: no seam
        along[:, 0] = along[:, -1] = vertices[:, 1] - vertices[:, -2]
    normals = np.cross(np.gradient(vertices, axis=0), along)
    length = np.linalg.norm(normals, axis=-1, keepdims=True)
    normals = normals / np.maximum(length, 1e-12)
    for end, beside in ((0, 1), (-1, -2)):
        if length[end].max() < 1e-6:
            mean = normals[beside].mean(0)
            normals[end] = mean / np.linalg.norm(mean)
    return normals.astype(np.float32)


def front_facing(points: Floats, triangles: Ints) -> NDArray[np.bool_]:
    """Which triangles show their outside, from the screen positions (V x 2) of their corners."""
    a, b, c = (points[triangles[:, k], :2] for k in range(3))
    return _cross(b - a, c - a) > 0


def rasterise(
    points: Floats, triangles: Ints, size_hw: tuple[int, int]
) -> tuple[Ints, Ints, Floats]:
    """The nearest triangle of every covered pixel.

    points (V x 3): pixel x, pixel y, depth; pixel centres lie at integers. triangles (T x 3).
    Returns the covered pixels as flat indices (P), the triangle of each (P) and its barycentric
    coordinates there (P x 3).
    """
    height, width = size_hw
    corners = points[triangles]
    planes, sound = _planes(corners)
    top = np.ceil(corners[..., 1].min(1)).clip(0, height).astype(np.int64)
    bottom = np.floor(corners[..., 1].max(1)).clip(-1, height - 1).astype(np.int64)
    line_owner, line_offset = _count_up(np.where(sound, np.maximum(bottom - top + 1, 0), 0))
    row = top[line_owner] + line_offset
    at_line = planes[line_owner]
    at_line[:, :, 2] += at_line[:, :, 1] * (row - corners[line_owner, 0, 1])[:, None]
    origin = corners[line_owner, 0, 0]
    left, right = _span(at_line, origin, width)
    line, column_offset = _count_up(np.maximum(right - left + 1, 0))
    column = left[line] + column_offset
    x = (column - origin[line]).astype(np.float32)
    pixel = row[line] * width + column
    depth = at_line[:, 2, 0][line] * x + at_line[:, 2, 2][line]
    winner = _nearest(pixel, depth, height * width)
    line, x = line[winner], x[winner]
    second = at_line[:, 0, 0][line] * x + at_line[:, 0, 2][line]
    third = at_line[:, 1, 0][line] * x + at_line[:, 1, 2][line]
    weights = np.stack([1 - second - third, second, third], axis=-1)
    return pixel[winner], line_owner[line], weights


def _count_up(counts: Ints) -> tuple[Ints, Ints]:
    """For counts (N): whose turn it is, and 0, 1, ... counts[i] - 1 within each turn."""
    owner = np.repeat(np.arange(len(counts)), counts)
    return owner, np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)


def _span(at_line: Floats, origin: Floats, width: int) -> tuple[Ints, Ints]:
    """First and last pixel of a triangle on a line of the image: where all weights are ≥ 0.

    at_line (L x 3 x 3): `_planes`, of which only the slope in x and the constant are used; origin
    (L): the pixel x from which they count.
    """
    slope = np.stack([-at_line[:, 0, 0] - at_line[:, 1, 0], at_line[:, 0, 0], at_line[:, 1, 0]])
    value = np.stack([1 - at_line[:, 0, 2] - at_line[:, 1, 2], at_line[:, 0, 2], at_line[:, 1, 2]])
    slope = np.where(np.abs(slope) < 1e-9, np.float32(1e-9), slope)
    crossing = -(value + 1e-4) / slope  # the slack keeps cracks between neighbours closed
    left = np.where(slope > 0, crossing, -np.inf).max(0) + origin
    right = np.where(slope < 0, crossing, np.inf).min(0) + origin
    left = np.ceil(left.clip(-1, width)).astype(np.int64).clip(0)
    return left, np.floor(right.clip(-1, width - 1)).astype(np.int64)


def _planes(corners: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """Coefficients (T x 3 x 3) of [second corner's weight, third corner's weight, depth], each as
    a·x + b·y + c with x, y counted from the first corner; and which triangles have an area.
    """
    ab, ac = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    area = _cross(ab, ac)
    sound = np.abs(area) > 1e-6
    inverse = (1 / np.where(sound, area, 1))[:, None]
    weight_b = np.stack([ac[:, 1], -ac[:, 0]], -1) * inverse
    weight_c = np.stack([-ab[:, 1], ab[:, 0]], -1) * inverse
    slope = weight_b * ab[:, 2:] + weight_c * ac[:, 2:]
    planes = np.zeros((len(corners), 3, 3), dtype=np.float32)
    planes[:, :, :2] = np.stack([weight_b, weight_c, slope], axis=1)
    planes[:, 2, 2] = corners[:, 0, 2]
    return planes, sound


def _nearest(pixel: Ints, depth: Floats, pixels: int) -> Ints:
    """Of all fragments of a pixel, the index of the one with the smallest depth."""
    if len(pixel) == 0:
        return np.zeros(0, dtype=np.int64)
    span = max(float(np.ptp(depth)), 1e-9)
    level = ((depth - depth.min()) / span * (2**30)).astype(np.int64)
    key = (level << 32) | np.arange(len(pixel))
    buffer = np.full(pixels, np.iinfo(np.int64).max)
    np.minimum.at(buffer, pixel, key)
    return buffer[buffer != np.iinfo(np.int64).max] & 0xFFFFFFFF


def _cross(a: Floats, b: Floats) -> Floats:
    return np.asarray(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0])
