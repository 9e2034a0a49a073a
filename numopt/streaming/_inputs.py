"""Options, and chunks of rows as they come from the caller, checked."""

from __future__ import annotations

import math
from typing import Any

import array_api_compat

from .._core import validate
from .._core.namespace import Array, array_namespace, describe, device_of
from .._core.settings import is_sparse
from .._rows import is_array_like
from ._problem import BLOCKS, METHODS, Settings
from ._rows import DenseRows, Rows, SparseRows


def as_source(source: Any) -> Any:
    """Return a source of rows; numbers in lists, data frames and the like become an array."""
    return validate.arrays(source=source)[0] if is_array_like(source) else source


def as_rows(chunk: Any, dtype: Any, like: Array | None = None) -> Rows:
    """Return a chunk as rows in a floating dtype: that of `like`, else `dtype`, else its own.

    Where `like` (0, d) is given, rows must be of its library, device and width.
    """
    if chunk is None:
        raise TypeError("`chunk` must be an array, got NoneType.")
    if not is_sparse(chunk):
        # What is of no library yet becomes an array of that of the rows before.
        beside = None if array_api_compat.is_array_api_obj(chunk) else like
        _, chunk = validate.arrays(rows=beside, chunk=chunk)
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
    _, weights = validate.arrays(chunk=like, weights=weights)
    validate.common_float(weights=weights)
    weights = xp.astype(weights, like.dtype, copy=False)
    validate.same_shape("weights", weights, (rows.n,), "chunk")
    return xp.sqrt(validate.non_negative("weights", weights))


def checked_settings(options: dict[str, Any]) -> Settings:
    """Return the options of a summary."""
    rank = validate.at_least_one("rank", options["rank"])
    memory = validate.at_least(2 * rank + 2, "memory_rows", options["memory_rows"])
    n_rows, method = options["n_rows"], validate.choice("method", options["method"], METHODS)
    threshold, decay = options["heavy_threshold"], options["decay"]
    blocks = validate.choice("blocks", options["blocks"], BLOCKS)
    if n_rows is not None:
        n_rows = validate.at_least_one("n_rows", n_rows)
    if blocks == "uniform" and n_rows is None:
        raise ValueError("`n_rows` must be given for blocks 'uniform', got None.")
    if rank > 1 and method == "oja":
        raise ValueError(f"`rank` must be 1 for method 'oja', got {rank}.")
    if decay is not None and method != "truncate":
        raise ValueError(f"`decay` goes with method 'truncate' only, got method {method!r}.")
    if validate.flag("center", options["center"]) and method not in ("auto", "truncate"):
        raise ValueError(
            f"`center` goes with methods 'auto' and 'truncate' only, got method {method!r}."
        )
    return Settings(
        rank=rank,
        memory_rows=memory,
        method=method,
        tol=validate.fraction("tol", options["tol"]),
        n_rows=n_rows,
        blocks=blocks,
        growth=_at_least_one("growth", options["growth"]),
        heavy_threshold=None
        if threshold is None
        else validate.positive("heavy_threshold", threshold),
        center=options["center"],
        gram_limit=validate.at_least_one("gram_limit", options["gram_limit"]),
        decay=None if decay is None else validate.between("decay", decay, 0.0, 1.0),
    )


def _at_least_one(name: str, value: Any) -> float:
    number = validate.real(name, value)
    if not 1 <= number < math.inf:
        raise ValueError(f"`{name}` must be at least 1 and finite, got {value!r}.")
    return number
