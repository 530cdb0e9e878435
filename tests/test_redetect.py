"""The redetect stage: every face of the index ends in the boxes or in the list of the others."""

import json
import os
from functools import partial

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image
from tiny_onnx import write_network

from hpe_core.common.errors import InputError
from hpe_core.common.table_files import (
    ANNOTATED_BOX,
    BOX_COLUMNS,
    DETECTED_BOX,
    INDEX_COLUMNS,
    read_table,
    write_table,
)
from hpe_core.faces import detector, redetection
from hpe_core.faces.images import state_of
from pipeline import redetect

RULES = {
    "source": "detector",
    "path": "unused",
    "input_px": 64,
    "score": 0.3,
    "nms_iou": 0.45,
    "border": 0.0,
    "match_iou": 0.3,
    "unmatched": "drop",
    "square": False,
    "scale": 1.0,
}
# What the network sees in every image of 64 x 64 px.
FOUND_A, FOUND_B = [10, 10, 26, 30], [40, 12, 52, 24]
NO_BOX = [np.nan] * 4


def face(face_id, image, annot):
    row = dict.fromkeys(INDEX_COLUMNS, "") | {"face_id": face_id, "image": image}
    pose = {"pitch": 1.0, "yaw": 2.0, "roll": 3.0}
    row |= {**pose, **{f"published_{name}": angle for name, angle in pose.items()}}
    return row | dict(zip(ANNOTATED_BOX, map(float, annot), strict=True))


FACES = [
    face("two/a", "two.png", [11, 11, 27, 31]),
    face("one/far", "one.png", [0, 40, 10, 60]),
    face("two/b", "two.png", [41, 12, 53, 24]),
    face("two/c", "two.png", [42, 12, 54, 24]),  # loses its detection to two/b
    face("none/x", "none.png", NO_BOX),
    face("cut/x", "cut.png", FOUND_A),
]


