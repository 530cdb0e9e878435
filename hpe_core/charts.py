"""Charts of the page as Vega-Lite specifications: what is drawn, in which words it is told.

Nothing is drawn here. Colours are the page's own (`currentColor`, CSS variables), so that a chart
is right on light and on dark paper. Every mark with a value carries it as its label, which is what
the page shows under the pointer and what screen readers say.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

WIDTH_PX = 344  # fits a phone of 390 pixels
_LETTER_PX = 7  # of a label, at most
_COLOURS = 7  # of networks, as the style sheet has them
_MOST_POINTS = 40  # a longer curve has dots on a few of its points
DARKEST_GAIN = 20.0  # percent; a heat map shows more as just as much, or small gains were white
_PALE = "var(--pale)"
_LINE = "var(--line)"
_CONFIG: dict[str, Any] = {
    "background": None,
    "view": {"stroke": None},
    "axis": {
        "labelColor": "currentColor",
        "titleColor": "currentColor",
        "labelFontSize": 11,
        "titleFontSize": 11,
        "titleFontWeight": "normal",
        "titlePadding": 8,
        "gridColor": _LINE,
        "domainColor": _PALE,
        "tickColor": _PALE,
    },
    "legend": {
        "labelColor": "currentColor",
        "titleColor": "currentColor",
        "titleFontWeight": "normal",
    },
}


@dataclass(frozen=True)
class Chart:
    """title: above the chart; text: what it shows, in a sentence; numbers: what it was drawn from.

    spec: Vega-Lite, its data included; caption: whether the text also stands below the chart, or is
    only for those who do not see it.
    """

    title: str
    spec: Mapping[str, Any]
    text: str
    numbers: pd.DataFrame = field(default_factory=pd.DataFrame)
    caption: bool = True


@dataclass(frozen=True)
class Curve:
    """One line of a chart: points is a table of x, y and label; dashed: an aid, not a network."""

    name: str
    points: pd.DataFrame
    colour: str
    dashed: bool = False


def colours_of(networks: Iterable[str]) -> dict[str, str]:
    """Network → its colour, the same in every chart of a page."""
    return {
        name: f"var(--net{place % _COLOURS})" for place, name in enumerate(dict.fromkeys(networks))
    }


def interval_spec(errors: pd.DataFrame, colours: Mapping[str, str]) -> dict[str, Any]:
    """The MAE of every network, a dot on its interval.

    errors: one row a network: network, mae, low, high (NaN: no interval), label.
    """
    shared = {"y": _network_axis(errors["network"]), "color": _colour_by("network", colours)}
    x = {
        "type": "quantitative",
        "title": "MAE, degrees",
        "scale": {"zero": False},
        "axis": {"tickCount": 5, "labelSeparation": 6},  # the names leave it half of the width
    }
    layers = [
        {
            "mark": {"type": "rule", "strokeWidth": 2, "aria": False},
            "encoding": {**shared, "x": {**x, "field": "low"}, "x2": {"field": "high"}},
        },
        {
            "mark": {"type": "point", "filled": True, "size": 80, "opacity": 1},
            "encoding": {
                **shared,
                "x": {**x, "field": "mae"},
                "description": {"field": "label"},
            },
        },
    ]
    return _chart(_rows(errors), 44 + 26 * len(errors), layer=layers)


def coverage_spec(
    shares: pd.DataFrame, expected: float, colours: Mapping[str, str]
) -> dict[str, Any]:
    """The share of faces within ±1 std, a mark an angle, and the share that is expected.

    shares: network, angle, share, label.
    """
    x = {
        "field": "share",
        "type": "quantitative",
        "title": "share of faces within ±1 std",
        "scale": {"domain": [0, 1]},
    }
    shape = {"field": "angle", "type": "nominal", "sort": None, "title": None}
    points = {
        "mark": {"type": "point", "filled": True, "size": 60, "opacity": 1},
        "encoding": {
            "x": x,
            "y": _network_axis(shares["network"]),
            "shape": {**shape, "legend": {"orient": "top", "symbolFillColor": "currentColor"}},
            "color": _colour_by("network", colours),
            "description": {"field": "label"},
        },
    }
    return _chart(
        _rows(shares),
        80 + 22 * shares["network"].nunique(),
        layer=[_upright(expected, f"{expected:.2f} where the std is of the right size"), points],
    )


def heatmap_spec(
    cells: pd.DataFrame, teacher: tuple[int, int], best: tuple[int, int]
) -> dict[str, Any]:
    """The ensemble's gain on one window for every K and d; teacher and best are marked.

    cells: K, d, gain (percent), label.
    """
    largest = max(float(cells["gain"].abs().max()), 0.1)
    most = min(largest, DARKEST_GAIN)
    clamped = f"; darkest: ±{most:g} and beyond" if largest > most else ""
    axes = {
        "x": {"field": "d", "type": "ordinal", "title": "d, pixels", "axis": {"labelAngle": 0}},
        "y": {"field": "K", "type": "ordinal", "sort": "descending", "title": "K, pixels"},
    }
    colour = {
        "field": "gain",
        "type": "quantitative",
        "scale": {"scheme": "redblue", "domain": [-most, 0, most], "clamp": True},
        "legend": {
            "title": f"gain on one window, %{clamped}",
            "orient": "bottom",
            "gradientLength": 200,
            "titleLimit": 300,
        },
    }
    layers: list[dict[str, Any]] = [
        {
            "mark": "rect",
            "encoding": {**axes, "color": colour, "description": {"field": "label"}},
        }
    ]
    for (k, d), shape in ((teacher, "square"), (best, "diamond")):
        layers.append(
            {
                "transform": [{"filter": f"datum.K == {k} && datum.d == {d}"}],
                "mark": {
                    "type": "point",
                    "shape": shape,
                    "size": 70,
                    "aria": False,
                    "opacity": 1,
                    "filled": True,
                    "color": "#ffffff" if shape == "square" else "#ffd23f",
                    "stroke": "#222222",
                    "strokeWidth": 1,
                },
                "encoding": axes,
            }
        )
    return _chart(_rows(cells), 330, layer=layers)


def curves_spec(
    curves: Sequence[Curve],
    x_title: str,
    y_title: str,
    height_px: int = 220,
    upright: tuple[float, str] | None = None,
) -> dict[str, Any]:
    """Lines with dots, whose labels say their values. upright: a line at this x, and its label."""
    colours = {curve.name: curve.colour for curve in curves}
    rows = [
        {**row, "curve": curve.name, "dashed": curve.dashed}
        for curve in curves
        for row in _rows(curve.points)
    ]
    axes = {
        "x": {
            "field": "x",
            "type": "quantitative",
            "title": x_title,
            "scale": {"zero": False, "nice": False, "padding": 6},
            "axis": {"grid": False, "tickCount": 6},
        },
        "y": {
            "field": "y",
            "type": "quantitative",
            "title": y_title,
            "scale": {"zero": False},
            "axis": {"tickCount": 5},
        },
        "color": _colour_by("curve", colours),
    }
    dash = {"condition": {"test": "datum.dashed", "value": [4, 3]}, "value": [1, 0]}
    layers: list[dict[str, Any]] = [
        {
            "mark": {"type": "line", "aria": False, "strokeWidth": 2},
            "encoding": {**axes, "strokeDash": dash, "detail": {"field": "curve"}},
        },
        {
            "transform": [{"filter": "datum.label !== null"}],
            "mark": {"type": "point", "filled": True, "size": 26, "opacity": 1},
            "encoding": {**axes, "description": {"field": "label"}},
        },
    ]
    if upright:
        layers.append(_upright(*upright))
    return _chart(rows, height_px, layer=layers)


def _upright(x: float, label: str) -> dict[str, Any]:
    return {
        "data": {"values": [{"x": x, "label": label}]},
        "mark": {"type": "rule", "strokeWidth": 1.5, "color": "currentColor", "opacity": 0.7},
        "encoding": {
            "x": {"field": "x", "type": "quantitative"},
            "description": {"field": "label"},
        },
    }


def distribution_spec(
    curves: Sequence[Curve], label_deg: float, label: str, angle: str
) -> dict[str, Any]:
    """Distributions of one angle over its bins, and the label as an upright line.

    curves: x degrees, y probability, label (None: no dot). label: what the upright line says.
    """
    upright = (label_deg, label)
    spec = curves_spec(curves, f"{angle}, degrees", "probability", 150, upright)
    spec["layer"][0]["mark"] |= {"interpolate": "step"}
    return spec


def few_labels(labels: Sequence[str]) -> list[str | None]:
    """The labels of at most some forty points, evenly, the last among them."""
    step = -(-len(labels) // _MOST_POINTS)
    last = len(labels) - 1
    return [text if (last - place) % step == 0 else None for place, text in enumerate(labels)]


def _network_axis(networks: Iterable[str]) -> dict[str, Any]:
    """One row a network; its name has room in whatever font the reader has."""
    names_px = _LETTER_PX * max(map(len, networks))
    axis = {"minExtent": names_px, "labelLimit": 2 * names_px}
    return {"field": "network", "type": "nominal", "sort": None, "title": None, "axis": axis}


def _colour_by(name: str, colours: Mapping[str, str]) -> dict[str, Any]:
    scale = {"domain": list(colours), "range": list(colours.values())}
    return {"field": name, "type": "nominal", "scale": scale, "legend": None}


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Records whose missing values are None, and whose numbers are short enough to read."""
    rounded = table.round(4).astype(object)
    values = rounded.where(rounded.notna(), None).to_numpy().tolist()
    return [dict(zip(table.columns, row, strict=True)) for row in values]


def _chart(rows: Sequence[Mapping[str, Any]], height_px: int, **what: Any) -> dict[str, Any]:
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "width": WIDTH_PX,
        "height": height_px,
        "autosize": {"type": "fit", "contains": "padding"},
        "padding": 2,
        "config": _CONFIG,
        "data": {"values": list(rows)},
        **what,
    }
