"""Corpora of a few files in their official layouts, for tests of the readers and the stages."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.io
from PIL import Image

from hpe_core.common.geometry import rotation_from_pyr

SIZE_HW = (48, 64)
POINTS_PX = np.stack([np.linspace(10, 50, 68), np.linspace(5, 40, 68)])  # box 10, 5, 50, 40
POSE_PARA_RAD = (-0.1, 0.5, 0.2)  # golden: 5.729577951, 28.647889757, 11.459155903 degrees
AFLW_TABLES = """
CREATE TABLE Faces (face_id INTEGER PRIMARY KEY, file_id TEXT, db_id TEXT);
CREATE TABLE FaceImages (image_id INTEGER PRIMARY KEY, db_id TEXT, file_id TEXT, filepath TEXT,
                         width INTEGER, height INTEGER);
CREATE TABLE FacePose (face_id INTEGER PRIMARY KEY, roll REAL, pitch REAL, yaw REAL);
CREATE TABLE FaceRect (face_id INTEGER PRIMARY KEY, x INTEGER, y INTEGER, w INTEGER, h INTEGER);
"""


def write_own(
    folder: Path,
    images: Sequence[str] = ("a/1.jpg", "a/2.jpg", "b.png"),
    table: str = "faces.csv",
    **columns: object,
) -> None:
    """Images, and a row of the table for each entry of `images`; `columns` come on top."""
    for image in set(images):
        write_image(folder / image)
    pose = {"pitch": 1.5, "yaw": -20.25, "roll": 0.1}
    faces = pd.DataFrame({"image": list(images)}).assign(**pose | columns)
    write = faces.to_csv if table.endswith(".csv") else faces.to_parquet
    write(folder / table, index=False)


def write_image(path: Path, seed: int = 0) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (*SIZE_HW, 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def write_pair(stem: Path, landmarks: str, **arrays: object) -> None:
    """stem.jpg and stem.mat; `arrays` replace what the .mat holds (None: leave it out)."""
    write_image(stem.with_suffix(".jpg"))
    points_3d = np.vstack([POINTS_PX, np.zeros(68)])
    content = {
        "Pose_Para": np.float32([[*POSE_PARA_RAD, 230, 260, -100, 0.0015]]),
        landmarks: points_3d if landmarks == "pt3d_68" else POINTS_PX,
        "roi": np.int16([[1, 2, 3, 4]]),
    } | arrays
    kept = {name: value for name, value in content.items() if value is not None}
    scipy.io.savemat(stem.with_suffix(".mat"), kept, do_compression=True)


def write_300w_lp(folder: Path, names: Sequence[str] = ("AFW_1_1_0", "AFW_1_1_1")) -> None:
    for part in ("AFW", "AFW_Flip"):
        for name in names:
            write_pair(folder / part / name, "pt2d")
    write_pair(folder / "landmarks" / "AFW_1_1_0_pts", "pts_2d")
    write_pair(folder / "Code" / "Mex" / "x", "pt2d")


def write_aflw2000(folder: Path, names: Sequence[str] = ("image00002", "image00004")) -> None:
    for name in names:
        write_pair(folder / name, "pt3d_68", pt2d=np.full((2, 21), -1.0))


def write_biwi(folder: Path, videos: Sequence[str] = ("01", "15"), frames: int = 2) -> None:
    for video in videos:
        for frame in range(3, 3 + frames):
            write_frame(
                folder / "hpdb" / video / f"frame_{frame:05d}", rotation_from_pyr([5, 9, 2])
            )


def write_frame(stem: Path, rotation: np.ndarray) -> None:
    """stem_rgb.png, stem_pose.txt and the depth file that no reader touches."""
    write_image(stem.with_name(f"{stem.name}_rgb.png"))
    rows = "".join(" ".join(f"{value:.6f}" for value in row) + " \n" for row in rotation)
    stem.with_name(f"{stem.name}_pose.txt").write_text(f"{rows}\n60.2 47.3 890.1 \n")
    stem.with_name(f"{stem.name}_depth.bin").write_bytes(b"\0" * 8)


def write_aflw(
    folder: Path,
    images: Sequence[str] = ("0/image00002.jpg", "2/image00003.png"),
    faces: Sequence[tuple[object, ...]] = ((39341, 0), (39342, 0), (39343, 1)),
) -> None:
    """faces: (face_id, index of its image), with pose and box as `add_face` has them."""
    for image in images:
        write_image(folder / "data" / "flickr" / image)
    with closing(sqlite3.connect(folder / "aflw.sqlite")) as base, base:
        base.executescript(AFLW_TABLES)
        for number, image in enumerate(images):
            row = (number, "flickr", Path(image).name, image, *SIZE_HW[::-1])
            base.execute("INSERT INTO FaceImages VALUES (?, ?, ?, ?, ?, ?)", row)
    for face_id, image in faces:
        add_face(folder, face_id, Path(images[image]).name)


def add_face(
    folder: Path,
    face_id: object,
    file_id: str,
    pitch_yaw_roll_rad: tuple[object, object, object] | None = (0.1, -0.4, 0.3),
    xywh: tuple[float, float, float, float] | None = (-3, 4, 20, 30),
) -> None:
    """One face; the default pose is golden.json's. None: no row in FacePose, in FaceRect."""
    with closing(sqlite3.connect(folder / "aflw.sqlite")) as base, base:
        base.execute("INSERT INTO Faces VALUES (?, ?, 'flickr')", (face_id, file_id))
        if pitch_yaw_roll_rad is not None:
            pitch, yaw, roll = pitch_yaw_roll_rad
            base.execute("INSERT INTO FacePose VALUES (?, ?, ?, ?)", (face_id, roll, pitch, yaw))
        if xywh is not None:
            base.execute("INSERT INTO FaceRect VALUES (?, ?, ?, ?, ?)", (face_id, *xywh))
