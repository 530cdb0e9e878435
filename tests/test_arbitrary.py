"""Whatever a file holds, its reader gives a value or our own error; and so do the parameters."""

import csv
import json
import math
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hpe_core.common.errors import InputError
from hpe_core.common.settings import read_yaml, section_of
from hpe_core.corpora import biwi
from hpe_core.corpora.labels import pyr_from_biwi
from hpe_core.corpora.matfile import read_mat
from hpe_core.corpora.own_corpus import read_rows
from hpe_core.faces.images import check_image, read_image
from hpe_core.faces.published_boxes import read_published_boxes
from hpe_core.params import SECTIONS

DEMO = yaml.safe_load((Path(__file__).parents[1] / "params.yaml").read_text())
EACH = settings(
    deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture]
)  # no deadline: a busy machine is no defect; CPU time is looked at instead
MAT_HEADER = b"MATLAB 5.0 MAT-file".ljust(124) + b"\0\1IM"
MAGIC = [b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"BM", b"RIFF\xff\0\0\0WEBPVP8L", b"II*\0", b""]


def read_pose(path: Path) -> Any:
    return pyr_from_biwi(biwi._read_rotation(path))


def read_csv(path: Path) -> Any:
    return read_rows(path.rename(path.with_name("file.csv")))


def element(kind: int, data: bytes) -> bytes:
    return struct.pack("<II", kind, len(data)) + data + bytes(-len(data) % 8)


word = st.integers(0, 2**32 - 1) | st.integers(0, 20)
elements = st.recursive(
    st.builds(element, word, st.binary(max_size=40)),
    lambda inner: st.builds(lambda parts: element(14, b"".join(parts)), st.lists(inner)),
)
numbers = st.floats().map(str) | st.integers().map(str) | st.text(max_size=5)
rows = st.lists(st.lists(numbers, max_size=4).map(" ".join), max_size=5).map("\n".join)
boxes = st.lists(st.none() | st.integers() | st.floats() | st.text(), max_size=5)
entry = st.dictionaries(st.sampled_from(["bbox", "type", "faceid", "x"]), boxes | st.integers())
lists = st.dictionaries(st.text(), st.lists(entry) | boxes) | st.lists(boxes)

pictures = st.builds(bytes.__add__, st.sampled_from(MAGIC), st.binary())
published = lists.map(json.dumps).map(str.encode)
HEADER = b"image,pitch,yaw,roll\n"
lines = st.lists(st.lists(numbers, max_size=5).map(",".join), max_size=5).map("\n".join)
PARQUET = pd.DataFrame({"image": "a.png", "pitch": [1, 2], "yaw": 0.5, "roll": "3"}).to_parquet()
flips = st.dictionaries(st.integers(0, len(PARQUET) - 1), st.integers(0, 255), max_size=5)
parquets = flips.map(lambda new: bytes(new.get(at, byte) for at, byte in enumerate(PARQUET)))

READERS = [
    pytest.param(
        lambda path: read_mat(path, ["Pose_Para"]),
        (st.binary() | st.lists(elements).map(b"".join)).map(MAT_HEADER.__add__),
        id="mat",
    ),
    pytest.param(read_pose, st.binary() | rows.map(str.encode), id="pose"),
    pytest.param(read_image, pictures, id="image"),
    pytest.param(check_image, pictures, id="header"),
    pytest.param(read_published_boxes, st.binary() | published, id="published"),
    pytest.param(read_csv, st.binary() | lines.map(str.encode).map(HEADER.__add__), id="csv"),
    pytest.param(read_rows, st.binary() | parquets, id="parquet"),
    pytest.param(read_yaml, st.binary() | st.text().map(str.encode), id="params"),
]  # fmt: skip


@pytest.mark.parametrize(("read", "contents"), READERS)
@given(data=st.data())
@EACH
def test_any_file_is_read_or_refused(tmp_path, read: Callable[[Path], object], contents, data):
    path = tmp_path / "file"
    path.write_bytes(data.draw(contents))
    start = process_time()
    try:
        read(path)
    except InputError as error:
        assert str(path) in str(error)
    assert process_time() - start < 1


@given(st.lists(st.floats(), min_size=9, max_size=9))
@EACH
def test_any_matrix_is_a_rotation_or_refused(values):
    try:
        pyr_deg = pyr_from_biwi(np.array(values).reshape(3, 3))
    except ValueError:
        return
    assert np.isfinite(pyr_deg).all()


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


@given(columns=st.lists(st.tuples(texts, texts, st.floats()), min_size=1, max_size=4))
@EACH
def test_any_text_and_number_comes_back_from_a_table(tmp_path, columns):
    subject, video, pitch = zip(*columns, strict=True)
    pose = {"pitch": pitch, "yaw": 0, "roll": 0}
    written = {"image": "a", **pose, "subject": subject, "video": video}
    pd.DataFrame(written).to_csv(tmp_path / "faces.csv", index=False, quoting=csv.QUOTE_ALL)
    pd.DataFrame(written).to_parquet(tmp_path / "faces.parquet")
    for name in ("faces.csv", "faces.parquet"):
        found = pd.DataFrame(read_rows(tmp_path / name))
        assert tuple(found["subject"]) == subject
        assert tuple(found["video"]) == video
        read = found["pitch"].replace("", "nan").astype(float)
        np.testing.assert_array_equal(read, pitch)


def leaves(content: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Where each value of params.yaml stands. `where`, with columns for keys, is one."""
    if not isinstance(content, dict) or not content or (path and path[-1] == "where"):
        yield path, content
        return
    for name, value in content.items():
        yield from leaves(value, (*path, name))


LEAVES = dict(leaves(DEMO))
NULLABLE = {("crop", "margin"), ("sweep", "max_faces"), ("jitter", "max_faces")}
WRONG = {
    "number": st.text() | st.booleans() | st.sampled_from([math.nan, math.inf, -math.inf]),
    "bool": st.text() | st.integers() | st.floats(),
    "text": st.integers() | st.floats() | st.booleans(),
    "list": st.text() | st.integers() | st.dictionaries(st.text(), st.integers(), min_size=1),
    "dict": st.text() | st.integers() | st.lists(st.integers(), min_size=1),
}
KINDS = {bool: "bool", int: "number", float: "number", str: "text", list: "list", dict: "dict"}
KINDS[type(None)] = "number"  # every null of the demo's stands for a number


@given(data=st.data())
@settings(deadline=None, max_examples=400)
def test_any_value_of_a_wrong_type_is_named(data):
    """One value of the demo's, replaced: the error names its place, in lines to be read."""
    place = data.draw(st.sampled_from(sorted(LEAVES)))
    other = WRONG[KINDS[type(LEAVES[place])]] | st.just([[]]) | st.just({"": None})
    value = data.draw(other if place in NULLABLE else other | st.none())
    content = yaml.safe_load(yaml.safe_dump({place[0]: DEMO[place[0]]}))
    inner = content
    for name in place[:-1]:
        inner = inner[name]
    inner[place[-1]] = value
    with pytest.raises(InputError) as caught:
        section_of(Path("params.yaml"), content, place[0], SECTIONS[place[0]])
    assert f"params.yaml: {'.'.join(place)}" in str(caught.value)
    assert all(len(line) < 1000 for line in str(caught.value).splitlines())
