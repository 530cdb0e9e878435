"""`hpe predict`: a row per face, and drawings, of images, videos, a camera or a stream."""

import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from itertools import takewhile, tee
from pathlib import Path
from threading import Event

import typer
from tqdm import tqdm

from hpe_core.common.errors import InputError
from hpe_core.common.files import printable
from hpe_core.common.geometry import ANGLES, DIRECTION, pyr_from_rotation, ray_rotation
from hpe_core.crops.window import Pixels
from hpe_core.faces.boxes import centre
from hpe_core.faces.images import frame_count
from hpe_core.inference.draw import draw_face
from hpe_core.inference.live import Window, open_camera
from hpe_core.inference.media import (
    Frame,
    Video,
    is_video,
    open_video,
    read_images,
    video_writer,
    write_png,
)
from hpe_core.inference.paths import MediaFiles, drawings_of
from hpe_core.inference.row_files import OutputRow
from hpe_core.inference.tracking import Smoother, Tracker
from hpe_core.predictor import FacePose, HeadPose

DETECT_EVERY = 10  # frames; at 30 frames/s a new face waits for a third of a second
_STD = [f"std_{angle}" for angle in ANGLES]
POSE_COLUMNS = ["x1", "y1", "x2", "y2", "score", *ANGLES, *_STD, *DIRECTION]
_FLOATS = dict.fromkeys(POSE_COLUMNS, "float64")
IMAGE_COLUMNS = {"image": "str", "face": "int64", **_FLOATS}
VIDEO_COLUMNS = {"video": "str", "frame": "int64", "time_s": "float64", "face": "int64", **_FLOATS}


@dataclass
class Tally:
    """Counts for the summary line. `complain` prints an error and counts what is unreadable."""

    kind: str
    read: int = 0
    faces: int = 0
    unreadable: int = 0

    def count(self, faces: Sequence[FacePose]) -> None:
        self.read += 1
        self.faces += len(faces)

    def complain(self, error: InputError) -> None:
        self.unreadable += 1
        tqdm.write(f"error: {' '.join(str(error).split())}", file=sys.stderr)

    def __str__(self) -> str:
        return f"{self.kind}: {self.read}, faces: {self.faces}, unreadable: {self.unreadable}"


@dataclass
class ImageRun:
    """drawings: image → the drawing of it to write, or None."""

    drawings: Mapping[Path, Path | None]
    columns = IMAGE_COLUMNS
    tally: Tally = field(default_factory=lambda: Tally("images"))

    def rows(self, head_pose: HeadPose) -> Iterator[OutputRow]:
        frames = read_images(self.drawings, self.tally.complain)
        frames, read = tee(frames)
        found = zip(frames, head_pose.predict_each(frame.pixels for frame in read), strict=True)
        disable = not self.drawings or None  # None: where stderr is no terminal
        for frame, faces in tqdm(found, total=len(self.drawings), unit="image", disable=disable):
            self.tally.count(faces)
            if (count := frame_count(frame.source)) > 1:
                said = f"note: {frame.source}: {count} frames, of which the first is read"
                tqdm.write(printable(said), file=sys.stderr)
            if frame.divisor > 1:
                said = f"note: {frame.source}: read at 1/{frame.divisor} of its size"
                tqdm.write(printable(said), file=sys.stderr)
            numbers = range(1, len(faces) + 1)
            own: OutputRow = {"image": printable(str(frame.source))}
            yield from _rows(own, numbers, faces, frame.divisor)
            if target := self.drawings[frame.source]:
                write_png(_draw_faces(frame, numbers, faces, head_pose.fov_deg), target)


