"""Every layout is read by its convention; whatever is broken is listed with its reason."""

import hashlib
import os
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.io
import tyro
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from tiny_corpora import (
    POINTS_PX,
    add_face,
    write_300w_lp,
    write_aflw,
    write_aflw2000,
    write_biwi,
    write_frame,
    write_image,
    write_own,
    write_pair,
)

from hpe_core.common.errors import InputError, UnreadableFileError
from hpe_core.common.files import sha256
from hpe_core.common.geometry import rotation_from_pyr
from hpe_core.common.table_files import ANNOTATED_BOX, INDEX_COLUMNS, PUBLISHED_PYR, PYR
from hpe_core.corpora import entries as common
from hpe_core.corpora.landmarked import photograph
from hpe_core.corpora.matfile import read_mat
from hpe_core.corpora.readers import LAYOUTS, read_corpus
from hpe_core.corpora.splits import assign_test_split
from pipeline import index

REAL = Path(os.environ.get("HPE_REAL", Path(__file__).parents[2] / "shared" / "real"))
needs_real = pytest.mark.skipif(not REAL.is_dir(), reason=f"no real faces in {REAL}: set HPE_REAL")
WRITERS = {
    "300W_LP": write_300w_lp,
    "AFLW2000": write_aflw2000,
    "AFLW": write_aflw,
    "BIWI": write_biwi,
    "table": write_own,
}
EVERY_READER = [pytest.param(reader, id=reader) for reader in LAYOUTS]


def skipped(corpus) -> dict[str, str]:
    return dict(corpus.skipped.itertuples(index=False))


# ---- whole corpora


@pytest.mark.parametrize("reader", EVERY_READER)
def test_a_whole_corpus_has_the_columns_and_nothing_skipped(tmp_path, reader):
    WRITERS[reader](tmp_path)
    corpus = read_corpus(reader, tmp_path, "mine")
    assert list(corpus.faces) == list(INDEX_COLUMNS)
    assert corpus.faces["face_id"].is_unique
    assert corpus.faces["face_id"].str.startswith("mine/").all()
    assert set(corpus.faces["dataset"]) == {"mine"}
    assert set(corpus.faces["split"]) == {""}
    assert all((tmp_path / image).is_file() for image in corpus.faces["image"])
    assert corpus.skipped.empty


def test_300w_lp(tmp_path):
    write_300w_lp(tmp_path)
    faces = read_corpus("300W_LP", tmp_path).faces
    assert list(faces["face_id"]) == [
        "300W_LP/AFW/AFW_1_1_0",
        "300W_LP/AFW/AFW_1_1_1",
        "300W_LP/AFW_Flip/AFW_1_1_0",
        "300W_LP/AFW_Flip/AFW_1_1_1",
    ]
    assert faces["image"][2] == "AFW_Flip/AFW_1_1_0.jpg"
    assert set(faces["subject"]) == {"AFW_1_1"}
    golden = [5.729577951, 28.647889757, 11.459155903]
    np.testing.assert_allclose(faces[PYR], [golden] * 4, atol=1e-5)
    np.testing.assert_allclose(faces[ANNOTATED_BOX], [[10, 5, 50, 40]] * 4)


@pytest.mark.parametrize(
    ("stem", "expected"),
    [
        ("AFW/AFW_134212_1_0", "AFW_134212_1"),
        ("AFW_Flip/AFW_134212_1_12", "AFW_134212_1"),
        ("LFPW/LFPW_image_train_0001_3", "LFPW_image_train_0001"),
    ],
)
def test_views_of_one_photograph_share_a_subject(stem, expected):
    assert photograph(stem) == expected


