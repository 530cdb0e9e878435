"""`hpe export`: writes a network as ONNX, checks it against PyTorch, and measures int8."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from timeit import Timer
from typing import Any

import cv2
import numpy as np

from hpe_core.common.errors import InputError
from hpe_core.common.files import sha256
from hpe_core.common.geometry import Array
from hpe_core.common.table_files import read_csv
from hpe_core.crops.store import Crops
from hpe_core.crops.window import rotated_window
from hpe_core.evaluation.columns import PYR
from hpe_core.evaluation.metrics import summary
from hpe_core.faces.detector import Detector
from hpe_core.inference.head_frame import read_frame
from hpe_core.inference.labelled_faces import CorpusChoice, corpus_faces, random_rows
from hpe_core.inference.measure import cut_faces
from hpe_core.inference.onnx_export import (
    NO_CORRECTIONS,
    Corrections,
    StdFactors,
    batches,
    to_int8,
    to_onnx,
    torch_angles,
    write_model,
)
from hpe_core.inference.paths import check_no_input
from hpe_core.networks.model import IMAGENET_MEAN, IMAGENET_STD, Network
from hpe_core.predictor import find_detector
from hpe_core.runtime.network import Faces, angles, open_network, open_session
from hpe_core.runtime.torch_network import recorded_rules, trained_network

MAX_PARITY_DEG = 0.01  # rounding alone gives 0.0001
CALIBRATION_FACES, MEASURED_FACES = 200, 2000  # at most: bounds memory and time

CONVENTION = (
    "degrees: pitch (positive: down), yaw (positive: to the left of the image), roll (positive: "
    "clockwise); R = Rx(pitch) Ry(yaw) Rz(roll); camera: x right, y down, z into the scene"
)


@dataclass(frozen=True)
class FaceSource:
    """Labelled faces for int8. name: of the file or folder; files: must not be overwritten.

    read: size_hw, count → faces (N) and labels (N x 3 degrees) of a random sample of at most so
    many, the same one every time. Raises InputError for faces of another size, or fewer than two.
    """

    name: str
    files: Sequence[Path]
    read: Callable[[tuple[int, int], int], tuple[Faces, Array]]


@dataclass(frozen=True)
class FoundBy:
    """The detector that finds a network's faces from now on, its input and the least score.

    scale: of its boxes, where they are smaller or larger than those of the training.
    """

    detector: Path
    input_px: int
    score: float
    scale: float


@dataclass(frozen=True)
class Stated:
    """What a network's file does not know itself, for the exported one.

    calibration: of the std (`std_factors`); frame: of `hpe evaluate --frame` (`head_frame`);
    found_by: None for the training's; licence, training_data: for the metadata.
    """

    calibration: Path | None = None
    frame: Path | None = None
    found_by: FoundBy | None = None
    licence: str | None = None
    training_data: str | None = None


def export_onnx(
    network: Path,
    out: Path,
    opset: int,
    source: FaceSource | None,
    int8: bool,
    stated: Stated = Stated(),
) -> Iterator[str]:
    """Writes `out`, and beside it the int8 file; yields the lines to print. Raises InputError."""
    net, metadata = trained_network(network)
    calibration = stated.calibration
    factors = std_factors(network, calibration) if calibration else None
    frame = head_frame(network, stated.frame) if stated.frame else None
    corrections = Corrections(factors, np.array(frame["rotation"]) if frame else None)
    _check_no_input(network, out, source, recorded_rules(network, metadata)[1]["path"])
    height, width = metadata["size_hw"]
    images = sample_images((height, width))
    if source:
        faces, pyr_deg = source.read((height, width), CALIBRATION_FACES + MEASURED_FACES)
        first = min(CALIBRATION_FACES, len(faces) // 2)
        calibrating, others, pyr_deg = faces[:first], faces[first:], pyr_deg[first:]
        images = np.concatenate([images, calibrating])
    described = _description(network, net, metadata) | {
        name: json.dumps(applied)
        for name, applied in {"std_factors": factors, "frame": frame}.items()
        if applied
    }
    described |= _stated(stated, described["boxes"])
    model = to_onnx(net, (height, width), opset, described, corrections)
    session = open_session(model)
    off_deg = parity_deg(net, session, images, corrections)
    if not off_deg <= MAX_PARITY_DEG:  # refuses NaN, too
        raise InputError(
            f"{out}: not written: ONNX Runtime is {off_deg:.2g}° off PyTorch, expected at most "
            f"{MAX_PARITY_DEG}°; try another --opset"
        )
    write_model(model, out)
    yield f"{out}: opset {opset}, uint8 RGB (batch, {height}, {width}, 3), {_mb(model)}"
    yield f"parity: at most {off_deg:.6f}° off PyTorch, on {len(images)} images"
    if factors:
        yield f"std: multiplied by {', '.join(f'{each:g}' for each in factors)}, of {calibration}"
    if frame:
        yield f"frame: turned by {frame['turn_deg']:.2f}°, fitted on {frame['faces']} faces"
    if source and int8:
        small = to_int8(model, calibrating, source.name)
        sessions = session, open_session(small)
        write_model(small, _int8_of(out))
        yield f"{_int8_of(out)}: {_mb(small)}, calibrated on {len(calibrating)} faces"
        float32_deg, int8_deg = (_mae_deg(each, others, pyr_deg) for each in sessions)
        yield f"MAE: {float32_deg:.2f}° float32, {int8_deg:.2f}° int8, on {len(others)} other faces"
        many = np.resize(calibrating, (32, *calibrating.shape[1:]))
        one, all_32 = (_time_ratio(*sessions, some) for some in (many[:1], many))
        yield f"time: int8 takes {one:.2f} of float32's for one face, {all_32:.2f} for 32"


def _check_no_input(
    network: Path, out: Path, source: FaceSource | None, recorded_detector: str
) -> None:
    try:
        detector = find_detector(network, recorded_detector)
    except InputError:  # exporting needs none
        detector = None
    for written in (out, _int8_of(out)):
        check_no_input(written, [network, detector, *(source.files if source else [])])


def _int8_of(out: Path) -> Path:
    return out.with_suffix(".int8.onnx")


def sample_images(size_hw: tuple[int, int]) -> Faces:
    """Eight images of noise, eight of smooth colours, black and white: (18, h, w, 3), uint8.

    The same ones every time.
    """
    height, width = size_hw
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (8, height, width, 3), dtype=np.uint8)
    corners = rng.integers(0, 256, (8, 2, 2, 3), dtype=np.uint8)
    smooth = [cv2.resize(four, (width, height)) for four in corners]
    flat = [np.full((height, width, 3), grey, np.uint8) for grey in (0, 255)]
    return np.stack([*noise, *smooth, *flat])


def std_factors(network: Path, calibration: Path) -> StdFactors:
    """The factors of pitch, yaw and roll that `validate` measured for this network.

    network: named as `dvc repro` names it, such as kd-resnet8-1; calibration: the calibration.csv
    of its protocol. Raises InputError where it does not have the network.
    """
    table = read_csv(calibration)
    if missing := [column for column in ("network", "seed", *PYR) if column not in table]:
        raise InputError(f"{calibration}: no column {', '.join(missing)}; found {list(table)}")
    name, _, seed = network.stem.rpartition("-")
    own = table[(table["network"] == name) & (table["seed"].astype(str) == seed)]
    if len(own) != 1:
        found = ", ".join(f"{each.network}-{each.seed}" for each in table.itertuples()) or "none"
        raise InputError(f"{calibration}: no factors for {network.stem}; found {found}")
    pitch, yaw, roll = own[PYR].to_numpy("f8")[0].tolist()
    return pitch, yaw, roll


def head_frame(network: Path, frame: Path) -> dict[str, Any]:
    """What `hpe evaluate --frame` wrote for this network. Raises InputError for another's."""
    found = read_frame(frame)
    if found["network_sha256"] != sha256(network):
        raise InputError(f"{frame}: fitted for {found['network']}, another file than {network}")
    return found


