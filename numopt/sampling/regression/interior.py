"""An interior point method for sums of piecewise linear losses of residuals."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from ..._core.iterate import Callback, Record, Run, iterate
from ..._core.namespace import Array, array_namespace, device_of
from ..._core.outcome import Status
from ..._kernels.sampling import box_curvature, box_direction, box_targets
from ..._linalg import cholesky, cholesky_solve
from ..._rows import Rows

# Steps go this share of the way to the boundary.
TO_BOUNDARY = 0.9995
# Residuals this much larger than those at the start have no bound.
FAR = 1e6
# Largest shift of a Newton matrix that rounding made indefinite, relative to its diagonal.
LARGEST_SHIFT = 1e-6


class BoxProblem(NamedTuple):
    """Minimize ``sum_i up_i max(r_i, 0) + down_i max(-r_i, 0) - linear'x + x'metric x / 2``.

    Here r = b - A x with A (n, d), `up` and `down` (n,) are positive, `linear` is (d,) and
    `metric` (d, d); what the loss consists of besides is about `base`. The dual variable y is in
    the box from -down to up, with ``A'y = metric x - linear``. `columns` (d,) are bounds of
    ``|A'y|`` over the box, `width` is that of its narrowest side, and `least` a residual that is
    nothing but rounding.
    """

    rows: Rows
    b: Array
    up: Array
    down: Array
    linear: Array
    base: float
    metric: Array
    columns: Array
    width: float
    least: float


class BoxState(NamedTuple):
    """x (d,), y and the residual (n,), rooms and multipliers; see the kernels."""

    x: Array
    y: Array
    residual: Array
    positive: Array
    negative: Array
    room_up: Array
    room_down: Array


def box_loss(residual: Array, up: Array, down: Array) -> Array:
    """Return ``sum_i up_i max(r_i, 0) + down_i max(-r_i, 0)``."""
    xp = array_namespace(residual)
    return xp.sum(xp.where(residual > 0, up * residual, -down * residual))


def starting_point(problem: BoxProblem, x: Array) -> BoxState:
    """Return x with multipliers that fit its residual exactly, and y in the middle of the box."""
    xp = problem.rows.xp
    residual = problem.b - problem.rows.times(x)
    size = xp.mean(xp.abs(residual))
    positive = xp.clip(residual, 0.0, None) + 0.1 * xp.where(size > 0, size, xp.ones_like(size))
    y, half = 0.5 * (problem.up - problem.down), 0.5 * (problem.up + problem.down)
    return BoxState(x, y, residual, positive, positive - residual, half, half)


def interior_point(
    problem: BoxProblem,
    start: BoxState,
    tol: float,
    maxiter: int,
    callback: Callback | None = None,
) -> Run[BoxState]:
    """Return the run of the predictor-corrector method (Mehrotra 1992) from a starting point.

    With a linear term the problem may be unbounded: then residuals grow, and it gives up.
    """
    xp = problem.rows.xp
    limit = FAR * float(xp.max(xp.abs(start.residual)) + xp.max(xp.abs(problem.b)))

    def unbounded(state: BoxState) -> Status | None:
        return None if float(xp.max(xp.abs(state.residual))) <= limit else Status.STALLED

    return iterate(
        start,
        partial(_step, problem),
        partial(_measure, problem),
        tol=tol,
        maxiter=maxiter,
        callback=callback,
        give_up=unbounded,
    )


def _measure(problem: BoxProblem, state: BoxState) -> Record:
    """Return the duality gap, or how far from feasible y is where that is more; both relative."""
    xp = problem.rows.xp
    value = float(box_loss(state.residual, problem.up, problem.down))
    reached = float(xp.vecdot(state.y, state.residual))
    total = value + problem.base
    gap = abs(value - reached) / total if total > 0 else 0.0
    infeasible = float(xp.max(xp.abs(_dual_residual(problem, state)) / problem.columns))
    return {"error": max(gap, infeasible), "fun": value}


def _dual_residual(problem: BoxProblem, state: BoxState) -> Array:
    gradient = problem.rows.xp.matmul(problem.metric, state.x) - problem.linear
    return gradient - problem.rows.transposed_times(state.y)


def _step(problem: BoxProblem, state: BoxState) -> BoxState:
    """Return the state after one predictor and one corrector step with the same matrix."""
    rows, xp = problem.rows, problem.rows.xp
    sides = state.positive, state.negative, state.room_up, state.room_down
    curvature, product = box_curvature(*sides, state.residual)
    factor = factored(rows.gram(curvature) + problem.metric)
    missing = _dual_residual(problem, state)
    image = rows.times(cholesky_solve(factor, rows.transposed_times(product) - missing))
    zero = xp.zeros_like(image)
    step_y, _, _, sums = box_direction(*sides, curvature, state.residual, image, zero, zero)
    primal, dual, mean, after = _lengths(sums, 1.0)
    center = mean * min(1.0, after / mean) ** 3 / (2 * image.shape[0])
    up, down, right, product = box_targets(*sides, state.residual, curvature, step_y, center)
    dx = cholesky_solve(factor, rows.transposed_times(product) - missing)
    image = rows.times(dx)
    step_y, step_p, step_n, sums = box_direction(*sides, curvature, right, image, up, down)
    primal, dual, _, _ = _lengths(sums, TO_BOUNDARY)
    # Where both a room and its multiplier vanish in the last digits, they are kept apart from 0.
    least, width = problem.least, float(xp.finfo(rows.dtype).eps) ** 2
    return BoxState(
        state.x + primal * dx,
        state.y + dual * step_y,
        state.residual - primal * image,
        xp.clip(state.positive + primal * step_p, least, None),
        xp.clip(state.negative + primal * step_n, least, None),
        xp.clip(state.room_up - dual * step_y, width * problem.width, None),
        xp.clip(state.room_down + dual * step_y, width * problem.width, None),
    )


def _lengths(sums: Array, share: float) -> tuple[float, float, float, float]:
    """Return how long both steps may be, and the sum of products before and after them."""
    shrink_multiplier, shrink_room, products, by_step, by_room, by_both = (
        float(sums[k]) for k in range(6)
    )
    primal = min(1.0, share / shrink_multiplier) if shrink_multiplier > 0 else 1.0
    dual = min(1.0, share / shrink_room) if shrink_room > 0 else 1.0
    after = products + primal * by_step + dual * by_room + primal * dual * by_both
    return primal, dual, products, max(after, 0.0)


def factored(matrix: Array) -> Array:
    """Return the Cholesky factor of a Newton matrix, shifted if rounding made it indefinite."""
    xp = array_namespace(matrix)
    diagonal = xp.linalg.diagonal(matrix)
    eye = xp.eye(matrix.shape[0], dtype=matrix.dtype, device=device_of(matrix))
    shift = 0.0
    factor = cholesky(matrix)
    while factor is None and shift < LARGEST_SHIFT:
        shift = 100 * shift or 4 * float(xp.finfo(matrix.dtype).eps)
        added = xp.where(diagonal > 0, shift * diagonal, xp.ones_like(diagonal))
        factor = cholesky(matrix + added[:, None] * eye)
    return xp.full_like(matrix, float("nan")) if factor is None else factor
