"""Observed entries by rows and by columns: what solvers ask of them, and how memory holds them."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, Protocol

import array_api_compat

from .._core.namespace import Array, array_namespace, device_of, inner
from .._kernels import completion as kernels


class Rows(Protocol):
    """All that is asked of a sparse matrix by its rows, wherever these lie."""

    @property
    def lengths(self) -> Array:
        """Number of entries of each row (m,), as floats."""

    @property
    def mean_length(self) -> float:
        """Entries of a row on average."""

    def each(self, work: Callable[..., Any], *beside: Array | None) -> Any:
        """Return ``work(side, *beside)`` for all rows, those of parts below one another.

        `beside` are arrays with as many rows as the matrix, or None.
        """


class Places(Protocol):
    """What knows which entries were seen."""

    def columns_seen(self, row: int) -> Array:
        """Return the columns of the entries of a row, ascending."""


class Seen(Protocol):
    """All that is asked of the entries seen of a matrix, in memory or on a cluster."""

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the matrix."""

    @property
    def n_blocks(self) -> int:
        """Chunks of what was given, 1 in memory."""

    @property
    def n_retries(self) -> int:
        """How often a pass was repeated on a cluster."""

    @property
    def rows(self) -> Rows:
        """The matrix by its rows."""

    @property
    def columns(self) -> Rows:
        """Its transpose by its rows."""

    @property
    def like(self) -> Array:
        """An array of the library, device and dtype of the values."""

    @property
    def size(self) -> int:
        """Number of entries."""

    @property
    def share(self) -> float:
        """Share of all entries that were seen."""

    @property
    def weighted(self) -> bool:
        """Whether entries have weights."""

    def norm(self) -> float:
        """Return the root of the weighted sum of squares of all values."""

    def mean(self) -> float:
        """Return the weighted mean of the values."""

    def largest(self, mu: float) -> float:
        """Return the largest distance of a value from `mu`."""

    def normalized(self, mu: float, scale: float) -> Any:
        """Return the same places with their values less `mu`, divided by `scale`."""

    def left(self, X: Array, Y: Array, row_bias: Array | None, col_bias: Array | None) -> Any:
        """Return the same places with what a model leaves of their values."""

    def places(self) -> Places:
        """Return what knows which entries were seen."""


def times(rows: Rows, W: Array) -> Array:
    """Return the product of a sparse matrix with a dense one."""
    return rows.each(partial(_product, W))


def _product(W: Array, side: Side) -> Array:
    return side.times(W)


class Side(NamedTuple):
    """A sparse matrix by its rows: values (N,), columns (N,), where rows begin (m + 1,)."""

    data: Array
    indices: Array
    indptr: Array
    weights: Array | None

    @property
    def lengths(self) -> Array:
        """Number of entries of each row (m,), as floats."""
        xp = array_namespace(self.data)
        return xp.astype(self.indptr[1:] - self.indptr[:-1], self.data.dtype)

    @property
    def mean_length(self) -> float:
        """Entries of a row on average."""
        return float(self.data.shape[0] / max(1, self.indptr.shape[0] - 1))

    def each(self, work: Callable[..., Any], *beside: Array | None) -> Any:
        """Return ``work(side, *beside)``, the rows being one part."""
        return work(self, *beside)

    def times(self, W: Array, data: Array | None = None) -> Array:
        """Return the product of the matrix, or one with other values, with a dense one."""
        values = self.data if data is None else data
        return kernels.csr_dense(values, self.indices, self.indptr, W)

    def residual(self, X: Array, W: Array, data: Array | None = None) -> Array:
        """Return what ``X W'`` leaves of each entry (N,)."""
        values = self.data if data is None else data
        return kernels.masked_residual(values, self.indices, self.indptr, X, W)

    def row_of_entry(self) -> Array:
        """Return the row of each entry (N,)."""
        xp, indptr = array_namespace(self.data), self.indptr
        return self.rows_of(
            xp.arange(self.data.shape[0], dtype=indptr.dtype, device=device_of(indptr))
        )

    def rows_of(self, chosen: Array) -> Array:
        """Return the rows of some entries, given by their numbers."""
        xp, indptr = array_namespace(self.data), self.indptr
        rows = xp.searchsorted(indptr, chosen, side="right") - 1
        return xp.astype(rows, indptr.dtype, copy=False)

    def columns_of(self, chosen: Array) -> Array:
        """Return the columns of some entries, given by their numbers."""
        xp = array_namespace(self.data)
        return xp.astype(xp.take(self.indices, chosen), self.indptr.dtype, copy=False)


