"""Images and videos are read completely and in order, and written whole; or errors name them."""

import re
import struct
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import cv2
import numpy as np
import pytest
from PIL import Image

from hpe_core.common.errors import InputError, UnreadableFileError
from hpe_core.inference import live, media


def grey(level: int, size_hw=(48, 64)) -> np.ndarray:
    return np.full((*size_hw, 3), level, np.uint8)


def write_video(path, frames, fps=20.0) -> None:
    with media.video_writer(path, fps) as write:
        for frame in frames:
            write(frame)


def read(path) -> tuple[media.Video, list[media.Frame], list[str]]:
    complaints: list[str] = []
    video = media.open_video(path)
    frames = list(video.frames(lambda error: complaints.append(str(error))))
    return video, frames, complaints


def test_images_in_order_without_those_that_cannot_be_read(tmp_path):
    for number in range(12):
        Image.fromarray(grey(number)).save(tmp_path / f"{number:02d}.png")
    (tmp_path / "03.png").write_bytes(b"junk")
    (tmp_path / "07.png").unlink()
    complaints = []
    frames = list(
        media.read_images([tmp_path / f"{n:02d}.png" for n in range(12)], complaints.append)
    )
    assert [frame.pixels[0, 0, 0] for frame in frames] == [0, 1, 2, 4, 5, 6, 8, 9, 10, 11]
    assert [frame.source.name for frame in frames][3:5] == ["04.png", "05.png"]
    assert [error.path.name for error in complaints] == ["03.png", "07.png"]


def test_a_video_comes_back_with_its_rate_its_times_and_its_colours(tmp_path):
    red, blue = grey(0), grey(0)
    red[..., 0], blue[..., 2] = 250, 250
    write_video(tmp_path / "v.mp4", [red, red, blue, blue, grey(90)])
    video, frames, complaints = read(tmp_path / "v.mp4")
    assert (video.fps, video.count, complaints) == (20.0, 5, [])
    assert [frame.index for frame in frames] == list(range(5))
    assert [frame.time_s for frame in frames] == pytest.approx([0, 0.05, 0.1, 0.15, 0.2])
    assert np.abs(frames[0].pixels.astype(int) - red).max() < 12
    assert np.abs(frames[3].pixels.astype(int) - blue).max() < 12


def test_odd_sides_lose_a_row_and_a_column_and_nothing_else(tmp_path):
    ramp = np.broadcast_to(np.arange(65, dtype=np.uint8)[None, :, None] * 3, (49, 65, 3)).copy()
    write_video(tmp_path / "v.mp4", [ramp] * 3)
    frames = read(tmp_path / "v.mp4")[1]
    assert frames[0].pixels.shape == (48, 64, 3)
    assert np.abs(frames[0].pixels.astype(int) - ramp[:48, :64]).max() < 12


def test_only_our_error_names_what_is_no_video(tmp_path, capfd):
    (tmp_path / "v.mp4").write_bytes(b"x" * 1000)
    with pytest.raises(UnreadableFileError, match=r"v\.mp4: no video that"):
        media.open_video(tmp_path / "v.mp4")
    with pytest.raises(UnreadableFileError, match=r"absent\.mp4: no such file"):
        media.open_video(tmp_path / "absent.mp4")
    assert capfd.readouterr() == ("", "")


