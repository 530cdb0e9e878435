"""The figures of docs/conventions.md and docs/method.md, from the demo's heads and networks.

    python -m tests.reference.figures

Needs what `dvc repro` leaves: crops, base network. Every face in them is rendered.
"""

from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from data.demo.contact_sheet import axis_tips_px
from data.demo.corpus import Pose
from data.demo.person import sample_expression, sample_person
from data.demo.render import Camera, Light, View, render_head
from data.demo.steady import draws
from hpe_core.common.geometry import ANGLES
from hpe_core.crops.store import Crops
from hpe_core.crops.window import Pixels
from hpe_core.evaluation.metrics import absolute_error_deg
from hpe_core.inference.draw import AXIS_COLOURS, CASING_COLOUR
from hpe_core.networks.bins import BinSpec
from hpe_core.networks.checkpoints import load_network
from hpe_core.networks.model import predict_probs
from hpe_core.tables.pictures import INK, data_uri, save_png
from hpe_core.teacher.ensemble import Windows, average, window_probs
from hpe_core.teacher.offsets import offset_grid, shifts_px
from tests.graph import ROOT

FOLDER = ROOT / "docs/figures"
SIDE = 220  # of a head's picture, pixels
FINE = 2  # pixels of a picture per pixel of its panel: thin lines stay thin
WINDOWS = 15, 5  # K, d: the paper's
TEST, BASE = "data/crops/p2/tests/p2-AFLW.h5", "data/models/p2/base-1.safetensors"
ONE, MEAN = (217, 95, 2), (31, 95, 191)  # RGB of one window, and of the mean

Spec = dict[str, Any]
Labels = list[tuple[float, float, str]]  # x, y in pixels of the panel, text


def main(folder: Path = FOLDER) -> None:
    folder.mkdir(exist_ok=True)
    for name, spec in {"axes": axes(), "offsets": offsets()}.items():
        png = folder / f"{name}.png"
        save_png(spec, png, scale=1)
        with Image.open(png) as image:  # a quarter of the bytes
            image.convert("RGB").save(png.with_suffix(".jpg"), quality=88, subsampling=0)
        png.unlink()


def photo(image_rgb: Pixels, title: str, labels: Labels = ()) -> Spec:
    """A panel with a picture, `FINE` times as large as it is shown, and texts over it."""
    height, width = (side / FINE for side in image_rgb.shape[:2])
    rows = [{"x": x, "y": y, "text": text.split("\n")} for x, y, text in labels]
    text = {"type": "text", "align": "left", "fontSize": 12}
    halo = {**text, "stroke": "white", "strokeWidth": 5, "strokeJoin": "round"}
    shown = {"encoding": {"text": {"field": "text"}}}
    place = {"type": "quantitative", "axis": None}
    return {
        "title": {"text": title, "fontSize": 12, "anchor": "start"},
        "width": width,
        "height": height,
        "data": {"values": rows},
        "encoding": {
            "x": {**place, "field": "x", "scale": {"domain": [0, width]}},
            "y": {**place, "field": "y", "scale": {"domain": [0, height], "reverse": True}},
        },
        "layer": [
            {
                "data": {"values": [{"x": 0, "y": 0, "image": data_uri(image_rgb, ".png")}]},
                "mark": {
                    "type": "image",
                    "width": width,
                    "height": height,
                    "align": "left",
                    "baseline": "top",
                },
                "encoding": {"url": {"field": "image"}},
            },
            {"mark": halo, **shown},
            {"mark": text, **shown},
        ],
    }


def axes() -> Spec:
    """The head's axes at rest beside the camera's, and each angle at -30 and +30 degrees."""
    panels = []
    for degrees in (-30, 30):
        for at, angle in enumerate(ANGLES):
            pose = (degrees * (at == 0), degrees * (at == 1), degrees * (at == 2))
            title = f"{angle} {degrees:+d}°: {meaning(at, degrees)}"
            panels.append(photo(head(pose, SIDE)[0], title))
    return {"hconcat": [at_rest(), {"concat": panels, "columns": len(ANGLES)}]}