def test_aflw2000_takes_its_box_from_pt3d_68_never_pt2d(tmp_path):
    write_aflw2000(tmp_path)
    faces = read_corpus("AFLW2000", tmp_path).faces
    assert list(faces["face_id"]) == ["AFLW2000/image00002", "AFLW2000/image00004"]
    assert list(faces["image"]) == ["image00002.jpg", "image00004.jpg"]
    np.testing.assert_allclose(faces[ANNOTATED_BOX], [[10, 5, 50, 40]] * 2)
    np.testing.assert_allclose(faces.loc[0, PYR].tolist(), [5.7296, 28.6479, 11.4592], atol=1e-4)


def test_aflw_has_a_row_a_face_and_boxes_may_leave_the_image(tmp_path):
    write_aflw(tmp_path)
    faces = read_corpus("AFLW", tmp_path).faces
    assert list(faces["face_id"]) == ["AFLW/39341", "AFLW/39342", "AFLW/39343"]
    assert list(faces["image"]) == ["data/flickr/0/image00002.jpg"] * 2 + [
        "data/flickr/2/image00003.png"
    ]
    published = [-5.729577951, -22.918311805, -17.188733854]  # golden.json, both
    np.testing.assert_allclose(faces[PUBLISHED_PYR], [published] * 3, atol=1e-8)
    np.testing.assert_allclose(faces[PYR], [[-6.216933, -22.797345, -19.605691]] * 3, atol=1e-9)
    assert set(faces["order"]) == {"YXZ"}
    np.testing.assert_allclose(faces[ANNOTATED_BOX], [[-3, 4, 17, 34]] * 3)


def test_biwi(tmp_path):
    write_biwi(tmp_path)
    golden = np.array([[0.988, 0.073, 0.133], [-0.044, 0.977, -0.209], [-0.145, 0.201, 0.969]])
    write_frame(tmp_path / "hpdb" / "24" / "frame_00003", golden)
    faces = read_corpus("BIWI", tmp_path).faces
    assert faces["face_id"][0] == "BIWI/01/frame_00003"
    assert faces["image"][0] == "hpdb/01/frame_00003_rgb.png"
    assert list(faces["video"]) == ["01", "01", "15", "15", "24"]
    assert list(faces["subject"]) == ["F01", "F01", "F03", "F03", "M14"]
    np.testing.assert_allclose(faces[PYR][:4], [[5, 9, 2]] * 4, atol=1e-4)
    np.testing.assert_allclose(faces.loc[4, PYR].tolist(), [12.179469, 7.638398, -4.222475], 1e-6)
    assert faces[ANNOTATED_BOX].isna().all(axis=None)


@pytest.mark.parametrize("reader", EVERY_READER)
def test_order_depends_on_names_alone(tmp_path, reader, monkeypatch):
    WRITERS[reader](tmp_path)
    expected = read_corpus(reader, tmp_path).faces
    listed = Path.iterdir
    monkeypatch.setattr(Path, "iterdir", lambda self: sorted(listed(self), reverse=True))
    monkeypatch.setattr(common, "THREADS", 1)
    pd.testing.assert_frame_equal(read_corpus(reader, tmp_path).faces, expected)


@pytest.mark.parametrize("reader", EVERY_READER)
def test_every_face_has_the_sha256_of_its_image(tmp_path, reader):
    WRITERS[reader](tmp_path)
    images = [p for p in tmp_path.rglob("*.*g") if "landmarks" not in p.parts]
    for seed, path in enumerate(images):
        write_image(path, seed)
    faces = read_corpus(reader, tmp_path).faces
    expected = [
        hashlib.sha256((tmp_path / image).read_bytes()).hexdigest() for image in faces["image"]
    ]
    assert faces["image_sha256"].tolist() == expected
    assert faces["image_sha256"].nunique() == faces["image"].nunique() > 1


def test_an_image_of_several_faces_is_hashed_once(tmp_path, monkeypatch):
    hashed = []
    monkeypatch.setattr(common, "sha256", lambda path: hashed.append(path.name) or "0")
    write_aflw(tmp_path)
    assert len(read_corpus("AFLW", tmp_path).faces) == 3
    assert sorted(hashed) == ["image00002.jpg", "image00003.png"]


