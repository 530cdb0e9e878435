"""The 3D head: an identity and an expression become grids of vertices.

Head frame, the one whose axes the pose rotates: x to the right as seen in the image of a frontal
face, y towards the chin, z towards the back of the head. One unit is half the head's height,
`UNIT_MM`. The origin lies between the ears.

The skin is a grid of meridians (longitude: 0 front, 90 to the right of the image, ±180 back) and
levels (canonical height: -1 crown, 0 eyes, 1 chin, more below the jaw). Facial features live at
canonical (longitude, height), so that bumps, paint and landmarks of a feature always agree.
"""

from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from data.demo.raster import Floats
from data.demo.steady import cos, decay, interpolate, sin

UNIT_MM = 115.0
SIDE = 0.82  # canonical side coordinate of a feature = SIDE * longitude in radians

# Five meridians of an average head, level by level: (distance from the vertical axis, y).
_LONGITUDES = np.array([0.0, 40.0, 90.0, 140.0, 180.0])
_LEVELS = np.array(
    [-1.0, -0.985, -0.92, -0.72, -0.42, -0.17, 0, 0.2, 0.42, 0.61, 0.76, 0.9, 1.0, 1.15, 1.4]
)
_RADIUS = np.array(
    [
        [0.00, 0.00, 0.00, 0.00, 0.00],
        [0.19, 0.18, 0.16, 0.19, 0.20],
        [0.42, 0.40, 0.33, 0.42, 0.44],
        [0.67, 0.63, 0.50, 0.67, 0.72],
        [0.815, 0.745, 0.62, 0.79, 0.86],
        [0.865, 0.785, 0.665, 0.83, 0.90],
        [0.82, 0.77, 0.665, 0.81, 0.89],
        [0.83, 0.775, 0.655, 0.74, 0.82],
        [0.85, 0.745, 0.63, 0.65, 0.71],
        [0.855, 0.695, 0.59, 0.54, 0.59],
        [0.82, 0.635, 0.53, 0.45, 0.49],
        [0.85, 0.565, 0.45, 0.37, 0.41],
        [0.75, 0.45, 0.34, 0.28, 0.32],
        [0.45, 0.28, 0.20, 0.18, 0.20],
        [0.00, 0.00, 0.00, 0.00, 0.00],
    ]
)
_HEIGHT = np.array(
    [
        [-1.00, -1.00, -1.00, -1.00, -1.00],
        [-0.985, -0.985, -0.985, -0.985, -0.985],
        [-0.92, -0.92, -0.92, -0.91, -0.91],
        [-0.72, -0.74, -0.77, -0.71, -0.68],
        [-0.42, -0.42, -0.45, -0.40, -0.38],
        [-0.17, -0.16, -0.15, -0.11, -0.10],
        [0.00, 0.01, 0.04, 0.09, 0.12],
        [0.20, 0.20, 0.21, 0.27, 0.32],
        [0.42, 0.41, 0.39, 0.43, 0.48],
        [0.61, 0.59, 0.53, 0.54, 0.60],
        [0.76, 0.73, 0.63, 0.62, 0.68],
        [0.90, 0.85, 0.70, 0.68, 0.74],
        [0.985, 0.92, 0.75, 0.72, 0.77],
        [0.96, 0.91, 0.78, 0.75, 0.79],
        [0.82, 0.82, 0.82, 0.82, 0.82],
    ]
)


@dataclass(frozen=True)
class Shape:
    """One person's skull and features: multipliers around 1, or offsets in units around 0."""

    width: float = 1.0
    depth: float = 1.0
    jaw: float = 1.0  # width of the lower face
    chin: float = 0.0  # forward
    chin_drop: float = 0.0  # downward
    brow: float = 0.0  # forward
    cheek: float = 0.0  # outward
    nose: float = 1.0  # how far it stands out
    nose_width: float = 1.0
    nose_drop: float = 0.0  # tip downward
    nose_side: float = 0.0  # crooked nose: tip to one side
    lips: float = 1.0  # fullness
    ears: float = 1.0  # size
    ears_out: float = 22.0  # degrees away from the skull


@dataclass(frozen=True)
class Expression:
    """What one moment adds: 0 is neutral, 1 is strong."""

    mouth_open: float = 0.0
    smile: float = 0.0
    brows_up: float = 0.0
    eyes_closed: float = 0.0
    gaze_side: float = 0.0
    gaze_down: float = 0.0


