"""Curves: what is drawn, looked up in the figure before it becomes a picture."""

import cv2
import numpy as np
import pandas as pd
import pytest

from hpe_core.io import curves
from hpe_core.io.curves import RiskPanel, save_jitter, save_risk_coverage
from hpe_core.uncertainty import risk_coverage

NETWORKS = {"one": ["base", "ensemble", "kd-resnet8"], "two": ["base", "kd-resnet10"]}


def panels(count: int = 2) -> list[RiskPanel]:
    found = []
    for title, names in list(NETWORKS.items()) * (count // 2) + list(NETWORKS.items())[: count % 2]:
        rng = np.random.default_rng(len(found))
        errors = rng.exponential(5, 50)
        curve = {name: risk_coverage(errors, errors + rng.random(50) * 5) for name in names}
        found.append(RiskPanel(title, curve, "base", risk_coverage(errors, errors)))
    return found


def jitter() -> pd.DataFrame:
    rows = [
        (test, name, kind, level, 5 + place + level)
        for test, names in NETWORKS.items()
        for place, name in enumerate(names)
        for kind, levels in (("scale", [1.25, 0.8, 1.0]), ("shift", [0.2, -0.1, 0.0, 0.03125]))
        for level in levels
    ]
    return pd.DataFrame(rows, columns=["test", "network", "kind", "level", "mae"])


@pytest.fixture
def figure(monkeypatch):
    """The figure that was saved last."""
    saved = []
    save = curves.save_png
    monkeypatch.setattr(curves, "save_png", lambda f, path: saved.append(f) or save(f, path))
    return lambda: saved[-1]


def drawn(axes) -> dict[tuple, list[tuple[float, float]]]:
    """The look of every line → its points."""
    return {
        (line.get_color(), line.get_marker(), line.get_linestyle()): [
            (float(x), float(y)) for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True)
        ]
        for line in axes.get_lines()
    }


def look(figure, network: str) -> tuple:
    """Colour, marker and line style of a legend's entry."""
    (handle,) = [h for h in figure.legends[0].legend_handles if h.get_label() == network]
    return handle.get_color(), handle.get_marker(), handle.get_linestyle()


def points(curve: pd.DataFrame) -> list[tuple[float, float]]:
    return list(curve.astype("f8").itertuples(index=False, name=None))


def test_every_network_has_its_curve_and_the_oracle_too(figure, tmp_path):
    save_risk_coverage(panels(), "title", tmp_path / "risk.png")
    for axes, panel in zip(figure().axes, panels(), strict=True):
        lines = drawn(axes)
        assert len(lines) == len(panel.curves) + 1
        for name, curve in panel.curves.items():
            assert lines[look(figure(), name)] == points(curve), name
        assert lines[look(figure(), "base, best order")] == points(panel.oracle)
        assert axes.get_title(loc="left") == panel.title


@pytest.mark.parametrize(("count", "shown"), [(1, 1), (4, 4), (5, 6), (7, 8)])
def test_test_sets_fill_rows_of_equal_length(count, shown, figure, tmp_path):
    save_risk_coverage(panels(count), "title", tmp_path / "risk.png")
    assert len(figure().axes) == shown
    assert [bool(axes.get_lines()) for axes in figure().axes] == [True] * count + [False] * (
        shown - count
    )


def test_jitter_has_a_line_for_each_network_in_percent(figure, tmp_path):
    save_jitter(jitter(), "title", tmp_path / "jitter.png")
    grid = np.reshape(figure().axes, (2, 2))
    assert [axes.get_title(loc="left") for axes in grid[0]] == list(NETWORKS)
    for column, names in zip(grid.T, NETWORKS.values(), strict=True):
        for axes, levels in zip(column, ([-0.1, 0.0, 0.03125, 0.2], [0.8, 1.0, 1.25]), strict=True):
            lines = drawn(axes)
            assert len(lines) == len(names) + 1
            for place, name in enumerate(names):
                expected = [(100 * level, 5 + place + level) for level in levels]
                np.testing.assert_allclose(lines[look(figure(), name)], expected)
            assert {x for x, _ in lines[look(figure(), "box as it is")]} == {100 * levels[1]}
        assert column[0].get_ylim() == column[1].get_ylim()


def test_ticks_are_measured_levels(figure, tmp_path):
    save_jitter(jitter(), "title", tmp_path / "jitter.png")
    shift, scale = figure().axes[0], figure().axes[2]
    assert [label.get_text() for label in shift.get_xticklabels()] == ["−10", "0", "3.1", "20"]
    assert [label.get_text() for label in scale.get_xticklabels()] == ["80", "100", "125"]
    assert (shift.get_xscale(), scale.get_xscale()) == ("linear", "log")


def test_a_kind_that_was_not_measured_has_no_panel(figure, tmp_path):
    save_jitter(jitter().query("kind == 'scale'"), "title", tmp_path / "jitter.png")
    assert [axes.get_xscale() for axes in figure().axes] == ["log", "log"]


def test_many_networks_look_different():
    styles = curves._styles(f"n{place}" for place in range(42))
    assert len({(style["color"], style["marker"]) for style in styles.values()}) == 42


@pytest.mark.parametrize("names", [["base"], ["base", "kd-a-backbone-of-a-long-name", "c", "d"]])
def test_the_legend_stays_inside_and_covers_no_data(names, figure, tmp_path):
    curve = panels(1)[0].oracle
    panel = RiskPanel("title", dict.fromkeys(names, curve), "base", curve)
    save_risk_coverage([panel], "title", tmp_path / "risk.png")
    legend = figure().legends[0].get_window_extent()
    assert legend.x1 <= figure().bbox.x1
    assert legend.y1 <= figure().axes[0].get_tightbbox().y0


@pytest.mark.parametrize(
    ("save", "content"),
    [
        pytest.param(save_risk_coverage, panels(), id="risk"),
        pytest.param(save_jitter, jitter(), id="jitter"),
    ],
)
def test_equal_inputs_give_equal_bytes(save, content, tmp_path):
    for name in ("a.png", "b.png"):
        save(content, "title", tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    picture = cv2.imread(str(tmp_path / "a.png"))
    assert (picture < 128).any()
    save(content, "another title", tmp_path / "c.png")
    assert (tmp_path / "c.png").read_bytes() != (tmp_path / "a.png").read_bytes()
