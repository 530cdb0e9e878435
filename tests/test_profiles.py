"""The profiles: a small version of each runs from corpora to report, and says what it measured."""

import json
import shlex
import shutil
from pathlib import Path
from typing import Any

import forks
import pandas as pd
import pytest
import yaml
from dvc.repo import Repo
from test_demo_corpora import MODULES, TINY, write_params
from tiny_project import ROOT, call, copy_project

from hpe_core.common.table_files import ANNOTATED_BOX
from hpe_core.corpora.readers import read_corpus
from hpe_core.params import validate_file

PROFILES = sorted(ROOT.glob("pipeline/profiles/*.yaml"))
LONG_S = 300


@pytest.fixture(scope="module")
def corpora(tmp_path_factory) -> Path:
    """All four, AFLW twice, rendered, and boxes of each as the paper's authors publish them."""
    folder = tmp_path_factory.mktemp("profiles") / "corpora"
    for name, main in MODULES.items():
        params = write_params(folder.parent / "params.yaml", {**TINY, "BIWI": {"frames": 3}})
        planted = folder.parent / f"{name}.csv"
        main(params=params, out=folder / name, planted=planted, workers=1)
        write_boxes(read_corpus(name, folder / name).faces, folder / "published" / f"{name}.json")
    shutil.copytree(folder / "AFLW", folder / "AFLW_more")  # photo.yaml: as a corpus of its own
    return folder


def write_boxes(faces: pd.DataFrame, path: Path) -> None:
    """The annotated boxes; for BIWI, which has none, the middle of the picture."""
    boxes: dict[str, list[dict[str, Any]]] = {}
    for face in faces.to_dict("records"):
        name = face["image"].removeprefix("data/flickr/").removeprefix("hpdb/")
        box = [face[side] for side in ANNOTATED_BOX]
        entry: dict[str, Any] = {"bbox": [220, 140, 420, 340] if box[0] != box[0] else box}
        if face["dataset"] == "AFLW":
            entry["faceid"] = int(face["face_id"].rpartition("/")[2])
        boxes.setdefault(name, []).append(entry)
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(boxes))


def small(profile: Path, corpora: Path) -> dict[str, Any]:
    """The profile with tiny corpora and networks; protocols, windows, losses and the rest stay."""
    params: dict[str, Any] = yaml.safe_load(profile.read_text())
    params["data"]["root"] = str(corpora)
    published = params["boxes"]["source"] == "published"
    detector = str(ROOT / "data/detector/yolov5n-demo.onnx")
    params["boxes"]["path"] = str(corpora / "published") if published else detector
    params["students"] = params["controls"] = ["resnet8"]
    params["crop"] |= {"height": 32, "width": 32}
    for section in ("base", "distill"):
        params[section] |= {"weights": "data/pretrained/none", "epochs": 1, "batch": 8}
    params["base"]["backbone"] = "resnet8"
    for section in ("base", "ensemble", "distill", "sweep", "evaluate"):
        params[section]["precision"] = "32-true"  # bfloat16 is slow on most processors
    params["sweep"]["max_faces"] = params["jitter"]["max_faces"] = 2
    params["tables"]["examples"] = 2
    params["compute"] |= {"device": "cpu", "workers": 0, "infer_batch": 256}
    return params


@pytest.mark.parametrize(
    "profile", [path for path in PROFILES if path.stem != "paper-detector"], ids=lambda p: p.stem
)
def test_a_small_version_of_the_profile_runs(profile, corpora, tmp_path):
    root = tmp_path / "checkout"
    root.mkdir()
    call(root, "git", "init", "-q")
    call(root, "dvc", "init", "-q")
    copy_project(root, corpora)
    params = small(profile, corpora)
    (root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    for stage in Repo(root).index.stages:
        _, module, *words = shlex.split(stage.cmd.removeprefix("$HPE_LAUNCH "))[1:]
        process = forks.start(module, words, root / "log", folder=root)
        process.join(LONG_S)
        assert process.exitcode == 0, (root / "log").read_text()[-3000:]
    measured = json.loads((root / "metrics/summary.json").read_text())
    networks = {"base", "ensemble", "control-resnet8", "kd-resnet8"}
    for test in params["tests"]:
        assert networks <= measured[test].keys()
        assert all(0 < error < 99 for error in measured[test].values())
    counts = pd.read_csv(root / "metrics/tables/table1.csv")
    assert (counts["faces"] > 0).all()
    assert (root / "data/report.html").stat().st_size > 100_000


@pytest.mark.parametrize("profile", PROFILES, ids=lambda p: p.stem)
def test_the_profile_is_valid_as_it_stands(profile):
    validate_file(profile)


def test_the_papers_two_profiles_differ_in_their_boxes_alone():
    paper, detector = (
        yaml.safe_load((ROOT / f"pipeline/profiles/{name}.yaml").read_text())
        for name in ("paper", "paper-detector")
    )
    assert paper.pop("boxes")["source"] == "published"
    assert detector.pop("boxes")["source"] == "detector"
    assert paper == detector


def test_the_papers_values_where_it_gives_them():
    """Sections 4 and 5 of the paper."""
    params = yaml.safe_load((ROOT / "pipeline/profiles/paper.yaml").read_text())
    assert params["filter"]["max_angle_deg"] == 99
    assert (params["crop"]["height"], params["crop"]["width"]) == (224, 224)
    assert params["augment"] == {
        "flip_p": 0.5, "rotate_deg": 15.0, "max_shift": 0.0, "max_scale": 1.0,
        "photometric_p": 0.5, "blur_max_px": 7,
    }  # fmt: skip
    base, distill, ensemble = (params[name] for name in ("base", "distill", "ensemble"))
    assert (base["backbone"], base["bins_deg"]) == ("resnet50", [1, 2, 3, 4])
    assert (base["epochs"], base["batch"], base["lr"]) == (100, 128, 1e-4)
    assert (distill["epochs"], distill["batch"], distill["lr"]) == (100, 128, 3e-4)
    assert (distill["label_weight"], distill["label_std_deg"], distill["rotate_deg"]) == (
        0.05,
        0,
        15,
    )
    assert (ensemble["K"], ensemble["d"], ensemble["flip"]) == (15, 5, False)
    assert params["students"] == ["resnet18", "resnet34", "resnet50", "resnet101", "resnet152"]
