"""The texture atlas of one person: skin with eyes, brows, lips and beard; hair; cloth.

The face is painted at canonical (side, height), see head.py, `DENSITY` pixels per unit. Colours are
BGR, 0-255.
"""

from dataclasses import dataclass
from functools import cache, lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from data.demo.head import Expression, Hair, bump
from data.demo.pictures import LEVEL, Image, grow, noise
from data.demo.raster import Floats
from data.demo.steady import Draws, cos, decay, draws, root34, sin

Colour = tuple[float, float, float]

DENSITY = 128
FACE_SIDE, FACE_TOP, FACE_BOTTOM = 1.5, -1.0, 1.4  # canonical extent of the painted skin
FACE_W, FACE_H = round(2 * FACE_SIDE * DENSITY), round((FACE_BOTTOM - FACE_TOP) * DENSITY)
HAIR_W, PLAIN_W = 128, 64  # columns of the atlas right of the face: hair strands, plain patches
ATLAS_W = FACE_W + HAIR_W + PLAIN_W
PLAIN_H = FACE_H // 3  # three plain patches: skin, cloth, frames of glasses


@dataclass(frozen=True)
class Colours:
    """What one person is painted with."""

    skin: Colour = (150, 175, 222)
    lips: Colour = (110, 115, 195)
    hair: Colour = (40, 60, 90)
    brow: Colour = (35, 50, 70)
    iris: Colour = (110, 80, 50)
    cloth: Colour = (140, 90, 60)
    beard: float = 0.0  # 0 shaven, 1 full
    moustache: float = 0.0
    brow_weight: float = 1.0
    freckles: float = 0.0
    mole: tuple[float, float] = (0.4, 0.35)  # canonical (side, height): one side only
    seed: int = 0  # of the fine structure


def atlas_uv_face(side: Floats, height: Floats) -> Floats:
    """Place in the atlas (..., 2), pixels from its corner, of canonical (side, height)."""
    u = (np.clip(side, -FACE_SIDE, FACE_SIDE) + FACE_SIDE) * DENSITY
    v = (np.clip(height, FACE_TOP, FACE_BOTTOM) - FACE_TOP) * DENSITY
    return np.stack([np.clip(u, 1, FACE_W - 2), np.clip(v, 1, FACE_H - 2)], axis=-1).astype(
        np.float32
    )


@lru_cache(maxsize=8)
def paint_atlas(colours: Colours, face: Expression, hair: Hair) -> Image:
    """The whole atlas (FACE_H x ATLAS_W x 3), shared between calls: never write to it."""
    rng = draws(colours.seed)
    atlas = np.empty((FACE_H, ATLAS_W, 3), dtype=np.uint8)
    atlas[:, :FACE_W] = _paint_face(colours, face, hair, rng)
    atlas[:, FACE_W : FACE_W + HAIR_W] = _paint_strands(colours.hair, rng)
    plain = [colours.skin, colours.cloth, (25.0, 25.0, 30.0)]
    for k, colour in enumerate(plain):
        atlas[k * PLAIN_H : (k + 1) * PLAIN_H, FACE_W + HAIR_W :] = np.array(colour, dtype=np.uint8)
    return atlas


