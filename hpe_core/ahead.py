"""Reading while somebody else computes."""

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
    """`read` of every item, in order, computed by threads.

    in_flight: how many results may wait for the caller, which bounds the memory; threads: None
    takes as many as suit the machine. What `read` raises is raised where its result is due.
    """
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for item in items:
            waiting.append(pool.submit(read, item))
            if len(waiting) > in_flight:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
