"""Poses in other conventions: corpora, Euler orders, matrices, quaternions, rotation vectors.

Every convention writes the rotation R (`geometry`) from the head's axes (right-hand side as seen in
the image, chin, back of the head) to the camera's (x right, y down, z into the scene). Those with
other axes turn head and camera alike, so that a face that looks into the camera is the identity.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any

import numpy as np

from hpe_core.common.errors import InputError
from hpe_core.common.geometry import (
    ANGLES,
    Array,
    pyr_from_rotation,
    pyr_from_yxz,
    rotation_from_pyr,
    yxz_from_pyr,
)
from hpe_core.corpora.labels import pyr_from_biwi, pyr_from_pose_para, yxz_from_aflw


@dataclass(frozen=True)
class Convention:
    """columns: names of a pose's numbers. to_pyr: (N x columns) → pyr_deg (N x 3), from_pyr: back.

    to_pyr raises ValueError for what is no rotation.
    """

    columns: tuple[str, ...]
    to_pyr: Callable[[Array], Array]
    from_pyr: Callable[[Array], Array]


def convert_poses(
    values: Array, source: Convention, target: Convention, rows: Sequence[int] | None = None
) -> Array:
    """Poses in another convention: values (N x source's columns) → (N x target's columns).

    Between conventions of pitch, yaw and roll, angles keep their Euler branch; from all others they
    come with |yaw| ≤ 90°. Raises InputError naming the first row that is no pose. rows: their
    numbers; None counts from 1.
    """
    numbers = range(1, len(values) + 1) if rows is None else rows
    finite = np.isfinite(values).all(-1)
    if not finite.all():
        raise InputError(
            f"row {numbers[int(finite.argmin())]}: expected numbers, found NaN or infinity"
        )
    try:
        pyr_deg = source.to_pyr(values)
    except InputError:
        raise
    except ValueError:  # once more row by row, to name the row
        for row, one in zip(numbers, values, strict=True):
            try:
                source.to_pyr(one[None])
            except ValueError as error:
                raise InputError(f"row {row}: {error}") from None
        raise
    return target.from_pyr(pyr_deg)


def _rotations() -> Any:
    """SciPy's Rotation. SciPy is an extra, because prediction does not need it."""
    try:
        from scipy.spatial.transform import Rotation
    except ImportError:
        raise InputError("this conversion needs scipy: pip install scipy") from None
    return Rotation


def _by_rotation(
    columns: tuple[str, ...], read: Callable[[Any, Array], Any], write: Callable[[Any], Array]
) -> Convention:
    """A convention that SciPy's Rotation reads and writes."""

    def to_pyr(values: Array) -> Array:
        return pyr_from_rotation(read(_rotations(), values).as_matrix())

    def from_pyr(pyr_deg: Array) -> Array:
        return write(_rotations().from_matrix(rotation_from_pyr(pyr_deg)))

    return Convention(columns, to_pyr, from_pyr)


def _euler(order: str) -> Convention:
    """Euler angles in degrees. order: XYZ, …: intrinsic; xyz, …: extrinsic."""
    return _by_rotation(
        ("angle1", "angle2", "angle3"),
        lambda rotations, angles: rotations.from_euler(order, angles, degrees=True),
        lambda rotation: rotation.as_euler(order, degrees=True, suppress_warnings=True),
    )


def _scaled(signs: list[float], pyr_deg: Array) -> Array:
    return np.radians(pyr_deg * signs)


def _matrix(axes: Sequence[int]) -> Convention:
    """R, row by row. axes: 1 for an axis that is ours, -1 for one that points the other way."""
    signs = np.outer(axes, axes)
    return Convention(
        tuple(f"r{row}{column}" for row, column in product("123", "123")),
        lambda values: pyr_from_biwi(values.reshape(-1, 3, 3) * signs),
        lambda pyr_deg: (rotation_from_pyr(pyr_deg) * signs).reshape(-1, 9),
    )