def residuals(
    W: Array, col_bias: Array | None, side: Side, X: Array, row_bias: Array | None
) -> Array:
    """Return what the models of some rows leave of their entries."""
    left = side.residual(X, W)
    if row_bias is None:
        return left
    xp = array_namespace(left)
    return left - xp.take(row_bias, side.row_of_entry()) - xp.take(col_bias, side.indices)


class Observations(NamedTuple):
    """Entries seen of a matrix, in memory, as the rows of it and of its transpose."""

    shape: tuple[int, int]
    rows: Side
    columns: Side
    to_columns: Array

    @property
    def like(self) -> Array:
        """An array of the library, device and dtype of the values: these."""
        return self.rows.data

    @property
    def weighted(self) -> bool:
        """Whether entries have weights."""
        return self.rows.weights is not None

    @property
    def n_blocks(self) -> int:
        """Chunks of what was given: memory is one."""
        return 1

    @property
    def n_retries(self) -> int:
        """How often a pass had to be repeated: never."""
        return 0

    @property
    def size(self) -> int:
        """Number of entries."""
        return int(self.rows.data.shape[0])

    @property
    def share(self) -> float:
        """Share of all entries that were seen."""
        return self.size / (self.shape[0] * self.shape[1])

    def norm(self) -> float:
        """Return the root of the weighted sum of squares of all values."""
        data, weights = self.rows.data, self.rows.weights
        return math.sqrt(inner(data, data if weights is None else weights * data))

    def mean(self) -> float:
        """Return the weighted mean of the values."""
        data, weights = self.rows.data, self.rows.weights
        ones = array_namespace(data).ones_like(data)
        weights = ones if weights is None else weights
        return inner(data, weights) / inner(ones, weights)

    def largest(self, mu: float) -> float:
        """Return the largest distance of a value from `mu`."""
        xp, data = array_namespace(self.rows.data), self.rows.data
        return float(xp.max(xp.abs(data - mu if mu else data)))

    def normalized(self, mu: float, scale: float) -> Observations:
        """Return the same places with their values less `mu`, divided by `scale`."""
        return self.with_values(shifted(mu, scale, self.rows))

    def left(
        self, X: Array, Y: Array, row_bias: Array | None, col_bias: Array | None
    ) -> Observations:
        """Return the same places with what a model leaves of their values."""
        return self.with_values(residuals(Y, col_bias, self.rows, X, row_bias))

    def places(self) -> HeldPlaces:
        """Return what knows which entries were seen, without their values."""
        return HeldPlaces(self.rows.indices, self.rows.indptr)

    def with_values(self, values: Array) -> Observations:
        """Return the same places with other values (N,), in the order of the rows."""
        xp = array_namespace(values)
        return self._replace(
            rows=self.rows._replace(data=values),
            columns=self.columns._replace(data=xp.take(values, self.to_columns)),
        )

    def part(self, chosen: Array) -> Observations:
        """Return some of the entries, given by their numbers in the order of the rows."""
        side, xp = self.rows, array_namespace(self.rows.data)
        weights = None if side.weights is None else xp.take(side.weights, chosen)
        rows, columns = side.rows_of(chosen), side.columns_of(chosen)
        found = observations(rows, columns, xp.take(side.data, chosen), weights, self.shape)
        assert found is not None  # a part of entries without duplicates
        return found

    def transposed(self, values: Array) -> Array:
        """Return numbers that belong to entries in the order of the columns."""
        return array_namespace(values).take(values, self.to_columns)


class HeldPlaces(NamedTuple):
    """Which entries were seen: their columns (N,) row by row, and where rows begin (m + 1,)."""

    indices: Array
    indptr: Array

    def columns_seen(self, row: int) -> Array:
        """Return the columns of the entries of a row, ascending."""
        return self.indices[int(self.indptr[row]) : int(self.indptr[row + 1])]


def in_memory(seen: Any) -> Observations:
    """Return the entries themselves, which lie in memory for whoever asks."""
    assert isinstance(seen, Observations)
    return seen


def shifted(mu: float, scale: float, side: Side) -> Array:
    """Return the values of some rows less `mu`, divided by `scale`."""
    return (side.data - mu if mu else side.data) / scale


def sorted_observations(
    rows: Array,
    columns: Array,
    values: Array,
    weights: Array | None,
    shape: tuple[int, int],
    duplicates: str,
) -> Observations:
    """Return entries given in any order, sorted; of `duplicates` the mean, or an error."""
    seen = observations(rows, columns, values, weights, shape)
    if seen is None:
        if duplicates == "raise":
            raise twice(rows, columns, shape[1])
        seen = observations(*merged(rows, columns, values, weights, shape[1]), shape)
        assert seen is not None  # `merged` leaves one entry for each place
    return seen


