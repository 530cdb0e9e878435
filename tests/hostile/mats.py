"""Labels of 300W-LP: each case writes one .mat, `path`, beside a good image."""

import os
import struct
import zlib
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import scipy.io
from hostile.case import accepted, row
from tiny_corpora import POINTS_PX, POSE_PARA_RAD

POSE = np.array([[*POSE_PARA_RAD, 230, 260, -100, 0.0015]])
HEADER = b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack("<H", 0x0100) + b"IM"


def save(path: Path, **arrays: Any) -> bytes:
    content = {"Pose_Para": POSE, "pt2d": POINTS_PX} | arrays
    scipy.io.savemat(path, {k: v for k, v in content.items() if v is not None})
    return path.read_bytes()


@accepted
def other_arrays_beside(path: Path) -> None:
    save(path, extra={"deep": {"deeper": np.eye(3)}}, text="abc", cell=np.array([1, "a"], object))


@accepted
def compressed_of_single_precision(path: Path) -> None:
    arrays = {"Pose_Para": np.float32(POSE), "pt2d": np.float32(POINTS_PX)}
    scipy.io.savemat(path, arrays, do_compression=True)


@row("x_1.mat", "no complete MATLAB 5 file", "cut off")
def cut_in_half(path: Path) -> None:
    path.write_bytes(save(path)[:133])


@row("x_1.mat", "no complete MATLAB 5 file")
def zero_bytes(path: Path) -> None:
    path.write_bytes(b"")


@row("x_1.mat", "7.3", "expected", "5")
def version_7_3(path: Path) -> None:
    """HDF5 behind MATLAB's header, as `save -v7.3` writes it."""
    with h5py.File(path, "w", userblock_size=512) as file:
        file["Pose_Para"], file["pt2d"] = POSE.T, POINTS_PX.T
    header = b"MATLAB 7.3 MAT-file".ljust(124) + struct.pack("<H", 0x0200) + b"IM"
    content = path.read_bytes()
    path.write_bytes(header + content[128:])


@row("x_1.mat", "no complete MATLAB 5 file")
def version_4(path: Path) -> None:
    scipy.io.savemat(path, {"Pose_Para": POSE}, format="4")


@row("Pose_Para is (7, 1), expected (1, 7)")
def pose_of_wrong_shape(path: Path) -> None:
    save(path, Pose_Para=POSE.T)


@row("pt2d is (2, 21), expected (2, 68)")
def too_few_landmarks(path: Path) -> None:
    save(path, pt2d=POINTS_PX[:, :21])


@row("no numeric Pose_Para")
def no_pose(path: Path) -> None:
    save(path, Pose_Para=None)


@row("no numeric Pose_Para")
def a_complex_pose(path: Path) -> None:
    save(path, Pose_Para=POSE * 1j)


@row("AFW/x_1: non-finite pose (", "nan")
def pose_with_nan(path: Path) -> None:
    save(path, Pose_Para=np.full((1, 7), np.nan))


@row("impossible pose", "expected angles within ±1440°")
def pose_in_degrees(path: Path) -> None:
    save(path, Pose_Para=np.degrees(POSE) * 10)


@row("pt2d holds points that are not in or near the 64 x 48 image")
def landmarks_with_nan(path: Path) -> None:
    save(path, pt2d=POINTS_PX * np.nan)


@row("x_1.mat", "an element of 4294967280 bytes where")
def an_element_of_4_gigabytes(path: Path) -> None:
    path.write_bytes(HEADER + struct.pack("<II", 14, 0xFFFFFFF0) + bytes(64))


@row("x_1.mat", "Pose_Para has 7 values for the shape [2147483647, 2147483647]")
def a_shape_of_exabytes(path: Path) -> None:
    content = bytearray(save(path))
    at = content.index(struct.pack("<IIII", 5, 8, 1, 7)) + 8
    content[at : at + 8] = struct.pack("<ii", 2**31 - 1, 2**31 - 1)
    path.write_bytes(content)


@row("x_1.mat", "Pose_Para has 7 values for the shape [-1, -7]")
def a_negative_shape(path: Path) -> None:
    content = bytearray(save(path))
    at = content.index(struct.pack("<IIII", 5, 8, 1, 7)) + 8
    content[at : at + 8] = struct.pack("<ii", -1, -7)
    path.write_bytes(content)


@row("no numeric Pose_Para")
def compressed_within_compressed(path: Path) -> None:
    inner = zlib.compress(save(path)[128:])
    for _ in range(50):
        inner = zlib.compress(struct.pack("<II", 15, len(inner)) + inner)
    path.write_bytes(HEADER + struct.pack("<II", 15, len(inner)) + inner)


@row("x_1.mat", "does not end within 67108864 bytes", heavy=True)
def megabytes_of_zeros_compressed(path: Path) -> None:
    packed = zlib.compressobj()
    data = b"".join(packed.compress(bytes(1 << 20)) for _ in range(256)) + packed.flush()
    path.write_bytes(HEADER + struct.pack("<II", 15, len(data)) + data)


@row("x_1.mat", "8589934592 bytes, expected at most", heavy=True)
def eight_gigabytes(path: Path) -> None:
    """A sparse file: no byte of it lies on the disk."""
    path.write_bytes(HEADER)
    os.truncate(path, 2**33)


@row("x_1.mat", "not a regular file", heavy=True)
def an_endless_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


@row("x_1.mat", "not a regular file", heavy=True)
def a_pipe_that_nobody_writes_to(path: Path) -> None:
    os.mkfifo(path)
