"""The corpora's own labels in the pose convention of geometry.py: one function a convention.

Each takes float arrays that broadcast over leading dimensions and returns ... x 3 degrees
(pitch, yaw, roll). Nothing is wrapped: AFLW holds angles beyond 2π, and it is for `filter` to
drop them.
"""

import numpy as np
from numpy.typing import ArrayLike

from hpe_core.geometry import Array, nearest_rotation, pyr_from_rotation

MAX_DEVIATION = (
    0.05  # of any entry from the nearest rotation; rounding to 3 digits stays below 0.001
)


def pyr_from_pose_para(pose_para_rad: ArrayLike) -> Array:
    """300W-LP and AFLW2000: `Pose_Para` starts with pitch, yaw, roll in radians, pitch upwards.

    pose_para_rad (... x ≥3).
    """
    pyr_deg: Array = np.degrees(_float(pose_para_rad)[..., :3]) * [-1.0, 1.0, 1.0]
    return pyr_deg


def pyr_from_aflw(pitch_yaw_roll_rad: ArrayLike) -> Array:
    """AFLW: the columns pitch, yaw, roll of the table FacePose, radians. (... x 3)."""
    pyr_deg: Array = np.degrees(_float(pitch_yaw_roll_rad)) * [-1.0, 1.0, -1.0]
    return pyr_deg


def pyr_from_biwi(rotation: ArrayLike) -> Array:
    """BIWI: the rotation matrix of pose.txt (... x 3 x 3), orthonormalised, as intrinsic X-Y-Z.

    Raises ValueError for a reflection, a matrix of lower rank, or one that is further than
    MAX_DEVIATION in any entry from a rotation.
    """
    published = _float(rotation)
    # First of all: of huge or infinite entries the singular value decomposition may never end.
    largest = np.abs(published).max(initial=0.0)
    if not largest <= 1 + MAX_DEVIATION:
        raise ValueError(f"expected a rotation matrix, found one that is off by {largest - 1:.2g}")
    nearest = nearest_rotation(published)
    deviation = np.abs(published - nearest).max(initial=0.0)
    if deviation > MAX_DEVIATION:
        raise ValueError(f"expected a rotation matrix, found one that is off by {deviation:.2g}")
    return pyr_from_rotation(nearest)


def _float(values: ArrayLike) -> Array:
    return np.asarray(values, dtype=np.float64)