def meaning(angle: int, degrees: int) -> str:
    """The sign of an angle in words, as on the page."""
    words = (("up", "down"), ("to the right", "to the left"), ("counterclockwise", "clockwise"))
    return words[angle][degrees > 0]


def at_rest() -> Spec:
    """The head at rest, its axes named, and the camera's in a corner."""
    image, (right, chin, _) = head((0.0, 0.0, 0.0), 2 * SIDE)
    origin, length = np.array([30, 54]), 66
    for tip in ((length, 0), (0, length)):
        arrow(image, origin, origin + tip, CASING_COLOUR, 2)
    centre = tuple((origin * FINE).tolist())
    cv2.circle(image, centre, 7 * FINE, (255, 255, 255), -1, cv2.LINE_AA)
    cv2.circle(image, centre, 7 * FINE, CASING_COLOUR, FINE, cv2.LINE_AA)
    cv2.drawMarker(image, centre, CASING_COLOUR, cv2.MARKER_TILTED_CROSS, 9 * FINE, FINE)
    labels = [
        (right[0] - 52, right[1] - 14, "head x"),
        (chin[0], chin[1] + 14, "head y: chin"),
        (0.36 * SIDE, 0.8 * SIDE, "−z: where the face\nlooks, at you"),
        (104, 54, "camera x"),
        (18, 132, "camera y"),
        (18, 24, "camera z: into the scene"),
    ]
    return photo(image, "pitch 0, yaw 0, roll 0: R is the identity", labels)


def head(pyr_deg: Pose, side: int) -> tuple[Pixels, list[tuple[float, float]]]:
    """A head in a pose, and its axes right, chin, front: image RGB, where these end."""
    image = np.full((FINE * side, FINE * side, 3), (205, 203, 200), dtype=np.uint8)
    render_head(image, view(pyr_deg, FINE * side))
    image = np.ascontiguousarray(image[..., ::-1])
    start, *tips = axis_tips_px(view(pyr_deg, side), 1.15)
    for at in sorted(range(3), key=lambda k: -tips[k][2]):  # the far ones first
        if np.hypot(*(tips[at] - start)[:2]) < 3:
            centre = tuple(np.round(start[:2] * FINE).astype(int).tolist())
            cv2.circle(image, centre, 4 * FINE, AXIS_COLOURS[at], -1, cv2.LINE_AA)
        else:
            arrow(image, start[:2], tips[at][:2], AXIS_COLOURS[at], 3)
    return image, [(float(x), float(y)) for x, y, _ in tips]


def arrow(image: Pixels, start: Any, tip: Any, colour: tuple[int, int, int], width: int) -> None:
    """start, tip, width: pixels of the panel."""
    ends = [tuple(np.round(np.asarray(at) * FINE).astype(int).tolist()) for at in (start, tip)]
    head_px = 9 * FINE / float(np.hypot(*np.subtract(*ends)))
    cv2.arrowedLine(image, *ends, colour, width * FINE, cv2.LINE_AA, tipLength=head_px)


def view(pyr_deg: Pose, side: int) -> View:
    rng = draws(12, 4)  # a row of the contact sheet
    person, face = sample_person(rng), sample_expression(rng)
    camera = Camera((side / 2, 0.49 * side), 0.33 * side)
    return View(person, face, pyr_deg, camera, Light(direction=(-0.5, -0.5, -0.7)))


