"""The comparisons within one process. Each function makes its material, measures, returns rows."""

import functools
import itertools
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lightning_fabric
import numpy as np
import torch
from torch import Tensor

from data.demo.render_biwi import render_video
from hpe_core.common.geometry import pyr_from_rotation
from hpe_core.crops.store import Crops
from hpe_core.evaluation.metrics import summary
from hpe_core.faces.detector import Detector
from hpe_core.faces.images import read_image
from hpe_core.faces.redetection import detections_in
from hpe_core.inference.predict_files import DETECT_EVERY
from hpe_core.networks.bins import BinSpec
from hpe_core.networks.model import BaseNet, folded, predict_probs
from hpe_core.predictor import FacePose, HeadPose
from hpe_core.teacher.ensemble import CENTRE, Windows, average, window_probs
from hpe_core.teacher.offsets import Offsets, cell_members, offset_grid, reach_px
from hpe_core.teacher.windows import Runner, each_window
from hpe_core.training.augment import Photometric
from hpe_core.training.loop import Plan, fit, seeded
from hpe_core.training.tasks import BaseTask
from hpe_core.training.views import TrainingFaces, Views
from hpe_core.work.device import keep_memory
from tests.bench import material, references
from tests.bench.measuring import PAIRS, Row, compared, from_times

ROOT = Path(__file__).parents[2]
VIDEO_FRAMES = 150
PAPER = {"px": 224, "K": 15, "d": 5, "margin": 28}
Grid = tuple[int, int]  # K, d
ON_GPU = torch.cuda.is_available()


def teacher(folder: Path) -> list[Row]:
    px, offsets = PAPER["px"], offset_grid(PAPER["K"], PAPER["d"])
    faces = material.photographs(folder, 128 if ON_GPU else 16)
    crops = material.crops_of(folder / "crops.h5", faces, px, PAPER["margin"])
    fabric, net = material.fabric(), material.network("resnet18")
    batch = 512 if ON_GPU else 2 * len(offsets)
    rows = np.arange(len(faces))

    def ours() -> list[Tensor]:
        runner = Runner(net, fabric, batch)
        windows = each_window(runner, crops, rows, Windows(offsets), (px, px))
        return [average(probs, net.spec).probs.cpu() for probs in windows]

    plain = net.to(fabric.device).eval()
    limit = folded(net).to(fabric.device, memory_format=torch.channels_last)
    ready = torch.randn(len(faces) * len(offsets), 3, px, px, device=fabric.device)
    ready = ready.contiguous(memory_format=torch.channels_last)
    name = f"Teacher, ResNet18, {px} px, S={len(offsets)}"
    return [
        compared(
            f"{name}: against the forward pass",
            ours, lambda: references.forward(limit, ready, batch), len(faces), "faces/s",
            "the same (folded) network on ready tensors, the limit", 0.95,
        ),
        compared(
            f"{name}: against the obvious program",
            ours, lambda: references.teacher(plain, faces, PAPER["K"], PAPER["d"], (px, px)),
            len(faces), "faces/s",
            "every box decoded, cropped, resized by itself; one face a batch", 4 if ON_GPU else 1.3,
        ),
    ]  # fmt: skip


def folding(folder: Path) -> list[Row]:
    rows = []
    for backbone, px, n in (("resnet8", 32, 512), ("resnet18", 224, 32), ("resnet50", 224, 16)):
        net = material.network(backbone).eval().to(memory_format=torch.channels_last)
        fold = folded(net).to(memory_format=torch.channels_last)
        images = torch.randn(n, 3, px, px).contiguous(memory_format=torch.channels_last)
        rows.append(
            compared(
                f"Folded batch normalisation, {backbone}, {px} px",
                lambda: references.forward(fold, images, n),  # noqa: B023
                lambda: references.forward(net, images, n),  # noqa: B023
                n, "windows/s", "the network as trained, channels last",
            )
        )  # fmt: skip
    return rows


def offsets(folder: Path) -> list[Row]:
    """Fractions of a pixel against as many whole pixels."""
    measured = {
        "Ensemble with fractional offsets, ResNet18, 64 px": (64, "resnet18", (15, 5), (21, 7), 16),
        "Sweep with fractional offsets, ResNet8, 32 px": (32, "resnet8", (15, 1), (105, 7), 4),
    }
    return [_against_slices(folder, name, *of) for name, of in measured.items()]


