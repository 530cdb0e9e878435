"""Work that several processes share, put together by the first of them.

Each process computes a run of whole batches, so that every batch holds what it would in one process
and its numbers come out the same to the last bit. What it computes goes through files beside the
output: nothing is gathered in memory, and processes on several machines need no more than the
file system they share.
"""

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

import lightning_fabric
import numpy as np
from numpy.typing import NDArray

Arrays = tuple[NDArray, ...]
Items = TypeVar("Items", NDArray, list)

ROWS = 1024  # of a shard's file


def share_of(items: Items, batch: int, fabric: lightning_fabric.Fabric) -> Items:
    """The part of all items that belongs to one process: whole batches, the last may be short."""
    batches = -(-len(items) // batch)
    first, last = (
        batches * rank // fabric.world_size * batch
        for rank in (fabric.global_rank, fabric.global_rank + 1)
    )
    return items[first:last]


def gathered(
    output: Path, parts: Iterable[Arrays], fabric: lightning_fabric.Fabric
) -> Iterator[Arrays]:
    """All processes' parts, in their order, for the first process; nothing for the others.

    Every process must call it. output: the file that the first process will write; shards lie
    beside it until it has read them. parts: this process's share of the work, arrays of as many
    rows each, no objects among them. A single process passes them on as they come.
    """
    folder = output.with_name(f".{output.name}.shards")
    if fabric.is_global_zero:
        shutil.rmtree(folder, ignore_errors=True)  # of a run that was killed
    if fabric.world_size == 1:
        return iter(parts)
    if fabric.is_global_zero:
        folder.mkdir(parents=True)
    fabric.barrier()
    for number, arrays in enumerate(blocks(parts, ROWS)):
        np.savez(folder / f"{fabric.global_rank:05d}-{number:07d}.npz", *arrays)
    fabric.barrier()
    return _read_and_remove(folder) if fabric.is_global_zero else iter(())


def _read_and_remove(folder: Path) -> Iterator[Arrays]:
    for path in sorted(folder.iterdir()):
        with np.load(path) as shard:
            yield tuple(shard[name] for name in shard.files)
    shutil.rmtree(folder)


def blocks(parts: Iterable[Arrays], rows: int) -> Iterator[Arrays]:
    """The same rows in the same order, `rows` of them at a time; the last block may be short."""
    waiting: list[Arrays] = []
    count = 0
    for arrays in parts:
        waiting.append(arrays)
        count += len(arrays[0])
        if count >= rows:
            joined = tuple(np.concatenate(column) for column in zip(*waiting, strict=True))
            full = count - count % rows
            for start in range(0, full, rows):
                yield tuple(column[start : start + rows] for column in joined)
            waiting, count = [tuple(column[full:] for column in joined)], count - full
    if count:
        yield tuple(np.concatenate(column) for column in zip(*waiting, strict=True))
