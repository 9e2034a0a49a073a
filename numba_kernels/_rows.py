"""Sums over blocks of rows that BLAS works on, one block in the cache at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ._blas import one_blas_thread
from ._pool import BLOCKS, added, run

# Entries of a block: 1 MB of float64, which stays in the cache with what is made of it.
BLOCK_ENTRIES = 1 << 17


def sum_over_row_blocks(
    function: Callable[[slice], np.ndarray[Any, Any]], n: int, d: int
) -> np.ndarray[Any, Any]:
    """Return the sum of ``function(rows)`` over blocks of the rows of an (n, d) matrix.

    Parts of the rows are summed up side by side, block by block, and the totals are added in their
    order: how many parts there are depends on the size alone. BLAS runs on one thread in each: on
    blocks this small its threads cost more than they bring.
    """
    height = max(8, BLOCK_ENTRIES // d)
    parts = max(1, min(BLOCKS, n // (4 * height)))
    totals: list[Any] = [None] * parts

    def total(part: int) -> None:
        first, last = part * n // parts, (part + 1) * n // parts
        # Overflow shows in the result; a thread does not know whether the caller wants a warning.
        with np.errstate(all="ignore"):
            result = function(slice(first, min(last, first + height)))
            for start in range(first + height, last, height):
                result += function(slice(start, min(last, start + height)))
        totals[part] = result

    with one_blas_thread():
        run(parts, total, entries=n * d)
    result: np.ndarray[Any, Any] = added(totals)
    return result
