"""A corpus of one's own: what its table means; the same faces as through AFLW's reader."""

from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from PIL import Image
from tiny_corpora import write_own
from tiny_project import CORPORA, ROOT, render, tiny_params

from hpe_core.common.errors import InputError
from hpe_core.common.geometry import ANGLES
from hpe_core.common.settings import section_of
from hpe_core.common.table_files import ANNOTATED_BOX, DETECTED_BOX, PYR, read_table
from hpe_core.corpora.own_corpus import BOX, read_rows
from hpe_core.corpora.readers import LAYOUTS, read_corpus
from hpe_core.corpora.settings import Dataset
from hpe_core.crops.settings import CropRules
from hpe_core.faces import images
from hpe_core.faces.face_rows import read_face
from hpe_core.faces.images import read_corpus_image
from hpe_core.networks.checkpoints import load_network
from hpe_core.params import validate_file
from pipeline import check, crop_test, crop_train, filter_faces, index, redetect, train_base

DETECTOR = ROOT / "data/detector/yolov5n-demo.onnx"
IMAGES = ("a/1.jpg", "a/1.jpg", "b.png")  # one with two faces
EITHER = pytest.mark.parametrize("table", ["faces.csv", "faces.parquet"])


# ---- what a row means


@EITHER
def test_every_column(tmp_path, table):
    text = {"subject": ["01", "", "x"], "video": ["1", "2", "NA"], "split": ["a", "b", ""]}
    box = {"x1": [1.5, None, -3], "y1": [2, None, 0], "x2": [30, None, 9], "y2": [40, None, 9]}
    write_own(tmp_path, images=IMAGES, table=table, face=["007", "", ""], **text, **box)
    faces = read_corpus("table", tmp_path, "mine").faces
    assert faces["face_id"].tolist() == ["mine/007", "mine/a/1.jpg#2", "mine/b.png"]
    assert faces["image"].tolist() == ["a/1.jpg", "a/1.jpg", "b.png"]
    assert faces[list(text)].to_dict("list") == text
    np.testing.assert_array_equal(faces[PYR], [[1.5, -20.25, 0.1]] * 3)
    expected = [[1.5, 2, 30, 40], [np.nan] * 4, [-3, 0, 9, 9]]
    np.testing.assert_array_equal(faces[ANNOTATED_BOX], expected)


@EITHER
def test_required_columns_are_enough(tmp_path, table):
    write_own(tmp_path, table=table)
    corpus = read_corpus("table", tmp_path, "mine")
    faces = corpus.faces
    assert faces["face_id"].tolist() == ["mine/a/1.jpg", "mine/a/2.jpg", "mine/b.png"]
    assert (faces[["subject", "video", "split"]] == "").all(axis=None)
    assert faces[ANNOTATED_BOX].isna().all(axis=None)
    assert corpus.skipped.empty


def test_numbers_of_parquet_stay_the_same_to_the_last_bit(tmp_path):
    pitch = np.random.default_rng(1).normal(0, 40, 3)
    write_own(tmp_path, table="faces.parquet", pitch=pitch)
    assert read_corpus("table", tmp_path).faces["pitch"].tolist() == pitch.tolist()


def test_whole_numbers_for_names_stay_whole_beside_missing_ones(tmp_path):
    """pandas makes floats of them: 7.0."""
    write_own(tmp_path, table="faces.parquet", subject=[7, np.nan, 8])
    assert read_corpus("table", tmp_path).faces["subject"].tolist() == ["7", "", "8"]


def test_one_image_under_two_spellings_is_one_image(tmp_path):
    box = dict(zip(BOX, (3, 4, 20, 30), strict=True))
    write_own(tmp_path, images=("a/1.jpg", "./a//1.jpg"), **box)
    faces = read_corpus("table", tmp_path, "mine").faces
    assert faces["face_id"].tolist() == ["mine/a/1.jpg", "mine/a/1.jpg#2"]
    assert set(faces["image"]) == {"a/1.jpg"}


