"""Observed entries of a matrix, laid out by rows and by columns."""

from __future__ import annotations

from typing import Any, NamedTuple

from .._kernels.recovery import entry_products, entry_residuals
from .._namespace import Array, array_namespace, device_of
from ._factors import Factors


class Layout(NamedTuple):
    """Entries row by row; see the kernels. `places` are those of ``Entries.data``."""

    values: Array  # (n, w), zero behind the entries of a row
    columns: Array  # (n, w); (0, 0) where every entry is observed
    counts: Array  # (n,)


class Entries(NamedTuple):
    """Observed entries of a matrix, by rows and, transposed, by columns."""

    rows: Layout
    columns: Layout
    shape: tuple[int, int]

    @property
    def full(self) -> bool:
        """Whether every entry is observed."""
        return int(self.rows.columns.shape[0]) == 0

    @property
    def count(self) -> int:
        """Number of observed entries."""
        xp = array_namespace(self.rows.counts)
        return int(xp.sum(self.rows.counts))

    def residual(self, factors: Factors) -> Array:
        """Return ``factors - entries`` by rows, zero behind the entries of a row."""
        rows = self.rows
        return entry_residuals(
            rows.values, rows.columns, rows.counts, factors.left, factors.right
        )

    def scaled(self, factor: float) -> Entries:
        """Return the entries of the matrix times a factor."""
        rows, columns = (
            part._replace(values=part.values * factor) for part in (self.rows, self.columns)
        )
        return self._replace(rows=rows, columns=columns)


def full_entries(M: Array) -> Entries:
    """Return the entries of a matrix that is wholly observed."""
    xp, device = array_namespace(M), device_of(M)
    n, d = M.shape
    integers = _integers(M)
    none = xp.zeros((0, 0), dtype=integers, device=device)
    transposed = xp.asarray(M.T, copy=True)
    return Entries(
        Layout(M, none, xp.full((n,), d, dtype=integers, device=device)),
        Layout(_in_rows(transposed), none, xp.full((d,), n, dtype=integers, device=device)),
        (n, d),
    )


def _in_rows(x: Array) -> Array:
    from .._validate import contiguous

    return contiguous(x)


def masked_entries(M: Array, mask: Array) -> Entries:
    """Return the entries of a matrix where a mask is true."""
    if bool(array_namespace(M).all(mask)):
        return full_entries(M)
    return Entries(_masked(M, mask), _masked(M.T, mask.T), tuple(M.shape))


def _masked(M: Array, mask: Array) -> Layout:
    xp, integers = array_namespace(M), _integers(M)
    counts = xp.sum(xp.astype(mask, integers), axis=1)
    width = max(1, int(xp.max(counts)))
    order = xp.argsort(xp.astype(~mask, xp.int8), axis=1, stable=True)[:, :width]
    order = xp.astype(order, integers, copy=False)
    values = xp.take_along_axis(M, order, axis=1)
    there = _front(counts, width)
    return Layout(
        _in_rows(xp.where(there, values, xp.zeros_like(values))),
        _in_rows(xp.where(there, order, xp.zeros_like(order))),
        counts,
    )


def listed_entries(values: Array, rows: Array, columns: Array, shape: tuple[int, int]) -> Entries:
    """Return the entries at some places, without a dense matrix."""
    integers = _integers(values)
    xp = array_namespace(values)
    rows, columns = xp.astype(rows, integers), xp.astype(columns, integers)
    return Entries(
        _listed(values, rows, columns, shape),
        _listed(values, columns, rows, (shape[1], shape[0])),
        shape,
    )


def _listed(values: Array, rows: Array, columns: Array, shape: tuple[int, int]) -> Layout:
    xp, device = array_namespace(values), device_of(values)
    order = xp.argsort(rows * shape[1] + columns)
    values, columns = xp.take(values, order), xp.take(columns, order)
    firsts = xp.arange(shape[0] + 1, dtype=rows.dtype, device=device)
    indptr = xp.astype(xp.searchsorted(xp.take(rows, order), firsts), rows.dtype)
    counts = indptr[1:] - indptr[:-1]
    width = max(1, int(xp.max(counts)))
    places = indptr[:-1, None] + xp.arange(width, dtype=rows.dtype, device=device)[None, :]
    places = xp.reshape(xp.clip(places, 0, values.shape[0] - 1), (-1,))
    there = _front(counts, width)
    at = xp.reshape(xp.take(columns, places), (shape[0], width))
    taken = xp.reshape(xp.take(values, places), (shape[0], width))
    return Layout(xp.where(there, taken, xp.zeros_like(taken)), xp.where(there, at, xp.zeros_like(at)), counts)


def there_of(layout: Layout) -> Array:
    """Return which places of a layout hold an entry."""
    return _front(layout.counts, layout.values.shape[1])


def _front(counts: Array, width: int) -> Array:
    xp = array_namespace(counts)
    place = xp.arange(width, dtype=counts.dtype, device=device_of(counts))
    return place[None, :] < counts[:, None]


def products(layout: Layout, weights: Array, R: Array) -> Array:
    """Return ``sum_j weights[i, j] R_j`` over the entries of each row."""
    return entry_products(weights, layout.columns, R)


def _integers(like: Array) -> Any:
    info = array_namespace(like).__array_namespace_info__()
    return info.default_dtypes(device=device_of(like))["indexing"]


def dense_of(layout: Layout, values: Array, width: int) -> Array:
    """Return numbers at the entries of a layout as a matrix, zero elsewhere."""
    if layout.columns.shape[0] == 0:
        return values
    xp, (n, w) = array_namespace(values), values.shape
    offsets = xp.arange(n, dtype=layout.columns.dtype, device=device_of(values))[:, None] * width
    there = xp.reshape(there_of(layout), (-1,))
    # Places behind the entries of a row get keys beyond all others.
    keys = xp.where(there, xp.reshape(offsets + layout.columns, (-1,)), n * width)
    order = xp.argsort(keys)
    keys, flat = xp.take(keys, order), xp.take(xp.reshape(values, (-1,)), order)
    every = xp.arange(n * width, dtype=keys.dtype, device=device_of(values))
    at = xp.clip(xp.searchsorted(keys, every), None, n * w - 1)
    picked = xp.take(flat, at)
    return xp.reshape(xp.where(xp.take(keys, at) == every, picked, xp.zeros_like(picked)), (n, width))