@cache
def skin_grid() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Canonical heights (rows) and longitudes in degrees (columns) of the skin, finest in front."""
    half = np.concatenate([np.arange(0, 28, 2.0), np.arange(28, 60, 4), np.arange(60, 181, 8)])
    longitudes = np.concatenate([-half[:0:-1], half])
    heights = np.concatenate(
        [
            [-1.0, -0.985, -0.955, -0.92, -0.87, -0.8, -0.7, -0.6, -0.5, -0.41, -0.33, -0.26],
            np.arange(-0.2, 0.3, 0.04),
            np.arange(0.3, 0.72, 0.02),
            [0.75, 0.79, 0.83, 0.87, 0.91, 0.95, 0.98, 1.0, 1.04, 1.1, 1.2, 1.4],
        ]
    )
    return heights, longitudes


@cache
def _average() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Radius and y of the average skin grid (rows x columns)."""
    heights, longitudes = skin_grid()

    def surface(table: NDArray[np.float64]) -> NDArray[np.float64]:
        rows = smooth_curve(_LEVELS, table, heights)
        return smooth_curve(_LONGITUDES, rows.T, np.abs(longitudes)).T

    return surface(_RADIUS), surface(_HEIGHT)


def smooth_curve(x: ArrayLike, y: ArrayLike, at: ArrayLike) -> NDArray[np.float64]:
    """A curve through knots, without overshoot and flat at both ends: a cubic Hermite spline whose
    slopes are harmonic means of its neighbours' (Fritsch & Butland 1984).

    x (N) rising, y (N x ...), at (...) in [x[0]; x[-1]]. Returns at's shape + y.shape[1:].
    """
    x, y, at = np.asarray(x), np.asarray(y), np.asarray(at)
    step = np.diff(x).reshape(-1, *[1] * (y.ndim - 1))
    rise = np.diff(y, axis=0) / step
    product = rise[:-1] * rise[1:]
    slope = np.zeros_like(y, dtype=np.float64)
    slope[1:-1] = np.divide(
        2 * product, rise[:-1] + rise[1:], out=np.zeros_like(product), where=product > 0
    )
    k = np.clip(np.searchsorted(x, at, side="right") - 1, 0, len(x) - 2)
    t = ((at - x[k]) / np.diff(x)[k]).reshape(*at.shape, *[1] * (y.ndim - 1))
    chord = t * t * (3 - 2 * t)
    bend = t * (1 - t) * ((1 - t) * slope[k] - t * slope[k + 1])
    return np.asarray(y[k] + chord * (y[k + 1] - y[k]) + bend * step[k])


def bump(
    side: NDArray[np.float64],
    height: NDArray[np.float64],
    at: tuple[float, float],
    sigma: tuple[float, float],
) -> NDArray[np.float64]:
    """A Gaussian of height 1 at canonical (side, height), which broadcast to a grid."""
    return _bell((side - at[0]) / sigma[0]) * _bell((height - at[1]) / sigma[1])


