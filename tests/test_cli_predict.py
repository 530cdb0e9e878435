"""`hpe predict`: tables and pictures are HeadPose's, errors are one line, exit codes are right."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from test_predictor import BOXES, CROP, FOUND, student
from tiny_onnx import write_network
from typer.testing import CliRunner

from hpe_core.cli.app import app, main
from hpe_core.common.geometry import rotation_from_pyr
from hpe_core.common.table_files import read_table
from hpe_core.inference import media
from hpe_core.inference.draw import draw_face
from hpe_core.networks.checkpoints import save_network
from hpe_core.predictor import HeadPose

COLUMNS = "face,x1,y1,x2,y2,score,pitch,yaw,roll,std_pitch,std_yaw,std_roll,dir_x,dir_y,dir_z"
ROOT = Path(__file__).parents[1]


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    """A folder, the current one, with a network, a detector of two faces, and images i/a.png …"""
    rows = np.zeros((84, 5), np.float32)
    for at, (x1, y1, x2, y2, score) in enumerate(FOUND):
        rows[at] = [(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1, score]
    write_network(tmp_path / "d.onnx", rows.T.copy())
    rules = {"crop": CROP, "boxes": {**BOXES, "path": str(tmp_path / "d.onnx"), "scale": 2.0}}
    save_network(student(), tmp_path / "n.safetensors", "resnet8", (16, 16), rules)
    (tmp_path / "i" / "deep").mkdir(parents=True)
    for seed, name in enumerate(("b.PNG", "a.png", "deep/a.png")):
        Image.fromarray(noise(seed)).save(tmp_path / "i" / name)
    (tmp_path / "i" / "notes.txt").write_text("no image")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (64, 64, 3), dtype=np.uint8)


def write_video(path: str, frames: int = 6) -> None:
    with media.video_writer(Path(path), 20.0) as write:
        for seed in range(frames):
            write(noise(seed))


def hpe(*arguments: str, code: int = 0):
    """→ stdout, stderr."""
    options = [] if "--network" in arguments else ["--network", "n.safetensors"]
    result = CliRunner().invoke(app, ["predict", *arguments, *options])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.stderr
    return result.stdout, result.stderr


def table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_the_table_is_what_head_pose_predicts(place):
    out, err = hpe("i/b.PNG", "i/a.png")
    assert out.splitlines()[0] == f"image,{COLUMNS}"
    rows = table(out)
    assert [(row["image"], row["face"]) for row in rows] == [
        *[("i/b.PNG", "1"), ("i/b.PNG", "2"), ("i/a.png", "1"), ("i/a.png", "2")]
    ]
    head_pose = HeadPose.load("n.safetensors")
    faces = [face for image in ("i/b.PNG", "i/a.png") for face in head_pose.predict(image)]
    for row, face in zip(rows, faces, strict=True):
        expected = [*face.bbox_xyxy, face.score, *face.pyr_deg, *face.std_deg]
        expected += (-rotation_from_pyr(face.pyr_deg)[:, 2]).tolist()
        assert [float(row[name]) for name in COLUMNS.split(",")[1:]] == pytest.approx(
            expected, abs=1e-3
        )
    assert err == "images: 2, faces: 4, unreadable: 0\n"


def test_a_photograph_beyond_the_limit_has_rows_in_its_own_pixels(place, monkeypatch):
    """Each box is twice as far from the corner as in the halved picture, which is drawn."""
    whole = np.asarray(Image.fromarray(noise(0)).resize((128, 128)))
    Image.fromarray(whole).save("large.jpg", quality=95)
    with Image.open("large.jpg") as image:
        image.draft("RGB", (64, 64))
        Image.fromarray(np.asarray(image)).save("small.png")
    monkeypatch.setenv("HPE_MAX_PIXELS", str(64 * 64))
    out, err = hpe("large.jpg", "--draw", "drawn")
    assert "note: large.jpg: read at 1/2 of its size\n" in err
    small = table(hpe("small.png")[0])
    for row, half in zip(table(out), small, strict=True):
        for name in COLUMNS.split(",")[1:]:
            factor = 2 if name in ("x1", "y1", "x2", "y2") else 1
            assert float(row[name]) == pytest.approx(factor * float(half[name]), abs=1e-3)
    with Image.open("drawn/large.png") as drawn:
        assert drawn.size == (64, 64)


def test_a_wide_picture_is_drawn_as_it_is_seen(place):
    """Axes along the ray to each face, as without --fov; the table has the camera's frame."""
    plain, _ = hpe("i/a.png", "--draw", "plain")
    wide, _ = hpe("i/a.png", "--fov", "90", "--draw", "wide")
    first, second = (np.asarray(Image.open(f"{name}/a.png")) for name in ("plain", "wide"))
    assert np.abs(first.astype(int) - second).mean() < 0.2  # up to rounding
    (before, *_), (after, *_) = table(plain), table(wide)
    assert abs(float(before["yaw"]) - float(after["yaw"])) > 3


