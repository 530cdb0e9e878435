"""The model card of each protocol: every number in it is one of the metrics or of params.yaml."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from test_tables import PAPER_PARAMS, ROOT, results_of, write_results

from hpe_core.common.errors import InputError
from hpe_core.common.files import write_json
from hpe_core.common.table_files import read_csv
from hpe_core.evaluation.bootstrap import LEVEL
from hpe_core.evaluation.metrics import gain
from hpe_core.tables.model_card import write_card, write_cards

NETWORKS = ["base", "ensemble", "control-resnet18", "kd-resnet18", "kd-resnet10"]
OVER = {"ensemble": "base", "kd-resnet18": "control-resnet18"}  # whose gain is shown
Rows = list[dict[str, str]]


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Path:
    folder = write_results(tmp_path_factory.mktemp("results"), PAPER_PARAMS)
    for file in (folder / "tests").glob("*/errors.json"):  # as over two seeds
        networks = json.loads(file.read_text())
        write_json({k: {**n, "runs": 2, "mae_std": 0.123} for k, n in networks.items()}, file)
    return carded(folder)


def carded(folder: Path, **sections: Any) -> Path:
    """With the cards of its results; sections: of params.yaml, changed."""
    params = yaml.safe_load((folder / "params.yaml").read_text())
    (folder / "params.yaml").write_text(yaml.safe_dump({**params, **sections}, sort_keys=False))
    template = ROOT / "pipeline/model_card.md"
    write_cards(folder / "params.yaml", results_of(folder), folder, template, folder / "out")
    return folder


@pytest.fixture
def copied(results, tmp_path) -> Path:
    return Path(shutil.copytree(results, tmp_path / "results"))


def card(folder: Path, protocol: str) -> str:
    return (folder / "out" / f"model-card-{protocol}.md").read_text()


def tables_of(text: str) -> list[Rows]:
    """Every Markdown table; a column that shows a value only where it changes is filled again."""
    found = []
    for block in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        heading, _, *lines = (
            [c.strip() for c in row[1:-1].split("|")] for row in block.split("\n")
        )
        rows: Rows = []
        for cells in (line for line in lines if len(line) > 1):
            row = dict(zip(heading, cells, strict=True))
            for name in {"test", "network"} & set(row):
                row[name] = row[name] or rows[-1][name]
            rows.append(row)
        found.append(rows)
    return found


def table_with(text: str, column: str) -> Rows:
    (rows,) = (rows for rows in tables_of(text) if column in rows[0])
    return rows


def measured(folder: Path, kind: str, test: str) -> Any:
    return json.loads((folder / "tests" / test / f"{kind}.json").read_text())


@pytest.mark.parametrize("protocol", PAPER_PARAMS["protocols"])
def test_errors_are_those_of_the_metrics(results, protocol):
    own = [name for name, t in PAPER_PARAMS["tests"].items() if t["protocol"] == protocol]
    rows = table_with(card(results, protocol), "geodesic")
    assert [(r["test"], r["network"]) for r in rows] == [(t, n) for t in own for n in NETWORKS]
    for row in rows:
        networks = measured(results, "errors", row["test"])
        of_network = networks[row["network"]]
        for name in ("pitch", "yaw", "roll", "geodesic", "aligned"):
            assert row[name] == f"{of_network[name]:.2f}", name
        assert row["MAE"] == f"{of_network['mae']:.2f} ± 0.12"
        assert row["faces"] == str(of_network["faces"])
        low, high = measured(results, "intervals", row["test"])[row["network"]]["mae"]
        assert row[f"{100 * LEVEL:.0f} %"] == f"{low:.2f}–{high:.2f}"
        for column, reference in (("gain", OVER.get(row["network"])), ("base gain", "base")):
            if reference in (None, row["network"]):
                assert row[column] == "–"
            else:
                saved = gain(of_network["mae"], networks[reference]["mae"])
                assert row[column].rstrip("*") == f"{saved:+.1f} %"


def test_bands_jitter_and_coverage_are_those_of_the_metrics(results):
    text = card(results, "p1")
    for row in table_with(text, "30-60"):
        bands = measured(results, "bands", row["test"])
        if row["network"] == "faces":
            assert row["30-60"] == str(bands["base"]["30-60"]["faces"])
        else:
            assert row["30-60"] == f"{bands[row['network']]['30-60']['mae']:.2f}"
    for row in table_with(text, "scale 1.2"):
        levels = read_csv(results / "tests" / row["test"] / "jitter.csv").query("kind == 'scale'")
        own = levels[levels["network"] == row["network"]].set_index("level")["mae"]
        assert row["scale 1.2"] == f"{own[1.2]:.2f}"
        assert float(row["scale 1.2 loss"]) == pytest.approx(own[1.2] - own[1.0], abs=0.0051)
    for row in table_with(text, "covered yaw"):
        of_std = measured(results, "uncertainty", row["test"])[row["network"]]["std"]
        assert row["covered yaw"] == f"{of_std['coverage']['yaw']:.2f}"
        assert row["with factors"] == ("yes" if of_std["calibrated"] else "no")


def test_faces_files_and_overlap(results):
    text = card(results, "p2")
    assert "701 faces of AFLW (split train); 80 more are held out for validation" in text
    assert "Of all 1010 faces of AFLW, 1000 were kept (7 angle over limit, 3 box too" in text
    assert "Seeds: 4, 7." in text
    files = [row["file"] for row in table_with(text, "heads")]
    names = [name for name in NETWORKS if name != "ensemble"]
    assert files == [
        f"`data/models/p2/{name}-{seed}.safetensors`" for name in names for seed in (4, 7)
    ]
    assert 'HeadPose.load("data/models/p2/kd-resnet10-7.safetensors")' in text
    photographs, subjects = table_with(text, "in both")
    assert (photographs["number"], photographs["test faces"]) == ("3", "4")
    assert subjects["number"] == subjects["test faces"] == "not known"
    assert f"**{PAPER_PARAMS['tables']['corpora']}**" in text


def test_a_protocol_that_trains_on_two_corpora(copied):
    both = {
        **PAPER_PARAMS["protocols"]["p1"],
        "train": {"300W_LP": {}, "AFLW": {"split": ["train"]}},
    }
    carded(copied, protocols={**PAPER_PARAMS["protocols"], "p1": both})
    text = card(copied, "p1")
    assert "700 faces of 300W_LP (all of its faces) and AFLW (split train); " in text
    kept = r"Of all \d+ faces of 300W_LP, \d+ were kept \(.*\)\. Of all 1010 faces of AFLW, 1000 "
    assert re.search(kept, text)


def test_heads_are_those_that_the_base_network_has(copied):
    assert "(the first predicts) and a regression |" in card(copied, "p1")
    carded(copied, base={**PAPER_PARAMS["base"], "regression": "none"})
    assert "(the first predicts) |" in card(copied, "p1")
    assert "regression" not in card(copied, "p1")


def test_factors_of_the_std_are_those_of_the_validation_faces(results):
    factors = read_csv(results / "protocols/p2/calibration.csv")
    text = card(results, "p2")
    (rows,) = (rows for rows in tables_of(text) if list(rows[0])[:2] == ["network", "seed"])
    assert len(rows) == len(factors) == 10
    for row, factor in zip(rows, factors.to_dict("records"), strict=True):
        assert (row["network"], row["seed"]) == (factor["network"], str(factor["seed"]))
        assert [float(row[a]) for a in ("pitch", "yaw", "roll")] == [
            pytest.approx(factor[a], abs=1e-4) for a in ("pitch", "yaw", "roll")
        ]


def test_a_protocol_without_validation_faces(results):
    text = card(results, "p1")
    assert "700 faces of 300W_LP (all of its faces); none are held out for validation." in text
    assert "Not calibrated: there are no validation faces." in text


def test_a_protocol_without_a_test_set(copied):
    only = {n: t for n, t in PAPER_PARAMS["tests"].items() if t["protocol"] == "p2"}
    carded(copied, tests=only)
    text = card(copied, "p1")
    assert "This protocol has no test set." in text
    columns = {"geodesic", "30-60", "scale 1.2", "covered yaw", "in both"}
    assert not columns & {name for rows in tables_of(text) for name in rows[0]}
    of_p2 = {name for rows in tables_of(card(copied, "p2")) for name in rows[0]}
    assert columns <= of_p2


def test_nothing_of_this_machine_is_in_it(copied):
    carded(copied, boxes={**PAPER_PARAMS["boxes"], "path": "/home/me/faces.onnx"})
    text = card(copied, "p1")
    assert "`faces.onnx`" in text and "/home" not in text


BOXES, CROP = PAPER_PARAMS["boxes"], PAPER_PARAMS["crop"]


@pytest.mark.parametrize(
    ("section", "changed", "expected"),
    [
        pytest.param("boxes", {"source": "published"}, "published with the paper", id="published"),
        pytest.param("boxes", {"square": True}, "made square", id="square"),
        pytest.param("boxes", {"square": False}, "not made square, sides times", id="not square"),
        pytest.param(
            "boxes",
            {"unmatched": "annotated", "scale": 1.5, "score": 0.25},
            "a score of 0.25 or more, made square (as long as the longer side), sides times 1.5; "
            "faces it does not find use",
            id="numbers",
        ),
        pytest.param("crop", {"rule": "published", "margin": 0}, "integer corners", id="rule"),
        pytest.param("crop", {"border": "black"}, "outside the image are black.", id="border"),
    ],
)
def test_the_words_for_boxes_and_crops_follow_the_settings(copied, section, changed, expected):
    own = {"boxes": BOXES, "crop": CROP}[section]
    assert expected not in card(copied, "p1") or changed == {"square": True}
    carded(copied, **{section: {**own, **changed}})
    assert expected in " ".join(card(copied, "p1").split())


@pytest.mark.parametrize(
    ("template", "message"),
    [
        pytest.param("{{ nothing }}", "card.md: cannot be filled: 'nothing' is undef", id="name"),
        pytest.param("{{ mae.x }}", "card.md: cannot be filled: .*no attribute 'x'", id="part"),
        pytest.param("{% if %}", "card.md: cannot be filled: Expected an exp", id="syntax"),
    ],
)
def test_a_template_that_cannot_be_filled_is_named(template, message, tmp_path):
    (tmp_path / "card.md").write_text(template)
    with pytest.raises(InputError, match=message):
        write_card(tmp_path / "card.md", {"mae": "1"}, tmp_path / "out.md")
    assert not (tmp_path / "out.md").exists()


def test_values_are_text_and_no_template(tmp_path):
    (tmp_path / "card.md").write_text("{{ mae }} $5 & <b>\n")
    write_card(tmp_path / "card.md", {"mae": "{{ 7 }}"}, tmp_path / "out.md")
    assert (tmp_path / "out.md").read_text() == "{{ 7 }} $5 & <b>\n"
