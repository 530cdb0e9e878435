"""The table of predictions: one row per network, seed and face; angles in degrees.

Other columns: face_id, group (`splits.groups_of`), network, seed and the three predicted angles.
With jittered boxes, one row per network, seed, face and jitter.
"""

from hpe_core.common.geometry import ANGLES
from hpe_core.common.table_files import PYR

TRUE_PYR = [f"true_{angle}" for angle in ANGLES]  # labels
STD_PYR = [f"std_{angle}" for angle in ANGLES]  # of the binned distribution, not calibrated
SPREAD_PYR = [f"spread_{angle}" for angle in ANGLES]  # of the windows' angles; 0 for one window
ENTROPY_PYR = [f"entropy_{angle}" for angle in ANGLES]  # of the binned distribution, nats
UNCERTAINTIES = {"std": STD_PYR, "entropy": ENTROPY_PYR, "spread": SPREAD_PYR}
PREDICTED = [*PYR, *STD_PYR, *SPREAD_PYR, *ENTROPY_PYR]  # what a network says of a face
ORDER = "order"  # the Euler order in which the face's corpus publishes angles
PREDICTION_COLUMNS = ["face_id", "group", "network", "seed", *PREDICTED, *TRUE_PYR, ORDER]

JITTER = ["kind", "direction", "level"]  # more columns, with jittered boxes
SHIFT, SCALE = "shift", "scale"  # kinds
PLAIN = {SHIFT: 0.0, SCALE: 1.0}  # kind → the level that leaves the box unchanged

ORACLE = "base, best order"  # risk-coverage curve of the base network, faces sorted by error
