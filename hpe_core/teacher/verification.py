"""Recomputes a sample of cached targets and compares."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpe_core.crops.store import Crops
from hpe_core.teacher.ensemble import average
from hpe_core.teacher.targets import Targets
from hpe_core.teacher.windows import Runner, Shown, window_probs_of, windows_of


@dataclass(frozen=True)
class Differences:
    """How far cached targets are from recomputed ones, for R views.

    faces (R): the views' faces; angle_deg (R): the largest difference of a view's angles, stored or
    expected from the stored probabilities; prob: the largest difference of any probability.
    """

    faces: NDArray[np.int64]
    angle_deg: NDArray[np.float32]
    prob: float


def recompute(
    targets: Targets, runner: Runner, crops: Crops, places: NDArray[np.int64]
) -> Differences:
    """Recomputes the views numbered `places` (R), in [0; N·V), face by face."""
    spec = runner.network.spec
    faces, views = np.divmod(places, targets.origin.views)
    shown = Shown(crops, faces, windows_of(targets.origin), targets.phi_deg[faces, views])
    fresh = [average(probs, spec) for probs in window_probs_of(runner, shown)]
    pyr_deg = np.concatenate([part.pyr_deg.cpu().numpy() for part in fresh])
    probs = np.concatenate([part.probs.cpu().numpy() for part in fresh])
    stored = np.stack([targets[face, view] for face, view in zip(faces, views, strict=True)])
    from_angles = np.abs(pyr_deg - targets.pyr_deg[faces, views]).max(axis=1)
    from_probs = np.abs(pyr_deg - stored @ spec.centers_deg.numpy()).max(axis=1)
    angle_deg = np.maximum(from_angles, from_probs)
    return Differences(faces, angle_deg, float(np.abs(probs - stored).max()))
