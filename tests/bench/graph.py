"""Times of `dvc` on the demo, and on as many files as the real corpora have."""

import os
import shutil
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from tests.bench.measuring import PAIRS, Row, seconds

ROOT = Path(__file__).parents[2]
# Images of 300W-LP's parts, each with a label and a mirrored twin; of AFLW's folders; of BIWI's.
LANDMARKED = {"AFW": 5207, "HELEN": 37676, "IBUG": 1786, "LFPW": 16556}
FLICKR = {"0": 7000, "2": 7000, "3": 6999}
VIDEOS, FRAMES = 24, 646


def commands(folder: Path) -> list[Row]:
    """What people run again and again, on the demo; and the first of them on many files."""
    demo = copy_of_demo(folder / "demo")
    return [
        _no_op("the demo", demo, 10),
        _after_an_edit(demo, 30),
        _experiment(demo, 240),
        _no_op("301,000 small files", large(folder), 120),
    ]


def copy_of_demo(checkout: Path) -> Path:
    """The last commit in a folder of its own, with the outputs of this checkout's cache."""
    subprocess.run(["git", "clone", "-q", str(ROOT), str(checkout)], check=True)
    dvc(checkout, "cache", "dir", "--local", str(ROOT / ".dvc/cache"))
    dvc(checkout, "checkout")
    return checkout


def dvc(checkout: Path, *words: str) -> str:
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    run = subprocess.run(
        ["dvc", *words], cwd=checkout, env={**os.environ, "PATH": programs}, capture_output=True,
        text=True,
    )  # fmt: skip
    if run.returncode:
        raise RuntimeError(f"{checkout}: dvc {words}: {run.stdout[-500:]} {run.stderr[-2000:]}")
    return run.stdout


def _no_op(what: str, checkout: Path, limit: float) -> Row:
    def repro() -> None:
        if "Running stage" in (out := dvc(checkout, "repro")):
            raise RuntimeError(f"{checkout}: not up to date: {out[-500:]}")

    repro()
    times = [seconds(repro) for _ in range(PAIRS)]
    return _row(f"`dvc repro` with nothing to do, {what}", times, limit)


def _after_an_edit(checkout: Path, limit: float) -> Row:
    module = checkout / "hpe_core/evaluation/metrics.py"

    def repro() -> None:
        module.write_text(f"{module.read_text()}# edited\n")
        if "Running stage 'predict" in dvc(checkout, "repro"):
            raise RuntimeError(f"{checkout}: an edit of a measure has run the networks")

    times = [seconds(repro) for _ in range(PAIRS)]
    return _row("`dvc repro` after an edit of metrics.py, the demo", times, limit)


def _experiment(checkout: Path, limit: float) -> Row:
    words = ("exp", "run", "-S", "ensemble.K=15")

    def run() -> None:
        if "is cached" in dvc(checkout, *words):
            raise RuntimeError(f"{ROOT}: an earlier run is known: remove .dvc/cache/runs")

    return _row(f"`dvc {' '.join(words)}`, the demo", [seconds(run)], limit)


def _row(what: str, times: list[float], limit: float) -> Row:
    """The median of the times; the target is met while it is at most `limit` seconds."""
    median = statistics.median(times)
    ratios = [limit / time for time in times]
    return Row(
        what, "seconds", median, limit, limit / median, ratios, "the limit in seconds", 1.0
    )  # fmt: skip


def large(folder: Path) -> Path:
    """A checkout of the paper's profile in which everything is up to date, and nothing is real."""
    corpora, checkout = folder / "corpora", folder / "checkout"
    for path in paths(corpora):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{path}\n")
    checkout.mkdir()
    program = [sys.executable, "-m", "dvc"]
    for words in (["init", "--no-scm"], ["config", "core.site_cache_dir", str(folder / "site")]):
        subprocess.run([*program, *words], cwd=checkout, check=True, capture_output=True)
    for name in (
        *("hpe_core", "pipeline", "data/published", "data/pretrained", "data/detector"),
        ".dvc/plots",
    ):
        shutil.copytree(ROOT / name, checkout / name)
    shutil.copy(ROOT / "dvc.yaml", checkout)
    params: dict[str, Any] = yaml.safe_load((ROOT / "pipeline/profiles/paper.yaml").read_text())
    params["data"]["root"] = str(corpora)
    params["boxes"]["path"] = "data/detector/yolov5n-demo.onnx"
    (checkout / "params.yaml").write_text(yaml.safe_dump(params))
    (checkout / "metrics/imported").mkdir(parents=True)
    plant_outputs(checkout)
    subprocess.run(
        [*program, "commit", "-q", "-f", "dvc.yaml"], cwd=checkout, check=True, capture_output=True
    )
    return checkout


def plant_outputs(checkout: Path) -> None:
    """Something in the place of every output, and of what stages read out of such a folder."""
    from dvc.repo import Repo

    with Repo(str(checkout)) as repo:
        outs = [Path(out.fs_path) for stage in repo.index.stages for out in stage.outs]
        deps = [Path(dep.fs_path) for stage in repo.index.stages for dep in stage.deps]
    planted = [path if path.suffix else path / "something.md" for path in outs]
    for path in [*planted, *deps]:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{path}\n")


def paths(corpora: Path) -> list[Path]:
    landmarked = [
        corpora / "300W_LP" / f"{part}{twin}" / f"{part}_{number:06d}{ending}"
        for part, images in LANDMARKED.items()
        for twin in ("", "_Flip")
        for number in range(images)
        for ending in (".jpg", ".mat")
    ]
    tests = [
        corpora / "AFLW2000" / f"image{number:05d}{ending}"
        for number in range(2000)
        for ending in (".jpg", ".mat")
    ]
    flickr = [
        corpora / "AFLW/data/flickr" / part / f"image{number:05d}.jpg"
        for part, images in FLICKR.items()
        for number in range(images)
    ]
    biwi = [
        corpora / f"BIWI/hpdb/{video:02d}" / f"frame_{number:05d}{ending}"
        for video in range(1, VIDEOS + 1)
        for number in range(FRAMES)
        for ending in ("_rgb.png", "_pose.txt")
    ]
    return [*landmarked, *tests, *flickr, corpora / "AFLW/aflw.sqlite", *biwi]
