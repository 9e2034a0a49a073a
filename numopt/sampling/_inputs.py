"""The arguments of all functions here, validated."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np  # noqa: TID251 - the generator of the draws

from .._core import validate
from .._core.iterate import Callback
from .._core.namespace import Array, array_namespace
from .._core.outcome import Result
from .._core.settings import default_tol, is_sparse
from .._rows import Passes, RowBlocks, Rows, SparseRows, is_array_like
from ._draw import own_generator
from ._problem import Data, Model

# Squares of numbers beyond these, or of their inverses, come near the ends of the range.
LARGEST = {"float64": 1e100, "float32": 1e12}
REGRESSION_METHODS = ("auto", "exact", "reduce", "coreset")
# Entries of A from which on "auto" starts from a part of the rows.
REDUCED_ENTRIES = 2_000_000
KINDS = ("leverage", "root_leverage", "lewis", "sensitivity", "combined")
SCORES_METHODS = ("auto", "exact", "sketch", "coreset", "grouped")
CORESET_METHODS = ("auto", "uniform", *KINDS)
LEWIS_STEPS, NEWTON_STEPS = 500, 100
# Sums of leverage scores are right to these; estimated ones to a factor of two.
LEVERAGE_TOL, SKETCH_TOL = {"float64": 1e-6, "float32": 1e-2}, 1.0
REGRESSION_TOL = {"float64": 1e-9, "float32": 1e-4}
LEWIS_TOL = {"float64": 1e-8, "float32": 1e-4}
SENSITIVITY_TOL = {"float64": 1e-8, "float32": 1e-3}


class Fit(NamedTuple):
    """What was asked of a regression."""

    model: Model
    method: str
    tol: float
    maxiter: int
    callback: Callback | None
    rng: np.random.Generator


class Scoring(NamedTuple):
    """What was asked of scores."""

    p: float
    kind: str
    method: str
    tol: float
    maxiter: int
    indices: Array | None
    bounds: bool
    group_size: int
    rng: np.random.Generator


class Sampling(NamedTuple):
    """What was asked of a coreset; a size of its own or what it is to be computed from."""

    method: str
    size: int | None = None
    eps: float | None = None
    delta: float = 0.05
    replace: bool = False
    floor: float = 0.0
    scores: Array | None = None


def validated(
    A: Any, b: Any = None, weights: Any = None, *, responses: int | tuple[int, ...] = 1
) -> Data:
    """Return a matrix (n, d), a response (n,) and sample weights (n,), checked in one pass.

    `responses` are the dimensions that b may have.
    """
    if is_array_like(A):
        A, b, weights = validate.arrays(A=A, b=b, weights=weights)
    source: Passes = SparseRows("A", A) if is_sparse(A) else RowBlocks("A", A)
    if source.cluster is not None:
        b, weights = source.cluster.gather("b", b), source.cluster.gather("weights", weights)
    _, b, weights = validate.arrays(A=source.like, b=b, weights=weights)
    source.dtype = dtype = validate.common_float(A=source.like, b=b, weights=weights)
    largest = source.fold(_largest_entry, merge=max)
    source.n_passes = 0  # what is counted is the work
    xp, scale_b = array_namespace(source.like), 1.0
    b = source.beside("b", b, dtype, ndim=responses)
    if b is not None:
        validate.finite("b", b)
        # Powers of residuals are taken: in a unit of about the largest response.
        scale_b = _power_of_two(float(xp.max(xp.abs(b))), 2.0)
        b = b if scale_b == 1.0 else b * scale_b
    weights = source.beside("weights", weights, dtype)
    if weights is not None and not bool(xp.any(validate.non_negative("weights", weights) > 0)):
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


def tolerance(tol: Any, like: Array, default: dict[str, float]) -> float:
    """Return a tolerance, by default one for each precision."""
    return default_tol(like, **default) if tol is None else validate.positive("tol", tol)


def index_array(indices: Any, n: int, like: Array) -> Array | None:
    """Return indices of rows (k,) on the device of `like`, checked; None if none were given."""
    if indices is None:
        return None
    xp = array_namespace(like)
    _, indices = validate.arrays(A=like, indices=indices)
    if indices.ndim != 1 or not xp.isdtype(indices.dtype, "integral"):
        raise ValueError(f"`indices` must be a vector of integers, got shape {indices.shape}.")
    if indices.shape[0] and not (int(xp.min(indices)) >= 0 and int(xp.max(indices)) < n):
        raise ValueError(f"`indices` must be in [0, {n}), the rows of `A`.")
    return indices


def fit_of(
    data: Data,
    p: Any,
    quantile: Any,
    ridge: Any,
    method: Any,
    tol: Any,
    maxiter: Any,
    rng: Any,
    callback: Any,
) -> Fit:
    """Return the options of a regression, checked."""
    model = model_of(p, quantile, ridge)
    method = validate.choice("method", method, REGRESSION_METHODS)
    if method == "auto":
        method = "reduce" if data.rows.n * data.rows.d >= REDUCED_ENTRIES else "exact"
    return Fit(
        model,
        method,
        tolerance(tol, data.like, REGRESSION_TOL),
        validate.count("maxiter", maxiter),
        validate.optional_callable("callback", callback),
        own_generator(rng),
    )


def model_of(p: Any, quantile: Any, ridge: Any) -> Model:
    """Return the loss of a regression, checked."""
    p = exponent(p)
    if quantile is not None:
        quantile = validate.fraction("quantile", quantile)
        if p != 1:
            raise ValueError(f"`quantile` is for p = 1 only, got p = {p:g}.")
    ridge = validate.real("ridge", ridge)
    if not 0 <= ridge < math.inf:
        raise ValueError(f"`ridge` must be non-negative and finite, got {ridge!r}.")
    return Model(p, quantile, ridge)


def start_of(x0: Any, data: Data) -> Array | None:
    """Return starting coefficients in the units of the data."""
    if x0 is None:
        return None
    _, x0 = validate.arrays(A=data.like, x0=x0.x if isinstance(x0, Result) else x0)
    x0 = validate.as_array("x0", x0, ndim=1, dtype=data.rows.dtype)
    return data.scaled(validate.finite("x0", validate.same_shape("x0", x0, (data.rows.d,), "A")))


def scoring_of(
    data: Data,
    p: Any,
    kind: Any,
    method: Any,
    tol: Any,
    maxiter: Any,
    rng: Any,
    indices: Any,
    bounds: Any,
    group_size: Any,
) -> Scoring:
    """Return the options of scores, checked."""
    kind = validate.choice("kind", kind, KINDS)
    method = validate.choice("method", method, SCORES_METHODS)
    by_solving, by_leverage = kind in ("sensitivity", "combined"), kind in KINDS[:2]
    if method == "sketch" and not by_leverage:
        raise ValueError("`method` 'sketch' is for leverage scores and their roots only.")
    if method in ("coreset", "grouped") and not by_solving:
        raise ValueError(f"`method` {method!r} is for sensitivities only.")
    if method == "grouped" and indices is not None:
        raise ValueError("`indices` does not go with `method` 'grouped', which is for all rows.")
    if (bounds or indices is not None) and kind != "sensitivity":
        raise ValueError("`bounds` and `indices` are for the kind 'sensitivity' only.")
    default = SENSITIVITY_TOL if by_solving else LEVERAGE_TOL if by_leverage else LEWIS_TOL
    tol = tolerance(tol, data.like, default)
    steps = NEWTON_STEPS if by_solving else LEWIS_STEPS
    return Scoring(
        exponent(p),
        kind,
        method,
        SKETCH_TOL if method == "sketch" else tol,
        steps if maxiter is None else validate.count("maxiter", maxiter),
        index_array(indices, data.rows.n, data.like),
        bool(bounds),
        validate.at_least_one("group_size", group_size),
        own_generator(rng),
    )


def sampling_of(
    data: Data,
    method: Any,
    sample_size: Any,
    eps: Any,
    delta: Any,
    replace: Any,
    floor: Any,
    scores: Any,
) -> Sampling:
    """Return the options of a coreset, checked."""
    return Sampling(
        validate.choice("method", method, CORESET_METHODS),
        None if sample_size is None else validate.at_least_one("sample_size", sample_size),
        None if eps is None else validate.fraction("eps", eps),
        validate.fraction("delta", delta),
        bool(replace),
        0.0 if floor is None else validate.positive("floor", floor),
        None if scores is None else _given_scores(scores, data),
    )


def _given_scores(scores: Any, data: Data) -> Array:
    """Return the scores of the caller, checked."""
    if data.rows.cluster is not None:
        scores = data.rows.cluster.gather("scores", scores)
    scores = data.rows.beside("scores", validate.arrays(A=data.like, scores=scores)[1])
    if not bool(data.rows.xp.any(validate.non_negative("scores", scores) > 0)):
        raise ValueError("`scores` must not be zero everywhere.")
    return scores
