"""Observed entries of a matrix on a cluster: parts of its rows, and parts of its columns."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

from .._core.namespace import Array, array_namespace, device_of, inner, widest_float
from .._core.settings import index_dtype
from .._rows import Exchange
from .observations import Side, compressed, merged, residuals, shifted, twice
from .read import Entries

# Entries of a part, some 30 MB; a part may be larger where that saves tasks, up to a limit, and is
# smaller where workers are small.
PART, LARGEST_PART = 1 << 21, 1 << 24
# Bytes that a task takes for an entry that it regroups: the entry, its copy, and what is sorted.
BYTES = 64
# Pieces that change hands at most, since the scheduler takes a millisecond or more for each.
PIECES = 10_000


class Facts(NamedTuple):
    """Extremes of the values of some rows, and sums of their weighted values and weights (1,)."""

    low: Array
    high: Array
    total: Array
    weight: Array


class DistributedRows:
    """A sparse matrix by its rows, in parts that tasks make."""

    def __init__(
        self,
        exchange: Exchange,
        nodes: Callable[[], list[Any]],
        bounds: list[int],
        size: int,
        lengths: Array | None = None,
    ) -> None:
        self._exchange, self._nodes, self._lengths = exchange, nodes, lengths
        self._bounds, self.size = bounds, size
        self._spans = [slice(start, stop) for start, stop in pairwise(bounds)]

    @property
    def lengths(self) -> Array:
        """Number of entries of each row (m,), as floats."""
        if self._lengths is None:
            self._lengths = self.each(_lengths)
        return self._lengths

    @property
    def mean_length(self) -> float:
        """Entries of a row on average."""
        return self.size / max(1, self._bounds[-1])

    def each(self, work: Callable[..., Any], *beside: Array | None) -> Any:
        """Return ``work(side, *beside)`` for all rows, those of parts below one another."""
        return _below(self._exchange.compute(lambda: self._tasks(work, beside)))

    def _tasks(self, work: Callable[..., Any], beside: tuple[Array | None, ...]) -> list[Any]:
        return self._exchange.apply(work, self._nodes(), self._spans, beside)

    def changed(self, work: Callable[..., Side], *beside: Array | None) -> DistributedRows:
        """Return rows that are made of these by each task that needs them."""
        return DistributedRows(
            self._exchange,
            lambda: self._tasks(work, beside),
            self._bounds,
            self.size,
            self._lengths,
        )

    def kept(self) -> DistributedRows:
        """Return the same rows, kept on the cluster."""
        held = self._exchange.hold(self._nodes)
        return DistributedRows(self._exchange, held.nodes, self._bounds, self.size, self._lengths)

    def begin(self) -> None:
        """Have the rows made that the cluster keeps."""
        self._nodes()

    def transposed(self, bounds: list[int]) -> DistributedRows:
        """Return the rows of the transpose, with parts between some bounds."""
        split = partial(_by_columns, self._bounds, bounds)
        join = partial(_joined, bounds, self._bounds[-1], "raise")
        count = len(bounds) - 1
        return DistributedRows(
            self._exchange,
            lambda: self._exchange.regrouped(split, join, self._nodes(), count),
            bounds,
            self.size,
        )


class Regrouped:
    """Entries by rows alone: what there is before the values are in units of their size."""

    def __init__(
        self, exchange: Exchange, loads: list[Any], like: Array, weighted: bool, duplicates: str
    ) -> None:
        self._exchange, self._loads, self.like, self.weighted = exchange, loads, like, weighted
        self._duplicates = duplicates

    def sorted(self, shape: tuple[int, int]) -> Regrouped:
        """Return the entries sorted by rows: they are read twice."""
        self.shape = shape
        by_row, by_column = self._counted()
        size = int(array_namespace(by_row).sum(by_row))
        if size == 0:
            raise ValueError("`M` must have at least one observed entry, got none.")
        count = parts_of(size, len(self._loads), self._exchange.room)
        self._exchange.largest = 24.0 * size / count
        bounds, self._column_bounds = balanced(by_row, count), balanced(by_column, count)
        split = partial(_by_rows, bounds)
        join = partial(_joined, bounds, shape[1], self._duplicates)
        # Knows the exchange and the tasks, but not the object that knows it.
        make = partial(self._exchange.regrouped, split, join, self._loads, len(bounds) - 1)
        self._held = self._exchange.hold(make)
        rows = DistributedRows(self._exchange, self._held.nodes, bounds, size)
        lengths, *facts = rows.each(_facts)
        self._facts = Facts(*facts)
        xp = array_namespace(lengths)
        size = int(xp.sum(xp.astype(lengths, widest_float(lengths))))
        self._rows = DistributedRows(self._exchange, self._held.nodes, bounds, size, lengths)
        return self

    def _counted(self) -> tuple[Array, Array]:
        """Return how many entries lie in each row and in each column."""
        work, spans = partial(_counts, self.shape), [slice(0, 0)] * len(self._loads)
        found: tuple[Array, Array] = self._exchange.merged(
            self._exchange.apply(work, self._loads, spans, ()), _both
        )
        return found

    def mean(self) -> float:
        """Return the weighted mean of the values."""
        total, weight = self._facts.total, self._facts.weight
        ones = array_namespace(total).ones_like(total)
        return inner(total, ones) / inner(weight, ones)

    def largest(self, mu: float) -> float:
        """Return the largest distance of a value from `mu`."""
        xp = array_namespace(self.like)
        low, high = float(xp.min(self._facts.low)), float(xp.max(self._facts.high))
        return max(abs(low - mu), abs(high - mu))

    def normalized(self, mu: float, scale: float) -> DistributedObservations:
        """Return the entries by rows and by columns, values less `mu` and divided by `scale`."""
        rows = self._rows.changed(partial(_normalized, mu, scale)).kept()
        rows.begin()
        self._held.release()
        columns = rows.transposed(self._column_bounds).kept()
        places = LazyPlaces(self._exchange, self._loads)
        found = DistributedObservations(
            self._exchange, self.shape, rows, columns, self.like, self.weighted, places
        )
        found.norm()
        return found


class DistributedObservations:
    """Entries seen of a matrix, on a cluster, as the rows of it and of its transpose."""

    def __init__(
        self,
        exchange: Exchange,
        shape: tuple[int, int],
        rows: DistributedRows,
        columns: DistributedRows,
        like: Array,
        weighted: bool,
        places: LazyPlaces,
    ) -> None:
        self._exchange, self._places = exchange, places
        self.shape, self.rows, self.columns = shape, rows, columns
        self.like, self.weighted, self.size = like, weighted, rows.size
        self._norm: float | None = None

    @property
    def share(self) -> float:
        """Share of all entries that were seen."""
        return self.size / (self.shape[0] * self.shape[1])

    @property
    def n_blocks(self) -> int:
        """Chunks of what was given that are not empty."""
        return self._exchange.n_blocks

    @property
    def n_retries(self) -> int:
        """How often a pass was repeated on the cluster."""
        return self._exchange.n_retries

    def norm(self) -> float:
        """Return the root of the weighted sum of squares of all values."""
        if self._norm is None:
            squares = self.rows.each(_square)
            self._norm = math.sqrt(inner(squares, array_namespace(squares).ones_like(squares)))
        return self._norm

    def left(
        self, X: Array, Y: Array, row_bias: Array | None, col_bias: Array | None
    ) -> DistributedObservations:
        """Return the same places with what a model leaves of their values."""
        return DistributedObservations(
            self._exchange,
            self.shape,
            self.rows.changed(partial(_left, Y, col_bias), X, row_bias),
            self.columns.changed(partial(_left, X, row_bias), Y, col_bias),
            self.like,
            self.weighted,
            self._places,
        )

    def places(self) -> LazyPlaces:
        """Return what knows which entries were seen, and holds nothing on the cluster."""
        return self._places


class LazyPlaces:
    """Knows which entries were seen by going through what was given."""

    def __init__(self, exchange: Exchange, loads: list[Any]) -> None:
        self._loads = loads
        self._exchange = Exchange(
            exchange.name, exchange.source, exchange.limits, exchange.n_blocks
        )

    def columns_seen(self, row: int) -> Array:
        """Return the columns of the entries of a row, ascending: one barrier."""
        spans = [slice(0, 0)] * len(self._loads)
        found = _below(
            self._exchange.compute(
                lambda: self._exchange.apply(partial(_columns_of, row), self._loads, spans, ())
            )
        )
        xp = array_namespace(found)
        return xp.sort(xp.unique_values(found))


def parts_of(size: int, things: int, room: float = math.inf) -> int:
    """Return how many parts to make of so many entries, which come in so many things.

    A task that makes a part of another has `room` bytes.
    """
    most = max(PIECES // things, math.isqrt(PIECES))
    part = min(PART, max(1, room / BYTES))
    return max(1, min(math.ceil(size / part), most), math.ceil(size / LARGEST_PART))


def balanced(counts: Array, parts: int) -> list[int]:
    """Return bounds of ranges of rows with about as many entries each, and none without any."""
    xp = array_namespace(counts)
    ends = xp.cumulative_sum(counts)
    size, bounds, reached = int(ends[-1]), [0], 0
    for part in range(1, parts):
        target = xp.asarray([part * size // parts + 1], dtype=ends.dtype, device=device_of(ends))
        row = int(xp.searchsorted(ends, target)[0])
        here = int(ends[row])
        if reached < here < size:
            bounds.append(row + 1)
            reached = here
    return [*bounds, int(counts.shape[0])]


def _below(parts: list[Any]) -> Any:
    """Return arrays, or tuples of them, below one another."""
    if isinstance(parts[0], tuple):
        return tuple(_below(list(column)) for column in zip(*parts, strict=True))
    return parts[0] if len(parts) == 1 else array_namespace(parts[0]).concat(parts)


def _both(a: tuple[Array, Array], b: tuple[Array, Array]) -> tuple[Array, Array]:
    return a[0] + b[0], a[1] + b[1]


def _counts(shape: tuple[int, int], found: Entries) -> tuple[Array, Array]:
    """Return how many of some entries lie in each row, and in each column."""
    return _count(found.rows, shape[0]), _count(found.columns, shape[1])


def _count(index: Array, size: int) -> Array:
    xp, dtype = array_namespace(index), index_dtype(index)
    ends = xp.arange(size + 1, dtype=index.dtype, device=device_of(index))
    starts = xp.searchsorted(xp.sort(index), ends)
    return xp.astype(starts[1:] - starts[:-1], dtype, copy=False)


def _columns_of(row: int, found: Entries) -> Array:
    xp = array_namespace(found.rows)
    return xp.take(found.columns, xp.nonzero(found.rows == row)[0])


def _by_rows(bounds: list[int], found: Entries, _number: int) -> list[Entries]:
    """Return the entries that belong to each range of rows."""
    xp = array_namespace(found.rows)
    if len(bounds) == 2:
        return [found]
    edges = xp.asarray(bounds[1:-1], dtype=found.rows.dtype, device=device_of(found.rows))
    # Short integers are sorted in linear time, and take a quarter of the memory.
    short = xp.int16 if len(bounds) < 1 << 15 else xp.int64
    part = xp.astype(xp.searchsorted(edges, found.rows, side="right"), short)
    order = xp.argsort(part, stable=True)
    numbers = xp.arange(len(bounds), dtype=part.dtype, device=device_of(part))
    ends = xp.searchsorted(xp.take(part, order), numbers)
    places = [int(ends[k]) for k in range(len(bounds))]
    return [_taken(found, order[start:stop]) for start, stop in pairwise(places)]


def _taken(found: Entries, chosen: Array) -> Entries:
    rows, columns, values, weights = (
        None if x is None else array_namespace(x).take(x, chosen) for x in found[:4]
    )
    return Entries(rows, columns, values, weights, found.shape)


def _by_columns(row_bounds: list[int], bounds: list[int], side: Side, number: int) -> list[Entries]:
    """Return the entries of a range of rows that belong to each range of columns, transposed."""
    xp = array_namespace(side.data)
    rows = xp.astype(side.row_of_entry() + row_bounds[number], side.indices.dtype)
    shape = bounds[-1], row_bounds[-1]
    return _by_rows(bounds, Entries(side.indices, rows, side.data, side.weights, shape), number)


def _joined(bounds: list[int], n: int, duplicates: str, number: int, pieces: list[Entries]) -> Side:
    """Return a range of rows, given all entries in it."""
    start, stop = bounds[number : number + 2]
    rows, columns, values, weights = joined(pieces)[:4]
    xp, dtype = array_namespace(values), index_dtype(values)
    rows, columns = xp.astype(rows - start, dtype), xp.astype(columns, dtype)
    made = compressed(rows, columns, stop - start, n)
    if made is None and duplicates == "raise":
        raise twice(rows + start, columns, n)
    if made is None:
        rows, columns, values, weights = merged(rows, columns, values, weights, n)
        made = compressed(rows, columns, stop - start, n)
    assert made is not None  # `merged` leaves one entry for each place
    order, indices, indptr = made
    data = xp.take(values, order)
    return Side(data, indices, indptr, None if weights is None else xp.take(weights, order))


def joined(pieces: list[Entries]) -> Entries:
    """Return all entries of some pieces, in their order."""
    if len(pieces) == 1:
        return pieces[0]
    rows, columns, values, weights = (
        None if xs[0] is None else array_namespace(xs[0]).concat(list(xs))
        for xs in list(zip(*pieces, strict=True))[:4]
    )
    return Entries(rows, columns, values, weights, pieces[0].shape)


def _lengths(side: Side) -> Array:
    return side.lengths


def _facts(side: Side) -> tuple[Array, ...]:
    """Return the lengths of some rows, and what `Facts` are of their values."""
    xp, data = array_namespace(side.data), side.data
    ones = xp.ones_like(data)
    weights = ones if side.weights is None else side.weights
    numbers = xp.min(data), xp.max(data), inner(data, weights), inner(ones, weights)
    return side.lengths, *(_number(float(x), data) for x in numbers)


def _number(x: float, like: Array) -> Array:
    return array_namespace(like).asarray([x], dtype=widest_float(like), device=device_of(like))


def _square(side: Side) -> Array:
    """Return the weighted sum of squares of the values of some rows (1,)."""
    weights = side.weights
    return _number(
        inner(side.data, side.data if weights is None else weights * side.data), side.data
    )


def _normalized(mu: float, scale: float, side: Side) -> Side:
    return side._replace(data=shifted(mu, scale, side))


def _left(W: Array, col_bias: Array | None, side: Side, X: Array, row_bias: Array | None) -> Side:
    return side._replace(data=residuals(W, col_bias, side, X, row_bias))
