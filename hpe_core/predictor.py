"""Head poses of the faces in any image, by a detector and a network.

Faces are cut as in the network's training.

head_pose = HeadPose.load()
for face in head_pose.predict("photo.jpg"):
    print(face.bbox_xyxy, face.pitch, face.yaw, face.roll)
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from hpe_core.common.errors import InputError
from hpe_core.common.geometry import (
    Array,
    direction,
    in_camera,
    pyr_from_rotation,
    rotation_from_pyr,
)
from hpe_core.crops.window import Pixels
from hpe_core.faces.boxes import centre, centred_inside, shaped
from hpe_core.faces.cut import cut_face
from hpe_core.faces.detector import Detections, Detector, non_maximum_suppression
from hpe_core.faces.following import Follower
from hpe_core.faces.images import read_photograph, rgb_pixels, upright
from hpe_core.faces.turning import turned, turned_back
from hpe_core.runtime.network import OpenNetwork, open_network
from hpe_core.weights.catalogue import network_path, shipped
from hpe_core.work.prefetch import read_ahead

AnyImage = str | PathLike[str] | Image.Image | NDArray[np.uint8]

_SAME_FACE_IOU = 0.3  # of upright boxes around one face, found in different turns
_FACES = 64  # per forward pass: bounds the memory


@dataclass(frozen=True, eq=False)
class FacePose:
    """One face. bbox_xyxy (4): the box that the network saw, pixels; score: in [0; 1].

    pyr_deg (3): pitch, yaw, roll in degrees (`geometry`). std_deg (3): the standard deviation of
    each angle's distribution over the bins, degrees; calibrated if the network is an .onnx with the
    factors (`hpe export --calibration`).
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
    def direction(self) -> Array:
        """Where the face points, a unit vector (3) in the camera's frame (`geometry.direction`)."""
        return direction(self.pyr_deg)

    @cached_property
    def rotation(self) -> Array:
        """The rotation (3 x 3) from the head's frame to the camera's (`rotation_from_pyr`)."""
        return rotation_from_pyr(self.pyr_deg)