def test_a_video_that_is_cut_off_gives_its_frames_and_is_named(tmp_path):
    path = tmp_path / "whole.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25.0, (64, 48))
    for seed in range(30):
        pixels = np.random.default_rng(seed).integers(0, 256, (48, 64, 3), dtype=np.uint8)
        writer.write(pixels)
    writer.release()
    content = path.read_bytes()
    (tmp_path / "cut.avi").write_bytes(content[: len(content) // 2])
    assert read(path)[2] == []
    _, frames, complaints = read(tmp_path / "cut.avi")
    assert 10 < len(frames) < 20
    assert complaints == [
        f"{tmp_path}/cut.avi: damaged or cut off: {len(frames)} of 30 frames can be read"
    ]


def matroska(path, frames: int, header_s: float, last_s: float) -> None:
    """An .mkv of 30 frames/s whose header announces a time, and whose last frame has another."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 30.0, (64, 48))
    for level in range(frames):
        writer.write(grey(level))
    writer.release()
    content = path.read_bytes()
    at = content.index(b"\x44\x89\x88") + 3  # Duration, 8 bytes, in ms
    content = content[:at] + struct.pack(">d", header_s * 1000) + content[at + 8 :]
    cluster = [*re.finditer(rb"\xe7\x82(..)\xa3", content, re.DOTALL)][-1]  # its time, ms
    block = [*re.finditer(rb"\x81(..)\x80\xff\xd8", content, re.DOTALL)][-1]  # after that
    after = round(last_s * 1000) - int.from_bytes(cluster[1], "big")
    path.write_bytes(content[: block.start(1)] + struct.pack(">h", after) + content[block.end(1) :])


@pytest.mark.parametrize(
    ("count", "header_s", "last_s"),
    [
        pytest.param(20, 11.0, 10.9, id="two frames a second"),
        pytest.param(24, 30.0, 29.5, id="slides"),
        pytest.param(25, 1.5, 1.49, id="a pause"),
        pytest.param(22, 8.0, 7.3, id="a last frame that stays"),
    ],
)
def test_frames_at_a_varying_rate_are_fewer_than_announced_and_all_there(
    tmp_path, count, header_s, last_s
):
    matroska(tmp_path / "vfr.mkv", count, header_s, last_s)
    video, frames, complaints = read(tmp_path / "vfr.mkv")
    assert (video.count, len(frames)) == (30 * header_s, count)
    assert frames[-1].time_s == pytest.approx(last_s)
    assert complaints == []


@pytest.mark.parametrize(
    ("count", "header_s", "last_s"),
    [
        pytest.param(20, 11.0, 19 / 30, id="at an even rate"),
        pytest.param(22, 11.0, 7.0, id="at a varying rate"),
        pytest.param(25, 1.0, 24 / 30, id="a few frames"),
    ],
)
def test_frames_that_end_long_before_the_time_that_is_announced_are_cut_off(
    tmp_path, count, header_s, last_s
):
    matroska(tmp_path / "cut.mkv", count, header_s, last_s)
    _, frames, complaints = read(tmp_path / "cut.mkv")
    assert len(frames) == count
    said = f"{count} of {30 * header_s:.0f} frames can be read"
    assert complaints == [f"{tmp_path}/cut.mkv: damaged or cut off: {said}"]


@pytest.mark.parametrize("codec", [b"av01", b"vvc1", b"apv1"])
def test_a_codec_that_opencv_lacks_is_named_and_not_called_damage(tmp_path, capfd, codec):
    """An .mp4 that says of its frames that they are AV1's, for which OpenCV has no decoder."""
    write_video(tmp_path / "v.mp4", [grey(level) for level in range(5)])
    content = (tmp_path / "v.mp4").read_bytes()
    assert content.count(b"mp4v") == 1
    (tmp_path / "v.mp4").write_bytes(content.replace(b"mp4v", codec).replace(b"esds", b"free"))
    with pytest.raises(UnreadableFileError) as error:
        media.open_video(tmp_path / "v.mp4")
    named = codec.decode()
    said = f"none of its 5 frames can be decoded (codec {named}); if other players show it,"
    assert error.value.reason.lower().startswith(said)
    assert capfd.readouterr() == ("", "")


def test_frames_of_a_codec_that_opencv_has_are_called_damaged(tmp_path, capfd):
    write_video(tmp_path / "v.mp4", [grey(level) for level in range(5)])
    content = (tmp_path / "v.mp4").read_bytes()
    at = content.index(b"mdat") + 4
    size = int.from_bytes(content[at - 8 : at - 4], "big") - 8
    (tmp_path / "v.mp4").write_bytes(content[:at] + bytes(size) + content[at + size :])
    with pytest.raises(UnreadableFileError) as error:
        media.open_video(tmp_path / "v.mp4")
    assert error.value.reason.startswith("damaged or cut off: none of its 5 frames can be decoded")
    assert "convert" not in error.value.reason


@pytest.mark.parametrize(
    ("fps", "written"),
    [(25, 25), (29.97, 29.97), (23.976, 23.976), (119.997, 120), (211.222, 211.22), (0.5, 0.5)],
)
def test_a_rate_that_the_codec_cannot_express_is_rounded(tmp_path, fps, written):
    write_video(tmp_path / "v.mp4", [grey(level) for level in range(6)], fps)
    video, frames, complaints = read(tmp_path / "v.mp4")
    assert (len(frames), complaints) == (6, [])
    assert video.fps == pytest.approx(written, abs=1e-3)


def test_kinds_of_files_are_told_by_their_content(tmp_path):
    write_video(tmp_path / "v.mp4", [grey(1)] * 3)
    (tmp_path / "v.dat").write_bytes((tmp_path / "v.mp4").read_bytes())
    (tmp_path / "v.jpg").write_bytes((tmp_path / "v.mp4").read_bytes())
    Image.fromarray(grey(9)).save(tmp_path / "i.avif")
    Image.fromarray(grey(9)).save(tmp_path / "i.mp4", "PNG")
    (tmp_path / "n.txt").write_text("no video")
    (tmp_path / "n.wmv").write_text("no video, but so named")
    kinds = {path.name: media.is_video(path) for path in tmp_path.iterdir()}
    assert {name for name, video in kinds.items() if video} == {"v.mp4", "v.dat", "n.wmv"}
    assert media.is_video(tmp_path / "absent.mp4") and not media.is_video(tmp_path / "absent.png")


NUMBERED = [
    pytest.param("%d.png", ["2.png", "10.png", "111.png"], id="as numbers, not as text"),
    pytest.param("f_%03d.png", ["f_000.png", "f_001.png", "f_007.png"], id="a gap"),
    pytest.param("a.b+%05d.c.jpg", ["a.b+00001.c.jpg", "a.b+00002.c.jpg"], id="signs of patterns"),
]


@pytest.mark.parametrize(("pattern", "names"), NUMBERED)
def test_numbered_frames_are_a_video(tmp_path, pattern, names):
    for level, name in enumerate([*names, "other.png", "x1.png", "1.png.txt", "f_1x.png"]):
        Image.fromarray(grey(20 * level)).save(tmp_path / name, "PNG")
    path = tmp_path / pattern
    assert media.is_video(path)
    video, frames, complaints = read(path)
    assert (video.fps, video.count, complaints) == (25.0, len(names), [])
    assert [frame.pixels[0, 0].tolist() for frame in frames] == [
        [20 * level] * 3 for level in range(len(names))
    ]
    assert [frame.time_s for frame in frames] == pytest.approx([n / 25 for n in range(len(names))])
    assert {frame.source for frame in frames} == {path}


def test_numbered_frames_keep_their_colours_and_stand_upright(tmp_path):
    lying = np.zeros((20, 40, 3), np.uint8)
    lying[:, :, 0], lying[:5, :, 2] = 200, 100
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(lying).save(tmp_path / "1.png", exif=exif)
    (frame,) = read(tmp_path / "%d.png")[1]
    np.testing.assert_array_equal(frame.pixels, np.rot90(lying, -1))


def test_numbered_frames_that_are_none_or_no_images_are_named(tmp_path):
    with pytest.raises(
        UnreadableFileError, match=r"%d\.png: no file has such a name, with a number"
    ):
        media.open_video(tmp_path / "%d.png")
    Image.fromarray(grey(1)).save(tmp_path / "1.png")
    (tmp_path / "2.png").write_bytes(b"junk")
    assert [complaint.split(": ")[1] for complaint in read(tmp_path / "%d.png")[2]] == [
        "no image, or a damaged one"
    ]


def test_a_damaged_frame_is_named_and_those_after_it_are_read(tmp_path):
    for number in range(4):
        Image.fromarray(grey(50 * number)).save(tmp_path / f"{number}.png")
    (tmp_path / "1.png").write_bytes(b"junk")
    _, frames, complaints = read(tmp_path / "%d.png")
    assert [frame.pixels[0, 0, 0] for frame in frames] == [0, 100, 150]
    assert [frame.index for frame in frames] == [0, 2, 3]
    (complaint,) = complaints
    assert f"{tmp_path}/1.png: no image" in complaint


@pytest.mark.parametrize(("size_hw", "beside"), [((96, 128), 0), ((48, 32), 16), ((12, 64), 18)])
def test_frames_of_another_size_are_fitted_into_the_first(tmp_path, size_hw, beside):
    """As large as the first allows, in the middle."""
    write_video(tmp_path / "v.mp4", [grey(200), grey(200, size_hw), grey(200)])
    _, frames, _ = read(tmp_path / "v.mp4")
    assert [frame.pixels.shape for frame in frames] == [(48, 64, 3)] * 3
    fitted = frames[1].pixels[..., 0].astype(int)
    rows, columns = (fitted > 100).any(1), (fitted > 100).any(0)
    black = [~rows, ~columns][0 if size_hw == (12, 64) else 1]
    assert black.sum() == pytest.approx(2 * beside, abs=2)
    assert black[: max(beside - 1, 0)].all()


def test_a_file_that_has_a_percent_sign_is_itself(tmp_path):
    Image.fromarray(grey(1)).save(tmp_path / "100%d.png")
    assert not media.is_video(tmp_path / "100%d.png")
    assert not media.is_video(tmp_path / "5%.png")


@pytest.mark.parametrize(
    ("camera", "message"),
    [
        pytest.param("97", "camera 97: OpenCV gets no picture", id="number"),
        pytest.param("rtsp://localhost:1/live", "stream localhost-1: OpenCV gets no", id="stream"),
        pytest.param("front", "camera 'front'; expected a number from 0, or rtsp", id="a name"),
        pytest.param("-1", "camera '-1'; expected a number", id="negative"),
        pytest.param("9" * 11, "camera '9+'; expected a number", id="too large for a number"),
        pytest.param("rtsp://[::1/x", "stream stream: OpenCV gets no", id="no address"),
        pytest.param("ftp://a:secret@cam/x", r"camera ftp:…; expected a", id="another protocol"),
    ],
)
def test_no_camera_is_one_line(capfd, camera, message):
    with pytest.raises(InputError, match=message):
        live.open_camera(camera)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("rtsp://admin:secret@10.0.0.7:554/h264/ch1?token=secret", "10-0-0-7-554"),
        ("http://cam.example.org/user=admin_password=secret.mjpg", "cam-example-org"),
        ("udp://@:1234", "1234"),
        ("rtsp://[::1/x", "stream"),
    ],
)
def test_a_stream_is_named_without_what_is_secret(address, name):
    assert live.stream_name(address) == name


