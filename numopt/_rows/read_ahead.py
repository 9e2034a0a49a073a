"""Reading ahead: the next items of an iterator are made while the last one is used."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

Item = TypeVar("Item")

_END: Any = object()


def read_ahead(items: Iterator[Item], depth: int) -> Iterator[Item]:
    """Yield the items of an iterator, up to `depth` of them made in a thread before they are due.

    An item is not begun before there is room for it, so that `depth` + 1 exist at a time. Errors
    come where the item would have come. A generator that is closed early, by `break` or an error
    of the consumer, waits for the item in the making and closes the iterator.
    """
    pool = ThreadPoolExecutor(1, thread_name_prefix="numopt-read-ahead")
    due: deque[Future[Item]] = deque()
    try:
        due.extend(pool.submit(next, items, _END) for _ in range(depth))
        while (item := due.popleft().result()) is not _END:
            due.append(pool.submit(next, items, _END))
            yield item
            del item
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        close = getattr(items, "close", None)
        if close is not None:
            close()
