"""The model card of each protocol: every number in it is one of the metrics or of params.yaml."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from test_tables import PAPER_PARAMS, ROOT, run_tables, write_results

from hpe_core.bootstrap import LEVEL
from hpe_core.errors import InputError
from hpe_core.io.files import write_json
from hpe_core.io.tables import read_csv
from hpe_core.metrics import gain
from hpe_core.model_card import boxes_text, fill, input_text
from hpe_core.params.faces import Boxes, Crop
from pipeline._model_cards import write_card

NETWORKS = ["base", "ensemble", "kd-resnet18", "kd-resnet10"]
Rows = list[dict[str, str]]


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Path:
    folder = write_results(tmp_path_factory.mktemp("results"), PAPER_PARAMS)
    for file in (folder / "tests").glob("*.json"):  # as over two seeds
        networks = json.loads(file.read_text())
        write_json({k: {**n, "runs": 2, "mae_std": 0.123} for k, n in networks.items()}, file)
    run_tables(folder)
    return folder


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
    return json.loads((folder / kind / f"{test}.json").read_text())


@pytest.mark.parametrize("protocol", PAPER_PARAMS["protocols"])
def test_errors_are_those_of_the_metrics(results, protocol):
    own = [name for name, t in PAPER_PARAMS["tests"].items() if t["protocol"] == protocol]
    rows = table_with(card(results, protocol), "geodesic")
    assert [(r["test"], r["network"]) for r in rows] == [(t, n) for t in own for n in NETWORKS]
    for row in rows:
        networks = measured(results, "tests", row["test"])
        of_network = networks[row["network"]]
        for name in ("pitch", "yaw", "roll", "geodesic"):
            assert row[name] == f"{of_network[name]:.2f}", name
        assert row["MAE"] == f"{of_network['mae']:.2f} ± 0.12"
        assert row["faces"] == str(of_network["faces"])
        low, high = measured(results, "intervals", row["test"])[row["network"]]["mae"]
        assert row[f"{100 * LEVEL:.0f} %"] == f"{low:.2f}–{high:.2f}"
        saved = gain(of_network["mae"], networks["base"]["mae"])
        assert row["gain"].rstrip("*") == ("–" if row["network"] == "base" else f"{saved:+.1f} %")


def test_bands_jitter_and_coverage_are_those_of_the_metrics(results):
    text = card(results, "p1")
    for row in table_with(text, "30-60"):
        bands = measured(results, "bands", row["test"])
        if row["network"] == "faces":
            assert row["30-60"] == str(bands["base"]["30-60"]["faces"])
        else:
            assert row["30-60"] == f"{bands[row['network']]['30-60']['mae']:.2f}"
    for row in table_with(text, "scale 1.2"):
        levels = read_csv(results / "jitter" / f"{row['test']}.csv").query("kind == 'scale'")
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
    names = ("base", "kd-resnet18", "kd-resnet10")
    assert files == [
        f"`data/models/p2/{name}-{seed}.safetensors`" for name in names for seed in (4, 7)
    ]
    assert 'HeadPose.load("data/models/p2/kd-resnet10-7.safetensors")' in text
    photographs, subjects = table_with(text, "in both")
    assert (photographs["number"], photographs["test faces"]) == ("3", "4")
    assert subjects["number"] == subjects["test faces"] == "not known"
    assert f"**{PAPER_PARAMS['tables']['corpora']}**" in text


def test_factors_of_the_std_are_those_of_the_validation_faces(results):
    factors = read_csv(results / "calibration" / "p2.csv")
    text = card(results, "p2")
    (rows,) = (rows for rows in tables_of(text) if list(rows[0])[:2] == ["network", "seed"])
    assert len(rows) == len(factors) == 8
    for row, factor in zip(rows, factors.to_dict("records"), strict=True):
        assert (row["network"], row["seed"]) == (factor["network"], str(factor["seed"]))
        assert [float(row[a]) for a in ("pitch", "yaw", "roll")] == [
            pytest.approx(factor[a], abs=1e-4) for a in ("pitch", "yaw", "roll")
        ]


def test_a_protocol_without_validation_faces(results):
    text = card(results, "p1")
    assert "700 faces of 300W_LP (all of its faces); none are held out for validation." in text
    assert "Not calibrated: there are no validation faces." in text


def test_a_protocol_without_a_test_set(tmp_path):
    only = {n: t for n, t in PAPER_PARAMS["tests"].items() if t["protocol"] == "p2"}
    run_tables(write_results(tmp_path, {**PAPER_PARAMS, "tests": only}))
    text = card(tmp_path, "p1")
    assert text.count("This protocol has no test set.") == 5
    assert "geodesic |" not in text and "geodesic |" in card(tmp_path, "p2")


def test_nothing_of_this_machine_is_in_it(tmp_path):
    boxes = {**PAPER_PARAMS["boxes"], "path": "/home/me/faces.onnx"}
    run_tables(write_results(tmp_path, {**PAPER_PARAMS, "boxes": boxes}))
    text = card(tmp_path, "p1")
    assert "`faces.onnx`" in text and "/home" not in text


def test_the_words_for_boxes_and_crops_follow_the_settings():
    demo = yaml.safe_load((ROOT / "params.yaml").read_text())
    boxes, crop = demo["boxes"], demo["crop"]
    published = Boxes.model_validate({**boxes, "source": "published"})
    assert boxes_text(published) == "those published with the paper, as they are."
    other = {**boxes, "square": False, "unmatched": "annotated", "scale": 1.5, "score": 0.25}
    words = boxes_text(Boxes.model_validate(other))
    assert (
        "a score of 0.25 or more, as they are, sides times 1.5; faces it does not find have"
        in words
    )
    assert "square" in boxes_text(Boxes.model_validate(boxes))
    assert "integer corners" in input_text(
        Crop.model_validate({**crop, "rule": "published", "margin": 0})
    )
    assert input_text(Crop.model_validate({**crop, "border": "black"})).endswith("image is black")


@pytest.mark.parametrize(
    ("template", "message"),
    [
        pytest.param("$nothing", "no \\$nothing; expected one of \\$mae, \\$faces", id="unknown"),
        pytest.param("5 $ each", "a dollar sign is written \\$\\$", id="dollar"),
    ],
)
def test_a_template_with_an_unknown_field_is_refused(template, message):
    with pytest.raises(InputError, match=message):
        fill(template, {"mae": "1", "faces": "2"})
    assert fill("$mae $$", {"mae": "1"}) == "1 $"


def test_a_broken_template_is_named(tmp_path):
    (tmp_path / "card.md").write_text("$nothing")
    with pytest.raises(InputError, match="card.md: no \\$nothing"):
        write_card(tmp_path / "card.md", {"mae": "1"}, tmp_path / "out.md")
    assert not (tmp_path / "out.md").exists()