def _against_slices(
    folder: Path, name: str, px: int, backbone: str, fractions: Grid, whole: Grid, n: int
) -> Row:
    grids = [offset_grid(*fractions), offset_grid(*whole)]
    margin = max(reach_px(grid, px) for grid in grids)
    faces = material.photographs(folder / f"{px}", n)
    crops = material.crops_of(folder / f"{px}.h5", faces, px, margin)
    runner = Runner(material.network(backbone), material.fabric(), 512)

    def run(grid: Offsets) -> None:
        for _ in each_window(runner, crops, np.arange(n), Windows(grid), (px, px)):
            pass

    ours, slices = (functools.partial(run, grid) for grid in grids)
    what = f"{name}, S={len(grids[0])}"
    return compared(
        what, ours, slices, n, "faces/s", "slices: as many offsets of whole pixels", 0.9
    )


def sweep(folder: Path) -> list[Row]:
    k_max, px = 15, 32
    faces = material.photographs(folder, 4)
    crops = material.crops_of(folder / "crops.h5", faces, px, reach_px(np.arange(k_max + 1), px))
    net, pyr_deg = material.network("resnet8"), torch.from_numpy(crops.pyr_deg).float()

    images = torch.from_numpy(np.stack([crops[row] for row in range(len(faces))]))
    model = folded(net).to(memory_format=torch.channels_last)

    def angles(offsets: Any) -> Tensor:
        with torch.inference_mode():
            probs_of = functools.partial(predict_probs, model)
            grid = Windows(offsets)
            windows = window_probs(probs_of, images[:, None], grid, (px, px), net.spec, 512)
            return torch.cat([net.spec.expectation(probs) for probs in windows])

    def ours() -> dict[tuple[int, int], float]:
        grid = offset_grid(k_max, 1)
        return cells(angles(grid), grid, pyr_deg, k_max)

    row = compared(
        f"Sweep, all {(k_max + 1) * k_max} cells, ResNet8, {px} px",
        ours, lambda: references.sweep(angles, pyr_deg, k_max), len(faces), "faces/s",
        "cell by cell", 7,
    )  # fmt: skip
    windows = [len(offset_grid(k, d)) for k in range(k_max + 1) for d in range(1, k_max + 1)]
    row.notes.update(windows=len(offset_grid(k_max, 1)), windows_cell_by_cell=sum(windows))
    return [row]


def cells(swept: Tensor, grid: Any, pyr_deg: Tensor, k_max: int) -> dict[tuple[int, int], float]:
    return {
        (K, d): float((swept[:, cell_members(grid, K, d)].mean(1) - pyr_deg).abs().mean())
        for K in range(k_max + 1)
        for d in range(1, k_max + 1)
    }


def paper_views(size_hw: tuple[int, int]) -> Views:
    """Section 4.3."""
    return Views(size_hw, 0.5, 15.0, 0.0, 1.0, photometric_p=0.5, blur_max_px=7, seed=0)


def loader(folder: Path) -> list[Row]:
    """One process on one core, as one worker of many is."""
    px, n, rows = PAPER["px"], 64, []
    faces = material.photographs(folder, n)
    chain, size_hw = references.photometric(px, 0.5, 7), (px, px)
    views = paper_views(size_hw)
    rng = np.random.default_rng(0)

    def reference() -> None:
        for _ in range(4):
            for face in faces:
                references.training_view(face, chain, size_hw, PAPER["margin"], rng)

    for codec in ("raw", "jpeg"):
        crops = material.crops_of(folder / f"{codec}.h5", faces, px, PAPER["margin"], codec)
        training = TrainingFaces(crops, np.arange(n), views)
        rows.append(
            compared(
                f"Training views, {px} px, {codec} crops",
                lambda: [training[(epoch, i)] for epoch in range(4) for i in range(n)],  # noqa: B023
                reference, 4 * n, "faces/s a core",
                "the raw file decoded, cropped, resized; albumentations' own steps",
            )
        )  # fmt: skip
    ours, window = Photometric((px, px), 0.5, 7), crops[0][:px, :px].copy()
    rows.append(
        compared(
            f"Photometric steps alone, {px} px",
            lambda: [ours(window, np.random.default_rng(seed)) for seed in range(4 * n)],
            lambda: [chain(image=window) for _ in range(4 * n)],
            4 * n, "faces/s a core", "albumentations' own steps",
        )
    )  # fmt: skip
    return rows


WARM_UP = 2  # steps in which kernels are chosen and the first views awaited