def parity_deg(
    network: Network, session: Any, images: Faces, corrections: Corrections = NO_CORRECTIONS
) -> float:
    """The largest |ONNX Runtime - PyTorch| of angles and std, degrees; NaN if there is any.

    The first image is also run alone, as a batch of 1.
    """
    off = [
        np.subtract(angles(session, some), torch_angles(network, some, corrections))
        for some in (images[:1], *batches(images))
    ]
    return float(np.abs(np.concatenate(off, axis=1)).max())


def _description(path: Path, network: Network, metadata: Mapping[str, Any]) -> dict[str, str]:
    """The file's metadata: all that a program needs to use it without this project."""
    recorded, spec = metadata["provenance"], network.spec
    bins = {"bin_deg": spec.bin_deg, "n_bins": spec.n_bins, "theta_deg": spec.theta_deg}
    inside = {"mean": IMAGENET_MEAN, "std": IMAGENET_STD, "of": "pixels / 255, by the graph itself"}
    return {
        "convention": CONVENTION,
        "colour_order": "RGB",
        "normalisation": json.dumps(inside),
        "bins": json.dumps(bins),
        "crop": json.dumps(recorded["crop"]),
        "boxes": json.dumps(recorded["boxes"]),
        "source": path.name,
        "source_sha256": sha256(path),
    }


