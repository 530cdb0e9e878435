"""The texture atlas of one person: skin with eyes, brows, lips and beard; hair; cloth.

The face is painted at canonical (side, height), see head.py, `DENSITY` pixels a unit. Colours are
BGR, 0-255.
"""

from dataclasses import dataclass
from functools import cache, lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from data.demo.head import Expression, Hair, bump
from data.demo.raster import Floats

Image = NDArray[np.uint8]
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
    """Atlas pixel (..., 2) of canonical (side, height)."""
    u = (np.clip(side, -FACE_SIDE, FACE_SIDE) + FACE_SIDE) * DENSITY
    v = (np.clip(height, FACE_TOP, FACE_BOTTOM) - FACE_TOP) * DENSITY
    return np.stack([np.clip(u, 1, FACE_W - 2), np.clip(v, 1, FACE_H - 2)], axis=-1).astype(
        np.float32
    )


@lru_cache(maxsize=8)
def paint_atlas(colours: Colours, face: Expression, hair: Hair) -> Image:
    """The whole atlas (FACE_H x ATLAS_W x 3), shared between calls: never write to it."""
    rng = np.random.default_rng(colours.seed)
    atlas = np.empty((FACE_H, ATLAS_W, 3), dtype=np.uint8)
    atlas[:, :FACE_W] = _paint_face(colours, face, hair, rng)
    atlas[:, FACE_W : FACE_W + HAIR_W] = _paint_strands(colours.hair, rng)
    plain = [colours.skin, colours.cloth, (25.0, 25.0, 30.0)]
    for k, colour in enumerate(plain):
        atlas[k * PLAIN_H : (k + 1) * PLAIN_H, FACE_W + HAIR_W :] = np.array(colour, dtype=np.uint8)
    return atlas


