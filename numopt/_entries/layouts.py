"""Observed entries laid out in rows of one length, by rows and by columns of the matrix."""

from __future__ import annotations

from typing import NamedTuple

from .._core.namespace import Array, array_namespace, device_of
from .._core.settings import index_dtype
from .._core.validate import contiguous
from .._kernels.recovery import entry_products, entry_residuals
from .._linalg.lowrank import Factors
from .read import Entries


class Layout(NamedTuple):
    """Entries row by row, as the kernels of recovery take them."""

    values: Array  # (n, w), zero behind the entries of a row
    columns: Array  # (n, w); (0, 0) where every entry is observed
    counts: Array  # (n,)
    weights: Array  # (n, w), positive, zero behind the entries of a row; (0, 0) where all are one


class Layouts(NamedTuple):
    """Observed entries of a matrix, by rows and, transposed, by columns."""

    rows: Layout
    columns: Layout
    shape: tuple[int, int]
    # Where, in the rows laid flat, each place of the columns is; (0, 0) for a full matrix.
    crossing: Array

    @property
    def full(self) -> bool:
        """Whether every entry is observed."""
        return int(self.rows.columns.shape[0]) == 0

    @property
    def total(self) -> int:
        """Number of observed entries."""
        xp = array_namespace(self.rows.counts)
        return int(xp.sum(self.rows.counts))

    def residual(self, factors: Factors) -> Array:
        """Return ``factors - entries`` by rows, zero behind the entries of a row."""
        rows = self.rows
        return entry_residuals(rows.values, rows.columns, rows.counts, factors.left, factors.right)

    def scaled(self, factor: float) -> Layouts:
        """Return the entries of the matrix times a factor."""
        rows, columns = (
            part._replace(values=part.values * factor) for part in (self.rows, self.columns)
        )
        return self._replace(rows=rows, columns=columns)


def full_layouts(M: Array, weights: Array | None = None) -> Layouts:
    """Return the entries of a matrix that is wholly observed."""
    xp, device = array_namespace(M), device_of(M)
    n, d = M.shape
    none = xp.zeros((0, 0), dtype=index_dtype(M), device=device)
    weights = _no_weights(M) if weights is None else weights
    counts = [xp.full((a,), b, dtype=none.dtype, device=device) for a, b in ((n, d), (d, n))]
    return Layouts(
        Layout(M, none, counts[0], weights),
        Layout(_transposed(M), none, counts[1], _transposed(weights)),
        (n, d),
        none,
    )


def _no_weights(like: Array) -> Array:
    return array_namespace(like).zeros((0, 0), dtype=like.dtype, device=device_of(like))


def _transposed(x: Array) -> Array:
    return contiguous(array_namespace(x).asarray(x.T, copy=True))


def masked_layouts(M: Array, mask: Array, weights: Array | None = None) -> Layouts:
    """Return the entries of a matrix where a mask is true."""
    if bool(array_namespace(M).all(mask)):
        return full_layouts(M, weights)
    rows, columns = array_namespace(M).nonzero(mask)
    weights = None if weights is None else weights[mask]
    return listed_layouts(Entries(rows, columns, M[mask], weights, (M.shape[0], M.shape[1])))


def listed_layouts(entries: Entries) -> Layouts:
    """Return the entries at some places, without a dense matrix."""
    values, weights, shape = entries.values, entries.weights, entries.shape
    xp, integers = array_namespace(values), index_dtype(values)
    rows, columns = (xp.astype(x, integers, copy=False) for x in (entries.rows, entries.columns))
    across = (shape[1], shape[0])
    by_rows, at = _listed(values, rows, columns, shape)
    by_columns, _ = _listed(values, columns, rows, across)
    crossing, _ = _listed(at, columns, rows, across)
    if weights is not None:
        by_rows = by_rows._replace(weights=_listed(weights, rows, columns, shape)[0].values)
        by_columns = by_columns._replace(weights=_listed(weights, columns, rows, across)[0].values)
    return Layouts(by_rows, by_columns, shape, crossing.values)


def _listed(
    values: Array, rows: Array, columns: Array, shape: tuple[int, int]
) -> tuple[Layout, Array]:
    """Return the layout of entries by rows, and where in it, laid flat, each of them is."""
    xp, device = array_namespace(values), device_of(values)
    order = xp.argsort(rows * shape[1] + columns)
    firsts = xp.arange(shape[0] + 1, dtype=rows.dtype, device=device)
    indptr = xp.astype(xp.searchsorted(xp.take(rows, order), firsts), rows.dtype)
    counts = indptr[1:] - indptr[:-1]
    width = max(1, int(xp.max(counts)))
    rank = xp.astype(xp.argsort(order), rows.dtype)
    at = rows * width + rank - xp.take(indptr, rows)
    values, columns = xp.take(values, order), xp.take(columns, order)
    places = indptr[:-1, None] + xp.arange(width, dtype=rows.dtype, device=device)[None, :]
    places = xp.reshape(xp.clip(places, 0, values.shape[0] - 1), (-1,))
    there = _front(counts, width)
    names = xp.reshape(xp.take(columns, places), (shape[0], width))
    taken = xp.reshape(xp.take(values, places), (shape[0], width))
    layout = Layout(
        xp.where(there, taken, xp.zeros_like(taken)),
        xp.where(there, names, xp.zeros_like(names)),
        counts,
        _no_weights(values),
    )
    return layout, at


def there_of(layout: Layout) -> Array:
    """Return which places of a layout hold an entry."""
    return _front(layout.counts, layout.values.shape[1])


def _front(counts: Array, width: int) -> Array:
    xp = array_namespace(counts)
    place = xp.arange(width, dtype=counts.dtype, device=device_of(counts))
    return place[None, :] < counts[:, None]


def weighted(layout: Layout, values: Array) -> Array:
    """Return numbers at the entries times the weights."""
    return values * layout.weights if layout.weights.shape[0] else values


def weight_of_rows(layout: Layout) -> Array:
    """Return the sum of the weights of each row, the number of its entries where all are one."""
    xp = array_namespace(layout.values)
    return xp.sum(weighted(layout, xp.astype(there_of(layout), layout.values.dtype)), axis=1)


def products(layout: Layout, weights: Array, R: Array) -> Array:
    """Return ``sum_j weights[i, j] R_j`` over the entries of each row."""
    return entry_products(weights, layout.columns, R)
