"""The errors of networks with jittered boxes (`prediction.jitter` makes the boxes)."""

import pandas as pd

from hpe_core.evaluation.columns import JITTER
from hpe_core.evaluation.metrics import face_errors_deg


def jitter_errors(predictions: pd.DataFrame) -> pd.DataFrame:
    """One row per network and jitter: network, kind, direction, level, mae (degrees), faces.

    predictions: with the columns `JITTER`; networks and jitters keep their order. The MAE is
    averaged over the seeds of each network.
    """
    keys = ["network", *JITTER]
    errors = face_errors_deg(predictions)
    of_faces = predictions[[*keys, "seed"]].assign(mae=errors, faces=1)
    runs = of_faces.groupby([*keys, "seed"], sort=False).agg({"mae": "mean", "faces": "sum"})
    means = runs.groupby(keys, sort=False).agg({"mae": "mean", "faces": "first"})
    return means.round({"mae": 4}).reset_index()
