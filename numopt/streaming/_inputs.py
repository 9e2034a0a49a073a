"""Chunks of rows as they come from the caller, checked."""

from __future__ import annotations

from typing import Any

from .._core import validate
from .._core.namespace import Array, array_namespace, default_float, describe, device_of
from ._rows import DenseRows, Rows, SparseRows


def is_sparse(x: Any) -> bool:
    """Tell whether `x` is a sparse matrix of SciPy or CuPy."""
    return all(hasattr(x, name) for name in ("tocsr", "nnz", "toarray"))


def as_rows(chunk: Any, dtype: Any, like: Array | None = None) -> Rows:
    """Return a chunk as rows in a floating dtype: that of `like`, else `dtype`, else its own.

    Where `like` (0, d) is given, rows must be of its library, device and width.
    """
    if not is_sparse(chunk):
        validate.common_namespace(chunk=chunk)
    if like is not None:
        same_kind(chunk.data if is_sparse(chunk) else chunk, like)
        dtype = like.dtype
    rows = _compressed(chunk, dtype) if is_sparse(chunk) else _dense(chunk, dtype)
    if like is not None and rows.d != like.shape[1]:
        raise ValueError(
            f"`chunk` must have {like.shape[1]} columns as those before, got {rows.d}."
        )
    return rows


def _dense(chunk: Any, dtype: Any) -> Rows:
    xp = array_namespace(chunk)
    if xp.isdtype(chunk.dtype, "bool"):
        chunk = xp.astype(chunk, default_float(chunk))
    own = validate.common_float(chunk=chunk)
    if chunk.ndim == 1:
        chunk = chunk[None, :]
    if chunk.ndim != 2:
        raise ValueError(f"`chunk` must be a matrix or a row, got shape {tuple(chunk.shape)}.")
    if chunk.shape[1] == 0:
        raise ValueError(f"`chunk` must have columns, got shape {tuple(chunk.shape)}.")
    wanted = own if dtype is None else dtype
    if chunk.shape[0] == 0:
        return DenseRows(array_namespace(chunk).astype(chunk, wanted))
    return DenseRows(validate.as_array("chunk", chunk, ndim=2, dtype=wanted))


def _compressed(chunk: Any, dtype: Any) -> Rows:
    matrix = chunk.tocsr()
    own = validate.common_float(chunk=matrix.data)
    if matrix.ndim != 2 or matrix.shape[1] == 0:
        raise ValueError(f"`chunk` must be a matrix with columns, got shape {matrix.shape}.")
    if not matrix.has_canonical_format:
        matrix = matrix.copy()
        matrix.sum_duplicates()
    return SparseRows(matrix.astype(own if dtype is None else dtype, copy=False))


def requested_dtype(dtype: Any, chunk: Any) -> Any:
    """Return the floating dtype asked for, in the library of a chunk; None for that of the rows."""
    if dtype is None:
        return None
    xp = array_namespace(chunk.data if is_sparse(chunk) else chunk)
    name = str(dtype).rpartition(".")[2] if not isinstance(dtype, type) else dtype.__name__
    if name not in ("float32", "float64"):
        raise ValueError(f"`dtype` must be float32 or float64, got {dtype!r}.")
    return getattr(xp, name)


def empty_like(rows: Rows) -> Array:
    """Return an array (0, d) of the library, device and dtype of rows."""
    xp = array_namespace(rows.like)
    return xp.zeros((0, rows.d), dtype=rows.like.dtype, device=device_of(rows.like))


def same_kind(chunk: Array, like: Array) -> None:
    """Raise unless an array is of the library and device of those before."""
    if array_namespace(chunk) is not array_namespace(like) or device_of(chunk) != device_of(like):
        raise ValueError(
            f"`chunk` must be of one library on one device with those before, got "
            f"{describe(chunk)} after {describe(like)}."
        )


def root_weights(weights: Any, rows: Rows) -> Array:
    """Return the square roots of sample weights (n,), ones by default, in the dtype of rows."""
    xp, like = array_namespace(rows.like), rows.like
    if weights is None:
        return xp.ones(rows.n, dtype=like.dtype, device=device_of(like))
    validate.common_namespace(chunk=like, weights=weights)
    validate.common_float(weights=weights)
    weights = xp.astype(weights, like.dtype, copy=False)
    validate.same_shape("weights", weights, (rows.n,), "chunk")
    return xp.sqrt(validate.non_negative("weights", weights))
