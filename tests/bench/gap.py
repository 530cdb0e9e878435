"""Which faces does a network get wrong?

    hpe evaluate drawn-resnet8 --corpus AFLW2000 --reader AFLW2000 --out faces.csv
    python -m tests.bench.gap --faces faces.csv --worst 100

Prints the geodesic error by each angle of the label, and how an angle that is predicted follows the
one that is labelled: a slope below 1 says that the network keeps near the mean pose. Then the worst
of the faces that are within all of NEAR_DEG, to look at. The tables of docs/rendered.md.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from hpe_core.common.geometry import ANGLES, geodesic_deg
from hpe_core.common.stage import run
from hpe_core.evaluation.columns import PYR, TRUE_PYR

BANDS_DEG = (0, 15, 30, 45, 60, 99)
NEAR_DEG = {"pitch": 25, "yaw": 30, "roll": 25}  # faces whose pose alone does not explain an error


def main(*, faces: Path, worst: int = 0) -> None:
    """faces: a csv of `hpe evaluate --out`."""
    table = with_errors(pd.read_csv(faces))
    print(by_angle(table).to_markdown(index=False, floatfmt=".1f"), end="\n\n")
    print(following(table).to_markdown(index=False, floatfmt=".2f"))
    listed = near(table).nlargest(worst, "geodesic")
    for image, error in zip(listed["image"], listed["geodesic"], strict=True):
        print(f"{error:6.1f}  {image}")


def with_errors(rows: pd.DataFrame) -> pd.DataFrame:
    """The faces that were evaluated, with their geodesic error in degrees."""
    table = rows[rows["why"].isna()].reset_index(drop=True)
    return table.assign(geodesic=geodesic_deg(table[PYR], table[TRUE_PYR]))


def by_angle(table: pd.DataFrame) -> pd.DataFrame:
    """Faces, mean and median geodesic error per band of |angle|, one row per angle and band."""
    rows = []
    for angle in ANGLES:
        bands = pd.cut(table[f"true_{angle}"].abs(), BANDS_DEG, right=False)
        for band, errors in table.groupby(bands, observed=True)["geodesic"]:
            low, high = int(band.left), int(band.right)  # type: ignore[attr-defined]
            found = {"faces": len(errors), "mean": errors.mean(), "median": errors.median()}
            rows.append({"angle": angle, "degrees": f"{low}-{high}", **found})
    return pd.DataFrame(rows)


def following(table: pd.DataFrame) -> pd.DataFrame:
    """Slope and correlation of the predicted angles against the labelled ones, of `near` faces."""
    own = near(table)
    rows = []
    for angle in ANGLES:
        labelled, predicted = own[f"true_{angle}"], own[angle]
        slope = float(np.polyfit(labelled, predicted, 1)[0])
        rows.append({"angle": angle, "slope": slope, "correlation": labelled.corr(predicted)})
    return pd.DataFrame(rows)


def near(table: pd.DataFrame) -> pd.DataFrame:
    within = [table[f"true_{angle}"].abs() < limit for angle, limit in NEAR_DEG.items()]
    return table[np.logical_and.reduce(within)]


if __name__ == "__main__":
    run(main)