def offsets() -> Spec:
    """An enlarged crop with some of its windows; one window's distributions, and their mean.

    Of the face for which averaging gains what it gains for the median face.
    """
    crops = Crops(ROOT / TEST)
    single, mean, spec = distributions(crops)
    angles = [spec.expectation(probs).double().numpy() for probs in (single, mean)]
    gains = np.subtract(*(absolute_error_deg(a, crops.pyr_deg).mean(1) for a in angles))
    face = int(np.argsort(gains)[len(gains) // 2])
    panels = [windows_over(crops[face], crops.format.size_hw)]
    for at, angle in enumerate(ANGLES):
        names = ("one window", f"mean of {len(offset_grid(*WINDOWS))}", "label")
        values = (*(float(a[face, at]) for a in angles), float(crops.pyr_deg[face, at]))
        curves = [probs[face, at].numpy() for probs in (single, mean)]
        degrees = dict(zip(names, values, strict=True))
        panels.append(distribution(angle, spec.centers_deg.numpy(), curves, degrees))
    return {"hconcat": panels}


@torch.inference_mode()
def distributions(crops: Crops) -> tuple[Tensor, Tensor, BinSpec]:
    """Of every face, (N, 3, n_bins): the middle window's, and the mean over all."""
    network, _ = load_network(ROOT / BASE)
    grid = Windows(offset_grid(*WINDOWS))
    faces = torch.from_numpy(np.stack([crops[row] for row in range(len(crops))]))[:, None]
    batches = window_probs(
        partial(predict_probs, network), faces, grid, crops.format.size_hw, network.spec, 512
    )
    probs = torch.cat(list(batches))
    return probs[:, len(grid) // 2], average(probs, network.spec)[0], network.spec


def windows_over(crop: Pixels, size_hw: tuple[int, int]) -> Spec:
    fine = 4 * FINE
    image = cv2.resize(crop, None, fx=fine, fy=fine, interpolation=cv2.INTER_CUBIC)
    margin = (crop.shape[0] - size_hw[0]) // 2
    grid = offset_grid(*WINDOWS)
    marked = {(0, 0): ONE, (-WINDOWS[0],) * 2: CASING_COLOUR, (WINDOWS[0],) * 2: CASING_COLOUR}
    looks = [(tuple(shift), (255, 255, 255), 1) for shift in grid.tolist()]
    for offset, colour, width in [*looks, *((at, c, 2 * FINE) for at, c in marked.items())]:
        x, y = (fine * (margin + shifts_px(np.array(offset), size_hw[0]))).astype(int).tolist()
        corner = x + fine * size_hw[1], y + fine * size_hw[0]
        cv2.rectangle(image, (x, y), corner, colour, width, cv2.LINE_AA)
    centre = crop.shape[0] / 2
    for x, y in (fine * (centre + shifts_px(grid, size_hw[0]))).astype(int).tolist():
        cv2.circle(image, (x, y), 2 * FINE, CASING_COLOUR, -1, cv2.LINE_AA)
        cv2.circle(image, (x, y), FINE, (255, 255, 255), -1, cv2.LINE_AA)
    return photo(image, "K = {}, d = {}: {} windows".format(*WINDOWS, len(grid)))


def distribution(
    angle: str, centers_deg: Any, curves: list[Any], degrees: dict[str, float]
) -> Spec:
    """curves: probabilities of one window, and of the mean; degrees: what they expect, the label.

    All names of `degrees` are in the legend.
    """
    names, label = list(degrees), degrees["label"]
    rows = [
        {"x": float(x), "y": float(y), "of": name}
        for name, probs in zip(names, curves, strict=False)
        for x, y in zip(centers_deg, probs, strict=True)
        if abs(x - label) <= 35
    ]
    uprights = [{"x": x, "of": name} for name, x in degrees.items()]
    colours = ["#{:02x}{:02x}{:02x}".format(*rgb) for rgb in (ONE, MEAN)]
    scale = {"domain": names, "range": [*colours, INK]}
    dash = {"condition": {"test": "datum.of == 'label'", "value": [2, 3]}, "value": [1, 0]}
    return {
        "title": {
            "text": angle,
            "subtitle": [f"{name}: {value:.1f}°" for name, value in degrees.items()],
            "fontSize": 12,
        },
        "width": 210,
        "height": 200,
        "encoding": {
            "x": {
                "field": "x",
                "type": "quantitative",
                "title": "degrees",
                "scale": {"domain": [label - 35, label + 35]},
                "axis": {"grid": False},
            },
            "color": {"field": "of", "type": "nominal", "title": None, "scale": scale},
        },
        "layer": [
            {
                "data": {"values": rows},
                "mark": {"type": "line", "strokeWidth": 1.5, "clip": True},
                "encoding": {"y": {"field": "y", "type": "quantitative", "axis": None}},
            },
            {
                "data": {"values": uprights},
                "mark": {"type": "rule", "strokeWidth": 1.2},
                "encoding": {"strokeDash": dash},
            },
        ],
    }


if __name__ == "__main__":
    main()
