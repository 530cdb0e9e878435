"""Heads in known poses with their axes, to check by eye that pose and picture agree.

Red: the head's x axis, to the right in a frontal image. Green: its y axis, to the chin. Blue: where
the face looks, against its z axis. All are columns of R, drawn as they project.
"""

from pathlib import Path

import cv2
import numpy as np
import tyro

from data.demo.corpus import Pose
from data.demo.person import sample_expression, sample_person
from data.demo.raster import Floats
from data.demo.render import Camera, Image, Light, View, project, render_head
from data.demo.steady import draws

CELL_WH = (138, 154)
RED, GREEN, BLUE = (40, 40, 230), (60, 200, 60), (240, 110, 30)  # BGR
YAWS = (-90, -60, -30, 0, 30, 60, 90)
TILTS = (-60, -40, -20, 0, 20, 40, 60)
ROWS: tuple[list[Pose], ...] = (
    [(0, yaw, 0) for yaw in YAWS],
    [(0, yaw, 0) for yaw in YAWS],
    [(pitch, 0, 0) for pitch in TILTS],
    [(pitch, 45, 0) for pitch in TILTS],
    [(0, 0, roll) for roll in TILTS],
    [(20, yaw, -15) for yaw in YAWS],
)


def main(*, out: Path = Path("docs/contact_sheet.png"), seed: int = 12) -> None:
    rows = []
    for number, poses in enumerate(ROWS):
        rng = draws(seed, number)
        person, face = sample_person(rng), sample_expression(rng)
        light = Light(direction=(-0.5, -0.5, -0.7))
        camera = Camera((CELL_WH[0] / 2, CELL_WH[1] * 0.49), 50)
        rows.append(cv2.hconcat([render_cell(View(person, face, p, camera, light)) for p in poses]))
    out.parent.mkdir(parents=True, exist_ok=True)
    ok, code = cv2.imencode(".png", cv2.vconcat(rows), [cv2.IMWRITE_PNG_COMPRESSION, 9])
    assert ok
    out.write_bytes(code.tobytes())


def render_cell(view: View) -> Image:
    """One head on plain ground, with its axes and its angles."""
    image = np.full((CELL_WH[1], CELL_WH[0], 3), (205, 203, 200), dtype=np.uint8)
    render_head(image, view)
    draw_axes(image, view)
    text = "p{:+.0f} y{:+.0f} r{:+.0f}".format(*view.pyr_deg)
    cv2.putText(image, text, (4, 13), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (40, 40, 40), 1, cv2.LINE_AA)
    return image


def draw_axes(image: Image, view: View, length: float = 1.3) -> None:
    """The head's axes (head units long) from its origin, the far ones first."""
    start, *tips = axis_tips_px(view, length)
    for tip, colour in sorted(zip(tips, (RED, GREEN, BLUE), strict=True), key=lambda t: -t[0][2]):
        ends = [tuple(round(float(v)) for v in point[:2]) for point in (start, tip)]
        cv2.arrowedLine(image, ends[0], ends[1], colour, 1, cv2.LINE_AA, tipLength=0.1)


def axis_tips_px(view: View, length: float) -> Floats:
    """The head's origin and the ends of its axes right, chin, front: pixels and depth (4 x 3)."""
    axes = view.rotation * np.array([1, 1, -1], np.float32)  # columns; the face looks along -z
    return project(np.concatenate([np.zeros((1, 3), np.float32), length * axes.T]), view.camera)


if __name__ == "__main__":
    tyro.cli(main, description=__doc__)
