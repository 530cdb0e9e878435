"""Head poses of the faces in any image, by a detector and a network.

Faces are cut as in the network's training.

head_pose = HeadPose.load("data/models/p1/kd-resnet8-1.safetensors")
for face in head_pose.predict("photo.jpg"):
    print(face.bbox_xyxy, face.pitch, face.yaw, face.roll)
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from itertools import islice
from os import PathLike
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from hpe_core.common.errors import InputError
from hpe_core.common.geometry import Array, rotation_from_pyr
from hpe_core.crops.settings import CropRules
from hpe_core.crops.window import Pixels
from hpe_core.faces.boxes import shaped
from hpe_core.faces.cut import cut_face
from hpe_core.faces.detector import Detections, Detector
from hpe_core.faces.images import read_upright, rgb_pixels
from hpe_core.faces.settings import BoxRules
from hpe_core.networks.checkpoints import load_network
from hpe_core.networks.model import Network, folded, normalize, predict_probs
from hpe_core.work.prefetch import read_ahead

Rules = TypeVar("Rules", CropRules, BoxRules)
AnyImage = str | PathLike[str] | Image.Image | NDArray[np.uint8]
Faces = NDArray[np.uint8]  # N x h x w x 3, RGB
Angles = tuple[NDArray[np.float32], NDArray[np.float32]]  # pyr_deg and std_deg, N x 3

_FACES = 64  # per forward pass: bounds the memory


@dataclass(frozen=True, eq=False)
class FacePose:
    """One face. bbox_xyxy (4): the box that the network saw, pixels; score: in [0; 1].

    pyr_deg (3): pitch, yaw, roll in degrees (`geometry`). std_deg (3): the standard deviation of
    each angle's distribution over the bins, degrees, not calibrated.
    """

    bbox_xyxy: Array
    score: float
    pyr_deg: Array
    std_deg: Array

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
    def rotation(self) -> Array:
        """The rotation (3 x 3) from the head's frame to the camera's (`rotation_from_pyr`)."""
        return rotation_from_pyr(self.pyr_deg)


class HeadPose:
    """Finds faces and estimates their poses. `load` opens one from files."""

    def __init__(
        self,
        network: Network,
        crop: CropRules,
        boxes: BoxRules,
        detector: Detector | None,
        device: str,
    ) -> None:
        self.detector, self.device = detector, device_of(device)
        self._crop, self._boxes = replace(crop, margin=0), boxes
        self._read_angles = angle_reader(network, device)

    @classmethod
    def load(
        cls,
        network: str | PathLike[str],
        detector: str | PathLike[str] | None = None,
        device: str = "cpu",
    ) -> "HeadPose":
        """network: a .safetensors of this pipeline, which records how to find and cut faces.

        detector: a YOLOv5 export (.onnx); None takes the detector of the network's training
        (`find_detector`), or none if that used published boxes. device: a torch device. Raises
        InputError for a file that is missing, damaged, or does not say how its faces were cut, and
        for a device that is not there.
        """
        path = Path(network)
        net, metadata = trained_network(path)
        recorded_crop, recorded_boxes = recorded_rules(path, metadata)
        try:
            crop = _rules(CropRules, recorded_crop)
            boxes = _rules(BoxRules, recorded_boxes)
        except KeyError as error:
            raise InputError(f"{path}: does not say how faces are cut for it: {error}") from None
        if detector is None and boxes.source != "published":
            detector = find_detector(path, boxes.path)
        opened = None if detector is None else Detector.by(boxes, Path(detector))
        return cls(net, crop, boxes, opened, device)

    def predict(self, image: AnyImage, bbox_xyxy: ArrayLike | None = None) -> list[FacePose]:
        """The faces of one image by falling score.

        image: a path (its EXIF orientation is applied), a PIL image, or H x W x 3 uint8 RGB
        (OpenCV's images are BGR: reverse the last axis). bbox_xyxy (N x 4, or 4 for one face):
        boxes in pixels, used unchanged and in this order, without a detector; their score is 1.
        Raises InputError for what is no image, and for a box outside the image.
        """
        pixels = _pixels(image)
        if bbox_xyxy is None:
            return self._find([pixels])[0]
        given = np.asarray(bbox_xyxy, dtype=np.float64)
        given = given[None] if given.shape == (4,) else given
        if given.ndim != 2 or given.shape[1] != 4:
            raise InputError(f"boxes of shape {given.shape}; expected (N, 4), or (4,) for one face")
        return self._poses([pixels], [Detections(given, np.ones(len(given)))])[0]

    def predict_each(self, images: Iterable[AnyImage]) -> Iterator[list[FacePose]]:
        """`predict` for many images, such as a folder's files or a video's frames, in order.

        Reads some images ahead, and detects in batches as large as the detector takes.
        """
        size = self._detector_or_error().batch
        pixels = read_ahead(_pixels, images, size)
        while some := list(islice(pixels, size)):
            yield from self._find(some)

    def _find(self, images: Sequence[Pixels]) -> list[list[FacePose]]:
        found = self._detector_or_error().detect(images)
        seen = [Detections(shaped(each.bbox_xyxy, self._boxes), each.score) for each in found]
        return self._poses(images, seen)

    def _poses(self, images: Sequence[Pixels], found: Sequence[Detections]) -> list[list[FacePose]]:
        """The poses in each image. found: the boxes that the network sees."""
        crops = [
            cut_face(image, box, self._crop)
            for image, faces in zip(images, found, strict=True)
            for box in faces.bbox_xyxy
        ]
        angles = self._angles(crops)
        return [
            [
                FacePose(box, float(score), pyr_deg, std_deg)
                for box, score, (pyr_deg, std_deg) in zip(
                    faces.bbox_xyxy, faces.score, angles, strict=False
                )
            ]
            for faces in found
        ]

    def _angles(self, crops: list[Pixels]) -> Iterator[tuple[Array, Array]]:
        """pyr_deg and std_deg (3 each) of every crop."""
        for start in range(0, len(crops), _FACES):
            both = self._read_angles(np.stack(crops[start : start + _FACES]))
            yield from zip(*(part.astype(np.float64) for part in both), strict=True)

    def _detector_or_error(self) -> Detector:
        if self.detector is None:
            raise InputError(
                "the network was trained on published boxes: give a detector (--detector, or "
                "HeadPose.load(network, detector)), or give boxes to `predict`"
            )
        return self.detector


def trained_network(path: Path) -> tuple[Network, dict[str, Any]]:
    """`load_network`, with advice for users in the errors for missing files and .onnx."""
    if path.suffix == ".onnx":
        raise InputError(
            f"{path}: expected a .safetensors; an .onnx runs with `hpe evaluate`, or as "
            "docs/onnx.md shows"
        )
    if not path.exists():
        raise InputError(f"{path}: no such network; `make demo` trains the demo's")
    return load_network(path)


def recorded_rules(path: Path, metadata: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The sections `crop` and `boxes` that a network was trained with.

    metadata: as `load_network` gives it. Raises InputError where they are missing.
    """
    try:
        return metadata["provenance"]["crop"], metadata["provenance"]["boxes"]
    except KeyError as error:
        raise InputError(f"{path}: does not say how faces are cut for it: {error}") from None


def _rules(kind: type[Rules], recorded: Mapping[str, Any]) -> Rules:
    return kind(**{field.name: recorded[field.name] for field in fields(kind)})


def find_detector(network: Path, recorded: str) -> Path:
    """The detector that found a network's training faces. recorded: its `boxes.path`.

    Looks for that path from the current folder, for its base name beside the network, and for the
    path from each folder above the network. Raises InputError where no place has it.
    """
    folder = network.parent.resolve()  # of the network's own path, if it is a link into a cache
    below = [above / recorded for above in (folder, *folder.parents)]
    places = [Path(recorded), folder / Path(recorded).name, *below]
    if found := next((place for place in places if place.is_file()), None):
        return found
    above = "" if Path(recorded).is_absolute() else ", nor is it below a folder above"
    raise InputError(
        f"{network}: the detector of its training, {recorded}, does not exist, nor does "
        f"{places[1]}{above}; give a detector (--detector, or HeadPose.load(network, detector))"
    )


def angle_reader(network: Network, device: str) -> Callable[[Faces], Angles]:
    """A function from uint8 RGB faces (N, h, w, 3) to pyr_deg and std_deg (N x 3 each).

    Raises InputError for a device that is not there.
    """
    place = device_of(device)
    model, spec = folded(network).to(place), network.spec

    @torch.inference_mode()
    def read(faces: Faces) -> Angles:
        probs = predict_probs(model, normalize(torch.from_numpy(faces).to(place)))
        pyr_deg, std_deg = spec.angle_and_std_deg(probs)
        return pyr_deg.float().cpu().numpy(), std_deg.float().cpu().numpy()

    return read


def device_of(name: str) -> torch.device:
    try:
        device = torch.device(name)
    except RuntimeError:  # torch's message lists twenty device types
        raise InputError(f"device {name!r}: expected cpu, cuda, cuda:1, … or mps") from None
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:  # torch raises any of them
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
