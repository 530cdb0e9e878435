"""The filter: the ±99° rule without wrapping, box rules, splits, and every drop counted."""

import json

import numpy as np
import pandas as pd
import pytest
import yaml

from hpe_core.common.errors import InputError
from hpe_core.common.table_files import BOX_COLUMNS, INDEX_COLUMNS, PYR, read_table, write_table
from hpe_core.corpora.splits import groups_of, hold_out
from pipeline import filter_faces

TEXT = {"dataset": "AFLW", "box_source": "detected"}


def face(face_id: str, **values: object) -> dict[str, object]:
    empty = {
        c: "" if kind == "str" else 0.0 for c, kind in {**INDEX_COLUMNS, **BOX_COLUMNS}.items()
    }
    box = {"det_x1": 0.0, "det_y1": 0.0, "det_x2": 50.0, "det_y2": 50.0}
    published = {f"published_{angle}": values.get(angle, 0.0) for angle in PYR}
    named = {**TEXT, "face_id": face_id, "image": f"{face_id}.jpg"}
    return {**empty, **named, **box, **published, **values}


def run(tmp_path, rows, reference=None, lost="", **rules):
    params = {"max_angle_deg": 99.0, "min_side_px": 10.0, "strict_split": False, **rules}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump({"filter": params}))
    write_table(pd.DataFrame(rows), tmp_path / "boxes.parquet")
    reference = reference or rows
    write_table(pd.DataFrame(reference)[list(INDEX_COLUMNS)], tmp_path / "reference.parquet")
    (tmp_path / "skipped.csv").write_text('file,reason\nx.jpg,"cut off, alas"\n')
    (tmp_path / "lost.csv").write_text(f"file,reason\n{lost}")
    filter_faces.main(
        params=tmp_path / "params.yaml", dataset="AFLW", boxes=tmp_path / "boxes.parquet",
        skipped=tmp_path / "skipped.csv",
        split_index=tmp_path / "reference.parquet", split_skipped=tmp_path / "lost.csv",
        faces=tmp_path / "faces.parquet",
        counts=tmp_path / "counts.json",
    )  # fmt: skip
    kept = read_table(tmp_path / "faces.parquet").set_index("face_id")
    return kept, json.loads((tmp_path / "counts.json").read_text())


@pytest.mark.parametrize(
    ("pose", "kept"),
    [
        pytest.param((99.0, -99.0, 99.0), True, id="on-the-limit"),
        pytest.param((0.0, 99.01, 0.0), False, id="yaw-beyond"),
        pytest.param((-100.0, 0.0, 0.0), False, id="pitch-beyond"),
        pytest.param((0.0, 0.0, 360.0), False, id="no-wrapping"),
    ],
)
def test_the_rule_of_99_degrees(tmp_path, pose, kept):
    rows = [face("a"), face("b", **dict(zip(("pitch", "yaw", "roll"), pose, strict=True)))]
    faces, counts = run(tmp_path, rows)
    assert ("b" in faces.index) == kept
    assert counts["dropped"]["angle_over_limit"] == (not kept)


def test_published_angles_decide_and_ours_beyond_the_limit_are_counted(tmp_path):
    rows = [
        face("kept", roll=101.6, published_roll=16.3),
        face("dropped", yaw=98.0, published_yaw=99.5),
        face("small", det_x2=9.0, yaw=100.0, published_yaw=0.0),
    ]
    faces, counts = run(tmp_path, rows)
    assert faces.index.tolist() == ["kept"]
    assert counts["dropped"]["angle_over_limit"] == 1
    assert counts["beyond_limit"] == 1  # of the faces that are kept


def test_every_reason_is_counted_once(tmp_path):
    rows = [
        face("ok"),
        face("unmatched", box_source="", det_x1=np.nan, yaw=120.0),
        face("small", det_x2=9.0),
        face("turned", yaw=120.0),
    ]
    faces, counts = run(tmp_path, rows)
    assert faces.index.tolist() == ["ok"]
    assert counts["before"] == 5
    assert counts["dropped"] == {
        "angle_over_limit": 1, "box_too_small": 1, "excluded_by_split": 0, "no_match": 1,
        "unreadable": 1,
    }  # fmt: skip


def reference(stem: str, yaw: float) -> dict[str, object]:
    return face(f"AFLW2000/{stem}", dataset="AFLW2000", image=f"{stem}.jpg", yaw=yaw)


@pytest.mark.parametrize("strict", [False, True])
def test_the_face_that_the_reference_shows_is_the_test_face(tmp_path, strict):
    rows = [
        face("far", image="0/image1.jpg", yaw=-50.0),
        face("near", image="0/image1.jpg", yaw=31.0),
        face("other", image="0/image2.jpg"),
    ]
    faces, counts = run(tmp_path, rows, [reference("image1", 30.0)], strict_split=strict)
    assert faces.loc["near", "split"] == "test"
    assert faces.loc["other", "split"] == "train"
    assert ("far" in faces.index) != strict
    assert counts["dropped"]["excluded_by_split"] == strict


