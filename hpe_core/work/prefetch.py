"""Prefetching: threads read the next items while the caller works on the current one."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def read_ahead(
    read: Callable[[Item], Result],
    items: Iterable[Item],
    in_flight: int,
    threads: int | None = None,
) -> Iterator[Result]:
    """Calls `read` on every item in threads and yields the results in order.

    in_flight: at most this many results wait for the caller, which bounds the memory; threads:
    None for the pool's default. An error of `read` is raised where its result is due.
    """
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for item in items:
            waiting.append(pool.submit(read, item))
            if len(waiting) > in_flight:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
