"""Scores as results: how they ended, and what they took."""

from __future__ import annotations

from time import perf_counter

from .._core.namespace import Array
from .._core.outcome import Status, settle
from .._rows import Rows, is_dask
from ._certificate import bounds_check, estimate_check
from ._inputs import Scoring
from ._result import ScoresResult
from .scores.kinds import Scored
from .scores.total import Estimate

ADVICE = {
    Status.ITERATION_LIMIT: "raise maxiter or tol",
    Status.STALLED: "raise maxiter or tol",
    Status.NON_FINITE: "rescale the columns of A",
}


def scores_result(rows: Rows, scored: Scored, wanted: Scoring, started: float) -> ScoresResult:
    """Return scores as a result."""
    detail = f"Computed {wanted.kind.replace('_', ' ')} scores."
    if scored.rank < rows.d:
        detail = f"{detail[:-1]} of a matrix of rank {scored.rank} with {rows.d} columns."
    outcome = settle(
        scored.status,
        [scored.check],
        nit=scored.nit or None,
        solved=Status.RANK_DEFICIENT if scored.rank < rows.d else Status.CONVERGED,
        advice=ADVICE,
        detail=detail,
    )
    lazy = rows.cluster is not None and is_dask(scored.scores)
    scores: Array = scored.scores if lazy else rows.as_given(scored.scores)
    return ScoresResult(
        x=scores,
        fun=scored.total,
        success=outcome.success,
        status=outcome.status,
        message=outcome.message,
        nit=scored.nit,
        history=list(scored.history) or [{"nit": scored.nit, "error": scored.check.value}],
        checks=outcome.checks,
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


def total_result(rows: Rows, found: Estimate, eps: float, started: float) -> ScoresResult:
    """Return an estimated sum as a result."""
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
        success=outcome.success,
        status=outcome.status,
        message=outcome.message,
        nit=solves,
        history=found.history,
        checks=outcome.checks,
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