def _paint_face(colours: Colours, face: Expression, hair: Hair, rng: np.random.Generator) -> Image:
    maps = _maps()
    skin = np.array(colours.skin, dtype=np.float32)
    noise = cv2.resize(rng.normal(0, 1, (24, 30)).astype(np.float32), (FACE_W, FACE_H))
    grain = cv2.resize(
        rng.normal(0, 1, (FACE_H // 2, FACE_W // 2)).astype(np.float32), (FACE_W, FACE_H)
    )
    tone = maps["shade"] * (1 + 0.02 * noise + 0.025 * grain)
    tone -= colours.freckles * 0.25 * maps["cheeks"] * (grain > 1.2)
    image = skin * tone[..., None]
    image += maps["red"][..., None] * np.array([-10, -12, 12], np.float32)
    hairy = np.maximum(colours.beard * maps["beard"], colours.moustache * maps["moustache"])
    if hair.top >= 0:  # the scalp under the hair
        hairy = np.maximum(hairy, 0.75 * maps["scalp"])
    hairy = np.clip(hairy * (0.85 + 0.3 * grain), 0, 1)[..., None]
    image = image * (1 - hairy) + np.array(colours.hair, np.float32) * 0.8 * hairy
    canvas = np.clip(image, 0, 255).astype(np.uint8)
    _paint_mouth(canvas, colours, face)
    for sign in (-1, 1):
        _paint_eye(canvas, colours, face, sign)
        _paint_brow(canvas, colours, face, sign, rng)
        dark = tuple(0.3 * c for c in colours.skin)
        nostril = _ellipse((sign * 0.062, 0.43), (0.034, 0.014), 0.25 * sign)
        _fill(canvas, nostril, dark)
    _fill(canvas, _ellipse(colours.mole, (0.018, 0.016), 0), tuple(0.4 * c for c in colours.skin))
    return canvas


def _paint_mouth(canvas: Image, colours: Colours, face: Expression) -> None:
    x = np.linspace(-0.25, 0.25, 21)
    edge = 1 - (x / 0.25) ** 2
    seam = 0.612 + 0 * x
    upper = seam - edge**0.8 * 0.068 + 0.018 * np.exp(-((x / 0.035) ** 2))
    lower = seam + edge**0.75 * 0.092
    lips = np.array(colours.lips)
    _fill(canvas, _ring(x, upper, seam), tuple(0.88 * lips))
    _fill(canvas, _ring(x, seam, lower), tuple(lips))
    gloss = _ellipse((0.0, 0.665), (0.1, 0.014), 0)
    _fill(canvas, gloss, tuple(np.minimum(1.12 * lips + 6, 255)))
    # The mouth's inside is a narrow band of paint which the open jaw stretches.
    inner = seam + 0.002 + 0.012 * edge**0.5 * (face.mouth_open > 0.05)
    _fill(canvas, _ring(x * 0.96, seam - 0.004, inner + 0.003), (28, 22, 45))
    if face.mouth_open > 0.15:
        teeth = seam + 0.006
        _fill(canvas, _ring(x * 0.78, seam - 0.006, teeth), (205, 215, 222))


def _paint_eye(canvas: Image, colours: Colours, face: Expression, sign: int) -> None:
    x = np.linspace(-0.11, 0.11, 19)
    arc = np.clip(1 - (x / 0.11) ** 2, 0, 1)
    gap = 1 - face.eyes_closed
    tilt = -0.012 * x / 0.11  # the outer corner lies a little higher
    upper = tilt + 0.012 - (0.07 * gap - 0.008) * arc**0.7
    lower = tilt + 0.012 + 0.034 * arc**0.8
    along = sign * (x + 0.3)
    almond = _ring(along, upper, lower)
    mask = np.zeros(canvas.shape[:2], np.uint8)
    _fill(mask, almond, (255,))
    eye = np.empty_like(canvas)
    eye[:] = (212, 218, 222)
    look = (sign * 0.3 + 0.045 * face.gaze_side, -0.006 + 0.018 * face.gaze_down)
    _fill(eye, _ellipse(look, (0.053, 0.053), 0), tuple(0.45 * c for c in colours.iris))
    _fill(eye, _ellipse(look, (0.045, 0.045), 0), colours.iris)
    _fill(eye, _ellipse(look, (0.021, 0.021), 0), (12, 12, 12))
    _fill(eye, _ellipse((look[0] - 0.018, look[1] - 0.02), (0.011, 0.011), 0), (245, 245, 245))
    _fill(eye, _ring(along, upper - 0.01, upper + 0.016), (90, 95, 110))  # the lid's shadow
    rows = slice(*(round((h - FACE_TOP) * DENSITY) for h in (-0.15, 0.15)))
    alpha = (mask[rows] / np.float32(255))[..., None]
    canvas[rows] = (canvas[rows] * (1 - alpha) + eye[rows] * alpha).astype(np.uint8)
    skin = np.array(colours.skin)
    _stroke(canvas, along, upper - 0.035 * gap - 0.008, tuple(0.62 * skin), 1)
    _stroke(canvas, along, lower + 0.004, tuple(0.68 * skin), 1)
    _stroke(canvas, along, upper, tuple(0.16 * skin), 2)


def _paint_brow(
    canvas: Image, colours: Colours, face: Expression, sign: int, rng: np.random.Generator
) -> None:
    x = np.linspace(0.1, 0.47, 15)
    t = (x - 0.1) / 0.37
    raise_by = 0.05 * face.brows_up + rng.normal(0, 0.008)
    middle = -0.15 - 0.06 * np.sin(np.pi * t**0.8) - 0.005 + 0.04 * t**3 - raise_by
    half = 0.027 * colours.brow_weight * (1 - 0.75 * t**1.5)
    _fill(canvas, _ring(sign * x, middle - half, middle + half), colours.brow)


def _paint_strands(colour: Colour, rng: np.random.Generator) -> Image:
    """Hair (FACE_H x HAIR_W x 3): strands run down; left and right edges fit together."""
    fine = rng.normal(0, 1, (FACE_H // 32, HAIR_W)).astype(np.float32)
    coarse = rng.normal(0, 1, (4, HAIR_W // 8)).astype(np.float32)
    size = (HAIR_W, FACE_H)
    value = 0.13 * cv2.resize(fine, size) + 0.16 * cv2.resize(
        coarse, size, interpolation=cv2.INTER_CUBIC
    )
    half = HAIR_W // 2
    value[:, half:] = value[:, half - 1 :: -1]  # a mirror image has no seam
    return np.clip(np.array(colour) * (1 + value[..., None]), 0, 255).astype(np.uint8)


@cache
def _maps() -> dict[str, Floats]:
    """Smooth maps (FACE_H x FACE_W) that all faces share."""
    side, height = np.meshgrid(
        (np.arange(FACE_W) + 0.5) / DENSITY - FACE_SIDE,
        (np.arange(FACE_H) + 0.5) / DENSITY + FACE_TOP,
    )
    far = np.abs(side)
    shade = 1 - 0.2 * bump(far, height, (0.25, -0.02), (0.17, 0.1))  # sockets
    shade -= 0.1 * bump(far, height, (0.27, 0.09), (0.12, 0.05))  # below the eyes
    shade -= 0.26 * bump(side, height, (0, 0.455), (0.1, 0.025))  # under the nose
    shade -= 0.15 * bump(far, height, (0.155, 0.38), (0.025, 0.05))  # beside the wings
    shade -= (
        0.12
        * np.exp(-(((far - 0.19 - 0.35 * (height - 0.4)) / 0.025) ** 2))
        * (bump(side, height, (0, 0.5), (1, 0.11)))
    )  # folds from nose to mouth
    shade -= 0.14 * bump(side, height, (0, 0.76), (0.16, 0.03))  # under the lip
    shade -= 0.35 * np.clip((height - 1.0) / 0.2, 0, 1)  # under the jaw
    shade += 0.05 * bump(side, height, (0, 0.25), (0.05, 0.2))
    red = bump(far, height, (0.42, 0.28), (0.2, 0.14)) + 0.8 * bump(
        side, height, (0, 0.34), (0.1, 0.1)
    )
    jaw = np.clip((height - (0.3 + 0.35 * np.clip(1 - far / 0.9, 0, 1) ** 0.7)) / 0.1, 0, 1)
    jaw *= np.clip((1.25 - far) / 0.1, 0, 1)
    around = np.clip(((far / 0.28) ** 2 + ((height - 0.62) / 0.13) ** 2 - 1) / 0.25, 0, 1)
    moustache = np.clip(1.3 - (far / 0.27) ** 4, 0, 1) * bump(
        0 * side, height, (0, 0.51), (1, 0.042)
    )
    scalp = np.clip((-0.52 + 0.35 * np.clip(far - 0.6, 0, None) ** 1.5 - height) / 0.1, 0, 1)
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


def _ellipse(centre: tuple[float, float], radii: tuple[float, float], turn: float) -> Floats:
    angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    x, y = radii[0] * np.cos(angle), radii[1] * np.sin(angle)
    points = [
        x * np.cos(turn) - y * np.sin(turn) + centre[0],
        x * np.sin(turn) + y * np.cos(turn) + centre[1],
    ]
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