class HeadPose:
    """Finds faces and estimates their poses. `load` opens one from files."""

    def __init__(
        self,
        network: OpenNetwork,
        detector: Detector | None,
        turns: int = 1,
        fov_deg: float | None = None,
    ) -> None:
        """turns, fov_deg: `load`. Raises InputError for a network that does not say how its faces
        were found, for turns below 1, and for an angle that is not between 0 and 180.
        """
        if fov_deg is not None and not 0 < fov_deg < 180:
            raise InputError(f"fov_deg {fov_deg:g}; expected degrees between 0 and 180")
        if not isinstance(turns, int) or turns < 1:
            raise InputError(f"turns {turns}; expected 1, for images as they are, or more")
        if network.boxes is None:
            raise InputError(f"{network.path}: does not say how faces are found for it")
        self.detector, self.turns, self.fov_deg = detector, turns, fov_deg
        self._crop, self._boxes = replace(network.crop, margin=0), network.boxes
        self._read_angles = network.angles

    @classmethod
    def load(
        cls,
        network: str | PathLike[str] | None = None,
        detector: str | PathLike[str] | None = None,
        device: str = "cpu",
        *,
        score: float | None = None,
        input_px: int | None = None,
        border: float = 0.0,
        tiles: int = 1,
        turns: int = 1,
        fov_deg: float | None = None,
    ) -> "HeadPose":
        """network: an .onnx of `hpe export`, or a .safetensors of this pipeline, which needs torch.

        Both record how to find and cut faces. Or the name of a network that ships with the package,
        or None for the first of those (`hpe weights`). detector: a YOLOv5 export (.onnx); None
        takes the one that the network records (`find_detector`), or none if that used published
        boxes.
        device: of a .safetensors, a torch device. Raises InputError for a file that is missing,
        damaged, or does not say how its faces were cut, and for a device that is not there.

        How the detector searches: score, the least of a face, and input_px, the side of its input,
        are those that the network records if None; border, a replicated margin as a share of the
        image's longer side, suits images that a face fills; tiles: `Detector`. A training's border
        is not taken over: it was meant for its images.

        turns: for heads that lean or lie, each image is searched in so many copies, turned by equal
        parts of 360°. Of the readings of one face the one with the largest score per std counts,
        turned back.

        fov_deg: the angle that the width of all images covers. Poses are then those in the frame of
        the camera (`geometry.in_camera`), not as seen along the ray to each face: at the edge of a
        picture they are half this angle apart.
        """
        _check_search(score, border, tiles)
        path = network_path(network)
        if path.suffix == ".pth":
            raise InputError(f"{path}: does not say how its faces are found; see `hpe evaluate`")
        opened = open_network(path, device)
        if detector is None and opened.boxes and opened.boxes.source != "published":
            detector = find_detector(path, opened.boxes.path)
        if detector is None or not opened.boxes:
            return cls(opened, None, turns, fov_deg)
        rules = opened.boxes
        search = Detector(
            Path(detector),
            input_px=input_px or rules.input_px,
            score=rules.score if score is None else score,
            nms_iou=rules.nms_iou,
            border=border,
            tiles=tiles,
        )
        if input_px and search.size_hw != (input_px, input_px):
            height, width = search.size_hw
            raise InputError(
                f"{detector}: its export fixes the input at {width} x {height} pixels, found "
                f"input_px {input_px}"
            )
        return cls(opened, search, turns, fov_deg)

    def predict(self, image: AnyImage, bbox_xyxy: ArrayLike | None = None) -> list[FacePose]:
        """The faces of one image by falling score.

        image: a path or a PIL image (an EXIF orientation is applied), or H x W x 3 uint8 RGB
        (OpenCV's images are BGR: reverse the last axis). bbox_xyxy (N x 4, or 4 for one face):
        boxes in pixels, used unchanged and in this order, without a detector; their score is 1.
        Raises InputError for what is no image, and for a box outside the image.
        """
        pixels, divisor = _pixels(image)
        if bbox_xyxy is None:
            return self._in_file(self._find([pixels])[0], pixels, divisor)
        given = np.asarray(bbox_xyxy, dtype=np.float64)
        given = given[None] if given.shape == (4,) else given
        if given.ndim != 2 or given.shape[1] != 4:
            raise InputError(f"boxes of shape {given.shape}; expected (N, 4), or (4,) for one face")
        seen = Detections(given / divisor, np.ones(len(given)))
        return self._in_file(self._poses([pixels], [seen])[0], pixels, divisor)

    def predict_each(self, images: Iterable[AnyImage]) -> Iterator[list[FacePose]]:
        """`predict` for many images, such as a folder's files or a video's frames, in order.

        Reads some images ahead, and detects in batches as large as the detector takes.
        """
        size = self._detector_or_error().batch
        opened = read_ahead(_pixels, images, size)
        while some := list(islice(opened, size)):
            found = self._find([pixels for pixels, _ in some])
            for faces, (image, divisor) in zip(found, some, strict=True):
                yield self._in_file(faces, image, divisor)

    def follow(self, frames: Iterable[AnyImage], detect_every: int) -> Iterator[list[FacePose]]:
        """`predict` for a video's frames, one by one.

        detect_every: the detector searches every n-th frame whole, and the others only near the
        faces of the frame before (`faces.following`). With `turns` every frame is searched whole.
        """
        if self.turns > 1:
            yield from self.predict_each(frames)
            return
        follower = Follower(self._detector_or_error(), detect_every)
        for frame in frames:
            pixels, divisor = _pixels(frame)
            found = follower.detect(pixels)
            seen = Detections(shaped(found.bbox_xyxy, self._boxes), found.score)
            yield self._in_file(self._poses([pixels], [seen])[0], pixels, divisor)

    def _in_file(self, faces: list[FacePose], image: Pixels, divisor: int) -> list[FacePose]:
        """Boxes in pixels of the file, and poses in the frame of the camera, if `fov_deg` is known.

        divisor: of the file's sides, for this image.
        """
        size_wh = (image.shape[1], image.shape[0])
        found = []
        for face in faces:
            pyr_deg = face.pyr_deg
            if self.fov_deg is not None:
                pyr_deg = in_camera(pyr_deg, centre(face.bbox_xyxy), size_wh, self.fov_deg)
            found.append(replace(face, bbox_xyxy=face.bbox_xyxy * divisor, pyr_deg=pyr_deg))
        return found

    def _find(self, images: Sequence[Pixels]) -> list[list[FacePose]]:
        if self.turns > 1:
            return [self._find_turned(image) for image in images]
        return self._find_upright(images)

    def _find_turned(self, image: Pixels) -> list[FacePose]:
        """The faces of all turned copies, of those of one face the surest; by falling score."""
        readings: list[FacePose] = []
        for degrees in 360 / self.turns * np.arange(self.turns):
            copy, matrix = turned(image, degrees)
            (faces,) = self._find_upright([copy])
            readings += [_turned_back(face, matrix, degrees) for face in faces]
        boxes = np.array([face.bbox_xyxy for face in readings]).reshape(-1, 4)
        sureness = np.array([face.score / face.std_deg.mean() for face in readings])
        kept = non_maximum_suppression(boxes, sureness, _SAME_FACE_IOU)
        inside = centred_inside(boxes, (image.shape[1], image.shape[0]))
        return sorted(
            (readings[at] for at in kept if inside[at]), key=lambda face: face.score, reverse=True
        )

    def _find_upright(self, images: Sequence[Pixels]) -> list[list[FacePose]]:
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


