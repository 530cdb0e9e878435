"""A person: identity drawn at random, and the textured parts it consists of."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from data.demo import head
from data.demo.head import Expression, Hair, Shape
from data.demo.paint import FACE_H, FACE_W, HAIR_W, PLAIN_H, PLAIN_W, Colours, atlas_uv_face
from data.demo.raster import Floats, grid_normals
from data.demo.steady import Draws, cos, sin

SKINS = [
    (190, 205, 238),
    (170, 195, 232),
    (140, 170, 215),
    (110, 145, 198),
    (75, 110, 165),
    (55, 80, 125),
]
SKINS += [(40, 58, 92)]
HAIRS = [(22, 22, 26), (30, 42, 62), (38, 62, 100), (70, 120, 170), (110, 175, 215), (35, 60, 140)]
HAIRS += [(165, 168, 172)]
IRISES = [(40, 60, 90), (60, 85, 110), (140, 110, 70), (110, 130, 90), (150, 140, 130)]


@dataclass(frozen=True)
class Person:
    """Everything that stays when the head turns."""

    shape: Shape
    hair: Hair
    colours: Colours
    glasses: bool


@dataclass(frozen=True)
class Part:
    """A vertex grid (rows x columns x 3) with its atlas coordinates and ambient light in [0; 1]."""

    vertices: Floats
    uv: Floats  # rows x columns x 2, atlas pixels
    ambient: Floats  # rows x columns
    two_sided: bool = False
    body: bool = False  # does not move with the head
    gloss: float = 0.1
    hidden: NDArray[np.bool_] | None = None  # rows x columns: certainly behind another part


def sample_person(rng: Draws) -> Person:
    """A random identity."""
    normal, uniform = rng.normal, rng.uniform
    shape = Shape(
        width=1 + normal(0, 0.035),
        depth=1 + normal(0, 0.03),
        jaw=1 + normal(0, 0.06),
        chin=normal(0, 0.02),
        chin_drop=normal(0, 0.035),
        brow=normal(0, 0.012),
        cheek=normal(0, 0.015),
        nose=1 + normal(0, 0.12),
        nose_width=1 + normal(0, 0.12),
        nose_drop=normal(0, 0.02),
        nose_side=normal(0, 0.012),
        lips=1 + normal(0, 0.2),
        ears=1 + normal(0, 0.1),
        ears_out=uniform(10, 35),
    )
    tone = uniform(0, len(SKINS) - 1.001)
    low, part = int(tone), tone % 1
    skin = (1 - part) * np.array(SKINS[low]) + part * np.array(SKINS[low + 1])
    skin *= 1 + normal(0, 0.03, 3)
    hair_colour = np.array(HAIRS[rng.integers(len(HAIRS) if tone < 3 else 3)]) * uniform(0.8, 1.2)
    bearded = rng.random() < 0.3
    red = skin * (0.72, 0.68, 0.9) * (1 + normal(0, 0.05))
    colours = Colours(
        skin=_colour(skin),
        lips=_colour(red * (1, 1, 1.05) if rng.random() < 0.8 else skin * (0.6, 0.45, 0.95)),
        hair=_colour(hair_colour),
        brow=_colour(np.minimum(hair_colour * 0.8, skin * 0.6)),
        iris=_colour(np.array(IRISES[rng.integers(len(IRISES) if tone < 3 else 2)])),
        cloth=_colour(uniform(20, 190) + uniform(-45, 45, 3)),
        beard=uniform(0.2, 0.95) if bearded else 0.0,
        moustache=uniform(0.2, 0.95) if bearded or rng.random() < 0.08 else 0.0,
        brow_weight=uniform(0.7, 1.4),
        freckles=float(rng.random() < 0.15),
        mole=(float(rng.choice([-1, 1])) * uniform(0.25, 0.6), uniform(0.15, 0.5)),
        seed=int(rng.integers(2**31)),
    )
    return Person(shape, _sample_hair(rng), colours, glasses=bool(rng.random() < 0.15))


def _sample_hair(rng: Draws) -> Hair:
    uniform = rng.uniform
    parting = float(rng.choice([-1, 1])) * uniform(0.12, 0.38)
    base = Hair(line=uniform(-0.74, -0.56), parting=parting, frizz=uniform(0, 0.02))
    style = rng.choice(
        ["bald", "buzz", "short", "full", "afro", "long", "bun"],
        p=[0.08, 0.1, 0.25, 0.15, 0.07, 0.22, 0.13],
    )
    styles = {
        "bald": replace(base, top=-1.0, sides=uniform(-0.05, 0.05)),
        "buzz": replace(base, top=0.03, sides=0.02, frizz=0.003),
        "short": replace(
            base, top=uniform(0.07, 0.13), sides=uniform(0.03, 0.07), fringe=uniform(0, 0.15)
        ),
        "full": replace(
            base, top=uniform(0.12, 0.2), sides=uniform(0.09, 0.14), fringe=uniform(0.05, 0.25)
        ),
        "afro": replace(
            base,
            top=uniform(0.25, 0.4),
            sides=uniform(0.22, 0.35),
            frizz=0.03,
            parting=parting * 20,
        ),
        "long": replace(
            base, top=0.1, sides=0.08, fringe=uniform(0, 0.3), length=uniform(0.6, 1.7)
        ),
        "bun": replace(
            base, top=0.05, sides=0.05, bun=uniform(0.2, 0.33), bun_height=uniform(-0.9, 0.1)
        ),
    }
    return styles[str(style)]


def sample_expression(rng: Draws) -> Expression:
    """A random moment."""
    return Expression(
        mouth_open=max(0.0, float(rng.normal(-0.1, 0.4))),
        smile=float(np.clip(rng.normal(0.2, 0.5), -0.6, 1.2)),
        brows_up=float(rng.normal(0, 0.4)),
        eyes_closed=float(np.clip(rng.normal(0.05, 0.2), 0, 1)),
        gaze_side=float(rng.normal(0, 0.5)),
        gaze_down=float(rng.normal(0, 0.4)),
    )


def parts(person: Person, face: Expression, skin: Floats) -> Iterator[Part]:
    """The parts of one person. skin: `head.skin_vertices` of the person and the expression."""
    heights, longitudes = head.skin_grid()
    height, longitude = np.meshgrid(heights, longitudes, indexing="ij")
    thick = head.hair_thickness(skin, person.hair)
    under = np.clip((height - 0.98) / 0.25, 0, 1)
    face_uv = atlas_uv_face(_f32(head.SIDE * np.radians(longitude)), _f32(height))
    yield Part(skin, face_uv, _f32(1 - 0.45 * under), hidden=thick > 0.012)
    if thick.max() > 0:
        cap = skin + grid_normals(skin) * thick[..., None]
        uv = _hair_uv(longitude * 2.2, 4 + (height + 1) * 0.5 * (FACE_H - 40))
        light = _f32(1 - 0.3 * np.clip(height, 0, 1))
        yield Part(cap, uv, light, gloss=0.16, hidden=thick < -0.012)
    for sign in (-1, 1):
        yield _ear(person, sign)
    yield from _extras(person, skin)
    yield _plain(head.tube_vertices(head.NECK), 0, np.linspace(0.45, 0.95, 4))
    yield _plain(head.tube_vertices(head.BODY), 1, np.array([0.7, 0.9] + [1.0] * 7), body=True)


def _extras(person: Person, skin: Floats) -> Iterator[Part]:
    hair = person.hair
    if hair.length:
        sheet = head.curtain_vertices(hair)
        u = np.linspace(0, 600, sheet.shape[1])[None] + np.zeros((sheet.shape[0], 1))
        v = np.linspace(60, FACE_H - 60, sheet.shape[0])[:, None] + 0 * u
        yield Part(sheet, _hair_uv(u, v), _f32(0.95 + 0 * u), two_sided=True, gloss=0.16)
    if hair.bun:
        slope = 0.75 * hair.bun_height
        centre = (0.0, hair.bun_height - 0.1, 0.95 + 0.1 * hair.bun - 0.6 * slope * slope)
        ball = head.ball_vertices(centre, hair.bun)
        u = np.linspace(0, 250, ball.shape[1])[None] + np.zeros((ball.shape[0], 1))
        yield Part(
            ball, _hair_uv(u, np.linspace(20, 200, ball.shape[0])[:, None] + 0 * u), _f32(1 + 0 * u)
        )
    if person.glasses:
        yield from _glasses(skin)


def _ear(person: Person, sign: int) -> Part:
    ear = head.ear_vertices(person.shape, sign)
    return _plain(ear, 0, np.array([0.45, 0.55, 0.65, 0.85, 1.0, 1.0, 0.9, 0.8, 0.6]))


def _glasses(skin: Floats) -> Iterator[Part]:
    """Two rims, a bridge and two temples: thin two-sided bands."""
    for sign in (-1, 1):
        angle = np.linspace(0, 2 * np.pi, 21)
        centre = head.surface_point(skin, np.array([sign * 0.3]), np.array([0.01]))[0] - [0, 0, 0.1]
        ring = [
            np.stack(
                [
                    radius * 1.15 * cos(angle),
                    radius * sin(angle),
                    0.3 * (radius * cos(angle) * sign) ** 2,
                ],
                -1,
            )
            for radius in (0.15, 0.172)
        ]
        yield _plain(_f32(centre + np.array(ring)), 2, np.ones(2), two_sided=True)
        start = centre + np.array([sign * 0.19, -0.02, 0.01])
        bar = np.linspace(start, [sign * 0.69, 0.0, 0.1], 9)
        bar[:, 0] += sign * 0.12 * sin(np.linspace(0, np.pi, 9))
        yield _band(bar, 0.013)
    middle = head.surface_point(skin, np.zeros(1), np.array([-0.03]))[0] - [0, 0, 0.035]
    yield _band(middle + np.linspace(-1, 1, 7)[:, None] * [0.12, 0, 0], 0.012)


def _band(line: NDArray[np.float64], half: float) -> Part:
    """A dark strip along a line (N x 3), `half` units above and below it."""
    up = np.array([0, half, 0])
    return _plain(_f32([line - up, line + up]), 2, np.ones(2), two_sided=True)


def _plain(
    vertices: Floats, patch: int, ambient: np.ndarray, body: bool = False, two_sided: bool = False
) -> Part:
    """A part of one colour: patch 0 skin, 1 cloth, 2 frames of glasses. ambient: one per row."""
    uv = np.empty((*vertices.shape[:2], 2), dtype=np.float32)
    uv[:] = FACE_W + HAIR_W + PLAIN_W / 2, (patch + 0.5) * PLAIN_H
    light = np.broadcast_to(np.asarray(ambient, np.float32)[:, None], vertices.shape[:2])
    return Part(vertices, uv, light, body=body, two_sided=two_sided)


def _hair_uv(u: np.ndarray, v: np.ndarray) -> Floats:
    """Atlas pixels of hair: u folds back and forth over the strip, so that it never jumps."""
    span = HAIR_W - 8
    folded = span - np.abs(np.mod(u, 2 * span) - span)
    return np.stack([FACE_W + 4 + folded, np.clip(v, 4, FACE_H - 4)], -1).astype(np.float32)


def _colour(bgr: np.ndarray) -> tuple[float, float, float]:
    b, g, r = np.clip(bgr, 0, 255)
    return float(b), float(g), float(r)


def _f32(array: object) -> Floats:
    return np.asarray(array, dtype=np.float32)
