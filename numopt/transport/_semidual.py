"""The semi-dual of entropic transport and the two moves on it: Sinkhorn sweep and Newton step.

With column log-scalings v fixed, the row log-scalings u that make the rows of the plan exact
are explicit, which leaves the concave function D(v) = a.u(v) + b.v with gradient b - c, where c
are the column sums, and Hessian -S, S = diag(c) - P' diag(1/a) P.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from .._core.namespace import Array, array_namespace, filled, inner, widest_float
from .._kernels.schur import dense_schur_cg, schur_cg
from .._kernels.transport import (
    gram_apply,
    plan_matrix,
    semidual_pass,
    sparsify_count,
    sparsify_fill,
)
from .._linalg import conjugate_gradients
from ._costs import restricted, shape_of, transposed
from ._problem import Problem

# Column sums below this may consist of exponentials at the lower end of their range (float32 and
# float64).
UNDERFLOW = (1e-24, 1e-240)

# A Sinkhorn sweep that shrinks the error by this factor is worth more than a Newton step.
FAST_SHRINKAGE = 0.4

# Newton steps tried in one direction, each clipped tighter than the one before.
ATTEMPTS = 4
# A step that shrinks the error less than this calls for a finer sparsification: where blocks of
# the plan are linked by little mass, that little is what the direction depends on.
GOOD_STEP = 0.3
# How far beyond its first value the clipping may grow while steps are accepted: blocks of a plan
# that are nearly disconnected have to move far against each other.
RADIUS_GROWTH = 10


class Counts(NamedTuple):
    """Work done so far."""

    sweeps: int = 0
    newton: int = 0
    cg: int = 0
    passes: int = 0
    nnz: int = 0  # entries of the last sparse plan


class State(NamedTuple):
    """An iterate, its rows exact, and what the next move depends on."""

    v: Array
    u: Array
    c: Array
    error: float  # l1 violation of the column sums
    objective: float  # D(v)
    counts: Counts
    sweeps_due: int = 0  # sweeps to do before the next Newton step
    sweeps_spare: int = 0  # further sweeps, allowed while each shrinks the error well
    radius: float = 0.0  # clipping of the next Newton step, 0 before the first
    fineness: float = 1.0  # share of the usual dropped mass that the next Newton step may drop
    best_error: float = math.inf
    stalled: int = 0  # moves since the error last fell by a tenth


def evaluate(problem: Problem, v: Array, counts: Counts) -> State:
    """Return the state at given column log-scalings: one pass over the cost."""
    u, c = semidual_pass(problem.cost, v, problem.a, problem.log_a, 1 / problem.reg)
    xp = array_namespace(v)
    error = float(xp.sum(xp.abs(c - problem.b), dtype=widest_float(v)))
    objective = inner(problem.a, u) + inner(problem.b, v)
    return State(v, u, c, error, objective, counts._replace(passes=counts.passes + 1))


def sweep(problem: Problem, state: State) -> State:
    """Return the state after one Sinkhorn sweep: columns exact, then rows exact."""
    counts = state.counts._replace(sweeps=state.counts.sweeps + 1)
    new = evaluate(problem, state.v + problem.log_b - _log_column_sums(problem, state), counts)
    due, spare = state.sweeps_due - 1, state.sweeps_spare
    if due <= 0 and spare > 0 and new.error < FAST_SHRINKAGE * state.error:
        due, spare = 1, spare - 1
    return new._replace(
        sweeps_due=due, sweeps_spare=spare, radius=state.radius, fineness=state.fineness
    )


def _log_column_sums(problem: Problem, state: State) -> Array:
    """Return log c, exact also where the terms of a column sum underflowed."""
    xp = array_namespace(state.c)
    empty = state.c < UNDERFLOW[float(xp.finfo(state.c.dtype).eps) < 1e-10]
    log_c = xp.log(xp.where(empty, 1.0, state.c))
    if not bool(xp.any(empty)):
        return log_c
    (columns,) = xp.nonzero(empty)
    rows_first = transposed(restricted(problem.cost, None, columns))
    ones = xp.ones_like(state.c)[: columns.shape[0]]
    minus_lse, _ = semidual_pass(rows_first, state.u, ones, 0 * ones, 1 / problem.reg)
    return filled(empty, xp.take(state.v, columns) - minus_lse, log_c)


def newton_step(problem: Problem, state: State) -> State:
    """Return the state after a Newton step, or the same state with sweeps due if it is refused."""
    direction, cg_iterations, nnz = _direction(problem, state)
    counts = state.counts._replace(
        newton=state.counts.newton + 1, cg=state.counts.cg + cg_iterations, nnz=nnz
    )
    xp = array_namespace(direction)
    # The gauge: adding a constant to v changes nothing. The median keeps the few columns with
    # a wild direction from moving all others, and only those are clipped.
    direction = direction - xp.sort(direction)[direction.shape[0] // 2]
    longest = float(xp.max(xp.abs(direction)))
    radius = state.radius or problem.options.clip
    finer = max(0.1 * state.fineness, 1e-6)
    for attempt in range(ATTEMPTS):
        radius = min(radius, longest) if attempt == 0 else 0.3 * radius
        move = xp.clip(direction, -radius, radius)
        slope = inner(problem.b - state.c, move)
        if not slope > 0:
            continue
        new = evaluate(problem, state.v + move, counts)
        counts = new.counts
        if accepted(state, new, slope):
            wider = 3 * max(radius, 1.0) if attempt == 0 else radius
            return new._replace(
                sweeps_due=1 if radius < longest else 0,
                fineness=state.fineness if new.error < GOOD_STEP * state.error else finer,
                radius=min(RADIUS_GROWTH * problem.options.clip, wider),
            )
    return state._replace(
        counts=counts, sweeps_due=4, sweeps_spare=0, radius=max(radius, 1.0), fineness=finer
    )


def accepted(old: State, new: State, expected: float) -> bool:
    """Tell whether D rose enough or, where rounding hides its change, the error halved."""
    if not (math.isfinite(new.objective) and math.isfinite(new.error)):
        return False
    gain = new.objective - old.objective
    if gain >= 1e-4 * expected > 0:
        return True
    return new.error <= 0.5 * old.error and gain >= -rounding(old)


def rounding(state: State) -> float:
    """Return the size of a change of D that rounding can cause."""
    eps = float(array_namespace(state.v).finfo(state.v.dtype).eps)
    return max(1e-10, 4 * eps) * max(1.0, abs(state.objective))


def _direction(problem: Problem, state: State) -> tuple[Array, int, int]:
    """Return the Newton direction, the conjugate gradient iterations and the entries kept."""
    options = problem.options
    drop = max(options.mass_fraction * state.error, options.mass_floor) * state.fineness
    drop = min(drop, options.mass_cap)
    # What is left of the error after the step need not be much smaller than what is asked for.
    rtol = min(max(state.error, options.cg_rtol, 0.3 * problem.tol / state.error), 0.1)
    shift = options.damping * state.error
    rhs = problem.b - state.c
    # A column that has lost all its mass would make the Hessian singular.
    c = array_namespace(state.c).maximum(state.c, 1e-10 * problem.b)
    thresholds = mass_thresholds(problem, drop)
    indptr = sparse_rows(problem, state.u, state.v, thresholds)
    nnz, entries = int(indptr[-1]), math.prod(shape_of(problem.cost))
    plan = problem.cost, state.u, state.v
    system = problem.a, c, shift, rhs, rtol, options.cg_maxiter
    if nnz <= min(options.density_limit * entries, options.nnz_limit):
        data, indices = sparsify_fill(*plan, *thresholds, 1 / problem.reg, indptr)
        x, iterations, _ = schur_cg(data, indices, indptr, *system)
    elif entries <= options.nnz_limit:
        x, iterations, _ = dense_schur_cg(plan_matrix(*plan, 1 / problem.reg), *system)
    else:
        x, iterations = implicit_cg(problem, state, c, thresholds, shift, rhs, rtol)
    return x, iterations, nnz


def mass_thresholds(problem: Problem, drop: float) -> tuple[Array, Array]:
    """Return the logarithms that an entry of the plan must reach to matter to its row or column.

    No row and no column then loses more than the share `drop` of its mass, so the diagonally
    scaled Hessian changes by at most `drop` in norm.
    """
    n, m = shape_of(problem.cost)
    return math.log(drop / m) + problem.log_a, math.log(drop / n) + problem.log_b


def sparse_rows(problem: Problem, u: Array, v: Array, thresholds: tuple[Array, Array]) -> Array:
    """Return where the rows of the sparsified plan begin, and end, in CSR format."""
    counts = sparsify_count(problem.cost, u, v, *thresholds, 1 / problem.reg)
    return array_namespace(counts).cumulative_sum(counts, include_initial=True)


def implicit_cg(
    problem: Problem,
    state: State,
    c: Array,
    thresholds: tuple[Array, Array],
    shift: float,
    rhs: Array,
    rtol: float,
) -> tuple[Array, int]:
    """Solve the Newton system where the plan has too many entries to store."""
    plan = problem.cost, state.u, state.v, *thresholds, 1 / problem.reg
    inverse_a = 1 / problem.a

    def product(p: Array) -> Array:
        return (1 + shift) * c * p - gram_apply(*plan, inverse_a, p)

    solved = conjugate_gradients(
        product,
        rhs,
        rtol=rtol,
        maxiter=problem.options.cg_maxiter,
        precondition=1 / c,
        stop="l1",
    )
    return solved.x, int(solved.steps)
