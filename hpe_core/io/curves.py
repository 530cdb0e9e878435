"""Curves of several networks side by side, one panel a test set; drawn like `figures`.

A network has the same colour and marker in every panel. The legend stands below all panels, where
it covers no data.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from hpe_core.io.figures import INK, PALE, new_figure, save_png

# Okabe and Ito's colours, told apart by colour-blind readers too; markers for grey prints.
_COLOURS = (INK, "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
_MARKERS = ("o", "s", "^", "D", "v", "P")
_PANELS_A_ROW = 4
_PANEL_IN = (2.9, 2.6)  # inches
_LEAST_IN = 4.4  # as wide as two lines of a title
_ORACLE_STYLE: dict[str, Any] = {"color": PALE, "lw": 1.0, "ls": "--"}
_UNCHANGED_STYLE: dict[str, Any] = {"color": PALE, "lw": 0.7}
_TITLE, _LABEL, _TICK = 9, 8, 7  # points
# kind → axis label, factor to the label's unit, where the box is as detected, scale of the axis
_JITTER = {
    "shift": ("shift of the box, % of its side", 100, 0, "linear"),
    "scale": ("scale of the box, %", 100, 100, "log"),
}

Styles = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class RiskPanel:
    """One test set: `uncertainty.risk_coverage` of every network, and of one network's oracle."""

    title: str
    curves: Mapping[str, pd.DataFrame]
    oracle_of: str
    oracle: pd.DataFrame


def save_risk_coverage(panels: Sequence[RiskPanel], title: str, path: Path) -> None:
    """The MAE of the faces that are kept, for every share of them; lower and flatter is better.

    Faces of which a network is least certain are refused first. The dashed line is the lowest that
    any order of the faces could reach with the errors of `oracle_of`, the same in all panels.
    """
    rows = -(-len(panels) // _PANELS_A_ROW)
    columns = -(-len(panels) // rows)
    styles = _styles(name for panel in panels for name in panel.curves)
    with new_figure(*_size_in(rows, columns)) as figure:
        grid = figure.subplots(rows, columns, squeeze=False)
        for axes, panel in zip(grid.flat, panels, strict=False):
            _draw_risk(axes, panel, styles)
        for axes in grid.flat[len(panels) :]:
            axes.axis("off")
        oracle = Line2D([], [], **_ORACLE_STYLE, label=f"{panels[0].oracle_of}, best order")
        _finish(figure, title, styles, oracle, columns)
        save_png(figure, path)


def save_jitter(table: pd.DataFrame, title: str, path: Path) -> None:
    """The MAE for boxes that are shifted or scaled: how much a network needs an exact detector.

    table: one row a measurement, columns test, network, kind ("shift" or "scale"), level and mae
    (degrees). A shift is a share of the box's side, 0 for none, signed or a distance; a scale is
    the ratio of the new side to the old one, 1 for none. One column of panels a test set, one row
    a kind; both kinds of a test set have the same error axis.
    """
    tests, kinds = table["test"].unique(), [kind for kind in _JITTER if kind in set(table["kind"])]
    styles = _styles(table["network"])
    with new_figure(*_size_in(len(kinds), len(tests))) as figure:
        grid = figure.subplots(len(kinds), len(tests), squeeze=False, sharey="col")
        for row, kind in zip(grid, kinds, strict=True):
            for axes, test in zip(row, tests, strict=True):
                own = table[(table["kind"] == kind) & (table["test"] == test)]
                _draw_jitter(axes, own, kind, styles)
        for axes, test in zip(grid[0], tests, strict=True):
            axes.set_title(test, fontsize=_TITLE, loc="left", color=INK)
        unchanged = Line2D([], [], **_UNCHANGED_STYLE, label="box as it is")
        _finish(figure, title, styles, unchanged, len(tests))
        save_png(figure, path)


def _draw_risk(axes: Axes, panel: RiskPanel, styles: Styles) -> None:
    axes.plot(panel.oracle["percent"], panel.oracle["mae"], **_ORACLE_STYLE)
    for name, curve in panel.curves.items():
        axes.plot(curve["percent"], curve["mae"], **styles[name])
    axes.set_title(panel.title, fontsize=_TITLE, loc="left", color=INK)
    axes.set_xticks(range(20, 101, 20))
    _label(axes, "most certain faces kept, %", "MAE of the kept faces, degrees")


def _draw_jitter(axes: Axes, own: pd.DataFrame, kind: str, styles: Styles) -> None:
    label, factor, unchanged, scale = _JITTER[kind]
    axes.set_xscale(scale)
    axes.axvline(unchanged, **_UNCHANGED_STYLE)
    for name, line in own.sort_values("level").groupby("network", sort=False):
        axes.plot(line["level"] * factor, line["mae"], **styles[str(name)])
    levels = sorted(own["level"].unique() * factor)
    ticks = levels[:: 1 + len(levels) // 8]
    axes.set_xticks(ticks, [f"{round(level, 1):g}".replace("-", "−") for level in ticks])
    axes.minorticks_off()
    _label(axes, label, "MAE, degrees")


def _styles(networks: Iterable[str]) -> Styles:
    """Every network's look, in the order in which they come."""
    return {
        name: {
            "color": _COLOURS[place % len(_COLOURS)],
            "marker": _MARKERS[place % len(_MARKERS)],
            "ms": 3.5,
            "lw": 1.3,
        }
        for place, name in enumerate(dict.fromkeys(networks))
    }


def _label(axes: Axes, x: str, y: str) -> None:
    axes.set_xlabel(x, fontsize=_LABEL)
    spec = axes.get_subplotspec()
    if spec is not None and spec.is_first_col():
        axes.set_ylabel(y, fontsize=_LABEL)
    axes.tick_params(labelsize=_TICK, length=2)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#e5e5e5", lw=0.6)
    axes.set_axisbelow(True)


def _size_in(rows: int, columns: int) -> tuple[float, float]:
    width, height = _PANEL_IN
    return max(width * columns + 0.3, _LEAST_IN), height * rows + 1.0


def _finish(figure: Figure, title: str, styles: Styles, other: Line2D, columns: int) -> None:
    """Title and legend of a figure that is `columns` panels wide."""
    figure.suptitle(title, x=0.01, ha="left", fontsize=10, color=INK)
    lines = [Line2D([], [], **style, label=name) for name, style in styles.items()]
    figure.legend(
        handles=[*lines, other],
        loc="outside lower left",
        ncols=max(2 * columns, 3),
        frameon=False,
        fontsize=_LABEL,
    )
