"""Faces in images, found by any YOLOv5 export through ONNX Runtime.

Users train their own detectors. This module runs the exports of both generations of YOLOv5 (see
`layout_of`) without the packages that trained them. Public face detectors made from them may also
find landmarks.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import onnxruntime
from numpy.typing import NDArray

from hpe_core.common.errors import InputError
from hpe_core.common.files import check_sha256_beside
from hpe_core.common.geometry import Array
from hpe_core.faces.boxes import centred_inside, iou, scale, square
from hpe_core.faces.settings import BoxRules
from hpe_core.faces.tiling import tile_regions, whole_in

OutputLayout = Literal["original", "anchor-free", "end-to-end"]

MAX_SIDE = 8192  # largest input side and batch; an export with more is damaged
GREY = 114  # what YOLOv5 pads with in training
NEAR_PX, _NEIGHBOURHOOD = 128, 2.0  # of detect_near: a face is about 64 px
BATCH = 8  # images per pass if the export leaves it open: bounds the memory, changes no box
_MAX_DETECTIONS = 1000  # of an "end-to-end" export; usual are 100 and 300
# Layout and number of columns → which of those after the box are scores, the others landmarks.
_BESIDE_LANDMARKS = {
    ("original", 16): [0, 11],
    ("anchor-free", 15): [0],
    ("anchor-free", 20): [0],
}
STRIDES = ((8, 16, 32), (8, 16, 32, 64), (4, 8, 16, 32))  # of the P5, P6 and P2 variants


@dataclass(frozen=True)
class Detections:
    """The faces of one image, best first. bbox_xyxy (N x 4) image pixels, score (N) in [0; 1]."""

    bbox_xyxy: Array
    score: Array


NO_DETECTIONS = Detections(np.empty((0, 4)), np.empty(0))


@dataclass(frozen=True)
class Placement:
    """Position of an image in the network's input: network px = image px · scale_xy + offset_xy."""

    scale_xy: tuple[float, float]
    offset_xy: tuple[int, int]

    def to_image(self, bbox_xyxy: Array) -> Array:
        """Boxes (N x 4) in network pixels → in image pixels."""
        return (bbox_xyxy - np.tile(self.offset_xy, 2)) / np.tile(self.scale_xy, 2)


@dataclass(frozen=True)
class Prepared:
    """An image as the network takes it. input: 3 x height x width."""

    input: NDArray[np.floating]
    placement: Placement
    size_wh: tuple[int, int]


