"""BIWI Kinect Head Pose: videos as folders of frames, each with its rotation matrix as text."""

from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hpe_core.common.errors import UnreadableFileError
from hpe_core.common.files import read_at_most
from hpe_core.corpora.entries import Entry, Face, Layout, read_pairs
from hpe_core.corpora.labels import pyr_from_biwi
from hpe_core.faces.images import check_image

VIDEOS = "hpdb"
_SUFFIXES = IMAGE_SUFFIX, POSE_SUFFIX = "_rgb.png", "_pose.txt"
MAX_POSE_BYTES = 10_000  # per pose.txt; those of the corpus have 150

# 24 videos of 20 people: four were recorded twice. From the loader of this corpus in
# huggingface/datasets (datasets/biwi_kinect_head_pose/biwi_kinect_head_pose.py).
SUBJECT_OF_VIDEO = {
    **{f"{video:02d}": f"F{video:02d}" for video in range(1, 7)},
    **{f"{video:02d}": f"M{video - 6:02d}" for video in range(7, 15)},
    **{"15": "F03", "16": "M09", "17": "M10", "18": "F05", "19": "M11"},
    **{"20": "M12", "21": "F02", "22": "M01", "23": "M13", "24": "M14"},
}


def read_biwi(folder: Path) -> list[Entry]:
    """`hpdb/NN/frame_NNNNN_rgb.png + frame_NNNNN_pose.txt`. No boxes; video NN, subject F01 …"""
    videos = (folder / VIDEOS).glob("*/")
    return read_pairs(videos, folder, _SUFFIXES, partial(_read_frame, folder), "BIWI")


def _read_frame(folder: Path, image: str) -> Face:
    check_image(folder / image)
    stem = image.removesuffix(IMAGE_SUFFIX)
    pose_file = folder / (stem + POSE_SUFFIX)
    try:
        pyr_deg = pyr_from_biwi(_read_rotation(pose_file))
    except UnreadableFileError:
        raise
    except ValueError as error:
        raise UnreadableFileError(pose_file, str(error)) from error
    video = image.split("/")[1]
    name = stem.removeprefix(f"{VIDEOS}/")
    return Face(name, image, pyr_deg, subject=SUBJECT_OF_VIDEO.get(video, ""), video=video)


def _read_rotation(path: Path) -> NDArray[np.float64]:
    """The 3 x 3 matrix at the top of a pose.txt; a translation in millimetres follows."""
    content = read_at_most(path, MAX_POSE_BYTES)
    try:
        lines = content.decode("ascii").splitlines()
        rows = [[float(word) for word in line.split()] for line in lines if line.strip()]
    except ValueError as error:  # not a number, or not text
        reason = f"contains something other than numbers: {error!s:.100}"
        raise UnreadableFileError(path, reason) from None
    if [len(row) for row in rows] != [3, 3, 3, 3]:
        found = " + ".join(str(len(row)) for row in rows)
        raise UnreadableFileError(path, f"expected four rows of 3 numbers, found {found or 'none'}")
    rotation = np.array(rows[:3])
    if not np.isfinite(rotation).all():
        raise UnreadableFileError(path, "non-finite rotation matrix")
    return rotation


BIWI = Layout(
    read_biwi,
    title="BIWI",
    files="hpdb/NN/frame_NNNNN_rgb.png + frame_NNNNN_pose.txt",
    sign=VIDEOS,
    faces=15_678,  # all but 01/frame_00003 are used
    source="It is published by the computer vision laboratory of ETH Zurich "
    "(Fanelli et al., 2013).",
)
