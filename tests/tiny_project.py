"""A project small enough for a test: a few rendered AFLW and AFLW2000 faces, a network of 32 px."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from data.demo import render_aflw, render_aflw2000

ROOT = Path(__file__).parents[1]
DEMO = {
    "seed": 7,
    "300W_LP": {"photos": 2, "views": 2, "size_px": 450},
    "AFLW": {"images": 40, "test_images": 12},
    "AFLW2000": {"size_px": 450},
    "BIWI": {"frames": 2},
}

ENVIRONMENT = {
    **os.environ,
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    "GIT_AUTHOR_NAME": "t", "GIT_AUTHOR_EMAIL": "t@t", "GIT_COMMITTER_NAME": "t",
    "GIT_COMMITTER_EMAIL": "t@t",
}  # fmt: skip
ENVIRONMENT.pop("NO_ALBUMENTATIONS_UPDATE", None)  # the Makefile's: a plain `dvc repro` has it not


CORPORA = "my corpora"  # with a space, as people's folders have them


def render(folder: Path) -> None:
    """AFLW and AFLW2000 below `folder`/CORPORA."""
    params = folder / "demo.yaml"
    params.write_text(yaml.safe_dump(DEMO))
    for module, name in ((render_aflw, "AFLW"), (render_aflw2000, "AFLW2000")):
        planted = folder / f"planted-{name}.csv"
        module.main(params=params, out=folder / CORPORA / name, planted=planted, workers=1)


def tiny_params(corpora: Path) -> dict[str, Any]:
    """The demo's params.yaml, cut down to one protocol, one student, two seeds and one epoch."""
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["data"]["root"] = str(corpora)
    params["datasets"] = {name: params["datasets"][name] for name in ("AFLW2000", "AFLW")}
    params["protocols"] = {"p2": params["protocols"]["p2"]}
    params["tests"] = {"p2-AFLW": params["tests"]["p2-AFLW"]}
    params["students"], params["seeds"] = ["resnet8"], [1, 2]
    params["augment"]["rotate_deg"] = 15.0
    params["crop"] |= {"height": 32, "width": 32, "margin": 12}
    params["base"] |= {"backbone": "resnet8", "epochs": 1, "batch": 8, "schedule": "constant"}
    params["distill"] |= {"epochs": 1, "batch": 8, "views": 2, "schedule": "constant"}
    params["ensemble"] |= {"K": 5, "d": 5, "rotations_deg": [-10.0, 0.0, 10.0]}
    params["sweep"] |= {"K_max": 7, "max_faces": 5}
    params["jitter"] |= {"max_faces": 5, "shifts": [1 / 32, 1 / 8]}
    params["tables"] |= {"examples": 4}
    params["compute"] |= {"device": "cpu", "workers": 0, "infer_batch": 64}
    return params


def copy_project(folder: Path, corpora: Path) -> None:
    """Code, graph and small data of this repository with the tiny params, as a user's checkout."""
    for name in ("hpe_core", "pipeline", "data/published", "data/pretrained", ".dvc/plots"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    detector = shutil.ignore_patterns("__pycache__", "out", "cache", "tmp")
    shutil.copytree(ROOT / "data/detector", folder / "data/detector", ignore=detector)
    (folder / "metrics" / "imported").mkdir(parents=True)
    shutil.copy(ROOT / "metrics/imported/README.md", folder / "metrics/imported")
    for name in ("dvc.yaml", ".gitignore", ".dvcignore", ".dvc/config"):
        shutil.copy(ROOT / name, folder / name)
    (folder / "params.yaml").write_text(yaml.safe_dump(tiny_params(corpora), sort_keys=False))


def checkout(folder: Path) -> Path:
    """Corpora in `folder`, and beside them the project under git and DVC, not yet run."""
    render(folder)
    root = folder / "checkout"
    root.mkdir()
    call(root, "git", "init", "-q")
    call(root, "dvc", "init", "-q")
    copy_project(root, folder / CORPORA)
    call(root, "git", "add", "-A")
    call(root, "git", "commit", "-qm", "start")
    return root


def environment(folder: Path) -> dict[str, str]:
    """With the checkout's own code, not the editable install of this repository."""
    paths = os.pathsep.join([str(folder), str(folder.parent / "no-network")])
    return {**ENVIRONMENT, "PYTHONPATH": paths}


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words, cwd=folder, env=environment(folder), capture_output=True, text=True
    )


def call(folder: Path, *words: str) -> str:
    done = run(folder, *words)
    assert done.returncode == 0, f"{words}: {done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout
