"""Regressions from validated data to a result: on all rows, on a part of them, on a coreset."""

from __future__ import annotations

import math
from time import perf_counter
from typing import Any

from .._core.namespace import Array, filled, inner
from .._core.outcome import Outcome, Status, settle
from .._core.settings import non_negative
from .._losses.norms import dual_norm
from ._certificate import certified, gap_check, rounding
from ._coreset import coreset_of
from ._inputs import Fit, Sampling, validated
from ._problem import Data, Regression, problem_of
from ._result import CoresetResult, LpResult
from .regression.exact import Budget, Point, solve_exact
from .regression.preprocess import solve_reduced

ADVICE = {
    Status.ITERATION_LIMIT: "raise maxiter",
    Status.NON_FINITE: "rescale the columns of A",
    Status.STALLED: "raise tol, or rescale the columns of A",
}


def on_all_rows(data: Data, fit: Fit, start: Array | None, started: float) -> LpResult:
    """Return the certified solution on all rows, from starting coefficients or None."""
    problem, positive = problem_of(data, fit.model)
    budget = Budget(fit.tol, fit.maxiter, fit.callback)
    if fit.method == "reduce":
        point = solve_reduced(problem, start, budget, fit.rng)
    else:
        point = solve_exact(problem, start, budget)
    result = _report(data, fit, problem, point, positive, started)
    result._attach(data)
    return result


def on_coreset(data: Data, fit: Fit, start: Array | None, coreset: Any, started: float) -> LpResult:
    """Return the certified solution on weighted rows, which is approximate for all of them."""
    if coreset is None:
        coreset = coreset_of(data, fit.model.p, Sampling("auto"), fit.rng)
        n_passes = 0
    elif not isinstance(coreset, CoresetResult) or coreset.b is None:
        raise TypeError("`coreset` must be what `lp_coreset` returned for `A` and `b`.")
    else:
        n_passes = coreset.stats["n_passes"]
    part = validated(coreset.A, coreset.b, coreset.weights)
    start = None if start is None else part.scaled(data.as_given(start))
    problem, positive = problem_of(part, fit.model)
    point = solve_exact(problem, start, Budget(fit.tol, fit.maxiter, fit.callback))
    detail = (
        f"The problem is that on a coreset of {coreset.size} of {data.rows.n} rows: the answer is "
        "approximate for all of them."
    )
    enlarged = coreset.status is Status.SAMPLE_ENLARGED
    result = _report(part, fit, problem, point, positive, started, detail, enlarged)
    x, rows = result.x, data.rows
    residual = data.b / data.scale_b - rows.times(x) / data.scale
    value = fit.model.loss(rows.ones() if data.weights is None else data.weights).value(residual)
    result.fun = value + (fit.model.ridge * inner(x, x) if fit.model.ridge else 0.0)
    result.norm = value ** (1 / fit.model.p)
    counts = rows.counts()
    result.stats |= {**counts, "n_passes": counts["n_passes"] + n_passes, "coreset": coreset}
    result.execution_time = perf_counter() - started
    return result


def _report(
    data: Data,
    fit: Fit,
    problem: Regression,
    point: Point,
    positive: Array | None,
    started: float,
    detail: str = "",
    enlarged: bool = False,
) -> LpResult:
    """Return the result in the units of the caller, certified again from what is returned."""
    xp, (p, quantile, ridge), loss = data.rows.xp, fit.model, problem.loss
    gap, residual = certified(problem, point.x, point.y)
    dual, x = point.y, data.as_given(point.x)
    if p > 1:
        size = dual_norm(loss, dual)
        unit = data.scale_b ** (1 - p) if ridge else (1 / size if size > 0 else 1.0)
        dual = dual * unit
    fitted = xp.abs(residual) <= rounding(problem.b, residual)
    if positive is not None:
        dual = filled(positive, dual, xp.zeros_like(data.b))
        fitted = filled(positive, fitted, xp.zeros_like(positive))
    norm = loss.value(residual) ** (1 / p) / data.scale_b
    fun = _power(norm, p) + (ridge * inner(x, x) if ridge else 0.0)
    outcome = _outcome(data, fit, problem, point, gap, detail, enlarged)
    return LpResult(
        x=x,
        fun=fun,
        success=outcome.success,
        status=outcome.status,
        message=outcome.message,
        nit=point.nit,
        history=point.history or [{"nit": point.nit, "error": gap, "fun": fun}],
        checks=outcome.checks,
        tol=fit.tol,
        execution_time=perf_counter() - started,
        norm=norm,
        dual=data.rows.as_given(dual),
        dual_fun=fun * (1 - gap) if p == 1 or ridge else _power(non_negative(norm * (1 - gap)), p),
        gap=gap,
        active=data.rows.as_given(fitted),
        stats={
            "method": fit.method,
            "p": p,
            "quantile": quantile,
            "ridge": ridge,
            **data.rows.counts(),
        },
    )


def _outcome(
    data: Data,
    fit: Fit,
    problem: Regression,
    point: Point,
    gap: float,
    detail: str,
    enlarged: bool,
) -> Outcome:
    """Return how a solve ended, from the gap alone."""
    solved, rank = Status.CONVERGED, problem.whitening.rank
    if rank < data.rows.d:
        solved = Status.RANK_DEFICIENT
        lacking = f"Of all solutions with this fit, x has the least norm, as the rank is {rank}."
        detail = f"{lacking} {detail}".rstrip()
    return settle(
        point.status,
        [gap_check(gap, fit.tol)],
        nit=point.nit,
        solved=Status.SAMPLE_ENLARGED if enlarged else solved,
        advice=ADVICE,
        detail=detail,
    )


def _power(base: float, p: float) -> float:
    try:
        return float(base**p)
    except OverflowError:
        return math.inf