@dataclass
class VideoRun:
    """drawings: video → the drawn video to write, or None. smooth_s: None for no smoothing;
    detect_every: of `HeadPose.follow`. window: where the drawings are shown.
    """

    drawings: Mapping[Path, Path | None]
    smooth_s: float | None
    detect_every: int
    camera: Video | None = None
    window: Window | None = None
    columns = VIDEO_COLUMNS
    tally: Tally = field(default_factory=lambda: Tally("frames"))

    def rows(self, head_pose: HeadPose) -> Iterator[OutputRow]:
        for path, target in self.drawings.items():
            try:
                video = self.camera or open_video(path)
                yield from self._rows_of(video, target, head_pose)
            except InputError as error:
                self.tally.complain(error)
            if self.window and not self.window.open:
                break

    def _rows_of(
        self, video: Video, target: Path | None, head_pose: HeadPose
    ) -> Iterator[OutputRow]:
        frames = video.frames(self.tally.complain)
        if video.live:
            frames = _until_ctrl_c(frames)
        frames, read = tee(frames)
        followed = head_pose.follow((frame.pixels for frame in read), self.detect_every)
        found = zip(frames, followed, strict=False)
        bar = tqdm(found, video.source.name, video.count or None, unit="frame", disable=None)
        tracker, smoother = Tracker(), Smoother(self.smooth_s) if self.smooth_s else None
        with video_writer(target, video.fps) if target else nullcontext() as write:
            for frame, faces in bar:
                self.tally.count(faces)
                numbers = tracker.update([face.bbox_xyxy for face in faces])
                if smoother:
                    faces = [
                        replace(face, pyr_deg=smoother.update(number, frame.time_s, face.pyr_deg))
                        for number, face in zip(numbers, faces, strict=True)
                    ]
                video_name, time_s = printable(str(frame.source)), round(frame.time_s, 4)
                own: OutputRow = {"video": video_name, "frame": frame.index, "time_s": time_s}
                yield from _rows(own, numbers, faces)
                if write or self.window:
                    drawn = _draw_faces(frame, numbers, faces, head_pose.fov_deg)
                    if write:
                        write(drawn)
                    if self.window:
                        self.window.show(drawn)
                        if not self.window.open:
                            break


def plan_run(
    media: MediaFiles,
    camera: str | None,
    folder: Path | None,
    smooth_s: float | None,
    detect_every: int | None,
    show: bool,
) -> ImageRun | VideoRun:
    """The run over images, or over videos. folder: for drawings.

    Complains of folders without images. Raises InputError for a missing camera, and where a drawing
    would overwrite a source or another drawing; BadParameter for images beside videos, and for
    images with an option of videos. show: in a window.
    """
    names = media.names
    videos = [path for path in names if is_video(path)]
    every = DETECT_EVERY if detect_every is None else detect_every
    run: ImageRun | VideoRun
    if camera is not None:
        live = open_camera(camera)
        run = VideoRun(
            drawings_of({live.source: live.source}, folder, ".mp4"), smooth_s, every, live
        )
    elif videos and len(videos) == len(names):
        run = VideoRun(drawings_of(names, folder, ".mp4"), smooth_s, every)
    elif videos:
        raise typer.BadParameter(
            f"{videos[0]}: a video beside images; their tables differ, so give them separately."
        )
    elif smooth_s or show or detect_every is not None:
        option = "--smooth" if smooth_s else "--show" if show else "--detect-every"
        raise typer.BadParameter(f"{option} is for videos; these are images.")
    else:
        run = ImageRun(drawings_of(names, folder, ".png"))
    if show and isinstance(run, VideoRun):
        run.window = Window()
    for path in media.empty:
        run.tally.complain(InputError(f"{path}: no image in this folder"))
    return run


def _until_ctrl_c(frames: Iterator[Frame]) -> Iterator[Frame]:
    """Ctrl-C ends a camera's frames, so that rows and drawings so far are written."""
    stop = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    return takewhile(lambda _: not stop.is_set(), frames)


def _rows(
    own: OutputRow, numbers: Sequence[int], faces: Sequence[FacePose], divisor: int = 1
) -> Iterator[OutputRow]:
    """divisor: of the sides of the image that the faces were found in."""
    for number, face in zip(numbers, faces, strict=True):
        values = [
            *(face.bbox_xyxy * divisor),
            face.score,
            *face.pyr_deg,
            *face.std_deg,
            *face.direction,
        ]
        rounded = [round(float(value), 4) + 0.0 for value in values]  # no -0.0
        yield {**own, "face": number, **dict(zip(POSE_COLUMNS, rounded, strict=True))}


def _draw_faces(
    frame: Frame, numbers: Sequence[int], faces: Sequence[FacePose], fov_deg: float | None
) -> Pixels:
    """fov_deg: of poses in the camera's frame, which are drawn as they are seen along the ray."""
    image = frame.pixels
    for number, face in reversed(list(zip(numbers, faces, strict=True))):  # the surest on top
        pyr_deg = face.pyr_deg
        if fov_deg is not None:
            size_wh = (image.shape[1], image.shape[0])
            ray = ray_rotation(centre(face.bbox_xyxy), size_wh, fov_deg)
            pyr_deg = pyr_from_rotation(ray.T @ face.rotation)
        image = draw_face(image, face.bbox_xyxy, pyr_deg, number)
    return image
