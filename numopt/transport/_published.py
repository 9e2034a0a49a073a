"""Sinkhorn-Newton-Sparse as published, for comparison and teaching.

Maximizes the dual ``F(u, v) = a.u + b.v - sum P`` over both log-scalings: a fixed number of
Sinkhorn sweeps, then Newton steps with the Hessian cut to the largest entries of the plan,
wherever they are, and a backtracking line search.
"""

from __future__ import annotations

import math

from .._core.namespace import Array, array_namespace, widest_float
from .._kernels.schur import CsrMatrix, schur_cg
from .._kernels.transport import plan_stats, sparsify_count, sparsify_fill
from ._continuation import sinkhorn_step
from ._costs import shape_of
from ._problem import Problem
from ._semidual import Counts, State, accepted

SWEEPS = 20
HALVINGS = 20


def published_step(problem: Problem, state: State, density: float) -> State:
    """Return the next state: one of the first sweeps, or a Newton step on both sides."""
    if state.counts.sweeps < SWEEPS:
        return sinkhorn_step(problem, state)
    current = _measured(problem, state.u, state.v, state.counts)
    du, dv, counts = _direction(problem, current, density)
    state = current.state._replace(counts=counts)
    xp = array_namespace(du, dv)
    slope = float(xp.sum(current.row_gradient * du) + xp.sum(current.column_gradient * dv))
    for halving in range(HALVINGS):
        length = 0.5**halving
        trial = _measured(problem, state.u + length * du, state.v + length * dv, counts)
        counts = trial.state.counts
        if accepted(state, trial.state, length * slope):
            stalled = 0 if trial.state.error < 0.9 * state.error else state.stalled + 1
            return trial.state._replace(best_error=trial.state.error, stalled=stalled)
    # No step along this direction raises the dual: the next one would be the same.
    return state._replace(counts=counts, stalled=HALVINGS)


class _Measured:
    """A point of the full dual with its gradient."""

    def __init__(self, state: State, row_gradient: Array, column_gradient: Array) -> None:
        self.state, self.row_gradient, self.column_gradient = state, row_gradient, column_gradient


def _measured(problem: Problem, u: Array, v: Array, counts: Counts) -> _Measured:
    """Return the state at (u, v): one pass."""
    xp = array_namespace(u, v)
    wide = widest_float(u)
    rows, columns, _, _ = plan_stats(problem.cost, u, v, 1 / problem.reg, u)
    row_gradient, column_gradient = problem.a - rows, problem.b - columns
    error = xp.sum(xp.abs(row_gradient), dtype=wide) + xp.sum(xp.abs(column_gradient), dtype=wide)
    dual = (
        xp.sum(problem.a * u, dtype=wide)
        + xp.sum(problem.b * v, dtype=wide)
        - xp.sum(rows, dtype=wide)
    )
    counts = counts._replace(passes=counts.passes + 1)
    state = State(v, u, columns, float(error), float(dual), counts)
    return _Measured(state, row_gradient, column_gradient)


def _direction(problem: Problem, current: _Measured, density: float) -> tuple[Array, Array, Counts]:
    """Return the Newton direction for both sides; conjugate gradients on the Schur complement."""
    state = current.state
    rows = problem.a - current.row_gradient
    data, indices, indptr = _largest_entries(problem, state, density)
    plan = CsrMatrix(data, indices, indptr, problem.b.shape[0])
    rhs = current.column_gradient - plan.transposed_times(current.row_gradient / rows)
    xp = array_namespace(rhs)
    rhs = rhs - xp.mean(rhs)
    rtol = min(1e-2, state.error)
    dv, iterations, _ = schur_cg(
        data, indices, indptr, rows, state.c, 0.0, rhs, rtol, problem.options.cg_maxiter
    )
    du = (current.row_gradient - plan.times(dv)) / rows
    counts = state.counts._replace(
        newton=state.counts.newton + 1,
        cg=state.counts.cg + iterations,
        nnz=int(data.shape[0]),
    )
    return du, dv, counts


def _largest_entries(problem: Problem, state: State, density: float) -> tuple[Array, Array, Array]:
    """Return the CSR arrays of the largest entries of the plan, a share `density` of all.

    The threshold is found by bisection on counting passes, which needs no copy of the plan.
    """
    n, m = shape_of(problem.cost)
    wanted = math.ceil(density * n * m)
    xp = array_namespace(state.u)
    rows, columns = xp.zeros_like(state.u), xp.zeros_like(state.v)
    arguments = problem.cost, state.u, state.v
    low, high = -700.0, float(xp.max(problem.log_a)) + 1.0
    for _ in range(50):
        middle = 0.5 * (low + high)
        counts = sparsify_count(*arguments, rows + middle, columns + middle, 1 / problem.reg)
        if int(xp.sum(counts)) > wanted:
            low = middle
        else:
            high = middle
    thresholds = rows + high, columns + high
    counts = sparsify_count(*arguments, *thresholds, 1 / problem.reg)
    indptr = xp.cumulative_sum(counts, include_initial=True)
    data, indices = sparsify_fill(*arguments, *thresholds, 1 / problem.reg, indptr)
    return data, indices, indptr
