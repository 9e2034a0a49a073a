"""The arguments that all functions here share, validated."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from .._core import validate
from .._core.namespace import Array, array_namespace, device_of
from .._rows import RowBlocks
from .._rows.products import Rows, SparseBlocks

# Squares of numbers beyond these, or of their inverses, come near the ends of the range.
LARGEST = {"float64": 1e100, "float32": 1e12}


class Data(NamedTuple):
    """A matrix and what comes with it, or None; entries are those given times powers of two."""

    rows: Rows
    b: Array
    weights: Array
    scale: float
    scale_b: float

    @property
    def like(self) -> Array:
        """An array of the library, device and dtype of the data."""
        return self.rows.ones() if self.b is None else self.b


def validated(
    A: Any, b: Any = None, weights: Any = None, *, responses: int | tuple[int, ...] = 1
) -> Data:
    """Return a matrix (n, d), a response (n,) and sample weights (n,), checked in one pass.

    `responses` are the dimensions that b may have.
    """
    sparse = hasattr(A, "tocsr")
    source = SparseBlocks(A, None) if sparse else RowBlocks("A", A)
    if source.cluster is not None:
        b, weights = source.cluster.gather("b", b), source.cluster.gather("weights", weights)
    validate.common_namespace(A=source.like, b=b, weights=weights)
    source.dtype = dtype = validate.common_float(A=source.like, b=b, weights=weights)
    largest = source.fold(_largest_entry, merge=max)
    n, xp = source.shape[0], array_namespace(source.like)
    scale_b = 1.0
    if b is not None:
        b = validate.as_array("b", b, ndim=responses, dtype=dtype)
        if 0 in b.shape[1:]:
            raise ValueError(f"`b` must not be empty, got shape {tuple(b.shape)}.")
        b = validate.finite("b", validate.same_shape("b", b, (n, *b.shape[1:]), "A"))
        # Powers of residuals are taken: in a unit of about the largest response.
        scale_b = _power_of_two(float(xp.max(xp.abs(b))), 2.0)
        b = b if scale_b == 1.0 else b * scale_b
    if weights is not None:
        weights = validate.as_array("weights", weights, ndim=1, dtype=dtype)
        validate.non_negative("weights", validate.same_shape("weights", weights, (n,), "A"))
        if not bool(xp.any(weights > 0)):
            raise ValueError("`weights` must not be zero everywhere.")
    scale = _power_of_two(largest, LARGEST["float32" if dtype == xp.float32 else "float64"])
    return Data(Rows(source, scale=scale), b, weights, scale, scale_b)


def _largest_entry(block: Array, rows: slice) -> float:
    """Return the largest absolute entry of a block of A, having checked that all are finite."""
    xp = array_namespace(block)
    # Both ends, since the absolute values would be a copy of the block.
    largest = max(float(xp.max(block)), -float(xp.min(block)))
    if not math.isfinite(largest):
        bad = xp.argmax(xp.reshape(xp.astype(~xp.isfinite(block), block.dtype), (-1,)))
        row, column = divmod(int(bad), int(block.shape[1]))
        value, row = float(block[row, column]), rows.start + row
        raise ValueError(f"`A` must be finite, got {value} at [{row}, {column}].")
    return largest


def _power_of_two(largest: float, limit: float) -> float:
    """Return what brings a number near 1 if it or its inverse is above a limit, else 1."""
    if largest == 0 or 1 / limit < largest < limit:
        return 1.0
    return math.ldexp(1.0, -math.frexp(largest)[1])


def exponent(p: Any) -> float:
    """Return p, a finite number of at least 1."""
    number = validate.real("p", p)
    if not (number >= 1 and math.isfinite(number)):
        raise ValueError(f"`p` must be finite and at least 1, got {p!r}.")
    return number


def nonzero_rows(rows: Rows) -> Array:
    """Return which rows (n,) are not zero, nor so small that their squares are next to others."""
    xp, largest = rows.xp, rows.largest()
    limit = (1e4 if rows.dtype == xp.float64 else 1e2) * float(xp.finfo(rows.dtype).smallest_normal)
    return largest > float(xp.max(largest)) * limit**0.5


def tolerance(tol: Any, like: Array, double: float, single: float) -> float:
    """Return a tolerance, by default one for each precision."""
    if tol is not None:
        return validate.positive("tol", tol)
    xp = array_namespace(like)
    return single if like.dtype == xp.float32 else double


def index_array(indices: Any, n: int, like: Array) -> Array | None:
    """Return indices of rows (k,) on the device of `like`, checked; None if none were given."""
    if indices is None:
        return None
    xp = array_namespace(like)
    if array_namespace(indices) is not xp or device_of(indices) != device_of(like):
        raise TypeError("`indices` must be of the library and on the device of `A`.")
    if indices.ndim != 1 or not xp.isdtype(indices.dtype, "integral"):
        raise ValueError(f"`indices` must be a vector of integers, got shape {indices.shape}.")
    if indices.shape[0] and not (int(xp.min(indices)) >= 0 and int(xp.max(indices)) < n):
        raise ValueError(f"`indices` must be in [0, {n}), the rows of `A`.")
    return indices
