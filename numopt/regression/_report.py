"""What was found, with its checks and what to try, as the results that users get."""

from __future__ import annotations

import math
import time
from typing import Any

from .._core.namespace import Array, array_namespace
from .._core.outcome import Check, Outcome, Status, settle
from . import _kron
from ._certificate import optimality
from ._problem import Design
from ._published import guarantee, linf_bound, rounding, sketch_size_for
from ._result import Inference, KronResult, LstsqResult
from ._solve import Factor, Options, Refined, Request, rough_change

ADVICE = {
    Status.ITERATION_LIMIT: "raise maxiter",
    Status.STALLED: "raise tol, or use method 'cholqr' or 'direct'",
    Status.PRECISION_LIMIT: "raise tol, or give A in float64",
    Status.NOT_DETERMINED: "use method 'cholqr' for the solution of minimum norm",
    Status.UNPROVED: "give more rows to the sketch, or use method 'cholqr'",
    Status.NON_FINITE: "scale A or b",
}


def report(
    design: Design,
    factor: Factor,
    options: Options,
    found: Refined,
    asked: Request,
    single: bool,
    started: float,
    factorized: float | None = None,
) -> LstsqResult:
    """Return the result: what was found, with its checks; the times are those of the clock."""
    made, sketch, record = factor.preconditioner, factor.sketch, found.record
    sketched = made.start if sketch is not None else None
    bound, checks = _checks(design, factor, options, found, asked)
    outcome = _outcome(design, factor, options, found, checks)
    result = LstsqResult(
        x=_shaped(found.state.x, asked, single),
        fun=0.5 * record["residual_norm"] ** 2,
        **outcome._asdict(),
        backward_error=record["backward_error"],
        forward_error=record["forward_error"],
        residual_norm=record["residual_norm"],
        grad_norm=record["grad_norm"],
        method=factor.method,
        rank=made.rank,
        cond_estimate=made.cond,
        linf_bound=bound,
        nit=found.run.nit,
        n_passes=design.n_passes,
        tol=asked.tol,
        execution_time=time.perf_counter() - started,
        history=found.run.history,
        stats={
            "sketch": None if sketch is None else type(sketch).__name__,
            "sketch_size": 0 if sketch is None else sketch.shape[0],
            "x_sketch": (
                None
                if sketched is None or not sketched.shape[1]
                else _shaped(sketched, asked, single)
            ),
            "eps": _asked_eps(options),
            "delta": options.delta,
            "n_blocks": design.n_blocks,
            "n_retries": 0 if design.cluster is None else design.cluster.n_retries,
            "factorize_time": 0.0 if factorized is None else factorized - started,
        },
    )
    degrees = max(1, design.shape[0] - made.rank)
    result._attach(Inference(made, found.state.squares / degrees, degrees, design))
    return result


def _asked_eps(options: Options) -> float | None:
    """Return the eps that a sketch is to keep, None where its size was given instead."""
    if options.sketch_size is not None:
        return None
    return 0.5 if options.eps is None else options.eps


def _shaped(x: Array, asked: Request, single: bool) -> Array:
    """Return columns (d, k) as the user wants them."""
    x = array_namespace(x).astype(x, asked.dtype, copy=False)
    return x[:, 0] if single else x


