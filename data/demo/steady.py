"""Arithmetic with the same bits on every processor, for all that ends in a file of the corpora.

IEEE 754 fixes +, -, *, / and the square root to the last bit, and NumPy does one of them at a time.
It doesn't fix sines, powers and exponentials, nor the order of sums in a matrix product: libraries
choose code for these by the processor. So there are no matrix products and no other elementary
functions here than those below, built from what is fixed or rounded to steps of `STEP`, far coarser
than what processors disagree about. Pictures are integers, and OpenCV is asked only for operations
on integers (tests/test_demo_steady.py).
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hpe_core.common.geometry import rotation_from_pyr

Floats64 = NDArray[np.float64]

STEP = 2.0**-24  # two results that differ by 1e-16 round to different steps once in 10^8 times


def settle(value: Any) -> Any:
    """A number or array, rounded to multiples of STEP."""
    return np.rint(np.asarray(value, np.float64) / STEP) * STEP


class Draws(np.random.Generator):
    """Random numbers whose floats are rounded: NumPy takes logarithms for the tails of `normal`."""

    def normal(self, *args: Any, **kwargs: Any) -> Any:
        return settle(super().normal(*args, **kwargs))

    def uniform(self, *args: Any, **kwargs: Any) -> Any:
        return settle(super().uniform(*args, **kwargs))


def draws(*seed: int) -> Draws:
    """The stream of random numbers of a seed and the numbers of what is drawn."""
    return Draws(np.random.PCG64(np.random.SeedSequence(seed)))


def sin(angle_rad: ArrayLike) -> Floats64:
    return np.asarray(settle(np.sin(angle_rad)))


def cos(angle_rad: ArrayLike) -> Floats64:
    return np.asarray(settle(np.cos(angle_rad)))


def rotation(pyr_deg: ArrayLike) -> Floats64:
    """`rotation_from_pyr`: ... x 3 degrees to ... x 3 x 3."""
    return np.asarray(settle(rotation_from_pyr(pyr_deg)))


def turn(points: NDArray[Any], matrix: NDArray[Any]) -> NDArray[Any]:
    """Matrix (3 x 3) times each of the points (... x 3), summed from left to right."""
    x, y, z = points[..., 0], points[..., 1], points[..., 2]
    return np.stack([x * a + y * b + z * c for a, b, c in matrix], axis=-1)


def decay(amount: ArrayLike) -> Floats64:
    """exp(-amount) for amounts ≥ 0, to within 1e-5: a short series, squared eight times."""
    part = np.minimum(np.asarray(amount, np.float64) / 256, 1)
    value = 1 - part + part * part / 2
    for _ in range(8):
        value = value * value
    return value


def root34(value: Floats64) -> Floats64:
    """value^(3/4) for values ≥ 0."""
    root = np.sqrt(value)
    return root * np.sqrt(root)


def interpolate(at: ArrayLike, x: ArrayLike, y: ArrayLike) -> Floats64:
    """`np.interp`, in NumPy: piecewise linear through knots x (N, rising), y (N); flat beyond."""
    at, x, y = np.asarray(at, np.float64), np.asarray(x), np.asarray(y)
    k = np.clip(np.searchsorted(x, at, side="right") - 1, 0, len(x) - 2)
    t = np.clip((at - x[k]) / (x[k + 1] - x[k]), 0, 1)
    return np.asarray(y[k] + t * (y[k + 1] - y[k]))
