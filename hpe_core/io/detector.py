"""Faces in images by any YOLOv5 export, through ONNX Runtime.

The detector is the pipeline's most expensive reader of raw images, and users train their own: this
module takes what the two generations of YOLOv5 export (see `layout_of`) without the packages that
trained them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from torchvision.ops import nms

from hpe_core import boxes
from hpe_core.errors import InputError
from hpe_core.io.files import check_sha256_beside

Image = NDArray[np.uint8]
Floats = NDArray[np.float64]
Layout = Literal["original", "anchor-free"]

MAX_SIDE = 8192  # of its input, and most images a pass: more is a damaged export
GREY = 114  # what YOLOv5 pads with in training
BATCH = 8  # images a pass where the export leaves it open: bounds memory, changes no box
STRIDES = ((8, 16, 32), (8, 16, 32, 64), (4, 8, 16, 32))  # of the P5, P6 and P2 variants


@dataclass(frozen=True)
class Detections:
    """The faces of one image, best first. bbox_xyxy (N x 4) image pixels, score (N) in [0; 1]."""

    bbox_xyxy: Floats
    score: Floats


NOTHING = Detections(np.empty((0, 4)), np.empty(0))


@dataclass(frozen=True)
class Placement:
    """Where an image lies in the network's input: network px = image px · scale_xy + offset_xy."""

    scale_xy: tuple[float, float]
    offset_xy: tuple[int, int]

    def to_image(self, bbox_xyxy: Floats) -> Floats:
        """Boxes (N x 4) in network pixels → in image pixels. The exact inverse of `to_network`."""
        return (bbox_xyxy - np.tile(self.offset_xy, 2)) / np.tile(self.scale_xy, 2)

    def to_network(self, bbox_xyxy: Floats) -> Floats:
        """Boxes (N x 4) in image pixels → in network pixels."""
        return bbox_xyxy * np.tile(self.scale_xy, 2) + np.tile(self.offset_xy, 2)


@dataclass(frozen=True)
class Prepared:
    """An image as the network takes it: its input (3 x height x width) and where it lies."""

    input: NDArray[np.floating]
    placement: Placement
    size_wh: tuple[int, int]


class Detector:
    """A YOLOv5 export that finds faces. Whatever its classes are, all of them count as a face.

    path: the .onnx file; one image input (batch, 3, height, width), RGB in [0; 1]. Batch and size
        may be fixed or open.
    input_px: side of the square input where the export leaves it open; unused where it is fixed.
    score: detections below it are no faces. nms_iou: of two that overlap more, the better stays.
    border: replicated margin around every image, as a fraction of its longer side. 0 for whole
        photographs; faces that fill their image are found with one (0.5: 91 of 91 tight AFLW crops
        instead of 87).

    Raises InputError where the file is missing, is no such network, or is not the one whose sha256
    lies beside it (`files.check_sha256_beside`).
    """

    def __init__(
        self, path: Path, *, input_px: int, score: float, nms_iou: float, border: float = 0.0
    ) -> None:
        self.path = path
        self.score, self.nms_iou, self.border = score, nms_iou, border
        self._session = _open_session(path)
        inputs = self._session.get_inputs()
        shape = inputs[0].shape if inputs else []
        if len(inputs) != 1 or len(shape) != 4 or shape[1] != 3:
            found = {entry.name: entry.shape for entry in inputs}
            raise InputError(f"{path}: expected one input (batch, 3, height, width), found {found}")
        self._input = inputs[0].name
        self._dtype = np.float16 if inputs[0].type == "tensor(float16)" else np.float32
        self._fixed_batch = shape[0] if isinstance(shape[0], int) else None
        self.batch = self._fixed_batch or BATCH
        self.size_hw = tuple(side if isinstance(side, int) else input_px for side in shape[2:])
        if max(*self.size_hw, self.batch) > MAX_SIDE:
            raise InputError(
                f"{path}: takes a batch of {self.batch} images of {self.size_hw[1]} x "
                f"{self.size_hw[0]} pixels, expected at most {MAX_SIDE} of each"
            )

    def detect(self, images: Sequence[Image]) -> list[Detections]:
        """The faces of each image (height x width x 3 uint8, RGB; sizes may differ).

        A face may reach past its image's edge, by the border at most; its centre never does.
        """
        return self.detect_prepared([self.prepare(image) for image in images])

    def prepare(self, image: Image) -> Prepared:
        """What needs no network; meant for other threads than the network's."""
        canvas, placement = letterbox(image, self.size_hw, self.border)
        planes = np.ascontiguousarray(canvas.transpose(2, 0, 1)) / self._dtype(255)
        return Prepared(planes, placement, (image.shape[1], image.shape[0]))

    def detect_prepared(self, images: Sequence[Prepared]) -> list[Detections]:
        """`detect`, of images that `prepare` has prepared."""
        batches = (images[i : i + self.batch] for i in range(0, len(images), self.batch))
        return [detections for batch in batches for detections in self._detect_batch(batch)]

    def _detect_batch(self, images: Sequence[Prepared]) -> Iterator[Detections]:
        blob = np.stack([image.input for image in images])
        if self._fixed_batch:
            missing = self._fixed_batch - len(images)
            blob = np.pad(blob, [(0, missing), (0, 0), (0, 0), (0, 0)])
        try:
            output = self._session.run(None, {self._input: blob})[0]
        except Exception as error:  # ONNX Runtime's own exceptions share no narrower base class
            raise InputError(f"{self.path}: cannot run on a {blob.shape} input: {error}") from error
        layout = layout_of(output.shape, self.size_hw, str(self.path))
        for image, row in zip(images, output, strict=False):
            bbox_xyxy, score = decode(row.astype(np.float32), layout, self.score, str(self.path))
            kept = nms(torch.from_numpy(bbox_xyxy), torch.from_numpy(score), self.nms_iou).numpy()
            found = Detections(image.placement.to_image(bbox_xyxy[kept]), score[kept])
            yield _centred_inside(found, *image.size_wh)


