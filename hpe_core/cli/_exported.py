"""What `hpe export` does once its options are right."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from timeit import Timer
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from hpe_core.cli._evaluated import cut_faces
from hpe_core.cli._labelled import box_rules, where_of
from hpe_core.cli._labelled import of_corpus as corpus_faces
from hpe_core.cli._networks import open_network
from hpe_core.cli._outputs import check_no_input
from hpe_core.cropping import rotated_window
from hpe_core.errors import InputError
from hpe_core.io import onnx_export
from hpe_core.io.crops import Crops
from hpe_core.io.files import sha256
from hpe_core.io.onnx_export import torch_angles
from hpe_core.io.onnx_session import Faces, angles, batches, open_session
from hpe_core.metrics import summary
from hpe_core.networks import Network
from hpe_core.predictions import PYR
from hpe_core.predictor import cutting_rules, find_detector, trained_network

MAX_OFF_DEG = 0.01  # rounding alone makes 0.0001
CALIBRATING, MEASURED = 200, 2000  # faces at most: bounds memory and time

CONVENTION = (
    "degrees: pitch (positive: down), yaw (positive: to the left of the image), roll (positive: "
    "clockwise); R = Rx(pitch) Ry(yaw) Rz(roll); camera: x right, y down, z into the scene"
)

Labelled = tuple[Faces, NDArray[np.float64]]  # faces, and their pyr_deg (N x 3)


@dataclass(frozen=True)
class Source:
    """Labelled faces for int8. name: of the file or the folder; files: which must not be lost.

    read: size_hw → how many there are, and up to so many of them, at random, but always the same.
    Raises InputError for faces of another size, or fewer than two.
    """

    name: str
    files: Sequence[Path]
    read: Callable[[tuple[int, int], int], Labelled]


def export(
    network: Path, out: Path, opset: int, source: Source | None, int8: bool
) -> Iterator[str]:
    """Writes the file, or the two; yields what is to be said of them. Raises InputError."""
    net, metadata = trained_network(network)
    described = _described(network, net, metadata)
    _check_no_input(network, out, source, json.loads(described["boxes"]))
    height, width = metadata["size_hw"]
    images = sample_images((height, width))
    if source:
        calibrating, others = _split(source.read((height, width), CALIBRATING + MEASURED))
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
    if source and int8:
        yield from _int8(_int8_of(out), model, calibrating, others, source.name)


def _check_no_input(network: Path, out: Path, source: Source | None, boxes: dict[str, Any]) -> None:
    try:
        detector = find_detector(network, boxes["path"])
    except InputError:  # exporting does without
        detector = None
    for written in (out, _int8_of(out)):
        check_no_input(written, [network, detector, *(source.files if source else [])])


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


def of_crops(path: Path) -> Source:
    """The faces of a crops file."""

    def read(size_hw: tuple[int, int], at_most: int) -> Labelled:
        crops = Crops(path)
        if crops.format.size_hw != size_hw or len(crops) < 2:
            raise InputError(
                f"{path}: {len(crops)} faces of {crops.format.size_hw} pixels; expected two at "
                f"least, of {size_hw}, which the network takes"
            )
        rows = _some(len(crops), at_most)
        faces = np.stack([rotated_window(crops[row], size_hw, 0) for row in rows])
        return faces, crops.pyr_deg[rows]

    return Source(path.name, [path], read)


def of_corpus(
    network: Path,
    folder: Path,
    reader: str,
    where: Sequence[str],
    boxes: str,
    detector: Path | None,
) -> Source:
    """The faces of a corpus, found and cut as `hpe evaluate` does it. Raises BadParameter."""
    chosen = where_of(where)

    def read(size_hw: tuple[int, int], at_most: int) -> Labelled:
        opened = open_network(network, "cpu", None, "", 0)
        rules = box_rules(opened, Path("params.yaml"), boxes, detector)  # not read: it says itself
        labelled = corpus_faces(folder, reader, chosen, rules, opened.theta_deg, at_most)
        mixed = labelled.table.iloc[_some(len(labelled.table), at_most)]
        cut = cut_faces(opened, replace(labelled, table=mixed))
        whole = [(face, pixels) for face, pixels in cut if not isinstance(pixels, str)]
        if len(whole) < 2:
            raise InputError(f"{folder}: {len(whole)} faces can be used; expected two at least")
        pyr_deg = np.array([[face[angle] for angle in PYR] for face, _ in whole])
        return np.stack([pixels for _, pixels in whole]), pyr_deg

    return Source(folder.resolve().name, [], read)


def _some(count: int, at_most: int) -> NDArray[np.int64]:
    return np.random.default_rng(0).permutation(count)[:at_most]


def _split(labelled: Labelled) -> tuple[Faces, Labelled]:
    """Faces to calibrate on, and others with their labels."""
    faces, pyr_deg = labelled
    first = min(CALIBRATING, len(faces) // 2)
    return faces[:first], (faces[first:], pyr_deg[first:])


def _int8(
    out: Path, model: bytes, calibrating: Faces, others: Labelled, source: str
) -> Iterator[str]:
    small = onnx_export.to_int8(model, calibrating, source)
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
