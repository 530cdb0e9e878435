"""A z-buffered triangle rasteriser in NumPy: what each pixel sees of a mesh."""

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
    planes = np.ascontiguousarray(np.moveaxis(vertices, -1, 0))  # long rows are faster
    down, along = np.gradient(planes, axis=(1, 2))
    if np.abs(planes[..., 0] - planes[..., -1]).max() < 1e-5:  # a closed ring: no seam
        along[..., 0] = along[..., -1] = planes[..., 1] - planes[..., -2]
    (a, b, c), (u, v, w) = down, along
    normals = np.stack([b * w - c * v, c * u - a * w, a * v - b * u])
    length = np.sqrt((normals * normals).sum(0))
    normals /= np.maximum(length, 1e-12)
    for end, beside in ((0, 1), (-1, -2)):
        if length[end].max() < 1e-6:
            mean = normals[:, beside].mean(-1, keepdims=True)
            normals[:, end] = mean / np.sqrt((mean * mean).sum())
    return np.ascontiguousarray(np.moveaxis(normals, 0, -1), dtype=np.float32)


def front_facing(points: Floats, triangles: Ints) -> NDArray[np.bool_]:
    """Which triangles show their outside, from the screen positions (V x 2) of their corners."""
    x, y = (points[:, k].take(triangles.T) for k in (0, 1))
    return np.asarray(_area(x, y) > 0)


def rasterise(
    points: Floats, triangles: Ints, fields: Floats, size_hw: tuple[int, int]
) -> tuple[Ints, Floats]:
    """What the nearest triangle of every covered pixel shows there.

    points (V x 3): pixel x, pixel y, depth; pixel centres lie at integers. triangles (T x 3).
    fields (C x V): values at the vertices, linear on the screen between them. Returns the covered
    pixels as flat indices (P) and their fields (C x P). One row a field: NumPy is five times faster
    on long rows than on rows of C.
    """
    height, width = size_hw
    x, y = (points[:, k].take(triangles.T) for k in (0, 1))  # 3 x T, as all that follows
    weights, sound = _weights(x, y)
    values = np.stack([field.take(triangles.T) for field in (*fields, points[:, 2])])
    along, down = (_slopes(weights[:, k], values) for k in (0, 1))
    top = np.ceil(y.min(0)).clip(0, height).astype(np.int64)
    bottom = np.floor(y.max(0)).clip(-1, height - 1).astype(np.int64)
    owner, row = _count_up(top, np.where(sound, np.maximum(bottom - top + 1, 0), 0))
    below, origin = (row - y[0].take(owner)).astype(np.float32), x[0].take(owner)
    across, fall = weights[:, 0].take(owner, axis=1), weights[:, 1].take(owner, axis=1)
    left, right = _span(across, fall * below, origin, width)
    # Along a line of a triangle, `offset` pixels from its first corner: start + step · offset.
    step = along.take(owner, axis=1)
    start = values[:, 0].take(owner, axis=1) + down.take(owner, axis=1) * below
    line, column = _count_up(left, np.maximum(right - left + 1, 0))
    offset = column.astype(np.float32) - origin.take(line)
    pixel = (row * width).take(line) + column
    depth = start[-1].take(line) + step[-1].take(line) * offset
    winner = _nearest(pixel, depth, height * width)
    line, offset = line.take(winner), offset.take(winner)
    seen = [s.take(line) + d.take(line) * offset for s, d in zip(start, step, strict=True)]
    return pixel.take(winner), np.stack(seen[:-1])


def _count_up(first: Ints, counts: Ints) -> tuple[Ints, Ints]:
    """For starts and counts (N): whose turn it is, and first[i], first[i] + 1, ... in each turn."""
    owner = np.repeat(np.arange(len(counts)), counts)
    return owner, np.arange(len(owner)) + (first - np.cumsum(counts) + counts).take(owner)


def _span(step: Floats, start: Floats, origin: Floats, width: int) -> tuple[Ints, Ints]:
    """First and last pixel of a triangle on a line of the image: where all weights are ≥ 0.

    step, start (2 x L): slope in x and value at the first corner's x of the second and the third
    corner's weight; origin (L): that x.
    """
    slope = np.stack([-step[0] - step[1], step[0], step[1]])
    value = np.stack([1 - start[0] - start[1], start[0], start[1]])
    slope = np.where(np.abs(slope) < 1e-9, np.float32(1e-9), slope)
    crossing = -(value + np.float32(1e-4)) / slope  # slack: no cracks between neighbours
    left = np.where(slope > 0, crossing, np.float32(-np.inf)).max(0) + origin
    right = np.where(slope < 0, crossing, np.float32(np.inf)).min(0) + origin
    left = np.ceil(left.clip(-1, width)).astype(np.int64).clip(0)
    return left, np.floor(right.clip(-1, width - 1)).astype(np.int64)


def _weights(x: Floats, y: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """Slopes in x and y of the second and the third corner's barycentric weight (2 weights x 2
    directions x T), and which triangles have an area. x, y (3 x T).
    """
    area = _area(x, y)
    sound = np.abs(area) > 1e-6
    area = np.where(sound, area, 1)
    second = [(y[2] - y[0]) / area, (x[0] - x[2]) / area]
    third = [(y[0] - y[1]) / area, (x[1] - x[0]) / area]
    return np.stack([np.stack(second), np.stack(third)]).astype(np.float32), sound


def _slopes(weights: Floats, values: Floats) -> Floats:
    """Slopes (C x T) of fields in one direction, from the weights' (2 x T) and the corners' values
    (C x 3 x T).
    """
    first = values[:, 0]
    rise = weights[0] * (values[:, 1] - first) + weights[1] * (values[:, 2] - first)
    return np.asarray(rise)


def _nearest(pixel: Ints, depth: Floats, pixels: int) -> Ints:
    """Of all fragments of a pixel, the index of the one with the smallest depth."""
    bits = depth.view(np.int32)
    level = (bits ^ ((bits >> 31) & 0x7FFFFFFF)).astype(np.int64)  # in the order of the floats
    unseen = np.iinfo(np.int64).max
    buffer = np.full(pixels, unseen)
    np.minimum.at(buffer, pixel, (level << 32) | np.arange(len(pixel)))
    return buffer[buffer != unseen] & 0xFFFFFFFF


def _area(x: Floats, y: Floats) -> Floats:
    """Twice the signed area of triangles. x, y (3 x T)."""
    return np.asarray((x[1] - x[0]) * (y[2] - y[0]) - (y[1] - y[0]) * (x[2] - x[0]))
