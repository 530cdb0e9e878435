"""`hpe convert`: numbers on the command line, tables through it, errors in one line."""

import csv
import io
import re

import pandas as pd
import pytest
from typer.testing import CliRunner

from hpe_core.cli.app import app
from hpe_core.inference.conventions import CONVENTIONS


def hpe(source: str, target: str, *values: str, given: str = "", code: int = 0):
    """→ stdout, stderr."""
    arguments = ["convert", "--from", source, "--to", target, *values]
    result = CliRunner().invoke(app, arguments, input=given)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.stderr
    return result.stdout, result.stderr


def test_numbers_negative_ones_too():
    assert hpe("pyr", "quaternion", "-90", "0", "0") == ("-0.707106781 0.0 0.0 0.707106781\n", "")
    assert hpe("pyr", "XYZ", "-.5", "-1e1", "3") == ("-0.5 -10.0 3.0\n", "")
    assert hpe("AFLW", "pyr", "0", "0", "0")[0] == "0.0 0.0 0.0\n", "no minus zero"


def test_of_a_table_only_the_pose_changes():
    given = 'image,face,pitch,yaw,roll,std_yaw\n007,1,0.0,0,90,1.50\n"a,b",,1,2,3,\n'
    out = hpe("pyr", "rotvec", given=given)[0]
    rows = out.splitlines()
    assert rows[0] == "image,face,rx,ry,rz,std_yaw"
    assert rows[1] == "007,1,0.0,0.0,1.570796327,1.50"
    assert rows[2].startswith('"a,b",,') and rows[2].endswith(",")
    back = pd.read_csv(io.StringIO(hpe("rotvec", "pyr", given=out)[0]))
    assert back[["pitch", "yaw", "roll"]].to_numpy().round(6).tolist() == [[0, 0, 90], [1, 2, 3]]


def test_the_columns_stand_where_the_first_one_stood():
    given = "roll,a,pitch,b,yaw\n3,x,1,y,2\n"
    assert hpe("pyr", "XYZ", given=given)[0] == "a,angle1,angle2,angle3,b\nx,1.0,2.0,3.0,y\n"


def test_rows_without_a_pose_are_kept():
    """`hpe evaluate --out` writes them, with the reason why there is none."""
    given = "image,pitch,yaw,roll,why\na,1,2,3,\nb,,,,no_match\nc,0,0,0,\n"
    rows = list(csv.DictReader(io.StringIO(hpe("pyr", "quaternion", given=given)[0])))
    assert [row["image"] for row in rows] == ["a", "b", "c"]
    assert [rows[1][name] for name in ("qx", "qy", "qz", "qw")] == [""] * 4
    assert rows[1]["why"] == "no_match"
    assert float(rows[2]["qw"]) == 1.0
    nobody = "image,pitch,yaw,roll\nb,,,\n"
    assert hpe("pyr", "matrix", given=nobody)[0].splitlines()[1].startswith("b,,,")
    refused(["pyr", "matrix"], "image,pitch,yaw,roll\nb,1,,3\n", "row 1: expected numbers", 1)


def test_a_table_without_rows():
    assert hpe("pyr", "quaternion", given="i,pitch,yaw,roll\n")[0] == "i,qx,qy,qz,qw\n"


@pytest.mark.parametrize(
    ("arguments", "given", "message"),
    [
        pytest.param(["pyr", "matrix", "1", "2", "nan"], "", "row 1: expected numbers", id="nan"),
        pytest.param(["quaternion", "pyr", "0", "0", "0", "0"], "", "row 1: .*zero norm", id="0"),
        pytest.param(["pyr", "matrix"], "", "stdin: cannot be read as csv", id="nothing"),
        pytest.param(
            ["pyr", "matrix"], "yaw,roll\n1,2\n", "stdin: no column pitch; found", id="few"
        ),
        pytest.param(
            ["pyr", "matrix"], "pitch,yaw,roll\n1,2,\n", "row 1: expected num", id="empty"
        ),
        pytest.param(
            ["pyr", "rotvec"], "pitch,yaw,roll,rx\n1,2,3,4\n", "already has a column rx", id="two"
        ),
        pytest.param(
            ["rotvec", "pyr"], "rx,ry,rz\n1,2,3\n1,2\n", "row 2: expected num", id="short"
        ),
        pytest.param(
            ["quaternion", "pyr"], "qx,qy,qz,qw\n0,0,0,2\n0,0,0,0\n", "row 2: .*zero norm", id="0s"
        ),
        pytest.param(
            ["quaternion", "pyr"],
            "qx,qy,qz,qw\n0,0,0,2\n,,,\n0,0,0,0\n",
            "row 3: .*zero norm",
            id="behind a row without a pose",
        ),
        pytest.param(
            ["pyr", "matrix"],
            "pitch,yaw,roll\n,,\n,,\n1,2,nan\n",
            "row 3: expected numbers, found NaN",
            id="NaN behind rows without a pose",
        ),
    ],
)
def test_errors_are_one_line(arguments, given, message):
    refused(arguments, given, message, 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["pyr", "euler"], "no convention 'euler'; expected pyr, .* or an", id="to"),
        pytest.param(["deg", "pyr"], "no convention 'deg'", id="from"),
        pytest.param(["pyr", "Xyz"], "no convention 'Xyz'; expected XYZ or xyz", id="either"),
        pytest.param(["pyr", "matrix", "1", "2"], "2 numbers; expected pitch, yaw, roll", id="2"),
        pytest.param(
            ["pyr", "matrix", "1", "2", "--x"], "expected numbers: .*'--x'; expected pi", id="text"
        ),
        pytest.param(["pyr", "matrix", __file__], "If that is a file, use `< FILE`", id="file"),
    ],
)
def test_a_wrong_command_line(arguments, message):
    refused(arguments, "", message, 2)


def refused(arguments, given, message, code) -> None:
    out, err = hpe(*arguments, given=given, code=code)
    assert out == ""
    assert len(err.splitlines()) == 1
    assert re.search(message, err)


def test_names_in_any_case():
    for name, same in (("aflw", "AFLW"), ("Biwi", "BIWI"), ("PYR", "pyr")):
        assert hpe("pyr", name, "1", "2", "3") == hpe("pyr", same, "1", "2", "3")
    assert hpe("pyr", "xyz", "10", "20", "30") != hpe("pyr", "XYZ", "10", "20", "30")


def test_help_names_every_convention():
    text = CliRunner().invoke(app, ["convert", "--help"]).stdout
    assert not [name for name in CONVENTIONS if len(name) > 3 and name not in text]
    assert "\n  quaternion  qx, qy, qz, qw\n" in text, "a column, not a paragraph"
