"""Live pictures: cameras and network streams to read, and a window to show."""

import os
import re
import sys
from pathlib import Path
from urllib.parse import urlsplit

import cv2

from hpe_core.common.errors import InputError
from hpe_core.crops.window import Pixels
from hpe_core.inference.media import DEFAULT_FPS, Video
from hpe_core.inference.paths import STREAM

_TITLE = "hpe predict (q ends it)"
_DIGITS = 4  # of a camera's number
_TIMEOUTS = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, 10_000, cv2.CAP_PROP_READ_TIMEOUT_MSEC, 10_000]
_END_KEYS = (27, ord("q"))  # 27: Escape


def open_camera(camera: str) -> Video:
    """A camera by its number, from 0, or a stream by its address, such as rtsp://…

    Raises InputError for what is neither, and where there is no picture. Of an address only host
    and port are named anywhere: the rest may be secret.
    """
    if camera.isdecimal() and len(camera) <= _DIGITS:
        named, capture = f"camera{int(camera)}", cv2.VideoCapture(int(camera))
        said, causes = f"camera {int(camera)}", "it is missing, or in use"
    elif STREAM.match(camera):
        named = stream_name(camera)
        said, causes = f"stream {named}", "no such stream, or one that it cannot decode"
        capture = cv2.VideoCapture(camera, cv2.CAP_FFMPEG, _TIMEOUTS)
    else:
        shown = f"{camera.partition(':')[0]}:…" if ":" in camera else repr(camera)
        raise InputError(f"camera {shown}; expected a number from 0, or rtsp://…, http://…")
    if not capture.isOpened() or not capture.grab():
        raise InputError(f"{said}: OpenCV gets no picture: {causes}")
    fps = capture.get(cv2.CAP_PROP_FPS)
    return Video(Path(named), fps if fps > 0 else DEFAULT_FPS, 0, capture, live=True)


def stream_name(address: str) -> str:
    """Host and port of an address, in letters that a file name may have; "stream" without."""
    try:
        parts = urlsplit(address)
        host, port = parts.hostname or "", parts.port or ""
    except ValueError:  # no such address: OpenCV will not open it either
        host = port = ""
    return re.sub(r"[^A-Za-z0-9]+", "-", f"{host}-{port}").strip("-") or "stream"


class Window:
    """A window of OpenCV's. Raises InputError where it has none, or there is no display.

    `open`: no key has ended it, and it has not been closed.
    """

    def __init__(self) -> None:
        self.open = True
        x11 = sys.platform.startswith("linux")
        if x11 and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
            # OpenCV would end the program
            raise InputError("--show: there is no display; --draw writes the pictures to files")
        try:
            cv2.namedWindow(_TITLE, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO)
        except cv2.error:
            raise InputError(
                "--show: this OpenCV has no windows; put opencv-python in the place of "
                "opencv-python-headless, or use --draw"
            ) from None

    def show(self, image_rgb: Pixels) -> None:
        cv2.imshow(_TITLE, cv2.cvtColor(image_rgb, cv2.COLOR_RGB2BGR))
        ended = cv2.waitKey(1) & 0xFF in _END_KEYS
        self.open = not ended and cv2.getWindowProperty(_TITLE, cv2.WND_PROP_VISIBLE) >= 1