class Detector:
    """A YOLOv5 export that finds faces. A detection of any of its classes counts as a face.

    path: the .onnx file; one image input (batch, 3, height, width), RGB in [0; 1]. Batch and size
        may be fixed or open.
    input_px: side of the square input if the export leaves it open; else unused.
    score: detections with a lower score are ignored. nms_iou: of two detections that overlap more,
        the one with the higher score stays.
    border: replicated margin around every image, as a fraction of its longer side. 0 suits whole
        photographs; a border helps with faces that fill their image (with 0.5, 91 of 91 tight AFLW
        crops are found instead of 87).
    tiles: images are searched as a whole and in tiles x tiles overlapping parts; 1: as a whole.

    Raises InputError if the file is missing, is no such network, or does not have the sha256 stated
    beside it (`files.check_sha256_beside`).
    """

    def __init__(
        self,
        path: Path,
        *,
        input_px: int,
        score: float,
        nms_iou: float,
        border: float = 0.0,
        tiles: int = 1,
    ) -> None:
        self.path, self.tiles = path, tiles
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
        open_size = not any(isinstance(side, int) for side in shape[2:])
        self._near_hw = (NEAR_PX, NEAR_PX) if open_size else self.size_hw
        if max(*self.size_hw, self.batch) > MAX_SIDE:
            raise InputError(
                f"{path}: takes a batch of {self.batch} images of {self.size_hw[1]} x "
                f"{self.size_hw[0]} pixels, expected at most {MAX_SIDE} of each"
            )

    @property
    def near_share(self) -> float:
        """The pixels of a neighbourhood of `detect_near`, as a share of a whole image's."""
        return float(np.prod(self._near_hw) / np.prod(self.size_hw))

    @classmethod
    def by(cls, rules: BoxRules, path: Path | None = None) -> "Detector":
        """A detector with the thresholds of `rules`. path: another file than theirs."""
        return cls(
            path or Path(rules.path),
            input_px=rules.input_px,
            score=rules.score,
            nms_iou=rules.nms_iou,
            border=rules.border,
        )

    def detect(self, images: Sequence[NDArray[np.uint8]]) -> list[Detections]:
        """The faces of each image (height x width x 3 uint8, RGB; sizes may differ).

        A box may extend beyond the image by at most the border; its centre lies in the image.
        """
        if self.tiles > 1:
            return [self._detect_tiled(image) for image in images]
        return self.detect_prepared([self.prepare(image) for image in images])

    def _detect_tiled(self, image: NDArray[np.uint8]) -> Detections:
        size_wh = (image.shape[1], image.shape[0])
        regions = tile_regions(size_wh, self.tiles)
        seen = [self.prepare(image[y1:y2, x1:x2]) for x1, y1, x2, y2 in regions]
        boxes, scores = [], []
        for region, found in zip(regions, self.detect_prepared(seen), strict=True):
            moved = found.bbox_xyxy + np.tile(region[:2], 2)
            whole = whole_in(moved, region, size_wh)
            boxes.append(moved[whole])
            scores.append(found.score[whole])
        bbox_xyxy, score = np.concatenate(boxes), np.concatenate(scores)
        kept = non_maximum_suppression(bbox_xyxy, score, self.nms_iou)
        return Detections(bbox_xyxy[kept], score[kept])

    def detect_near(self, image: NDArray[np.uint8], bbox_xyxy: Array) -> list[Detections]:
        """The faces in the neighbourhood of each box (N x 4 pixels) of an image, N detections.

        A neighbourhood is the square of twice the box's longer side. The network sees it in NEAR_PX
        pixels, a small part of a whole image's work, unless the export fixes the input's size.
        """
        height, width = image.shape[:2]
        around = scale(square(bbox_xyxy), _NEIGHBOURHOOD)
        regions = np.clip(np.round(around), 0, [width, height, width, height]).astype(int)
        seen = [
            self._prepared(image[y1:y2, x1:x2], self._near_hw, border=0.0)
            for x1, y1, x2, y2 in regions
        ]
        return [
            Detections(found.bbox_xyxy + np.tile(region[:2], 2), found.score)
            for region, found in zip(regions, self.detect_prepared(seen), strict=True)
        ]

    def prepare(self, image: NDArray[np.uint8]) -> Prepared:
        """The work before the network, for threads beside the network's."""
        return self._prepared(image, self.size_hw, self.border)

    def _prepared(
        self, image: NDArray[np.uint8], size_hw: tuple[int, ...], border: float
    ) -> Prepared:
        canvas, placement = letterbox(image, size_hw, border)
        planes = np.ascontiguousarray(canvas.transpose(2, 0, 1)) / self._dtype(255)
        return Prepared(planes, placement, (image.shape[1], image.shape[0]))

    def detect_prepared(self, images: Sequence[Prepared]) -> list[Detections]:
        """`detect` for images from `prepare`."""
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
        layout = layout_of(output.shape, blob.shape[2:], str(self.path))
        for image, row in zip(images, output, strict=False):
            bbox_xyxy, score = boxes_and_scores(
                row.astype(np.float32), layout, self.score, str(self.path)
            )
            kept = non_maximum_suppression(bbox_xyxy, score, self.nms_iou)
            found = Detections(image.placement.to_image(bbox_xyxy[kept]), score[kept])
            # A face seen only in the replicated border is none.
            inside = centred_inside(found.bbox_xyxy, image.size_wh)
            yield Detections(found.bbox_xyxy[inside], found.score[inside])


