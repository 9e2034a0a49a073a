"""Training on samples that are gone through in blocks: survey, solve, and give back its units."""

from __future__ import annotations

import math

from ..._core.iterate import Callback
from ..._core.namespace import Array, array_namespace, device_of
from ..._core.outcome import Status
from .._problem import Answer
from .._program import group_norms
from .active_set import ActiveRows, first_rows
from .passes import Proof, Survey, checked_survey, theta_at
from .problem import InBlocks
from .sqp import Job, solved, surveyed


def solved_in_blocks(
    problem: InBlocks, tol: float, maxiter: int, callback: Callback | None
) -> tuple[InBlocks, Answer]:
    """Return the answer, and the problem over the distinct patterns that it is of."""
    survey = surveyed(checked_survey, problem.passes, problem.frame)
    problem, job = _prepared(problem, survey, tol)
    passes, frame = problem.passes, problem.frame
    if float(survey.rows) == 0:  # no network changes anything
        xp, shape = array_namespace(frame.gates), (2, *frame.gates.shape)
        V = xp.zeros(shape, dtype=frame.gates.dtype, device=device_of(frame.gates))
        dual = passes.rowwise(theta_at, frame, Proof(V), 0.0)
        V, status = V[None, ...], Status.CONVERGED
        return problem, Answer(V, dual, (V,), None, 0, 0, status, "none", None, [])
    run, bounds = solved(job, maxiter, callback)
    unit, slope = job.frame.height / job.frame.row, job.frame.height * job.frame.row
    proof = bounds.proof._replace(V=unit * bounds.proof.V)
    dual = passes.rowwise(theta_at, frame, proof, bounds.scale)
    return problem, Answer(
        unit * bounds.V[None, ...],
        dual,
        (bounds.scale * slope * bounds.normal[None, ...],),
        None,
        run.nit,
        run.state.n_factorizations,
        run.status,
        "none" if run.nit == 0 else "rows",
        None,
        run.history,
    )


def _prepared(problem: InBlocks, survey: Survey, tol: float) -> tuple[InBlocks, Job]:
    """Return the problem over the distinct patterns, and the same in normalized units."""
    passes, frame, beta = problem
    xp, rows = array_namespace(frame.gates), float(survey.rows)
    if not float(survey.weight) > 0 and not float(survey.fixed_weight) > 0:
        raise ValueError("`weights` must have a positive entry.")
    index = _distinct(survey.shared)
    if rows == 0:
        index = index[:0]
    elif index.shape[0] == 0:
        raise ValueError("`patterns` must switch on at least one sample: all are empty.")
    gates = xp.take(frame.gates, index, axis=0)
    norms = group_norms(gates)[:, None]
    frame = frame._replace(gates=gates / xp.where(norms > 0, norms, xp.ones_like(norms)))
    row = height = 1.0
    if rows > 0:
        row = math.sqrt(float(survey.squares) / rows)
        if frame.loss == "squared":
            height = math.sqrt(float(survey.heights) / rows) or 1.0
    kept = ActiveRows(*[xp.take(x, index, axis=0) for x in survey.active_rows])
    return problem._replace(frame=frame), Job(
        passes,
        frame._replace(row=row, height=height),
        first_rows(kept) if rows > 0 else kept.rows,
        beta / (row * height),
        float(survey.weight),
        float(survey.fixed) / height**2,
        tol,
        passes.blocks.max_bytes,
        height**2,
    )


def _distinct(shared: Array) -> Array:
    """Return the patterns without repetitions and the empty one, by samples they share (P, P)."""
    xp = array_namespace(shared)
    counts = xp.linalg.diagonal(shared)
    # Two patterns are equal if and only if they share as many samples as each of them has.
    same = (shared == counts[:, None]) & (shared == counts[None, :])
    repeated = xp.any(xp.tril(same, k=-1), axis=1)
    (index,) = xp.nonzero(~repeated & (counts > 0))
    return index