def _paint_face(colours: Colours, face: Expression, hair: Hair, rng: Draws) -> Image:
    maps = _maps()
    patches = _wave(rng, (24, 30), (FACE_W, FACE_H))
    grain = _wave(rng, (FACE_H // 2, FACE_W // 2), (FACE_W, FACE_H))
    tone = maps["shade"] * (1 + 0.02 * patches + 0.025 * grain)
    tone -= colours.freckles * 0.25 * maps["cheeks"] * (grain > 1.2)
    hairy = np.maximum(colours.beard * maps["beard"], colours.moustache * maps["moustache"])
    if hair.top >= 0:  # the scalp under the hair
        hairy = np.maximum(hairy, 0.75 * maps["scalp"])
    hairy = np.clip(hairy * (0.85 + 0.3 * grain), 0, 1)
    planes = []
    for skin, blush, strand in zip(colours.skin, (-10, -12, 12), colours.hair, strict=True):
        plane = tone * skin + maps["red"] * blush
        planes.append(np.clip(plane + (0.8 * strand - plane) * hairy, 0, 255).astype(np.uint8))
    canvas = np.asarray(cv2.merge(planes), np.uint8)
    _paint_mouth(canvas, colours, face)
    for sign in (-1, 1):
        _paint_eye(canvas, colours, face, sign)
        _paint_brow(canvas, colours, face, sign, rng)
        dark = tuple(0.3 * c for c in colours.skin)
        nostril = _ellipse((sign * 0.062, 0.43), (0.034, 0.014), 0.25 * sign)
        _fill(canvas, nostril, dark)
    _fill(canvas, _ellipse(colours.mole, (0.018, 0.016), 0), tuple(0.4 * c for c in colours.skin))
    return canvas


def _wave(rng: Draws, shape: tuple[int, int], size_wh: tuple[int, int]) -> Floats:
    """Smooth noise of standard deviation 1 or less about 0 (H x W), from fewer numbers."""
    return (grow(noise(rng, shape), size_wh).astype(np.float32) - 128) / LEVEL


def _paint_mouth(canvas: Image, colours: Colours, face: Expression) -> None:
    x = np.linspace(-0.25, 0.25, 21)
    edge = np.clip(1 - (x / 0.25) ** 2, 0, 1)
    seam = 0.612 + 0 * x
    upper = seam - root34(edge) * 0.068 + 0.018 * decay((x / 0.035) ** 2)
    lower = seam + root34(edge) * 0.092
    lips = np.array(colours.lips)
    _fill(canvas, _ring(x, upper, seam), tuple(0.88 * lips))
    _fill(canvas, _ring(x, seam, lower), tuple(lips))
    gloss = _ellipse((0.0, 0.665), (0.1, 0.014), 0)
    _fill(canvas, gloss, tuple(np.minimum(1.12 * lips + 6, 255)))
    # The mouth's inside is a narrow band of paint which the open jaw stretches.
    inner = seam + 0.002 + 0.012 * np.sqrt(edge) * (face.mouth_open > 0.05)
    _fill(canvas, _ring(x * 0.96, seam - 0.004, inner + 0.003), (28, 22, 45))
    if face.mouth_open > 0.15:
        teeth = seam + 0.006
        _fill(canvas, _ring(x * 0.78, seam - 0.006, teeth), (205, 215, 222))


def _paint_eye(canvas: Image, colours: Colours, face: Expression, sign: int) -> None:
    x = np.linspace(-0.11, 0.11, 19)
    arc = np.clip(1 - (x / 0.11) ** 2, 0, 1)
    gap = 1 - face.eyes_closed
    tilt = -0.012 * x / 0.11  # the outer corner lies a little higher
    upper = tilt + 0.012 - (0.07 * gap - 0.008) * root34(arc)
    lower = tilt + 0.012 + 0.034 * root34(arc)
    along = sign * (x + 0.3)
    rows = slice(*(round((h - FACE_TOP) * DENSITY) for h in (-0.15, 0.15)))
    shift = rows.start / DENSITY  # the eye is painted on a strip of its own
    mask = np.zeros((rows.stop - rows.start, canvas.shape[1]), np.uint8)
    _fill(mask, _ring(along, upper - shift, lower - shift), (255,))
    eye = np.full((*mask.shape, 3), (212, 218, 222), np.uint8)
    look = (sign * 0.3 + 0.045 * face.gaze_side, -0.006 + 0.018 * face.gaze_down - shift)
    _fill(eye, _ellipse(look, (0.053, 0.053), 0), tuple(0.45 * c for c in colours.iris))
    _fill(eye, _ellipse(look, (0.045, 0.045), 0), colours.iris)
    _fill(eye, _ellipse(look, (0.021, 0.021), 0), (12, 12, 12))
    _fill(eye, _ellipse((look[0] - 0.018, look[1] - 0.02), (0.011, 0.011), 0), (245, 245, 245))
    _fill(
        eye, _ring(along, upper - shift - 0.01, upper - shift + 0.016), (90, 95, 110)
    )  # the lid's shadow
    alpha = mask[..., None].astype(np.int32)
    canvas[rows] = (canvas[rows] * (255 - alpha) + eye * alpha) // 255
    skin = np.array(colours.skin)
    _stroke(canvas, along, upper - 0.035 * gap - 0.008, tuple(0.62 * skin), 1)
    _stroke(canvas, along, lower + 0.004, tuple(0.68 * skin), 1)
    _stroke(canvas, along, upper, tuple(0.16 * skin), 2)


def _paint_brow(canvas: Image, colours: Colours, face: Expression, sign: int, rng: Draws) -> None:
    x = np.linspace(0.1, 0.47, 15)
    t = (x - 0.1) / 0.37
    raise_by = 0.05 * face.brows_up + rng.normal(0, 0.008)
    middle = -0.15 - 0.06 * sin(np.pi * root34(t)) - 0.005 + 0.04 * t * t * t - raise_by
    half = 0.027 * colours.brow_weight * (1 - 0.75 * t * np.sqrt(t))
    _fill(canvas, _ring(sign * x, middle - half, middle + half), colours.brow)


def _paint_strands(colour: Colour, rng: Draws) -> Image:
    """Hair (FACE_H x HAIR_W x 3): strands run down; left and right edges fit together."""
    size_wh = (HAIR_W, FACE_H)
    value = 0.13 * _wave(rng, (FACE_H // 32, HAIR_W), size_wh)
    value += 0.16 * _wave(rng, (4, HAIR_W // 8), size_wh)
    half = HAIR_W // 2
    value[:, half:] = value[:, half - 1 :: -1]  # a mirror image has no seam
    return np.clip(np.array(colour) * (1 + value[..., None]), 0, 255).astype(np.uint8)


@cache
def _maps() -> dict[str, Floats]:
    """Smooth maps (FACE_H x FACE_W) that all faces share."""
    side = ((np.arange(FACE_W) + 0.5) / DENSITY - FACE_SIDE)[None]
    height = ((np.arange(FACE_H) + 0.5) / DENSITY + FACE_TOP)[:, None]
    far = np.abs(side)
    shade = 1 - 0.2 * bump(far, height, (0.25, -0.02), (0.17, 0.1))  # sockets
    shade -= 0.1 * bump(far, height, (0.27, 0.09), (0.12, 0.05))  # below the eyes
    shade -= 0.26 * bump(side, height, (0, 0.455), (0.1, 0.025))  # under the nose
    shade -= 0.15 * bump(far, height, (0.155, 0.38), (0.025, 0.05))  # beside the wings
    shade -= (
        0.12
        * decay(((far - 0.19 - 0.35 * (height - 0.4)) / 0.025) ** 2)
        * (bump(side, height, (0, 0.5), (1, 0.11)))
    )  # folds from nose to mouth
    shade -= 0.14 * bump(side, height, (0, 0.76), (0.16, 0.03))  # under the lip
    shade -= 0.35 * np.clip((height - 1.0) / 0.2, 0, 1)  # under the jaw
    shade += 0.05 * bump(side, height, (0, 0.25), (0.05, 0.2))
    red = bump(far, height, (0.42, 0.28), (0.2, 0.14)) + 0.8 * bump(
        side, height, (0, 0.34), (0.1, 0.1)
    )
    jaw = np.clip((height - (0.3 + 0.35 * root34(np.clip(1 - far / 0.9, 0, 1)))) / 0.1, 0, 1)
    jaw *= np.clip((1.25 - far) / 0.1, 0, 1)
    around = np.clip(((far / 0.28) ** 2 + ((height - 0.62) / 0.13) ** 2 - 1) / 0.25, 0, 1)
    moustache = np.clip(1.3 - ((far / 0.27) ** 2) ** 2, 0, 1) * bump(
        0 * side, height, (0, 0.51), (1, 0.042)
    )
    aside = np.clip(far - 0.6, 0, None)
    scalp = np.clip((-0.52 + 0.35 * aside * np.sqrt(aside) - height) / 0.1, 0, 1)
    maps = {
        "shade": shade,
        "red": red,
        "beard": jaw * around,
        "moustache": moustache,
        "scalp": scalp,
    }
    maps["cheeks"] = np.clip(bump(far, height, (0.3, 0.22), (0.25, 0.15)), 0, 1)
    return {name: value.astype(np.float32) for name, value in maps.items()}


def _ring(x: NDArray[np.float64], upper: NDArray[np.float64], lower: NDArray[np.float64]) -> Floats:
    """The outline between two curves over the same x."""
    up, down = np.stack([x, upper + 0 * x], -1), np.stack([x, lower + 0 * x], -1)
    return np.concatenate([up, down[::-1]]).astype(np.float32)


@cache
def _circle() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    return cos(angle), sin(angle)


def _ellipse(centre: tuple[float, float], radii: tuple[float, float], turn: float) -> Floats:
    """An outline. turn: radians."""
    x, y = (radius * unit for radius, unit in zip(radii, _circle(), strict=True))
    cosine, sine = cos(turn), sin(turn)
    points = [x * cosine - y * sine + centre[0], x * sine + y * cosine + centre[1]]
    return np.stack(points, -1).astype(np.float32)


def _pixels(outline: Floats) -> NDArray[np.int32]:
    scaled = (outline - np.array([-FACE_SIDE, FACE_TOP])) * DENSITY - 0.5
    return np.round(scaled * 16).astype(np.int32)


def _fill(canvas: Image, outline: Floats, colour: tuple[float, ...]) -> None:
    cv2.fillPoly(canvas, [_pixels(outline)], tuple(map(float, colour)), cv2.LINE_AA, 4)


def _stroke(
    canvas: Image, x: NDArray[np.float64], y: NDArray[np.float64], colour: Colour, thickness: int
) -> None:
    line = _pixels(np.stack([x, y], -1).astype(np.float32))
    cv2.polylines(canvas, [line], False, tuple(map(float, colour)), thickness, cv2.LINE_AA, 4)
