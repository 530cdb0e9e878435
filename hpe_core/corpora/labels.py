"""Converts labels of corpora to the pose convention of geometry.py: one function per convention.

Each takes arrays with any leading dimensions and returns ... x 3 degrees (pitch, yaw, roll), those
of AFLW in an order of their own, which the index turns into ours. Angles
are not wrapped: AFLW has some beyond 2π, which `filter` drops.
"""

import numpy as np
from numpy.typing import ArrayLike

from hpe_core.common.geometry import Array, nearest_rotation, pyr_from_rotation

MAX_DEVIATION = 0.05  # per entry, from the nearest rotation; rounding to 3 digits costs < 0.001


def pyr_from_pose_para(pose_para_rad: ArrayLike) -> Array:
    """300W-LP and AFLW2000: `Pose_Para` starts with pitch, yaw, roll in radians, pitch upwards.

    pose_para_rad (... x ≥3).
    """
    pyr_deg: Array = np.degrees(_float(pose_para_rad)[..., :3]) * [-1.0, 1.0, 1.0]
    return pyr_deg


def yxz_from_aflw(pitch_yaw_roll_rad: ArrayLike) -> Array:
    """AFLW: the columns pitch, yaw, roll of the table FacePose, radians. (... x 3).

    Signs as ours, but angles of R = Ry(yaw)·Rx(pitch)·Rz(roll). AFLW names no order; of all six,
    this one comes closest to AFLW2000's labels of the same faces (docs/conventions.md).
    """
    yxz_deg: Array = np.degrees(_float(pitch_yaw_roll_rad)) * [-1.0, 1.0, -1.0]
    return yxz_deg


def pyr_from_biwi(rotation: ArrayLike) -> Array:
    """BIWI: the rotation matrix of pose.txt (... x 3 x 3), orthonormalised, as intrinsic X-Y-Z,
    rounded to 1e-6 degrees.

    Raises ValueError for a reflection, a singular matrix, or one with an entry that is more than
    MAX_DEVIATION from the nearest rotation's.
    """
    published = _float(rotation)
    # Checked first: with huge or infinite entries the singular value decomposition may never end.
    largest = np.abs(published).max(initial=0.0)
    if not largest <= 1 + MAX_DEVIATION:
        raise ValueError(f"expected a rotation matrix, found one that is off by {largest - 1:.2g}")
    nearest = nearest_rotation(published)
    deviation = np.abs(published - nearest).max(initial=0.0)
    if deviation > MAX_DEVIATION:
        raise ValueError(f"expected a rotation matrix, found one that is off by {deviation:.2g}")
    # Far below what the labels know, far above what processors disagree about: equal face tables.
    return np.round(pyr_from_rotation(nearest), 6)


def _float(values: ArrayLike) -> Array:
    return np.asarray(values, dtype=np.float64)
