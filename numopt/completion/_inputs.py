"""Arguments of the public functions, validated."""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import pairwise
from typing import Any, NamedTuple

from .._core import validate
from .._core.namespace import Array, array_namespace
from ._observations import Observations, index_dtype, merged, observations

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

    def sorted(self, duplicates: str, _rank: int) -> Observations:
        """Return the entries sorted by rows and by columns."""
        return sorted_observations(self, duplicates)


def is_sparse(M: Any) -> bool:
    """Tell whether something is a sparse matrix or array of SciPy or CuPy."""
    return hasattr(M, "tocoo") and hasattr(M, "nnz")


def entries(M: Any, mask: Any, weights: Any) -> Entries:
    """Return what was seen of a matrix in any of the forms it may be given."""
    if is_sparse(M):
        _no_mask(mask, "a sparse matrix")
        found = _from_sparse(M, weights)
    elif isinstance(M, tuple):
        _no_mask(mask, "coordinates")
        found = _from_coordinates(M, weights)
    else:
        found = _from_dense(M, mask, weights)
    validate.finite("M", found.values)
    if found.weights is not None:
        found = _weighted(found)
    if found.values.shape[0] == 0:
        raise ValueError("`M` must have at least one observed entry, got none.")
    return found


def _no_mask(mask: Any, kind: str) -> None:
    if mask is not None:
        raise ValueError(f"`mask` goes with a dense `M` only; {kind} holds what was seen.")


def _weighted(found: Entries) -> Entries:
    """Return the entries of positive weight, which are those that were seen."""
    xp = array_namespace(found.values)
    seen = validate.non_negative("weights", found.weights) > 0
    if bool(xp.all(seen)):
        return found
    kept = xp.nonzero(seen)[0]
    rows, columns, values, weights = (xp.take(x, kept) for x in found[:4])
    return Entries(rows, columns, values, weights, found.shape)


def _from_sparse(M: Any, weights: Any) -> Entries:
    if len(M.shape) != 2:
        raise ValueError(f"`M` must be a matrix, got shape {tuple(M.shape)}.")
    coo = M.tocoo()
    shape = _shape(*M.shape)
    if is_sparse(weights):
        weights = _matched(coo, weights)
    dtype = _common_float(coo.data, weights)
    xp = array_namespace(coo.data)
    index = index_dtype(coo.data)
    rows, columns = (xp.astype(x, index, copy=False) for x in (coo.row, coo.col))
    values = xp.astype(coo.data, dtype, copy=False)
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


def _from_coordinates(M: tuple[Any, ...], weights: Any) -> Entries:
    if len(M) != 4:
        raise ValueError(f"`M` must be (rows, columns, values, shape), got {len(M)} items.")
    rows, columns, values, shape = M
    validate.common_namespace(values=values, rows=rows, columns=columns)
    dtype = _common_float(values, weights)
    shape = _shape(*shape)
    values = _vector("values", values, None, dtype)
    rows = places("rows", rows, values, shape[0])
    columns = places("columns", columns, values, shape[1])
    return Entries(rows, columns, values, _entry_weights(weights, values), shape)


def _from_dense(M: Any, mask: Any, weights: Any) -> Entries:
    xp = validate.common_namespace(M=M, mask=mask, weights=weights)
    dtype = _common_float(M, weights)
    M = validate.as_array("M", M, ndim=2, dtype=dtype)
    shape = _shape(*M.shape)
    seen = ~xp.isnan(M)
    if mask is not None:
        validate.same_shape("mask", mask, shape, "M")
        if not xp.isdtype(mask.dtype, "bool"):
            raise TypeError(f"`mask` must hold booleans, got dtype {mask.dtype}.")
        seen = seen & mask
    index = index_dtype(M)
    rows, columns = (xp.astype(x, index, copy=False) for x in xp.nonzero(seen))
    flat = rows * shape[1] + columns
    values = xp.take(xp.reshape(M, (-1,)), flat)
    if weights is not None:
        validate.same_shape("weights", weights, shape, "M")
        weights = xp.take(xp.reshape(xp.astype(weights, dtype, copy=False), (-1,)), flat)
    return Entries(rows, columns, values, weights, shape)


def _shape(*shape: Any) -> tuple[int, int]:
    if len(shape) != 2:
        raise ValueError(f"`M` must be a matrix, got shape {shape}.")
    m, n = (validate.count("shape", int(size)) for size in shape)
    if m * n == 0:
        raise ValueError(f"`M` must not be empty, got shape {(m, n)}.")
    return m, n


def _common_float(values: Any, weights: Any) -> Any:
    validate.common_namespace(M=values, weights=weights)
    return validate.common_float(M=values, weights=weights)


def _entry_weights(weights: Any, values: Array) -> Array | None:
    if weights is None:
        return None
    return _vector("weights", weights, int(values.shape[0]), values.dtype)