def test_an_unmatched_test_face_leaves_its_place_empty(tmp_path):
    """Its sibling must not become the test face in its stead."""
    rows = [
        face("sibling", image="0/image1.jpg", yaw=-50.0),
        face("test", image="0/image1.jpg", yaw=30.0, box_source="", det_x1=np.nan),
    ]
    faces, counts = run(tmp_path, rows, [reference("image1", 30.0)])
    assert faces["split"].to_dict() == {"sibling": "train"}
    assert counts["by_split"] == {"train": 1}


@pytest.mark.parametrize(
    ("published", "strict", "dropped"),
    [
        pytest.param("", False, 2, id="not-known-which"),
        pytest.param("train", False, 0, id="published"),
        pytest.param("train", True, 2, id="strict"),
    ],
)
def test_a_photograph_whose_reference_label_is_lost_does_not_train(
    tmp_path, published, strict, dropped
):
    """Unless a published list says which of its faces is the test face."""
    rows = [
        face("a", image="0/image1.jpg"),
        face("b", image="0/image3.jpg", split=published),
        face("c", image="2/image3.jpg", split=published),
    ]
    lost = "image3.jpg,no complete MATLAB 5 file\nimage4.mat,no image4.jpg\n"
    rules = {"lost": lost, "strict_split": strict}
    faces, counts = run(tmp_path, rows, [reference("image9", 0.0)], **rules)
    assert counts["dropped"]["excluded_by_split"] == dropped
    assert set(faces["split"]) == {"train"}
    assert len(faces) == 3 - dropped


def test_a_published_split_stays(tmp_path):
    rows = [face("a", image="0/image1.jpg", split="train"), face("b", split="test")]
    faces, _ = run(tmp_path, rows, [reference("image1", 0.0)])
    assert faces["split"].to_dict() == {"a": "train", "b": "test"}


def test_a_split_of_the_corpus_s_own_stays_and_may_exclude_faces(tmp_path):
    """As one's own table has it, where the corpus names itself for `split_by`."""
    names = ("val", "", "excluded", "test")
    rows = [face(f"{row}", split=name) for row, name in enumerate(names)]
    faces, counts = run(tmp_path, rows)
    assert faces["split"].to_dict() == {"0": "val", "1": "", "3": "test"}
    assert counts["dropped"]["excluded_by_split"] == 1
    assert counts["by_split"] == {"all": 1, "test": 1, "val": 1}


def test_a_table_that_is_cut_off_is_named(tmp_path):
    (tmp_path / "faces.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(InputError, match=r"faces\.parquet: .*cannot be read as a parquet table"):
        read_table(tmp_path / "faces.parquet")


def faces_of(subjects: list[str]) -> pd.DataFrame:
    images = [f"{row}.jpg" for row in range(len(subjects))]
    return pd.DataFrame({"image": images, "subject": subjects, "video": ""})


def test_a_face_belongs_to_its_subject_else_video_else_image():
    table = pd.DataFrame(
        {
            "image": ["a.jpg", "b.jpg", "c.jpg", "d.jpg", "e.jpg", "e.jpg"],
            "subject": ["F01", "F01", "", "", "", ""],
            "video": ["01", "18", "18", "F01", "", ""],
        }
    )
    groups = groups_of(table).tolist()
    assert [groups[0] == other for other in groups[1:]] == [True, *[False] * 4]
    assert groups[4] == groups[5]
    assert len(set(groups)) == 4


def test_frames_of_one_video_are_held_out_together():
    faces = faces_of([""] * 40).assign(video=[f"{row // 4:02d}" for row in range(40)])
    held = hold_out(faces, 0.3).groupby(faces["video"]).agg(["min", "max"])
    assert held["max"].sum() == 3
    assert (held["min"] == held["max"]).all()


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9])
def test_held_out_faces_are_at_least_the_share_and_not_a_group_more(share):
    faces = faces_of([f"s{row // 4}" for row in range(200)])
    held = hold_out(faces, share)
    assert share * 200 <= held.sum() < share * 200 + 4
    by_subject = held.groupby(faces["subject"])
    assert (by_subject.min() == by_subject.max()).all()  # whole subjects


def test_faces_are_held_out_by_image_where_no_subject_is_known():
    faces = faces_of([""] * 100)
    twice = pd.concat([faces, faces], ignore_index=True)  # two faces on every image
    held = hold_out(twice, 0.2)
    assert held.sum() == 40
    assert (held[:100].to_numpy() == held[100:].to_numpy()).all()


def test_held_out_faces_do_not_depend_on_the_order_of_the_table():
    faces = faces_of([""] * 100)
    shuffled = faces.sample(frac=1, random_state=0)
    assert hold_out(faces, 0.3).equals(hold_out(shuffled, 0.3).sort_index())


def test_a_larger_share_holds_out_the_same_faces_and_more():
    faces = faces_of([""] * 100)
    assert (hold_out(faces, 0.3) >= hold_out(faces, 0.1)).all()
