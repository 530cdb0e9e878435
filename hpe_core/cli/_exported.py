"""What `hpe export` does once its options are right."""

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from timeit import Timer
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from hpe_core.cli._outputs import check_no_input
from hpe_core.cropping import rotated_window
from hpe_core.errors import InputError
from hpe_core.io import onnx_export
from hpe_core.io.checkpoints import load_network
from hpe_core.io.crops import Crops
from hpe_core.io.files import sha256
from hpe_core.io.onnx_export import torch_angles
from hpe_core.io.onnx_session import Faces, angles, batches, open_session
from hpe_core.metrics import summary
from hpe_core.networks import Network
from hpe_core.predictor import cutting_rules, find_detector

MAX_OFF_DEG = 0.01  # rounding alone makes 0.0001
CALIBRATING, MEASURED = 200, 2000  # faces at most: bounds memory and time

CONVENTION = (
    "degrees: pitch (positive: down), yaw (positive: to the left of the image), roll (positive: "
    "clockwise); R = Rx(pitch) Ry(yaw) Rz(roll); camera: x right, y down, z into the scene"
)

Labelled = tuple[Faces, NDArray[np.float64]]  # faces, and their pyr_deg (N x 3)


def export(network: Path, out: Path, opset: int, crops: Path | None, int8: bool) -> Iterator[str]:
    """Writes the file, or the two; yields what is to be said of them. Raises InputError."""
    net, metadata = load_network(network)
    described = _described(network, net, metadata)
    _check_no_input(network, out, crops, json.loads(described["boxes"]))
    height, width = metadata["size_hw"]
    images = sample_images((height, width))
    if crops:
        calibrating, others = _split(crops, (height, width))
        images = np.concatenate([images, calibrating])
    model = onnx_export.to_onnx(net, (height, width), opset, described)
    session = open_session(model)
    off_deg = parity_deg(net, session, images)
    if not off_deg <= MAX_OFF_DEG:  # NaN is refused, too
        raise InputError(
            f"{out}: not written, for ONNX Runtime is {off_deg:.2g}° off PyTorch, expected at most "
            f"{MAX_OFF_DEG}°; try another --opset"
        )
    onnx_export.write(model, out)
    yield f"{out}: opset {opset}, uint8 RGB (batch, {height}, {width}, 3), {_mb(model)}"
    yield f"parity: at most {off_deg:.6f}° off PyTorch, on {len(images)} images"
    if crops and int8:
        yield from _int8(_int8_of(out), model, calibrating, others, crops)


def _check_no_input(network: Path, out: Path, crops: Path | None, boxes: dict[str, Any]) -> None:
    try:
        detector = find_detector(network, boxes["path"])
    except InputError:  # exporting does without
        detector = None
    for written in (out, _int8_of(out)):
        check_no_input(written, [network, crops, detector])


def _int8_of(out: Path) -> Path:
    return out.with_suffix(".int8.onnx")


def sample_images(size_hw: tuple[int, int]) -> Faces:
    """Eight of noise, eight of smooth colours, black and white: (18, h, w, 3), always the same."""
    height, width = size_hw
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (8, height, width, 3), dtype=np.uint8)
    corners = rng.integers(0, 256, (8, 2, 2, 3), dtype=np.uint8)
    smooth = [cv2.resize(four, (width, height)) for four in corners]
    flat = [np.full((height, width, 3), grey, np.uint8) for grey in (0, 255)]
    return np.stack([*noise, *smooth, *flat])


def parity_deg(network: Network, session: Any, images: Faces) -> float:
    """The largest |ONNX Runtime - PyTorch| of angles and std, of one image alone and of many."""
    off = [
        np.subtract(angles(session, some), torch_angles(network, some))
        for some in (images[:1], *batches(images))
    ]
    return float(np.abs(np.concatenate(off, axis=1)).max())  # NaN, if there is any


def _described(path: Path, network: Network, metadata: dict[str, Any]) -> dict[str, str]:
    """The file's metadata: what it takes to use it without this project."""
    crop, boxes = cutting_rules(path, metadata)
    spec = network.spec
    bins = {"bin_deg": spec.bin_deg, "n_bins": spec.n_bins, "theta_deg": spec.theta_deg}
    return {
        "convention": CONVENTION,
        "bins": json.dumps(bins),
        "crop": json.dumps(crop),
        "boxes": json.dumps(boxes),
        "source": path.name,
        "source_sha256": sha256(path),
    }


def _split(path: Path, size_hw: tuple[int, int]) -> tuple[Faces, Labelled]:
    """Faces to calibrate on, and others with their labels, at random, but always the same."""
    crops = Crops(path)
    if crops.format.size_hw != size_hw or len(crops) < 2:
        raise InputError(
            f"{path}: {len(crops)} faces of {crops.format.size_hw} pixels; expected two at least, "
            f"of {size_hw}, which the network takes"
        )
    rows = np.random.default_rng(0).permutation(len(crops))[: CALIBRATING + MEASURED]
    faces = np.stack([rotated_window(crops[row], size_hw, 0) for row in rows])
    first = min(CALIBRATING, len(rows) // 2)
    return faces[:first], (faces[first:], crops.pyr_deg[rows[first:]])


def _int8(
    out: Path, model: bytes, calibrating: Faces, others: Labelled, crops: Path
) -> Iterator[str]:
    small = onnx_export.to_int8(model, calibrating, crops.name)
    before, after = open_session(model), open_session(small)
    mae_deg = [_mae_deg(session, *others) for session in (before, after)]
    onnx_export.write(small, out)
    yield f"{out}: {_mb(small)}, calibrated on {len(calibrating)} faces"
    yield "MAE: {:.2f}° float32, {:.2f}° int8, on {} other faces".format(*mae_deg, len(others[0]))
    many = np.resize(calibrating, (32, *calibrating.shape[1:]))
    ratios = [_time_ratio(before, after, faces) for faces in (many[:1], many)]
    yield "time: int8 takes {:.2f} of float32's for one face, {:.2f} for 32".format(*ratios)


def _mae_deg(session: Any, faces: Faces, pyr_deg: NDArray[np.float64]) -> float:
    found = np.concatenate([angles(session, some)[0] for some in batches(faces)])
    return float(summary(found, pyr_deg)["mae"])


def _time_ratio(before: Any, after: Any, faces: Faces) -> float:
    """Time of `after` over that of `before`: the median of five, taken in turns."""
    timers = [Timer(partial(angles, session, faces)) for session in (before, after)]
    number, _ = timers[0].autorange()
    seconds = np.array([[timer.timeit(number) for timer in timers] for _ in range(5)])
    return float(np.median(seconds[:, 1] / seconds[:, 0]))


def _mb(model: bytes) -> str:
    return f"{len(model) / 1e6:.1f} MB"
