"""Poses as others write them ↔ ours: corpora, Euler orders, matrices, quaternions, vectors.

All of them are the rotation R of `geometry` from the head's axes (right-hand side as seen in the
image, chin, back of the head) to the camera's (x right, y down, z into the scene); programs whose
axes point elsewhere are not among them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any

import numpy as np

from hpe_core.errors import InputError
from hpe_core.geometry import Array, pyr_from_rotation, rotation_from_pyr
from hpe_core.labels import pyr_from_aflw, pyr_from_biwi, pyr_from_pose_para

Function = Callable[[Array], Array]


@dataclass(frozen=True)
class Convention:
    """columns: names of the numbers of a pose. to_pyr: (N x columns) → pyr_deg (N x 3), ValueError
    for what is no rotation; from_pyr: back.
    """

    columns: tuple[str, ...]
    to_pyr: Function
    from_pyr: Function


def convert(values: Array, source: Convention, target: Convention) -> Array:
    """Poses in another convention: values (N x source's columns) → (N x target's columns).

    Angles keep their Euler branch between the conventions of pitch, yaw, roll; from all others they
    come with |yaw| ≤ 90°. Raises InputError naming the first row that is no pose.
    """
    finite = np.isfinite(values).all(-1)
    if not finite.all():
        raise InputError(f"row {finite.argmin() + 1}: expected numbers, found NaN or infinity")
    try:
        pyr_deg = source.to_pyr(values)
    except InputError:
        raise
    except ValueError:
        pyr_deg = np.concatenate([_one(row, one, source) for row, one in enumerate(values, 1)])
    return target.from_pyr(pyr_deg)


def _one(row: int, values: Array, source: Convention) -> Array:
    try:
        return source.to_pyr(values[None])
    except ValueError as error:
        raise InputError(f"row {row}: {error}") from None


def _rotations() -> Any:
    """SciPy's Rotation. Predicting does not need it, so it is an extra."""
    try:
        from scipy.spatial.transform import Rotation
    except ImportError:
        raise InputError("this conversion needs scipy: pip install scipy") from None
    return Rotation


def _by_rotation(read: Callable[[Any, Array], Any], write: Callable[[Any], Array]) -> Any:
    """to_pyr, from_pyr of what SciPy reads and writes."""

    def to_pyr(values: Array) -> Array:
        return pyr_from_rotation(read(_rotations(), values).as_matrix())

    def from_pyr(pyr_deg: Array) -> Array:
        return write(_rotations().from_matrix(rotation_from_pyr(pyr_deg)))

    return to_pyr, from_pyr


def _euler(order: str) -> Convention:
    """XYZ: intrinsic; xyz: extrinsic. Degrees."""
    to_pyr, from_pyr = _by_rotation(
        lambda rotations, angles: rotations.from_euler(order, angles, degrees=True),
        lambda rotation: rotation.as_euler(order, degrees=True, suppress_warnings=True),
    )
    return Convention(("angle1", "angle2", "angle3"), to_pyr, from_pyr)


def _scaled(signs: list[float], pyr_deg: Array) -> Array:
    return np.radians(pyr_deg * signs)


_MATRIX = Convention(
    tuple(f"r{row}{column}" for row, column in product("123", "123")),
    lambda values: pyr_from_biwi(values.reshape(-1, 3, 3)),
    lambda pyr_deg: rotation_from_pyr(pyr_deg).reshape(-1, 9),
)
_PYR = ("pitch", "yaw", "roll")
_POSE_PARA = Convention(
    _PYR,
    pyr_from_pose_para,
    partial(_scaled, [-1.0, 1.0, 1.0]),
)
EULER_ORDERS = tuple(
    "".join(order)
    for axes in ("XYZ", "xyz")
    for order in product(axes, repeat=3)
    if order[0] != order[1] != order[2]
)
CONVENTIONS: Mapping[str, Convention] = {
    "pyr": Convention(
        _PYR,
        lambda values: values,
        lambda pyr_deg: pyr_deg,
    ),
    "300W_LP": _POSE_PARA,
    "AFLW2000": _POSE_PARA,
    "AFLW": Convention(
        _PYR,
        pyr_from_aflw,
        partial(_scaled, [-1.0, 1.0, -1.0]),
    ),
    "BIWI": _MATRIX,
    "matrix": _MATRIX,
    "quaternion": Convention(
        ("qx", "qy", "qz", "qw"),
        *_by_rotation(
            lambda rotations, values: rotations.from_quat(values),
            lambda rotation: rotation.as_quat(canonical=True),
        ),
    ),
    "rotvec": Convention(
        ("rx", "ry", "rz"),
        *_by_rotation(
            lambda rotations, values: rotations.from_rotvec(values),
            lambda rotation: rotation.as_rotvec(),
        ),
    ),
    **{order: _euler(order) for order in EULER_ORDERS},
}
