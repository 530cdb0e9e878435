"""The page: what it says, what it draws, and that it is one whole file; no browser, no network."""

import base64
import hashlib
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from page_material import (
    HOSTILE,
    NETWORKS,
    TRAINED,
    Reader,
    made_up_averaged,
    made_up_contents,
    made_up_origin,
    made_up_predictions,
    made_up_results,
    made_up_test,
)

from hpe_core.common.errors import InputError
from hpe_core.evaluation.columns import PYR, TRUE_PYR
from hpe_core.evaluation.metrics import face_errors_deg
from hpe_core.inference.draw import angles_text
from hpe_core.networks.bins import BinSpec
from hpe_core.page import provenance
from hpe_core.page.averaging import Averaged, changes_by_angle, changes_of_entropy, telling_rows
from hpe_core.page.conclusions import Choice, Standing, chosen_student, compared, standings
from hpe_core.page.contents import Contents
from hpe_core.page.counts import counts_of
from hpe_core.page.faces import shown_faces, telling_groups
from hpe_core.page.html import write_page
from hpe_core.page.provenance import Checkout, checkout_of, package_versions
from hpe_core.tables.charts import Palette
from hpe_core.tables.formatting import Readable
from hpe_core.tables.results import read_results

ROOT = Path(__file__).parents[1]
TEMPLATE = ROOT / "pipeline" / "page"
PALETTE = Palette({"base": "#111111", "ensemble": "#222222"}, "#333333", legend=False)


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("page") / "page.html"
    write_page(made_up_contents().values(), TEMPLATE, path)
    return path


@pytest.fixture(scope="module")
def html(page) -> Reader:
    return Reader(page.read_text("utf-8"))


def test_equal_results_give_equal_bytes(page, tmp_path):
    write_page(made_up_contents().values(), TEMPLATE, tmp_path / "again.html")
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


def test_a_template_that_does_not_fit_is_named(tmp_path):
    with pytest.raises(InputError, match=r"nowhere: no template of a page"):
        write_page({}, tmp_path / "nowhere", tmp_path / "page.html")
    for name in ("page.css", "page.js"):
        (tmp_path / name).write_text("")
    (tmp_path / "page.html").write_text("{{ results.misspelt }}")
    with pytest.raises(InputError, match="misspelt"):
        write_page({"results": made_up_results()}, tmp_path, tmp_path / "out.html")
    assert not (tmp_path / "out.html").exists()


def test_sections_legends_and_charts(page, html):
    """Structure: every section in the contents, charts of every test set, what colours mean."""
    text = page.read_text("utf-8")
    parts = {p.split('"')[0]: p for p in text.split('<section id="')[1:]}
    assert list(parts) == [
        "summary", "tables", "heatmaps", "yaw", "jitter", "risk", "faces", "training", "teacher",
        "counts", "provenance",
    ]  # fmt: skip
    assert [a["href"] for a in html.all("a")][: len(parts)] == [f"#{key}" for key in parts]
    drawn = {key: part.count('<figure class="chart">') for key, part in parts.items()}
    assert {key: count for key, count in drawn.items() if count} == {
        "summary": 2, "heatmaps": 2, "yaw": 2, "jitter": 4, "risk": 4, "training": 1, "teacher": 9,
    }  # fmt: skip
    legends = {
        key: re.findall(r"</svg> ([^<]+)</li>", part) for key, part in parts.items() if key in drawn
    }
    networks = list(NETWORKS)
    assert legends["summary"] == [*networks, "imported theirs"]
    assert legends["yaw"] == legends["jitter"] == networks
    assert legends["risk"] == [*networks, "base, best order"]
    assert legends["training"] == list(TRAINED)
    assert legends["teacher"] == ["box alone", "mean over windows"]
    assert parts["faces"].count("<article") == 8
    assert len(made_up_contents().values()["sheets"]) == parts["tables"].count("<h3>") - 2


