"""Charts: what each says, that its marks lie at their values, and the pictures made of them."""

import csv
import json
import re
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import vl_convert
from dvc_render.vega import VegaRenderer
from page_material import (
    HOSTILE,
    NETWORKS,
    Reader,
    made_up_predictions,
    made_up_results,
    made_up_test,
)

from hpe_core.common.geometry import ANGLES
from hpe_core.evaluation.columns import ORACLE, PYR, TRUE_PYR
from hpe_core.page import html
from hpe_core.tables import charts, figures, paper_tables
from hpe_core.tables.charts import (
    Chart,
    Palette,
    coverage_chart,
    errors_by_yaw,
    heatmap_charts,
    interval_chart,
    jitter_chart,
    risk_chart,
    training_chart,
    yaw_chart,
)
from hpe_core.tables.pictures import Tile, save_tiles
from hpe_core.tables.results import TestSet, ensemble_size

ROOT = Path(__file__).parents[1]


def svg_of(chart: Chart, number: int) -> str:
    return html.svg_of(chart, ROOT / "pipeline" / "page", number)


PUBLISHED = pd.read_csv(ROOT / "data" / "published" / "ensemble.csv")


def our_map(test: TestSet) -> Chart:
    return heatmap_charts(test, (6, 3), PUBLISHED)[0]