def _check_search(score: float | None, border: float, tiles: int) -> None:
    """Raises InputError."""
    if score is not None and not 0 <= score <= 1:
        raise InputError(f"score {score}; expected 0 to 1")
    if not 0 <= border <= 2:
        raise InputError(f"border {border}; expected 0 to 2, in shares of the longer side")
    if not isinstance(tiles, int) or tiles < 1:
        raise InputError(f"tiles {tiles}; expected 1, for images as a whole, or more")


def _turned_back(face: FacePose, matrix: Array, degrees: float) -> FacePose:
    """A face of a copy that was turned clockwise by `degrees`, in the image itself."""
    (box,) = turned_back(face.bbox_xyxy[None], matrix)
    upright = rotation_from_pyr([0, 0, -degrees]) @ face.rotation
    return replace(face, bbox_xyxy=box, pyr_deg=pyr_from_rotation(upright))


def find_detector(network: Path, recorded: str) -> Path:
    """The detector that finds faces for a network. recorded: its `boxes.path`.

    Looks for that path from the current folder, for its base name beside the network, for the path
    from each folder above the network, and among the detectors that ship with the package. Raises
    InputError where no place has it.
    """
    folder = network.parent.resolve()  # of the network's own path, if it is a link into a cache
    below = [above / recorded for above in (folder, *folder.parents)]
    ours = [each.path for each in shipped() if each.file == Path(recorded).name]
    places = [Path(recorded), folder / Path(recorded).name, *below, *ours]
    if found := next((place for place in places if place.is_file()), None):
        return found
    above = "" if Path(recorded).is_absolute() else ", nor is it below a folder above"
    raise InputError(
        f"{network}: the detector of its training, {recorded}, does not exist, nor does "
        f"{places[1]}{above}; give a detector (--detector, or HeadPose.load(network, detector))"
    )


def _pixels(image: AnyImage) -> tuple[Pixels, int]:
    """The pixels, and the divisor of their sides (`read_photograph`)."""
    if isinstance(image, str | PathLike):
        return read_photograph(Path(image))
    if isinstance(image, Image.Image):
        try:
            return rgb_pixels(upright(image)), 1
        except (ValueError, OSError) as error:  # the second: cut off
            raise InputError(f"a PIL image of mode {image.mode}: {error}") from None
    if not isinstance(image, np.ndarray):
        found = type(image).__name__
        raise InputError(f"an image of type {found}; expected a path, or PIL's or NumPy's")
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise InputError(
            f"an image of {image.dtype} {image.shape}; expected uint8 (height, width, 3), RGB"
        )
    return image, 1
