"""Which networks of a protocol are measured, and how each of them predicts."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from hpe_core.boxes import offset_grid
from hpe_core.params.learning import Ensemble


def networks_of(
    students: Sequence[str], seeds: Sequence[int], networks: Path, grid: Ensemble
) -> Iterator[tuple[str, int, Path, np.ndarray, bool]]:
    """Name, seed, file, offsets and flip of all that is evaluated: base, its ensemble, students."""
    centre, grid_offsets = offset_grid(0, 1), offset_grid(grid.K, grid.d)
    kinds = [("base", "base", centre, False), ("ensemble", "base", grid_offsets, grid.flip)]
    kinds += [(f"kd-{backbone}", f"kd-{backbone}", centre, False) for backbone in students]
    for name, stem, offsets, flip in kinds:
        for seed in seeds:
            yield name, seed, networks / f"{stem}-{seed}.safetensors", offsets, flip