class Waiting(lightning_fabric.Fabric):
    """Notes when training asks for a batch after the warm-up, and for how long it waits."""

    def setup_dataloaders(self, *loaders: Any, **options: Any) -> Any:
        self.waited = self.started = 0.0

        def timed(batches: Iterator[Any]) -> Iterator[Any]:
            for step in itertools.count():
                asked = time.perf_counter()
                batch = next(batches, None)
                if step == WARM_UP:
                    self.started = asked
                if step >= WARM_UP:
                    self.waited += time.perf_counter() - asked
                if batch is None:
                    return
                yield batch

        return timed(iter(super().setup_dataloaders(*loaders, **options)))


def training(folder: Path) -> list[Row]:
    """`fit` against its own steps on tensors that are ready, each pair in a fresh process."""
    backbone, px, batch, n = ("resnet50", 224, 128, 2560) if ON_GPU else ("resnet18", 224, 16, 160)
    rows = []
    for views, drawn in (("all augmentations", True), ("views that cost nothing", False)):
        call = f"fitted({backbone!r}, {px}, {batch}, {n}, {drawn})"
        runs = [in_process(call) for _ in range(PAIRS)]
        waiting = float(np.median([run["waited"] / run["own"] for run in runs]))
        rows.append(
            from_times(
                f"Training, {backbone}, {px} px, batch {batch}, {views}",
                [(run["own"], run["theirs"]) for run in runs], n - WARM_UP * batch, "faces/s",
                "the same steps on ready tensors", 0.95 if drawn else None, waiting=waiting,
            )
        )  # fmt: skip
    return rows


