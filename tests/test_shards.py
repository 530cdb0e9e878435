"""Shared work: every item belongs to one process, batches stay whole, rows keep their order."""

from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest

from hpe_core.work import shards
from hpe_core.work.resume import Work
from hpe_core.work.shards import blocks, share_of

in_shards = partial(shards.in_shards, rows=8)  # 9 with batches of 3


def process(rank: int = 0, world: int = 1) -> SimpleNamespace:
    return SimpleNamespace(
        global_rank=rank, world_size=world, is_global_zero=rank == 0, barrier=lambda: None
    )


@pytest.mark.parametrize("n", [0, 1, 7, 8, 9, 100])
@pytest.mark.parametrize("world", [1, 2, 3, 8])
def test_shares_are_runs_of_whole_batches(n, world):
    items, batch = np.arange(n), 4
    shares = [share_of(items, batch, rank, world) for rank in range(world)]
    np.testing.assert_array_equal(np.concatenate(shares), items)
    assert all(share[0] % batch == 0 for share in shares if len(share))
    batches = [-(-len(share) // batch) for share in shares]
    assert max(batches) - min(batches) <= 1


@pytest.mark.parametrize("sizes", [[10], [5, 5], [3, 7], [1] * 10, [4, 4, 2], [8, 0, 2]], ids=str)
def test_blocks_have_the_same_rows_in_blocks(sizes):
    numbers, texts = np.arange(10), np.array(list("abcdefghij"))
    cuts = np.cumsum(sizes)[:-1]
    parts = list(zip(np.split(numbers, cuts), np.split(texts, cuts), strict=True))
    found = list(blocks(parts, 4))
    assert [len(block[0]) for block in found] == [4, 4, 2]
    np.testing.assert_array_equal(np.concatenate([block[0] for block in found]), numbers)
    np.testing.assert_array_equal(np.concatenate([block[1] for block in found]), texts)


def test_nothing_has_no_blocks():
    assert list(blocks([], 4)) == []


class KilledError(Exception):
    pass


class Squares:
    """Numbers of items → their squares, a part a batch; killed after so many batches."""

    def __init__(self, batch: int, killed_after: int | None = None) -> None:
        self.batch, self.left, self.batches = batch, killed_after, []

    def __call__(self, items):
        for start in range(0, len(items), self.batch):
            if self.left == 0:
                raise KilledError
            self.left = None if self.left is None else self.left - 1
            some = items[start : start + self.batch]
            self.batches.append(some.tolist())
            yield some**2, np.array([str(item) for item in some])


@pytest.mark.parametrize("n", [0, 1, 4, 23, 24, 25])
def test_items_come_back_in_their_order(tmp_path, n):
    work = Work(tmp_path / "w", first=True)
    found = list(in_shards(work, n, 3, Squares(3), process()))
    values = np.concatenate([v for v, _ in found]) if n else []
    np.testing.assert_array_equal(values, np.arange(n) ** 2)
    assert [len(v) for v, _ in found] == [9] * (n // 9) + ([n % 9] if n % 9 else [])


def test_a_killed_run_goes_on_with_whole_batches_after_the_last_shard(tmp_path):
    work, batches = Work(tmp_path / "w", first=True), []
    for killed_after in (2, 4, 5):  # batches of 3: nothing, one, one more shard
        squares = Squares(3, killed_after)
        with pytest.raises(KilledError):
            in_shards(work, 31, 3, squares, process())
        batches.append(squares.batches[0][0])
    assert batches == [0, 0, 9]
    assert work.saved == "18 of 31 are saved; the next run continues from there"
    resumed = Work(tmp_path / "w", first=True)
    with pytest.raises(KilledError):
        in_shards(resumed, 31, 3, Squares(3, 0), process())
    assert resumed.saved == work.saved, "what an earlier run saved"
    last = Squares(3)
    found = list(in_shards(work, 31, 3, last, process()))
    assert [batch[0] for batch in last.batches] == [18, 21, 24, 27, 30]
    np.testing.assert_array_equal(np.concatenate([v for v, _ in found]), np.arange(31) ** 2)
    assert np.concatenate([t for _, t in found]).tolist() == [str(item) for item in range(31)]
    again = Squares(3)
    assert len(list(in_shards(work, 31, 3, again, process()))) == len(found)
    assert again.batches == []


@pytest.mark.parametrize(("batch", "name"), [(4, "all"), (3, "others")])
def test_shards_of_other_batches_and_items_are_left_alone(tmp_path, batch, name):
    work, squares = Work(tmp_path / "w", first=True), Squares(batch)
    with pytest.raises(KilledError):
        in_shards(work, 31, 3, Squares(3, 4), process())
    found = list(in_shards(work, 31, batch, squares, process(), name))
    assert squares.batches[0] == list(range(batch))
    np.testing.assert_array_equal(np.concatenate([v for v, _ in found]), np.arange(31) ** 2)


def test_a_shard_after_a_missing_one_does_not_count(tmp_path):
    work, squares = Work(tmp_path / "w", first=True), Squares(3)
    whole = list(in_shards(work, 31, 3, Squares(3), process()))
    sorted(work.folder.iterdir())[1].unlink()
    found = list(in_shards(work, 31, 3, squares, process()))
    assert squares.batches[0] == [9, 10, 11]
    for one, other in zip(found, whole, strict=True):
        np.testing.assert_array_equal(one[0], other[0])


def test_several_processes_put_theirs_together(tmp_path):
    work = Work(tmp_path / "w", first=True)
    parts = [list(in_shards(work, 31, 3, Squares(3), process(rank, 3))) for rank in (2, 1, 0)]
    assert parts[:2] == [[], []]
    np.testing.assert_array_equal(np.concatenate([v for v, _ in parts[2]]), np.arange(31) ** 2)