def test_a_long_csv_may_have_newlines_in_its_names(tmp_path):
    """Its reader works in blocks of a megabyte, which must not end within a name."""
    images = [f"{row}\n" * 20 for row in range(20_000)]
    table = pd.DataFrame({"image": images, "pitch": 0, "yaw": 0, "roll": 0})
    table.to_csv(tmp_path / "faces.csv", index=False)
    assert [row["image"] for row in read_rows(tmp_path / "faces.csv")] == images


@EITHER
def test_a_missing_value_is_an_empty_one(tmp_path, table):
    write_own(tmp_path, table=table, yaw=[1.0, None, 2.0], subject=["a", "b", None])
    corpus = read_corpus("table", tmp_path)
    assert corpus.faces["subject"].tolist() == ["a", ""]
    assert corpus.skipped["reason"].tolist() == ["row 2: yaw is '', expected a finite number"]


def test_the_order_of_the_table_is_kept(tmp_path):
    write_own(tmp_path, images=("z.png", "a.png", "m.png"))
    assert read_corpus("table", tmp_path).faces["image"].tolist() == ["z.png", "a.png", "m.png"]


def test_a_lost_face_does_not_rename_the_next_one_of_its_image(tmp_path):
    box = dict(zip(BOX, (3, 4, 20, 30), strict=True))
    write_own(tmp_path, images=IMAGES, yaw=["left", "20", "30"], **box)
    corpus = read_corpus("table", tmp_path, "mine")
    assert corpus.faces["face_id"].tolist() == ["mine/a/1.jpg#2", "mine/b.png"]
    reason = "row 1: yaw is 'left', expected a finite number"
    assert corpus.skipped.to_numpy().tolist() == [["a/1.jpg", reason]]


