"""The certificate of a recovery, from the returned factors, and what is said about it."""

from __future__ import annotations

import math
from typing import Any

from .._core.namespace import Array, array_namespace
from .._core.outcome import CONVERGED, ITERATION_LIMIT, NON_FINITE, STOPPED_BY_CALLBACK
from .._linalg.lowrank import Factors, degrees_of_freedom, factors_of, frame_of
from ._problem import Problem, Settings, magnitudes, middle, objective
from ._result import RecoveryResult
from ._scale import CONSENSUS, deviation
from ._search import DIVERGED, NOISE_FLOOR, Outcome
from ._start import Start, size_of

# Residuals that count as agreeing where there is noise, in robust deviations.
INLIER = 6.0


def report(
    problem: Problem,
    settings: Settings,
    start: Start | None,
    outcome: Outcome,
    *,
    unique: bool = True,
) -> RecoveryResult:
    """Return the result, certified by the residual of the returned factors.

    Not `unique` means that measurements agree with other matrices just as well.
    """
    xp = array_namespace(problem.y)
    frame = frame_of(outcome.factors)
    factors = factors_of(frame)
    residual = problem.operator.forward(factors.left, factors.right) - problem.y
    intercept = -float(middle(residual)) if problem.intercept else 0.0
    residual = residual + intercept
    unit = size_of(problem.y, settings.q) if start is None else start.scale
    exact = xp.abs(residual) <= settings.tol * unit
    dof = degrees_of_freedom(problem.operator.shape, factors.rank, problem.symmetric)
    consensus = float(xp.count_nonzero(magnitudes(problem, residual) <= settings.tol * unit)) / dof
    if unit == 0:
        consensus = problem.operator.m / dof
    sigma = deviation(residual, settings.q)
    status = _status(outcome.status, consensus if unique else 0.0, sigma / unit if unit > 0 else 0)
    inliers = exact if status == CONVERGED else xp.abs(residual) <= INLIER * sigma
    count = int(xp.count_nonzero(inliers))
    fields: dict[str, Any] = {
        "x": factors.left if problem.symmetric else xp.concat([*factors]),
        "U": factors.left if problem.symmetric else None,
        "L": factors.left,
        "R": factors.right,
        "fun": float(objective(problem, residual)),
        "success": status == CONVERGED or (status == NOISE_FLOOR and settings.noise),
        "status": status,
        "nit": outcome.nit,
        "rank": factors.rank,
        "rank_history": [settings.rank, *outcome.ranks],
        "singular_values": frame.values,
        "sigma": sigma,
        "residual": residual,
        "inlier_mask": inliers,
        "n_inliers": count,
        "outlier_fraction": 1 - count / problem.operator.m,
        "consensus": consensus,
        "intercept": intercept,
        "step_final": float(outcome.step),
        "history": outcome.history,
    }
    fields["message"] = _message(status, fields, settings, start, problem)
    return RecoveryResult(fields)


def _status(status: int, consensus: float, left: float) -> int:
    """Return the status that the certificate allows for; `left` is the scale still unexplained."""
    if consensus >= CONSENSUS:
        return CONVERGED
    if not math.isfinite(left):
        return NON_FINITE
    if status in (CONVERGED, NOISE_FLOOR):
        return NOISE_FLOOR if left < 0.5 else DIVERGED
    return status


def _message(
    status: int, fields: dict[str, Any], settings: Settings, start: Start | None, problem: Problem
) -> str:
    """Return what happened and what to try."""
    found = f"{fields['n_inliers']} of {problem.operator.m} measurements"
    if status == CONVERGED:
        return (
            f"Verified: {found} agree exactly with a matrix of rank {fields['rank']}, "
            f"{fields['consensus']:.1f} for each unknown."
        )
    if status in (NOISE_FLOOR, DIVERGED) and start is not None and start.indefinite:
        return "No positive semidefinite matrix explains the measurements; try symmetric=False."
    if status == NOISE_FLOOR:
        advice = "" if settings.noise else " Pass noise=True if the measurements are noisy."
        return (
            f"Came to rest at a residual of scale {fields['sigma']:.2g} with rank "
            f"{fields['rank']}; {found} lie within six times that.{advice}"
        )
    if status == DIVERGED:
        return (
            "No matrix of low rank explains the measurements: too few of them, or too many "
            "outliers. Try a smaller q, a lower rank or more measurements."
        )
    if status == ITERATION_LIMIT:
        return f"Stopped after {fields['nit']} iterations without a verified matrix; raise maxiter."
    if status == STOPPED_BY_CALLBACK:
        return f"Stopped by the callback after {fields['nit']} iterations."
    return "A number was not finite; check the scale of the measurements."


def zero_result(problem: Problem, settings: Settings, factors: Factors) -> RecoveryResult:
    """Return the result for measurements that are all zero: the zero matrix."""
    outcome = Outcome(factors, CONVERGED, 0, [_zero_record()], [], 0.0)
    return report(problem, settings, None, outcome)


def _zero_record() -> dict[str, Any]:
    return {"nit": 0, "error": 0.0, "fun": 0.0, "scale": 0.0, "rank": 1, "seconds": 0.0}


def is_zero(y: Array) -> bool:
    """Return whether all measurements are zero."""
    return not bool(array_namespace(y).any(y != 0))
