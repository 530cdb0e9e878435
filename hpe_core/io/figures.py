"""Figures as PNG files: equal inputs give equal bytes.

Drawn with matplotlib's own defaults (a user's matplotlibrc changes nothing), without a display,
and without the version string that matplotlib would write into the file.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib.style
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from hpe_core.io.files import atomic

DPI = 120
INK, PALE = "#222222", "#777777"
_PANELS_A_ROW = 4
# Axis colours as in draw.py, for the legend of the examples.
_AXES_LEGEND = (("#eb3232", "x: right"), ("#3ccd3c", "y: chin"), ("#3778ff", "−z: front"))
_MARK_STYLE: dict[str, dict[str, Any]] = {
    "s": {"ms": 8, "mfc": "white", "mec": INK, "mew": 1.2},
    "*": {"ms": 11, "mfc": "#ffd23f", "mec": INK, "mew": 0.8},
}


@dataclass(frozen=True)
class HeatMap:
    """One panel of Fig. 7: `cells` has the columns K, d, mae; teacher and best are (K, d)."""

    title: str
    cells: pd.DataFrame
    teacher: tuple[int, int]
    best: tuple[int, int]


@dataclass(frozen=True)
class Tile:
    """One face of Fig. 8, with the axes drawn: image (side x side x 3) uint8 RGB."""

    image: NDArray[np.uint8]
    prediction: str
    truth: str


def save_heatmaps(panels: Sequence[HeatMap], title: str, path: Path) -> None:
    """Fig. 7: the ensemble's MAE for every K and d, one panel a test set, each with its own scale.

    White is the error of the base network alone, blue is less, red is more; so two panels can be
    compared by eye although their errors differ.
    """
    columns = min(len(panels), _PANELS_A_ROW)
    rows = -(-len(panels) // columns)
    with new_figure(3.7 * columns + 0.4, 3.55 * rows + 1.0) as figure:
        figure.suptitle(title, x=0.01, ha="left", fontsize=10, color=INK)
        grid = figure.subplots(rows, columns, squeeze=False)
        for axes, panel in zip(grid.flat, panels, strict=False):
            _draw_heatmap(figure, axes, panel)
        for axes in grid.flat[len(panels) :]:
            axes.axis("off")
        figure.legend(
            handles=_heatmap_marks(),
            loc="outside lower left",
            ncols=3 if columns > 1 else 1,
            frameon=False,
            fontsize=8,
        )
        save_png(figure, path)


def save_tiles(tiles: Sequence[Tile], title: str, path: Path, columns: int = 4) -> None:
    """Fig. 8: faces side by side, the angles of prediction (bold) and truth (thin) below each."""
    columns = min(columns, len(tiles))
    rows = -(-len(tiles) // columns)
    with new_figure(2.3 * columns, 2.66 * rows + 0.72) as figure:
        figure.suptitle(title, x=0.01, ha="left", fontsize=9, color=INK)
        grid = figure.subplots(rows, columns, squeeze=False)
        for axes in grid.flat:
            axes.axis("off")
        for axes, tile in zip(grid.flat, tiles, strict=False):
            axes.imshow(tile.image, interpolation="lanczos")
            below = {"transform": axes.transAxes, "ha": "center", "va": "top", "color": INK}
            below |= {"family": "monospace", "fontsize": 8.5}
            axes.text(0.5, -0.02, tile.prediction, fontweight="bold", **below)
            axes.text(0.5, -0.10, tile.truth, **below)
        marks = [Line2D([], [], color=colour, lw=3, label=text) for colour, text in _AXES_LEGEND]
        figure.legend(handles=marks, loc="outside lower left", ncols=3, frameon=False, fontsize=8)
        save_png(figure, path)


def _draw_heatmap(figure: Figure, axes: Axes, panel: HeatMap) -> None:
    errors = panel.cells.pivot(index="K", columns="d", values="mae").sort_index()
    ks, ds = errors.index.to_numpy(), errors.columns.to_numpy()
    base = float(errors[1][0])
    # A fifth beyond the data: the ends of the colour map are too dark for the marks.
    half = 1.2 * max(float(np.abs(errors.to_numpy() - base).max()), 1e-4)
    shown = axes.imshow(
        errors.to_numpy(),
        origin="lower",
        cmap="RdBu_r",
        norm=Normalize(base - half, base + half),
        extent=(ds[0] - 0.5, ds[-1] + 0.5, ks[0] - 0.5, ks[-1] + 0.5),
        aspect="equal",
    )
    _outline_base(axes, ks, ds)
    for marker, (k, d) in (("s", panel.teacher), ("*", panel.best)):
        if k in ks and d in ds:  # the sweep of a small profile may not reach the teacher's K
            axes.plot(d, k, marker=marker, ls="", **_MARK_STYLE[marker])
    k, d = panel.best
    axes.set_title(
        f"{panel.title}\nbase {base:.3f}°, best {errors[d][k]:.3f}° at K={k}, d={d}",
        fontsize=9,
        loc="left",
        color=INK,
    )
    axes.set_xlabel("d, pixels", fontsize=8)
    axes.set_ylabel("K, pixels", fontsize=8)
    axes.tick_params(labelsize=7, length=2)
    axes.spines[:].set_visible(False)
    axes.set_xticks(ds[:: 1 + len(ds) // 8])
    axes.set_yticks(ks[:: 1 + len(ks) // 9])
    bar = figure.colorbar(shown, ax=axes, shrink=0.72, aspect=18, pad=0.02)
    bar.ax.set_ylim(errors.to_numpy().min(), max(errors.to_numpy().max(), base + half / 50))
    bar.ax.tick_params(labelsize=7, length=2)
    bar.outline.set_visible(False)


def _outline_base(axes: Axes, ks: NDArray[np.int64], ds: NDArray[np.int64]) -> None:
    """A stair below which K < d: one window, so the base network alone."""
    corners = [(d + side, min(d, ks[-1] + 1) - 0.5) for d in ds for side in (-0.5, 0.5)]
    axes.plot(*zip(*corners, strict=True), color=PALE, lw=0.9)
    axes.text(ds[-1], ks[0], "base alone", ha="right", va="center", fontsize=7, color=PALE)


def _heatmap_marks() -> list[Line2D]:
    labels = {"*": "best on this test set, only for looking", "s": "K, d of the students' teacher"}
    marks = [Line2D([], [], marker=m, ls="", label=labels[m], **_MARK_STYLE[m]) for m in labels]
    stair = Line2D([], [], color=PALE, lw=0.9, label="below it K < d: one window")
    return [*marks, stair]


@contextmanager
def new_figure(width_in: float, height_in: float) -> Iterator[Figure]:
    with matplotlib.style.context("default", after_reset=True):
        yield Figure(figsize=(width_in, height_in), dpi=DPI, layout="constrained")


def save_png(figure: Figure, path: Path) -> None:
    with atomic(path) as temporary:
        figure.savefig(temporary, format="png", dpi=DPI, metadata={"Software": None})
