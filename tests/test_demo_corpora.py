"""The demo corpora: official layouts, exact labels, the same bytes every time."""

import csv
import re
import shlex
import sqlite3
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import scipy.io
import yaml
from pydantic import ValidationError
from scipy.spatial.transform import Rotation

from data.demo import head, render_300w_lp, render_aflw, render_aflw2000, render_biwi
from data.demo.aflw_photos import plan_photos
from data.demo.corpus import load_params
from data.demo.head import Expression, Shape
from data.demo.person import sample_expression, sample_person
from data.demo.render import Camera, Light, View
from data.demo.scene import landmarks_px
from data.demo.steady import draws
from hpe_core.common.geometry import geodesic_deg, nearest_rotation, pyr_from_rotation
from tests.graph import closure

ROOT = Path(__file__).parents[1]
TINY = {
    "seed": 7,
    "300W_LP": {"photos": 4, "views": 2, "size_px": 160},
    "AFLW": {"images": 24, "test_images": 6},
    "AFLW2000": {"size_px": 160},
    "BIWI": {"frames": 2},
}
MODULES: dict[str, Callable[..., None]] = {
    "300W_LP": render_300w_lp.main,
    "AFLW": render_aflw.main,
    "AFLW2000": render_aflw2000.main,
    "BIWI": render_biwi.main,
}
POSE = (-17.25, 38.5, 11.0)


@pytest.fixture(scope="module")
def corpora(tmp_path_factory) -> Path:
    """All four corpora, tiny, with their lists of defects beside them."""
    root = tmp_path_factory.mktemp("corpora")
    params = write_params(root / "params.yaml", TINY)
    for name, main in MODULES.items():
        main(params=params, out=root / name, planted=root / f"{name}.csv", workers=1)
    return root


def write_params(path: Path, values: dict) -> Path:
    path.write_text(yaml.safe_dump(values))
    return path


def planted(root: Path, corpus: str) -> list[dict[str, str]]:
    with (root / f"{corpus}.csv").open() as file:
        return list(csv.DictReader(file))


def view() -> View:
    rng = draws(1)
    person, face = sample_person(rng), sample_expression(rng)
    return View(person, face, POSE, Camera((80, 80), 30), Light())


def test_300w_lp_label_and_its_twin(tmp_path):
    image = np.random.default_rng(0).integers(0, 255, (160, 160, 3)).astype(np.uint8)
    points = landmarks_px(view())[:, :2]
    render_300w_lp.write_pair(tmp_path / "AFW" / "a_0", image, view(), points)
    front = scipy.io.loadmat(tmp_path / "AFW" / "a_0.mat")
    twin = scipy.io.loadmat(tmp_path / "AFW_Flip" / "a_0.mat")
    rule = np.array([-1, 1, 1])
    assert np.degrees(front["Pose_Para"][0, :3]) * rule == pytest.approx(POSE, abs=1e-4)
    flipped = np.array(POSE) * [1, -1, -1]
    assert np.degrees(twin["Pose_Para"][0, :3]) * rule == pytest.approx(flipped, abs=1e-4)
    # The twin's landmark 0 is again the one at the left end of the jaw line.
    assert twin["pt2d"][0, 0] == pytest.approx(159 - front["pt2d"][0, 16], abs=1e-4)
    assert twin["pt2d"][1, 36] == pytest.approx(front["pt2d"][1, 45], abs=1e-4)
    pictures = [cv2.imread(str(tmp_path / d / "a_0.jpg")) for d in ("AFW", "AFW_Flip")]
    assert np.abs(pictures[0][:, ::-1].astype(int) - pictures[1]).mean() < 12


def test_biwi_label():
    lines = render_biwi.pose_text(POSE, np.array([10.0, -20.0, 900.0])).splitlines()
    rotation = np.array([[float(v) for v in line.split()] for line in lines[:3]])
    assert lines[3] == ""
    assert pyr_from_rotation(rotation) == pytest.approx(POSE, abs=1e-5)
    assert [float(v) for v in lines[4].split()] == [10.0, -20.0, 900.0]


@pytest.mark.parametrize(
    ("index", "turns"), [pytest.param(0, 0, id="plain"), pytest.param(9, 1, id="a turn too large")]
)
def test_aflw_label(index, turns):
    photo = plan_photos(7, 24, 6)[index]
    roll, pitch, yaw = np.degrees(render_aflw.stored_angles(POSE, photo))
    yaw_first = Rotation.from_euler("YXZ", [yaw - 360 * turns, -pitch, -roll], degrees=True)
    assert yaw_first.as_euler("XYZ", degrees=True) == pytest.approx(POSE, abs=1e-4)