def test_q_ends_all_videos(place, monkeypatch):
    class Closed:
        open = False
        shown = 0

        def show(self, image):
            self.shown += 1

    window = Closed()
    monkeypatch.setattr("hpe_core.inference.predict_files.Window", lambda: window)
    write_video("v.mp4")
    write_video("w.mp4")
    out, err = hpe("v.mp4", "w.mp4", "--show")
    assert window.shown == 1
    assert {row["frame"] for row in table(out)} == {"0"}
    assert "frames: 1, faces: 2" in err
    assert "--show is for videos" in hpe("i/a.png", "--show", code=2)[1]


def test_the_address_of_a_stream_is_not_repeated(place):
    said = hpe("rtsp://admin:secret@cam/x", code=2)[1]
    assert "give it as --camera" in said and "secret" not in said


def test_json_is_one_array_of_the_same_numbers(place):
    rows = json.loads(hpe("i/a.png", "--format", "json")[0])
    for row, same in zip(rows, table(hpe("i/a.png")[0]), strict=True):
        assert {name: str(value) for name, value in row.items()} == same
    assert isinstance(rows[0]["face"], int)


def test_a_folder_is_its_images_in_order_and_deeper_ones_if_asked(place):
    assert [row["image"] for row in table(hpe("i")[0])][::2] == ["i/a.png", "i/b.PNG"]
    deep = [row["image"] for row in table(hpe("i", "--recursive")[0])][::2]
    assert deep == ["i/a.png", "i/b.PNG", "i/deep/a.png"]


@pytest.mark.parametrize(
    ("options", "file"),
    [
        pytest.param(["--out", "t.csv"], "t.csv", id="csv"),
        pytest.param(["--out", "t.json"], "t.json", id="json"),
        pytest.param(["--out", "t.parquet"], "t.parquet", id="parquet"),
        pytest.param(["--out", "t", "--format", "json"], "t", id="format before name"),
        pytest.param(["--out", ".", "--format", "parquet"], "predictions.parquet", id="folder"),
    ],
)
def test_out(place, options, file):
    expected = pd.DataFrame(json.loads(hpe("i", "--format", "json")[0]))
    assert hpe("i", *options)[0] == ""
    read = {"csv": pd.read_csv, "json": pd.read_json, "": pd.read_json, "parquet": read_table}
    found = read[Path(file).suffix.removeprefix(".")](Path(file))
    pd.testing.assert_frame_equal(found, expected, check_dtype=False)
    assert not list(place.glob(".*")), "nothing temporary is left"


@pytest.mark.parametrize("form", ["csv", "json", "parquet"])
def test_images_without_faces_make_an_empty_table(place, form):
    write_network(place / "none.onnx", np.zeros((5, 84), np.float32))
    err = hpe("i/a.png", "--detector", "none.onnx", "--out", f"t.{form}")[1]
    assert err == "images: 1, faces: 0, unreadable: 0\n"
    if form == "csv":
        assert Path("t.csv").read_text() == f"image,{COLUMNS}\n"
    elif form == "json":
        assert json.loads(Path("t.json").read_text()) == []
    else:
        assert list(read_table(Path("t.parquet"))) == ["image", *COLUMNS.split(",")]


