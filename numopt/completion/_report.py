"""From a fit in normalized units to the result the user gets."""

from __future__ import annotations

import math
from typing import Any

from .._core.iterate import Record
from .._core.namespace import Array, array_namespace, device_of
from .._core.outcome import CONVERGED, ITERATION_LIMIT, NON_FINITE, STOPPED_BY_CALLBACK
from ._certificate import convex_certificate
from ._fit import Fit, Task, with_biases
from ._rank import Trials
from ._result import MatrixCompletionResult, RankPathResult
from ._seen import Rows
from ._solve import EARLY, STAGNATED, oversampling
from ._sweep import Model, singular_values


def reported(
    task: Task, found: Fit, certify: bool, note: str = "", advice: str = "raise maxiter or tol"
) -> MatrixCompletionResult:
    """Return the result of a fit, in the units of the user.

    The message ends with a note, and gives advice where there were too few sweeps.
    """
    root, scale = math.sqrt(task.scale), task.scale
    model, seen = found.model, task.problem.seen
    X, Y = model.X * root, model.Y * root
    row_bias = None if model.row_bias is None else model.row_bias * scale
    col_bias = None if model.col_bias is None else model.col_bias * scale
    ratio, gap = convex_certificate(task, model) if certify else (None, None)
    success = found.error <= task.settings.tol or found.status == EARLY
    status = found.status
    if success and status in (ITERATION_LIMIT, STAGNATED):
        status = CONVERGED
    result = MatrixCompletionResult(
        X=X,
        Y=Y,
        mu=task.mu,
        row_bias=row_bias,
        col_bias=col_bias,
        rank=model.rank,
        singular_values=singular_values(X, Y)[: model.rank],
        residual=found.residual,
        grad_norm=found.gradient,
        certificate=ratio,
        dual_gap=None if gap is None else gap * scale**2,
        oversampling=oversampling(task.problem, model.rank),
        p=seen.share,
        empty_rows=empty(seen.rows),
        empty_cols=empty(seen.columns),
        inner_iterations=found.steps / max(1, found.nit),
        n_blocks=seen.n_blocks,
        n_retries=seen.n_retries,
        x=(X, Y),
        fun=found.fun * scale**2,
        success=bool(success and math.isfinite(found.fun)),
        status=status if math.isfinite(found.fun) else NON_FINITE,
        message="",
        nit=found.nit,
        history=[in_units(record, task) for record in found.history],
    )
    result.message = message(task, result, found.error, advice) + note
    problem = task.problem
    unit = None if problem.bias_unit is None else problem.bias_unit * root
    result._attach(seen.places(), (problem.reg * scale, problem.by_count, unit, problem.nonneg))
    return result


def in_units(record: Record, task: Task) -> Record:
    """Return a record in the units of the user."""
    return {
        **record,
        "fun": record["fun"] * task.scale**2,
        "reg": record["reg"] * task.scale,
    }


def message(task: Task, result: Any, error: float, advice: str) -> str:
    """Return what happened and, where it failed, what to try."""
    tol, where = task.settings.tol, f"after {result.nit} sweeps"
    at = f"with a stopping error of {error:.1e} (tol {tol:.1e})"
    texts = {
        CONVERGED: f"Converged {where}; relative residual {result.residual:.1e}.",
        ITERATION_LIMIT: f"Stopped {where} {at}; {advice}.",
        STAGNATED: f"Stagnated {where} {at}: the objective is flat but its gradient is not small; "
        "try inner='exact', another rank, or reg > 0.",
        EARLY: f"Stopped early {where}: the error on held-out entries no longer falls; the best "
        "model is returned.",
        NON_FINITE: f"The factors overflowed {where}; set reg > 0 or lower the rank.",
        STOPPED_BY_CALLBACK: f"Stopped by the callback {where} {at}.",
    }
    text = texts[result.status]
    if task.problem.reg == 0 and result.oversampling < 1.5 and result.status == CONVERGED:
        text += (
            f" Only {result.oversampling:.2f} entries were seen for each degree of freedom: a "
            "small residual is no proof that the matrix has been found."
        )
    return text


def zero_fit(task: Task, rank: int) -> Fit:
    """Return the fit of values that are all zero."""
    like: Array = task.problem.seen.like
    xp, (m, n) = array_namespace(like), task.problem.seen.shape
    X, Y = (xp.zeros((size, rank), dtype=like.dtype, device=device_of(like)) for size in (m, n))
    model = with_biases(task.problem, Model(X, Y))
    record = {
        "nit": 0,
        "error": 0.0,
        "seconds": 0.0,
        "fun": 0.0,
        "residual": 0.0,
        "reg": task.problem.reg,
        "rank": rank,
        "rmse": math.nan,
    }
    return Fit(model, CONVERGED, 0, 0.0, [record], 0.0, 0.0, 0.0, 0.0, 0.0)


def empty(rows: Rows) -> Array:
    """Return the numbers of rows without entries."""
    lengths = rows.lengths
    return array_namespace(lengths).nonzero(lengths == 0)[0]


def reported_path(ranks: list[int], trials: Trials, best: MatrixCompletionResult) -> RankPathResult:
    """Return errors of all ranks that were tried, and the best model."""
    tested = ranks[: len(trials.errors)]
    return RankPathResult(
        ranks=tested,
        rmse=trials.errors,
        rank=best.rank,
        best=best,
        x=best.x,
        fun=min(trials.errors),
        success=best.success,
        status=best.status,
        message=f"Rank {best.rank} has the smallest error on held-out entries, "
        f"{min(trials.errors):.3g}. {best.message}",
        nit=best.nit,
        history=best.history,
    )
