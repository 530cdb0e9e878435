"""The MAE of the ensembles for all K and d, from one sweep: Tables 2-4 and Fig. 7."""

import pandas as pd

from hpe_core.evaluation.columns import ORDER, TRUE_PYR
from hpe_core.evaluation.metrics import (
    absolute_error_deg,
    has_other_order,
    mae_deg,
    published_errors_deg,
)
from hpe_core.teacher.offsets import cell_members
from hpe_core.teacher.sweeps import SweptAngles


def cell_errors(swept: SweptAngles, predictions: pd.DataFrame) -> pd.DataFrame:
    """One row per cell: K in 0..K_max, d in 1..max(K_max, 1), S, pitch, yaw, roll, mae, faces.

    predictions: with the labels of the swept faces. Errors in degrees; where a corpus publishes its
    angles in another order, also published_pitch … published_mae (`published_errors_deg`).
    """
    faces = predictions.drop_duplicates("face_id").set_index("face_id").loc[swept.face_id]
    pyr_deg, order = faces[TRUE_PYR].to_numpy("f8"), faces[ORDER].tolist()
    other_order = has_other_order(order)
    k_max = int(swept.offsets.max(initial=0))
    rows = []
    for radius in range(k_max + 1):
        for step in range(1, max(k_max, 1) + 1):
            members = cell_members(swept.offsets, radius, step)
            # The ensemble's angle is the mean of its windows' (the expectation is linear).
            predicted = swept.angles_deg[:, members].mean(1, dtype="f8")
            errors = mae_deg(absolute_error_deg(predicted, pyr_deg))
            if other_order:
                published = mae_deg(published_errors_deg(predicted, pyr_deg, order))
                errors |= {f"published_{name}": error for name, error in published.items()}
            rows.append({"K": radius, "d": step, "S": len(members), **errors})
    return pd.DataFrame(rows).assign(faces=len(swept.face_id))
