"""Observed entries of a matrix, read from every form in which they may be given in memory."""

from __future__ import annotations

from typing import Any, NamedTuple

from .._core import validate
from .._core.namespace import Array, array_namespace
from .._core.settings import index_dtype, is_sparse
from .observations import Observations, sorted_observations

DUPLICATES = ("raise", "mean")


class Entries(NamedTuple):
    """Entries of a matrix in any order: places, values and weights (N,)."""

    rows: Array
    columns: Array
    values: Array
    weights: Array | None
    shape: tuple[int, int]

    @property
    def like(self) -> Array:
        """An array of the library, device and dtype of the values."""
        return self.values

    def sorted(self, duplicates: str, _width: int = 0) -> Observations:
        """Return the entries by rows and by columns; of `duplicates` the mean, or an error."""
        return sorted_observations(*self, duplicates)


class Table(NamedTuple):
    """A dense matrix, which of its entries were seen, and weights of all: each (m, n)."""

    values: Array
    seen: Array
    weights: Array | None


def read_entries(M: Any, mask: Any = None, weights: Any = None) -> Entries:
    """Return what was seen of a matrix: finite values of positive weight, of which there is one.

    `M` is a dense array or table, whose nan, masked entries and those where `mask` is false are
    missing; a sparse matrix, whose explicit zeros are seen; or (rows, columns, values, shape).
    `weights` have the form of `M`.
    """
    if is_sparse(M):
        no_mask(mask, "a sparse matrix")
        found = from_sparse(M, weights)
    elif isinstance(M, tuple):
        no_mask(mask, "coordinates")
        found = from_coordinates(M, weights)
    else:
        found = from_dense(M, mask, weights)
    validate.finite("M", found.values)
    found = of_positive_weight(found)
    if found.values.shape[0] == 0:
        raise ValueError("`M` must have at least one observed entry, got none.")
    return found


def read_table(M: Any, mask: Any = None, weights: Any = None, *, nan_is_missing: bool) -> Table:
    """Return a dense matrix and what was seen of it.

    Where nan does not mean that an entry is missing, it is left to the caller to complain about.
    """
    M, given = unmasked(M)
    M, mask, weights = validate.arrays(M=M, mask=mask, weights=weights)
    xp, dtype = array_namespace(M), validate.common_float(M=M, weights=weights)
    M = validate.as_array("M", M, ndim=2, dtype=dtype)
    shape = tuple(M.shape)
    seen = ~xp.isnan(M) if nan_is_missing else xp.ones_like(M, dtype=xp.bool)
    if given is not None:
        seen = seen & given
    if mask is not None:
        validate.same_shape("mask", mask, shape, "M")
        if not xp.isdtype(mask.dtype, "bool"):
            raise TypeError(f"`mask` must hold booleans, got dtype {mask.dtype}.")
        seen = seen & mask
    if weights is not None:
        validate.same_shape("weights", weights, shape, "M")
        weights = xp.astype(weights, dtype, copy=False)
    return Table(M, seen, weights)


def unmasked(M: Any) -> tuple[Any, Array | None]:
    """Return the data of a masked array and where they are valid; anything else and None."""
    if not (hasattr(M, "filled") and hasattr(M, "mask")):
        return M, None
    hidden = array_namespace(M.data).zeros_like(M.data, dtype=bool) | M.mask
    return M.data, ~hidden


def from_dense(M: Any, mask: Any, weights: Any) -> Entries:
    """Return the entries of a dense matrix that were seen."""
    M, seen, weights = read_table(M, mask, weights, nan_is_missing=True)
    xp, shape = array_namespace(M), shape_of(*M.shape)
    rows, columns = (xp.astype(x, index_dtype(M), copy=False) for x in xp.nonzero(seen))
    flat = rows * shape[1] + columns
    values, weights = (
        None if x is None else xp.take(xp.reshape(x, (-1,)), flat) for x in (M, weights)
    )
    return Entries(rows, columns, values, weights, shape)


def from_sparse(M: Any, weights: Any) -> Entries:
    """Return the stored entries of a sparse matrix."""
    if len(M.shape) != 2:
        raise ValueError(f"`M` must be a matrix, got shape {tuple(M.shape)}.")
    coo, shape = M.tocoo(), shape_of(*M.shape)
    if is_sparse(weights):
        weights = _matched(coo, weights)
    values, weights = validate.arrays(M=coo.data, weights=weights)
    dtype = validate.common_float(M=values, weights=weights)
    xp, index = array_namespace(values), index_dtype(values)
    rows, columns = (xp.astype(x, index, copy=False) for x in (coo.row, coo.col))
    values = xp.astype(values, dtype, copy=False)
    return Entries(rows, columns, values, _entry_weights(weights, values), shape)


