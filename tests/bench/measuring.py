"""Two things timed alternately, and what a row of the table says of them."""

import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

PAIRS = 5


@dataclass(frozen=True)
class Row:
    """One comparison. ours and reference are medians in `unit`; ratio is the median of the pairs'
    ratios, above 1 where ours is better; target: the least ratio that is asked for.
    """

    what: str
    unit: str
    ours: float
    reference: float
    ratio: float
    ratios: list[float]
    against: str
    target: float | None = None
    notes: dict[str, Any] = field(default_factory=dict)


def compared(
    what: str,
    ours: Callable[[], object],
    reference: Callable[[], object],
    items: int,
    unit: str,
    against: str,
    target: float | None = None,
    pairs: int = PAIRS,
) -> Row:
    """Both process `items`; each runs once unmeasured, then they take turns, `pairs` times."""
    ours(), reference()
    times = [(seconds(ours), seconds(reference)) for _ in range(pairs)]
    return from_times(what, times, items, unit, against, target)


def from_times(
    what: str,
    times: list[tuple[float, float]],
    items: float,
    unit: str,
    against: str,
    target: float | None = None,
    **notes: Any,
) -> Row:
    """times: seconds of (ours, reference) for `items`, one pair a run."""
    ratios = [theirs / own for own, theirs in times]
    own, theirs = (items / statistics.median(column) for column in zip(*times, strict=True))
    return Row(what, unit, own, theirs, statistics.median(ratios), ratios, against, target, notes)


def seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start


def machine() -> dict[str, Any]:
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": gpu,
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def _cpu() -> str:
    try:
        with Path("/proc/cpuinfo").open() as lines:
            return next(line.split(":")[1].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        return platform.processor()
