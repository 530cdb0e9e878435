"""Reads images, videos and numbered frames; writes images and videos.

OpenCV's FFmpeg decodes and encodes videos. Its own log is off: our errors name what went wrong.
"""

import os
import re
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from PIL import Image

from hpe_core.common.errors import InputError, UnreadableFileError
from hpe_core.common.files import atomic, printable, regular_size
from hpe_core.crops.window import Pixels
from hpe_core.faces.images import frame_count, read_photograph, read_upright
from hpe_core.inference.paths import IMAGE_SUFFIXES, VIDEO_SUFFIXES
from hpe_core.work.prefetch import read_ahead

os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # read when it opens the first video

cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

Complain = Callable[[InputError], None]

_NUMBER = re.compile(r"%[0-9]*d")
_IMAGES_AHEAD = 4  # images prefetched: 1 GB, if all have the largest size that is read
DEFAULT_FPS = 25.0  # of frames in files, and of a video or camera that does not report its own
_WHOLE = 0.9  # of the frames or the time that a header announces, which is often an estimate
_DECODED = ("h264", "avc1", "hevc", "hvc1", "hev1", "mp4v", "fmp4", "mjpg", "vp80", "vp90")
_MAX_TICKS = 65_535  # in a second of an .mp4's mp4v stream


@dataclass(frozen=True, eq=False)
class Frame:
    """One image or video frame, H x W x 3 uint8 RGB. index (from 0), time_s: in the video.

    divisor: of the sides of a very large photograph (`images.read_photograph`).
    """

    source: Path
    pixels: Pixels
    index: int = 0
    time_s: float = 0.0
    divisor: int = 1


def is_video(path: Path) -> bool:
    """Whether a path is read as a video: numbered frames; or no image, and so named, or OpenCV can
    open it.
    """
    if is_pattern(path):
        return True
    ending = path.suffix.lower()
    if ending in IMAGE_SUFFIXES or not path.is_file():
        return ending in VIDEO_SUFFIXES
    if frame_count(path):
        return False
    capture = cv2.VideoCapture(str(path.absolute()), cv2.CAP_FFMPEG)
    return ending in VIDEO_SUFFIXES or capture.isOpened()


def is_pattern(path: Path) -> bool:
    """Whether a path names numbered frames, as %d, %05d and the like do."""
    return len(_NUMBER.findall(path.name)) == 1 and not path.exists()


def read_images(paths: Iterable[Path], complain: Complain) -> Iterator[Frame]:
    """The readable images, in order, upright; of animations the first frame.

    Calls `complain` for each of the others.
    """

    def read(path: Path) -> tuple[Pixels, int] | InputError:
        try:
            return read_photograph(path)
        except InputError as error:
            return error

    paths = list(paths)
    for path, image in zip(paths, read_ahead(read, paths, _IMAGES_AHEAD), strict=True):
        if isinstance(image, InputError):
            complain(image)
        else:
            pixels, divisor = image
            yield Frame(path, pixels, divisor=divisor)


class Capture(Protocol):
    """Of `cv2.VideoCapture` what is used of an open one."""

    def grab(self) -> bool: ...
    def retrieve(self) -> tuple[bool, Any]: ...
    def get(self, prop: int, /) -> float: ...
    def release(self) -> None: ...


class NumberedFrames:
    """The images of a pattern such as frames/%05d.png by rising number, as a `Capture`.

    Numbers may be missing. `retrieve` raises UnreadableFileError for what is no image.
    """

    def __init__(self, pattern: Path) -> None:
        before, after = (re.escape(part) for part in _NUMBER.split(pattern.name))
        named = re.compile(f"{before}([0-9]+){after}")
        found = [(file, named.fullmatch(file.name)) for file in pattern.parent.glob("*")]
        numbered = [(int(match[1]), file) for file, match in found if match]
        self.files, self._at = [file for _, file in sorted(numbered)], -1

    def grab(self) -> bool:
        self._at += 1
        return self._at < len(self.files)

    def retrieve(self) -> tuple[bool, Pixels]:
        return True, read_upright(self.files[self._at])[..., ::-1]

    def get(self, prop: int, /) -> float:
        return 0.0  # no times

    def release(self) -> None: ...


@dataclass(frozen=True)
class Video:
    """An open video, camera or stream, its first frame grabbed.

    count: frames that the header announces, 0 if unknown; containers without an index, such as mkv
    and webm, announce time · fps, more than there are where the rate varies.
    """

    source: Path
    fps: float
    count: int
    _capture: Capture
    live: bool = False

    def frames(self, complain: Complain) -> Iterator[Frame]:
        """All frames; can be called once. Calls `complain` for a file that is cut off."""
        began, index, time_s = time.monotonic(), 0, 0.0
        grabbed = True
        while grabbed:
            try:
                done, bgr = self._capture.retrieve()
            except UnreadableFileError as error:  # one of numbered files
                complain(error)
                index, grabbed = index + 1, self._capture.grab()
                continue
            if not done:
                break
            # not every container has timestamps
            time_s = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000 or index / self.fps
            if self.live:
                time_s = time.monotonic() - began
            pixels = np.ascontiguousarray(bgr[..., ::-1], dtype=np.uint8)
            yield Frame(self.source, pixels, index, time_s)
            index += 1
            grabbed = self._capture.grab()
        self._capture.release()
        if index < _WHOLE * self.count and time_s < _WHOLE * self.count / self.fps:
            reason = f"damaged or cut off: {index} of {self.count} frames can be read"
            complain(UnreadableFileError(self.source, reason))


