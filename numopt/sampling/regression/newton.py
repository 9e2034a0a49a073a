"""Newton's method for sums of p-th powers of residuals, p > 1."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from ..._core.iterate import Callback, Record, Run, iterate
from ..._core.namespace import Array, inner
from ..._kernels.sampling import power_slope, power_terms
from ..._linalg import cholesky_solve
from ..._losses.norms import Loss
from ..._rows import Rows
from .._certificate import exact_fit, relative_gap
from .interior import factored

# The search along a direction ends where the slope is this share of the first one.
SLOPE_SHARE = 0.3
SEARCH_STEPS = 20
# Smoothing to begin with, relative to the root mean square of the residual, and its decrease.
FIRST_SMOOTHING, SHRINK = 0.1, 0.1
# Curvatures are at least this share of the largest where p > 2: a residual may be zero.
LEAST_CURVATURE = 1e-14


class PowerProblem(NamedTuple):
    """Minimize ``sum_i w_i |r_i|^p / p + x'metric x / 2``, r = b - A x; A (n, d), w (n,)."""

    rows: Rows
    b: Array
    weights: Array
    p: float
    metric: Array


class PowerState(NamedTuple):
    """x (d,), the residual (n,), the smoothing, and the Newton step that was found at x.

    `dual` (n,) is the gradient of the loss moved to where ``A'dual = metric x`` holds.
    """

    x: Array
    residual: Array
    smoothing: float
    step: Array
    image: Array
    gradient: Array
    dual: Array
    decrement: float
    value: float


def newton(
    problem: PowerProblem, x: Array, tol: float, maxiter: int, callback: Callback | None
) -> Run[PowerState]:
    """Return the run of a Newton method with a search along each direction.

    For p < 2 curvatures are infinite where a residual vanishes. There the power is smoothed,
    ``(r^2 + s^2)^(p/2)``, and s is lowered as soon as the step is small. The error measured is
    the duality gap that the gradient at x gives.
    """
    residual = problem.b - problem.rows.times(x)
    scale = max(inner(residual, residual), 1e-6 * inner(problem.b, problem.b))
    scale = (scale / residual.shape[0]) ** 0.5
    smoothing = FIRST_SMOOTHING * scale if problem.p < 2 else 0.0
    start = _state_at(problem, x, residual, smoothing)
    return iterate(
        start,
        partial(_step, problem),
        partial(_measure, problem),
        tol=tol,
        maxiter=maxiter,
        callback=callback,
    )


def _state_at(problem: PowerProblem, x: Array, residual: Array, smoothing: float) -> PowerState:
    """Return the state at x with its Newton step: one weighted Gram matrix, two products."""
    rows, xp = problem.rows, problem.rows.xp
    gradient, curvature, value = power_terms(residual, problem.weights, problem.p, smoothing)
    if problem.p > 2:
        curvature = xp.maximum(curvature, LEAST_CURVATURE * xp.max(curvature))
    downhill = rows.transposed_times(gradient) - xp.matmul(problem.metric, x)
    step = cholesky_solve(factored(rows.gram(curvature) + problem.metric), downhill)
    image = rows.times(step)
    decrement = inner(downhill, step)
    dual = gradient - curvature * image
    return PowerState(x, residual, smoothing, step, image, gradient, dual, decrement, float(value))


def _step(problem: PowerProblem, state: PowerState) -> PowerState:
    """Return the state after a Newton step, or after the smoothing was lowered."""
    if state.smoothing > 0:
        left = float(problem.rows.xp.sum(problem.weights)) * state.smoothing**problem.p
        if state.decrement <= 1e-2 * min(state.value, 10 * left):
            smoothing = SHRINK * state.smoothing
            return _state_at(problem, state.x, state.residual, smoothing)
    t = _search(problem, state)
    x = state.x + t * state.step
    # Recomputed now and then would do; a pass is cheap next to the Gram matrix.
    return _state_at(problem, x, problem.b - problem.rows.times(x), state.smoothing)


def _search(problem: PowerProblem, state: PowerState) -> float:
    """Return a step at which the slope along the direction is small, by safeguarded secants."""
    xp = problem.rows.xp
    bend = xp.matmul(problem.metric, state.step)
    fixed, growth = inner(bend, state.x), inner(bend, state.step)

    def slope(t: float) -> float:
        along = power_slope(
            state.residual, state.image, problem.weights, problem.p, state.smoothing, t
        )
        return float(along) + fixed + t * growth

    first = slope(0.0)
    t, low, slope_low, high, slope_high = 1.0, 0.0, first, float("inf"), 0.0
    for _ in range(SEARCH_STEPS):
        here = slope(t)
        if abs(here) <= SLOPE_SHARE * abs(first):
            return t
        if here < 0:
            low, slope_low = t, here
        else:
            high, slope_high = t, here
        if high == float("inf"):
            t = 2 * t
        else:
            secant = low - (high - low) * slope_low / (slope_high - slope_low)
            inset = 0.1 * (high - low)
            t = min(max(secant, low + inset), high - inset)
    return low


def _measure(problem: PowerProblem, state: PowerState) -> Record:
    p, loss = problem.p, Loss(problem.p, problem.weights)
    xp, metric = problem.rows.xp, problem.metric
    floor = exact_fit(loss, problem.b)
    penalty = 0.5 * p * inner(xp.matmul(metric, state.x), state.x)
    lost = 0.5 * p * inner(xp.matmul(metric, state.step), state.step)
    lost = lost if float(metric[0, 0]) > 0 else float("inf")
    gap = relative_gap(
        loss, state.residual, p * state.dual, penalty=penalty, floor=floor, lost=lost
    )
    return {"error": gap, "fun": state.value + penalty}
