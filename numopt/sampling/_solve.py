"""From validated data to a certified result: regressions on all rows or on a coreset, scores."""

from __future__ import annotations

import math
from time import perf_counter
from typing import Any

import numpy as np  # noqa: TID251 - the generator of the draws

from .._core.namespace import Array, filled, inner
from .._core.outcome import Outcome, Status, settle
from .._core.settings import non_negative
from .._losses.norms import dual_norm
from .._rows import Rows, is_dask
from ._certificate import bounds_check, certified, estimate_check, gap_check, rounding
from ._coreset import coreset_of
from ._inputs import Fit, Sampling, Scoring, validated
from ._problem import Data, Regression, problem_of
from ._result import CoresetResult, LpResult, ScoresResult
from .regression.exact import Budget, Point, solve_exact
from .regression.preprocess import solve_reduced
from .scores.kinds import scores_of
from .scores.total import estimate

SCORES_ADVICE = {
    Status.ITERATION_LIMIT: "raise maxiter or tol",
    Status.STALLED: "raise maxiter or tol",
    Status.NON_FINITE: "rescale the columns of A",
}
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
    if fit.model.p == 1 and not fit.model.ridge:
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
        **outcome._asdict(),
        nit=point.nit,
        history=point.history or [{"nit": point.nit, "error": gap, "fun": fun}],
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


def scores_of_rows(rows: Rows, wanted: Scoring, started: float) -> ScoresResult:
    """Return the scores that were asked for."""
    scored = scores_of(rows, wanted)
    detail = f"Computed {wanted.kind.replace('_', ' ')} scores."
    if scored.rank < rows.d:
        detail = f"{detail[:-1]} of a matrix of rank {scored.rank} with {rows.d} columns."
    outcome = settle(
        scored.status,
        [scored.check],
        nit=scored.nit or None,
        solved=Status.RANK_DEFICIENT if scored.rank < rows.d else Status.CONVERGED,
        advice=SCORES_ADVICE,
        detail=detail,
    )
    lazy = rows.cluster is not None and is_dask(scored.scores)
    scores: Array = scored.scores if lazy else rows.as_given(scored.scores)
    return ScoresResult(
        x=scores,
        fun=scored.total,
        **outcome._asdict(),
        nit=scored.nit,
        history=list(scored.history) or [{"nit": scored.nit, "error": scored.check.value}],
        tol=wanted.tol,
        execution_time=perf_counter() - started,
        scores=scores,
        lower=rows.as_given(scored.lower),
        upper=rows.as_given(scored.upper),
        total=scored.total,
        stderr=0.0,
        rank=scored.rank,
        residual=scored.check.value,
        n_solves=scored.n_solves,
        stats={"kind": wanted.kind, "method": scored.method, **rows.counts()},
    )


def total_of_rows(
    rows: Rows, p: float, eps: float, delta: float, rng: np.random.Generator, started: float
) -> ScoresResult:
    """Return the sum of all sensitivities, estimated."""
    found = estimate(rows, p, eps, delta, rng)
    solves = int(found.scores.shape[0])
    checks = [estimate_check(found.error, eps), bounds_check(found.difference, found.tol)]
    outcome = settle(
        Status.CONVERGED if checks[0].passed else Status.ITERATION_LIMIT,
        checks,
        advice={Status.ITERATION_LIMIT: "raise eps", Status.STALLED: "raise eps"},
        detail=f"Estimated the sum of {rows.n} sensitivities from {solves} of them.",
    )
    return ScoresResult(
        x=found.scores,
        fun=found.total,
        **outcome._asdict(),
        nit=solves,
        history=found.history,
        tol=eps,
        execution_time=perf_counter() - started,
        scores=found.scores,
        lower=None,
        upper=None,
        total=found.total,
        stderr=found.stderr,
        rank=found.rank,
        residual=found.error,
        n_solves=solves,
        stats={
            "kind": "total",
            "method": "sampling",
            **rows.counts(),
            "indices": found.indices,
            "probabilities": found.chances,
        },
    )