def test_faces_of_one_image_that_nothing_tells_apart_are_lost(tmp_path):
    """Without boxes the detector's faces are handed out by score and position, not by pose."""
    write_own(tmp_path, images=IMAGES)
    corpus = read_corpus("table", tmp_path, "mine")
    assert corpus.faces["face_id"].tolist() == ["mine/b.png"]
    assert corpus.skipped["file"].tolist() == ["a/1.jpg", "a/1.jpg"]
    assert corpus.skipped["reason"].str.contains("no box, like another face").all()


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_photographs_of_phones_are_upright(tmp_path, orientation):
    """Pose, box, detection and crop are those of the picture as it is shown."""
    shown = np.zeros((60, 40, 3), np.uint8)
    shown[:30, :20] = (250, 0, 0)  # red, above on the left
    turned = {1: 0, 3: 2, 6: 1, 8: 3}[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    (tmp_path / "mine").mkdir()
    Image.fromarray(np.rot90(shown, turned)).save(tmp_path / "mine" / "a.png", exif=exif)
    header = "image,pitch,yaw,roll,x1,y1,x2,y2\n"
    (tmp_path / "mine" / "faces.csv").write_text(header + "a.png,1,2,3,2,2,36,56\n")
    corpus = read_corpus("table", tmp_path / "mine", "mine")
    assert len(corpus.faces) == 1 and corpus.skipped.empty, "the box lies in the upright picture"
    face = dict(zip(DETECTED_BOX, (0, 0, 40, 60), strict=True)) | {"image": "a.png", "face_id": "a"}
    crop = read_face(tmp_path / "mine", face, CropRules(60, 40, 0, "enlarged", "black"))
    np.testing.assert_array_equal(crop, shown)
    np.testing.assert_array_equal(read_corpus_image(tmp_path / "mine", "a.png"), shown)
    (tmp_path / "mine" / "faces.csv").rename(tmp_path / "faces.csv")
    images._is_own.cache_clear()
    stored = read_corpus_image(tmp_path / "mine", "a.png")
    np.testing.assert_array_equal(stored, np.rot90(shown, turned))


def test_columns_that_nothing_reads_are_named(tmp_path, capsys):
    write_own(tmp_path, age=30, Subject="x")
    assert (read_corpus("table", tmp_path).faces["subject"] == "").all()
    assert capsys.readouterr().out == "ignored columns of the table: age, Subject\n"


@pytest.mark.parametrize(("largest", "asked"), [(3.1, True), (-3.14, True), (3.2, False)])
def test_a_table_of_radians_is_asked_about(tmp_path, capsys, largest, asked):
    yaw = [0.1] * 19 + [largest]
    write_own(tmp_path, images=[f"{n}.png" for n in range(20)], pitch=0.2, yaw=yaw, roll=-1)
    assert len(read_corpus("table", tmp_path).faces) == 20
    assert ("no angle is beyond ±π" in capsys.readouterr().out) is asked
    write_own(tmp_path, images=["0.png", "1.png"], pitch=0.2, yaw=0.1, roll=-1)
    read_corpus("table", tmp_path)
    assert capsys.readouterr().out == "", "two faces may look straight ahead"


def test_where_no_row_is_left_the_first_reason_is_shown(tmp_path):
    write_own(tmp_path, x1=10, y1=10, x2=5, y2=8)
    with pytest.raises(InputError, match="none of 3 faces .* row 1: expected x1 < x2"):
        read_corpus("table", tmp_path)


@pytest.mark.parametrize("reader", LAYOUTS)
def test_params_accept_every_reader(reader):
    content = {"mine": {"reader": reader, "split_by": "mine"}}
    assert section_of(Path("p"), {"d": content}, "d", dict[str, Dataset])["mine"].reader == reader


# ---- the same faces through AFLW's reader and through a table


def params_of(root: Path, corpora: Path, own: str) -> Path:
    """The sections of docs/own-corpus.md for a corpus `own`, beside AFLW's."""
    params = tiny_params(corpora)
    params["datasets"] |= {own: {"reader": "table", "split_by": own}}
    params["protocols"]["mine"] = {
        "train": {own: {"split": ["train"]}}, "validation": 0.1,
    }  # fmt: skip
    params["tests"]["mine"] = {"protocol": "mine", "dataset": own, "where": {"split": ["test"]}}
    path = root / "params.yaml"
    path.write_text(yaml.safe_dump(params))
    return path


def faces_of(root: Path, corpora: Path, params: Path, dataset: str, split_by: str) -> None:
    """index → redetect → filter, the tables named after the corpus."""
    content = yaml.safe_load(params.read_text())["datasets"][dataset]
    table, skipped = root / f"index-{dataset}.parquet", root / f"skipped-{dataset}.csv"
    index.main(
        dataset=dataset, reader=content["reader"], folder=corpora / dataset, index=table,
        skipped=skipped,
    )  # fmt: skip
    redetect.main(
        params=params, dataset=dataset, source=DETECTOR, folder=corpora / dataset, index=table,
        work=root / "work", boxes=root / f"boxes-{dataset}.parquet",
        unmatched=root / f"unmatched-{dataset}.csv", report=root / f"boxes-{dataset}.json",
    )  # fmt: skip
    filter_faces.main(
        params=params, dataset=dataset, boxes=root / f"boxes-{dataset}.parquet", skipped=skipped,
        split_index=root / f"index-{split_by}.parquet",
        split_skipped=root / f"skipped-{split_by}.csv",
        faces=root / f"faces/{dataset}.parquet", counts=root / f"counts-{dataset}.json",
    )  # fmt: skip


def network_of(root: Path, corpora: Path, params: Path, dataset: str, protocol: str, test: str):
    """crop_train → train_base, and crop_test."""
    cut = {"params": params, "crop_format": root / "format.json", "work": root / "work"}
    crops = root / f"train-{dataset}.h5"
    crop_train.main(
        **cut, protocol=protocol, root=corpora, faces=root / "faces", crops=crops,
        counts=root / f"sets-{dataset}.json",
    )  # fmt: skip
    crop_test.main(
        **cut, test=test, folder=corpora / dataset, faces=root / f"faces/{dataset}.parquet",
        crops=root / f"test-{dataset}.h5",
    )  # fmt: skip
    train_base.main(
        params=params, crops=crops, seed=1, weights=ROOT / "data/pretrained/none",
        work=root / "work", network=root / f"{dataset}.safetensors", history=root / "h.csv",
    )  # fmt: skip


def as_own(root: Path, corpora: Path, own: str) -> None:
    """AFLW's readable faces, with the split of its face table, as a faces.csv."""
    aflw = read_table(root / "index-AFLW.parquet")
    split = read_table(root / "faces/AFLW.parquet").set_index("face_id")["split"]
    rows = aflw[["image", *PYR, *ANNOTATED_BOX]].set_axis(["image", *ANGLES, *BOX], axis=1)
    names = aflw["face_id"].str.removeprefix("AFLW/")
    (corpora / own).mkdir()
    (corpora / own / "data").symlink_to(corpora / "AFLW" / "data")
    rows.assign(face=names, split=aflw["face_id"].map(split).fillna("excluded")).to_csv(
        corpora / own / "faces.csv", index=False
    )


@pytest.fixture(scope="module")
def done(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("own")
    render(root)
    corpora = root / CORPORA
    params = params_of(root, corpora, "Mine")
    for name in ("AFLW2000", "AFLW"):
        faces_of(root, corpora, params, name, "AFLW2000")
    as_own(root, corpora, "Mine")
    check.main(params=params, checked=root / "checked", crop_format=root / "format.json")
    faces_of(root, corpora, params, "Mine", "Mine")
    network_of(root, corpora, params, "AFLW", "p2", "p2-AFLW")
    network_of(root, corpora, params, "Mine", "mine", "mine")
    return root


def test_index_boxes_and_split_are_those_of_aflw(done):
    aflw, mine = (read_table(done / f"faces/{name}.parquet") for name in ("AFLW", "Mine"))
    assert len(mine) > 30
    assert set(mine["split"]) == {"train", "test"}
    same = ["image", "image_sha256", "split", *PYR, *ANNOTATED_BOX, *DETECTED_BOX, "match_iou"]
    pd.testing.assert_frame_equal(mine[same], aflw[same])
    assert (
        mine["face_id"].str.removeprefix("Mine/").equals(aflw["face_id"].str.removeprefix("AFLW/"))
    )


@pytest.mark.parametrize("part", ["train", "test"])
def test_crops_are_those_of_aflw(done, part):
    names = [done / f"{part}-{name}.h5" for name in ("AFLW", "Mine")]
    with h5py.File(names[0]) as aflw, h5py.File(names[1]) as mine:
        assert set(aflw["order"][:]) == {b"YXZ"}
        assert set(mine["order"][:]) == {b"XYZ"}
        for dataset in set(aflw) - {"face_id", "order"}:
            np.testing.assert_array_equal(mine[dataset][:], aflw[dataset][:], err_msg=dataset)


def test_the_network_is_that_of_aflw(done):
    aflw, mine = (load_network(done / f"{name}.safetensors")[0] for name in ("AFLW", "Mine"))
    for (name, ours), theirs in zip(
        mine.state_dict().items(), aflw.state_dict().values(), strict=True
    ):
        assert torch.equal(ours, theirs), name


def test_the_howto_is_valid(tmp_path):
    """The sections of docs/own-corpus.md, put into the demo's params.yaml."""
    text = (ROOT / "docs/own-corpus.md").read_text().split("```yaml\n")[1].split("```")[0]
    params = yaml.safe_load((ROOT / "params.yaml").read_text()) | yaml.safe_load(text)
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    validate_file(tmp_path / "params.yaml")
