"""Rows of a matrix shared out among threads that each call BLAS on their own blocks."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import numba
import numpy as np
from threadpoolctl import ThreadpoolController

# Entries of a block: 1 MB of float64, which stays in the cache with what is made of it.
BLOCK_ENTRIES = 1 << 17


@cache
def _controller() -> Any:
    """Return a handle on the BLAS of this process; finding the libraries takes milliseconds."""
    return ThreadpoolController()


def sum_over_row_blocks(
    function: Callable[[slice], np.ndarray[Any, Any]], n: int, d: int
) -> np.ndarray[Any, Any]:
    """Return the sum of ``function(rows)`` over blocks of the rows of an (n, d) matrix.

    Each thread adds up its own consecutive blocks, and the totals are added in the order of the
    threads. BLAS runs on one thread in each: on blocks this small its threads cost more than
    they bring.
    """
    height = max(8, BLOCK_ENTRIES // d)
    threads = max(1, min(numba.get_num_threads(), n // (4 * height)))

    def total(part: int) -> np.ndarray[Any, Any]:
        first, last = part * n // threads, (part + 1) * n // threads
        result = function(slice(first, min(last, first + height)))
        for start in range(first + height, last, height):
            result += function(slice(start, min(last, start + height)))
        return result

    if threads == 1:
        return total(0)
    with (
        _controller().limit(limits=1, user_api="blas"),
        ThreadPoolExecutor(threads) as pool,
    ):
        first, *others = pool.map(total, range(threads))
    for other in others:
        first += other
    return first
