"""The figures of docs/conventions.md and docs/method.md, from the demo's heads and networks.

    python -m tests.reference.figures

Needs what `dvc repro` leaves: crops, base network. Everything in them is drawn.
"""

from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from data.demo.contact_sheet import axis_tips_px
from data.demo.corpus import Pose
from data.demo.person import sample_expression, sample_person
from data.demo.render import Camera, Light, View, draw_head
from hpe_core.bins import BinSpec
from hpe_core.boxes import offset_grid
from hpe_core.draw import AXIS_COLOURS
from hpe_core.ensemble import Windows, average, window_probs
from hpe_core.geometry import ANGLES
from hpe_core.io.checkpoints import load_network
from hpe_core.io.crops import Crops
from hpe_core.io.figures import INK, PALE, new_figure, save_png
from hpe_core.metrics import absolute_error_deg
from hpe_core.networks import predict_probs
from tests.graph import ROOT

FOLDER = ROOT / "docs/figures"
SIDE = 220  # of a drawn head's picture, pixels
SHOWN = 8, 4  # K, d of the windows drawn over a crop: far apart, to be seen
AVERAGED = 2, 1  # K, d of the distributions: near, as a teacher's are
TEST, BASE = "data/crops/test/p2-AFLW.h5", "data/models/p2/base-1.safetensors"
LABEL = {"boxstyle": "round,pad=0.15", "fc": "white", "ec": "none", "alpha": 0.8}
TEXT = {"fontsize": 9, "color": INK, "va": "center", "bbox": LABEL}
RGB = {"one": "#d95f02", "mean": "#1f5fbf"}


def main(folder: Path = FOLDER) -> None:
    folder.mkdir(exist_ok=True)
    for name, figure in {"axes": axes(), "offsets": offsets()}.items():
        drawn = folder / f"{name}.png"
        save_png(figure, drawn)
        with Image.open(drawn) as image:  # a quarter of the bytes
            image.convert("RGB").save(drawn.with_suffix(".jpg"), quality=88, subsampling=0)
        drawn.unlink()


def axes() -> Figure:
    """The head's axes at rest beside the camera's, and each angle at -30 and +30 degrees."""
    with new_figure(9.2, 4.9) as figure:
        grid = figure.subplot_mosaic(
            [["rest", "rest", *(f"{angle}-" for angle in ANGLES)],
             ["rest", "rest", *(f"{angle}+" for angle in ANGLES)]]
        )  # fmt: skip
        show_rest(grid["rest"])
        for at, angle in enumerate(ANGLES):
            for sign, degrees in (("-", -30), ("+", 30)):
                pose = (degrees * (at == 0), degrees * (at == 1), degrees * (at == 2))
                panel = grid[f"{angle}{sign}"]
                show_head(panel, pose, SIDE)
                title = f"{angle} {degrees:+d}°: {meaning(at, degrees)}"
                panel.set_title(title, fontsize=9, color=INK)
    return figure


def meaning(angle: int, degrees: int) -> str:
    """The sign of an angle in words, as on the page."""
    words = (("up", "down"), ("to the right", "to the left"), ("counterclockwise", "clockwise"))
    return words[angle][degrees > 0]


def show_rest(panel: Axes) -> None:
    """The head at rest, its axes named, and the camera's in a corner."""
    right, chin, _ = show_head(panel, (0.0, 0.0, 0.0), 2 * SIDE)
    for (x, y), text, colour in ((right, "x", 0), (chin, "y: chin", 1)):
        panel.annotate(f"head {text}", (x - 52 * (not colour), y - 12 * (1 - 2 * colour)), **TEXT)
    panel.annotate("−z: where the face\nlooks, at you", (0.36 * SIDE, 0.83 * SIDE), **TEXT)
    origin, length = (30, 52), 66
    for dx, dy, text in ((1, 0, "camera x"), (0, 1, "camera y")):
        tip = origin[0] + length * dx, origin[1] + length * dy
        panel.annotate("", tip, origin, arrowprops={"arrowstyle": "->", "color": INK, "lw": 1.6})
        panel.annotate(text, (tip[0] + 5 - 16 * dy, tip[1] + 12 * dy), **TEXT)
    panel.plot(*origin, "o", ms=11, mfc="white", mec=INK)
    panel.plot(*origin, "x", ms=7, color=INK)
    panel.annotate("camera z: into the scene", (18, 24), **TEXT)
    panel.set_title("pitch 0, yaw 0, roll 0: R is the identity", fontsize=9, color=INK)


def show_head(panel: Axes, pyr_deg: Pose, side: int) -> list[tuple[float, float]]:
    """A head in a pose, and its axes right, chin, front; → where these end."""
    image = np.full((side, side, 3), (205, 203, 200), dtype=np.uint8)
    one = view(pyr_deg, side)
    draw_head(image, one)
    panel.imshow(image[..., ::-1])
    panel.axis("off")
    start, *tips = axis_tips_px(one, 1.15)
    for at in sorted(range(3), key=lambda k: -tips[k][2]):  # the far ones first
        colour = tuple(value / 255 for value in AXIS_COLOURS[at])
        arrow = {"arrowstyle": "->", "lw": 2.2, "color": colour, "shrinkA": 0, "shrinkB": 0}
        if np.hypot(*(tips[at] - start)[:2]) < 3:
            panel.plot(*start[:2], "o", ms=6, color=colour)
        else:
            panel.annotate("", tips[at][:2], start[:2], arrowprops=arrow)
    return [(float(x), float(y)) for x, y, _ in tips]


