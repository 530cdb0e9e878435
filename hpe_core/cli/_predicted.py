"""What `hpe predict` does once its options are right: apart, because torch takes seconds."""

import os
import signal
import sys
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from threading import Event

import typer
from tqdm import tqdm

from hpe_core.draw import Pixels
from hpe_core.errors import InputError
from hpe_core.io.media import (
    IMAGE_SUFFIXES,
    VIDEO_SUFFIXES,
    Frame,
    Video,
    open_camera,
    open_video,
    read_images,
    video_writer,
    write_png,
)
from hpe_core.io.rows import Row, write_rows
from hpe_core.overlay import draw_face
from hpe_core.predictor import FacePose, HeadPose
from hpe_core.tracking import Smoother, Tracker

__all__ = ["HeadPose", "run_of", "sources_of", "write_rows"]

NUMBERS = [
    *("x1", "y1", "x2", "y2", "score", "pitch", "yaw", "roll"),
    *("std_pitch", "std_yaw", "std_roll"),
]
_FLOATS = dict.fromkeys(NUMBERS, "float64")
IMAGE_COLUMNS = {"image": "str", "face": "int64", **_FLOATS}
VIDEO_COLUMNS = {"video": "str", "frame": "int64", "time_s": "float64", "face": "int64", **_FLOATS}

Found = tuple[int, FacePose]  # a face and its number


@dataclass
class Tally:
    """What was done, for the last line; `complain` is told of what could not be."""

    kind: str
    read: int = 0
    faces: int = 0
    unreadable: int = 0

    def complain(self, error: InputError) -> None:
        self.unreadable += 1
        tqdm.write(f"error: {' '.join(str(error).split())}", file=sys.stderr)

    def __str__(self) -> str:
        return f"{self.kind}: {self.read}, faces: {self.faces}, unreadable: {self.unreadable}"


@dataclass
class ImageRun:
    """drawn: each image, and the picture to write of it."""

    drawn: Mapping[Path, Path | None]
    columns = IMAGE_COLUMNS
    tally: Tally = field(default_factory=lambda: Tally("images"))

    def rows(self, head_pose: HeadPose) -> Iterator[Row]:
        frames = read_images(self.drawn, self.tally.complain)
        found = _predicted(head_pose, frames)
        disable = not self.drawn or None  # None: where stderr is no terminal
        for frame, faces in tqdm(found, total=len(self.drawn), unit="image", disable=disable):
            numbered = list(enumerate(faces, start=1))
            self.tally.read += 1
            self.tally.faces += len(faces)
            for number, face in numbered:
                yield {"image": _printable(frame.source), "face": number, **_numbers(face)}
            if target := self.drawn[frame.source]:
                write_png(_drawn(frame, numbered), target)


@dataclass
class VideoRun:
    """drawn: each video, and the one to write of it. smooth_s: None for poses as they are seen."""

    drawn: Mapping[Path, Path | None]
    smooth_s: float | None
    camera: Video | None = None
    columns = VIDEO_COLUMNS
    tally: Tally = field(default_factory=lambda: Tally("frames"))

    def rows(self, head_pose: HeadPose) -> Iterator[Row]:
        for path, target in self.drawn.items():
            try:
                video = self.camera or open_video(path)
                yield from self._rows_of(video, target, head_pose)
            except InputError as error:
                self.tally.complain(error)

    def _rows_of(self, video: Video, target: Path | None, head_pose: HeadPose) -> Iterator[Row]:
        frames = video.frames(self.tally.complain)
        if video.live:
            frames = _until_ctrl_c(frames)
        found = _predicted(head_pose, frames, live=video.live)
        bar = tqdm(found, video.source.name, video.count or None, unit="frame", disable=None)
        tracker, smoother = Tracker(), Smoother(self.smooth_s) if self.smooth_s else None
        with video_writer(target, video.fps) if target else nullcontext() as write:
            for frame, faces in bar:
                numbers = tracker.update([face.bbox_xyxy for face in faces])
                numbered = list(zip(numbers, faces, strict=True))
                if smoother:
                    numbered = [_smoothed(smoother, frame, *one) for one in numbered]
                self.tally.read += 1
                self.tally.faces += len(faces)
                yield from (_video_row(frame, *one) for one in numbered)
                if write:
                    write(_drawn(frame, numbered))


@dataclass
class Sources:
    """names: the files named, and the images in the folders → their names below what was named.

    empty: folders without an image. videos: how many lie in the folders.
    """

    names: dict[Path, Path] = field(default_factory=dict)
    empty: list[Path] = field(default_factory=list)
    videos: int = 0

    @property
    def ignored(self) -> str:
        return f"{self.videos} video{'s' if self.videos > 1 else ''}"