def twice(rows: Array, columns: Array, n: int) -> ValueError:
    """Return the error that names the first entry given more than once."""
    xp = array_namespace(rows)
    keys = xp.sort(rows * n + columns)
    again = xp.astype(keys[1:] == keys[:-1], keys.dtype)
    key = int(keys[int(xp.argmax(again))])
    return ValueError(
        f"`M` must hold every entry once, got [{key // n}, {key % n}] twice; "
        "duplicates='mean' takes the mean of their values."
    )


def observations(
    rows: Array, columns: Array, values: Array, weights: Array | None, shape: tuple[int, int]
) -> Observations | None:
    """Return entries given in any order, sorted; None if a place occurs more than once."""
    m, n = shape
    by_row = compressed(rows, columns, m, n)
    if by_row is None:
        return None
    order, indices, indptr = by_row
    xp = array_namespace(values)
    data = xp.take(values, order)
    w = None if weights is None else xp.take(weights, order)
    to_columns, row_indices, column_ptr = _by_column(order, rows, indices, indptr, shape)
    return Observations(
        shape,
        Side(data, indices, indptr, w),
        Side(
            xp.take(data, to_columns),
            row_indices,
            column_ptr,
            None if w is None else xp.take(w, to_columns),
        ),
        to_columns,
    )


def compressed(rows: Array, columns: Array, m: int, n: int) -> tuple[Array, Array, Array] | None:
    """Return the order of entries by row and column, their columns and where rows begin."""
    xp, count = array_namespace(rows), rows.shape[0]
    if array_api_compat.is_numpy_array(rows):
        from scipy.sparse import coo_array

        order = xp.arange(count)
        matrix = coo_array((order, (rows, columns)), shape=(m, n)).tocsr()
        if matrix.nnz < count:
            return None
        return matrix.data, matrix.indices, xp.astype(matrix.indptr, order.dtype)
    keys = rows * n + columns
    order = xp.astype(xp.argsort(keys), rows.dtype, copy=False)
    keys = xp.take(keys, order)
    if count > 1 and bool(xp.any(keys[1:] == keys[:-1])):
        return None
    ends = xp.arange(m + 1, dtype=rows.dtype, device=device_of(rows))
    indptr = xp.searchsorted(xp.take(rows, order), ends)
    return order, xp.take(columns, order), xp.astype(indptr, rows.dtype, copy=False)


def _by_column(
    order: Array, rows: Array, indices: Array, indptr: Array, shape: tuple[int, int]
) -> tuple[Array, Array, Array]:
    """Return the order by column of entries sorted by row, their rows, where columns begin."""
    xp, (m, n) = array_namespace(indices), shape
    if array_api_compat.is_numpy_array(indices):
        from scipy.sparse import csr_array

        places = xp.arange(indices.shape[0])
        matrix = csr_array((places, indices, indptr), shape=shape).tocsc()
        row_indices = xp.astype(matrix.indices, indices.dtype, copy=False)
        return matrix.data, row_indices, xp.astype(matrix.indptr, places.dtype)
    found = compressed(indices, xp.take(rows, order), n, m)
    assert found is not None  # it was sorted by row without duplicates
    return found


def merged(
    rows: Array, columns: Array, values: Array, weights: Array | None, n: int
) -> tuple[Array, Array, Array, Array | None]:
    """Return one entry for each place: the weighted mean of its values, the sum of weights."""
    xp = array_namespace(values)
    keys, inverse = xp.unique_inverse(rows * n + columns)
    order = xp.argsort(inverse)
    ends = xp.arange(keys.shape[0] + 1, dtype=inverse.dtype, device=device_of(inverse))
    indptr = xp.searchsorted(xp.take(inverse, order), ends)
    indptr = xp.astype(indptr, rows.dtype, copy=False)

    def sums(x: Array) -> Array:
        ones = xp.ones((x.shape[0], 1), dtype=x.dtype, device=device_of(x))
        places = xp.arange(x.shape[0], dtype=rows.dtype, device=device_of(x))
        return kernels.csr_dense(xp.take(x, order), places, indptr, ones)[:, 0]

    w = xp.ones_like(values) if weights is None else weights
    total = sums(w)
    mean = sums(w * values) / xp.where(total > 0, total, 1.0 + 0 * total)
    return keys // n, keys % n, mean, None if weights is None else total
