"""How fast is which network on this machine, and what does it cost in degrees?

    python -m tests.bench.speed [--detector DETECTOR.onnx]

Measures every backbone at the paper's 224 px, and those of `docs/speed/mae.csv` at their sizes,
too: one face at a time, on one thread, in PyTorch, in ONNX Runtime and in int8; and whole frames
of a video, with the detector. What is compared runs in turn. The weights are random: they change no
time. Writes metrics/speed.json, and from it metrics/speed.md and docs/speed/pareto.png.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import repeat
from pathlib import Path
from timeit import Timer
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from hpe_core.common.files import read_json, write_json
from hpe_core.common.geometry import THETA_DEG
from hpe_core.common.stage import run
from hpe_core.crops.settings import CropRules
from hpe_core.faces.detector import Detector
from hpe_core.faces.images import read_image
from hpe_core.faces.settings import BoxRules
from hpe_core.inference.export import sample_images
from hpe_core.inference.onnx_export import to_int8, to_onnx
from hpe_core.inference.self_test import TEST_FACE
from hpe_core.networks.bins import BinSpec
from hpe_core.networks.model import BACKBONES, StudentNet
from hpe_core.predictor import HeadPose
from hpe_core.runtime.network import OpenNetwork, angles, open_session
from hpe_core.runtime.torch_network import angle_reader
from tests.bench import speed_table
from tests.bench.measuring import machine

PAPER_PX = 224
REFERENCE = ("resnet18", 64)  # in ONNX Runtime; every round times it, too
ROUNDS, FRAMES = 7, 8
FRAME_HW = (480, 640)
BOXES = BoxRules(
    source="detector", path="", input_px=640, score=0.3, nms_iou=0.45, border=0.0, match_iou=0.3,
    unmatched="drop", square=True, scale=1.0,
)  # fmt: skip

Run = Callable[[], Any]
Picture = NDArray[np.uint8]


def sizes(errors: pd.DataFrame) -> list[tuple[str, int]]:
    """Backbone and pixels of every network that is measured."""
    measured = zip(errors["backbone"], errors["px"], strict=True)
    every = {*measured, REFERENCE, *((backbone, PAPER_PX) for backbone in BACKBONES)}
    order = list(BACKBONES)
    return sorted(every, key=lambda size: (size[1], order.index(size[0])))


def frame() -> Picture:
    """One rendered face before grey, as a camera sees it."""
    picture = np.full((*FRAME_HW, 3), 128, np.uint8)
    face = read_image(TEST_FACE)
    picture[: len(face), : face.shape[1]] = face
    return picture


def runs_of(backbone: str, px: int, detector: Detector) -> tuple[dict[str, Run], dict[str, int]]:
    """What is timed of a network, each for one face, and what it weighs."""
    net = StudentNet(backbone, BinSpec()).eval()
    images = sample_images((px, px))
    model = to_onnx(net, (px, px), 18, {})
    small = to_int8(model, images, "noise")
    crop = CropRules(px, px, margin=0, rule="enlarged", border="replicate")
    read = angle_reader(net, "cpu")
    head_pose = HeadPose(OpenNetwork(Path(backbone), read, crop, BOXES, THETA_DEG), detector)
    runs: dict[str, Run] = {
        "torch": partial(head_pose.predict, images[0], [[0, 0, px, px]]),
        "onnx": partial(angles, open_session(model), images[:1]),
        "int8": partial(angles, open_session(small), images[:1]),
        "video": partial(video, head_pose, frame()),
    }
    parameters = sum(weight.numel() for weight in net.parameters())
    return runs, {"parameters": parameters, "bytes": len(model), "int8_bytes": len(small)}


def video(head_pose: HeadPose, picture: Picture) -> None:
    for faces in head_pose.predict_each(repeat(picture, FRAMES)):
        assert len(faces) == 1, f"{len(faces)} faces in the frame, expected its one"


def timed(runs: Mapping[str, Run], rounds: int = ROUNDS) -> pd.DataFrame:
    """Milliseconds of one call: one row per round, one column per run. They take turns."""
    timers = {name: Timer(run) for name, run in runs.items()}
    times = {name: max(1, timer.autorange()[0] // 4) for name, timer in timers.items()}
    return pd.DataFrame(
        {name: 1e3 * timer.timeit(times[name]) / times[name] for name, timer in timers.items()}
        for _ in range(rounds)
    )


def measured(sizes: list[tuple[str, int]], detector: Detector) -> Iterator[dict[str, Any]]:
    reference = runs_of(*REFERENCE, detector)[0]["onnx"]
    for backbone, px in tqdm(sizes, unit="network"):
        runs, weighs = runs_of(backbone, px, detector)
        ms = timed({"reference": reference, **runs})
        ms["video"] /= FRAMES
        ratios = ms.div(ms["reference"], axis=0).median()
        yield (
            {"backbone": backbone, "px": px}
            | weighs
            | {
                name: {"ms": float(ms[name].median()), "ratio": float(ratios[name])}
                for name in runs
            }
        )


def main(
    *,
    errors: Path = Path("docs/speed/mae.csv"),
    detector: Path = Path("data/detector/yolov5n-demo.onnx"),
    results: Path = Path("metrics/speed.json"),
    markdown: Path = Path("metrics/speed.md"),
    figure: Path = Path("docs/speed/pareto.png"),
) -> None:
    torch.set_num_threads(1)
    found = Detector(detector, input_px=640, score=0.3, nms_iou=0.45)
    table = pd.read_csv(errors)
    rows = list(measured(sizes(table), found))
    alone = timed({"detector": partial(found.detect, [frame()])})["detector"].median()
    write_json({"machine": machine(), "detector_ms": float(alone), "networks": rows}, results)
    speed_table.write(read_json(results), table, markdown, figure)


if __name__ == "__main__":
    run(main)
