"""Observed entries of a matrix, laid out by rows and by columns."""

from __future__ import annotations

from typing import Any, NamedTuple

from .._core.namespace import Array, array_namespace, device_of
from .._kernels.recovery import entry_products, entry_residuals
from .._linalg.lowrank import Factors
from ._operators import SensingOperator


class Layout(NamedTuple):
    """Entries row by row; see the kernels. `places` are those of ``Entries.data``."""

    values: Array  # (n, w), zero behind the entries of a row
    columns: Array  # (n, w); (0, 0) where every entry is observed
    counts: Array  # (n,)
    weights: Array  # (n, w), positive, zero behind the entries of a row; (0, 0) where all are one


class Entries(NamedTuple):
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

    def scaled(self, factor: float) -> Entries:
        """Return the entries of the matrix times a factor."""
        rows, columns = (
            part._replace(values=part.values * factor) for part in (self.rows, self.columns)
        )
        return self._replace(rows=rows, columns=columns)


def full_entries(M: Array, weights: Array | None = None) -> Entries:
    """Return the entries of a matrix that is wholly observed."""
    xp, device = array_namespace(M), device_of(M)
    n, d = M.shape
    integers = _integers(M)
    none = xp.zeros((0, 0), dtype=integers, device=device)
    weights = _no_weights(M) if weights is None else weights
    counts = [xp.full((a,), b, dtype=integers, device=device) for a, b in ((n, d), (d, n))]
    return Entries(
        Layout(M, none, counts[0], weights),
        Layout(_transposed(M), none, counts[1], _transposed(weights)),
        (n, d),
        none,
    )


def _no_weights(like: Array) -> Array:
    return array_namespace(like).zeros((0, 0), dtype=like.dtype, device=device_of(like))


def _transposed(x: Array) -> Array:
    from .._core.validate import contiguous

    return contiguous(array_namespace(x).asarray(x.T, copy=True))


def masked_entries(M: Array, mask: Array, weights: Array | None = None) -> Entries:
    """Return the entries of a matrix where a mask is true."""
    if bool(array_namespace(M).all(mask)):
        return full_entries(M, weights)
    rows, columns = array_namespace(M).nonzero(mask)
    weights = None if weights is None else weights[mask]
    return listed_entries(M[mask], rows, columns, (M.shape[0], M.shape[1]), weights)


def listed_entries(
    values: Array,
    rows: Array,
    columns: Array,
    shape: tuple[int, int],
    weights: Array | None = None,
) -> Entries:
    """Return the entries at some places, without a dense matrix."""
    integers, across = _integers(values), (shape[1], shape[0])
    xp = array_namespace(values)
    rows, columns = xp.astype(rows, integers), xp.astype(columns, integers)
    by_rows, at = _listed(values, rows, columns, shape)
    by_columns, _ = _listed(values, columns, rows, across)
    crossing, _ = _listed(at, columns, rows, across)
    if weights is not None:
        by_rows = by_rows._replace(weights=_listed(weights, rows, columns, shape)[0].values)
        by_columns = by_columns._replace(weights=_listed(weights, columns, rows, across)[0].values)
    return Entries(by_rows, by_columns, shape, crossing.values)


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


def _integers(like: Array) -> Any:
    info = array_namespace(like).__array_namespace_info__()
    return info.default_dtypes(device=device_of(like))["indexing"]


class LayoutSensing(SensingOperator):
    """Measurements of observed entries, in the order in which rows are laid out."""

    symmetric = False

    def __init__(self, entries: Entries) -> None:
        self.entries, self.shape, self.like = entries, entries.shape, entries.rows.values
        self.m = entries.rows.values.shape[0] * entries.rows.values.shape[1]

    def forward(self, U: Array, V: Array) -> Array:
        """Return ``<U_i, V_j>`` at the entries, zero behind those of a row."""
        xp, rows = array_namespace(U), self.entries.rows
        zeros = xp.zeros_like(rows.values)
        return xp.reshape(entry_residuals(zeros, rows.columns, rows.counts, U, V), (-1,))

    def adjoint_apply(self, s: Array, V: Array, transpose: bool = False) -> Array:
        """Return the matrix with numbers s at the entries times V, or its transpose times V."""
        xp, (rows, columns, _, crossing) = array_namespace(s), self.entries
        if not transpose:
            return entry_products(xp.reshape(s, rows.values.shape), rows.columns, V)
        if self.entries.full:
            return xp.matmul(xp.reshape(s, rows.values.shape).T, V)
        crossed = xp.reshape(xp.take(s, xp.reshape(crossing, (-1,))), crossing.shape)
        crossed = xp.where(there_of(columns), crossed, xp.zeros_like(crossed))
        return entry_products(crossed, columns.columns, V)
