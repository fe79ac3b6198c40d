"""Map a function over items on all cores, in order, with bounded memory."""

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def in_order(
    work: Callable[[T], R], items: Iterable[T], *, threads: int | None = None
) -> Generator[R, None, None]:
    """Yield the result of `work` for each item, in the order of the items.

    It uses threads, since decoding, resizing and hashing release the interpreter lock. One thread reads `items`.
    An exception is raised at its item's position; later items are then abandoned.

    Args:
        threads: the number of cores by default; at most one result more than that is held.
    """
    threads = threads or os.cpu_count() or 1
    with ThreadPoolExecutor(threads) as pool:
        begun: deque[Future[R]] = deque()
        try:
            for item in items:
                begun.append(pool.submit(work, item))
                if len(begun) > threads:
                    yield begun.popleft().result()
            while begun:
                yield begun.popleft().result()
        finally:
            for future in begun:
                future.cancel()
