"""What training and test set have in common: found, counted, listed, and refused where asked."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from hpe_core.common.errors import InputError
from hpe_core.common.table_files import BOX_COLUMNS, INDEX_COLUMNS, write_table
from hpe_core.corpora.leaks import (
    SHARED_COLUMNS,
    count_shared,
    find_shared,
    in_words,
    shared_table,
)
from pipeline import leaks

NONE = {"shared": 0, "training_faces": 0, "test_faces": 0}


def faces(*rows: tuple[str, str, str], dataset: str = "AFLW", **values: object) -> pd.DataFrame:
    """Rows of a face table: image, what stands for the bytes of its file, subject."""
    empty = {
        c: "" if kind == "str" else 0.0 for c, kind in {**INDEX_COLUMNS, **BOX_COLUMNS}.items()
    }
    table = pd.DataFrame(
        [{**empty, "image": i, "image_sha256": bytes_, "subject": s} for i, bytes_, s in rows]
    )
    return table.assign(face_id=table.index.astype("str"), dataset=dataset, **values)


def counts(training: pd.DataFrame, test: pd.DataFrame) -> dict[str, Any]:
    return {kind: count_shared(table) for kind, table in find_shared(training, test).items()}


def drawn(seed: int, dataset: str = "AFLW") -> pd.DataFrame:
    """40 faces on some of 60 photographs of 30 people; a photograph may lie there twice."""
    rng = np.random.default_rng(seed)
    rows = [
        (f"{p}{'ab'[rng.integers(2)]}.jpg", f"x{p}", f"F{p // 2}")
        for p in rng.integers(60, size=40)
    ]
    return faces(*rows, dataset=dataset)


def test_nothing_in_common_is_none():
    found = find_shared(faces(("a.jpg", "x", "F1")), faces(("b.jpg", "y", "F2")))
    assert {kind: list(table) for kind, table in found.items()} == dict.fromkeys(
        found, SHARED_COLUMNS
    )
    assert {kind: count_shared(table) for kind, table in found.items()} == {
        "photograph": NONE, "subject": NONE,
    }  # fmt: skip
    assert in_words(shared_table({"t": found})) == ""


def test_a_photograph_is_found_under_another_name_and_in_another_corpus():
    training = faces(("0/a.jpg", "x", ""), ("0/a.jpg", "x", ""), ("0/b.jpg", "y", ""))
    test = faces(("c.jpg", "x", ""), ("0/b.jpg", "z", ""), dataset="AFLW2000")
    found = find_shared(training, test)
    assert found["photograph"].to_dict("records") == [
        {"training_name": "0/a.jpg", "test_name": "c.jpg", "training_faces": 2, "test_faces": 1}
    ]
    assert found["subject"] is None


@pytest.mark.parametrize(
    ("training", "test", "dataset", "expected"),
    [
        pytest.param(["F1", "F1", "F2"], ["F1", "F3"], "AFLW", (1, 2, 1), id="one"),
        pytest.param(["F1", "F2"], ["F3"], "AFLW", (0, 0, 0), id="none"),
        pytest.param(["F1"], ["F1"], "BIWI", None, id="names of another corpus"),
        pytest.param(["", "F2"], ["F3"], "AFLW", None, id="some without a name"),
        pytest.param(["F1"], [""], "AFLW", None, id="test faces without a name"),
        pytest.param(["", "F2"], ["F2", ""], "AFLW", (1, 1, 1), id="at least one"),
    ],
)
def test_subjects_are_compared_where_they_are_known(training, test, dataset, expected):
    found = counts(
        faces(*((f"{place}.jpg", f"a{place}", name) for place, name in enumerate(training))),
        faces(
            *((f"{place}.jpg", f"b{place}", name) for place, name in enumerate(test)),
            dataset=dataset,
        ),
    )
    assert found["photograph"] == NONE
    assert found["subject"] == (expected and dict(zip(NONE, expected, strict=True)))


def test_subjects_are_those_of_the_tests_own_corpus():
    training = pd.concat(
        [faces(("a", "a", "F1"), dataset="BIWI"), faces(("b", "b", ""), ("c", "c", "F2"))]
    )
    found = counts(training, faces(("d", "d", "F1"), ("e", "e", "F2"), dataset="BIWI"))
    assert found["subject"] == {"shared": 1, "training_faces": 1, "test_faces": 1}


@pytest.mark.parametrize("seed", range(5))
def test_the_slow_obvious_way_finds_the_same(seed):
    training, test = drawn(seed), drawn(seed + 100)
    found = find_shared(training, test)
    for kind, key in (("photograph", "image_sha256"), ("subject", "subject")):
        shared = set(training[key]) & set(test[key])
        assert count_shared(found[kind]) == {
            "shared": len(shared),
            "training_faces": sum(value in shared for value in training[key]),
            "test_faces": sum(value in shared for value in test[key]),
        }
        assert len(shared) > 5
        assert set(found[kind]["test_faces"]) > {1}


@pytest.mark.parametrize("seed", range(5))
def test_neither_the_order_of_the_rows_nor_that_of_the_sets_matters(seed):
    training, test = drawn(seed), drawn(seed + 100)
    found = find_shared(training, test)
    shuffled = find_shared(training.sample(frac=1, random_state=1), test[::-1])
    exchanged = find_shared(test, training)
    swap = dict(zip(SHARED_COLUMNS, np.array(SHARED_COLUMNS)[[1, 0, 3, 2]], strict=True))
    for kind, table in found.items():
        pd.testing.assert_frame_equal(shuffled[kind], table)
        back = exchanged[kind].rename(columns=swap)[SHARED_COLUMNS]
        back = back.sort_values(SHARED_COLUMNS, ignore_index=True)
        pd.testing.assert_frame_equal(back, table)


def test_the_words_name_the_first_three():
    rows = [(f"{name}.jpg", name, "F1") for name in "dcba"]
    table = shared_table({"t": find_shared(faces(*rows), faces(*rows, rows[0]))})
    assert in_words(table) == (
        "t: 4 photographs (a.jpg, b.jpg, c.jpg, …; 4 training faces, 5 test faces); "
        "t: 1 subject (F1; 4 training faces, 5 test faces)"
    )


# ---- the stage

FACE_TABLES = {
    "BIWI": faces(
        ("01/a.png", "a", "F01"), ("01/b.png", "b", "F01"), ("02/c.png", "c", "F01"),
        ("03/d.png", "d", "F02"), dataset="BIWI",
    ).assign(video=["01", "01", "02", "03"]),
    "AFLW": faces(("x.jpg", "a", ""), ("y.jpg", "y", "")),
}  # fmt: skip
TESTS = {
    "p-AFLW": {"protocol": "p", "dataset": "AFLW", "where": {}},
    "p-02": {"protocol": "p", "dataset": "BIWI", "where": {"video": ["02"]}},
    "p-03": {"protocol": "p", "dataset": "BIWI", "where": {"video": ["03"]}},
    "other": {"protocol": "q", "dataset": "BIWI", "where": {}},
}


def run_leaks(folder: Path, tests: Mapping[str, Any], *, strict: bool) -> dict[str, Path]:
    protocol = {"train": {"BIWI": {"video": ["01"]}}, "validation": 0.1}
    params = {"leaks": {"strict": strict}, "protocols": {"p": protocol}, "tests": dict(tests)}
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    for name, table in FACE_TABLES.items():
        write_table(table, folder / "faces" / f"{name}.parquet")
    written = {
        "report": folder / "p.json", "shared": folder / "p.csv", "checked": folder / "p.checked",
    }  # fmt: skip
    leaks.main(params=folder / "params.yaml", protocol="p", faces=folder / "faces", **written)
    return written


REPORT = {
    "p-AFLW": {"photograph": {"shared": 1, "training_faces": 1, "test_faces": 1}, "subject": None},
    "p-02": {"photograph": NONE, "subject": {"shared": 1, "training_faces": 2, "test_faces": 1}},
    "p-03": {"photograph": NONE, "subject": NONE},
}
LISTED = (
    "test,kind,training_name,test_name,training_faces,test_faces\n"
    "p-AFLW,photograph,BIWI/01/a.png,x.jpg,1,1\n"
    "p-02,subject,F01,F01,2,1\n"
)


def test_the_stage_reports_every_test_set_of_its_protocol(tmp_path, capsys):
    written = run_leaks(tmp_path, TESTS, strict=False)
    assert json.loads(written["report"].read_text()) == REPORT
    assert written["shared"].read_text() == LISTED
    assert "p-02: 1 subject (F01; 2 training faces, 1 test faces)" in capsys.readouterr().out


def test_strict_is_an_error_of_one_line_after_the_report(tmp_path):
    expected = r"p: .*p-AFLW: 1 photograph \(BIWI/01/a.png; .*p-02: 1 subject.*p\.csv lists all"
    with pytest.raises(InputError, match=expected) as caught:
        run_leaks(tmp_path, TESTS, strict=True)
    assert "\n" not in str(caught.value)
    assert "protocols.p" in str(caught.value)
    assert "filter.strict_split" in str(caught.value)
    assert json.loads((tmp_path / "p.json").read_text()) == REPORT
    assert (tmp_path / "p.csv").read_text() == LISTED
    assert not (tmp_path / "p.checked").exists()


@pytest.mark.parametrize(
    "tests",
    [
        pytest.param({"p-03": TESTS["p-03"]}, id="nothing in common"),
        pytest.param({"other": TESTS["other"]}, id="no test set"),
    ],
)
def test_strict_accepts_what_is_apart(tmp_path, tests):
    written = run_leaks(tmp_path, tests, strict=True)
    assert written["shared"].read_text() == LISTED.splitlines(keepends=True)[0]
    assert json.loads(written["report"].read_text()) == {k: REPORT[k] for k in tests if k in REPORT}


def test_the_file_that_training_waits_for_is_always_the_same(tmp_path):
    contents = set()
    for name, tests in (("a", TESTS), ("b", {"p-03": TESTS["p-03"]})):
        (tmp_path / name).mkdir()
        contents.add(run_leaks(tmp_path / name, tests, strict=False)["checked"].read_bytes())
    assert len(contents) == 1


def test_a_face_table_of_before_is_refused(tmp_path):
    write_table(FACE_TABLES["BIWI"].drop(columns="image_sha256"), tmp_path / "faces.parquet")
    with pytest.raises(InputError, match=r"expected columns \['image_sha256'\]"):
        leaks.select_faces(tmp_path / "faces.parquet", {})
