"""What docs/conventions.md and docs/predict.md say comes out, does."""

import doctest
import re
import shlex

import numpy as np
import pytest
from typer.testing import CliRunner

from hpe_core.cli.app import app
from tests.graph import ROOT

# `$ hpe convert …` and the line below it, without a pipe.
CONVERSIONS = [
    pytest.param(command, expected, id=f"{page}: {command}")
    for page in ("conventions.md", "predict.md")
    for command, expected in re.findall(
        r"^\$ hpe (convert [^|\n]*)\n(.*)$", (ROOT / "docs" / page).read_text(), re.MULTILINE
    )
]


def test_numbers_of_the_page():
    page = ROOT / "docs/conventions.md"
    with np.printoptions():  # the page changes them
        failed, tried = doctest.testfile(str(page), module_relative=False)
    assert (failed, tried) == (0, 11)


@pytest.mark.parametrize(("command", "expected"), CONVERSIONS)
def test_conversions(command, expected):
    assert CliRunner().invoke(app, shlex.split(command)).stdout == f"{expected}\n"


def test_conversions_are_found():
    assert len(CONVERSIONS) == 5
