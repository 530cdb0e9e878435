"""Work in shards: files of whole batches, saved as they are done, by one or several processes.

Each process computes consecutive whole batches, and shards end at batch boundaries. So batches are
the same with any number of processes and after a restart, and the results are equal to the last
bit. Shards are saved in the folder of unfinished work: nothing piles up in memory, and processes
on several machines need only a shared file system.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from itertools import chain, islice, takewhile
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from hpe_core.common.files import atomic
from hpe_core.work.resume import Processes, Work, undamaged

Arrays = tuple[NDArray, ...]
Items = TypeVar("Items", NDArray, list)

ROWS = 1024  # per shard, at least


def share_of(items: Items, batch: int, rank: int, world: int) -> Items:
    """One process's part of the items: whole batches, of which the last may be short."""
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
    """Computes arrays for `count` items; yields all in order to the first process, none to others.

    Every process must call it. compute: indices of items → one tuple of arrays (not of objects) per
    batch; called only for what no shard has yet. name: of the set of items, if an output has
    several; rows: items per shard, at least.
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
    # Keep shards up to the first missing one; any after it are rewritten.
    done = sum(1 for _ in takewhile(Path.exists, paths[rank]))
    if done:
        work.note_saved(f"{min(done * rows, len(shares[rank]))} of {len(shares[rank])} are")
    left = shares[rank][done * rows :]
    with closing(part for part in (compute(left) if len(left) else ())) as parts:
        while some := list(islice(parts, rows // batch)):
            columns = some[0] if len(some) == 1 else map(np.concatenate, zip(*some, strict=True))
            with atomic(paths[rank][done]) as temporary, temporary.open("wb") as file:
                np.savez(file, *columns)
            done += 1
            work.note_saved(f"{min(done * rows, len(shares[rank]))} of {len(shares[rank])} are")
    processes.barrier()  # the first process reads the shards of all
    return _read_shards(chain(*paths)) if processes.is_global_zero else iter(())


def _read_shards(paths: Iterable[Path]) -> Iterator[Arrays]:
    for path in paths:
        with undamaged(path), np.load(path) as shard:  # verifies checksums of whole arrays
            arrays = tuple(shard[name] for name in shard.files)
        yield arrays


def blocks(parts: Iterable[Arrays], rows: int) -> Iterator[Arrays]:
    """The same rows, regrouped into blocks of `rows`; the last one may be short."""
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