@pytest.fixture
def corpus(tmp_path):
    folder = tmp_path / "corpus"
    folder.mkdir()
    for name in ("two.png", "one.png", "none.png"):
        Image.fromarray(np.full((64, 64, 3), 90, np.uint8)).save(folder / name)
    (folder / "cut.png").write_bytes((folder / "one.png").read_bytes()[:-30])
    rows = np.zeros((84, 5), np.float32)
    for at, (box, score) in enumerate([(FOUND_A, 0.9), (FOUND_B, 0.8)]):
        x1, y1, x2, y2 = box
        rows[at] = [(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1, score]
    write_network(tmp_path / "net.onnx", rows.T.copy())
    write_table(pd.DataFrame(FACES).astype(INDEX_COLUMNS), tmp_path / "index.parquet")
    return tmp_path


def run(folder, source="net.onnx", kind="detector", **rules):
    compute = {"device": "cpu", "workers": 0, "infer_batch": 8}
    content = {"boxes": RULES | {"source": kind} | rules, "compute": compute}
    (folder / "params.yaml").write_text(yaml.safe_dump(content))
    redetect.main(
        params=folder / "params.yaml",
        dataset="tiny",
        source=folder / source,
        folder=folder / "corpus",
        index=folder / "index.parquet",
        work=folder / "work",
        boxes=folder / "out" / "boxes.parquet",
        unmatched=folder / "out" / "unmatched.csv",
        report=folder / "out" / "report.json",
    )
    table = read_table(folder / "out" / "boxes.parquet", [*INDEX_COLUMNS, *BOX_COLUMNS])
    unmatched = pd.read_csv(folder / "out" / "unmatched.csv")
    # Every face of the index is there, in its order; what follows looks at those with a box.
    assert table["face_id"].tolist() == read_table(folder / "index.parquet")["face_id"].tolist()
    has_box = table["box_source"] != ""
    assert (table[DETECTED_BOX].notna().all(axis=1) == has_box).all()
    return (
        table[has_box].set_index("face_id"),
        unmatched,
        json.loads((folder / "out/report.json").read_text()),
    )


@pytest.mark.parametrize("input_px", [32, 96, 640])
def test_an_input_that_the_export_does_not_have_is_refused(corpus, input_px):
    with pytest.raises(
        InputError, match=rf"fixes .* 64 x 64 pixels, but boxes.input_px is {input_px}"
    ):
        run(corpus, input_px=input_px)


def test_every_face_is_matched_or_listed(corpus):
    table, unmatched, report = run(corpus)
    assert table.index.tolist() == ["two/a", "two/b", "none/x"]
    boxes_xyxy = table[DETECTED_BOX].to_numpy()
    np.testing.assert_allclose(boxes_xyxy, [FOUND_A, FOUND_B, FOUND_A], atol=1e-4)
    np.testing.assert_allclose(table["det_score"], [0.9, 0.8, 0.9], atol=1e-6)
    assert set(table["box_source"]) == {"detected"}
    assert table["match_iou"].isna().tolist() == [False, False, True]
    reasons = dict(zip(unmatched["face_id"], unmatched["reason"], strict=True))
    assert list(unmatched.columns) == ["face_id", "image", "reason"]
    assert reasons["one/far"].startswith("no detection on its annotated box: best IoU 0.00")
    assert reasons["two/c"] == "its detection belongs to another face"
    assert reasons["cut/x"].startswith("unreadable image: ")
    counts = {key: report[key] for key in ("faces", "matched", "unmatched", "annotated", "images")}
    assert counts == {"faces": 6, "matched": 3, "unmatched": 3, "annotated": 0, "images": 4}
    assert report["det_score"]["q50"] == pytest.approx(0.9)


def test_fallback_to_the_annotated_box_keeps_the_order(corpus):
    table, unmatched, report = run(corpus, unmatched="annotated")
    assert table.index.tolist() == ["two/a", "one/far", "two/b", "two/c", "none/x"]
    fallback = table[table["box_source"] == "annotated"]
    assert fallback.index.tolist() == ["one/far", "two/c"]
    np.testing.assert_allclose(fallback[DETECTED_BOX], fallback[ANNOTATED_BOX])
    assert fallback[["det_score", "match_iou"]].isna().all(axis=None)
    assert unmatched["face_id"].tolist() == ["one/far", "two/c", "cut/x"]
    assert report["annotated"] == 2
    assert report["unmatched"] == 1


def test_there_is_no_fallback_to_a_box_whose_centre_is_outside_the_image(corpus):
    """Squared and scaled it could miss the image, and stop the stage that crops."""
    faces = [*FACES, face("one/out", "one.png", [-20, 5, -2, 25])]
    write_table(pd.DataFrame(faces).astype(INDEX_COLUMNS), corpus / "index.parquet")
    table, unmatched, report = run(corpus, unmatched="annotated", scale=0.5)
    assert "one/out" not in table.index
    reasons = dict(zip(unmatched["face_id"], unmatched["reason"], strict=True))
    assert reasons["one/out"].startswith("annotated box outside the image: no detection on its")
    assert reasons["one/far"].startswith("no detection on its annotated box")
    assert report["unmatched"] == 2


def test_boxes_are_squared_then_scaled_and_the_match_is_not(corpus):
    plain, _, _ = run(corpus)
    table, _, _ = run(corpus, square=True, scale=1.5)
    np.testing.assert_allclose(table.loc["two/a", DETECTED_BOX].tolist(), [3, 5, 33, 35], atol=1e-3)
    pd.testing.assert_series_equal(table["match_iou"], plain["match_iou"])


def test_each_image_is_decoded_once(corpus, monkeypatch):
    read = []
    original = redetection.read_corpus_image
    monkeypatch.setattr(
        redetection, "read_corpus_image", lambda at, p: read.append(p) or original(at, p)
    )
    run(corpus)
    assert sorted(read) == ["cut.png", "none.png", "one.png", "two.png"]


@pytest.mark.parametrize("in_flight", [1, 2, 100])
def test_order_and_bytes_do_not_depend_on_reading_ahead(corpus, monkeypatch, in_flight):
    run(corpus)
    first = (corpus / "out" / "boxes.parquet").read_bytes()
    monkeypatch.setattr(redetection, "IN_FLIGHT", in_flight)
    run(corpus)
    assert (corpus / "out" / "boxes.parquet").read_bytes() == first


def test_an_unreadable_image_does_not_shift_the_others(corpus):
    folder = corpus / "corpus"
    Image.fromarray(np.full((64, 64, 3), 255, np.uint8)).save(folder / "bright.png")
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(folder / "dark.png")
    rows, times_brightness = np.zeros((2, 84, 5), np.float32)
    rows[0, :4] = [18, 20, 16, 20]
    times_brightness[0, 4] = 0.9  # the face shows in a bright image only
    write_network(corpus / "net.onnx", rows.T.copy(), times_brightness.T.copy())
    faces = [face(name, f"{name}.png", FOUND_A) for name in ("cut", "bright", "dark")]
    write_table(pd.DataFrame(faces).astype(INDEX_COLUMNS), corpus / "index.parquet")
    table, unmatched, _ = run(corpus)
    assert table.index.tolist() == ["bright"]
    assert unmatched["face_id"].tolist() == ["cut", "dark"]


def test_nothing_found_at_all_is_an_error(corpus):
    with pytest.raises(
        InputError, match=r"found none of the 6 faces; the boxes came from .*\.onnx"
    ):
        run(corpus, score=0.95)


def test_a_run_that_was_stopped_goes_on_with_the_next_images(corpus, monkeypatch):
    whole = run(corpus)
    each_batch = partial(redetection.in_shards, rows=1)
    monkeypatch.setattr(redetection, "in_shards", each_batch)
    monkeypatch.setattr(detector, "BATCH", 1)
    measure, measured = redetection.measure, []

    def stop_at(count):
        def stopping(annot_xyxy, *rest):
            if len(measured) == count:
                raise KeyboardInterrupt
            measured.append(len(annot_xyxy))
            return measure(annot_xyxy, *rest)

        return stopping

    monkeypatch.setattr(redetection, "measure", stop_at(2))
    with pytest.raises(KeyboardInterrupt) as stop:
        run(corpus)
    assert "are saved; the next run continues from there" in stop.value.__notes__[0]
    before = len(measured)
    monkeypatch.setattr(redetection, "measure", stop_at(None))
    again = run(corpus)
    images = pd.read_parquet(corpus / "index.parquet")["image"].nunique()
    assert before == 2
    assert len(measured) < before + images - 1, "what was done was done again"
    pd.testing.assert_frame_equal(again[0], whole[0])
    pd.testing.assert_frame_equal(again[1], whole[1])
    assert [path.suffix for path in (corpus / "work").iterdir()] == [".lock"]


def test_a_changed_image_starts_anew(corpus):
    names = sorted(path.name for path in (corpus / "corpus").iterdir())
    before = state_of(corpus / "corpus", names)
    assert state_of(corpus / "corpus", [*names, "absent.png"]) == before
    path = corpus / "corpus" / names[0]
    os.utime(path, ns=(0, 1))
    assert state_of(corpus / "corpus", names) != before


# --- published boxes -----------------------------------------------------------------------------

BOX = [5.0, 6.0, 25.0, 36.0]


def published(folder, content, faces, **rules):
    (folder / "published").mkdir()
    (folder / "published" / "tiny.json").write_text(json.dumps(content))
    for name in {str(row["image"]) for row in faces}:
        path = folder / "corpus" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((90, 120, 3), 90, np.uint8)).save(path)
    write_table(pd.DataFrame(faces).astype(INDEX_COLUMNS), folder / "index.parquet")
    return run(folder, "published", kind="published", **rules)