def open_video(path: Path) -> Video:
    """A video, or numbered frames as one.

    Raises UnreadableFileError for a file that is missing, no video, or without a frame.
    """
    if is_pattern(path):
        frames = NumberedFrames(path)
        if not frames.grab():
            raise UnreadableFileError(path, "no file has such a name, with a number for the %")
        return Video(path, DEFAULT_FPS, len(frames.files), frames)
    regular_size(path)
    capture = cv2.VideoCapture(str(path.absolute()), cv2.CAP_FFMPEG)
    if not capture.isOpened():
        raise UnreadableFileError(path, "no video that OpenCV's FFmpeg can read")
    count = int(max(0, capture.get(cv2.CAP_PROP_FRAME_COUNT)))
    if not capture.grab():
        codec = int(capture.get(cv2.CAP_PROP_FOURCC)).to_bytes(4, "little").decode("latin-1")
        reason = f"none of its {count} frames can be decoded (codec {codec})"
        if codec.lower() in _DECODED:
            reason = f"damaged or cut off: {reason}"
        else:
            reason += "; if other players show it, convert it to H.264"
        raise UnreadableFileError(path, printable(reason))
    return Video(path, capture.get(cv2.CAP_PROP_FPS) or DEFAULT_FPS, count, capture)


def write_png(image_rgb: Pixels, path: Path) -> None:
    """image_rgb: H x W x 3 uint8. The file is written whole or not at all."""
    with atomic(path) as temporary:
        Image.fromarray(image_rgb).save(temporary, format="PNG")


def writable_fps(fps: float) -> float:
    """The rate nearest to fps that an mp4v stream can express, as OpenCV writes it.

    OpenCV takes the fewest decimals that are within 0.001 of the rate, and so many ticks a second.
    """
    scale = 1
    while abs(round(fps * scale) / scale - fps) > 0.001 and fps * scale * 10 <= _MAX_TICKS:
        scale *= 10
    return min(round(fps * scale), _MAX_TICKS) / scale


@contextmanager
def video_writer(path: Path, fps: float) -> Iterator[Callable[[Pixels], None]]:
    """A function that appends a frame (H x W x 3 uint8, RGB) to an .mp4 (mp4v).

    Frames of another size than the first are fitted into it, with black beside them. The file is
    written whole or not at all. The codec needs even sides and drops an odd row or column; fps is
    rounded to what it can express. OpenCV reports no failed write, so the frames of the file are
    counted: raises InputError where some are missing, or where OpenCV takes none.
    """
    rate = writable_fps(fps)
    with atomic(path) as temporary:
        inner = temporary.with_suffix(".mp4")  # OpenCV chooses the container by the suffix
        writer, written, size_hw = cv2.VideoWriter(), 0, (0, 0)

        def write(frame_rgb: Pixels) -> None:
            nonlocal written, size_hw
            if not written:
                size_hw = height, width = frame_rgb.shape[:2]
                mp4v = cv2.VideoWriter.fourcc(*"mp4v")
                if not writer.open(str(inner), cv2.CAP_FFMPEG, mp4v, rate, (width, height)):
                    what = f"{width} x {height} pixels at {rate:g} frames/s"
                    raise InputError(f"{path}: OpenCV writes no .mp4 of {what}")
            writer.write(cv2.cvtColor(_fitted(frame_rgb, size_hw), cv2.COLOR_RGB2BGR))
            written += 1

        try:
            yield write
            writer.release()
            found = cv2.VideoCapture(str(inner), cv2.CAP_FFMPEG).get(cv2.CAP_PROP_FRAME_COUNT)
            if not written:
                raise InputError(f"{path}: not written: it would have no frames")
            if found != written:
                free_mb = shutil.disk_usage(path.parent).free // 10**6
                count = f"{found:.0f} of {written} frames written"
                raise InputError(f"{path}: {count}; {free_mb} MB are free on that disk")
            inner.replace(temporary)
        finally:
            writer.release()
            inner.unlink(missing_ok=True)


def _fitted(image: Pixels, size_hw: tuple[int, int]) -> Pixels:
    """The whole image as large as a size allows, in its middle; black beside it."""
    if image.shape[:2] == size_hw:
        return image
    (height, width), (room_h, room_w) = image.shape[:2], size_hw
    factor = min(room_h / height, room_w / width)
    h, w = max(1, round(height * factor)), max(1, round(width * factor))
    top, left = (room_h - h) // 2, (room_w - w) // 2
    canvas = np.zeros((*size_hw, 3), np.uint8)
    canvas[top : top + h, left : left + w] = cv2.resize(image, (w, h), interpolation=cv2.INTER_AREA)
    return canvas