def _from_two_columns(values: Array) -> Array:
    """Zhou et al., "On the Continuity of Rotation Representations", CVPR 2019, section B."""
    first, second = values[:, :3], values[:, 3:]
    with np.errstate(invalid="ignore", divide="ignore"):
        x = first / np.linalg.norm(first, axis=1, keepdims=True)
        rest = second - (x * second).sum(1, keepdims=True) * x
        y = rest / np.linalg.norm(rest, axis=1, keepdims=True)
    if not np.isfinite([x, y]).all():
        raise ValueError("expected two columns that are not parallel, and not 0")
    return pyr_from_rotation(np.stack([x, y, np.cross(x, y)], axis=-1))


def _two_columns(pyr_deg: Array) -> Array:
    return rotation_from_pyr(pyr_deg)[..., :2].swapaxes(1, 2).reshape(-1, 6)


_FLIPPED_Y = np.outer([1, -1, 1], [1, -1, 1])


def _unity_angles(rotation: Any) -> Array:
    flipped = _rotations().from_matrix(rotation.as_matrix() * _FLIPPED_Y)
    return flipped.as_euler("YXZ", degrees=True, suppress_warnings=True)[:, [1, 0, 2]]


_MATRIX = _matrix([1, 1, 1])
_Y_UP = _matrix([1, -1, -1])  # x right, y up, z to the viewer
_POSE_PARA = Convention(ANGLES, pyr_from_pose_para, partial(_scaled, [-1.0, 1.0, 1.0]))
# Left-handed: x right, y up, z into the scene; Quaternion.Euler turns about z, then x, then y.
_UNITY = _by_rotation(
    ("euler_x", "euler_y", "euler_z"),
    lambda rotations, values: rotations.from_matrix(
        rotations.from_euler("YXZ", values[:, [1, 0, 2]], degrees=True).as_matrix() * _FLIPPED_Y
    ),
    _unity_angles,
)
EULER_ORDERS = tuple(
    "".join(order)
    for axes in ("XYZ", "xyz")
    for order in product(axes, repeat=3)
    if order[0] != order[1] != order[2]
)
CONVENTIONS: Mapping[str, Convention] = {
    "pyr": Convention(ANGLES, lambda values: values, lambda pyr_deg: pyr_deg),
    "300W_LP": _POSE_PARA,
    "AFLW2000": _POSE_PARA,
    "AFLW": Convention(
        ANGLES,
        lambda values: pyr_from_yxz(yxz_from_aflw(values)),
        lambda pyr_deg: _scaled([-1.0, 1.0, -1.0], yxz_from_pyr(pyr_deg)),
    ),
    "BIWI": _MATRIX,
    "matrix": _MATRIX,
    "quaternion": _by_rotation(
        ("qx", "qy", "qz", "qw"),
        lambda rotations, values: rotations.from_quat(values),
        lambda rotation: rotation.as_quat(canonical=True),
    ),
    "quaternion_wxyz": _by_rotation(
        ("qw", "qx", "qy", "qz"),
        lambda rotations, values: rotations.from_quat(values, scalar_first=True),
        lambda rotation: rotation.as_quat(canonical=True, scalar_first=True),
    ),
    "6d": Convention(("r11", "r21", "r31", "r12", "r22", "r32"), _from_two_columns, _two_columns),
    "hopenet": Convention(
        ANGLES, lambda values: values * [-1.0, 1.0, 1.0], lambda pyr_deg: pyr_deg * [-1.0, 1.0, 1.0]
    ),
    "opengl": _Y_UP,
    "arkit": _Y_UP,
    "unity": _UNITY,
    "rotvec": _by_rotation(
        ("rx", "ry", "rz"),
        lambda rotations, values: rotations.from_rotvec(values),
        lambda rotation: rotation.as_rotvec(),
    ),
    **{order: _euler(order) for order in EULER_ORDERS},
}
