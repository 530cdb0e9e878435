"""Errors without the constant rotation between two definitions of a head's frame.

Corpora do not agree on where a head looks when all its angles are zero: labels come from different
3D models of the face. A network trained on one corpus is then off as a whole on another, which says
nothing about how well it sees. (Cobo et al. 2024, arXiv:2401.05807, noted it for head pose; one
rotation, fitted on other faces, is our choice.)
"""

import numpy as np
from numpy.typing import ArrayLike

from hpe_core.common.geometry import Array, in_head_frame, rotation_from_pyr, wrap_deg


def constant_rotation(predicted_pyr_deg: ArrayLike, pyr_deg: ArrayLike) -> Array:
    """The rotation C (3 x 3) of the head's frame that best maps predictions to labels.

    It minimises Σ ‖R_predicted · C - R_label‖² (Frobenius), in closed form from the singular values
    of Σ R_predictedᵀ · R_label (Kabsch 1976). predicted_pyr_deg, pyr_deg (N x 3) degrees, N ≥ 1.
    """
    predicted, labels = rotation_from_pyr(predicted_pyr_deg), rotation_from_pyr(pyr_deg)
    u, _, vt = np.linalg.svd(np.einsum("nji,njk->ik", predicted, labels))
    mirrored = np.linalg.det(u @ vt)
    return (u * [1.0, 1.0, mirrored]) @ vt


def aligned_errors_deg(predicted_pyr_deg: ArrayLike, pyr_deg: ArrayLike) -> Array:
    """The error per face, the mean of its three absolute errors, after `constant_rotation`: (N).

    predicted_pyr_deg, pyr_deg (N x 3) degrees, of one network and one corpus. The rotation is
    fitted on a random half of the faces, always the same, and applied to the other half, and the
    other way round: no face is measured with a rotation that was fitted on it. A single face has no
    other half, and keeps its error.
    """
    predicted, labels = np.array(predicted_pyr_deg, "f8"), np.asarray(pyr_deg, "f8")
    order = np.random.default_rng(0).permutation(len(labels))
    halves = order[::2], order[1::2]
    aligned = predicted.copy()
    for fitted, measured in (halves, halves[::-1]):
        if len(fitted):
            frame = constant_rotation(predicted[fitted], labels[fitted])
            aligned[measured] = in_head_frame(predicted[measured], frame)
    return np.abs(wrap_deg(aligned - labels)).mean(-1)