@pytest.mark.parametrize(("form", "expected"), [("json", "[]\n"), ("csv", f"image,{COLUMNS}\n")])
def test_a_folder_without_images_is_named_and_makes_an_empty_table(place, form, expected):
    Path("empty").mkdir()
    out, err = hpe("empty", "--format", form, code=1)
    assert out == expected
    assert err.splitlines()[0] == "error: empty: no image in this folder"
    assert err.splitlines()[1:] == ["images: 0, faces: 0, unreadable: 1"]
    assert len(table(hpe("empty", "i", code=1)[0])) == 4, "the others are read"


def test_what_a_folder_holds_besides_images_is_counted_by_ending(place):
    Path("i/notes.txt").unlink()
    assert "ignored" not in hpe("i")[1]
    for name in ("v.mp4", "n.txt", "o.TXT", "README", "deep/w.MOV"):
        Path("i", name).touch()
    Path("i/p.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(99))
    expected = "2 .txt, 1 without ending, 1 .heic, 1 .mp4 (videos: name each itself)"
    found = hpe("i")[1].splitlines()[-1]
    assert found.startswith("ignored in folders: 2 .txt, ")
    assert set(found.removeprefix("ignored in folders: ").split(", ")) == set(expected.split(", "))
    assert "1 .mov (videos: name each itself)" in hpe("i", "--recursive")[1]
    assert "i/p.heic: a HEIC image" in hpe("i/p.heic", code=1)[1]


def test_images_are_read_whatever_their_ending(place):
    picture = Image.open("i/a.png")
    Path("k").mkdir()
    picture.save("k/a.jfif", "JPEG")
    picture.save("k/b.avif")
    picture.save("k/c", "PNG")
    picture.save("k/d.dat", "WEBP")
    picture.save("k/e.gif", save_all=True, append_images=[picture.rotate(90)])
    picture.save("k/f.jpg", "MPO", save_all=True, append_images=[picture])
    out, err = hpe("k")
    assert [row["image"] for row in table(out)[::2]] == [
        f"k/{name}" for name in ("a.jfif", "b.avif", "c", "d.dat", "e.gif", "f.jpg")
    ]
    assert "note: k/e.gif: 2 frames, of which the first is read" in err
    assert "f.jpg" not in err, "a preview is no frame"
    assert "ignored" not in err


def test_unreadable_files_are_named_and_skipped(place):
    (place / "i" / "aa.jpg").write_bytes(b"junk")
    out, err = hpe("i", "absent.jpg", code=1)
    assert [row["image"] for row in table(out)][::2] == ["i/a.png", "i/b.PNG"]
    first, *others = err.splitlines()
    assert first.startswith("error: i/aa.jpg: no image, or a damaged one: expected JPEG, PNG")
    assert others == [
        "error: absent.jpg: no such file",
        "images: 2, faces: 4, unreadable: 2",
        "ignored in folders: 1 .txt",
    ]


def test_drawings_are_named_after_their_images_and_show_their_faces(place):
    hpe("i", "--recursive", "--draw", "d")
    drawn = {path.relative_to("d").as_posix() for path in Path("d").rglob("*.*")}
    assert drawn == {"a.png", "b.png", "deep/a.png"}
    expected = noise(1)
    faces = HeadPose.load("n.safetensors").predict("i/a.png")
    for number, face in ((2, faces[1]), (1, faces[0])):
        expected = draw_face(expected, face.bbox_xyxy, face.pyr_deg, number)
    np.testing.assert_array_equal(np.asarray(Image.open("d/a.png")), expected)


def test_no_drawing_overwrites_another_or_a_source(place):
    before = (place / "i" / "a.png").read_bytes()
    assert (
        "i/a.png: the path of its drawing, i/a.png, is taken by i/a.png"
        in hpe("i", "--draw", "i", code=1)[1]
    )
    assert (
        "deep/a.png: the path of its drawing, d/a.png, is taken by i/a.png"
        in hpe("i/a.png", "i/deep/a.png", "--draw", "d", code=1)[1]
    )
    assert (place / "i" / "a.png").read_bytes() == before


@pytest.mark.parametrize(
    "out", ["i/a.png", "./i/../i/a.png", "link", "n.safetensors", "d.onnx", "v.mp4"]
)
def test_no_table_overwrites_an_input(place, out):
    write_video("v.mp4", 1)
    Path("link").symlink_to("i/a.png")
    before = Path(out).read_bytes()
    given = "v.mp4" if out == "v.mp4" else "i"
    err = hpe(given, "--out", out, "--format", "csv", code=2)[1]
    assert f"--out is {Path(out)}, an input; it would be overwritten." in err
    assert Path(out).read_bytes() == before


def test_a_table_may_overwrite_an_older_one(place):
    Path("t.CSV").write_text("older")
    hpe("i", "--out", "t.CSV")
    assert len(table(Path("t.CSV").read_text())) == 4


def test_a_video_has_frames_times_and_tracks(place):
    write_video("v.mp4")
    out, err = hpe("v.mp4", "--draw", "d")
    assert out.splitlines()[0] == f"video,frame,time_s,{COLUMNS}"
    rows = table(out)
    assert [row["frame"] for row in rows] == [str(n) for n in range(6) for _ in range(2)]
    assert [row["time_s"] for row in rows][::2] == ["0.0", "0.05", "0.1", "0.15", "0.2", "0.25"]
    assert [row["face"] for row in rows] == ["1", "2"] * 6
    assert err == "frames: 6, faces: 12, unreadable: 0\n"
    drawn = media.open_video(Path("d/v.mp4"))
    assert (drawn.count, drawn.fps) == (6, 20.0)
    frames = list(drawn.frames(lambda error: pytest.fail(str(error))))
    sources = list(media.open_video(Path("v.mp4")).frames(lambda error: None))
    face = rows[4]  # of frame 2
    box, pose = (
        [float(face[k]) for k in keys.split()] for keys in ("x1 y1 x2 y2", "pitch yaw roll")
    )
    expected = draw_face(sources[2].pixels, box, pose, 1)
    y, x = np.nonzero((expected != sources[2].pixels).any(-1))
    changed = np.abs(frames[2].pixels.astype(int) - expected)[y, x].mean()
    unchanged = np.abs(frames[2].pixels.astype(int) - sources[2].pixels)[y, x].mean()
    assert changed < unchanged / 2, "up to what the codec loses"


def test_each_video_counts_its_own_faces_and_a_bad_one_is_named(place):
    """In the second video, which is bright, the face is further right."""
    face, bright = np.zeros((2, 5, 84), np.float32)
    face[:, 0], bright[0, 0] = [16, 32, 12, 12, 0.9], 32
    write_network(place / "moves.onnx", face, bright)
    write_video("v.mp4", 2)
    with media.video_writer(Path("w.mp4"), 20.0) as write:
        for _ in range(3):
            write(np.full((64, 64, 3), 250, np.uint8))
    Path("bad.mp4").write_bytes(b"junk")
    out, err = hpe("v.mp4", "bad.mp4", "w.mp4", "--detector", "moves.onnx", code=1)
    rows = table(out)
    assert [row["face"] for row in rows] == ["1"] * 5
    assert [row["video"] for row in rows] == ["v.mp4"] * 2 + ["w.mp4"] * 3
    assert float(rows[2]["x1"]) - float(rows[1]["x1"]) > 12
    assert err.splitlines()[0].startswith("error: bad.mp4: no video")


def test_a_video_without_frames_stops_no_other(place):
    writer = cv2.VideoWriter("whole.avi", cv2.VideoWriter.fourcc(*"MJPG"), 25.0, (64, 64))
    for seed in range(5):
        writer.write(noise(seed))
    writer.release()
    content = Path("whole.avi").read_bytes()
    Path("bare.avi").write_bytes(content[: content.index(b"movi") + 20])
    write_video("v.mp4", 2)
    out, err = hpe("bare.avi", "v.mp4", "--draw", "d", code=1)
    assert [row["video"] for row in table(out)] == ["v.mp4"] * 4
    assert err.splitlines()[0].startswith(
        "error: bare.avi: damaged or cut off: none of its 5 frames can be decoded (codec "
    )
    assert [path.name for path in Path("d").iterdir()] == ["v.mp4"]


def test_followed_faces_are_those_of_whole_frames(place):
    """The tiny detector's input has a fixed size: every frame is searched whole."""
    write_video("v.mp4")
    every_frame = hpe("v.mp4", "--detect-every", "1")[0]
    assert hpe("v.mp4")[0] == hpe("v.mp4", "--detect-every", "3")[0] == every_frame


def test_a_longer_time_smooths_more(place):
    write_video("v.mp4")

    def swings(*options) -> float:
        faces = pd.DataFrame(table(hpe("v.mp4", *options)[0])).astype({"yaw": float})
        return float(faces[faces["face"] == "1"]["yaw"].diff().abs().mean())

    seen, calm, calmer = swings(), swings("--smooth", "0.1"), swings("--smooth", "10")
    assert seen > 1.5 * calm > 3 * calmer


def test_a_camera_is_read_until_ctrl_c_and_its_files_are_whole(place, monkeypatch):
    class Camera:
        """Ctrl-C comes with the third frame."""

        frames = 0

        def __init__(self, number):
            assert number == 2

        def isOpened(self):  # noqa: N802
            return True

        def get(self, what):
            return 0.0

        def grab(self):
            self.frames += 1
            if self.frames == 3:
                os.kill(os.getpid(), signal.SIGINT)
            return self.frames < 9

        def retrieve(self):
            return True, noise(self.frames)

        def release(self):
            pass

    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with monkeypatch.context() as patched:
        patched.setattr(media.cv2, "VideoCapture", lambda n, *_: Camera(n) if n == 2 else real(n))
        real = lambda name: type("Counted", (), {"get": lambda *_: 2.0})()  # noqa: E731
        err = hpe("--camera", "2", "--out", "t.csv", "--draw", "d")[1]
    for number, handler in zip((signal.SIGINT, signal.SIGTERM), before, strict=True):
        signal.signal(number, handler)
    assert err == "frames: 2, faces: 4, unreadable: 0\n"
    rows = table(Path("t.csv").read_text())
    assert [row["frame"] for row in rows] == ["0", "0", "1", "1"]
    assert rows[0]["video"] == "camera2"
    assert 0 <= float(rows[0]["time_s"]) < float(rows[2]["time_s"]) < 60
    assert media.open_video(Path("d/camera2.mp4")).count == 2


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        pytest.param([], 2, "error: give PATHs or --camera", id="nothing"),
        pytest.param(["i", "--camera", "0"], 2, "give PATHs or --camera", id="both"),
        pytest.param(["i", "--format", "xml"], 2, "'--format': 'xml' is not one of", id="format"),
        pytest.param(["i", "--format", "parquet"], 2, "give --out a file", id="parquet on stdout"),
        pytest.param(["v.mp4", "--smooth", "0"], 2, "expected seconds > 0", id="no time"),
        pytest.param(["i", "--smooth", "1"], 2, "--smooth is for videos", id="smoothed images"),
        pytest.param(["i", "--input-px", "100"], 2, "expected a multiple of 32", id="odd input"),
        pytest.param(["i", "--input-px", "96"], 1, "fixes the input at 64 x 64", id="fixed input"),
        pytest.param(["i", "--score", "1.5"], 2, "'--score'", id="score"),
        pytest.param(["i", "--tiles", "0"], 2, "'--tiles'", id="tiles"),
        pytest.param(["v.mp4", "--detect-every", "0"], 2, "greater than or equal to 1", id="never"),
        pytest.param(["i", "--detect-every", "2"], 2, "--detect-every is for vid", id="followed"),
        pytest.param(["i", "--smooth", "a"], 2, "as a number. See `hpe --help`", id="text"),
        pytest.param(["i", "--fast"], 2, "options: --format). See `hpe --help`", id="option"),
        pytest.param(["i", "v.mp4"], 2, "v.mp4: a video beside images", id="mixed"),
        pytest.param(["i", "--draw", "n.safetensors"], 2, "a file; expected a folder", id="draw"),
        pytest.param(["i", "--network", "x.onnx"], 1, "x.onnx: no such network; `m", id="network"),
        pytest.param(["i", "--network", "x"], 1, "x: expected a network, .onnx", id="suffix"),
        pytest.param(
            ["i", "--network", "d.onnx"],
            1,
            "d.onnx: expected a file of `hpe export`",
            id="a detector",
        ),
        pytest.param(["i", "--detector", "x"], 1, "x: no such detector", id="detector"),
        pytest.param(["i", "--device", "gpu"], 2, "'gpu'; expected cpu, cuda", id="device"),
        pytest.param(["i", "--device", "cuda:99"], 1, "'cuda:99' cannot be used", id="no such"),
        pytest.param(["i", "--out", "new/t.csv"], 2, "no such folder: new.", id="new folder"),
        pytest.param(["i", "--out", "t"], 2, "t; expected a name that ends in .csv or", id="name"),
        pytest.param(["i", "--out", "t.txt"], 2, "or give --format", id="suffix"),
        pytest.param(
            ["i", "--out", "/dev/null", "--format", "csv"],
            2,
            "no regular file",
            id="device file",
        ),
        pytest.param(["--camera", "97"], 1, "camera 97: OpenCV gets no picture", id="camera"),
    ],
)
def test_errors_are_one_line(place, arguments, code, message):
    out, err = hpe(*arguments, code=code)
    assert message in err
    assert len(err.splitlines()) == 1
    assert code == 0 or out == "" or "--out" in arguments