def layout_of(shape: Sequence[int], size_hw: tuple[int, ...], name: str) -> Layout:
    """Which generation's output this is, by its shape and the network's input size.

    With G grid cells (input 640: 80² + 40² + 20² = 8,400):
    "original":    (batch, a·G, 5 + classes), a anchors a cell (3 as published, 9 at most);
    "anchor-free": (batch, 4 + classes, G).
    Raises InputError naming the shapes found and expected.
    """
    grids = [sum((size_hw[0] // s) * (size_hw[1] // s) for s in strides) for strides in STRIDES]
    if len(shape) == 3:
        if shape[1] >= 5 and shape[2] in grids:
            return "anchor-free"
        if shape[2] >= 6 and any(shape[1] in range(grid, 10 * grid, grid) for grid in grids):
            return "original"
    raise InputError(
        f"{name}: for an input of {size_hw[0]}x{size_hw[1]} expected an output (batch, "
        f"{3 * grids[0]}, 5 + classes) or (batch, 4 + classes, {grids[0]}), found {tuple(shape)}; "
        "export the network with its detection layer and without non-maximum suppression"
    )


def decode(
    output: NDArray[np.float32], layout: Layout, min_score: float, name: str = "network"
) -> tuple[Floats, Floats]:
    """One image's network output → its boxes (N x 4, network px, xyxy) and scores (N), unordered.

    output: rows x columns as `layout_of` describes; a box is cx, cy, w, h in network pixels.
    "original": score = objectness · best class; "anchor-free": score = best class. Keeps
    score ≥ min_score. Raises InputError for scores outside [0; 1]: then it is another kind of
    network (one that adds landmarks, say).
    """
    rows = output if layout == "original" else output.T
    probs = rows[:, 4:]
    if probs.size and not (probs.min() >= -1e-3 and probs.max() <= 1 + 1e-3):
        raise InputError(
            f"{name}: expected scores in [0, 1], found [{probs.min():.3g}, {probs.max():.3g}]; "
            "a YOLOv5 export ends in boxes and class scores only"
        )
    score = probs[:, 0] * probs[:, 1:].max(1) if layout == "original" else probs.max(1)
    kept = score >= min_score
    centre, half = rows[kept, :2].astype(np.float64), rows[kept, 2:4].astype(np.float64) / 2
    return np.concatenate([centre - half, centre + half], axis=1), score[kept].astype(np.float64)


def letterbox(
    image: Image, size_hw: tuple[int, ...], border: float = 0.0
) -> tuple[Image, Placement]:
    """The whole image in the middle of a grey canvas of `size_hw`, aspect kept to half a pixel.

    border: fraction of the image's longer side that its edge pixels are repeated by, on every side.
    Returns the canvas (height x width x 3) and where the image lies in it.
    """
    (height, width), (canvas_h, canvas_w) = image.shape[:2], size_hw
    margin = border * max(height, width)
    factor = min(canvas_w / (width + 2 * margin), canvas_h / (height + 2 * margin))
    inner_w, inner_h = max(1, round(width * factor)), max(1, round(height * factor))
    method = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    resized = cv2.resize(image, (inner_w, inner_h), interpolation=method)
    pad = int(margin * factor)
    if pad:
        resized = cv2.copyMakeBorder(resized, pad, pad, pad, pad, cv2.BORDER_REPLICATE)
    top, left = (canvas_h - resized.shape[0]) // 2, (canvas_w - resized.shape[1]) // 2
    canvas = np.full((canvas_h, canvas_w, 3), GREY, dtype=np.uint8)
    canvas[top : top + resized.shape[0], left : left + resized.shape[1]] = resized
    # The two factors differ by the rounding of the sides: boxes go back by the real ones.
    return canvas, Placement((inner_w / width, inner_h / height), (left + pad, top + pad))


def _centred_inside(found: Detections, width: int, height: int) -> Detections:
    """Drops what the detector saw in the replicated border only."""
    inside = boxes.centred_inside(found.bbox_xyxy, (width, height))
    return Detections(found.bbox_xyxy[inside], found.score[inside])


def _open_session(path: Path) -> Any:
    if not path.is_file():
        raise InputError(f"{path}: no such detector; expected a YOLOv5 export (.onnx)")
    check_sha256_beside(path)
    providers: list[Any] = ["CPUExecutionProvider"]
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        own = {"device_id": torch.cuda.current_device()}  # of this process, where there are several
        providers.insert(0, ("CUDAExecutionProvider", own))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors only
    options.intra_op_num_threads = torch.get_num_threads()  # one each where torchrun starts several
    # Idle threads sleep: spinning would take the cores from the threads that decode images.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(path.as_posix(), options, providers=providers)
    except Exception as error:  # ONNX Runtime's own exceptions share no narrower base class
        raise InputError(f"{path}: ONNX Runtime cannot load it: {error}") from error