def _matched(coo: Any, weights: Any) -> Array:
    """Return the weights of the entries of a sparse matrix from one that has the same."""
    other = weights.tocoo()
    if tuple(other.shape) != tuple(coo.shape) or other.nnz != coo.nnz:
        raise ValueError("`weights` must have the entries of `M` if it is a sparse matrix.")
    xp, n = array_namespace(coo.data), coo.shape[1]
    index = index_dtype(coo.data)
    keys, own = (xp.astype(x.row, index) * n + xp.astype(x.col, index) for x in (other, coo))
    order, places = xp.argsort(keys), xp.argsort(own)
    if bool(xp.any(xp.take(keys, order) != xp.take(own, places))):
        raise ValueError("`weights` must have the entries of `M` if it is a sparse matrix.")
    return xp.take(xp.take(other.data, order), xp.argsort(places))


def from_coordinates(M: tuple[Any, ...], weights: Any) -> Entries:
    """Return entries that are given as (rows, columns, values, shape)."""
    rows, columns, values, shape = four_items(M)
    values, rows, columns, weights = validate.arrays(
        values=values, rows=rows, columns=columns, weights=weights
    )
    dtype = validate.common_float(M=values, weights=weights)
    values = vector("values", values, None, dtype)
    rows = places("rows", rows, values, shape[0])
    columns = places("columns", columns, values, shape[1])
    return Entries(rows, columns, values, _entry_weights(weights, values), shape)


def four_items(M: tuple[Any, ...]) -> tuple[Any, Any, Any, tuple[int, int]]:
    """Return rows, columns, values and a validated shape."""
    if len(M) != 4:
        raise ValueError(f"`M` must be (rows, columns, values, shape), got {len(M)} items.")
    rows, columns, values, shape = M
    return rows, columns, values, shape_of(*shape)


def no_mask(mask: Any, kind: str) -> None:
    """Raise if there is a mask beside something that says itself what was seen."""
    if mask is not None:
        raise ValueError(f"`mask` goes with a dense `M` only; {kind} holds what was seen.")


def shape_of(*shape: Any) -> tuple[int, int]:
    """Return the validated shape of a matrix that is not empty."""
    if len(shape) != 2:
        raise ValueError(f"`M` must be a matrix, got shape {shape}.")
    m, n = (validate.count("shape", int(size)) for size in shape)
    if m * n == 0:
        raise ValueError(f"`M` must not be empty, got shape {(m, n)}.")
    return m, n


def vector(name: str, x: Array, size: int | None, dtype: Any) -> Array:
    """Return a vector, which may be empty, of a size."""
    if x.ndim != 1:
        raise ValueError(f"`{name}` must be a vector, got shape {tuple(x.shape)}.")
    if size is not None:
        validate.same_shape(name, x, (size,), "the entries of M")
    return validate.contiguous(array_namespace(x).astype(x, dtype, copy=False))


def places(name: str, index: Array, values: Array, size: int) -> Array:
    """Return row or column numbers (N,) of entries, checked."""
    xp = array_namespace(index)
    if not xp.isdtype(index.dtype, "integral"):
        raise TypeError(f"`{name}` must hold integers, got dtype {index.dtype}.")
    index = vector(name, index, int(values.shape[0]), index_dtype(index))
    if index.shape[0] and not (int(xp.min(index)) >= 0 and int(xp.max(index)) < size):
        raise ValueError(
            f"`{name}` must be in [0, {size}), got {int(xp.min(index))} to {int(xp.max(index))}."
        )
    return index


def of_positive_weight(found: Entries, name: str = "weights") -> Entries:
    """Return the entries of positive weight, which are those that were seen."""
    if found.weights is None:
        return found
    xp = array_namespace(found.values)
    seen = validate.non_negative(name, found.weights) > 0
    if bool(xp.all(seen)):
        return found
    kept = xp.nonzero(seen)[0]
    rows, columns, values, weights = (xp.take(x, kept) for x in found[:4])
    return Entries(rows, columns, values, weights, found.shape)


def _entry_weights(weights: Array | None, values: Array) -> Array | None:
    if weights is None:
        return None
    return vector("weights", weights, int(values.shape[0]), values.dtype)
