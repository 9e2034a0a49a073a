"""Summaries of blocks of rows, and their merge in an order that depends on their number alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from functools import partial, reduce
from typing import Any

import numpy as np

from .._core import validate
from .._core.namespace import Array, array_namespace

# Entries of a block that is copied: small enough for the cache, large enough for BLAS.
BLOCK_ENTRIES = 1 << 18
# Summaries that are merged at a time.
FAN_IN = 8

Summary = Any
Merge = Callable[[Summary, Summary], Summary]


def add(a: Summary, b: Summary) -> Summary:
    """Return the sum of two arrays, or of two tuples of arrays."""
    if isinstance(a, tuple):
        return tuple(x + y for x, y in zip(a, b, strict=True))
    return a + b


def below(a: Summary, b: Summary) -> Summary:
    """Return rows, or tuples of them, with others below."""
    if isinstance(a, tuple):
        return tuple(below(x, y) for x, y in zip(a, b, strict=True))
    return array_namespace(a).concat([a, b], axis=0)


class Work:
    """What is done with one block: a pure function of the block, its rows and what lies beside it.

    `function(block, rows, *parts)` sees the block in the dtype of the work and in C order, in
    pieces where that takes a copy; the summaries of pieces are merged.
    """

    def __init__(self, function: Callable[..., Summary], merge: Merge, dtype: Any) -> None:
        self._function, self._merge, self.dtype = function, merge, dtype

    def __call__(self, block: Array, start: int, *parts: Array | None) -> Summary:
        """Return the summary of the rows from `start` on."""
        found = self._summaries(block, start, parts)
        return all_joined(list(found)) if self._merge is below else reduce(self._merge, found)

    def whole(self, matrix: Any, *parts: Array | None) -> Summary:
        """Return the summary of a matrix that is one block and is to be seen as it is."""
        return self._function(matrix, slice(0, matrix.shape[0]), *parts)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Arrive at a worker: once, however many chunks it works on."""
        self.__dict__ = state | {"_function": aligned(state["_function"], objects=True)}

    def _summaries(self, block: Array, start: int, parts: Any) -> Iterator[Summary]:
        for rows, piece in pieces(block, self.dtype):
            here = slice(start + rows.start, start + rows.stop)
            yield self._function(piece, here, *(cut(part, rows) for part in parts))


class Tree:
    """The merge of summaries that come one by one: by eights, those by eights again, and so on.

    The order depends on the number of summaries alone, so that the sum of blocks on a cluster is
    that of the same blocks on one machine, to the last bit. Holds one summary for each level.
    """

    def __init__(self, merge: Merge) -> None:
        self._merge = merge
        self._levels: list[tuple[int, Summary]] = []

    def add(self, summary: Summary) -> None:
        """Take the next summary."""
        for level, (count, total) in enumerate(self._levels):
            total = summary if count == 0 else self._merge(total, summary)
            if count + 1 < FAN_IN:
                self._levels[level] = (count + 1, total)
                return
            self._levels[level] = (0, None)
            summary = total
        self._levels.append((1, summary))

    def total(self) -> Summary:
        """Return the merge of all."""
        total = None
        for count, here in self._levels:
            if count:
                total = here if total is None else self._merge(here, total)
        return total


def aligned(x: Any, *, objects: bool = False) -> Any:
    """Return an array, or arrays in tuples and partial functions, with the entries aligned.

    What comes over the network lies wherever the message has put it. Compiled code and BLAS take
    other ways through unaligned arrays, with other rounding: a number would then depend on which
    worker happened to compute it. With `objects`, those are copied, which aligns what they hold.
    """
    if isinstance(x, np.ndarray):
        return x if x.flags.aligned else x.copy()
    if isinstance(x, tuple):
        made = [aligned(item, objects=objects) for item in x]
        return type(x)(*made) if hasattr(x, "_fields") else tuple(made)
    if isinstance(x, partial):
        arguments = aligned(x.args, objects=objects)
        return partial(aligned(x.func, objects=objects), *arguments, **x.keywords)
    return deepcopy(x) if objects else x  # functions and numbers stay what they are


def all_joined(found: list[Summary]) -> Summary:
    """Return arrays, or tuples of arrays, below one another."""
    if len(found) == 1:
        return found[0]
    if isinstance(found[0], tuple):
        return tuple(all_joined(list(column)) for column in zip(*found, strict=True))
    return array_namespace(found[0]).concat(found, axis=0)


def cut(x: Array | None, rows: slice) -> Array | None:
    """Return some rows of an array (n,) or (n, k), or None for None."""
    if x is None or x.shape[0] == rows.stop - rows.start:
        return x
    return x[rows] if x.ndim == 1 else x[rows, :]


def pieces(block: Array, dtype: Any) -> Iterator[tuple[slice, Array]]:
    """Yield a block whole if nothing about it has to change, else in converted pieces."""
    n, d = block.shape
    xp = array_namespace(block)
    if block.dtype == dtype and _in_order(block):
        yield slice(0, n), block
        return
    height = max(1, BLOCK_ENTRIES // d)
    for start in range(0, n, height):
        rows = slice(start, min(n, start + height))
        yield rows, validate.contiguous(xp.astype(block[rows, :], dtype, copy=False))


def _in_order(x: Array) -> bool:
    flags = getattr(x, "flags", None)
    if flags is not None and hasattr(flags, "c_contiguous"):
        return bool(flags.c_contiguous)
    return bool(x.is_contiguous()) if hasattr(x, "is_contiguous") else True