def view(pyr_deg: Pose, side: int) -> View:
    rng = np.random.default_rng([12, 4])  # a row of the contact sheet
    person, face = sample_person(rng), sample_expression(rng)
    camera = Camera((side / 2, 0.49 * side), 0.33 * side)
    return View(person, face, pyr_deg, camera, Light(direction=(-0.5, -0.5, -0.7)))


def rgb(colour_bgr: tuple[int, int, int]) -> tuple[float, ...]:
    return tuple(value / 255 for value in colour_bgr[::-1])


def offsets() -> Figure:
    """An enlarged crop with some of its windows; one window's distributions, and their mean.

    Of the face for which averaging gains what it gains for the median face.
    """
    crops = Crops(ROOT / TEST)
    single, mean, spec = distributions(crops)
    angles = [spec.expectation(probs).double().numpy() for probs in (single, mean)]
    gains = np.subtract(*(absolute_error_deg(a, crops.pyr_deg).mean(1) for a in angles))
    face = int(np.argsort(gains)[len(gains) // 2])
    with new_figure(9.6, 3.1) as figure:
        panels = figure.subplots(1, 4, width_ratios=(1.15, 1, 1, 1))
        show_windows(panels[0], crops[face], crops.format.size_hw)
        for at, panel in enumerate(panels[1:]):
            found = {
                "one": (single[face, at].numpy(), angles[0][face, at]),
                "mean": (mean[face, at].numpy(), angles[1][face, at]),
            }
            show_distributions(panel, spec.centers_deg.numpy(), found, crops.pyr_deg[face, at])
            panel.set_title(ANGLES[at], fontsize=9, color=INK, loc="left")
    return figure


@torch.inference_mode()
def distributions(crops: Crops) -> tuple[Tensor, Tensor, BinSpec]:
    """Of every face, (N, 3, n_bins): the middle window's, and the mean over all."""
    network, _ = load_network(ROOT / BASE)
    grid = Windows(offset_grid(*AVERAGED))
    faces = torch.from_numpy(np.stack([crops[row] for row in range(len(crops))]))[:, None]
    batches = window_probs(
        partial(predict_probs, network), faces, grid, crops.format.size_hw, network.spec, 512
    )
    probs = torch.cat(list(batches))
    return probs[:, len(grid) // 2], average(probs, network.spec)[0], network.spec


def show_windows(panel: Axes, crop: NDArray[np.uint8], size_hw: tuple[int, int]) -> None:
    margin = (crop.shape[0] - size_hw[0]) // 2
    panel.imshow(cv2.resize(crop, None, fx=4, fy=4, interpolation=cv2.INTER_CUBIC),
                 extent=(-0.5, crop.shape[1] - 0.5, crop.shape[0] - 0.5, -0.5))  # fmt: skip
    grid = offset_grid(*SHOWN)
    for dx, dy in grid.tolist():
        corner = margin + dx - 0.5, margin + dy - 0.5
        panel.add_patch(
            Rectangle(corner, *size_hw[::-1], fill=False, ec="white", lw=0.4, alpha=0.8)
        )
    for (dx, dy), colour in (((0, 0), RGB["one"]), ((-SHOWN[0],) * 2, INK), ((SHOWN[0],) * 2, INK)):
        corner = margin + dx - 0.5, margin + dy - 0.5
        panel.add_patch(Rectangle(corner, *size_hw[::-1], fill=False, ec=colour, lw=1.8))
    centre = (crop.shape[0] - 1) / 2
    panel.plot(*(centre + grid).T, ".", ms=3.5, color="white", mec=INK, mew=0.4)
    panel.set_title(
        "K = {}, d = {}: {} windows".format(*SHOWN, len(grid)), fontsize=9, color=INK, loc="left"
    )
    panel.axis("off")


def show_distributions(
    panel: Axes,
    centers_deg: NDArray[np.float32],
    found: dict[str, tuple[NDArray[np.float32], float]],
    label_deg: float,
) -> None:
    """found: probabilities and the expected angle of one window, and of the mean."""
    for name, (probs, angle_deg) in found.items():
        text = {"one": "one window", "mean": "mean of 25"}[name]
        panel.plot(centers_deg, probs, color=RGB[name], lw=1.2, label=f"{text}: {angle_deg:.1f}°")
        panel.axvline(angle_deg, ymax=0.74, color=RGB[name], lw=0.8)
    panel.axvline(label_deg, ymax=0.74, color=INK, lw=0.9, ls=":", label=f"label: {label_deg:.1f}°")
    panel.set_xlim(label_deg - 35, label_deg + 35)
    panel.set_xlabel("degrees", fontsize=8)
    panel.set_yticks([])
    panel.tick_params(labelsize=7, length=2)
    panel.spines[["top", "right", "left"]].set_visible(False)
    panel.spines["bottom"].set_color(PALE)
    panel.set_ylim(0, 1.35 * max(probs.max() for probs, _ in found.values()))
    panel.legend(fontsize=7, frameon=False, loc="upper left")


if __name__ == "__main__":
    main()