def fitted(backbone: str, px: int, batch: int, n: int, drawn: bool) -> dict[str, float]:
    """Seconds of `fit` after its warm-up, of these waiting for views, and of the bare steps."""
    keep_memory()
    specs = [BinSpec(b) for b in (1.0, 2.0, 3.0, 4.0)]
    views = paper_views((px, px))
    task = BaseTask(seeded(lambda: BaseNet(backbone, specs), 0))
    fabric = Waiting(devices=1, precision="bf16-mixed" if ON_GPU else "32-true")
    with tempfile.TemporaryDirectory() as folder:
        faces = material.photographs(Path(folder), min(n, 96)) * -(-n // 96)
        crops = material.crops_of(Path(folder) / "c.h5", faces[:n], px, PAPER["margin"])
        data = (TrainingFaces if drawn else FreeFaces)(crops, np.arange(n), views)
        fit(task, data, Plan(1, batch, 1e-4, "constant", 0), fabric, 14 if ON_GPU else 1)
        own = time.perf_counter() - fabric.started
    theirs = bare_steps(task, fabric, batch, n // batch - WARM_UP, px)
    return {"own": own, "waited": fabric.waited, "theirs": theirs}


class FreeFaces(TrainingFaces):
    """The same view again and again."""

    view: dict[str, Tensor] | None = None

    def __getitem__(self, item: tuple[int, int]) -> dict[str, Tensor]:
        self.view = self.view or super().__getitem__(item)
        return self.view


def in_process(call: str) -> dict[str, Any]:
    """What a function of this module returns when a fresh process calls it."""
    code = f"import json; from tests.bench import rows; print(json.dumps(rows.{call}))"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    if run.returncode:
        raise RuntimeError(run.stderr)
    return json.loads(run.stdout.splitlines()[-1])


def bare_steps(
    task: Any, fabric: lightning_fabric.Fabric, batch: int, steps: int, px: int
) -> float:
    task.train().to(fabric.device, memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(task.parameters(), lr=1e-4, fused=True)
    images = torch.randint(0, 256, (batch, px, px, 3), dtype=torch.uint8, device=fabric.device)
    ready = {"images": images, "pyr_deg": torch.rand(batch, 3, device=fabric.device) * 90}
    start = time.perf_counter()
    for _ in range(steps):
        with fabric.autocast():
            references.training_step(task, optimizer, ready)
    return time.perf_counter() - start


def memory(folder: Path) -> list[Row]:
    """Training steps in processes of their own, with `keep_memory` and without."""
    rows = []
    for px, batch, steps in ((64, 64, 12), (224, 16, 5)):
        times, faults = [], []
        for _ in range(PAIRS):
            runs = [
                in_process(f"stepped({keep}, {px}, {batch}, {steps})") for keep in (True, False)
            ]
            times.append((runs[0]["seconds"], runs[1]["seconds"]))
            faults.append([run["faults"] for run in runs])
        own, theirs = np.median(faults, axis=0)
        rows.append(
            from_times(
                f"Freed memory kept, training ResNet18, {px} px, batch {batch}", times,
                steps * batch, "faces/s", "glibc's defaults", None,
                page_faults=int(own), page_faults_by_default=int(theirs),
            )
        )  # fmt: skip
    return rows


def stepped(keep: bool, px: int, batch: int, count: int) -> dict[str, float]:
    if keep:
        keep_memory()
    fabric = lightning_fabric.Fabric(accelerator="cpu", devices=1)
    task = BaseTask(seeded(lambda: BaseNet("resnet18", [BinSpec(1.0)]), 0))
    bare_steps(task, fabric, batch, 2, px)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    elapsed = bare_steps(task, fabric, batch, count, px)
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
    return {"seconds": elapsed, "faults": faults}


def evaluation(folder: Path) -> list[Row]:
    n = 2048 if ON_GPU else 48
    faces = (material.photographs(folder, min(n, 256)) * -(-n // 256))[:n]
    crops = material.crops_of(folder / "crops.h5", faces, PAPER["px"], 0, rule="published")
    return [one_evaluation(backbone, faces, crops) for backbone in ("resnet18", "resnet50")]


def one_evaluation(backbone: str, faces: list[Any], crops: Crops) -> Row:
    size_hw, n, batch = crops.format.size_hw, len(faces), 128 if ON_GPU else 16
    fabric, net = material.fabric(), material.network(backbone)
    plain = material.network(backbone).eval().to(fabric.device)

    def ours() -> Any:
        runner = Runner(net, fabric, batch)
        windows = each_window(runner, crops, np.arange(n), CENTRE, size_hw)
        angles = torch.cat([net.spec.expectation(probs[:, 0]).cpu() for probs in windows])
        return np.abs(angles.numpy() - crops.pyr_deg).mean(0)

    def reference() -> Any:
        return references.evaluation(plain, faces, net.spec, size_hw, batch)

    return compared(
        f"Evaluation, {backbone}, {size_hw[0]} px", ours, reference, n, "faces/s",
        "one process, every image decoded, cropped and resized",
    )  # fmt: skip


def detector(folder: Path) -> list[Row]:
    n, px = 32, 640
    faces = material.photographs(folder, n)
    network = Detector(
        ROOT / "data/detector/yolov5n-demo.onnx", input_px=px, score=0.3, nms_iou=0.45
    )
    names = [path.name for path, *_ in faces]
    height, width = network.size_hw
    session, blob = network._session, np.zeros((network.batch, 3, height, width), np.float32)
    name = network._input

    def bare() -> None:
        for _ in range(0, n, network.batch):
            session.run(None, {name: blob})

    def plain() -> None:
        for path, *_ in faces:
            network.detect([read_image(path)])

    return [
        compared(
            f"Detector, YOLOv5n, {height} px: against the bare session",
            lambda: list(detections_in(folder, names, network)), bare, n, "images/s",
            "ONNX Runtime on ready tensors, the limit",
        ),
        compared(
            f"Detector, YOLOv5n, {height} px: against one image after the other",
            lambda: list(detections_in(folder, names, network)), plain, n, "images/s",
            "decode, then detect, image by image",
        ),
    ]  # fmt: skip


def video(folder: Path) -> list[Row]:
    """A drawn BIWI video, from frames in memory to poses; the errors are notes of the row."""
    render_video(folder, seed=7, video=1, frames=VIDEO_FRAMES)
    frames = [read_image(path) for path in sorted(folder.rglob("*_rgb.png"))]
    poses = sorted(folder.rglob("*_pose.txt"))
    labels = np.array([pyr_from_rotation(np.loadtxt(path, max_rows=3)) for path in poses])
    head_pose = HeadPose.load()

    def predicted(every: int) -> list[FacePose]:
        return [face for (face,) in head_pose.follow(frames, every)]

    row = compared(
        f"Video, 640 x 480, one face: whole frames every {DETECT_EVERY}",
        lambda: predicted(DETECT_EVERY), lambda: predicted(1), len(frames), "frames/s",
        "every frame searched whole", target=2.0,
    )  # fmt: skip
    found = {"mae": DETECT_EVERY, "mae_searched": 1}
    for name, every in found.items():
        pyr_deg = np.array([face.pyr_deg for face in predicted(every)])
        row.notes[name] = summary(pyr_deg, labels)["mae"]
    return [row]
