"""The public regression in the p-norm."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np  # noqa: TID251 - the generator of the draws

from .._core import validate
from .._core.iterate import Callback, closing
from .._core.namespace import Array, filled, inner
from .._core.outcome import CONVERGED, ITERATION_LIMIT, NON_FINITE, STOPPED_BY_CALLBACK
from .._rows.products import in_memory
from ._certificate import Loss, dual_norm, rounding
from ._coreset import lp_coreset
from ._draw import own_generator
from ._inputs import Data, exponent, tolerance, validated
from ._reduce import solve_reduced
from ._regression import Budget, Point, Regression, certified, regression, solve_exact
from ._result import CoresetResult, LpResult

METHODS = ("auto", "exact", "reduce", "coreset")
RANK_DEFICIENT, STALLED, ENLARGED = 2, 3, 4
# Default tolerances of the relative gap in double and single precision.
TOL = (1e-9, 1e-4)
# Entries of A from which on "auto" starts from a part of the rows.
REDUCED_ENTRIES = 2_000_000

Start = LpResult | Array | None


class Settings(NamedTuple):
    """Validated options."""

    p: float
    method: str
    budget: Budget
    quantile: float | None
    ridge: float
    rng: np.random.Generator


def lp_regression(
    A: Array,
    b: Array,
    p: float = 1.0,
    *,
    method: str = "auto",
    tol: float | None = None,
    maxiter: int = 100,
    x0: Start = None,
    weights: Array | None = None,
    quantile: float | None = None,
    ridge: float = 0.0,
    coreset: CoresetResult | None = None,
    rng: int | np.random.Generator | None = None,
    callback: Callback | None = None,
) -> LpResult:
    r"""Fit a linear model in the p-norm, or to a quantile, with a certified duality gap.

    .. math::

        \min_x \; \sum_{i=1}^n w_i |b_i - a_i^\top x|^p + \lambda \|x\|_2^2

    For p = 1 the absolute value can be tilted to the pinball loss of a quantile t: t times what
    is above zero and 1 - t times what is below.

    Parameters
    ----------
    A : array, shape (n, d), or source of its rows
        Real and finite; add a column of ones for an intercept. A Dask array, a memory map, or
        whatever else `row_blocks` takes is read by blocks.
    b : array, shape (n,)
        Responses.
    p : float, default 1.0
        Power, at least 1: 1 is least absolute deviations, 2 least squares.
    method : {"auto", "exact", "reduce", "coreset"}, default "auto"
        "exact" works on all rows. "reduce" solves on a part of them first and for p = 1 goes on
        with those whose residuals may change sign; the result is as exact. "coreset" solves on
        weighted rows and is approximate. "auto" is "reduce" from two million entries on.
    tol : float, optional
        Largest relative gap. Default 1e-9 (float32: 1e-4).
    maxiter : int, default 100
        Largest number of iterations on a problem; "reduce" solves some small ones and may have to
        solve that of all rows.
    x0 : LpResult or array, shape (d,), optional
        Where to start, for example the result for a nearby p or quantile.
    weights : array, shape (n,), optional
        Sample weights w. Integer weights count rows that often.
    quantile : float, optional
        Level t in (0, 1), for p = 1 only. The median, 0.5, has half the loss of p = 1.
    ridge : float, default 0.0
        Penalty :math:`\lambda \ge 0`.
    coreset : CoresetResult, optional
        Rows to use with method "coreset", from `lp_coreset` with `b`. Default: drawn with
        ``eps=0.5``.
    rng : None, int or numpy.random.Generator, optional
        Source of the draws of "reduce" and "coreset". The exact solution does not depend on it.
    callback : callable, optional
        Called as ``callback(intermediate_result)`` with ``nit``, ``error`` and ``fun``;
        `StopIteration` ends the solve. See `ProgressBar`.

    Returns
    -------
    LpResult
        Coefficients ``x``, ``fun``, ``norm``, the certificate ``dual`` and ``gap``, ``active``,
        and methods for the standard errors of quantile regression.

    Raises
    ------
    TypeError
        If an input is not a real array, or inputs are of different libraries or devices.
    ValueError
        If a shape, a sign, a range or an option is wrong, or a number is not finite.

    See Also
    --------
    lp_coreset : the rows that method "coreset" uses.

    Notes
    -----
    p = 1 is solved by Mehrotra's predictor-corrector method on the dual with bounded variables
    [1]_, then moved to the face of the optimum, which makes the result exact where rounding
    allows. p > 1 takes Newton steps, smoothed near zero residuals for p < 2, with a search along
    each direction. An iteration takes one Gram matrix, O(n d^2), and a few products with A;
    there are 10 to 20 of them, more for p near 1. Memory is O(n + d^2) beside A.

    "reduce" for p = 1 follows [1]_: rows with large residuals at the solution of a sample keep
    their signs and act through one constant gradient; what is left is a problem with few rows,
    and one pass shows whether a sign was wrong. Where it does not settle, because too many
    responses tie, all rows are used.

    `success` depends on the gap alone, which is computed from `x` and `dual` in a last pass over
    A: for any y with ``A'y = 0`` the norm of a residual is at least ``b'y`` over the dual norm of
    y, and what rounding leaves of ``A'y`` is charged to the gap. With method "coreset" it is the
    gap of the problem on the coreset. If A lacks rank, x has the least norm of all solutions
    with the same fit, and with no more rows than unknowns the fit may be exact. Runs on NumPy
    (compiled by Numba above some size), CuPy, PyTorch and any other Array API library, with
    float64 or float32.

    References
    ----------
    .. [1] S. Portnoy, R. Koenker, "The Gaussian hare and the Laplacian tortoise", Statistical
       Science 12(4), 1997.
    .. [2] D. P. Woodruff, T. Yasuda, "Sharper Bounds for l_p Sensitivity Sampling", ICML 2023,
       arXiv:2306.00732.

    Examples
    --------
    A line through points of which one is far off:

    >>> import numpy as np
    >>> import numopt
    >>> t = np.arange(8.0)
    >>> A, b = np.stack([np.ones(8), t], axis=1), 1 + 2 * t
    >>> b[5] = 100
    >>> numopt.lp_regression(A, b, p=1).x.round(9)
    array([1., 2.])
    """
    data, settings = _validated(
        A, b, p, method, tol, maxiter, weights, quantile, ridge, rng, callback
    )
    start = _start(x0, data)
    with closing(callback):
        if settings.method == "coreset":
            return _on_coreset(A, b, weights, data, settings, start, coreset)
        if coreset is not None:
            raise ValueError("`coreset` goes with method 'coreset' only.")
        return _on_all_rows(data, settings, start)


def _validated(
    A: Any,
    b: Any,
    p: Any,
    method: Any,
    tol: Any,
    maxiter: Any,
    weights: Any,
    quantile: Any,
    ridge: Any,
    rng: Any,
    callback: Any,
) -> tuple[Data, Settings]:
    if b is None:
        raise TypeError("`b` must be an array, got NoneType.")
    data, p = validated(A, b, weights), exponent(p)
    if quantile is not None:
        quantile = validate.fraction("quantile", quantile)
        if p != 1:
            raise ValueError(f"`quantile` is for p = 1 only, got p = {p:g}.")
    ridge = validate.real("ridge", ridge)
    if not 0 <= ridge < math.inf:
        raise ValueError(f"`ridge` must be non-negative and finite, got {ridge!r}.")
    budget = Budget(
        tolerance(tol, data.like, *TOL),
        validate.count("maxiter", maxiter),
        validate.optional_callable("callback", callback),
    )
    method = validate.choice("method", method, METHODS)
    if method == "auto":
        large = data.rows.n * data.rows.d >= REDUCED_ENTRIES
        method = "reduce" if large else "exact"
    return data, Settings(p, method, budget, quantile, ridge, own_generator(rng))


def _start(x0: Any, data: Data) -> Array | None:
    """Return starting coefficients in the units of the data."""
    if x0 is None:
        return None
    x0 = x0.x if isinstance(x0, LpResult) else x0
    validate.common_namespace(A=data.like, x0=x0)
    x0 = validate.as_array("x0", x0, ndim=1, dtype=data.rows.dtype)
    x0 = validate.finite("x0", validate.same_shape("x0", x0, (data.rows.d,), "A"))
    return x0 * (data.scale_b / data.scale)


def _loss(weights: Array, settings: Settings) -> Loss:
    if settings.p != 1:
        return Loss(settings.p, weights)
    if settings.quantile is None:
        return Loss(1.0, weights, weights, weights)
    level = settings.quantile
    return Loss(1.0, weights, level * weights, (1 - level) * weights)


def _problem(data: Data, settings: Settings) -> tuple[Regression, Array | None]:
    """Return the problem of the rows with a weight that is not zero, and which those are."""
    xp, weights, rows, b = data.rows.xp, data.weights, data.rows, data.b
    ridge = settings.ridge
    if ridge:
        ridge *= data.scale_b ** (settings.p - 2) * data.scale**2
    if weights is None:
        return regression(rows, b, _loss(rows.ones(), settings), ridge), None
    positive = weights > 0
    if bool(xp.all(positive)):
        return regression(rows, b, _loss(weights, settings), ridge), None
    (index,) = xp.nonzero(positive)
    loss = _loss(xp.take(weights, index), settings)
    part = in_memory(rows.take(index))
    return regression(part, xp.take(b, index), loss, ridge), positive


def _on_all_rows(data: Data, settings: Settings, start: Array | None) -> LpResult:
    problem, positive = _problem(data, settings)
    if settings.method == "reduce":
        point = solve_reduced(problem, start, settings.budget, settings.rng)
    else:
        point = solve_exact(problem, start, settings.budget)
    result = _report(data, settings, problem, point, positive)
    if settings.p == 1 and settings.ridge == 0:
        result._attach(data, settings.quantile)
    return result


def _on_coreset(
    A: Array,
    b: Array,
    weights: Array | None,
    data: Data,
    settings: Settings,
    start: Array | None,
    coreset: CoresetResult | None,
) -> LpResult:
    """Return the certified solution on weighted rows, which is approximate for all of them."""
    if coreset is None:
        coreset = lp_coreset(A, settings.p, b, weights=weights, rng=settings.rng)
    elif not isinstance(coreset, CoresetResult) or coreset.b is None:
        raise TypeError("`coreset` must be what `lp_coreset` returned for `A` and `b`.")
    part = validated(coreset.A, coreset.b, coreset.weights)
    start = None if start is None else start * (data.scale / data.scale_b)
    start = None if start is None else start * (part.scale_b / part.scale)
    problem, positive = _problem(part, settings)
    point = solve_exact(problem, start, settings.budget)
    result = _report(part, settings, problem, point, positive)
    residual = data.b / data.scale_b - data.rows.times(result.x) / data.scale
    full = _loss(data.rows.ones() if data.weights is None else data.weights, settings)
    value = full.value(residual)
    result.fun = value + (settings.ridge * inner(result.x, result.x) if settings.ridge else 0.0)
    result.norm = value ** (1 / settings.p)
    result.n_passes = data.rows.n_passes + coreset.n_passes
    result.n_blocks, result.n_retries = data.rows.n_blocks, data.rows.n_retries
    if result.success:
        result.status = ENLARGED if coreset.status == ENLARGED else result.status
        result.message = (
            f"Solved on a coreset of {coreset.size} rows of {data.rows.n}: the gap is that of the "
            f"problem there, and the answer is approximate for all rows."
        )
    return result


def _report(
    data: Data, settings: Settings, problem: Regression, point: Point, positive: Array | None
) -> LpResult:
    """Return the result in the units of the caller, certified again from what is returned."""
    xp, p, loss = data.rows.xp, settings.p, problem.loss
    gap, residual = certified(problem, point.x, point.y)
    success = gap <= settings.budget.tol
    value = loss.value(residual)
    dual, x = point.y, point.x * (data.scale / data.scale_b)
    if p > 1:
        size = dual_norm(loss, dual)
        unit = data.scale_b ** (1 - p) if settings.ridge else (1 / size if size > 0 else 1.0)
        dual = dual * unit
    fitted = xp.abs(residual) <= rounding(problem.b, residual)
    if positive is not None:
        dual = filled(positive, dual, xp.zeros_like(data.b))
        fitted = filled(positive, fitted, xp.zeros_like(positive))
    scaled = value ** (1 / p) / data.scale_b
    fun = _power(scaled, p) + (settings.ridge * inner(x, x) if settings.ridge else 0.0)
    deficient = problem.whitening.rank < data.rows.d
    status = _status(success, point.status, deficient)
    return LpResult(
        x=x,
        fun=fun,
        success=success,
        status=status,
        message=_message(status, point, gap, settings, problem),
        nit=point.nit,
        history=point.history,
        norm=scaled,
        dual=data.rows.as_given(dual),
        gap=gap,
        active=data.rows.as_given(fitted),
        n_passes=data.rows.n_passes,
        n_blocks=data.rows.n_blocks,
        n_retries=data.rows.n_retries,
    )


def _power(base: float, p: float) -> float:
    try:
        return float(base**p)
    except OverflowError:
        return math.inf


def _status(success: bool, ended: int, deficient: bool) -> int:
    if success:
        return RANK_DEFICIENT if deficient else CONVERGED
    return ended if ended in (ITERATION_LIMIT, NON_FINITE, STOPPED_BY_CALLBACK) else STALLED


def _message(status: int, point: Point, gap: float, settings: Settings, problem: Regression) -> str:
    tol = settings.budget.tol
    if status == CONVERGED:
        return f"Solved with a relative gap of {gap:.1e} (tol {tol:.1e})."
    if status == RANK_DEFICIENT:
        return (
            f"Solved with a relative gap of {gap:.1e} (tol {tol:.1e}); of all solutions with this "
            f"fit, x has the least norm, as the rank is {problem.whitening.rank}."
        )
    if status == STOPPED_BY_CALLBACK:
        return f"Stopped by the callback with a relative gap of {gap:.1e} (tol {tol:.1e})."
    advice = {
        ITERATION_LIMIT: "raise maxiter",
        NON_FINITE: "rescale the columns of A",
        STALLED: "raise tol, or rescale the columns of A",
    }[status]
    return (
        f"Stopped after {point.nit} iterations with a relative gap of {gap:.1e} (tol {tol:.1e}); "
        f"{advice}."
    )
