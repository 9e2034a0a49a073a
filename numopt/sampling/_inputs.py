"""The arguments that all functions here share, validated."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from .. import _validate
from .._namespace import Array, array_namespace, device_of
from ._rows import Rows, Whole

# Squares of numbers beyond these, or of their inverses, come near the ends of the range.
LARGEST = {"float64": 1e100, "float32": 1e12}


class Data(NamedTuple):
    """A matrix and what comes with it; entries are those given times powers of two."""

    rows: Rows
    b: Array | None
    weights: Array | None
    scale: float
    scale_b: float

    @property
    def like(self) -> Array:
        """An array of the library, device and dtype of the data."""
        return self.rows.ones() if self.b is None else self.b


def validated(A: Any, b: Any = None, weights: Any = None) -> Data:
    """Return a matrix (n, d), a response (n,) and sample weights (n,), checked."""
    _validate.common_namespace(A=A, b=b, weights=weights)
    dtype = _validate.common_float(A=A, b=b, weights=weights)
    A = _validate.finite("A", _validate.as_array("A", A, ndim=2, dtype=dtype))
    n = int(A.shape[0])
    if b is not None:
        b = _validate.as_array("b", b, ndim=1, dtype=dtype)
        b = _validate.finite("b", _validate.same_shape("b", b, (n,), "A"))
    if weights is not None:
        weights = _validate.as_array("weights", weights, ndim=1, dtype=dtype)
        _validate.non_negative("weights", _validate.same_shape("weights", weights, (n,), "A"))
        if not bool(array_namespace(weights).any(weights > 0)):
            raise ValueError("`weights` must not be zero everywhere.")
    scale, scale_b = _power_of_two(A), 1.0
    if b is not None:
        # Powers of residuals are taken: in a unit of about the largest response.
        scale_b = _power_of_two(b, 2.0)
        b = b if scale_b == 1.0 else b * scale_b
    return Data(Rows(Whole(A), scale=scale), b, weights, scale, scale_b)


def _power_of_two(x: Array, limit: float | None = None) -> float:
    """Return what brings the largest entry near 1 if it or its inverse is above a limit, else 1."""
    xp = array_namespace(x)
    largest = float(xp.max(xp.abs(x)))
    if limit is None:
        limit = LARGEST["float32" if x.dtype == xp.float32 else "float64"]
    if largest == 0 or 1 / limit < largest < limit:
        return 1.0
    return float(2.0 ** -math.frexp(largest)[1])


def exponent(p: Any) -> float:
    """Return p, a finite number of at least 1."""
    p = _validate.real("p", p)
    if not (p >= 1 and math.isfinite(p)):
        raise ValueError(f"`p` must be finite and at least 1, got {p!r}.")
    return p


def fraction(name: str, value: Any) -> float:
    """Return a number strictly between 0 and 1."""
    number = _validate.real(name, value)
    if not 0 < number < 1:
        raise ValueError(f"`{name}` must be in (0, 1), got {value!r}.")
    return number


def nonzero_rows(rows: Rows) -> Array:
    """Return which rows (n,) have an entry that is not zero."""
    return rows.largest() > 0


def tolerance(tol: Any, like: Array, double: float, single: float) -> float:
    """Return a tolerance, by default one for each precision."""
    if tol is not None:
        return _validate.positive("tol", tol)
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
