"""Head pose as angles and as rotation matrices: the one place where the convention is stated.

Camera frame: x to the right, y down, z into the scene (the frame of image pixels).
A pose is (pitch, yaw, roll) in degrees, in that order, named `pyr_deg`, and stands for

    R = Rx(pitch) · Ry(yaw) · Rz(roll)          (intrinsic X-Y-Z)

R maps the head's own axes to the camera's: its columns are where the head's right-hand side
(x, as seen in the image), its chin (y) and the back of its head (z) point. All angles zero is a
face looking straight into the camera.

Every function takes and returns float64 numpy arrays and broadcasts over leading dimensions.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

ANGLES = ("pitch", "yaw", "roll")  # the order of every `pyr_deg`


def rotation_from_pyr(pyr_deg: ArrayLike) -> Array:
    """R = Rx(pitch)·Ry(yaw)·Rz(roll).

    pyr_deg (... x 3): pitch, yaw, roll in degrees. Returns ... x 3 x 3 rotation matrices.
    """
    pitch, yaw, roll = np.moveaxis(np.radians(np.asarray(pyr_deg, dtype=np.float64)), -1, 0)
    return _rotation_about(0, pitch) @ _rotation_about(1, yaw) @ _rotation_about(2, roll)


def pyr_from_rotation(rotation: ArrayLike) -> Array:
    """The angles of `rotation_from_pyr`, on the branch |yaw| ≤ 90°.

    rotation (... x 3 x 3): rotation matrices. Returns ... x 3 degrees; pitch and roll lie in
    [-180; 180], yaw in [-90; 90]. At gimbal lock (|yaw| = 90°) only pitch ± roll is defined:
    roll is then 0 and pitch holds it all.
    """
    r = np.asarray(rotation, dtype=np.float64)
    yaw = np.arcsin(np.clip(r[..., 0, 2], -1.0, 1.0))
    locked = np.hypot(r[..., 0, 0], r[..., 0, 1]) < 1e-9
    pitch = np.where(
        locked, np.arctan2(r[..., 2, 1], r[..., 1, 1]), np.arctan2(-r[..., 1, 2], r[..., 2, 2])
    )
    roll = np.where(locked, 0.0, np.arctan2(-r[..., 0, 1], r[..., 0, 0]))
    return np.degrees(np.stack([pitch, yaw, roll], axis=-1))


def pyr_near(rotation: ArrayLike, source_pyr_deg: ArrayLike) -> Array:
    """The angles of `rotation` on the Euler branch of a known pose.

    (p, y, r) and (p + 180°, 180° - y, r + 180°) are the same rotation, one with |yaw| ≤ 90° and
    one beyond. The result lies on the source's side of 90°, where a pose that is turned little by
    little from the source stays (the sides meet at gimbal lock only), and is moved by multiples
    of 360° to within 180° of the source. Choosing by the sum of distances instead would change
    sides near 90°, where pitch and roll move fast (golden.json, yaw -85°, 15°).

    rotation (... x 3 x 3), source_pyr_deg (... x 3). Returns ... x 3 degrees.
    """
    source = np.asarray(source_pyr_deg, dtype=np.float64)
    front = pyr_from_rotation(rotation)
    back = np.stack([front[..., 0] + 180, 180 - front[..., 1], front[..., 2] + 180], axis=-1)
    beyond = np.cos(np.radians(source[..., 1])) < 0
    pyr_deg = np.where(beyond[..., None], back, front)
    return source + wrap_deg(pyr_deg - source)


def flip_pyr(pyr_deg: ArrayLike) -> Array:
    """The pose seen in the left-right mirrored image: (p, -y, -r). pyr_deg (... x 3), degrees."""
    return np.asarray(pyr_deg, dtype=np.float64) * np.array([1.0, -1.0, -1.0])


def rotate_pyr(pyr_deg: ArrayLike, phi_deg: ArrayLike) -> Array:
    """The pose seen after the image is turned by phi clockwise on screen: R' = Rz(phi)·R.

    Adding phi to roll is exact for a frontal face only.

    pyr_deg (... x 3) degrees, phi_deg (...) degrees. Returns ... x 3 degrees, on the Euler
    branch of the source.
    """
    turn = _rotation_about(2, np.radians(np.asarray(phi_deg, dtype=np.float64)))
    return pyr_near(turn @ rotation_from_pyr(pyr_deg), pyr_deg)


def wrap_deg(angle_deg: ArrayLike) -> Array:
    """Angles moved by multiples of 360° into [-180; 180)."""
    return (np.asarray(angle_deg, dtype=np.float64) + 180.0) % 360.0 - 180.0


def geodesic_deg(pyr_deg: ArrayLike, other_pyr_deg: ArrayLike) -> Array:
    """The angle of the one rotation that takes the first pose to the second, in [0; 180] degrees.

    pyr_deg, other_pyr_deg (... x 3) degrees. Returns (...).
    """
    relative = np.swapaxes(rotation_from_pyr(pyr_deg), -1, -2) @ rotation_from_pyr(other_pyr_deg)
    # atan2 of sine and cosine: arccos of the trace alone loses half the digits near 0 and 180.
    skew = relative - np.swapaxes(relative, -1, -2)
    sine = np.linalg.norm(
        np.stack([skew[..., 2, 1], skew[..., 0, 2], skew[..., 1, 0]], axis=-1), axis=-1
    )
    return np.degrees(np.arctan2(sine, np.trace(relative, axis1=-2, axis2=-1) - 1.0))


def nearest_rotation(matrix: ArrayLike) -> Array:
    """The rotation closest to a noisy one (orthonormalised by SVD). matrix (... x 3 x 3).

    Raises ValueError for a reflection (negative determinant) or a matrix of lower rank.
    """
    u, singular, vt = np.linalg.svd(np.asarray(matrix, dtype=np.float64))
    rotation = u @ vt
    if np.any(np.linalg.det(rotation) < 0) or np.any(singular[..., -1] < 1e-3):
        raise ValueError("expected a rotation matrix, found a reflection or a degenerate matrix")
    return rotation


def _rotation_about(axis: int, angle_rad: Array) -> Array:
    """Right-handed rotation about one axis. angle_rad (...). Returns ... x 3 x 3."""
    first, second = [(1, 2), (2, 0), (0, 1)][axis]
    rotation = np.zeros((*np.shape(angle_rad), 3, 3))
    rotation[..., axis, axis] = 1.0
    rotation[..., first, first] = rotation[..., second, second] = np.cos(angle_rad)
    rotation[..., second, first] = np.sin(angle_rad)
    rotation[..., first, second] = -np.sin(angle_rad)
    return rotation