def layout_of(shape: Sequence[int], size_hw: tuple[int, ...], name: str) -> OutputLayout:
    """Which kind of YOLO an output comes from, by its shape and the network's input size.

    With G grid cells (input 640: 80² + 40² + 20² = 8,400):
    "original":    (batch, a·G, 5 + classes), a anchors per cell (3 as published, 9 at most);
    "anchor-free": (batch, 4 + classes, G);
    "end-to-end":  (batch, N, 6), N detections after non-maximum suppression.
    The first two may have landmarks (`boxes_and_scores`). Raises InputError naming the shapes found
    and expected.
    """
    grids = [sum((size_hw[0] // s) * (size_hw[1] // s) for s in strides) for strides in STRIDES]
    if len(shape) == 3:
        if shape[1] >= 5 and shape[2] in grids:
            return "anchor-free"
        if shape[2] >= 6 and any(shape[1] in range(grid, 10 * grid, grid) for grid in grids):
            return "original"
        if shape[2] == 6 and shape[1] <= _MAX_DETECTIONS:
            return "end-to-end"
    raise InputError(
        f"{name}: for an input of {size_hw[0]}x{size_hw[1]} expected an output (batch, "
        f"{3 * grids[0]}, 5 + classes), (batch, 4 + classes, {grids[0]}) or (batch, at most "
        f"{_MAX_DETECTIONS}, 6), found {tuple(shape)}; export the network with its detection layer"
    )


def boxes_and_scores(
    output: NDArray[np.float32], layout: OutputLayout, min_score: float, name: str = "network"
) -> tuple[Array, Array]:
    """One image's network output → its boxes (N x 4, network px, xyxy) and scores (N), unordered.

    output: rows x columns as `layout_of` describes; a box is cx, cy, w, h in network pixels.
    "original": score = objectness · best class; "anchor-free": score = best class; "end-to-end":
    x1, y1, x2, y2, score, class. Keeps score ≥ min_score.

    Five landmarks are passed over, which their values, pixels, tell from classes: "original" cx,
    cy, w, h, objectness, 5 x (x, y), class, as YOLO5Face's; "anchor-free" cx, cy, w, h, score, 5 x
    (x, y) or 5 x (x, y, visible), as YOLOv8-face's. Raises InputError for other scores outside
    [0; 1]: another kind of network.
    """
    rows = output.T if layout == "anchor-free" else output
    probs = rows[:, 4:5] if layout == "end-to-end" else rows[:, 4:]
    if not _in_unit_range(probs):
        probs = probs[:, _BESIDE_LANDMARKS.get((layout, rows.shape[1]), slice(None))]
    if not _in_unit_range(probs):
        raise InputError(
            f"{name}: expected scores in [0, 1], found [{probs.min():.3g}, {probs.max():.3g}] "
            f"beside boxes, in {rows.shape[1]} columns"
        )
    score = probs[:, 0] * probs[:, 1:].max(1) if layout == "original" else probs.max(1)
    kept = score >= min_score
    first, second = rows[kept, :2].astype(np.float64), rows[kept, 2:4].astype(np.float64)
    if layout == "end-to-end":
        return np.concatenate([first, second], axis=1), score[kept].astype(np.float64)
    corners = np.concatenate([first - second / 2, first + second / 2], axis=1)
    return corners, score[kept].astype(np.float64)


def _in_unit_range(probs: NDArray[np.float32]) -> bool:
    return not probs.size or bool(probs.min() >= -1e-3 and probs.max() <= 1 + 1e-3)


def non_maximum_suppression(bbox_xyxy: Array, score: Array, max_iou: float) -> NDArray[np.int64]:
    """Rows of the boxes (N x 4) that stay, best first; of equal scores (N), the earlier row first.

    A box goes if its IoU with a better one that stays is > max_iou. The same rows as torchvision's
    `nms`. (OpenCV's NMSBoxes rounds the IoU to float32, which decides otherwise near max_iou.)
    """
    left = np.argsort(-score, kind="stable")
    kept: list[int] = []
    while left.size:
        best, left = left[0], left[1:]
        kept.append(best)
        left = left[iou(bbox_xyxy[best], bbox_xyxy[left])[0] <= max_iou]
    return np.array(kept, dtype=np.int64)


def letterbox(
    image: NDArray[np.uint8], size_hw: tuple[int, ...], border: float = 0.0
) -> tuple[NDArray[np.uint8], Placement]:
    """The whole image, centred on a grey canvas of `size_hw`; the aspect is kept to half a pixel.

    border: width of the replicated margin on every side, as a fraction of the image's longer side.
    Returns the canvas (height x width x 3) and the position of the image in it.
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
    # The sides are rounded, so the two factors differ; boxes are mapped back by the exact ones.
    return canvas, Placement((inner_w / width, inner_h / height), (left + pad, top + pad))


def _open_session(path: Path) -> Any:
    if not path.is_file():
        raise InputError(f"{path}: no such detector; expected a YOLOv5 export (.onnx)")
    check_sha256_beside(path)
    providers: list[Any] = ["CPUExecutionProvider"]
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        onnxruntime.preload_dlls()  # the CUDA libraries that come with torch
        own = {"device_id": int(os.environ.get("LOCAL_RANK", "0"))}  # torchrun numbers processes
        providers.insert(0, ("CUDAExecutionProvider", own))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors only
    options.intra_op_num_threads = threads()
    # Idle threads sleep; spinning would take cores from the threads that decode images.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(path.as_posix(), options, providers=providers)
    except Exception as error:  # ONNX Runtime's own exceptions share no narrower base class
        raise InputError(f"{path}: ONNX Runtime cannot load it: {error}") from error


def threads() -> int:
    """As many as torch would use: $OMP_NUM_THREADS, which torchrun sets to 1, or one per core."""
    told = os.environ.get("OMP_NUM_THREADS", "")
    if told.isdecimal() and int(told):
        return int(told)
    on_linux = hasattr(os, "sched_getaffinity")
    return len(os.sched_getaffinity(0)) if on_linux else os.cpu_count() or 1
