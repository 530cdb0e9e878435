"""Shared work: every item belongs to one process, batches stay whole, rows keep their order."""

from types import SimpleNamespace

import numpy as np
import pytest

from hpe_core.io.shards import blocks, gathered, share_of


def process(rank: int, world: int) -> SimpleNamespace:
    return SimpleNamespace(global_rank=rank, world_size=world, is_global_zero=rank == 0)


@pytest.mark.parametrize("n", [0, 1, 7, 8, 9, 100])
@pytest.mark.parametrize("world", [1, 2, 3, 8])
def test_shares_are_runs_of_whole_batches(n, world):
    items, batch = np.arange(n), 4
    shares = [share_of(items, batch, process(rank, world)) for rank in range(world)]
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


def test_shards_of_a_killed_run_are_removed(tmp_path):
    (tmp_path / ".out.shards").mkdir()
    (tmp_path / ".out.shards/00000-0000000.npz").write_bytes(b"old")
    assert list(gathered(tmp_path / "out", [], process(0, 1))) == []
    assert list(tmp_path.iterdir()) == []


def test_one_process_passes_its_parts_on_as_they_come(tmp_path):
    parts = ((np.full(2, i),) for i in range(3))
    stream = gathered(tmp_path / "out", parts, process(0, 1))
    assert next(stream)[0].tolist() == [0, 0]
    assert next(parts)[0].tolist() == [1, 1]  # not read ahead
    assert list(tmp_path.iterdir()) == []