def _vector(name: str, x: Array, size: int | None, dtype: Any) -> Array:
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
    index = _vector(name, index, int(values.shape[0]), index_dtype(index))
    if index.shape[0] and not (int(xp.min(index)) >= 0 and int(xp.max(index)) < size):
        raise ValueError(
            f"`{name}` must be in [0, {size}), got {int(xp.min(index))} to {int(xp.max(index))}."
        )
    return index


def sorted_observations(found: Entries, duplicates: str) -> Observations:
    """Return entries sorted by rows and by columns."""
    seen = observations(found.rows, found.columns, found.values, found.weights, found.shape)
    if seen is None:
        if duplicates == "raise":
            raise twice(found)
        once = merged(found.rows, found.columns, found.values, found.weights, found.shape[1])
        seen = observations(*once, found.shape)
        assert seen is not None  # `merged` leaves one entry for each place
    return seen


def twice(found: Entries) -> ValueError:
    """Return the error that names the first entry given more than once."""
    xp, n = array_namespace(found.rows), found.shape[1]
    keys = xp.sort(found.rows * n + found.columns)
    again = xp.astype(keys[1:] == keys[:-1], keys.dtype)
    key = int(keys[int(xp.argmax(again))])
    return ValueError(
        f"`M` must hold every entry once, got [{key // n}, {key % n}] twice; "
        "duplicates='mean' takes the mean of their values."
    )


def held_out(validation: Any, like: Array, shape: tuple[int, int]) -> tuple[Array, Array, Array]:
    """Return the places and values of entries kept to measure the error on."""
    if not isinstance(validation, tuple) or len(validation) != 3:
        raise TypeError("`validation` must be a tuple (rows, columns, values).")
    rows, columns, values = validation
    validate.common_namespace(M=like, rows=rows, columns=columns, values=values)
    validate.common_float(values=values)
    values = validate.finite("values", _vector("values", values, None, like.dtype))
    if values.shape[0] == 0:
        raise ValueError("`validation` must not be empty.")
    return (
        places("rows", rows, values, shape[0]),
        places("columns", columns, values, shape[1]),
        values,
    )


def regularization(reg: Any) -> tuple[float, bool]:
    """Return the regularization, and whether it is multiplied by the entries of each row."""
    if isinstance(reg, tuple):
        if len(reg) != 2 or reg[0] != "count":
            raise ValueError(f"`reg` must be a number or ('count', number), got {reg!r}.")
        return nonnegative("reg", reg[1]), True
    return nonnegative("reg", reg), False


def nonnegative(name: str, value: Any) -> float:
    """Return a finite number of at least zero as a float."""
    number = validate.real(name, value)
    if not (number >= 0 and math.isfinite(number)):
        raise ValueError(f"`{name}` must be non-negative and finite, got {value!r}.")
    return number


def chosen_rank(rank: Any, max_rank: Any, shape: tuple[int, int]) -> tuple[int | None, int]:
    """Return the rank, None if it is to be found, and the largest it may have."""
    largest = min(shape)
    if max_rank is not None and validate.at_least_one("max_rank", max_rank) > largest:
        raise ValueError(f"`max_rank` must be at most {largest} for `M`, got {max_rank}.")
    limit = min(50, largest) if max_rank is None else int(max_rank)
    if isinstance(rank, str):
        validate.choice("rank", rank, ("auto",))
        return None, limit
    if validate.at_least_one("rank", rank) > largest:
        raise ValueError(f"`rank` must be at most {largest} for `M`, got {rank}.")
    return int(rank), limit


def factors(init: Any, like: Array, shape: tuple[int, int]) -> tuple[Array, Array]:
    """Return the factors of a warm start."""
    if len(init) != 2:
        raise ValueError("`init` must be 'spectral', 'random', a result or a pair (X0, Y0).")
    X, Y = init
    validate.common_namespace(M=like, X0=X, Y0=Y)
    validate.common_float(X0=X, Y0=Y)
    X, Y = (
        validate.finite(name, validate.as_array(name, F, ndim=2, dtype=like.dtype))
        for name, F in (("X0", X), ("Y0", Y))
    )
    k = int(X.shape[1])
    validate.same_shape("X0", X, (shape[0], k), "M")
    validate.same_shape("Y0", Y, (shape[1], k), "X0")
    return X, Y


def ascending(ranks: Any) -> list[int]:
    """Return ranks, of which there is at least one, each larger than the one before."""
    if isinstance(ranks, str) or not isinstance(ranks, Iterable):
        raise TypeError(f"`ranks` must be a sequence of integers, got {type(ranks).__name__}.")
    chosen = [validate.at_least_one("ranks", int(k) if hasattr(k, "dtype") else k) for k in ranks]
    if not chosen or any(a >= b for a, b in pairwise(chosen)):
        raise ValueError(f"`ranks` must be ascending and not empty, got {ranks!r}.")
    return chosen
