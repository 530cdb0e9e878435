"""Standard deviations of the right size: factors from validation faces, applied to any others."""

import numpy as np
import pandas as pd

from hpe_core.errors import InputError
from hpe_core.metrics import absolute_error_deg
from hpe_core.predictions import PYR, STD_PYR, TRUE_PYR
from hpe_core.uncertainty import scale_for_coverage

_RUN = ["network", "seed"]


def scale_factors(predictions: pd.DataFrame) -> pd.DataFrame:
    """The factor of every network, seed and angle with which ±1 std covers 68.27 % of the faces.

    predictions: table of predictions. Returns the columns network, seed, pitch, yaw, roll, one row
    a run; none for a table without rows. Raises ValueError as `scale_for_coverage` does.
    """
    rows = [
        [*run, *scale_for_coverage(absolute_error_deg(own[PYR], own[TRUE_PYR]), own[STD_PYR])]
        for run, own in predictions.groupby(_RUN, sort=False)
    ]
    return pd.DataFrame(rows, columns=[*_RUN, *PYR])


def calibrated(predictions: pd.DataFrame, factors: pd.DataFrame) -> pd.DataFrame:
    """The predictions with every std multiplied by its run's factor; as they are without factors.

    predictions: table of predictions; factors: as `scale_factors` returns them. Raises InputError
    for a run without factors where others have some.
    """
    if factors.empty:
        return predictions
    runs = pd.MultiIndex.from_frame(predictions[_RUN])
    of_runs = factors.set_index(_RUN)[PYR].reindex(runs).to_numpy()
    if np.isnan(of_runs).any():
        absent = sorted(set(runs) - set(pd.MultiIndex.from_frame(factors[_RUN])))
        raise InputError(f"no calibration factors of {absent}; run validate again")
    std_deg = pd.DataFrame(predictions[STD_PYR].to_numpy() * of_runs, predictions.index, STD_PYR)
    return predictions.assign(**std_deg)
