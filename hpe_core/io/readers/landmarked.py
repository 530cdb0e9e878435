"""300W-LP and AFLW2000-3D: NAME.jpg beside NAME.mat, which holds the pose and 68 landmarks."""

import re
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hpe_core.errors import InputError
from hpe_core.io.images import check_image
from hpe_core.io.matfile import read_mat
from hpe_core.io.readers.common import (
    Entry,
    Face,
    bounding_box,
    check_near,
    missing_corpus,
    pairs,
    read_each,
)
from hpe_core.labels import pyr_from_pose_para

TWINS = (".jpg", ".mat")
NO_FACES = {"landmarks", "Code"}  # 300W-LP's folders of further annotations and programs
SOURCE = "It is published by the authors of 3DDFA (Zhu et al., CVPR 2016)."


def read_300w_lp(folder: Path) -> list[Entry]:
    """`{AFW,HELEN,IBUG,LFPW,*_Flip}/NAME.jpg + NAME.mat`; any other folder of such pairs, too.

    The subject is the photograph (NAME less its last number): all views synthesized from it and
    their mirrored twins share it.
    """
    parts = [part for part in folder.glob("*/") if part.name not in NO_FACES]
    images, alone = pairs(parts, folder, *TWINS)
    if not images and not alone:
        raise missing_corpus(folder, "300W-LP as AFW/NAME.jpg + NAME.mat and the like", SOURCE)
    read = partial(_read_face, folder, landmarks="pt2d")
    return [*read_each(images, read, "300W-LP"), *alone]


def read_aflw2000(folder: Path) -> list[Entry]:
    """`imageNNNNN.jpg + imageNNNNN.mat`. The box comes from `pt3d_68`: `pt2d` holds −1s here."""
    images, alone = pairs([folder] if folder.is_dir() else [], folder, *TWINS)
    if not images and not alone:
        raise missing_corpus(folder, "AFLW2000-3D as imageNNNNN.jpg + imageNNNNN.mat", SOURCE)
    read = partial(_read_face, folder, landmarks="pt3d_68")
    return [*read_each(images, read, "AFLW2000"), *alone]


def photograph(stem: str) -> str:
    """What a 300W-LP image was synthesized from: `AFW_Flip/AFW_134212_1_3` → `AFW_134212_1`."""
    return re.sub(r"_\d+$", "", stem.rpartition("/")[2])


def _read_face(folder: Path, image: str, landmarks: str) -> Face:
    stem = image.removesuffix(".jpg")
    size_hw = check_image(folder / image)
    arrays = read_mat(folder / f"{stem}.mat", ("Pose_Para", landmarks))
    pose_para = _array(arrays, "Pose_Para", rows=1, columns=7)
    points_px = _array(arrays, landmarks, rows=3 if landmarks == "pt3d_68" else 2, columns=68)
    check_near(points_px, size_hw, landmarks)
    pyr_deg = pyr_from_pose_para(pose_para[0])
    subject = photograph(stem) if "/" in stem else ""
    return Face(stem, image, pyr_deg, bounding_box(points_px), subject)


def _array(
    arrays: dict[str, NDArray[np.float64]], name: str, rows: int, columns: int
) -> NDArray[np.float64]:
    if name not in arrays:
        raise InputError(f"the .mat file has no numeric {name}")
    found = arrays[name].shape
    if found != (rows, columns):
        raise InputError(f"{name} is {found}, expected ({rows}, {columns})")
    return arrays[name]