@pytest.mark.parametrize(
    ("key", "image"),
    [
        pytest.param("AFW/AFW_1_1_0.jpg", "AFW/AFW_1_1_0.jpg", id="300W_LP"),
        pytest.param("image00002.jpg", "image00002.jpg", id="AFLW2000"),
        pytest.param("0/image00002.jpg", "data/flickr/0/image00002.jpg", id="AFLW"),
        pytest.param("01/frame_00003_rgb.png", "hpdb/01/frame_00003_rgb.png", id="BIWI"),
    ],
)
def test_published_keys_of_every_corpus(tmp_path, key, image):
    faces = [face("x/1", image, [5, 6, 25, 26]), face("x/2", "other.jpg", NO_BOX)]
    table, unmatched, report = published(tmp_path, {key: [{"bbox": BOX}]}, faces)
    assert table.loc["x/1", DETECTED_BOX].tolist() == BOX
    assert table.loc["x/1", "box_source"] == "published"
    assert table.loc["x/1", "match_iou"] == pytest.approx(2 / 3)
    assert unmatched["reason"].tolist() == [
        "no published box: the file is not in the published list"
    ]
    assert report["matched"] == 1
    assert "det_score" not in report


def test_a_published_box_in_a_damaged_image_is_listed(tmp_path, monkeypatch):
    faces = [face("x/1", "good.png", NO_BOX), face("x/2", "cut.png", NO_BOX)]
    save = Image.Image.save

    def cut_short(image, path):
        save(image, path)
        if path.name == "cut.png":
            path.write_bytes(path.read_bytes()[:-30])

    monkeypatch.setattr(Image.Image, "save", cut_short)
    content = {"good.png": [{"bbox": BOX}], "cut.png": [{"bbox": BOX}]}
    table, unmatched, _ = published(tmp_path, content, faces)
    assert table.index.tolist() == ["x/1"]
    assert unmatched["reason"].tolist()[0].startswith("unreadable image: ")


