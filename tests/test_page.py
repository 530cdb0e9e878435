"""The page: what it says, what it draws, and that it is one whole file; no browser, no network."""

import base64
import hashlib
import re
import subprocess
from dataclasses import fields, replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from page_material import (
    HOSTILE,
    made_up_averaged,
    made_up_page,
    made_up_predictions,
    made_up_results,
    made_up_test,
)

from hpe_core import charts, findings
from hpe_core.bins import BinSpec
from hpe_core.charts import Curve
from hpe_core.errors import InputError
from hpe_core.findings import Choice, chosen_student, verdict
from hpe_core.geometry import ANGLES
from hpe_core.io import provenance
from hpe_core.io.page_file import svg_of, write_page
from hpe_core.io.provenance import Checkout, checkout_of, package_versions
from hpe_core.page import Charts, Page, Section, Text, plain_table, table_of
from hpe_core.page_faces import Averaged, angles_text, cards_of, sentence, teacher_section
from hpe_core.page_origin import counts_section, provenance_section
from hpe_core.page_sections import (
    coverage_chart,
    heatmap_chart,
    heatmap_section,
    interval_chart,
    jitter_section,
    risk_chart,
    summary_section,
    training_section,
    yaw_chart,
)
from hpe_core.predictions import ORACLE, PYR, TRUE_PYR
from pipeline._results import Folders, read_results

ROOT = Path(__file__).parents[1]
TEMPLATE = ROOT / "pipeline" / "page"
COLOURS = {"base": "var(--net0)", "ensemble": "var(--net1)", "kd-resnet8": "var(--net2)"}


