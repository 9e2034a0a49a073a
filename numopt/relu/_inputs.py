"""Validation of training data and options, and the way between them and the convex program."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from .._core import validate
from .._core.namespace import Array, array_namespace, device_of
from .._core.random import generator
from .._losses.pointwise import LOSSES, Loss
from ._network import radii
from ._patterns import Patterns, drawn_gates, patterns_of_gates, patterns_of_mask
from ._program import Program, normalized, with_bias
from ._verdict import METHODS, STOPS, Settings

ROBUST = ("pattern", "lipschitz")


class Data(NamedTuple):
    """Validated training data: samples with their bias, targets (C, n), weights."""

    X: Array
    y: Array
    weights: Array
    loss: Loss
    bias: bool
    single: bool  # whether y was a vector
    rows: Array | None = None  # which samples these are, None if all


def data_of(X: Any, y: Any, *, loss: Any, fit_intercept: Any, sample_weight: Any = None) -> Data:
    """Return validated training data."""
    loss = LOSSES[validate.choice("loss", loss, tuple(LOSSES))]
    validate.flag("fit_intercept", fit_intercept)
    _dense("X", X)
    xp = validate.common_namespace(X=X, y=y, sample_weight=sample_weight)
    dtype = validate.common_float(X=X, y=y, sample_weight=sample_weight)
    X = validate.finite("X", validate.as_array("X", X, ndim=2, dtype=dtype))
    y = validate.finite("y", validate.as_array("y", y, ndim=(1, 2), dtype=dtype))
    validate.same_shape("y", y, (X.shape[0], *y.shape[1:]), "X")
    if not loss.scales and not bool(xp.all(xp.abs(y) == 1)):
        raise ValueError(f"`y` must hold labels -1 and 1 for {loss.name} loss.")
    if sample_weight is None:
        weights = xp.ones((X.shape[0],), dtype=dtype, device=device_of(X))
    else:
        weights = validate.as_array("sample_weight", sample_weight, ndim=1, dtype=dtype)
        validate.same_shape("sample_weight", weights, (X.shape[0],), "X")
        weights = validate.non_negative("sample_weight", weights)
        if not bool(xp.any(weights > 0)):
            raise ValueError("`sample_weight` must have a positive entry.")
    single = y.ndim == 1
    columns = y[None, :] if single else y.T
    return Data(with_bias(X) if fit_intercept else X, columns, weights, loss, fit_intercept, single)


def _dense(name: str, X: Any) -> None:
    """Raise TypeError for a sparse matrix: what is computed with it is dense."""
    if hasattr(X, "toarray") and hasattr(X, "nnz"):
        raise TypeError(f"`{name}` must be a dense array, got a sparse matrix; use X.toarray().")


def effective(data: Data) -> Data:
    """Return the samples that matter: positive weight, and not zero in all features."""
    xp = array_namespace(data.X)
    matters = (data.weights > 0) & xp.any(data.X != 0, axis=1)
    (index,) = xp.nonzero(matters)
    if index.shape[0] in (0, data.X.shape[0]):
        return data
    return data._replace(
        X=xp.take(data.X, index, axis=0),
        y=xp.take(data.y, index, axis=1),
        weights=xp.take(data.weights, index),
        rows=index,
    )


def constant_loss(data: Data) -> Array:
    """Return, for each output, the loss of the samples that no network can change, (C,)."""
    xp = array_namespace(data.X)
    fixed = xp.astype(~xp.any(data.X != 0, axis=1), data.X.dtype)
    return data.loss.value(0 * data.y, data.y, fixed * data.weights)


def settings_of(
    *,
    method: Any,
    tol: Any,
    maxiter: Any,
    stop: Any,
    polish: Any,
    rho: Any,
    callback: Any,
    rng: Any,
) -> Settings:
    """Return the options of a solve, validated."""
    method = validate.choice("method", method, METHODS)
    stop = validate.choice("stop", stop, STOPS)
    if method in ("interior", "rows") and stop == "network":
        raise ValueError(f"`stop` = 'network' is for the splitting methods, not for {method!r}.")
    if rho is not None:
        rho = validate.positive("rho", rho)
    return Settings(
        method,
        validate.positive("tol", tol),
        validate.count("maxiter", maxiter),
        stop,
        validate.flag("polish", polish),
        rho,
        validate.optional_callable("callback", callback),
        generator(rng),
    )


def chosen_patterns(given: int, data: Data, n_patterns: Any, patterns: Any, rng: Any) -> Patterns:
    """Return the patterns that were given, for `given` samples, or those of random gates."""
    count = validate.at_least_one("n_patterns", n_patterns)
    if patterns is None:
        return not_empty(patterns_of_gates(data.X, drawn_gates(data.X, count, rng)))
    xp = validate.common_namespace(X=data.X, patterns=patterns)
    d = data.X.shape[1]
    if patterns.dtype == xp.bool:
        if patterns.ndim != 2 or patterns.shape[0] != given or 0 in patterns.shape:
            raise ValueError(
                f"boolean `patterns` must have shape ({given}, P), got {tuple(patterns.shape)}."
            )
        if data.rows is not None:
            patterns = xp.take(patterns, data.rows, axis=0)
        return not_empty(patterns_of_mask(data.X, patterns.T))
    gates = validate.as_array("patterns", patterns, ndim=2, dtype=data.X.dtype)
    if gates.shape[0] != d:
        raise ValueError(
            f"`patterns` must be boolean with {given} rows or gates with {d} rows, "
            f"one for each column of `X` and the bias, got shape {tuple(gates.shape)}."
        )
    return not_empty(patterns_of_gates(data.X, validate.finite("patterns", gates).T))


def check_sums(patterns: int, d: int, max_bytes: float, remedy: str) -> None:
    """Raise where the second derivative of the loss in all neurons is too large to be formed."""
    if (patterns * d) ** 2 > max_bytes / 8:
        most = int(math.sqrt(max_bytes / 8) // d)
        raise ValueError(
            f"`n_patterns` must be at most {most} for {d} columns, so that a matrix of all neurons "
            f"takes {max_bytes / 1e9:.3g} GB, got {patterns}; {remedy}."
        )


def not_empty(patterns: Patterns) -> Patterns:
    """Return patterns, having checked that there are some."""
    if patterns.active.shape[0] == 0:
        raise ValueError("`patterns` must switch on at least one sample: all are empty.")
    return patterns


def perturbation(eps: Any, robust: Any, data: Data) -> tuple[Array | None, str]:
    """Return radii of each column of the samples with their bias, None if all are zero."""
    robust = validate.choice("robust", robust, ROBUST)
    xp = array_namespace(data.X)
    columns = data.X[:, :-1] if data.bias else data.X
    radius = radii(eps, columns)
    if not bool(xp.any(radius > 0)):
        return None, robust
    if data.bias:
        zero = xp.zeros((1,), dtype=radius.dtype, device=device_of(radius))
        radius = xp.concat([radius, zero])
    return radius, robust


def problem_of(
    data: Data, patterns: Patterns, beta: float, eps: Array | None, robust: str
) -> Program:
    """Return the convex program in normalized units."""
    return normalized(
        data.X, data.y, data.weights, patterns.active, patterns.gates, beta, data.loss, eps, robust
    )