def our_cells() -> pd.DataFrame:
    """All cells of the paper's Fig. 7: the base network's error is 5°, the best gain is 1.5 %."""
    cells = [(k, d) for k in range(16) for d in range(1, 16)]
    rows = [(k, d, ensemble_size((k, d)), k // d * d) for k, d in cells]
    table = pd.DataFrame(rows, columns=["K", "d", "S", "reach"])
    loss = 0.02 * (table["reach"] - 10) ** 2 - 1.5
    mae = (5 * (1 + loss.where(table["S"] > 1, 0) / 100)).round(4)
    return table.assign(**dict.fromkeys(("pitch", "yaw", "roll", "mae"), mae), faces=60)


def published_test(name: str = "p2-AFLW") -> TestSet:
    """One with all cells, and published ones."""
    protocol, dataset = name.split("-")
    return made_up_test(name, protocol=protocol, dataset=dataset, cells=our_cells())


COLOURS = {name: f"var(--net{place})" for place, name in enumerate(NETWORKS)}
PALETTE = Palette(COLOURS, "var(--pale)", legend=False)


def labels(svg: str) -> list[str]:
    return re.findall(
        r'aria-label="([^"]+)" role="graphics-symbol"[^>]*roledescription="point"', svg
    )


def test_every_point_of_a_curve_says_its_value():
    test = made_up_test()
    svg = svg_of(risk_chart(test, PALETTE), 0)
    expected = [
        f"{row.network}, {row.percent} % kept: MAE {row.mae:.2f}°" for row in test.risk.itertuples()
    ]
    assert sorted(labels(svg)) == sorted(expected)
    assert any(label.startswith(ORACLE) for label in expected)
    assert {*COLOURS.values(), "var(--pale)"} <= set(re.findall(r"var\(--[a-z0-9]+\)", svg))


def test_every_cell_of_a_heat_map_says_its_value():
    test = made_up_test()
    svg = svg_of(our_map(test), 0)
    cells = re.findall(r'aria-label="(K=[^"]+)"', svg)
    assert len(cells) == len(test.cells)
    row = test.cells.iloc[77]
    assert any(
        f"K={row['K']:.0f}, d={row['d']:.0f}, " in c and f"{row['mae']:.3f}°" in c for c in cells
    )


def test_a_heat_map_of_one_window_alone():
    test = made_up_test()
    only = test.cells[(test.cells["K"] == 0) & (test.cells["d"] == 1)]
    chart = our_map(made_up_test(cells=only))
    assert "+0.0 %" in svg_of(chart, 0)


def test_a_heat_map_shows_gains_of_two_percent_and_says_where_its_colours_end():
    """Fig. 7 has its colours around the base network's error; what lies farther is clipped."""
    gains = {(2, 1): 0, (3, 1): 1, (4, 1): 2, (5, 1): 3, (6, 1): 40}
    gains |= {(7, 1): -1, (8, 1): -2, (9, 1): -3, (10, 1): -300}
    test = made_up_test()
    base = test.networks["base"]["mae"]
    cells = test.cells.set_index(["K", "d"])
    for cell, gain in gains.items():
        cells.loc[cell, "mae"] = base * (1 - gain / 100)
    svg = svg_of(our_map(made_up_test(cells=cells.reset_index())), 0)
    assert "K=4, d=1, 81 windows: MAE" in svg
    assert f"MAE {base * 0.98:.3f}°, +2.0 %" in svg, "the label is exact"
    assert f"MAE {base * 4:.3f}°, −300.0 %" in svg, "also of what has no colour of its own"
    colours = {gain: colour_of(svg, *cell) for cell, gain in gains.items()}
    assert colours[40].tolist() == colours[3].tolist()
    assert colours[-300].tolist() == colours[-3].tolist()
    for sign in (1, -1):
        steps = [np.abs(colours[sign * n] - colours[sign * (n - 1)]).max() for n in (1, 2, 3)]
        assert min(steps) > 30, "of 255: whole percents are told apart"
        red_to_blue = colours[2 * sign][2] - colours[2 * sign][0]
        assert red_to_blue * sign > 60, "a gain is blue, a loss red"
    alone = colour_of(svg, 3, 5)
    assert np.ptp(alone) == 0, "one window: grey"
    assert np.abs(alone - colours[0]).max() > 20, "and no gain of an ensemble"
    assert {"≤ −3", "−2", "−1", "0", "1", "2", "≥ 3"} <= set(re.findall(">([^<]+)</text>", svg))


@pytest.mark.parametrize("test_name", ["p1-AFLW2000", "p1-BIWI", "p2-AFLW", "p3-BIWI"])
def test_the_papers_cells_stand_beside_ours_on_the_same_axes(test_name):
    test = published_test(test_name)
    ours, theirs = heatmap_charts(test, (10, 5), PUBLISHED)
    assert theirs.title == f"{test.title}, paper"
    paper = PUBLISHED.query(f"protocol == '{test.protocol}' and dataset == '{test.dataset}'")
    base = paper.set_index("K")["avg"][0]
    svgs = [svg_of(chart, place) for place, chart in enumerate((ours, theirs))]
    assert len(re.findall('aria-label="K=', svgs[0])) == 240, "every cell of the paper's Fig. 7"
    assert len(re.findall('aria-label="K=', svgs[1])) == len(paper) == 6
    shown = re.findall(r">(−?\d\.\d)</text>", svgs[1])
    gains = 100 * (base - paper["avg"]) / base
    assert sorted(shown) == sorted(f"{gain:.1f}".replace("-", "−") for gain in gains)
    for row, gain in zip(paper.itertuples(), gains, strict=True):
        assert centre_of(svgs[1], row.K, row.d) == centre_of(svgs[0], row.K, row.d)
        windows = f"{row.S} window" + "s" * (row.S > 1)
        label = f"K={row.K}, d={row.d}, {windows}: MAE {row.avg:.3f}°, {gain:+.1f} %"
        assert label.replace("-", "−") in svgs[1]
    best = paper.loc[paper["avg"].idxmin()]
    assert f"Published: one window {base:.3f}°, best {best.avg:.3f}° at " in theirs.text
    (bold,) = re.findall(r'font-weight="bold"[^>]*>(−?\d\.\d)</text>', svgs[1])
    assert bold == f"{gains.max():.1f}"
    assert "best on this test set" in svgs[0]
    assert "best on this test set" not in svgs[1]
    for svg in svgs:
        assert svg.count("K, pixels of a 224-pixel input</text>") == 1
        assert svg.count("d, pixels of a 224-pixel input</text>") == 1


def test_equal_gains_have_equal_colours_in_ours_and_the_papers():
    paper = PUBLISHED.query("protocol == 'p3'").set_index(["K", "d"])["avg"]
    cells = our_cells().set_index(["K", "d"])
    cells["mae"] = 2 * paper.reindex(cells.index).fillna(paper[0, 1])
    test = made_up_test(protocol="p3", dataset="BIWI", cells=cells.reset_index())
    ours, theirs = map(svg_of, heatmap_charts(test, (10, 5), PUBLISHED), (0, 1))
    for cell in paper.index:
        assert colour_of(ours, *cell).tolist() == colour_of(theirs, *cell).tolist()
    assert len({tuple(colour_of(theirs, *cell)) for cell in paper.index}) > 4


def test_axes_are_whole_where_the_sweep_ends_before_the_papers_cells():
    short = our_cells().query("K <= 4 and d <= 4")
    test = made_up_test(protocol="p3", dataset="BIWI", cells=short)
    for chart in heatmap_charts(test, (4, 1), PUBLISHED):
        axes = {axis: chart.spec["encoding"][axis]["scale"]["domain"] for axis in "xy"}
        assert axes == {"x": list(range(1, 16)), "y": list(range(15, -1, -1))}


def test_a_test_set_without_published_cells_has_one_map():
    for changed in ({"protocol": "p1", "dataset": "X"}, {"protocol": "p9", "dataset": "BIWI"}):
        assert len(heatmap_charts(made_up_test(**changed), (6, 3), PUBLISHED)) == 1


def values(chart: Chart) -> list[dict]:
    """What a chart draws."""
    return chart.spec["data"]["values"]


def curves_of(chart: Chart) -> dict[str, dict[float, float]]:
    """Curve → x → y."""
    found: dict[str, dict[float, float]] = {}
    for row in values(chart):
        x = next(row[name] for name in ("percent", "epoch", "yaw") if name in row)
        found.setdefault(row.get("run", row["network"]), {})[x] = row["mae"]
    return found


def table_as_curves(table: pd.DataFrame, x: str) -> dict[str, dict[float, float]]:
    """Network → x → MAE."""
    return {
        str(name): dict(zip(own[x].round(4), own["mae"].round(4), strict=True))
        for name, own in table.groupby("network")
    }


def places(svg: str) -> dict[str, tuple[float, float]]:
    """Label of a dot → where it lies, pixels."""
    form = (
        r'aria-label="([^"]+)" role="graphics-symbol"[^>]*transform="translate\(([^,]+),([^)]+)\)'
    )
    return {label: (float(x), float(y)) for label, x, y in re.findall(form, svg)}


def test_intervals_are_those_that_were_measured():
    test = made_up_test(networks={n: made_up_test().networks[n] for n in ("base", "ensemble")})
    chart = interval_chart(test, PALETTE)
    for row in values(chart):
        name = row["network"]
        low, high = test.intervals[name]["mae"]
        mae = test.networks[name]["mae"]
        assert [row["low"], row["mae"], row["high"]] == pytest.approx([low, mae, high], abs=1e-4)
        label = f"{name}: MAE {mae:.2f}°, 95 % {low:.2f}–{high:.2f}"
        assert label in chart.text
        assert label in labels(svg_of(chart, 0))
    assert len(values(chart)) == 2


def test_ticks_of_intervals_keep_apart():
    networks = {name: made_up_test().networks["base"] for name in ("base", "kd-resnet1000")}
    intervals = {name: {"mae": [3.5, 6.1]} for name in networks}
    svg = svg_of(interval_chart(made_up_test(networks=networks, intervals=intervals), PALETTE), 0)
    axis = svg.split("X-axis titled")[1].split("role-axis-title")[0]
    shown = re.findall(r'translate\(([\d.]+),[\d.]+\)"[^>]*>(\d\.\d)</text>', axis)
    assert len(shown) > 2
    assert np.diff([float(x) for x, _ in shown]).min() > 30, "pixels; a label is some 20 wide"


def test_coverage_is_the_share_within_one_std():
    shares = iter(np.linspace(0.25, 0.98, 3 * len(NETWORKS)))
    uncertainty = {
        name: {
            "std": {
                "calibrated": True,
                "coverage": dict(zip(ANGLES, shares, strict=False)),
                "rank_correlation": dict.fromkeys((*ANGLES, "face"), 0.5),
                "aurc_gain": 0.5,
            }
        }
        for name in made_up_test().networks
    }
    test = made_up_test(uncertainty=uncertainty)
    chart = coverage_chart(test, PALETTE)
    svg = svg_of(chart, 0)
    measured = {
        f"{name}, {angle}: {share:.2f} of the faces within ±1 std": share
        for name in test.networks
        for angle, share in test.uncertainty[name]["std"]["coverage"].items()
    }
    assert set(labels(svg)) == set(measured)
    numbers = chart.numbers.set_index("network")
    for name in test.networks:
        own = test.uncertainty[name]["std"]["coverage"]
        assert numbers.loc[name, list(ANGLES)].tolist() == list(own.values())
    found = places(svg)
    across = [found[label][0] for label in measured]
    assert np.corrcoef(across, list(measured.values()))[0, 1] > 0.999, "dots lie at their values"
    assert "0.68 where the std is of the right size" in svg
    farthest = max(measured, key=lambda label: abs(measured[label] - 0.6827))
    assert chart.text == f"Farthest from 0.68: {farthest.split(' of the')[0]}."


@pytest.mark.parametrize(
    ("kind", "unchanged", "words"),
    [("shift", 0, "moved by"), ("scale", 100, "resized to")],
)
def test_errors_of_jittered_boxes_are_drawn_beside_the_unchanged_box(kind, unchanged, words):
    results = made_up_results()
    test = results.tests[1]
    chart = jitter_chart(test, kind, results.jitter, PALETTE)
    of_test = results.jitter[results.jitter["test"] == test.name]
    own = of_test[of_test["kind"] == kind].assign(percent=100 * of_test["level"])
    svg = svg_of(chart, 0)
    expected = {
        f"{r.network}, box {words} {r.percent:.3g} %: MAE {r.mae:.2f}°": (r.percent, r.mae)
        for r in own.itertuples()
    }
    assert set(labels(svg)) == set(expected)
    found = places(svg)
    dots = [(*found[label], *values) for label, values in expected.items()]
    right, down, x, y = np.array(dots).T
    assert np.corrcoef(right, x)[0, 1] > 0.999, "dots lie at their values"
    assert np.corrcoef(down, y)[0, 1] < -0.999, "and the larger error higher"
    assert found["unchanged box"][0] == pytest.approx(np.interp(unchanged, x, right), abs=0.02)
    ticks = chart.spec["encoding"]["x"]["axis"]["values"]
    assert ticks == sorted(own["percent"].unique())
    assert f"MAE {own['mae'].max():.2f}°" in chart.text
    other = jitter_chart(test, {"shift": "scale"}.get(kind, "shift"), results.jitter, PALETTE)
    axes = [c.spec["encoding"]["y"]["scale"] for c in (chart, other)]
    assert axes[0] == axes[1], "one error axis for both kinds"


def test_risk_is_told_of_all_faces_and_of_the_certain_half():
    test = made_up_test()
    chart = risk_chart(test, PALETTE)
    expected = table_as_curves(test.risk, "percent")
    drawn = curves_of(chart)
    assert drawn == {name: expected[name] for name in drawn}
    assert list(drawn) == [*test.networks, ORACLE]
    parts = [
        f"{name} {test.networks[name]['mae']:.2f}° and {expected[name][50]:.2f}°"
        for name in test.networks
    ]
    assert chart.text == f"MAE of all faces, and of the most certain half: {'; '.join(parts)}."
    found = places(svg_of(chart, 0))
    dots = [(*found[row["label"]], row["percent"], row["mae"]) for row in values(chart)]
    right, down, x, y = np.array(dots).T
    assert np.corrcoef(right, x)[0, 1] > 0.999, "dots lie at their values"
    assert np.corrcoef(down, y)[0, 1] < -0.999, "and the larger error higher"


def test_training_curves_are_the_mae_of_every_epoch():
    def history(last: float) -> pd.DataFrame:
        mae = [last + 2, last + 1, last]
        return pd.DataFrame({"epoch": [1, 2, 3], "loss": [0.3, 0.2, 0.1], "mae": mae})

    runs = {"base-1": history(5.0), "kd-resnet8-1": history(3.0)}
    chart = training_chart("p9", runs, PALETTE)
    expected = {n: dict(zip(t["epoch"], t["mae"], strict=True)) for n, t in runs.items()}
    assert curves_of(chart) == expected
    assert chart.text == "Over the last epoch: base-1 5.00°; kd-resnet8-1 3.00°."
    assert chart.numbers["kd-resnet8-1"].tolist() == [5.0, 4.0, 3.0]
    assert "kd-resnet8-1, epoch 2: MAE 4.00°, loss 0.200" in labels(svg_of(chart, 0))


def test_an_imported_network_has_a_dot_and_no_interval():
    test = made_up_test(imported={"theirs": {"mae": 3.21, "faces": 9, "abs_yaw": {}}})
    palette = Palette({**COLOURS, "imported theirs": "var(--net4)"}, "", legend=False)
    svg = svg_of(interval_chart(test, palette), 0)
    assert "imported theirs: MAE 3.21°" in labels(svg)
    lengths = re.findall(r'<line [^>]*x2="([-.\d]+)"[^>]*stroke="var\(--net\d\)"', svg)
    assert len(lengths) == len(test.networks)
    assert all(abs(float(length)) > 10 for length in lengths)


def test_charts_with_different_numbers_share_no_id():
    chart = our_map(made_up_test())
    first, second = svg_of(chart, 1), svg_of(chart, 2)
    ids = [set(re.findall(r'\bid="([^"]+)"', svg)) for svg in (first, second)]
    assert ids[0]
    assert not ids[0] & ids[1]
    assert svg_of(chart, 1) == first


def test_long_curves_keep_their_line_and_lose_dots():
    few = charts.few_labels([str(n) for n in range(100)])
    kept = [label for label in few if label is not None]
    assert len(few) == 100
    assert len(kept) <= 40
    assert kept[-1] == "99"
    points = pd.DataFrame({"x": range(100), "mae": range(100), "label": few, "network": "base"})
    spec = charts.curves(points, PALETTE, x="x", x_label="x", y="mae", y_label="y")
    assert len(spec["data"]["values"]) == 100
    assert len(labels(svg_of(Chart("t", spec, "text"), 0))) == len(kept)


def test_errors_by_yaw_are_means_of_the_faces_in_a_band():
    table = made_up_predictions()
    found = errors_by_yaw(table)
    assert list(dict.fromkeys(found["network"])) == list(NETWORKS)
    for row in found.sample(6, random_state=0).to_dict("records"):
        own = table[
            (table["network"] == row["network"])
            & (table["true_yaw"].between(row["low"], row["high"]))
        ]
        error = np.abs(own[PYR].to_numpy() - own[TRUE_PYR].to_numpy()).mean()
        assert row["mae"] == pytest.approx(error)
        assert row["faces"] == own["face_id"].nunique()
    per_face = found[found["network"] == "base"]
    assert per_face["faces"].sum() == table["face_id"].nunique()
    chart = yaw_chart(made_up_test(), table, PALETTE)
    assert len(labels(svg_of(chart, 0))) == len(found)


def test_hostile_names_are_text_in_charts():
    points = pd.DataFrame({"x": [1, 2], "y": [3, 4], "label": [HOSTILE, "v1.23456789"]})
    palette = Palette({HOSTILE: "var(--net0)"}, "var(--pale)", legend=False)
    rows = points.assign(network=HOSTILE)
    spec = charts.curves(rows, palette, x="x", x_label=HOSTILE, y="y", y_label=HOSTILE)
    svg = Reader(svg_of(Chart(HOSTILE, spec, HOSTILE), 0))
    assert {name for name, _ in svg.elements} == {"svg", "g", "path", "line", "text"}
    assert {HOSTILE, "v1.23456789"} <= {own.get("aria-label") for _, own in svg.elements}
    assert HOSTILE[:30] in svg.text, "the axes' titles"
    assert not [name for _, own in svg.elements for name in own if name.startswith("on")]


def test_many_networks_look_different():
    palette = Palette.of([f"n{place}" for place in range(42)], figures.COLOURS, "#777777", True)
    color, shape = (look["scale"]["range"] for look in palette.looks().values())
    assert len(set(zip(color, shape, strict=True))) == 42


def test_a_kind_of_jitter_that_was_not_measured_has_no_chart():
    jitter = made_up_results().jitter
    assert charts.jitter_kinds(jitter) == ["shift", "scale"]
    assert charts.jitter_kinds(jitter.query("kind == 'scale'")) == ["scale"]


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("figures")
    figures.save_figures(made_up_results(), folder)
    return folder


def test_equal_results_give_equal_pictures_and_others_others(saved, tmp_path):
    results = made_up_results()
    figures.save_figures(results, tmp_path)
    names = {path.name for path in tmp_path.glob("*")}
    assert names == {"heatmap.png", "heatmap.csv", "risk.png", "jitter.png"}
    for name in names:
        assert (tmp_path / name).read_bytes() == (saved / name).read_bytes()
    for name in names - {"heatmap.csv"}:
        assert (cv2.imread(str(saved / name)) < 128).any()
    chart = risk_chart(results.tests[0], PALETTE)
    for title in ("a", "b"):
        figures.save_charts([[chart]], [title], tmp_path / f"{title}.png")
    assert (tmp_path / "a.png").read_bytes() != (tmp_path / "b.png").read_bytes()


@pytest.mark.parametrize(("count", "columns"), [(1, 1), (4, 4), (5, 3), (7, 4)])
def test_panels_fill_rows_of_equal_length(count, columns, tmp_path, monkeypatch):
    kept = []
    monkeypatch.setattr(figures, "save_png", lambda spec, path: kept.append(spec))
    chart = Chart("title", {"mark": "point"}, "word " * 30)
    figures.save_charts([[chart]] * count, ["t"], tmp_path / "a.png")
    (spec,) = kept
    assert (len(spec["concat"]), spec["columns"]) == (count, columns)
    lines = spec["concat"][0]["title"]["subtitle"]
    assert len(lines) > 1
    assert max(map(len, lines)) <= 64


def test_pictures_have_every_test_set_and_network_and_name_the_corpora(tmp_path, monkeypatch):
    kept = {}
    monkeypatch.setattr(figures, "save_png", lambda spec, path: kept.update({path.stem: spec}))
    results = made_up_results()
    figures.save_figures(results, tmp_path)
    assert {name: len(spec["concat"]) for name, spec in kept.items()} == {
        "heatmap": 2, "risk": 2, "jitter": 4,
    }  # fmt: skip
    networks = set(results.tests[0].networks)
    for name, spec in kept.items():
        assert results.corpora in spec["title"]["text"]
        svg = vl_convert.vegalite_to_svg(spec, vl_version="6.4")
        legend = set(re.findall(">([^<]+)</text>", svg))
        assert networks <= legend or name == "heatmap"
        assert {"best on this test set", "the teacher's K, d"} <= legend or name != "heatmap"
    assert kept["risk"]["concat"][0]["data"] == risk_chart(results.tests[0], PALETTE).spec["data"]


def test_tiles_say_prediction_and_truth(tmp_path):
    blue, axes = np.full((256, 256, 3), (40, 90, 160), np.uint8), {"x": (235, 50, 50)}
    tiles = [Tile(blue, "1°, 2°, 3°", f"{place}°") for place in range(5)]
    others = [Tile(blue, "9°", "4°"), Tile(blue, "1°, 2°, 3°", "9°")]
    written = []
    for last in (tiles[-1], tiles[-1], *others):
        save_tiles([*tiles[:-1], last], ["title"], axes, tmp_path / "a.png")
        written.append((tmp_path / "a.png").read_bytes())
    assert written[0] == written[1]
    assert len(set(written)) == 3, "both texts are shown"
    image = cv2.imread(str(tmp_path / "a.png"))
    assert image.shape[1] > 4 * 256
    assert (image == (160, 90, 40)).all(-1).sum() == 5 * 256 * 256, "whole and as large as it is"


# Template → columns of x and y, what one row in a CSV file is, as text, as DVC reads it.
PLOTS = {
    "curves": ("percent", "mae"),
    "bands": ("abs_yaw", "avg"),
    "coverage": ("covered_yaw", "network"),
    "heatmap": ("d", "K"),
    "jitter": ("level", "mae"),
}


def plot_data(template: str, folder: Path) -> list[dict[str, str]]:
    test = made_up_test()
    jitter = made_up_results().jitter
    table = {
        "curves": test.risk,
        "bands": paper_tables.bands_table([test]),
        "coverage": paper_tables.uncertainty_table([test]),
        "heatmap": paper_tables.cells_table([published_test()], (6, 3), PUBLISHED),
        "jitter": jitter[jitter["test"] == "p9-X"].drop(columns="test"),
    }[template]
    return [{**line, "rev": "workspace", "filename": "a"} for line in as_dvc_reads(table, folder)]


def as_dvc_reads(table: pd.DataFrame, folder: Path) -> list[dict[str, str]]:
    """The rows of a CSV file, as text."""
    table.to_csv(folder / "plot.csv", index=False)
    with (folder / "plot.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    ("template", "marks"),
    [
        pytest.param("curves", 5 * 10, id="curves: 4 networks and the best order, 10 shares each"),
        pytest.param("bands", 4 * 3, id="bands: 4 networks, 3 bands"),
        pytest.param("coverage", 4 * 3, id="coverage: 4 networks, 3 angles"),
        pytest.param("heatmap", 16 * 15 + 6, id="heatmap: K of 0 to 15, d of 1 to 15, the paper's"),
        pytest.param("jitter", 4 * (2 + 3), id="jitter: 4 networks, 2 shifts and 3 scales"),
    ],
)
def test_dvc_fills_and_draws_the_same_specifications(template, marks, tmp_path):
    data, (x, y) = plot_data(template, tmp_path), PLOTS[template]
    folder = str(ROOT / ".dvc" / "plots")
    renderer = VegaRenderer(data, "a", template=template, template_dir=folder, x=x, y=y)
    filled = json.loads(renderer.partial_html())
    assert "<DVC_METRIC" not in json.dumps(filled)
    assert filled["data"]["values"] == data
    svg = vl_convert.vegalite_to_svg(filled, vl_version="5.8")  # DVC's page loads one like it
    mark = "rect mark" if template == "heatmap" else "point"
    assert svg.count(f'aria-roledescription="{mark}"') == marks
    assert not {"NaN", "undefined"} & set(re.findall("NaN|undefined", svg))


def test_dvc_lays_the_papers_cells_beside_ours_of_every_revision(tmp_path):
    """Every panel stands in its row and column, also beside a test set that the paper lacks."""
    names = ["p2-AFLW", "p1-nobody", "p3-BIWI"]
    cells = paper_tables.cells_table(list(map(published_test, names)), (15, 5), PUBLISHED)
    ours = cells["source"] == "ours"
    before = cells.assign(mae=cells["mae"].where(~ours, 2 * cells["mae"]))
    data = [
        {**row, "rev": rev, "filename": "a"}
        for rev, table in (("workspace", cells), ("HEAD", before))
        for row in as_dvc_reads(table, tmp_path)
    ]
    folder = str(ROOT / ".dvc" / "plots")
    renderer = VegaRenderer(data, "a", template="heatmap", template_dir=folder, x="d", y="K")
    svg = vl_convert.vegalite_to_svg(json.loads(renderer.partial_html()), vl_version="5.8")
    texts = re.findall(r">([^<]+)</text>", svg)
    columns = ["workspace", "HEAD", "paper"]
    assert [text for text in texts if text in columns] == columns
    assert [text for text in texts if text in names] == names
    panels = svg.split('role-scope cell"')[1].split('role-legend"')[0].split('"background"')[1:]
    form = r'"K=0, d=1, 1 window: MAE ([\d.]+)°, \+0\.0 %"'
    one_window = [re.findall(form, panel) for panel in panels]
    assert one_window == [
        *(["5.000"], ["10.000"], ["5.404"]),
        *(["5.000"], ["10.000"], []),
        *(["5.000"], ["10.000"], ["2.535"]),
    ]
    assert [panel.count('aria-label="K=') for panel in panels] == [
        *(240, 240, 6),
        *(240, 240, 0),
        *(240, 240, 6),
    ]
    teachers = [len(re.findall('<path[^>]*fill="#ffffff"', panel)) for panel in panels]
    assert teachers == 3 * [1, 1, 0], "the teacher is ours"


def colour_of(svg: str, k: int, d: int) -> np.ndarray:
    """Of a cell of a heat map: red, green, blue."""
    (fill,) = re.findall(rf'aria-label="K={k}, d={d}, [^>]* fill="([^"]+)"', svg)
    if fill.startswith("#"):
        return np.array([int(fill[place : place + 2], 16) for place in (1, 3, 5)])
    return np.array([int(part) for part in re.findall(r"\d+", fill)])


def centre_of(svg: str, k: int, d: int) -> list[float]:
    """Of a cell of a heat map, pixels."""
    form = rf'aria-label="K={k}, d={d}, [^>]* d="M([\d.]+),([\d.]+)h([\d.]+)v([\d.]+)'
    x, y, width, height = map(float, re.search(form, svg).groups())
    return [x + width / 2, y + height / 2]


@pytest.mark.parametrize("loss", [0, 9])
def test_the_best_cell_in_the_picture_is_the_one_in_the_tables(loss):
    """With a loss the base network alone is best, for every d: one of them is marked."""
    cells = made_up_test().cells
    worse = cells["mae"].where(cells["S"] == 1, cells["mae"] + loss)
    test = made_up_test(cells=cells.assign(mae=worse))
    k, d = paper_tables.best_cell(test.cells)
    assert (k == 0) == (loss > 0)
    chart = our_map(test)
    assert f"at K={k}, d={d} " in chart.text
    svg = svg_of(chart, 0)
    places = re.findall(r'transform="translate\(([^,]+),([^)]+)\)"[^>]*fill="(#\w+)"', svg)
    best = [[float(x), float(y)] for x, y, colour in places if colour == "#ffd23f"]
    teachers = [[float(x), float(y)] for x, y, colour in places if colour == "#ffffff"]
    assert len(best) == len(teachers) == 2, "one in the chart, one in its legend"
    assert pytest.approx(centre_of(svg, k, d), abs=0.6) in best
    assert pytest.approx(centre_of(svg, 6, 3), abs=0.6) in teachers