def _checks(
    design: Design, factor: Factor, options: Options, found: Refined, asked: Request
) -> tuple[float | None, list[Check]]:
    """Return the bound on a sketched coordinate, None where there is none, and the checks."""
    if factor.method != "sketch" or factor.sketch is None:
        return None, optimality(found.record["backward_error"], asked.tol)
    xp, made = array_namespace(design.like), factor.preconditioner
    (d, rank), m = made.P.shape, factor.sketch.shape[0]
    bound = limit = math.inf
    if rank == d:
        # The smallest singular value of the sketch exceeds that of A by a factor of at most this.
        inverse = float(xp.max(xp.linalg.svdvals(made.P))) * (1 + math.sqrt(d / m))
        bound = linf_bound(m, d, options.delta, found.record["residual_norm"], inverse)
        size = float(xp.linalg.vector_norm(found.state.x))
        eps = float(xp.finfo(asked.dtype).eps)
        limit = bound + rounding(eps, made.norm, inverse, size)
    eps_asked = _asked_eps(options)
    wanted = m if eps_asked is None else sketch_size_for(d, eps_asked, options.delta)
    # The sketch may stretch its estimate of the error by the inverse of this.
    least = (1 - math.sqrt(d / m)) ** 2
    error = least * float(xp.max(xp.abs(rough_change(made, found.state)))) if rank else 0.0
    return bound, guarantee(d - rank, max(0, wanted - m), error, limit)


def _outcome(
    design: Design, factor: Factor, options: Options, found: Refined, checks: list[Check]
) -> Outcome:
    """Return whether it is a success, and a message with what happened and what to try."""
    (n, d), rank, run = design.shape, factor.preconditioner.rank, found.run
    detail = f"By method {factor.method!r}"
    if factor.sketch is not None:
        detail += f" with a {type(factor.sketch).__name__} of {factor.sketch.shape[0]} rows"
    detail += "."
    if factor.method == "sketch":
        within = " Every coordinate is within `linf_bound` of the exact solution with probability "
        holds = all(check.passed for check in checks)
        return settle(
            Status.CONVERGED,
            checks,
            otherwise=Status.UNPROVED if rank == d else Status.NOT_DETERMINED,
            advice=ADVICE,
            detail=detail + (f"{within}{1 - options.delta:g}." if holds else ""),
        )
    if factor.fell_back:
        detail += f" The sketch asked for has more rows than the {n} of `A`."
    if rank < d:
        detail += f" `A` has rank {rank} of {d}: of all solutions this one has the smallest norm."
    solved = Status.CONVERGED if rank == d else Status.RANK_DEFICIENT
    return settle(
        run.status,
        checks,
        nit=run.nit,
        unit="correction",
        otherwise=Status.PRECISION_LIMIT,
        solved=Status.FELL_BACK if factor.fell_back else solved,
        advice=ADVICE,
        detail=detail,
    )


def kron_report(
    problem: _kron.Problem,
    x: Array,
    *,
    tol: float,
    stats: dict[str, Any],
    started: float,
) -> KronResult:
    """Return the result of a Kronecker product, with everything measured on the x returned."""
    xp, eps = array_namespace(x), float(array_namespace(x).finfo(x.dtype).eps)
    seen, bound, limit = _kron.measured(problem, x), None, tol
    d, rank, m = problem.columns, problem.rank, stats["sketch_size"]
    if m:
        inverse, size = problem.inverse_norm, float(xp.linalg.vector_norm(x))
        bound = linf_bound(m, d, stats["delta"], seen.residual_norm, inverse)
        limit = bound + rounding(eps, problem.norm, inverse, size)
    detail = f"Solved a sketch of {m} rows." if m else ""
    if rank < d:
        detail = f"The product has rank {rank} of {d}: this solution has the smallest norm."
    outcome = settle(
        Status.CONVERGED if rank == d else Status.RANK_DEFICIENT,
        _kron.checks_of(problem, seen, limit, stats),
        otherwise=Status.UNPROVED if m else Status.PRECISION_LIMIT,
        advice={**ADVICE, Status.PRECISION_LIMIT: "scale the factors or raise tol"},
        detail=detail,
    )
    return KronResult(
        x=x,
        fun=0.5 * seen.residual_norm**2,
        **outcome._asdict(),
        residual_norm=seen.residual_norm,
        grad_norm=seen.grad_norm,
        backward_error=seen.backward_error,
        method="sketch" if m else "exact",
        rank=rank,
        linf_bound=bound,
        nit=0,
        tol=tol,
        execution_time=time.perf_counter() - started,
        history=[{"nit": 0, "error": seen.backward_error}],
        stats=stats,
    )