def run(*arguments: str, **options) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "hpe_core.cli", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        command, capture_output=True, text=True, env=environment, check=False, **options
    )


def test_as_a_program(place):
    done = run("predict", "i/a.png", "absent.png", "--network", "n.safetensors", "--format=json")
    assert done.returncode == 1
    assert len(json.loads(done.stdout)) == 2
    assert done.stderr.splitlines() == [
        "error: absent.png: no such file",
        "images: 1, faces: 2, unreadable: 1",
    ]
    done = run("predict")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: give PATHs or --camera")


def test_a_closed_stdout_ends_it(place):
    command = f"{sys.executable} -m hpe_core.cli predict i --network n.safetensors | true"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"], capture_output=True, env=environment
    )
    assert (done.returncode, done.stderr) == (141, b"")


def test_help_is_quick_because_it_imports_nothing_heavy():
    code = "import sys, hpe_core.cli.app; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert not {"torch", "cv2", "pandas", "numpy", "scipy"} & set(done.stdout.split())
    assert "PATH" in CliRunner().invoke(app, ["predict", "--help"]).stdout


COMMANDS = ("predict", "convert", "data", "doctor", "evaluate", "export", "weights")


def helped(*words: str) -> str:
    """As at 80 columns, of which Typer takes 78."""
    return CliRunner().invoke(app, [*words, "--help"], terminal_width=78).stdout


def test_no_summary_is_cut_off():
    lines = helped().partition("Commands:\n")[2].splitlines()
    assert [line.split()[0] for line in lines] == list(COMMANDS)
    assert all(line.endswith(".") and not line.endswith("...") for line in lines)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_ends_with_an_example_and_has_whole_phrases(command):
    text = helped(command)
    assert text.splitlines()[-1].startswith(f"  Example: hpe {command}")
    assert max(map(len, text.splitlines())) <= 80
    assert not [line for line in text.splitlines() if "  Of " in line]


def test_the_installed_script_is_the_program():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert EntryPoint("hpe", project["scripts"]["hpe"], "console_scripts").load() is main


def test_the_driver_stops_with_ctrl_c(place, monkeypatch):
    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("hpe_core.cli.predict.find_media", stopped)
    assert hpe("i", code=130) == ("", "stopped\n")