def _stated(stated: Stated, recorded_boxes: str) -> dict[str, str]:
    """The entries that only the user knows."""
    about = {"licence": stated.licence, "training_data": stated.training_data}
    entries = {name: text for name, text in about.items() if text}
    return entries | (_other_boxes(recorded_boxes, stated.found_by) if stated.found_by else {})


def _other_boxes(recorded: str, found_by: FoundBy) -> dict[str, str]:
    """The entries `boxes`, and `trained_on_boxes`, which keeps what `boxes` said before.

    Raises InputError for what is no detector.
    """
    before = json.loads(recorded)
    path, input_px, score = found_by.detector, found_by.input_px, found_by.score
    Detector(path, input_px=input_px, score=score, nms_iou=before["nms_iou"])
    now = {"source": "detector", "path": path.as_posix(), "input_px": input_px, "score": score}
    now["scale"] = found_by.scale
    # The base name: no folder of the machine of the training.
    earlier = before | {"path": Path(before["path"]).name}
    return {"boxes": json.dumps(before | now), "trained_on_boxes": json.dumps(earlier)}


def faces_of_crops(path: Path) -> FaceSource:
    """The faces of a crops file; of a training set's its validation faces alone."""

    def read(size_hw: tuple[int, int], at_most: int) -> tuple[Faces, Array]:
        crops = Crops(path)
        held_out = crops.validation if crops.validation.any() else np.ones(len(crops), bool)
        usable = np.flatnonzero(held_out)
        if crops.format.size_hw != size_hw or len(usable) < 2:
            raise InputError(
                f"{path}: {len(usable)} faces of {crops.format.size_hw} pixels; expected at least "
                f"two of {size_hw}, the network's input size"
            )
        rows = usable[random_rows(len(usable), at_most)]
        faces = np.stack([rotated_window(crops[row], size_hw, 0) for row in rows])
        return faces, crops.pyr_deg[rows]

    return FaceSource(path.name, [path], read)


def faces_of_corpus(network: Path, choice: CorpusChoice) -> FaceSource:
    """The faces of a corpus, found and cut as `hpe evaluate` does it."""

    def read(size_hw: tuple[int, int], at_most: int) -> tuple[Faces, Array]:
        opened = open_network(network, "cpu")
        # params.yaml is not read: a .safetensors records how its boxes were found
        labelled = corpus_faces(choice, opened, Path("params.yaml"), at_most)
        table = labelled.table.iloc[random_rows(len(labelled.table), at_most)]
        cuts = list(cut_faces(opened, replace(labelled, table=table)))
        faces = [cut.pixels for cut in cuts if not isinstance(cut, str)]
        if len(faces) < 2:
            raise InputError(f"{choice.folder}: {len(faces)} usable faces; expected at least two")
        pyr_deg = table[PYR].to_numpy()[[not isinstance(cut, str) for cut in cuts]]
        return np.stack(faces), pyr_deg

    return FaceSource(choice.folder.resolve().name, [], read)


def _mae_deg(session: Any, faces: Faces, pyr_deg: Array) -> float:
    found = np.concatenate([angles(session, some)[0] for some in batches(faces)])
    return float(summary(found, pyr_deg)["mae"])


def _time_ratio(before: Any, after: Any, faces: Faces) -> float:
    """Time of `after` over time of `before`: the median of five alternating runs."""
    timers = [Timer(partial(angles, session, faces)) for session in (before, after)]
    number, _ = timers[0].autorange()
    seconds = np.array([[timer.timeit(number) for timer in timers] for _ in range(5)])
    return float(np.median(seconds[:, 1] / seconds[:, 0]))


def _mb(model: bytes) -> str:
    return f"{len(model) / 1e6:.1f} MB"
