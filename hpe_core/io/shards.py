"""Work in shards: whole batches, kept as they are done, shared by several processes.

Each process computes a run of whole batches, so that every batch holds what it would in one process
and its numbers come out the same to the last bit; a shard ends where a batch does, so that work
which goes on after a kill has the same batches, too. Shards lie in the folder of unfinished work:
nothing is gathered in memory, and processes on several machines need no more than the file system
they share.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from itertools import chain, islice, takewhile
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from hpe_core.io.files import atomic
from hpe_core.io.work import Processes, Work, undamaged

Arrays = tuple[NDArray, ...]
Items = TypeVar("Items", NDArray, list)

ROWS = 1024


def share_of(items: Items, batch: int, rank: int, world: int) -> Items:
    """The part of all items that belongs to one process: whole batches, the last may be short."""
    batches = -(-len(items) // batch)
    first, last = (batches * number // world * batch for number in (rank, rank + 1))
    return items[first:last]


def in_shards(
    work: Work,
    count: int,
    batch: int,
    compute: Callable[[NDArray[np.int64]], Iterable[Arrays]],
    processes: Processes,
    name: str = "all",
    rows: int = ROWS,
) -> Iterator[Arrays]:
    """All of `count` items' arrays, in their order, for the first process; nothing for the others.

    Every process must call it. compute: numbers of items → one part a batch of them, arrays
    without objects. It is asked only for what no shard holds. name: of these items, where an output
    is made of several such sets; rows: items of a shard, at least.
    """
    world, rank = processes.world_size, processes.global_rank
    shares = [share_of(np.arange(count), batch, each, world) for each in range(world)]
    rows = -(-rows // batch) * batch
    paths = [
        [
            work.folder / f"{name}-{batch}-{each:05d}-{number:07d}.npz"
            for number in range(-(-len(share) // rows))
        ]
        for each, share in enumerate(shares)
    ]
    done = sum(1 for _ in takewhile(Path.exists, paths[rank]))
    if done:
        work.says(f"{min(done * rows, len(shares[rank]))} of {len(shares[rank])} are")
    left = shares[rank][done * rows :]
    with closing(part for part in (compute(left) if len(left) else ())) as parts:
        while some := list(islice(parts, rows // batch)):
            columns = some[0] if len(some) == 1 else map(np.concatenate, zip(*some, strict=True))
            with atomic(paths[rank][done]) as temporary, temporary.open("wb") as file:
                np.savez(file, *columns)
            done += 1
            work.says(f"{min(done * rows, len(shares[rank]))} of {len(shares[rank])} are")
    processes.barrier()
    return _read(chain(*paths)) if processes.is_global_zero else iter(())


def _read(paths: Iterable[Path]) -> Iterator[Arrays]:
    for path in paths:
        with undamaged(path), np.load(path) as shard:  # numpy verifies what it reads whole
            arrays = tuple(shard[name] for name in shard.files)
        yield arrays


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