def test_the_papers_cells_stand_beside_our_map(tmp_path):
    contents = made_up_contents()
    errors = {"pitch": 4.0, "yaw": 4.0, "roll": 4.0}
    rows = [(0, 1, 1, 4.0), (15, 5, 49, 3.9)]
    ensemble = pd.DataFrame(rows, columns=["K", "d", "S", "avg"])
    ensemble = ensemble.assign(table=2, protocol="p9", dataset="X", **errors)
    published = replace(contents.results.published, ensemble=ensemble)
    contents = replace(contents, results=replace(contents.results, published=published))
    write_page(contents.values(), TEMPLATE, tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text("utf-8")
    section = text.split('<section id="heatmaps"')[1].split("</section>")[0]
    beside = [part.count("<figure") for part in section.split('<div class="charts">')[1:]]
    assert beside == [2, 1], "the second test set is of a corpus that the paper does not have"
    assert "Published: one window 4.000°, best 3.900° at K=15, d=5 (+2.5 %)." in section
    assert "pixels of a 224-pixel input" in section.split('<div class="charts">')[0]


def test_each_network_has_its_own_prediction_and_error_over_a_face():
    table = made_up_predictions(5).query("seed == 1")
    own, base = (table[table["network"] == name] for name in ("kd-resnet8", "base"))
    crops = {face: np.full((48, 48, 3), 99, np.uint8) for face in own["face_id"]}
    faces = list(shown_faces(own, {"kd-resnet8": own, "base": base[::-1]}, crops))
    assert [face.face_id for face in faces] == list(own["face_id"])
    for place, face in enumerate(faces):
        truth = own[TRUE_PYR].to_numpy()[place]
        assert face.label_deg == truth.tolist()
        pairs = zip((("kd-resnet8", own), ("base", base)), face.posed, strict=True)
        for (name, rows), posed in pairs:
            pyr_deg = rows[PYR].to_numpy()[place]
            assert (posed.network, posed.pyr_deg) == (name, pyr_deg.tolist())
            assert posed.error_deg == pytest.approx(np.abs(pyr_deg - truth).mean())


def test_pictures_of_faces_say_what_is_predicted(html):
    pictures = [image["alt"] for image in html.all("img")]
    for group in made_up_contents().faces:
        for face in group.faces:
            for posed in face.posed:
                words = (
                    f"Face {face.face_id}: {posed.network} predicts pitch, yaw, roll "
                    f"{angles_text(posed.pyr_deg)}; the label is {angles_text(face.label_deg)}"
                )
                assert words in pictures
                caption = f"{posed.network}: {angles_text(posed.pyr_deg)}, {posed.error_deg:.1f}°"
                assert caption in html.text


def test_distributions_of_a_face_say_what_they_expect(html):
    averaged = made_up_averaged()
    elsewhere = BinSpec(1.0).gaussian(torch.from_numpy(averaged.pyr_deg / 2), 5.0).float().numpy()
    averaged = replace(averaged, mean=elsewhere)
    for face in averaged.telling_faces(PALETTE):
        row = averaged.face_ids.index(face.face_id)
        centers = np.arange(-98.5, 99)
        one, mean = (probs[row] @ centers for probs in (averaged.one, averaged.mean))
        assert face.one_deg == pytest.approx(one.tolist(), abs=1e-3)
        assert face.mean_deg == pytest.approx(mean.tolist(), abs=1e-3)
        assert face.label_deg == averaged.pyr_deg[row].tolist()
        for chart, truth in zip(face.charts, averaged.pyr_deg[row], strict=True):
            (upright,) = [layer["data"] for layer in chart.spec["layer"] if "data" in layer]
            assert upright["values"][0]["x"] == truth
            assert f"label {truth:.1f}°".replace("-", "−") in chart.text
    faces = list(made_up_averaged().telling_faces(PALETTE))
    shown = [image["alt"] for image in html.all("img") if "Training face" in image["alt"]]
    assert shown == [
        f"Training face {f.face_id}: pitch, yaw, roll of the box alone {angles_text(f.one_deg)}, of"
        f" the mean over windows {angles_text(f.mean_deg)}; the label is {angles_text(f.label_deg)}"
        for f in faces
    ]


def cells(table: pd.DataFrame) -> list[list[str]]:
    """Headings and rows, as the page has them."""
    shown = Readable.of(table)
    return [list(shown.text), *([text for text, _ in row] for row in shown.rows())]


def test_counts_are_those_of_the_reports():
    results = made_up_results()
    boxes = {
        "X": {"images": 1, "faces": 2, "matched": 3, "unmatched": 4, "annotated": 5},
        "Y": {"faces": 6, "det_score": {"q50": 1.0}, "match_iou": {"q50": 0.756}},
    }
    shared = {"p9-X": {"photograph": {"test_faces": 9, "training_faces": 8, "shared": 7}}}
    found = counts_of(results, boxes, {"p9": {**shared, "p9-Z": {"subject": None}}})
    assert cells(found["found"]) == [
        ["dataset", "images", "faces", "matched", "unmatched", "from the label", "score", "IoU"],
        ["X", "1", "2", "3", "4", "5", "–", "–"],
        ["Y", "–", "6", "–", "–", "–", "1.00", "0.76"],
    ]
    numeric = Readable.of(found["found"]).numeric
    assert numeric == [False, *[True] * 7], "columns of numbers, whatever is not known"
    assert cells(found["kept"]) == [
        ["dataset", "labels", "kept", "no match", "beyond limit"],
        ["X", "70", "60", "10", "2"],
        ["Y", "70", "60", "10", "2"],
    ]
    assert cells(found["splits"]) == [["dataset", "faces"], ["X", "60"], ["Y", "60"]]
    assert cells(found["in_both"]) == [
        ["protocol", "test", "in both", "shared", "training faces", "test faces"],
        ["p9", "p9-X", "photograph", "7", "8", "9"],
        ["p9", "p9-Z", "subject", "–", "–", "–"],
    ]


def test_text_and_what_is_not_known_are_no_numbers():
    table = pd.DataFrame({"a": ["1e9", "2"], "b": [None, None], "c": [1.0, None]})
    shown = Readable.of(table.astype({"c": "Int64"}))
    assert (list(shown.text), shown.numeric) == (["a", "c"], [False, True])


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


PAIRS = pd.DataFrame(
    [
        ("base", "kd-resnet8", 1.0, 0.5, 1.5, 12.34, 0.0004, True),
        ("ensemble", "kd-resnet8", -0.1, -0.4, 0.2, -2.0, 0.4, False),
        ("control-resnet8", "kd-resnet8", -0.3, -0.5, -0.1, -5.6, 0.01, True),
    ],
    columns=["a", "b", "difference", "low", "high", "gain", "p", "significant"],
)


def told(contents: Contents, folder: Path) -> str:
    """The page's summary, without markup and line breaks."""
    write_page(contents.values(), TEMPLATE, folder / "page.html")
    html = (folder / "page.html").read_text("utf-8")
    summary = html.split('<section id="summary"')[1].split('<ul class="legend">')[0]
    return " ".join(Reader(summary).text.split())


def with_tests(*tests, network: str = "kd-resnet8") -> Contents:
    contents = made_up_contents()
    results = replace(contents.results, tests=tests, jitter=contents.results.jitter)
    table = made_up_predictions()
    return replace(
        contents,
        results=results,
        choices={"p9": Choice(network, "a reason")},
        predictions={test.name: table for test in tests},
    )


def test_the_summary_says_by_how_much_and_whether_it_is_significant(tmp_path):
    test = made_up_test(comparisons=PAIRS)
    assert compared(test, "base", "kd-resnet8")["gain"] == 12.34
    found = standings([test, test], {"p9": Choice("kd-resnet8", "")})
    assert found == [
        Standing("control", 2, 0, 2), Standing("base", 2, 2, 0), Standing("ensemble", 2, 0, 0),
    ]  # fmt: skip
    words = told(with_tests(test), tmp_path)
    mae = {name: f"{own['mae']:.2f}°" for name, own in test.networks.items()}
    for part in (
        f"kd-resnet8 (a reason): MAE {mae['kd-resnet8']}",
        f"5.6 % worse than its control, which had no teacher ({mae['control-resnet8']}, 95 %",
        f"12.3 % better than the base network ({mae['base']}, 95 %",
        "significant (p < 0.001)",
        f"2.0 % worse than the ensemble ({mae['ensemble']}, 95 %",
        "not significant (p = 0.400)",
        "The chosen networks are significantly better than their controls, which had no teacher, "
        "on 0 of 1 test sets, significantly worse on 1, without a significant difference on 0;",
        "base network on 1 of 1 test sets, significantly worse on 0, without a significant "
        "difference on 0",
        "that taught them on 0 of 1 test sets, significantly worse on 0, without a significant "
        "difference on 1",
    ):
        assert part in words
    assert "only one seed" not in words, "there are two"


def test_one_seed_is_no_order_of_networks():
    once = made_up_test(
        "p9-Z", networks={n: {**s, "runs": 1} for n, s in made_up_test().networks.items()}
    )
    assert with_tests(made_up_test(), once).values()["one_seed"]
    assert not with_tests(made_up_test()).values()["one_seed"]


def shared_by(test_faces: int) -> dict[str, int]:
    return {"shared": 1, "training_faces": 1, "test_faces": test_faces}


@pytest.mark.parametrize(
    ("shared", "expected"),
    [
        pytest.param({"photograph": None, "subject": None}, [], id="not known"),
        pytest.param(
            {"photograph": shared_by(0), "subject": shared_by(25)},
            ["people of 25 of the 60 faces"],
            id="people",
        ),
        pytest.param(
            {"photograph": shared_by(3), "subject": shared_by(4)},
            ["photographs of 3 of the 60 faces", "people of 4 of the 60 faces"],
            id="both",
        ),
    ],
)
def test_the_summary_says_what_training_and_test_set_share(shared, expected, tmp_path):
    words = told(with_tests(made_up_test(shared=shared)), tmp_path)
    found = re.findall(r"The (\w+ of \d+ of the \d+ faces) are also in the training set", words)
    assert found == expected


def test_where_nothing_was_compared_nothing_is_concluded(tmp_path):
    silent = made_up_test(comparisons=made_up_test().comparisons[:0])
    choices = {"p9": Choice("kd-resnet8", "a reason")}
    assert standings([silent], choices) == []
    words = told(with_tests(silent), tmp_path)
    assert "The chosen networks" not in words
    assert words.count("It was not compared with") == 3
    assert [found.tests for found in standings([silent, made_up_test()], choices)] == [1, 1, 1]


def test_without_a_student_the_ensemble_is_told_of(tmp_path):
    pair = ("base", "ensemble", -0.5, -0.8, -0.2, -9.0, 0.01, True)
    pairs = pd.DataFrame([pair], columns=PAIRS.columns)
    test = made_up_test(comparisons=pairs)
    assert standings([test], {"p9": Choice("ensemble", "")}) == [Standing("base", 1, 0, 1)]
    words = told(with_tests(test, network="ensemble"), tmp_path)
    assert words.count("9.0 % worse than the base network") == 1
    assert "taught" not in words
    assert "control" not in words, "an ensemble has none"


def test_a_student_without_a_control_is_compared_with_the_others(tmp_path):
    """params.yaml lists which students have one."""
    networks = {n: own for n, own in made_up_test().networks.items() if n != "control-resnet8"}
    test = made_up_test(networks=networks, comparisons=PAIRS[:2])
    choices = {"p9": Choice("kd-resnet8", "")}
    assert [found.other for found in standings([test], choices)] == ["base", "ensemble"]
    words = told(with_tests(test), tmp_path)
    assert "12.3 % better than the base network" in words
    assert "control" not in words


def test_worst_faces_come_first_and_median_ones_from_the_middle():
    run = made_up_predictions().query("network == 'base' and seed == 1")
    errors = face_errors_deg(run)
    worst, median = telling_groups(run, 7).values()
    np.testing.assert_allclose(worst["error"], np.sort(errors)[::-1][:4])
    assert len(median) == 3
    assert np.abs(median["error"] - np.median(errors)).max() < np.ptp(errors) / 8
    assert [len(faces) for faces in telling_groups(run, 10_000).values()] == [len(run)] * 2
    assert {kind: len(faces) for kind, faces in telling_groups(run, 1).items()} == {"largest": 1}


def test_what_averaging_did_is_counted():
    before, after = [[1.0, 1.0], [2.0, 2.0]], [[0.5, 1.001], [2.5, 3.0]]
    shares = changes_of_entropy(before, after)
    assert shares == {"sharper": 0.25, "unchanged": 0.25, "smoother": 0.5}
    table = made_up_predictions()
    found = changes_by_angle("t", table).set_index("angle")
    one, mean = (
        table[table["network"] == n].set_index(["seed", "face_id"]) for n in ("base", "ensemble")
    )
    change = mean["entropy_yaw"] - one["entropy_yaw"]
    assert found.loc["yaw", "smoother, %"] == pytest.approx(100 * (change > 0.01).mean())
    assert found.loc["yaw", "sharper, %"] == pytest.approx(100 * (change < -0.01).mean())


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
    assert [row for _, row in telling_rows(before, before + change)] == rows


def test_a_smoothing_teacher_is_called_so(html):
    spec = BinSpec(1.0)
    narrow, wide = (spec.gaussian(torch.zeros(5, 3), std).numpy() for std in (2.0, 6.0))
    ids, truth = [f"X/{n}" for n in range(5)], np.zeros((5, 3))
    crops = {row: np.full((40, 40, 3), 99, np.uint8) for row in range(5)}
    smoothing = Averaged("p9", ids, truth, narrow, wide, spec, crops)
    assert smoothing.shares() == {"sharper": 0, "unchanged": 0, "smoother": 1}
    changes = smoothing.changes().set_index("angle").loc["yaw"]
    assert changes["std°, box alone"] == pytest.approx(2.0, abs=0.05)
    assert changes["std°, averaged"] == pytest.approx(6.0, abs=0.05)
    assert changes[["faces", "smoother, %"]].tolist() == [5, 100]
    assert replace(smoothing, mean=narrow).shares()["unchanged"] == 1
    (face, *_) = replace(smoothing, one=wide, mean=narrow).telling_faces(PALETTE)
    assert "std 6.0°" in face.charts[1].text
    assert "std 2.0°" in face.charts[1].text
    told = " ".join(html.text.split())
    assert "Protocol p9, 9 training faces: averaging mostly smooths the distributions" in told


def test_tables_mark_the_least_and_keep_whole_rows():
    table = pd.DataFrame(
        {"test": ["a", "a", "b"], "avg": [2.0, 1.0, 3.0], "gain": [None, 5.0, -1.0]}
    )
    shown = Readable.of(table, bold=["avg"])
    assert list(shown.text) == ["test", "MAE", "gain"]
    assert list(shown.rows()) == [
        [("a", False), ("2.00", False), ("–", False)],
        [("a", False), ("1.00", True), ("+5.0 %", False)],
        [("b", False), ("3.00", True), ("-1.0 %", False)],
    ]
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
    with pytest.raises(InputError, match=r"params\.yaml: tests: expected at least one test set"):
        read_results(tmp_path / "params.yaml", tmp_path, tmp_path)


@pytest.mark.parametrize(
    ("commit", "changed", "expected"),
    [
        pytest.param("", (), "not known", id="no checkout"),
        pytest.param("abc", (), "commit abc, without uncommitted", id="clean"),
        pytest.param("abc", ("a.py", "b.py"), "Changed: a.py, b.py.", id="changed"),
        pytest.param("abc", ("x",) * 23, ", x and 3 more.", id="many"),
    ],
)
def test_provenance_says_which_code_wrote_the_page(commit, changed, expected, tmp_path):
    origin = made_up_origin(commit, changed)
    contents = replace(with_tests(made_up_test()), origin=origin, averaged=[made_up_averaged()])
    write_page(contents.values(), TEMPLATE, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text("utf-8")
    written = page.split('<p id="written-by">')[1].split("</p>")[0]
    assert expected in " ".join(written.split())
    command = page.split("<pre")[1].split(">", 1)[1].split("</pre>")[0]
    assert command == ("git checkout abc\n" if commit else "") + "dvc repro report"