class Reader(HTMLParser):
    """Elements, and all text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(str(text))

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("page") / "page.html"
    write_page(made_up_page(), TEMPLATE, path)
    return path


@pytest.fixture(scope="module")
def html(page) -> Reader:
    return Reader(page.read_text("utf-8"))


def test_equal_results_give_equal_bytes(page, tmp_path):
    write_page(made_up_page(), TEMPLATE, tmp_path / "again.html")
    assert (tmp_path / "again.html").read_bytes() == page.read_bytes()


def test_hostile_names_are_text(html):
    assert HOSTILE in html.text, "the name of the corpora"
    assert HOSTILE in [image["alt"][5:][: len(HOSTILE)] for image in html.all("img")]
    assert HOSTILE in " ".join(svg.get("aria-label") or "" for svg in html.all("svg"))
    assert len(html.all("script")) == 1
    assert not [name for _, own in html.elements for name in own if name.startswith("on")]


def test_nothing_lies_outside_of_the_page(page, html):
    for _, attributes in html.elements:
        for name in ("src", "href", "xlink:href", "srcset", "action", "data"):
            address = attributes.get(name) or "#"
            assert address.startswith(("#", "data:")), address
    text = page.read_text("utf-8")
    addresses = set(re.findall(r"https?://[^\s\"'<)]+", text))
    assert addresses <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert "@import" not in text
    assert "url(#" in text, "charts use their own gradients"
    assert not re.search(r"url\((?!#)", text)


def test_the_policy_lets_the_pages_own_script_run_and_nothing_load(page, html):
    (policy,) = [m["content"] for m in html.all("meta") if m.get("http-equiv")]
    script = page.read_text("utf-8").split("<script>")[1].split("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert f"script-src 'sha256-{digest}'" in policy


def test_every_picture_and_chart_says_what_it_shows(html):
    images, drawn = html.all("img"), [s for s in html.all("svg") if "viewbox" in s]
    assert len(images) > 10
    assert len(drawn) > 10
    assert all(len(image["alt"]) > 10 for image in images)
    assert all(len(svg["aria-label"]) > 20 for svg in drawn)


def test_imported_networks_stand_in_the_page(html):
    assert html.text.count("imported theirs") > 3, "legend, chart and tables"
    assert [s for s in html.all("path") if "imported theirs: MAE" in (s.get("aria-label") or "")]


def test_ids_are_unique_and_every_link_leads_to_one(page, html):
    ids = [own["id"] for _, own in html.elements if own.get("id")]
    assert len(ids) == len(set(ids))
    assert {own["href"].removeprefix("#") for own in html.all("a")} <= set(ids)
    assert set(re.findall(r"url\(#([^)]+)\)", page.read_text("utf-8"))) <= set(ids)


def test_hostile_names_are_text_in_charts():
    points = pd.DataFrame({"x": [1, 2], "y": [3, 4], "label": [HOSTILE, "v1.23456789"]})
    spec = charts.curves_spec([Curve(HOSTILE, points, "var(--net0)")], HOSTILE, HOSTILE)
    svg = Reader(svg_of(charts.Chart(HOSTILE, spec, HOSTILE), 0))
    assert {name for name, _ in svg.elements} == {"svg", "g", "path", "line", "text"}
    assert {HOSTILE, "v1.23456789"} <= {own.get("aria-label") for _, own in svg.elements}
    assert HOSTILE[:30] in svg.text, "the axes' titles"
    assert not [name for _, own in svg.elements for name in own if name.startswith("on")]


def test_a_template_that_does_not_fit_is_named(tmp_path):
    page = Page("t", "s", [])
    with pytest.raises(InputError, match=r"nowhere: no template of a page"):
        write_page(page, tmp_path / "nowhere", tmp_path / "page.html")
    for name in ("page.css", "page.js"):
        (tmp_path / name).write_text("")
    (tmp_path / "page.html").write_text("{{ page.misspelt }}")
    with pytest.raises(InputError, match="misspelt"):
        write_page(page, tmp_path, tmp_path / "out.html")


def labels(svg: str) -> list[str]:
    return re.findall(
        r'aria-label="([^"]+)" role="graphics-symbol"[^>]*roledescription="point"', svg
    )


def test_every_point_of_a_curve_says_its_value():
    test = made_up_test()
    svg = svg_of(risk_chart(test, COLOURS), 0)
    expected = [
        f"{row.network}, {row.percent} % kept: MAE {row.mae:.2f}°" for row in test.risk.itertuples()
    ]
    assert sorted(labels(svg)) == sorted(expected)
    assert any(label.startswith(ORACLE) for label in expected)
    assert set(COLOURS.values()) < set(re.findall(r"var\(--[a-z0-9]+\)", svg))


def test_every_cell_of_a_heat_map_says_its_value():
    test = made_up_test()
    svg = svg_of(heatmap_chart(test, (6, 3)), 0)
    cells = re.findall(r'aria-label="(K=[^"]+)"', svg)
    assert len(cells) == len(test.cells)
    row = test.cells.iloc[77]
    assert any(
        f"K={row['K']:.0f}, d={row['d']:.0f}, " in c and f"{row['mae']:.3f}°" in c for c in cells
    )


def test_a_heat_map_of_one_window_alone():
    test = made_up_test()
    only = test.cells[(test.cells["K"] == 0) & (test.cells["d"] == 1)]
    chart = heatmap_chart(made_up_test(cells=only), (1, 1))
    assert "+0.0 %" in svg_of(chart, 0)


def test_a_heat_map_says_where_its_colours_end():
    test = made_up_test()
    chart = heatmap_chart(test, (6, 3))
    base = test.networks["base"]["mae"]
    drawn = {(row["K"], row["d"]): row["gain"] for row in values(chart)}
    for cell in test.cells.to_dict("records"):
        expected = 100 * (base - cell["mae"]) / base
        assert drawn[cell["K"], cell["d"]] == pytest.approx(expected, abs=1e-4)
    assert "darkest" not in svg_of(chart, 0), "every gain has a colour of its own"
    cells = test.cells.assign(mae=test.cells["mae"] * np.where(test.cells["K"] == 10, 3, 1))
    assert ">gain on one window, %; darkest: ±20 and beyond<" in svg_of(
        heatmap_chart(made_up_test(cells=cells), (6, 3)), 0
    )
    words = heatmap_section(made_up_results()).blocks[0].text
    assert "Colours end at 20 %" in words
    assert "the teacher may mirror or turn faces, too (here: K=6, d=3)" in words


def values(chart: charts.Chart) -> list[dict]:
    """What a chart draws."""
    return chart.spec["data"]["values"]


def curves_of(chart: charts.Chart) -> dict[str, dict[float, float]]:
    """Curve → x → y."""
    found: dict[str, dict[float, float]] = {}
    for row in values(chart):
        found.setdefault(row["curve"], {})[row["x"]] = row["y"]
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
    chart = interval_chart(test, COLOURS)
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
    svg = svg_of(interval_chart(made_up_test(networks=networks, intervals=intervals), COLOURS), 0)
    axis = svg.split("X-axis titled")[1].split("role-axis-title")[0]
    shown = re.findall(r'translate\(([\d.]+),[\d.]+\)"[^>]*>(\d\.\d)</text>', axis)
    assert len(shown) > 2
    assert np.diff([float(x) for x, _ in shown]).min() > 30, "pixels; a label is some 20 wide"


def test_coverage_is_the_share_within_one_std():
    shares = iter(np.linspace(0.25, 0.98, 9))
    uncertainty = {
        name: {"std": {"calibrated": True, "coverage": dict(zip(ANGLES, shares, strict=False))}}
        for name in made_up_test().networks
    }
    test = made_up_test(uncertainty=uncertainty)
    chart = coverage_chart(test, COLOURS)
    svg = svg_of(chart, 0)
    drawn = {(row["network"], row["angle"]): row for row in values(chart)}
    measured = {
        (name, angle): test.uncertainty[name]["std"]["coverage"][angle]
        for name in test.networks
        for angle in ANGLES
    }
    assert drawn.keys() == measured.keys()
    for (name, angle), share in measured.items():
        row = drawn[name, angle]
        assert row["share"] == pytest.approx(share, abs=1e-4)
        assert row["label"] == f"{name}, {angle}: {share:.2f} of the faces within ±1 std"
        numbers = chart.numbers.set_index("network")
        assert numbers.loc[name, angle] == share
    found = places(svg)
    across = [found[drawn[key]["label"]][0] for key in measured]
    assert np.corrcoef(across, list(measured.values()))[0, 1] > 0.999, "dots lie at their values"
    assert "0.68 where the std is of the right size" in svg
    name, angle = max(measured, key=lambda key: abs(measured[key] - 0.6827))
    assert chart.text.startswith(f"Farthest from 0.68: {name}, {angle}: ")


def test_errors_of_jittered_boxes_are_drawn_beside_the_box_as_it_is():
    results = made_up_results()
    charts_of = jitter_section(results).blocks[1].charts
    kinds = [(kind, test) for kind in ("shift", "scale") for test in results.tests]
    assert len(charts_of) == len(kinds)
    for chart, (kind, test) in zip(charts_of, kinds, strict=True):
        of_test = results.jitter[results.jitter["test"] == test.name]
        own = of_test[of_test["kind"] == kind].assign(percent=100 * of_test["level"])
        assert curves_of(chart) == table_as_curves(own, "percent")
        (upright,) = [layer["data"] for layer in chart.spec["layer"] if "data" in layer]
        as_it_is = {"x": {"shift": 0, "scale": 100}[kind], "label": "box as it is"}
        assert upright == {"values": [as_it_is]}
        words = {"shift": "moved by", "scale": "resized to"}[kind]
        assert set(labels(svg_of(chart, 0))) == {
            f"{r.network}, box {words} {r.percent:.3g} %: MAE {r.mae:.2f}°"
            for r in own.itertuples()
        }
        worst = own.loc[own["mae"].idxmax()]
        assert f"MAE {worst['mae']:.2f}°" in chart.text


def test_risk_is_told_of_all_faces_and_of_the_certain_half():
    test = made_up_test()
    chart = risk_chart(test, COLOURS)
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
    dots = [(*found[row["label"]], row["x"], row["y"]) for row in values(chart)]
    right, down, x, y = np.array(dots).T
    assert np.corrcoef(right, x)[0, 1] > 0.999, "dots lie at their values"
    assert np.corrcoef(down, y)[0, 1] < -0.999, "and the larger error higher"


def test_training_curves_are_the_mae_of_every_epoch():
    def history(last: float) -> pd.DataFrame:
        mae = [last + 2, last + 1, last]
        return pd.DataFrame({"epoch": [1, 2, 3], "loss": [0.3, 0.2, 0.1], "mae": mae})

    runs = {"base-1": history(5.0), "kd-resnet8-1": history(3.0)}
    words, shown = training_section({"p9": runs}, COLOURS).blocks
    assert "students compare with each other, and not with the base network" in words.text
    assert shown.legend == {name: COLOURS[name] for name in ("base", "kd-resnet8")}
    (chart,) = shown.charts
    expected = {n: dict(zip(t["epoch"], t["mae"], strict=True)) for n, t in runs.items()}
    assert curves_of(chart) == expected
    assert chart.text == "Over the last epoch: base-1 5.00°; kd-resnet8-1 3.00°."
    assert chart.numbers["kd-resnet8-1"].tolist() == [5.0, 4.0, 3.0]
    assert "kd-resnet8-1, epoch 2: MAE 4.00°, loss 0.200" in labels(svg_of(chart, 0))


def test_a_card_gives_each_network_its_own_prediction_and_error():
    table = made_up_predictions(5).query("seed == 1")
    own, base = (table[table["network"] == name] for name in ("kd-resnet8", "base"))
    crops = {face: np.full((48, 48, 3), 99, np.uint8) for face in own["face_id"]}
    cards = cards_of("t", own, base[::-1], "kd-resnet8", crops).cards
    assert [card.title for card in cards] == list(own["face_id"])
    for place, card in enumerate(cards):
        truth = own[TRUE_PYR].to_numpy()[place]
        assert card.lines == [f"label {angles_text(truth)}"]
        pairs = zip((("kd-resnet8", own), ("base", base)), card.pictures, strict=True)
        for (name, rows), picture in pairs:
            pyr = rows[PYR].to_numpy()[place]
            error = np.abs(pyr - truth).mean()
            assert picture.caption == f"{name}: {angles_text(pyr)}, {error:.1f}° off"
            assert f"{name} predicts pitch, yaw, roll {angles_text(pyr)}; the" in picture.alt
            assert picture.alt.endswith(angles_text(truth))


def test_pictures_of_distributions_say_what_they_expect():
    averaged = made_up_averaged()
    elsewhere = averaged.spec.gaussian(torch.from_numpy(averaged.pyr_deg / 2), 5.0).float()
    averaged = replace(averaged, mean=elsewhere)
    section = teacher_section({"t": made_up_predictions()}, [averaged], "K=1, d=1", COLOURS)
    for card in section.blocks[-1].cards:
        (picture,) = card.pictures
        row = averaged.face_ids.index(picture.caption)
        centers = averaged.spec.centers_deg
        one, mean = (probs[row] @ centers.float() for probs in (averaged.one, averaged.mean))
        assert picture.alt == (
            f"Training face Y/{row}: pitch, yaw, roll of the box alone {angles_text(one.tolist())},"
            f" of the mean over windows {angles_text(mean.tolist())}; the label is "
            f"{angles_text(averaged.pyr_deg[row])}"
        )
        for chart, truth in zip(card.charts, averaged.pyr_deg[row], strict=True):
            (upright,) = [layer["data"] for layer in chart.spec["layer"] if "data" in layer]
            assert upright["values"][0]["x"] == truth


def test_counts_are_those_of_the_reports():
    results = made_up_results()
    boxes = {
        "X": {"images": 1, "faces": 2, "matched": 3, "unmatched": 4, "annotated": 5},
        "Y": {"faces": 6, "det_score": {"q50": 0.5}, "match_iou": {"q50": 0.756}},
    }
    shared = {"p9-X": {"photograph": {"shared": 7, "training_faces": 8, "test_faces": 9}}}
    tables = counts_section(results, boxes, {"p9": {**shared, "p9-Z": {"subject": None}}}).blocks
    _, found, kept, splits, in_both = tables
    assert list(found.headings) == [
        "dataset", "images", "faces", "matched", "unmatched", "from the label", "score", "IoU",
    ]  # fmt: skip
    assert found.rows == [
        ["X", "1", "2", "3", "4", "5", "–", "–"],
        ["Y", "–", "6", "–", "–", "–", "0.50", "0.76"],
    ]
    assert found.numeric == [False, *[True] * 7], "columns of numbers, whatever is not known"
    assert list(kept.headings) == ["dataset", "labels", "no match", "kept"]
    assert kept.rows == [["X", "70", "10", "60"], ["Y", "70", "10", "60"]]
    assert splits.rows == [["X", "–", "60"], ["Y", "–", "60"]]
    assert in_both.rows == [
        ["p9", "p9-X", "photograph", "7", "8", "9"],
        ["p9", "p9-Z", "subject", "–", "–", "–"],
    ]


def test_text_and_what_is_not_known_are_no_numbers():
    table = plain_table("t", [{"a": "1e9", "b": "–", "c": 1}, {"a": "2", "b": "–", "c": "–"}])
    assert table.numeric == [False, False, True]


def test_an_imported_network_has_a_dot_and_no_interval():
    test = made_up_test(imported={"theirs": {"mae": 3.21, "faces": 9, "abs_yaw": {}}})
    svg = svg_of(interval_chart(test, {**COLOURS, "imported theirs": "var(--net3)"}), 0)
    assert "imported theirs: MAE 3.21°" in labels(svg)
    lengths = re.findall(r'<line [^>]*x2="([-.\d]+)"[^>]*stroke="var\(--net\d\)"', svg)
    assert len(lengths) == len(test.networks)
    assert all(abs(float(length)) > 10 for length in lengths)


def test_charts_with_different_numbers_share_no_id():
    chart = heatmap_chart(made_up_test(), (6, 3))
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
    points = pd.DataFrame({"x": range(100), "y": range(100), "label": few})
    spec = charts.curves_spec([Curve("base", points, "var(--net0)")], "x", "y")
    assert len(spec["data"]["values"]) == 100
    assert len(labels(svg_of(charts.Chart("t", spec, "text"), 0))) == len(kept)


MEASURED = {"kd-resnet8": {"mae": 4.0}, "kd-resnet10": {"mae": 5.0}, "base": {"mae": 1.0}}


@pytest.mark.parametrize(
    ("students", "validation", "network", "why"),
    [
        pytest.param(["resnet8", "resnet10"], MEASURED, "kd-resnet8", "validation", id="measured"),
        pytest.param(["resnet8", "resnet10"], {}, "kd-resnet10", "last", id="no validation faces"),
        pytest.param(["resnet8"], MEASURED, "kd-resnet8", "only", id="one"),
        pytest.param([], MEASURED, "ensemble", "no student", id="none"),
    ],
)
def test_the_student_is_chosen_on_validation_faces(students, validation, network, why):
    choice = chosen_student(students, validation)
    assert choice.network == network
    assert why in choice.why


def test_the_verdict_says_by_how_much_and_whether_it_may_be_chance():
    pairs = pd.DataFrame(
        [
            ("base", "kd-resnet8", 1.0, 12.34, 0.0004, True),
            ("ensemble", "kd-resnet8", -0.1, -2.0, 0.4, False),
        ],
        columns=["a", "b", "difference", "gain", "p", "significant"],
    )
    test, choice = made_up_test(comparisons=pairs), Choice("kd-resnet8", "a reason")
    words = verdict(test, choice)
    assert words.startswith("kd-resnet8 (a reason): MAE ")
    assert "12.3 % better than the base network (" in words
    assert "more than the choice of faces explains (p < 0.001)" in words
    assert "2.0 % worse than the ensemble (" in words
    assert "may be chance (p = 0.400)" in words
    told = findings.headline_sentence([test, test], {test.protocol: choice})
    assert "better than their base network on 2 of 2 test sets, worse on 0" in told
    assert "better than the ensemble that taught them on 0 of 2 test sets, worse on 0, and" in told
    assert "not told apart on 2" in told
    assert "by more than the choice of test faces explains (p < 0.05, each test set" in told
    assert "seed" not in told, "there are two"


def test_one_seed_is_no_order_of_networks():
    test, choice = made_up_test(), Choice("kd-resnet8", "a reason")
    once = made_up_test(networks={n: {**s, "runs": 1} for n, s in test.networks.items()})
    told = findings.headline_sentence([test, once], {test.protocol: choice})
    assert told.endswith(" There is one seed; another may give another order.")


@pytest.mark.parametrize(
    ("shared", "expected"),
    [
        pytest.param({"photograph": None, "subject": None}, [], id="not known"),
        pytest.param(
            {"photograph": {"test_faces": 0}, "subject": {"test_faces": 25}},
            ["The people of 25 of the 60 faces are in the training set, too"],
            id="people",
        ),
        pytest.param(
            {"photograph": {"test_faces": 3}, "subject": {"test_faces": 4}},
            ["The photographs of 3 of the 60 faces are in", "The people of 4 of the 60 faces are"],
            id="both",
        ),
    ],
)
def test_a_verdict_says_what_training_and_test_set_share(shared, expected):
    words = verdict(made_up_test(shared=shared), Choice("kd-resnet8", "a reason"))
    assert words.count("in the training set, too: errors on others may be larger.") == len(expected)
    assert all(sentence in words for sentence in expected)


def test_where_nothing_was_compared_there_is_no_sentence():
    results = made_up_results()
    tests = [made_up_test(t.name, comparisons=t.comparisons[:0]) for t in results.tests]
    choices = {"p9": Choice("kd-resnet8", "a reason")}
    assert findings.headline_sentence(tests, choices) == ""
    blocks = summary_section(replace(results, tests=tests), choices).blocks
    assert all(block.text for block in blocks if isinstance(block, Text))
    half = [results.tests[0], tests[1]]
    assert " of 1 test sets" in findings.headline_sentence(half, choices)


def test_without_a_student_the_ensemble_is_told_of():
    pairs = pd.DataFrame(
        [("base", "ensemble", -0.5, -9.0, 0.01, True)],
        columns=["a", "b", "difference", "gain", "p", "significant"],
    )
    test, choice = made_up_test(comparisons=pairs), Choice("ensemble", "there is no student")
    assert "9.0 % worse than the base network" in verdict(test, choice)
    told = findings.headline_sentence([test], {test.protocol: choice})
    assert "worse on 1" in told
    assert "taught" not in told


def test_errors_by_yaw_are_means_of_the_faces_in_a_band():
    table = made_up_predictions()
    found = findings.errors_by_yaw(table)
    assert list(dict.fromkeys(found["network"])) == ["base", "ensemble", "kd-resnet8"]
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
    chart = yaw_chart(made_up_test(), table, COLOURS)
    assert len(labels(svg_of(chart, 0))) == len(found)


def test_worst_faces_come_first_and_median_ones_from_the_middle():
    run = made_up_predictions().query("network == 'base' and seed == 1")
    errors = findings.face_errors_deg(run)
    worst, median = findings.worst_faces(run, 3), findings.median_faces(run, 4)
    np.testing.assert_allclose(worst["error"], np.sort(errors)[::-1][:3])
    assert np.abs(median["error"] - np.median(errors)).max() < np.ptp(errors) / 8
    assert len(findings.median_faces(run, 10_000)) == len(run)


def test_what_averaging_did_is_counted():
    before, after = [[1.0, 1.0], [2.0, 2.0]], [[0.5, 1.001], [2.5, 3.0]]
    shares = findings.changes_of_entropy(before, after)
    assert shares == {"sharper": 0.25, "unchanged": 0.25, "smoother": 0.5}
    table = made_up_predictions()
    found = findings.changes_by_angle(table).set_index("angle")
    one, mean = (
        table[table["network"] == n].set_index(["seed", "face_id"]) for n in ("base", "ensemble")
    )
    change = mean["entropy_yaw"] - one["entropy_yaw"]
    assert found.loc["yaw", "smoother"] == pytest.approx(100 * (change > 0.01).mean())
    assert found.loc["yaw", "sharper"] == pytest.approx(100 * (change < -0.01).mean())


@pytest.mark.parametrize(
    ("change", "rows"),
    [
        pytest.param([0.3, -0.2, 0.1, 0.0, 0.2], [1, 2, 0], id="five"),
        pytest.param([0.3, -0.2], [1, 0], id="two"),
        pytest.param([0.0], [0], id="one"),
    ],
)
def test_faces_that_tell_what_averaging_does(change, rows):
    before = np.full(len(change), 2.0)
    assert [row for _, row in findings.telling_rows(before, before + change)] == rows


def test_a_smoothing_teacher_is_called_so():
    spec = BinSpec(1.0)
    narrow, wide = (spec.gaussian(torch.zeros(5, 3), std) for std in (2.0, 6.0))
    ids, truth = [f"X/{n}" for n in range(5)], np.zeros((5, 3))
    crops = {row: np.full((40, 40, 3), 99, np.uint8) for row in range(5)}
    told = sentence(Averaged("p9", ids, truth, narrow, wide, spec, crops))
    assert "p9, 5 training faces: averaging mostly smooths" in told
    assert "100 % smoother" in told
    told = sentence(Averaged("p9", ids, truth, narrow, narrow, spec, crops))
    assert "100 % unchanged" in told
    section = teacher_section(
        {"t": made_up_predictions()}, [Averaged("p9", ids, truth, wide, narrow, spec, crops)],
        "K=1, d=1", COLOURS,
    )  # fmt: skip
    (card, *_) = section.blocks[-1].cards
    assert "std 6.0°" in card.charts[1].text
    assert "std 2.0°" in card.charts[1].text


def test_tables_mark_the_least_and_keep_whole_rows():
    table = pd.DataFrame(
        {"test": ["a", "a", "b"], "avg": [2.0, 1.0, 3.0], "gain": [None, 5.0, -1.0]}
    )
    shown = table_of(table, "title", bold=["avg"])
    assert shown.headings == ["test", "MAE", "gain"]
    assert shown.rows == [["a", "2.00", "–"], ["a", "1.00", "+5.0 %"], ["b", "3.00", "-1.0 %"]]
    assert shown.best == {(1, 1), (2, 1)}
    assert list(shown.numeric) == [False, True, True]


def git(folder: Path, *words: str) -> str:
    who = ["-c", "user.name=t", "-c", "user.email=t@t"]
    done = subprocess.run(["git", "-C", str(folder), *who, *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_commit_and_what_differs_from_it(tmp_path):
    assert checkout_of(tmp_path) == Checkout("")
    git(tmp_path, "init", "-q")
    assert checkout_of(tmp_path) == Checkout("")
    (tmp_path / "metrics").mkdir()
    for name in ("code é.py", "dvc.lock", "metrics/a.json", "other.py"):
        (tmp_path / name).write_text("1")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-qm", "first")
    commit = git(tmp_path, "rev-parse", "HEAD")
    assert checkout_of(tmp_path) == Checkout(commit)
    for name in ("dvc.lock", "metrics/a.json", "metrics/new.json"):
        (tmp_path / name).write_text("2")
    assert checkout_of(tmp_path) == Checkout(commit), "results are no change of the code"
    for name in ("photo.jpg", "drawn/photo.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("2")
    assert checkout_of(tmp_path) == Checkout(commit), "files of the user's own are no change"
    for name in ("code é.py", "pipeline/new.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("2")
    git(tmp_path, "config", "status.showUntrackedFiles", "no")
    assert checkout_of(tmp_path / "metrics") == Checkout(commit, ("code é.py", "pipeline/"))


def test_without_git_the_commit_is_not_known(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert checkout_of(Path(__file__).parent) == Checkout("")
    monkeypatch.setattr(provenance, "DISTRIBUTION", "no-such-distribution")
    assert package_versions(tmp_path) == {}


def test_versions_are_those_of_what_the_project_names(tmp_path):
    found = package_versions(ROOT)
    assert found["torch"] == torch.__version__.split("+")[0] or found["torch"] == torch.__version__
    assert {"numpy", "dvc", "pandas", "jinja2", "vl-convert-python", "typer"} <= set(found)
    assert list(found) == sorted(found)
    assert {"numpy", "torch"} <= set(package_versions(tmp_path)), "of the installed project"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param('[project]\ndependencies = ["numpy>=2"]', {"numpy"}, id="no extras"),
        pytest.param('[project.optional-dependencies]\na = ["torch"]', {"torch"}, id="extras"),
        pytest.param("[tool.x]", set(), id="no project"),
    ],
)
def test_a_checkouts_requirements_stand_in_its_pyproject(tmp_path, text, expected):
    (tmp_path / "pyproject.toml").write_text(text)
    assert set(package_versions(tmp_path)) == expected


def test_a_damaged_pyproject_is_named(tmp_path):
    (tmp_path / "pyproject.toml").write_text("= 1")
    with pytest.raises(InputError, match=r"pyproject\.toml: cannot be read as TOML"):
        package_versions(tmp_path)


def test_git_ignores_the_environment_even_where_it_is_a_link(tmp_path):
    git(tmp_path, "init", "-q")
    (tmp_path / ".gitignore").write_text((ROOT / ".gitignore").read_text())
    (tmp_path / ".venv").symlink_to(tmp_path.parent)
    assert ".venv" not in git(tmp_path, "status", "--porcelain")


def test_params_without_a_test_set_are_refused(tmp_path):
    content = yaml.safe_load((ROOT / "params.yaml").read_text())
    (tmp_path / "params.yaml").write_text(yaml.safe_dump({**content, "tests": {}}))
    nowhere = Folders(**{folder.name: tmp_path for folder in fields(Folders)})
    with pytest.raises(InputError, match=r"params\.yaml: tests: expected at least one test set"):
        read_results(tmp_path / "params.yaml", nowhere)


@pytest.mark.parametrize(
    ("commit", "changed", "expected"),
    [
        pytest.param("", (), "not known", id="no checkout"),
        pytest.param("abc", (), "commit abc, without uncommitted", id="clean"),
        pytest.param("abc", ("a.py", "b.py"), "Changed: a.py, b.py.", id="changed"),
        pytest.param("abc", ("x",) * 23, ", x and 3 more.", id="many"),
    ],
)
def test_provenance_says_which_code_wrote_the_page(commit, changed, expected):
    section = provenance_section(commit, changed, {"f.h5": "1" * 64}, {"torch": "9"}, "seeds: [1]")
    assert expected in section.blocks[0].text
    (command,) = [
        b.text for b in section.blocks if getattr(b, "text", "").endswith("dvc repro report")
    ]
    assert command == ("git checkout abc\n" if commit else "") + "dvc repro report"


def test_an_empty_section_is_no_error(tmp_path):
    page = Page("t", "s", [Section("a", "A", [Text("x"), Charts([], {})])])
    write_page(page, TEMPLATE, tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text("utf-8").endswith("</html>\n")