def test_labels_fit_the_rendered_landmarks(corpora):
    """The rotation that best turns an average face's landmarks into a file's is the label."""
    average = head.skin_vertices(Shape(), Expression())
    model = head.surface_point(average, *head.landmarks_canonical().T)
    model = model - model.mean(0)
    checked = 0
    broken = {row["face_id"] for row in planted(corpora, "AFLW2000")}
    for path in sorted((corpora / "AFLW2000").glob("*.mat")):
        if f"AFLW2000/{path.stem}" in broken:
            continue
        content = scipy.io.loadmat(path)
        points = content["pt3d_68"].T - content["pt3d_68"].mean(1)
        fitted = pyr_from_rotation(nearest_rotation(points.T @ model))
        label = np.degrees(content["Pose_Para"][0, :3]) * [-1, 1, 1]
        assert geodesic_deg(fitted, label) < 10, path.name
        checked += 1
    assert checked == 3


def test_300w_lp_layout(corpora):
    root = corpora / "300W_LP"
    folders = {path.name for path in root.iterdir()}
    assert {"HELEN", "HELEN_Flip", "landmarks", "Code"} <= folders
    pictures = [path.relative_to(root) for path in root.glob("*/*.jpg")]
    assert len(pictures) == 2 * 4 * 2
    twins = {
        path.parent.name + "_Flip/" + path.name for path in pictures if "Flip" not in str(path)
    }
    assert twins == {path.as_posix() for path in pictures if "Flip" in str(path)}


def test_aflw_and_aflw2000_share_the_first_jpg_photos(corpora):
    images = corpora / "AFLW" / "data" / "flickr"
    photos = sorted(images.glob("*/image*.*"), key=lambda path: path.stem)
    assert {path.parent.name for path in photos} <= {"0", "2", "3"}
    assert any(path.suffix == ".png" for path in photos)
    first = [path.stem for path in photos if path.suffix == ".jpg"][:6]
    assert [path.stem for path in sorted((corpora / "AFLW2000").glob("*.jpg"))] == first


def test_aflw_tables_hold_the_odd_cases(corpora):
    database = sqlite3.connect(f"file:{corpora / 'AFLW' / 'aflw.sqlite'}?mode=ro", uri=True)
    rows = database.execute(
        "SELECT filepath, file_id, yaw, roll, x FROM Faces JOIN FaceImages USING (file_id)"
        " JOIN FacePose USING (face_id) JOIN FaceRect USING (face_id)"
    ).fetchall()
    assert len(rows) == 24 + 1  # one photo shows two
    paths = [row[0] for row in rows]
    assert len(set(paths)) == 24
    assert all(re.fullmatch(r"[023]/image\d{5}\.(jpg|png)", path) for path in paths)
    assert all(path.endswith(file_id) for path, file_id, *_ in rows)
    yaws = np.degrees([row[2] for row in rows if row[2] is not None])
    rolls = np.degrees([row[3] for row in rows])
    assert yaws.max() > 200
    assert ((np.abs(yaws) > 99) & (yaws < 200)).any() or (np.abs(rolls) > 99).any()
    assert min(row[4] for row in rows) < 0


def test_aflw2000_annotates_few_of_its_21_landmarks(corpora):
    shapes = [scipy.io.loadmat(p)["pt2d"] for p in (corpora / "AFLW2000").glob("*.mat")]
    assert {points.shape for points in shapes} == {(2, 21)}
    assert any((points == -1).any() for points in shapes)


def test_biwi_layout(corpora):
    folders = sorted((corpora / "BIWI" / "hpdb").iterdir())
    assert [path.name for path in folders] == [f"{n:02d}" for n in range(1, 25)]
    assert {path.name for path in folders[1].iterdir()} == {
        f"frame_0000{n}_{end}" for n in (3, 4) for end in ("rgb.png", "pose.txt")
    }
    image = cv2.imread(str(folders[1] / "frame_00003_rgb.png"))
    assert image.shape == (480, 640, 3)
    assert len(set(render_biwi.PERSON_OF_VIDEO)) == 20


END_OF = {".jpg": b"\xff\xd9", ".png": b"IEND\xaeB`\x82"}


