"""Head pose as angles and as rotation matrices: the only place that states the convention.

Camera frame: x to the right, y down, z into the scene (the frame of image pixels).
A pose is (pitch, yaw, roll) in degrees, in that order, named `pyr_deg`, and stands for

    R = Rx(pitch) · Ry(yaw) · Rz(roll)          (intrinsic X-Y-Z)

R maps the head's axes to the camera's: its columns say where the right-hand side of the face (x, as
seen in the image), the chin (y) and the back of the head (z) point. With all angles zero, the face
looks straight into the camera.

Some corpora publish angles of R = Ry(yaw) · Rx(pitch) · Rz(roll) (intrinsic Y-X-Z) instead, named
`yxz_deg` and in the same order: pitch, yaw, roll.

All functions take and return float64 NumPy arrays and broadcast over leading dimensions.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

ANGLES = ("pitch", "yaw", "roll")  # the order of every `pyr_deg`
DIRECTION = ("dir_x", "dir_y", "dir_z")  # of every `direction`
THETA_DEG = 99.0  # the paper keeps faces within ±99° (section 4.2)

# Y-X-Z is X-Y-Z of a frame with x and y exchanged and z reversed: _EXCHANGE @ Rx(a) @ _EXCHANGE is
# Ry(a), and Rz(a) becomes Rz(-a).
_EXCHANGE = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, -1.0]])


def rotation_from_pyr(pyr_deg: ArrayLike) -> Array:
    """R = Rx(pitch)·Ry(yaw)·Rz(roll). pyr_deg (... x 3). Returns ... x 3 x 3."""
    pitch, yaw, roll = np.moveaxis(np.radians(np.asarray(pyr_deg, dtype=np.float64)), -1, 0)
    return _rotation_about(0, pitch) @ _rotation_about(1, yaw) @ _rotation_about(2, roll)


def pyr_from_rotation(rotation: ArrayLike) -> Array:
    """The angles of `rotation_from_pyr`, on the branch |yaw| ≤ 90°.

    rotation (... x 3 x 3). Returns ... x 3 degrees, pitch and roll in [-180; 180], yaw in
    [-90; 90]. At gimbal lock (|yaw| = 90°) only pitch ± roll is defined: roll is set to 0.
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
    one beyond. We take the one on the source's side of 90°: a continuous rotation stays there
    unless it passes gimbal lock. Each angle is then wrapped to within 180° of the source. Taking
    the nearer one instead would jump near 90°, where pitch and roll change fast (golden.json, yaw
    -85°, 15°).

    rotation (... x 3 x 3), source_pyr_deg (... x 3). Returns ... x 3 degrees.
    """
    source = np.asarray(source_pyr_deg, dtype=np.float64)
    front = pyr_from_rotation(rotation)
    back = np.stack([front[..., 0] + 180, 180 - front[..., 1], front[..., 2] + 180], axis=-1)
    beyond = np.cos(np.radians(source[..., 1])) < 0
    pyr_deg = np.where(beyond[..., None], back, front)
    return source + wrap_deg(pyr_deg - source)


def direction(pyr_deg: ArrayLike) -> Array:
    """Where the face points: unit vectors in the camera's frame. pyr_deg (... x 3) → ... x 3.

    x: to the right of the image, y: down, z: into the scene. A face that looks straight into the
    camera points to (0, 0, -1). The opposite of R's third column, which is the back of the head.
    """
    return -rotation_from_pyr(pyr_deg)[..., 2]


def ray_rotation(centre_xy: ArrayLike, size_wh: ArrayLike, fov_deg: float) -> Array:
    """R_ray: the smallest rotation from a camera's optical axis to the ray through a pixel.

    centre_xy (... x 2): pixels; size_wh (... x 2): of the picture, whose middle is on the optical
    axis; fov_deg: the angle that its width covers, of a camera without lens distortion. Returns
    ... x 3 x 3.
    """
    size = np.asarray(size_wh, dtype=np.float64)
    focal_px = size[..., :1] / 2 / np.tan(np.radians(fov_deg) / 2)
    offset = (np.asarray(centre_xy, dtype=np.float64) - size / 2) / focal_px
    ray = np.concatenate([offset, np.ones_like(offset[..., :1])], axis=-1)
    ray /= np.linalg.norm(ray, axis=-1, keepdims=True)
    x, y, z = np.moveaxis(ray, -1, 0)
    zero = np.zeros_like(x)
    # Rodrigues' formula about z x ray = (-y, x, 0)
    turned = np.stack([zero, zero, x, zero, zero, y, -x, -y, zero], axis=-1)
    cross = turned.reshape(*x.shape, 3, 3)
    return np.asarray(np.eye(3) + cross + cross @ cross / (1 + z)[..., None, None])


def in_camera(
    pyr_deg: ArrayLike, centre_xy: ArrayLike, size_wh: ArrayLike, fov_deg: float
) -> Array:
    """Poses in the camera's frame, of faces cut out of a wide picture: R_ray · R.

    A network sees a crop as if the camera had been turned towards that face.

    pyr_deg (... x 3): as read from crops; centre_xy (... x 2): of the faces; all others as in
    `ray_rotation`. Returns ... x 3 degrees, on the branch of each pose.
    """
    rotation = ray_rotation(centre_xy, size_wh, fov_deg)
    return pyr_near(rotation @ rotation_from_pyr(pyr_deg), pyr_deg)


def in_head_frame(pyr_deg: ArrayLike, frame: ArrayLike) -> Array:
    """The same poses of heads whose frame is defined otherwise: R · C, on the branch of each pose.

    pyr_deg (... x 3) degrees; frame (3 x 3): C maps the new axes of the head to the old ones.
    Returns ... x 3 degrees.
    """
    return pyr_near(rotation_from_pyr(pyr_deg) @ np.asarray(frame, dtype=np.float64), pyr_deg)


def pyr_from_yxz(yxz_deg: ArrayLike) -> Array:
    """Our angles of R = Ry(yaw)·Rx(pitch)·Rz(roll), on the branch near the given ones.

    yxz_deg (... x 3): pitch, yaw, roll. Returns ... x 3 degrees. `yxz_from_pyr` is the inverse.
    """
    exchanged = rotation_from_pyr(_exchanged(yxz_deg))
    return pyr_near(_EXCHANGE @ exchanged @ _EXCHANGE, yxz_deg)


def yxz_from_pyr(pyr_deg: ArrayLike, near_yxz_deg: ArrayLike | None = None) -> Array:
    """The Y-X-Z angles (pitch, yaw, roll) of a pose; both ... x 3 degrees.

    near_yxz_deg (... x 3): a pose in that order; of the two branches, the result is on the one that
    differs less from it in the sum of its angles. None: the branch with all three angles within ±θ,
    so that published angles come back from ours, else the one with |pitch| ≤ 90° (as if all three
    are beyond 81° and both are within).
    """
    rotation = _EXCHANGE @ rotation_from_pyr(pyr_deg) @ _EXCHANGE
    front = _exchanged(pyr_from_rotation(rotation))
    back = front * [-1.0, 1.0, 1.0] + 180.0
    if near_yxz_deg is None:
        back = wrap_deg(back)
        use_back = ~_within_theta(front) & _within_theta(back)
    else:
        near = np.asarray(near_yxz_deg, dtype=np.float64)
        front, back = (near + wrap_deg(branch - near) for branch in (front, back))
        use_back = np.abs(back - near).sum(-1) < np.abs(front - near).sum(-1)
    return np.where(use_back[..., None], back, front)


def _within_theta(angles_deg: Array) -> NDArray[np.bool_]:
    rounding_deg = 1e-6  # a published angle of exactly ±θ comes back a little beyond it
    within: NDArray[np.bool_] = np.all(np.abs(angles_deg) <= THETA_DEG + rounding_deg, axis=-1)
    return within


def _exchanged(pyr_deg: ArrayLike) -> Array:
    """The angles of X-Y-Z in the exchanged frame ↔ those of Y-X-Z in ours."""
    return np.asarray(pyr_deg, dtype=np.float64)[..., [1, 0, 2]] * [1.0, 1.0, -1.0]


def flip_pyr(pyr_deg: ArrayLike) -> Array:
    """The pose in the image flipped left-right: (p, -y, -r). pyr_deg (... x 3), degrees."""
    return np.asarray(pyr_deg, dtype=np.float64) * np.array([1.0, -1.0, -1.0])


def rotate_pyr(pyr_deg: ArrayLike, phi_deg: ArrayLike) -> Array:
    """The pose after the image is rotated by phi clockwise on screen: R' = Rz(phi)·R.

    pyr_deg (... x 3), phi_deg (...), degrees. Returns ... x 3 degrees, on the Euler branch of the
    source. Adding phi to roll instead would be exact only for frontal faces.
    """
    in_plane = _rotation_about(2, np.radians(np.asarray(phi_deg, dtype=np.float64)))
    return pyr_near(in_plane @ rotation_from_pyr(pyr_deg), pyr_deg)


def wrap_deg(angle_deg: ArrayLike) -> Array:
    """Angles wrapped by multiples of 360° into [-180; 180)."""
    return (np.asarray(angle_deg, dtype=np.float64) + 180.0) % 360.0 - 180.0


def geodesic_deg(pyr_deg: ArrayLike, other_pyr_deg: ArrayLike) -> Array:
    """The angle of the rotation between two poses, ... x 3 degrees. Returns (...) in [0; 180]."""
    relative = np.swapaxes(rotation_from_pyr(pyr_deg), -1, -2) @ rotation_from_pyr(other_pyr_deg)
    # atan2 of sine and cosine: arccos of the trace would lose half the digits near 0 and 180.
    skew = relative - np.swapaxes(relative, -1, -2)
    sine = np.linalg.norm(
        np.stack([skew[..., 2, 1], skew[..., 0, 2], skew[..., 1, 0]], axis=-1), axis=-1
    )
    return np.degrees(np.arctan2(sine, np.trace(relative, axis1=-2, axis2=-1) - 1.0))


def nearest_rotation(matrix: ArrayLike) -> Array:
    """The rotation closest to a noisy one, by SVD. matrix (... x 3 x 3).

    Raises ValueError for a reflection (negative determinant) or a singular matrix.
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
