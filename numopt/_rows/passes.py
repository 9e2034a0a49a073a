"""Passes over the rows of a matrix: a summary of each block, and their merge in a fixed order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import reduce
from typing import Any

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


class Passes:
    """The passes that any source of blocks offers; a subclass yields ranges and blocks."""

    dtype: Any
    # What goes through the chunks of a Dask array, None for any other source.
    cluster: Any = None

    @property
    def n_blocks(self) -> int:
        """Chunks of a Dask array, 1 for any other source."""
        return 1 if self.cluster is None else int(self.cluster.n_blocks)

    @property
    def n_retries(self) -> int:
        """How often a pass had to be repeated on the cluster."""
        return 0 if self.cluster is None else int(self.cluster.n_retries)

    def parts(self) -> Iterator[tuple[slice, Array]]:
        """Yield ranges of rows with their blocks, as they come from the source."""
        raise NotImplementedError

    def blocks(self) -> Iterator[tuple[slice, Array]]:
        """Yield ranges of rows, each with its rows in C order in the dtype asked for.

        What is in memory in that form already is one block; other arrays are copied in pieces.
        """
        for rows, block in self.parts():
            for part, piece in pieces(block, self.dtype):
                yield slice(rows.start + part.start, rows.start + part.stop), piece

    def fold(
        self,
        summarize: Callable[..., Summary],
        *beside: Array | None,
        merge: Merge = add,
    ) -> Summary:
        """Return the merge over all blocks of ``summarize(block, rows, *parts)``.

        `beside` are arrays with as many rows as the matrix, or None; `parts` are their rows. The
        function and its result must be what can be sent to another process.
        """
        return self._fold(Work(summarize, merge, self.dtype), merge, beside)

    def _fold(self, work: Work, merge: Merge, beside: tuple[Array | None, ...]) -> Summary:
        tree = Tree(merge)
        for rows, block in self.parts():
            tree.add(work(block, rows.start, *(cut(x, rows) for x in beside)))
        return tree.total()

    def work(self, function: Callable[..., Summary]) -> Work:
        """Return what makes rows of each block, the pieces below one another."""
        return Work(function, below, self.dtype)

    def each(self, function: Callable[..., Summary], *beside: Array | None) -> Summary:
        """Return ``function(block, rows, *parts)`` for all rows, the blocks below one another."""
        work = self.work(function)
        found = [
            work(block, rows.start, *(cut(x, rows) for x in beside)) for rows, block in self.parts()
        ]
        return all_joined(found)


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
