"""300W-LP and AFLW2000-3D: NAME.jpg beside NAME.mat, which holds the pose and 68 landmarks."""

import re
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hpe_core.common.errors import InputError
from hpe_core.corpora.entries import Entry, Face, Layout, bounding_box, check_near, read_pairs
from hpe_core.corpora.labels import pyr_from_pose_para
from hpe_core.corpora.matfile import read_mat
from hpe_core.faces.images import check_image

_SUFFIXES = (".jpg", ".mat")  # of image and label
NO_FACES = {"landmarks", "Code"}  # 300W-LP's folders of further annotations and programs
SOURCE_3DDFA = "It is published by the authors of 3DDFA (Zhu et al., CVPR 2016)."


def read_300w_lp(folder: Path) -> list[Entry]:
    """`{AFW,HELEN,IBUG,LFPW,*_Flip}/NAME.jpg + NAME.mat`, and any other folder of such pairs.

    The subject is the photograph: NAME without its last number. All views synthesized from a
    photograph and their flipped twins share it.
    """
    parts = [part for part in folder.glob("*/") if part.name not in NO_FACES]
    return read_pairs(parts, folder, _SUFFIXES, partial(_read_face, folder, "pt2d"), "300W-LP")


def read_aflw2000(folder: Path) -> list[Entry]:
    """`imageNNNNN.jpg + imageNNNNN.mat`. The box is that of `pt3d_68`: `pt2d` contains −1s here."""
    parts = [folder] if folder.is_dir() else []
    return read_pairs(parts, folder, _SUFFIXES, partial(_read_face, folder, "pt3d_68"), "AFLW2000")


def photograph(stem: str) -> str:
    """The photograph behind a 300W-LP image: `AFW_Flip/AFW_134212_1_3` → `AFW_134212_1`."""
    return re.sub(r"_\d+$", "", stem.rpartition("/")[2])


def _read_face(folder: Path, landmarks: str, image: str) -> Face:
    stem = image.removesuffix(".jpg")
    size_hw = check_image(folder / image)
    arrays = read_mat(folder / f"{stem}.mat", ("Pose_Para", landmarks))
    pose_para = _array_called(arrays, "Pose_Para", rows=1, columns=7)
    rows = 3 if landmarks == "pt3d_68" else 2
    points_px = _array_called(arrays, landmarks, rows, columns=68)
    check_near(points_px, size_hw, landmarks)
    pyr_deg = pyr_from_pose_para(pose_para[0])
    subject = photograph(stem) if "/" in stem else ""
    return Face(stem, image, pyr_deg, bounding_box(points_px), subject)


def _array_called(
    arrays: dict[str, NDArray[np.float64]], name: str, rows: int, columns: int
) -> NDArray[np.float64]:
    if name not in arrays:
        raise InputError(f"the .mat file has no numeric {name}")
    found = arrays[name].shape
    if found != (rows, columns):
        raise InputError(f"{name} is {found}, expected ({rows}, {columns})")
    return arrays[name]


W300_LP = Layout(
    read_300w_lp,
    title="300W-LP",
    files="{AFW,HELEN,IBUG,LFPW}{,_Flip}/NAME.jpg + NAME.mat",
    sign="[AHIL]*/*_*.mat",
    faces=122_450,
    source=SOURCE_3DDFA,
)
AFLW2000 = Layout(
    read_aflw2000,
    title="AFLW2000-3D",
    files="imageNNNNN.jpg + imageNNNNN.mat",
    sign="image*.mat",
    faces=2_000,
    source=SOURCE_3DDFA,
)
