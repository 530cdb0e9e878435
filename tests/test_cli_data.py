"""`hpe data`: corpora that are there, incomplete, damaged or missing, beside what is published."""

import json
from pathlib import Path
from typing import get_args

import pandas as pd
import pytest
import yaml
from tiny_corpora import write_300w_lp, write_aflw2000, write_image
from typer.testing import CliRunner

from hpe_core.cli.app import app
from hpe_core.corpora.names import ReaderName
from hpe_core.corpora.readers import LAYOUTS

ROOT = Path(__file__).parents[1]
MINE = {"reader": "300W_LP", "split_by": "mine"}


@pytest.fixture
def params(tmp_path):
    """A function that writes a params file with these datasets and a detector; → its path."""
    (tmp_path / "d.onnx").touch()
    content = yaml.safe_load((ROOT / "params.yaml").read_text())

    def write(datasets, **boxes) -> Path:
        content["data"]["root"] = str(tmp_path)
        content["datasets"] = datasets
        content["boxes"] |= {"path": str(tmp_path / "d.onnx"), **boxes}
        (tmp_path / "p.yaml").write_text(yaml.safe_dump(content))
        return tmp_path / "p.yaml"

    return write


def hpe(*arguments: str | Path, code: int = 0) -> tuple[str, str]:
    """→ stdout, stderr."""
    result = CliRunner().invoke(app, ["data", *map(str, arguments)])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.stdout + result.stderr
    return result.stdout, result.stderr


def rows(path: Path, code: int = 0) -> dict[str, dict[str, str | int]]:
    return {row["name"]: row for row in json.loads(hpe("--params", path, "--json", code=code)[0])}


def test_what_is_there_is_counted_beside_what_is_published(params, tmp_path):
    write_300w_lp(tmp_path / "mine")
    whole = len(LAYOUTS["300W_LP"].entries(tmp_path / "mine"))
    next((tmp_path / "mine").glob("*/*.mat")).write_bytes(b"junk")
    found = rows(params({"mine": MINE}))
    assert found["mine"] == {
        "name": "mine",
        "state": "found",
        "path": f"{tmp_path}/mine",
        "layout": "{AFW,HELEN,IBUG,LFPW}{,_Flip}/NAME.jpg + NAME.mat",
        "found": f"{whole - 1} faces, 1 that cannot be read",
        "faces": whole - 1,
        "skipped": 1,
        "published_faces": 122_450,
        "source": LAYOUTS["300W_LP"].source,
    }
    assert found["boxes"]["state"] == "found"


def test_a_corpus_of_ones_own(params, tmp_path):
    (tmp_path / "own").mkdir()
    write_image(tmp_path / "own/a.png")
    (tmp_path / "own/faces.csv").write_text("image,pitch,yaw,roll\na.png,1,2,3\nb.png,1,2,3\n")
    path = params({"own": {"reader": "table", "split_by": "own"}})
    assert rows(path)["own"]["found"] == "1 faces, 1 that cannot be read"
    assert "published" not in hpe("--params", path)[0]


def test_every_name_of_a_reader_has_its_layout():
    assert tuple(LAYOUTS) == get_args(ReaderName)


def test_text_for_humans(params, tmp_path):
    write_aflw2000(tmp_path / "AFLW2000")
    datasets = {"AFLW2000": {"reader": "AFLW2000", "split_by": "AFLW2000"}, "mine": MINE}
    lines = hpe("--params", params(datasets), code=1)[0].splitlines()
    assert [line.split(": ")[:2] for line in lines if line[0] != " "] == [
        ["AFLW2000", "found"],
        ["mine", "missing"],
        ["boxes", "found"],
    ]
    assert lines[1].startswith(f"    expected  {tmp_path}/AFLW2000:")
    text = " ".join(" ".join(lines).split())
    assert f"expected {tmp_path}/AFLW2000: imageNNNNN.jpg + imageNNNNN.mat published 2,000" in text
    assert "imageNNNNN.mat published 2,000 faces. It is published by the authors of 3DDFA" in text


@pytest.mark.parametrize("reader", LAYOUTS)
def test_a_missing_corpus_is_the_readers_own_message(params, tmp_path, reader):
    found = rows(params({"x": {"reader": reader, "split_by": "x"}}), code=1)["x"]
    assert found["state"] == "missing"
    assert found["faces"] == 0
    assert found["found"].startswith("no corpus: looked for ")
    assert "README" not in found["found"]
    assert ("See docs/real-corpora.md." in found["found"]) == (reader != "table")
    text, _ = hpe("--params", tmp_path / "p.yaml", code=1)
    assert " ".join(text.split()).count(found["source"]) == 1
    assert max(map(len, text.replace(str(tmp_path), "").splitlines())) <= 100
    assert f"{tmp_path}/x, which does not exist" in found["found"]


def test_the_demo_corpora_are_not_rendered_yet(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text, _ = hpe("--params", ROOT / "params.yaml", code=1)
    assert text.count("missing: not rendered yet: `make demo`\n") == 4
    Path("data/demo/corpora/BIWI").mkdir(parents=True)
    text, _ = hpe("--params", ROOT / "params.yaml", code=1)
    assert text.count("not rendered yet") == 3, "what is there and holds nothing is another case"


def test_a_corpus_of_which_nothing_can_be_read_is_missing(params, tmp_path):
    write_aflw2000(tmp_path / "x")
    for file in (tmp_path / "x").glob("*.mat"):
        file.write_bytes(b"junk")
    found = rows(params({"x": {"reader": "AFLW2000", "split_by": "x"}}), code=1)["x"]
    assert (found["state"], found["faces"]) == ("missing", 0)
    assert found["skipped"] > 0


@pytest.mark.parametrize(
    ("boxes", "state"),
    [
        pytest.param({}, "found", id="detector"),
        pytest.param({"path": "absent.onnx"}, "missing", id="no detector"),
        pytest.param({"source": "published"}, "missing", id="a file for the published boxes"),
        pytest.param({"source": "published", "path": str(ROOT)}, "found", id="published"),
        pytest.param({"path": str(ROOT)}, "missing", id="a folder for a detector"),
    ],
)
def test_boxes(params, tmp_path, boxes, state):
    write_aflw2000(tmp_path / "x")
    path = params({"x": {"reader": "AFLW2000", "split_by": "x"}}, **boxes)
    assert rows(path, code=state == "missing")["boxes"]["state"] == state


def test_counts_are_those_of_the_paper():
    """counts.csv, where the training and test sets of a protocol make up the corpus."""
    counts = pd.read_csv(ROOT / "data/published/counts.csv").set_index(["protocol", "role"])
    assert LAYOUTS["BIWI"].faces == counts.loc["p3", "faces"].sum() + 1
    for protocol, role, reader in (("p1", "train", "300W_LP"), ("p2", "test", "AFLW2000")):
        assert counts.loc[(protocol, role), "note"].startswith(
            f"{LAYOUTS[reader].faces} before the filter"
        )
    notes = counts.loc["p2", "note"].str.extract(r"^(\d+) before")[0].astype(int)
    assert LAYOUTS["AFLW"].faces == notes.sum()


def test_errors_are_one_line(tmp_path):
    (tmp_path / "p.yaml").write_text("[")
    for name, code, message in (("p", 1, "cannot be read"), ("absent", 2, "no such file; run")):
        out, err = hpe("--params", tmp_path / f"{name}.yaml", code=code)
        assert (out, len(err.splitlines())) == ("", 1)
        assert f"{name}.yaml: {message}" in err
