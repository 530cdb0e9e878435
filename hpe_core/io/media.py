"""Pictures of users in, drawn ones out: images, videos, a camera.

OpenCV's FFmpeg decodes videos here, in this process; what it has to say stands in our errors.
"""

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # read once, when it opens the first video

import cv2
import numpy as np
from PIL import Image

from hpe_core.ahead import read_ahead
from hpe_core.draw import Pixels
from hpe_core.errors import InputError, UnreadableFileError
from hpe_core.io.files import atomic, regular_size
from hpe_core.io.images import read_upright

cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

IMAGE_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
VIDEO_SUFFIXES = frozenset({".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm"})
Complain = Callable[[InputError], None]

_IN_FLIGHT = 4  # images read ahead: of a gigabyte, where they are as large as they may be
_FPS = 25.0  # where a camera does not know its own
_WHOLE = 0.9  # of the frames that a video's header promises, often as an estimate


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture, H x W x 3 uint8 in RGB. index (from 0), time_s: of a video's frame."""

    source: Path
    pixels: Pixels
    index: int = 0
    time_s: float = 0.0


def read_images(paths: Iterable[Path], complain: Complain) -> Iterator[Frame]:
    """Those that can be read, in order, upright; for each of the others `complain` is called."""
    paths = list(paths)
    for path, image in zip(paths, read_ahead(_image_or_error, paths, _IN_FLIGHT), strict=True):
        if isinstance(image, InputError):
            complain(image)
        else:
            yield Frame(path, image)


@dataclass(frozen=True)
class Video:
    """An open video or camera. fps: frames a second; count: what its header says, 0 if unknown."""

    source: Path
    fps: float
    count: int
    _capture: cv2.VideoCapture
    live: bool = False

    def frames(self, complain: Complain) -> Iterator[Frame]:
        """To its end, once. `complain` is called for a file that ends long before it should."""
        began, index = time.monotonic(), 0
        while (found := self._capture.read())[0]:
            # not every container knows the time of its frames
            time_s = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000 or index / self.fps
            if self.live:
                time_s = time.monotonic() - began
            pixels = cv2.cvtColor(found[1], cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)
            yield Frame(self.source, pixels, index, time_s)
            index += 1
        self._capture.release()
        if index < _WHOLE * self.count:
            reason = f"damaged or cut off: {index} of {self.count} frames can be read"
            complain(UnreadableFileError(self.source, reason))


def open_video(path: Path) -> Video:
    """Raises UnreadableFileError for what is missing or no video."""
    regular_size(path)
    capture = cv2.VideoCapture(str(path.absolute()), cv2.CAP_FFMPEG)
    if not capture.isOpened():
        raise UnreadableFileError(path, "no video, or none that OpenCV's FFmpeg reads")
    count = int(max(0, capture.get(cv2.CAP_PROP_FRAME_COUNT)))
    return Video(path, capture.get(cv2.CAP_PROP_FPS) or _FPS, count, capture)


def open_camera(number: int) -> Video:
    """The machine's camera of this number, from 0. Raises InputError where there is none."""
    capture = cv2.VideoCapture(number)
    if not capture.isOpened():
        raise InputError(f"camera {number}: OpenCV finds none; is it plugged in, and not in use?")
    fps = capture.get(cv2.CAP_PROP_FPS)
    return Video(Path(f"camera{number}"), fps if fps > 0 else _FPS, 0, capture, live=True)


def write_png(image_rgb: Pixels, path: Path) -> None:
    """H x W x 3 uint8, RGB; whole or not at all."""
    with atomic(path) as temporary:
        Image.fromarray(image_rgb).save(temporary, format="PNG")


@contextmanager
def video_writer(path: Path, fps: float) -> Iterator[Callable[[Pixels], None]]:
    """A function that appends a frame (H x W x 3 uint8, RGB; all of one size) to an .mp4 (mp4v).

    Whole or not at all. A last odd row or column is lost: the codec takes even sides only. Raises
    InputError where OpenCV cannot write it, which it does not say itself: all frames are counted.
    """
    with atomic(path) as temporary:
        inner = temporary.with_suffix(".mp4")  # OpenCV goes by the name
        writer, written = cv2.VideoWriter(), 0

        def write(frame_rgb: Pixels) -> None:
            nonlocal written
            height, width = frame_rgb.shape[:2]
            if not written:
                mp4v = cv2.VideoWriter.fourcc(*"mp4v")
                writer.open(str(inner), cv2.CAP_FFMPEG, mp4v, fps, (width, height))
            writer.write(cv2.cvtColor(frame_rgb, cv2.COLOR_RGB2BGR))
            written += 1

        try:
            yield write
            writer.release()
            found = cv2.VideoCapture(str(inner), cv2.CAP_FFMPEG).get(cv2.CAP_PROP_FRAME_COUNT)
            if not written:
                raise InputError(f"{path}: not written, because it would have no frames")
            if found != written:
                raise InputError(f"{path}: {found:.0f} of {written} frames written: a full disk?")
            inner.replace(temporary)
        finally:
            writer.release()
            inner.unlink(missing_ok=True)


def _image_or_error(path: Path) -> Pixels | InputError:
    try:
        return read_upright(path)
    except InputError as error:
        return error