def _bell(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return decay(x * x)


def _plateau(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """As `_bell`, with a flat top and steep sides: exp(-x⁴)."""
    return decay((x * x) * (x * x))


def _step(value: NDArray[np.float64], low: float, high: float) -> NDArray[np.float64]:
    t = np.clip((value - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


@lru_cache(maxsize=8)
def skin_vertices(shape: Shape, face: Expression) -> Floats:
    """The skin (rows x columns x 3) of `skin_grid` in the head frame. Shared: never write to it."""
    heights, longitudes = skin_grid()
    height, longitude = heights[:, None], np.radians(longitudes)[None]
    side, sine, cosine = SIDE * longitude, sin(longitude), cos(longitude)
    radius, y = (array.copy() for array in _average())
    front = (1 + cosine) / 2
    radius *= 1 + (shape.jaw - 1) * _step(height, 0.1, 0.8) * np.abs(sine)
    out = _nose(side, height, shape) + _relief(side, height, shape, face)
    y += shape.chin_drop * _step(height, 0.62, 0.95) * front
    y += shape.nose_drop * bump(side, height, (0, 0.36), (0.1, 0.07))
    x = radius * sine * shape.width
    z = -radius * cosine * shape.depth - out
    x += shape.nose_side * bump(side, height, (0, 0.34), (0.12, 0.15))
    # Expression: the jaw swings down, the corners of the mouth go up, out and back.
    drop = 0.17 * face.mouth_open
    inside = _plateau(side / 0.22)
    y += (
        drop
        * _step(height, 0.607, 0.623)
        * (inside + (1 - inside) * _step(height, 0.6, 0.95))
        * front
    )
    z += 0.5 * drop * _step(height, 0.65, 1.0) * front
    corner = bump(np.abs(side), height, (0.26, 0.61), (0.12, 0.1))
    y -= 0.06 * face.smile * corner
    x += 0.05 * face.smile * corner * np.sign(side)
    z += 0.03 * face.smile * corner
    return np.stack([x, y, z], axis=-1).astype(np.float32)


def _nose(
    side: NDArray[np.float64], height: NDArray[np.float64], shape: Shape
) -> NDArray[np.float64]:
    """How far the nose stands out of the face."""
    ridge = smooth_curve(
        [-0.12, 0.0, 0.1, 0.2, 0.3, 0.35, 0.385, 0.42, 0.45, 0.5],
        [0.0, 0.045, 0.1, 0.155, 0.21, 0.232, 0.215, 0.125, 0.045, 0.0],
        np.clip(height, -0.12, 0.5),
    )
    half_width = interpolate(height, [-0.1, 0.1, 0.27, 0.36, 0.42], [0.06, 0.066, 0.085, 0.1, 0.09])
    across = np.abs(side / (half_width * shape.nose_width))
    profile = decay(across * across * np.sqrt(across))
    wing = bump(np.abs(side), height, (0.115 * shape.nose_width, 0.37), (0.05, 0.05))
    return shape.nose * (ridge * profile + 0.1 * wing)


def _relief(
    side: NDArray[np.float64], height: NDArray[np.float64], shape: Shape, face: Expression
) -> NDArray[np.float64]:
    """Sockets, eyeballs, brow ridge, cheeks, lips and chin: forward displacement."""
    far = np.abs(side)
    out = -0.075 * bump(far, height, (0.28, -0.01), (0.15, 0.1))
    out += 0.055 * bump(far, height, (0.3, 0.0), (0.085, 0.06))
    out += (0.03 + shape.brow) * bump(far, height, (0.22, -0.17), (0.2, 0.07))
    out += (0.035 + shape.cheek + 0.03 * face.smile) * bump(far, height, (0.42, 0.26), (0.17, 0.15))
    out -= 0.03 * bump(far, height, (0.42, 0.55), (0.15, 0.15))
    mouth = _plateau(side / 0.23)
    out += 0.055 * shape.lips * mouth * _bell((height - 0.565) / 0.045)
    out += 0.05 * shape.lips * mouth * _bell((height - 0.66) / 0.045)
    out -= 0.02 * mouth * _bell((height - 0.614) / 0.014)
    out += (0.04 + shape.chin) * bump(side, height, (0, 0.9), (0.2, 0.1))
    return out


def surface_point(skin: Floats, side: NDArray[np.float64], height: NDArray[np.float64]) -> Floats:
    """Points (N x 3) of the skin at canonical side (N) and height (N), bilinear in the grid."""
    heights, longitudes = skin_grid()
    row = interpolate(height, heights, np.arange(len(heights)))
    column = interpolate(np.degrees(side / SIDE), longitudes, np.arange(len(longitudes)))
    r, c = (
        np.minimum(row.astype(int), len(heights) - 2),
        np.minimum(column.astype(int), len(longitudes) - 2),
    )
    v, u = (row - r)[:, None], (column - c)[:, None]
    upper = skin[r, c] * (1 - u) + skin[r, c + 1] * u
    lower = skin[r + 1, c] * (1 - u) + skin[r + 1, c + 1] * u
    return np.asarray(upper * (1 - v) + lower * v, dtype=np.float32)


def ear_vertices(shape: Shape, sign: int) -> Floats:
    """An auricle (rows from the concha over the rim to its back, columns around) in the head frame.

    sign: +1 for the ear on the right of a frontal image.
    """
    rho = np.array([0.0, 0.3, 0.55, 0.72, 0.86, 0.97, 1.0, 0.93, 0.7])[:, None]
    lift = np.array([-0.01, -0.01, 0.015, 0.06, 0.09, 0.085, 0.05, 0.02, -0.03])[:, None]
    angle = np.linspace(0, 2 * np.pi, 19)[None]
    lobe = 1 - 0.28 * np.clip(sin(angle), 0, 1)  # narrower below
    back = 0.155 * rho * cos(angle) * lobe
    down = 0.27 * rho * sin(angle) + 0.05 * back
    out = lift * (1 - 0.5 * np.clip(-cos(angle), 0, 1) * (rho > 0.6))
    flare = np.radians(shape.ears_out)
    x = out * cos(flare) + (back + 0.12) * sin(flare)
    z = back * cos(flare) - out * sin(flare) + 0.1
    points = np.stack(
        [0.645 * shape.width + x * shape.ears, down * shape.ears + 0.17 + 0 * out, z], -1
    )
    points[..., 0] *= sign
    return np.asarray(points[:, ::-sign] if sign > 0 else points, dtype=np.float32)


@dataclass(frozen=True)
class Hair:
    """A hair style. Heights are canonical (-1 crown, 0 eyes, 1 chin); thickness in units."""

    top: float = 0.1  # thickness above; negative: bald
    sides: float = 0.08
    line: float = -0.55  # the hairline's height above the forehead
    fringe: float = 0.0  # how far hair falls over the forehead on the parted side
    parting: float = 0.25  # side coordinate of the parting: its sign tells left from right
    length: float = 0.0  # where a curtain of long hair ends (height); 0: none
    bun: float = 0.0  # radius of a bun
    bun_height: float = -0.6
    frizz: float = 0.01


@cache
def _hair_grid() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The line's average height and the strands' height in [-1; 1], on the skin grid."""
    heights, longitudes = skin_grid()
    height, longitude = heights[:, None], longitudes[None]
    line_at = [0, 22, 40, 52, 64, 72, 82, 102, 112, 180]
    level = [0.02, -0.02, 0.04, 0.3, 0.55, 0.82, 0.56, 0.56, 1.1, 1.3]
    line = interpolate(np.abs(longitude), line_at, level)
    around = np.radians(longitude)  # whole multiples of it: the ring of strands must close
    strands = sin(97 * around + 9 * height) * cos(41 * around - 5 * height)
    return line + 0.015 * sin(longitude + height * 7), strands


def hair_thickness(skin: Floats, hair: Hair) -> Floats:
    """How far hair stands off the skin grid (rows x columns); negative where there is none."""
    heights, longitudes = skin_grid()
    line, strands = _hair_grid()
    lock = _bell((longitudes + 35 * np.sign(hair.parting)) / 32)
    line = line + hair.line + hair.fringe * lock
    below = np.clip((line - heights[:, None]) / 0.22, -1, 1)
    amount = interpolate(skin[..., 1], [-0.75, -0.15], [hair.top, hair.sides])
    cover = np.where(below > 0, np.sqrt(np.abs(below)), below)
    groove = _bell((skin[..., 0] - hair.parting) / 0.05) * (skin[..., 2] < 0.25)
    thick = amount * cover * (1 - 0.45 * groove) + hair.frizz * strands * (below > 0.2)
    return np.where(amount < 0, -0.03, np.maximum(thick, -0.03)).astype(np.float32)


def curtain_vertices(hair: Hair) -> Floats:
    """Long hair hanging behind the ears: an open sheet around the back of the head."""
    longitude = np.radians(np.linspace(68, 292, 29))[None]
    down = np.linspace(0, 1, 9)[:, None]
    y = -0.6 + (hair.length + 0.6) * down + 0.03 * sin(longitude * 23) * down
    wave = 1 + 0.02 * sin(longitude * 31 + 3 * down) + 0.01 * sin(longitude * 57)
    x = (0.74 + hair.sides * 0.7 + 0.1 * down) * sin(longitude) * wave
    z = -(0.98 + hair.sides * 0.6 - 0.3 * _step(down, 0.3, 1.0)) * cos(longitude) * wave
    z = np.where(z < 0, z * 0.55, z) + 0.03
    tuck = 0.72 + 0.28 * _step(down, 0, 0.3)  # the upper end lies inside the hair of the cap
    x, z = x * tuck, z * tuck
    return np.stack([x, y + 0 * x, z + 0 * x], axis=-1).astype(np.float32)


def ball_vertices(centre: tuple[float, float, float], radius: float) -> Floats:
    """A sphere (a bun)."""
    polar = np.linspace(0, np.pi, 9)[:, None]
    around = np.linspace(-np.pi, np.pi, 17)[None]
    unit = np.stack(
        [
            sin(polar) * sin(around),
            -cos(polar) + 0 * around,
            -sin(polar) * cos(around),
        ],
        -1,
    )
    return np.asarray(np.array(centre) + radius * unit, dtype=np.float32)


def tube_vertices(rings: list[tuple[float, float, float, float]]) -> Floats:
    """A tube of elliptical rings, each (y, z of its centre, half width, half depth)."""
    around = np.radians(np.linspace(-180, 180, 29))
    table = np.array(rings)[:, :, None]
    x = table[:, 2] * sin(around)
    z = table[:, 1] - table[:, 3] * cos(around)
    return np.stack([x, table[:, 0] + 0 * x, z], axis=-1).astype(np.float32)


# Rings of `tube_vertices`. The neck moves with the head, the body does not.
NECK = [
    (0.45, 0.12, 0.42, 0.45),
    (0.8, 0.15, 0.41, 0.43),
    (1.1, 0.22, 0.42, 0.43),
    (1.5, 0.28, 0.48, 0.47),
]
BODY = [
    (1.16, 0.3, 0.38, 0.37),
    (1.22, 0.28, 0.56, 0.49),
    (1.3, 0.28, 0.9, 0.54),
    (1.4, 0.28, 1.35, 0.58),
    (1.56, 0.28, 1.72, 0.62),
    (1.95, 0.25, 1.88, 0.66),
    (2.6, 0.2, 1.9, 0.7),
    (4.0, 0.2, 1.85, 0.7),
    (9.0, 0.2, 1.8, 0.7),
]


# The 68 landmarks of the usual mark-up at canonical (side, height), for the left half of the image
# and the middle; the right half is its mirror image.
def landmarks_canonical() -> NDArray[np.float64]:
    """68 x 2: canonical (side, height) of jaw 0-16, brows 17-26, nose 27-35, eyes 36-47, lips."""
    jaw = [(-1.22, 0.0), (-1.2, 0.2), (-1.12, 0.42), (-1.02, 0.61), (-0.86, 0.76), (-0.66, 0.88)]
    jaw += [(-0.44, 0.95), (-0.22, 0.985), (0.0, 1.0)]
    brow = [(-0.46, -0.12), (-0.39, -0.175), (-0.3, -0.195), (-0.21, -0.18), (-0.12, -0.15)]
    nose = [(0, 0.0), (0, 0.12), (0, 0.24), (0, 0.35)]
    base = [(-0.115, 0.42), (-0.06, 0.435), (0.0, 0.445)]
    eye = [
        (-0.405, 0.0),
        (-0.34, -0.04),
        (-0.26, -0.04),
        (-0.195, 0.01),
        (-0.26, 0.035),
        (-0.34, 0.035),
    ]
    outer = [(-0.25, 0.61), (-0.16, 0.565), (-0.05, 0.54), (0, 0.55)]
    under = [(-0.16, 0.675), (-0.08, 0.7), (0, 0.705)]
    inner = [(-0.21, 0.61), (-0.08, 0.6), (0, 0.605)]
    inner_under = [(-0.08, 0.63), (0, 0.63)]

    def mirror(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
        return [(-side, height) for side, height in points]

    eye_right = mirror([eye[k] for k in (3, 2, 1, 0, 5, 4)])
    points = jaw + mirror(jaw[-2::-1]) + brow + mirror(brow[::-1]) + nose
    points += base + mirror(base[-2::-1]) + eye + eye_right
    points += outer + mirror(outer[-2::-1]) + mirror(under[:-1]) + under[::-1]
    points += inner + mirror(inner[-2::-1]) + mirror(inner_under[:1]) + inner_under[::-1]
    return np.array(points)


# Landmark i of a flipped face is landmark FLIP_68[i] of the face.
_JAW_BROWS_NOSE = [*range(16, -1, -1), *range(26, 16, -1), *range(27, 31), *range(35, 30, -1)]
_EYES = [45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40]
_LIPS = [*range(54, 47, -1), *range(59, 54, -1), *range(64, 59, -1), *range(67, 64, -1)]
FLIP_68 = np.array([*_JAW_BROWS_NOSE, *_EYES, *_LIPS])
