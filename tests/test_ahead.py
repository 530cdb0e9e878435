"""Results come in order, not many of them wait, and an error comes where its result would."""

import time

import pytest

from hpe_core.work.prefetch import read_ahead


@pytest.mark.parametrize("count", [0, 1, 3, 40])
def test_results_come_in_order(count):
    def read(number):
        time.sleep(0.002 * (number % 3))
        return number**2

    assert list(read_ahead(read, range(count), 4)) == [n**2 for n in range(count)]


def test_no_more_are_asked_for_than_may_wait():
    items = iter(range(20))
    results = read_ahead(lambda item: item, items, 3)
    assert next(results) == 0
    assert len(list(items)) == 16, "three may wait beside the one that was taken"
    assert list(results) == [1, 2, 3]


def test_an_error_comes_in_its_place():
    results = read_ahead(lambda number: 1 / (2 - number), range(9), 4)
    assert [next(results), next(results)] == [0.5, 1.0]
    with pytest.raises(ZeroDivisionError):
        next(results)