def test_published_boxes_stay_as_published(tmp_path):
    faces = [face("x/1", "a.jpg", NO_BOX)]
    content = {"a.jpg": [{"bbox": BOX}]}
    table, _, _ = published(tmp_path, content, faces, square=True, scale=2.0)
    assert table.loc["x/1", DETECTED_BOX].tolist() == BOX


OTHER = [50.0, 6.0, 80.0, 36.0]
PAIR = [face("AFLW/7", "a.jpg", NO_BOX), face("AFLW/9", "a.jpg", NO_BOX)]


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        pytest.param([{"bbox": BOX}, {"bbox": OTHER}], {"7": BOX, "9": OTHER}, id="by-order"),
        pytest.param(
            [{"bbox": BOX, "faceid": 9}, {"bbox": OTHER, "faceid": 7}],
            {"7": OTHER, "9": BOX},
            id="by-faceid",
        ),
        pytest.param([{"bbox": BOX, "faceid": 9}], {"9": BOX}, id="one-has-none"),
        pytest.param(
            [{"bbox": BOX, "faceid": 9, "type": "test"}, {"bbox": OTHER, "faceid": 7}],
            {"7": OTHER, "9": BOX},
            id="with-type",
        ),
    ],
)
def test_published_faces_of_one_image(tmp_path, entries, expected):
    table, unmatched, _ = published(tmp_path, {"a.jpg": entries}, PAIR)
    found = {name.split("/")[1]: row.tolist() for name, row in table[DETECTED_BOX].iterrows()}
    assert found == expected
    assert len(unmatched) == 2 - len(expected)
    types = {str(entry.get("faceid")): entry.get("type", "") for entry in entries}
    assert all(types.get(name.split("/")[1], "") == row for name, row in table["split"].items())


def test_published_boxes_that_cannot_be_told_apart(tmp_path):
    faces = [*PAIR, face("AFLW/1", "b.jpg", NO_BOX)]
    content = {"a.jpg": [{"bbox": BOX}] * 3, "b.jpg": [{"bbox": BOX}]}
    table, unmatched, _ = published(tmp_path, content, faces)
    assert table.index.tolist() == ["AFLW/1"]
    assert unmatched["face_id"].tolist() == ["AFLW/7", "AFLW/9"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param({"z.jpg": [{"bbox": BOX}]}, "none of the 2 faces.*a.jpg.*z.jpg", id="corpus"),
        pytest.param({"a.jpg": {"bbox": BOX}}, "a.jpg: .*list", id="no-list"),
        pytest.param({"a.jpg": [{"box": BOX}]}, "a.jpg / 0 / bbox: Field required", id="no-bbox"),
        pytest.param({"a.jpg": [{"bbox": BOX, "id": 1}]}, "a.jpg / 0 / id: Extra", id="unknown"),
        pytest.param({"a.jpg": [{"bbox": [1, 2, 3]}]}, "a.jpg / 0 / bbox: .*4", id="three-numbers"),
        pytest.param({"a.jpg": [{"bbox": [9, 2, 3, 4]}]}, "a.jpg: .*x1 < x2.*9", id="inverted"),
        pytest.param([1], "tiny.json", id="no-mapping"),
    ],
)
def test_published_files_that_cannot_be_used(tmp_path, content, message):
    with pytest.raises(InputError, match=f"(?s){message}"):
        published(tmp_path, content, PAIR)


def test_published_file_that_is_not_there(corpus):
    with pytest.raises(InputError, match=r"published.*tiny\.json"):
        run(corpus, "published", kind="published")
