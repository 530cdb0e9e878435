"""Head poses of the faces in any image: a detector and one network, cut and read as in training.

head_pose = HeadPose.load("data/models/p1/kd-resnet10-1.safetensors")
for face in head_pose.predict("photo.jpg"):
    print(face.bbox_xyxy, face.pitch, face.yaw, face.roll)
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from hpe_core.ahead import read_ahead
from hpe_core.boxes import scale, square
from hpe_core.cropping import Pixels, enlarged_crop, published_crop, rotated_window
from hpe_core.errors import InputError
from hpe_core.geometry import rotation_from_pyr
from hpe_core.io.checkpoints import load_network
from hpe_core.io.detector import Detector
from hpe_core.io.images import read_upright, rgb_pixels
from hpe_core.networks import Network, folded, normalize, predict_probs
from hpe_core.uncertainty import distribution_std_deg

AnyImage = str | PathLike[str] | Image.Image | NDArray[np.uint8]

_FACES = 64  # through the network at a time: bounds the memory


@dataclass(frozen=True, eq=False)
class FacePose:
    """One face. bbox_xyxy (4): pixels of the image, as the network saw it; score in [0; 1].

    pyr_deg (3): pitch, yaw, roll in degrees, in the convention of `geometry`; std_deg (3): the
    standard deviation of each one's distribution over the bins, not calibrated.
    """

    bbox_xyxy: NDArray[np.float64]
    score: float
    pyr_deg: NDArray[np.float64]
    std_deg: NDArray[np.float64]

    @property
    def pitch(self) -> float:
        return float(self.pyr_deg[0])

    @property
    def yaw(self) -> float:
        return float(self.pyr_deg[1])

    @property
    def roll(self) -> float:
        return float(self.pyr_deg[2])

    @cached_property
    def rotation(self) -> NDArray[np.float64]:
        """3 x 3: from the head's frame to the camera's (`geometry.rotation_from_pyr`)."""
        return rotation_from_pyr(self.pyr_deg)


class HeadPose:
    """Finds faces and tells their poses. `load` makes one from files."""

    def __init__(
        self,
        network: Network,
        crop: dict[str, Any],
        boxes: dict[str, Any],
        detector: Detector | None,
        device: str,
    ) -> None:
        self.detector, self.device, self.spec = detector, device_of(device), network.spec
        self._crop, self._boxes = crop, boxes
        self._network = folded(network).to(self.device)

    @classmethod
    def load(
        cls,
        network: str | PathLike[str],
        detector: str | PathLike[str] | None = None,
        device: str = "cpu",
    ) -> "HeadPose":
        """network: a .safetensors of this pipeline; its file says how faces are cut for it.

        detector: a YOLOv5 export (.onnx); None takes the one that found the network's training
        faces, where `find_detector` finds it. Thresholds and shape of the boxes are those of the
        training. device: of torch. Raises InputError where a file is missing, damaged, or does not
        say how its faces were cut, and for a device that is not there.
        """
        path = Path(network)
        net, metadata = trained_network(path)
        crop, boxes = cutting_rules(path, metadata)
        return cls(net, crop, boxes, _detector(path, boxes, detector), device)

    def predict(self, image: AnyImage, bbox_xyxy: ArrayLike | None = None) -> list[FacePose]:
        """The faces of one image, the surest first.

        image: a path (turned as its EXIF orientation says), a PIL image, or H x W x 3 uint8 in RGB
        (OpenCV's are BGR: reverse the last axis). bbox_xyxy (N x 4, or 4: one face): boxes in
        pixels, used as they are instead of the detector's; their score is 1. Raises
        InputError for what is no image, and for a box without a pixel of it.
        """
        pixels = _pixels(image)
        if bbox_xyxy is None:
            return self._poses([pixels])[0]
        given = np.asarray(bbox_xyxy, dtype=np.float64)
        given = given[None] if given.shape == (4,) else given
        if given.ndim != 2 or given.shape[1] != 4:
            raise InputError(f"boxes of shape {given.shape}; expected (N, 4), or (4,) for one face")
        return self._poses_of([(pixels, given, np.ones(len(given)))])[0]

    def predict_each(self, images: Iterable[AnyImage]) -> Iterator[list[FacePose]]:
        """`predict` of each image, in order: files of a folder, or the frames of a video.

        Some images ahead are read meanwhile, and the detector takes as many at once as it can.
        """
        size = self._detector_or_error().batch
        pixels = read_ahead(_pixels, images, size)
        while some := list(islice(pixels, size)):
            yield from self._poses(some)

    def _poses(self, images: list[Pixels]) -> list[list[FacePose]]:
        found = self._detector_or_error().detect(images)
        return self._poses_of(
            [
                (image, shaped(faces.bbox_xyxy, self._boxes), faces.score)
                for image, faces in zip(images, found, strict=True)
            ]
        )

    def _poses_of(
        self, found: list[tuple[Pixels, NDArray[np.float64], NDArray[np.float64]]]
    ) -> list[list[FacePose]]:
        crops = [cut(image, box, self._crop) for image, boxes, _ in found for box in boxes]
        read = iter(self._read(crops))
        return [
            [
                FacePose(box, float(score), *next(read))
                for box, score in zip(boxes, scores, strict=True)
            ]
            for _, boxes, scores in found
        ]

    @torch.inference_mode()
    def _read(self, crops: list[Pixels]) -> Iterator[tuple[NDArray[np.float64], ...]]:
        """Angles (3) and their std (3), degrees, of every crop."""
        for start in range(0, len(crops), _FACES):
            images = torch.from_numpy(np.stack(crops[start : start + _FACES])).to(self.device)
            probs = predict_probs(self._network, normalize(images))
            parts = self.spec.expectation(probs), distribution_std_deg(probs, self.spec)
            yield from zip(*(part.cpu().double().numpy() for part in parts), strict=True)

    def _detector_or_error(self) -> Detector:
        if self.detector is None:
            raise InputError(
                "the network was trained on published boxes: name a detector (--detector, or "
                "HeadPose.load(network, detector)), or give `predict` boxes"
            )
        return self.detector


def trained_network(path: Path) -> tuple[Network, dict[str, Any]]:
    """`load_network` for users. Raises InputError for a file that is missing or of another kind."""
    if path.suffix == ".onnx":
        raise InputError(
            f"{path}: expected a .safetensors; an .onnx runs with `hpe evaluate`, or as "
            "docs/onnx.md shows"
        )
    if not path.exists():
        raise InputError(f"{path}: no such network; `make demo` trains the demo's")
    return load_network(path)


def cutting_rules(path: Path, metadata: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """How faces are cut for a network, and how their boxes are found and shaped.

    metadata: as `load_network` gives it. Raises InputError where it does not say.
    """
    try:
        return metadata["provenance"]["crop"], metadata["provenance"]["boxes"]
    except KeyError as error:
        raise InputError(f"{path}: does not say how faces are cut for it: {error}") from None


def find_detector(network: Path, recorded: str) -> Path:
    """The detector that found a network's training faces, as its file records it (`boxes.path`).

    Looked for as recorded, from the current folder; beside the network, by its base name; and as
    recorded, below each folder above the network. Raises InputError where it is not there.
    """
    folder = network.parent.resolve()  # of a link into a cache, where the link lies
    below = [above / recorded for above in (folder, *folder.parents)]
    places = [Path(recorded), folder / Path(recorded).name, *below]
    if found := next((place for place in places if place.is_file()), None):
        return found
    above = "" if Path(recorded).is_absolute() else ", nor below a folder above it"
    raise InputError(
        f"{network}: its training faces were found by {recorded}, which is not there, nor is "
        f"{places[1]}{above}; name a detector (--detector, or HeadPose.load(network, detector))"
    )


def shaped(bbox_xyxy: NDArray[np.float64], boxes: Mapping[str, Any]) -> NDArray[np.float64]:
    """Boxes (N x 4) as they were found → as the network sees them. boxes: of `cutting_rules`."""
    if boxes["source"] == "published":  # as published
        return bbox_xyxy
    bbox_xyxy = square(bbox_xyxy) if boxes["square"] else bbox_xyxy
    return scale(bbox_xyxy, boxes["scale"])


def cut(
    image: Pixels, bbox_xyxy: NDArray[np.float64], crop: Mapping[str, Any], margin: int = 0
) -> Pixels:
    """One face as the network takes it, h x w x 3. crop: of `cutting_rules`.

    margin: of a larger crop that the face is then taken from, pixels. It changes roundings only:
    with that of the training's crops, the pixels are those of the evaluation. Raises InputError for
    a box without a pixel of the image.
    """
    size_hw = crop["height"], crop["width"]
    try:
        if crop["rule"] == "published":
            return published_crop(image, bbox_xyxy, size_hw)
        enlarged = enlarged_crop(image, bbox_xyxy, size_hw, margin, crop["border"])
    except ValueError as error:
        raise InputError(str(error)) from None
    return rotated_window(enlarged, size_hw, 0)


def _detector(
    network: Path, boxes: dict[str, Any], path: str | PathLike[str] | None
) -> Detector | None:
    if path is None and boxes["source"] == "published":
        return None
    chosen = Path(path) if path is not None else find_detector(network, boxes["path"])
    settings = {name: boxes[name] for name in ("input_px", "score", "nms_iou", "border")}
    return Detector(chosen, **settings)


def device_of(name: str) -> torch.device:
    try:
        device = torch.device(name)
    except RuntimeError:  # torch's message is a list of twenty
        raise InputError(f"device {name!r}: expected cpu, cuda, cuda:1, … or mps") from None
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:  # torch raises them all
        reason = str(error).partition("\n")[0]
        raise InputError(f"device {name!r} cannot be used here: {reason}") from None
    return device


def _pixels(image: AnyImage) -> Pixels:
    if isinstance(image, str | PathLike):
        return read_upright(Path(image))
    if isinstance(image, Image.Image):
        try:
            return rgb_pixels(image)
        except ValueError as error:
            raise InputError(f"a PIL image of mode {image.mode}: {error}") from None
    if not isinstance(image, np.ndarray):
        found = type(image).__name__
        raise InputError(f"an image of type {found}; expected a path, or PIL's or NumPy's")
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise InputError(
            f"an image of {image.dtype} {image.shape}; expected uint8 (height, width, 3), RGB"
        )
    return image
