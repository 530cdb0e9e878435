"""The faces that the networks of a protocol are shown: rows of its crops, or jittered boxes."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hpe_core.crops.store import Crops
from hpe_core.evaluation.columns import JITTER, ORDER, PREDICTION_COLUMNS, TRUE_PYR
from hpe_core.evaluation.settings import Jitter
from hpe_core.prediction.jitter import JitteredCrops, box_jitters
from hpe_core.teacher.ensemble import Windows
from hpe_core.teacher.windows import sampled_rows

_SHOWN_FACES = 200  # of a training set, evenly spaced: enough for whole percents


@dataclass(frozen=True)
class FaceSet:
    """Faces to show to networks: rows of the crops, or all views of `jittered`.

    name: of the set, which no other set of the stage has.
    """

    name: str
    crops: Crops
    rows: NDArray[np.int64]
    jittered: JitteredCrops | None = None

    @property
    def columns(self) -> list[str]:
        """Of its table of predictions."""
        return PREDICTION_COLUMNS if self.jittered is None else [*PREDICTION_COLUMNS, *JITTER]

    def described(self) -> pd.DataFrame:
        """The columns that no network gives, one row per face or view."""
        crops = self.crops
        table = pd.DataFrame({"face_id": crops.face_id, "group": crops.group})
        table[TRUE_PYR] = crops.pyr_deg
        table[ORDER] = crops.order
        if self.jittered is None:
            return table.iloc[self.rows].reset_index(drop=True)
        return self.jittered.described(table)


def validation_set(crops: Crops) -> FaceSet:
    return FaceSet("validation", crops, np.flatnonzero(crops.validation))


def training_sample(crops: Crops) -> FaceSet:
    every = crops.training_rows
    places = np.linspace(0, len(every) - 1, min(_SHOWN_FACES, len(every)))
    return FaceSet("training", crops, every[places.round().astype(int)])


def whole_set(name: str, crops: Crops) -> FaceSet:
    return FaceSet(f"tests/{name}", crops, np.arange(len(crops)))


def jittered_sample(name: str, crops: Crops, levels: Jitter, windows: Windows) -> FaceSet:
    """A sample of a test set with every jitter; `windows` of the views are cut from them."""
    size_hw = crops.format.size_hw
    sample = sampled_rows(len(crops), levels.max_faces, levels.seed)
    jitters = box_jitters(levels.shifts, levels.scales)
    views = JitteredCrops(crops, sample, jitters, size_hw, windows.margin(size_hw))
    return FaceSet(f"jitter/{name}", crops, np.arange(len(views)), views)
