"""docs/reference is what the code says of itself, and says something of everything."""

import re
from itertools import pairwise

import networkx
import pytest
import yaml

from tests.graph import ROOT, stages
from tests.reference import commands, kinds, markdown, mermaid, params
from tests.reference.__main__ import FOLDER, PAGES


@pytest.mark.parametrize("name", PAGES)
def test_the_committed_page_is_what_the_code_gives(name):
    assert (FOLDER / name).read_text() == PAGES[name](), f"{name} is stale: run `make docs`"


def test_the_graph_in_the_readme_is_that_of_dvc_dag():
    assert mermaid.README.read_text() == mermaid.readme(), "run `make docs`"


def test_a_graph_in_few_chains():
    edges = networkx.DiGraph(["ab", "bc", "cd", "be", "xd"])
    assert mermaid.lines(edges) == ["    a --> b --> c --> d", "    b --> e", "    x --> d"]


def test_a_long_chain_goes_on_in_the_next_line():
    names = [f"stage{number}" for number in range(20)]
    found = mermaid.wrapped(names)
    assert max(map(len, found)) <= mermaid.WIDTH
    joined = [edge for line in found for edge in pairwise(line.split(" --> "))]
    assert [(a.strip(), b) for a, b in joined] == [*pairwise(names)]


@pytest.mark.parametrize(
    ("stage", "expected"),
    [
        ("index@AFLW", "index"),
        ("data/demo/dvc.yaml:render-AFLW", "render"),
        ("crop_test@p-q", "crop_test"),
    ],
)
def test_entries_of_a_definition_are_one_node(stage, expected):
    assert mermaid.definition(stage) == expected


def test_every_result_has_a_meaning():
    """A new column or key: say in tests/reference/meanings.py what it means, in which unit."""
    assert not kinds.without_meaning()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("a:\n  b: 1 # of b", {"a.b": "of b"}, id="on its line"),
        pytest.param("a: # of a\n  # of b\n  b: 1", {"a": "of a", "a.b": "of b"}, id="above"),
        pytest.param(
            "a:\n  b: 1 # of b\n  # goes on\n  c: 2 # of c",
            {"a.b": "of b goes on", "a.c": "of c"},
            id="goes on",
        ),
        pytest.param(
            "a:\n  b: 1 # of b\n  # goes on\n\nc: 2", {"a.b": "of b goes on"}, id="to the end"
        ),
        pytest.param("# of the file\n\na: 1", {}, id="of the file"),
        pytest.param("# Of a.\na: 1 # mostly", {"a": "Of a. Mostly"}, id="both"),
        pytest.param('a:\n  b: "#1" # of b', {"a.b": "of b"}, id="a hash in quotes"),
    ],
)
def test_whose_comment_it_is(text, expected):
    assert params.comments(text) == expected


def test_every_key_of_params_says_what_it_means():
    said, content = (
        params.comments(params.DEMO.read_text()),
        yaml.safe_load(params.DEMO.read_text()),
    )
    fixed = [name for name, model in params.MODELS.items() if params.model_of(model) is model]
    silent = [
        f"{name}.{key}" for name in fixed for key in content[name] if f"{name}.{key}" not in said
    ]
    assert not silent


def test_what_a_key_accepts():
    text = PAGES["params.md"]()
    rows = {
        line.split("|")[1].strip(): line.split("|")[2].strip()
        for line in text.splitlines()
        if line.startswith("| `")
    }
    assert rows["`label_weight`"] == "number, ≥ 0"
    assert rows["`input_px`"] == "integer, > 0, multiple of 32"
    assert rows["`max_faces`"] == "integer, > 0, or `null`"
    assert rows["`bins_deg`"] == "list, not empty: number, ≥ 0.1, ≤ 99, all different"
    assert rows["`yaw_bands_deg`"] == "list of 2 or more: number, ascending"
    assert rows["`codec`"] == "`raw`, `jpeg`, `png`"


def test_no_stage_and_no_command_is_left_out():
    headings = re.findall(r"^## (.*)$", PAGES["artifacts.md"](), re.MULTILINE)
    assert headings[: len(stages())] == list(stages())
    assert {f"pipeline.{name}" for name in ("compare", "export", "verify")} <= {*commands.modules()}


def test_a_cell_stays_one():
    assert markdown.cell("a |b|\n < c") == r"a \|b\| &lt; c"


def test_names_of_a_run_are_left_out():
    found = kinds.keys_in({"base": {"mae": 1, "0-30": {}}, "kd-resnet8": {"mae": 2}})
    assert found == "NETWORK: {mae, 0-30}"
    names = ["base", "ensemble", "ensemble-flip", "control-resnet8", "kd-resnet8"]
    assert kinds.keys_in({name: {"mae": 1} for name in names}) == "NETWORK: {mae}"
    assert kinds.keys_in({"base": {"0-30": {"mae": 1}}}) == "NETWORK: {BAND: {mae}}"


def test_the_figures_are_small():
    for figure in ROOT.glob("docs/figures/*"):
        assert figure.stat().st_size < 150_000, figure