def test_planted_images_are_the_only_broken_ones(corpora):
    for corpus in MODULES:
        folder = corpora / corpus
        torn = {
            row["file"] for row in planted(corpora, corpus) if row["defect"] == "truncated image"
        }
        found = {
            path.relative_to(folder).as_posix()
            for path in folder.rglob("*")
            if path.suffix in END_OF and not path.read_bytes().endswith(END_OF[path.suffix])
        }
        assert found == torn
        assert len(torn) == 1


def test_planted_label_files(corpora):
    for corpus in ("300W_LP", "AFLW2000"):
        folder = corpora / corpus
        by_defect = {row["defect"]: row["file"] for row in planted(corpora, corpus)}
        alone = {
            path.relative_to(folder).with_suffix(".mat").as_posix()
            for path in folder.rglob("*.jpg")
            if not path.with_suffix(".mat").exists()
        }
        assert alone == {by_defect["missing label file"]}
        labels = [p for p in folder.rglob("*.mat") if "landmarks" not in p.parts]
        undefined = {
            path.relative_to(folder).as_posix()
            for path in labels
            if not np.isfinite(scipy.io.loadmat(path)["Pose_Para"]).all()
        }
        assert undefined == {by_defect["pose is not a number"]}


def test_planted_in_aflw_and_biwi(corpora):
    by_defect = {row["defect"]: row for row in planted(corpora, "AFLW")}
    assert not (corpora / "AFLW" / by_defect["missing image"]["file"]).exists()
    database = sqlite3.connect(f"file:{corpora / 'AFLW' / 'aflw.sqlite'}?mode=ro", uri=True)
    undefined = database.execute("SELECT face_id FROM FacePose WHERE yaw IS NULL").fetchall()
    assert [f"AFLW/{row[0]}" for row in undefined] == [by_defect["pose is not a number"]["face_id"]]
    in_biwi = {row["defect"]: corpora / "BIWI" / row["file"] for row in planted(corpora, "BIWI")}
    assert not in_biwi["missing image"].exists()
    assert len(in_biwi["too few rows"].read_text().splitlines()) == 2
    rows = [line.split() for line in in_biwi["not a rotation"].read_text().splitlines()[:3]]
    assert np.linalg.matrix_rank(np.array(rows, dtype=float)) < 3


@pytest.mark.parametrize(
    ("corpus", "workers"),
    [pytest.param("300W_LP", 2, id="two workers"), pytest.param("AFLW", 1, id="again")],
)
def test_same_bytes_whatever_the_number_of_workers(corpora, tmp_path, corpus, workers):
    MODULES[corpus](
        params=corpora / "params.yaml",
        out=tmp_path / corpus,
        planted=tmp_path / "planted.csv",
        workers=workers,
    )
    assert contents(tmp_path / corpus) == contents(corpora / corpus)
    assert (tmp_path / "planted.csv").read_bytes() == (corpora / f"{corpus}.csv").read_bytes()


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_another_seed_renders_other_faces(corpora, tmp_path):
    params = write_params(tmp_path / "params.yaml", TINY | {"seed": 8})
    out = tmp_path / "300W_LP"
    render_300w_lp.main(params=params, out=out, planted=tmp_path / "planted.csv", workers=1)
    name = "HELEN_Flip/HELEN_000001_1_0.jpg"
    assert (out / name).read_bytes() != (corpora / "300W_LP" / name).read_bytes()


def test_a_folder_in_use_is_refused(corpora, tmp_path):
    with pytest.raises(FileExistsError, match="300W_LP: expected a new or an empty folder"):
        render_300w_lp.main(
            params=corpora / "params.yaml", out=corpora / "300W_LP", planted=tmp_path / "p.csv"
        )


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"seed": "7"}, id="mistyped"),
        pytest.param({"BIWI": {"frames": 0}}, id="out of range"),
        pytest.param({"CELEB": {}}, id="unknown key"),
    ],
)
def test_wrong_parameters_are_named(tmp_path, change):
    with pytest.raises(ValidationError, match=next(iter(change))):
        load_params(write_params(tmp_path / "params.yaml", TINY | change))


def test_stages_list_what_they_import_and_write():
    stages = yaml.safe_load((ROOT / "data/demo/dvc.yaml").read_text())["stages"]
    assert set(stages) == {f"render-{name}" for name in MODULES}
    for name, stage in stages.items():
        words = shlex.split(stage["cmd"])
        assert set(stage["deps"]) == closure(words[2]), name
        assert set(stage["outs"]) == {words[words.index(o) + 1] for o in ("--out", "--planted")}
    load_params(ROOT / "data/demo/params.yaml")