def test_an_image_that_cannot_be_hashed_loses_its_faces_only(tmp_path, monkeypatch):
    def vanish(path: Path) -> str:
        if path.name == "image00002.jpg":
            path.unlink(missing_ok=True)
        return sha256(path)

    monkeypatch.setattr(common, "sha256", vanish)
    write_aflw(tmp_path)
    add_face(tmp_path, 39344, "gone.jpg")
    corpus = read_corpus("AFLW", tmp_path)
    assert corpus.faces["face_id"].tolist() == ["AFLW/39343"]
    image = "data/flickr/0/image00002.jpg"
    assert corpus.skipped.to_numpy().tolist() == [
        [image, "39341: No such file or directory"],
        [image, "39342: No such file or directory"],
        ["aflw.sqlite", "face 39344: no image in FaceImages"],
    ]


# ---- corpora that are not there


@pytest.mark.parametrize("exists", [True, False], ids=["empty-folder", "no-folder"])
@pytest.mark.parametrize("reader", EVERY_READER)
def test_a_missing_corpus_says_where_it_was_looked_for_and_who_has_it(tmp_path, reader, exists):
    folder = tmp_path / "corpora" / reader
    if exists:
        folder.mkdir(parents=True)
    with pytest.raises(InputError, match="looked for") as caught:
        read_corpus(reader, folder)
    assert str(folder) in str(caught.value)
    sources = ("published by", "on request", "docs/own-corpus.md has an example")
    assert any(source in str(caught.value) for source in sources)
    assert folder.exists() == exists
    assert not exists or not list(folder.iterdir())  # sqlite makes an empty database if let


def test_an_unknown_reader_names_the_known_ones(capsys):
    words = "--dataset d --reader WIDER --folder f --index i.parquet --skipped s.csv"
    with pytest.raises(SystemExit, match="2"):
        tyro.cli(index.main, args=words.split())
    said = capsys.readouterr().err
    assert all(reader in said for reader in ("WIDER", *LAYOUTS))


def test_a_corpus_without_one_good_face_shows_the_first_reason(tmp_path):
    write_image(tmp_path / "image1.jpg")
    with pytest.raises(InputError, match=r"none of 1 faces.*image1.jpg: no image1.mat"):
        read_corpus("AFLW2000", tmp_path)


# ---- one broken file among good ones


def rewrite(path: Path, change) -> None:
    path.write_bytes(change(path.read_bytes()))


def pose(*pitch_yaw_roll_rad):
    return np.array([[*pitch_yaw_roll_rad, 1, 1, 1, 1]])


