"""The table of predictions: one row a network, seed and face; angles and spreads in degrees.

Besides the columns below: face_id, group (`splits.groups_of`), network, seed and the three angles.
"""

from hpe_core.geometry import ANGLES

PYR = list(ANGLES)
TRUE_PYR = [f"true_{angle}" for angle in ANGLES]  # labels
STD_PYR = [f"std_{angle}" for angle in ANGLES]  # of the binned distribution
SPREAD_PYR = [f"spread_{angle}" for angle in ANGLES]  # of the windows' angles; 0 for one window
ENTROPY_PYR = [f"entropy_{angle}" for angle in ANGLES]  # of the binned distribution, nats
ORACLE = "base, best order"  # a risk-coverage curve: the base's faces in the order of their errors
UNCERTAINTIES = {"std": STD_PYR, "entropy": ENTROPY_PYR, "spread": SPREAD_PYR}