def test_a_stream_is_read_over_http(tmp_path):
    """A file behind http is a stream: frames as they come, timed by the clock."""
    write_video(tmp_path / "v.mp4", [grey(40 * n) for n in range(5)])
    serve = partial(QuietHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), serve) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            video = live.open_camera(f"http://user:word@127.0.0.1:{server.server_port}/v.mp4")
            frames = list(video.frames(pytest.fail))
        finally:
            server.shutdown()
            thread.join()
    assert [round(frame.pixels.mean() / 40) for frame in frames] == list(range(5))
    assert frames[0].source.name == f"127-0-0-1-{server.server_port}"
    assert video.live


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None: ...


class Screen:
    """OpenCV's windows; `keys` are pressed one by one; visible: what it says of the window."""

    def __init__(self, monkeypatch, keys=(), visible=1.0):
        self.shown, self.keys = [], iter(keys)
        monkeypatch.setenv("DISPLAY", ":0")
        patched = {
            "namedWindow": lambda *_: None,
            "imshow": lambda _, image: self.shown.append(image),
            "waitKey": lambda _: next(self.keys, -1),
            "getWindowProperty": lambda *_: visible,
        }
        for name, function in patched.items():
            monkeypatch.setattr(live.cv2, name, function)


@pytest.mark.parametrize(
    ("key", "visible", "goes_on"),
    [
        (-1, 1.0, True),
        (ord("x"), 1.0, True),
        (ord("q"), 1.0, False),
        (27, 1.0, False),
        (27 + 256, 1.0, False),
        (-1, 0.0, False),
        (-1, -1.0, False),
    ],
)
def test_a_window_shows_until_a_key_or_its_cross_ends_it(monkeypatch, key, visible, goes_on):
    screen = Screen(monkeypatch, [key], visible)
    red = grey(0)
    red[..., 0] = 255
    window = live.Window()
    window.show(red)
    assert window.open is goes_on
    assert screen.shown[0][0, 0].tolist() == [0, 0, 255]  # OpenCV's order


def test_without_display_or_windows_that_is_said(monkeypatch):
    monkeypatch.setattr(live.sys, "platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(InputError, match="--show: there is no display; --draw writes"):
        live.Window()
    monkeypatch.setenv("DISPLAY", ":0")
    with pytest.raises(InputError, match="this OpenCV has no windows; put opencv-python in"):
        live.Window()  # the package requires opencv-python-headless


@pytest.mark.parametrize("when", ["raised", "unwritable", "empty"])
def test_a_video_is_written_whole_or_not_at_all(tmp_path, when, monkeypatch):
    if when == "unwritable":
        monkeypatch.setattr(media.cv2.VideoWriter, "fourcc", lambda *_: -7)
    with (
        pytest.raises((InputError, KeyboardInterrupt)),
        media.video_writer(tmp_path / "v.mp4", 20.0) as write,
    ):
        if when != "empty":
            write(grey(1))
        if when == "raised":
            raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_png(tmp_path):
    pixels = np.random.default_rng(1).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    media.write_png(pixels, tmp_path / "new" / "i.png")
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "new" / "i.png")), pixels)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["i.png"]