# name → what is done to AFW/bad.jpg + AFW/bad.mat, the file that is listed, its reason
BROKEN_PAIRS = {
    "jpg-cut": (lambda s: rewrite(s.with_suffix(".jpg"), lambda c: c[: len(c) // 2]), "cut off"),
    "jpg-empty": (lambda s: s.with_suffix(".jpg").write_bytes(b""), "no image"),
    "jpg-missing": (lambda s: s.with_suffix(".jpg").unlink(), "no bad.jpg"),
    "jpg-is-a-bomb": (
        lambda s: Image.new("1", (9000, 9000)).save(s.with_suffix(".jpg"), "PNG"),
        "too large",
    ),
    "mat-missing": (lambda s: s.with_suffix(".mat").unlink(), "no bad.mat"),
    "mat-cut": (
        lambda s: rewrite(s.with_suffix(".mat"), lambda c: c[:200]),
        "bad.mat: no complete",
    ),
    "mat-empty": (lambda s: s.with_suffix(".mat").write_bytes(b""), "bad.mat: no complete"),
    "mat-version-4": (
        lambda s: scipy.io.savemat(s.with_suffix(".mat"), {"Pose_Para": pose(0, 0, 0)}, format="4"),
        "bad.mat: no complete MATLAB 5 file",
    ),
    "no-pose": (lambda s: write_pair(s, "pt2d", Pose_Para=None), "no numeric Pose_Para"),
    "pose-of-text": (lambda s: write_pair(s, "pt2d", Pose_Para="up"), "no numeric Pose_Para"),
    "pose-too-short": (lambda s: write_pair(s, "pt2d", Pose_Para=np.eye(2)), r"is \(2, 2\)"),
    "pose-nan": (lambda s: write_pair(s, "pt2d", Pose_Para=pose(0, np.nan, 0)), "non-finite"),
    "pose-inf": (lambda s: write_pair(s, "pt2d", Pose_Para=pose(0, 0, -np.inf)), "non-finite"),
    "pose-absurd": (lambda s: write_pair(s, "pt2d", Pose_Para=pose(0, 99.0, 0)), "impossible"),
    "no-landmarks": (lambda s: write_pair(s, "pt2d", pt2d=None), "no numeric pt2d"),
    "landmarks-21": (lambda s: write_pair(s, "pt2d", pt2d=POINTS_PX[:, :21]), r"\(2, 68\)"),
    "landmarks-nan": (lambda s: write_pair(s, "pt2d", pt2d=POINTS_PX * np.nan), "not in or near"),
    "landmarks-far": (lambda s: write_pair(s, "pt2d", pt2d=POINTS_PX * 1e6), "not in or near"),
}


@pytest.mark.parametrize("case", BROKEN_PAIRS)
def test_a_broken_pair_is_listed_and_costs_no_other(tmp_path, case):
    spoil, reason = BROKEN_PAIRS[case]
    write_300w_lp(tmp_path)
    write_pair(tmp_path / "AFW" / "bad", "pt2d")
    spoil(tmp_path / "AFW" / "bad")
    corpus = read_corpus("300W_LP", tmp_path)
    assert len(corpus.faces) == 4
    file = "AFW/bad.mat" if case == "jpg-missing" else "AFW/bad.jpg"
    assert list(skipped(corpus)) == [file]
    assert re.search(reason, skipped(corpus)[file])
    assert str(tmp_path) not in skipped(corpus)[file]  # the report is the same on every machine


def text(content: str):
    return lambda stem: stem.with_name(f"{stem.name}_pose.txt").write_text(content)


BROKEN_FRAMES = {
    "no-rgb": (lambda s: s.with_name(f"{s.name}_rgb.png").unlink(), "no frame_00099_rgb.png"),
    "no-pose": (lambda s: s.with_name(f"{s.name}_pose.txt").unlink(), "no frame_00099_pose.txt"),
    "png-cut": (
        lambda s: rewrite(s.with_name(f"{s.name}_rgb.png"), lambda c: c[: len(c) // 2]),
        "cut off",
    ),
    "pose-empty": (text(""), "expected four rows of 3 numbers"),
    "pose-two-rows": (text("1 0 0\n0 1 0\n\n1 2 3\n"), r"found 3 \+ 3 \+ 3"),
    "pose-words": (text("one 0 0\n0 1 0\n0 0 1\n\n1 2 3\n"), "something other than numbers"),
    "pose-bytes": (
        lambda s: s.with_name(f"{s.name}_pose.txt").write_bytes(b"\xff\xfe\0"),
        "something other than numbers",
    ),
    "pose-nan": (text("nan 0 0\n0 1 0\n0 0 1\n\n1 2 3\n"), "non-finite"),
    "reflection": (text("1 0 0\n0 1 0\n0 0 -1\n\n1 2 3\n"), "reflection"),
    "rank-2": (text("1 0 0\n0 1 0\n0 0 0\n\n1 2 3\n"), "degenerate"),
    "no-rotation": (text("2 0 0\n0 1 0\n0 0 1\n\n1 2 3\n"), "off by"),
}


@pytest.mark.parametrize("case", BROKEN_FRAMES)
def test_a_broken_frame_is_listed_and_costs_no_other(tmp_path, case):
    spoil, reason = BROKEN_FRAMES[case]
    write_biwi(tmp_path)
    write_frame(tmp_path / "hpdb" / "01" / "frame_00099", rotation_from_pyr([1, 2, 3]))
    spoil(tmp_path / "hpdb" / "01" / "frame_00099")
    corpus = read_corpus("BIWI", tmp_path)
    assert len(corpus.faces) == 4
    file = f"hpdb/01/frame_00099_{'pose.txt' if case == 'no-rgb' else 'rgb.png'}"
    assert list(skipped(corpus)) == [file]
    assert re.search(reason, skipped(corpus)[file])


BROKEN_FACES = {
    "no-pose": ({"pitch_yaw_roll_rad": None}, "no pose in FacePose"),
    "pose-null": ({"pitch_yaw_roll_rad": (0.1, None, 0.2)}, "non-finite"),
    "pose-text": ({"pitch_yaw_roll_rad": (0.1, "left", 0.2)}, "non-finite"),
    "pose-inf": ({"pitch_yaw_roll_rad": (0.1, 9e999, 0.2)}, "non-finite"),
    "pose-absurd": ({"pitch_yaw_roll_rad": (0.1, -700.0, 0.2)}, "impossible"),
}


@pytest.mark.parametrize("case", BROKEN_FACES)
def test_a_broken_aflw_face_is_listed_and_costs_no_other(tmp_path, case):
    row, reason = BROKEN_FACES[case]
    write_aflw(tmp_path)
    add_face(tmp_path, 50, "image00002.jpg", **row)
    corpus = read_corpus("AFLW", tmp_path)
    assert len(corpus.faces) == 3
    assert list(corpus.skipped["file"]) == ["data/flickr/0/image00002.jpg"]
    assert "50" in corpus.skipped["reason"][0]
    assert reason in corpus.skipped["reason"][0]


def test_aflw_angles_beyond_a_turn_are_kept_as_they_are(tmp_path):
    write_aflw(tmp_path)
    add_face(tmp_path, 50, "image00002.jpg", (0.0, 7.0, 0.0))
    faces = read_corpus("AFLW", tmp_path).faces.set_index("face_id")
    assert faces.loc["AFLW/50", "published_yaw"] == pytest.approx(np.degrees(7.0))


@pytest.mark.parametrize("xywh", [None, (3, 4, 0, 9), (3, 4, -5, 9)])
def test_an_aflw_face_without_a_box_is_kept_without(tmp_path, xywh):
    write_aflw(tmp_path)
    add_face(tmp_path, 50, "image00002.jpg", xywh=xywh)
    corpus = read_corpus("AFLW", tmp_path)
    assert corpus.faces.set_index("face_id").loc["AFLW/50", ANNOTATED_BOX].isna().all()
    assert corpus.skipped.empty


def test_aflw_lists_every_face_of_a_lost_image_and_images_without_faces(tmp_path):
    write_aflw(tmp_path)
    (tmp_path / "data/flickr/0/image00002.jpg").unlink()
    write_image(tmp_path / "data/flickr/3/image00009.jpg")
    add_face(tmp_path, 60, "image00077.jpg")
    corpus = read_corpus("AFLW", tmp_path)
    assert list(corpus.faces["face_id"]) == ["AFLW/39343"]
    assert sorted(corpus.skipped.itertuples(index=False, name=None)) == [
        ("aflw.sqlite", "face 60: no image in FaceImages"),
        ("data/flickr/0/image00002.jpg", "face 39341: no such file"),
        ("data/flickr/0/image00002.jpg", "face 39342: no such file"),
        ("data/flickr/3/image00009.jpg", "no face of this image in aflw.sqlite"),
    ]


def test_an_aflw_face_listed_under_two_images_is_read_once(tmp_path):
    write_aflw(tmp_path)
    write_image(tmp_path / "data/flickr/3/image00003.png")
    with closing(sqlite3.connect(tmp_path / "aflw.sqlite")) as base, base:
        row = (9, "flickr", "image00003.png", "3/image00003.png", 64, 48)
        base.execute("INSERT INTO FaceImages VALUES (?, ?, ?, ?, ?, ?)", row)
    corpus = read_corpus("AFLW", tmp_path)
    assert len(corpus.faces) == 3
    assert skipped(corpus) == {"data/flickr/3/image00003.png": "a second face under the name 39343"}


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda path: path.write_bytes(b"no database" * 99), id="no-database"),
        pytest.param(lambda path: path.write_bytes(b""), id="empty-file"),
        pytest.param(lambda path: rewrite(path, lambda c: c[:5000]), id="cut-off"),
    ],
)
def test_a_broken_aflw_database_is_one_error(tmp_path, spoil):
    write_aflw(tmp_path)
    spoil(tmp_path / "aflw.sqlite")
    with pytest.raises(InputError, match=r"aflw\.sqlite"):
        read_corpus("AFLW", tmp_path)


# ---- .mat files


@pytest.mark.parametrize("compressed", [True, False], ids=["compressed", "plain"])
def test_mat_equals_scipy(tmp_path, compressed):
    path = tmp_path / "x.mat"
    arrays = {
        "double": np.random.default_rng(0).normal(size=(3, 68)),
        "single": np.float32([[1.5, -2.5]]),
        "whole": np.arange(6.0).reshape(2, 3),
        "short": np.int16([[1, -2], [3, 4]]),
        "byte": np.uint8([[7]]),
        "cube": np.arange(24.0).reshape(2, 3, 4),
        "none": np.zeros((0, 3)),
    }
    others = {"text": "abc", "struct": {"double": 1.0}, "complex": np.array([[1j]])}
    scipy.io.savemat(path, others | arrays, do_compression=compressed)
    found = read_mat(path, [*arrays, *others, "absent"])
    assert set(found) == set(arrays)
    for name, array in scipy.io.loadmat(path, variable_names=list(arrays)).items():
        if name in arrays:
            np.testing.assert_array_equal(found[name], array)
            assert found[name].dtype == np.float64


@pytest.mark.parametrize("compressed", [True, False], ids=["compressed", "plain"])
@given(data=st.data())
@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_damage_to_a_mat_does_more_than_an_error(tmp_path, compressed, data):
    path = tmp_path / "x.mat"
    content = {"Pose_Para": pose(0, 1, 2), "pt2d": POINTS_PX, "text": "abc"}
    scipy.io.savemat(path, content, do_compression=compressed)
    damaged = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        damaged[data.draw(st.integers(124, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(damaged[: data.draw(st.integers(0, len(damaged)))])
    try:
        read_mat(path, ["Pose_Para", "pt2d"])
    except UnreadableFileError as error:
        assert error.path == path


# Where things lie in an uncompressed file with one 1 x 7 double: 128 bytes of header, 8 of the
# matrix' tag, then tags and data: flags 136, dimensions 152, name 168, values 192.
WRONG_BYTES = [
    pytest.param(126, b"??", "byte-order", id="no-byte-order"),
    pytest.param(132, b"\xff\xff", "bytes where", id="longer-than-the-file"),
    pytest.param(160, b"\x03", r"7 values for the shape \[3, 7\]", id="more-columns-than-values"),
    pytest.param(192, b"\x09\0\0\0\x37", "55 bytes of 8-byte numbers", id="half-a-number"),
    pytest.param(192, b"\x0a", "type 10, which is not numeric", id="unknown-type"),
    pytest.param(153, b"\0\x09\0", "small element of 9 bytes", id="small-element-too-long"),
]


@pytest.mark.parametrize(("at", "wrong", "reason"), WRONG_BYTES)
def test_wrong_lengths_in_a_mat_are_told(tmp_path, at, wrong, reason):
    path = tmp_path / "x.mat"
    scipy.io.savemat(path, {"Pose_Para": pose(0, 1, 2)})
    content = bytearray(path.read_bytes())
    content[at : at + len(wrong)] = wrong
    path.write_bytes(content)
    with pytest.raises(UnreadableFileError, match=reason):
        read_mat(path, ["Pose_Para"])


def test_a_mat_that_unpacks_to_gigabytes_is_refused(tmp_path):
    path = tmp_path / "x.mat"
    zeros = np.zeros((1, 20_000_000))  # 160 MB
    scipy.io.savemat(path, {"Pose_Para": zeros}, do_compression=True)
    with pytest.raises(UnreadableFileError, match="does not end within"):
        read_mat(path, ["Pose_Para"])


# ---- the test split of AFLW


def faces_table(*rows):
    table = pd.DataFrame(rows, columns=["image", *PYR])
    table.index = range(10, 10 + len(table))
    return table


AFLW_FACES = faces_table(
    ("data/flickr/0/image00002.jpg", 0, 60, 0),
    ("data/flickr/0/image00002.jpg", 0, 12, 0),
    ("data/flickr/0/image00002.jpg", 0, -50, 0),
    ("data/flickr/2/image00004.jpg", 0, 80, 0),
    ("data/flickr/2/image00005.jpg", 0, 0, 0),
)
REFERENCE = faces_table(
    ("image00002.jpg", 3, 20, 0), ("image00004.jpg", 0, -80, 0), ("image00009.jpg", 0, 0, 0)
)


@pytest.mark.parametrize(
    ("strict", "expected"),
    [
        pytest.param(False, ["train", "test", "train", "test", "train"], id="as-published"),
        pytest.param(True, ["excluded", "test", "excluded", "test", "train"], id="strict"),
    ],
)
def test_the_nearest_face_of_a_shared_image_is_the_test_face(strict, expected):
    split = assign_test_split(AFLW_FACES, REFERENCE, strict_siblings=strict)
    assert list(split) == expected
    assert list(split.index) == list(AFLW_FACES.index)


def test_nearest_is_by_rotation_not_by_the_sum_of_angles():
    branch = faces_table(("a/image1.jpg", 185, 100, 180), ("a/image1.jpg", 40, 40, 0))
    reference = faces_table(("image1.jpg", 5, 80, 0))
    assert list(assign_test_split(branch, reference, strict_siblings=False)) == ["test", "train"]


def test_equally_near_faces_and_no_shared_image():
    twins = faces_table(("a/image1.jpg", 0, 5, 0), ("a/image1.jpg", 0, 5, 0))
    reference = faces_table(("image1.jpg", 0, 0, 0))
    assert list(assign_test_split(twins, reference, strict_siblings=True)) == ["test", "excluded"]
    other = faces_table(("image7.jpg", 0, 0, 0))
    assert set(assign_test_split(twins, other, strict_siblings=True)) == {"train"}


# ---- real files


@needs_real
def test_real_aflw2000_and_aflw():
    aflw2000 = read_corpus("AFLW2000", REAL / "AFLW2000")
    aflw = read_corpus("AFLW", REAL / "AFLW")
    assert (len(aflw2000.faces), len(aflw2000.skipped)) == (1026, 0)
    assert (len(aflw.faces), len(aflw.skipped)) == (9001, 0)
    split = assign_test_split(aflw.faces, aflw2000.faces, strict_siblings=False)
    assert split.value_counts().to_dict() == {"train": 8000, "test": 1001}
    box = aflw2000.faces[ANNOTATED_BOX]
    assert (box["annot_x2"] - box["annot_x1"]).between(60, 450).all()


@needs_real
def test_real_mat_files_equal_scipy():
    for path in sorted((REAL / "AFLW2000").glob("*.mat"))[::20]:
        expected = {k: v for k, v in scipy.io.loadmat(path).items() if not k.startswith("__")}
        found = read_mat(path, expected)
        assert set(found) == set(expected)
        for name, array in expected.items():
            np.testing.assert_array_equal(found[name], array)
