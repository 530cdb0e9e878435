"""Work in shards: whole batches, kept as they are done, shared by several processes.

Each process computes a run of whole batches, so that every batch holds what it would in one process
and its numbers come out the same to the last bit; a shard ends where a batch does, so that work
which goes on after a kill has the same batches, too. Shards lie in the folder of unfinished work:
nothing is gathered in memory, and processes on several machines need no more than the file system
they share.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TypeVar

import lightning_fabric
import numpy as np
from numpy.typing import NDArray

from hpe_core.io.files import atomic
from hpe_core.io.work import Work

Arrays = tuple[NDArray, ...]
Items = TypeVar("Items", NDArray, list)

ROWS = 1024  # of a shard, at least


def share_of(items: Items, batch: int, fabric: lightning_fabric.Fabric) -> Items:
    """The part of all items that belongs to one process: whole batches, the last may be short."""
    batches = -(-len(items) // batch)
    first, last = (
        batches * rank // fabric.world_size * batch
        for rank in (fabric.global_rank, fabric.global_rank + 1)
    )
    return items[first:last]


def in_shards(
    work: Work,
    count: int,
    batch: int,
    compute: Callable[[NDArray[np.int64]], Iterable[Arrays]],
    fabric: lightning_fabric.Fabric,
    name: str = "all",
) -> Iterator[Arrays]:
    """All of `count` items' arrays, in their order, for the first process; nothing for the others.

    Every process must call it. compute: numbers of items → one part a batch of them, arrays of as
    many rows each, no objects among them. It is asked only for what no shard holds. name: of these
    items, where an output is made of several such sets.
    """
    own = share_of(np.arange(count), batch, fabric)
    size = -(-ROWS // batch)  # batches of a shard
    pattern = f"{name}-{fabric.world_size}x{batch}-"
    prefix = f"{pattern}{fabric.global_rank:05d}-"
    number = len(list(work.folder.glob(f"{prefix}*.npz")))
    left = own[number * size * batch :]
    parts = iter(compute(left) if len(left) else ())
    while some := list(islice(parts, size)):
        columns = [np.concatenate(column) for column in zip(*some, strict=True)]
        path = work.folder / f"{prefix}{number:07d}.npz"
        with atomic(path) as temporary, temporary.open("wb") as file:
            np.savez(file, *columns)
        number += 1
        work.says(f"{min(number * size * batch, len(own))} of {len(own)} are")
    fabric.barrier()
    return _read(work.folder, pattern) if fabric.is_global_zero else iter(())


def _read(folder: Path, pattern: str) -> Iterator[Arrays]:
    for path in sorted(folder.glob(f"{pattern}*.npz")):
        with np.load(path) as shard:
            yield tuple(shard[name] for name in shard.files)


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