def sources_of(paths: list[Path], recursive: bool) -> Sources:
    sources = Sources()
    for path in paths:
        if not path.is_dir():
            sources.names[path] = Path(path.name)
            continue
        there = sorted(path.rglob("*") if recursive else path.iterdir())
        there = [one for one in there if not one.name.startswith(".")]
        found = [one for one in there if one.suffix.lower() in IMAGE_SUFFIXES]
        sources.names |= {one: one.relative_to(path) for one in found}
        sources.empty += [] if found else [path]
        sources.videos += sum(one.suffix.lower() in VIDEO_SUFFIXES for one in there)
    return sources


def run_of(
    sources: Sources, camera: int | None, folder: Path | None, smooth_s: float | None
) -> ImageRun | VideoRun:
    """The run over images, or over videos. folder: for drawn pictures.

    Folders without images are complained of. Raises InputError for a camera that is not there, and
    where a picture would take the place of another one or of its source; BadParameter for images
    beside videos, and images to be smoothed.
    """
    run = _run_of(sources.names, camera, folder, smooth_s)
    expected = ", ".join(sorted(IMAGE_SUFFIXES))
    for path in sources.empty:
        run.tally.complain(InputError(f"{path}: no image in this folder; expected {expected}"))
    return run


def _run_of(
    sources: Mapping[Path, Path], camera: int | None, folder: Path | None, smooth_s: float | None
) -> ImageRun | VideoRun:
    if camera is not None:
        live = open_camera(camera)
        return VideoRun(_targets({live.source: live.source}, folder, ".mp4"), smooth_s, live)
    videos = [path for path in sources if path.suffix.lower() in VIDEO_SUFFIXES]
    if videos and len(videos) == len(sources):
        return VideoRun(_targets(sources, folder, ".mp4"), smooth_s)
    if videos:
        raise typer.BadParameter(
            f"{videos[0]}: a video beside images; their tables differ, so ask twice."
        )
    if smooth_s:
        raise typer.BadParameter("--smooth is for videos, and these are images.")
    return ImageRun(_targets(sources, folder, ".png"))


def _targets(
    sources: Mapping[Path, Path], folder: Path | None, suffix: str
) -> dict[Path, Path | None]:
    if folder is None:
        return dict.fromkeys(sources)
    taken = {path.resolve(): path for path in sources}
    targets: dict[Path, Path | None] = {}
    for source, name in sources.items():
        target = folder / name.with_suffix(suffix)
        if other := taken.get(target.resolve()):
            raise InputError(f"{source}: its picture {target} would take the place of {other}'s")
        taken[target.resolve()] = source
        targets[source] = target
    return targets


def _predicted(
    head_pose: HeadPose, frames: Iterator[Frame], live: bool = False
) -> Iterator[tuple[Frame, list[FacePose]]]:
    """Each frame with its faces, in order. live: at once, instead of several at a time."""
    if live:
        yield from ((frame, head_pose.predict(frame.pixels)) for frame in frames)
        return
    waiting: deque[Frame] = deque()

    def images() -> Iterator[Pixels]:
        for frame in frames:
            waiting.append(frame)
            yield frame.pixels

    for faces in head_pose.predict_each(images()):
        yield waiting.popleft(), faces


def _until_ctrl_c(frames: Iterator[Frame]) -> Iterator[Frame]:
    """Of a camera, Ctrl-C is the end, and what was seen is written."""
    stop = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    return takewhile(lambda _: not stop.is_set(), frames)


def _smoothed(smoother: Smoother, frame: Frame, number: int, face: FacePose) -> Found:
    pyr_deg = smoother.update(number, frame.time_s, face.pyr_deg)
    return number, FacePose(face.bbox_xyxy, face.score, pyr_deg, face.std_deg)


def _video_row(frame: Frame, number: int, face: FacePose) -> Row:
    name, time_s = _printable(frame.source), round(frame.time_s, 4)
    return {"video": name, "frame": frame.index, "time_s": time_s, "face": number, **_numbers(face)}


def _numbers(face: FacePose) -> dict[str, float]:
    values = [*face.bbox_xyxy, face.score, *face.pyr_deg, *face.std_deg]
    return {name: round(float(value), 4) for name, value in zip(NUMBERS, values, strict=True)}


def _drawn(frame: Frame, faces: list[Found]) -> Pixels:
    image = frame.pixels
    for number, face in reversed(faces):  # the surest on top
        image = draw_face(image, face.bbox_xyxy, face.pyr_deg, number)
    return image


def _printable(path: Path) -> str:
    r"""Linux' file names are bytes: one that is no UTF-8 is shown as `\xff.jpg`."""
    return os.fsencode(path).decode(errors="backslashreplace")
