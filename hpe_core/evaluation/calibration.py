"""Calibrates standard deviations with factors measured on validation faces."""

import numpy as np
import pandas as pd

from hpe_core.common.errors import InputError
from hpe_core.evaluation.columns import PYR, STD_PYR
from hpe_core.evaluation.metrics import angle_errors_deg
from hpe_core.evaluation.uncertainty import scale_for_coverage

_RUN = ["network", "seed"]


def scale_factors(predictions: pd.DataFrame) -> pd.DataFrame:
    """The factors with which ±1 std covers 68.27 % of the faces, per network, seed and angle.

    predictions: as in `columns`. Returns the columns network, seed, pitch, yaw, roll, one row per
    run; no rows for an empty table. Raises ValueError as `scale_for_coverage` does.
    """
    rows = [
        [*run, *scale_for_coverage(angle_errors_deg(own), own[STD_PYR])]
        for run, own in predictions.groupby(_RUN, sort=False)
    ]
    return pd.DataFrame(rows, columns=[*_RUN, *PYR])


def calibrated(predictions: pd.DataFrame, factors: pd.DataFrame) -> pd.DataFrame:
    """The predictions with every std multiplied by its run's factor; unchanged if there are none.

    factors: from `scale_factors`. Raises InputError if only some runs have factors.
    """
    if factors.empty:
        return predictions
    runs = pd.MultiIndex.from_frame(predictions[_RUN])
    of_runs = factors.set_index(_RUN)[PYR].reindex(runs).to_numpy()
    if np.isnan(of_runs).any():
        absent = sorted(set(runs) - set(pd.MultiIndex.from_frame(factors[_RUN])))
        raise InputError(f"no calibration factors for {absent}; run validate again")
    std_deg = pd.DataFrame(predictions[STD_PYR].to_numpy() * of_runs, predictions.index, STD_PYR)
    return predictions.assign(**std_deg)
