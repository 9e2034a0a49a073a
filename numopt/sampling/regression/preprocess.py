"""Exact solutions on many rows from exact solutions on few."""

from __future__ import annotations

import numpy as np  # noqa: TID251 - the generator that draws the sample

from ..._core.namespace import Array, array_namespace, filled, inner
from ..._losses.norms import Loss
from ..._rows import in_memory
from .._certificate import certified, rounding
from .._draw import Sample, poisson, probabilities
from .._problem import Frozen, Regression, missing, regression
from .crossover import balanced
from .exact import Budget, Point, solve_exact

# Below this many rows, all of them are as cheap as a part.
LEAST_ROWS = 50_000
# Rows that stay free, as a multiple of the sample; and the share of all that is no reduction.
FREE_ROWS, TOO_MANY = 1.5, 0.35
# More rows than this share of the sample on the wrong side: the first solution was too far off.
MANY_WRONG = 0.1
ROUNDS = 8
SAMPLE_TOL = 1e-6


def restricted(problem: Regression, index: Array, weights: Array | None = None) -> Regression:
    """Return the problem of some rows, their losses multiplied by weights."""
    xp = problem.rows.xp
    loss = problem.loss

    def part(values: Array) -> Array:
        taken = xp.take(values, index)
        return taken if weights is None else taken * weights

    up = None if loss.up is None else part(loss.up)
    down = None if loss.down is None else part(loss.down)
    rows = in_memory(problem.rows.take(index))
    b = xp.take(problem.b, index)
    return regression(rows, b, Loss(loss.p, part(loss.weights), up, down), problem.ridge)


def leverages(problem: Regression) -> Array:
    """Return the leverage scores (n,) of the rows scaled as for the loss."""
    scale = problem.loss.row_scale()
    return scale * scale * problem.rows.quadform(problem.whitening.P)


def sample_rows(problem: Regression, tau: Array, size: float, rng: np.random.Generator) -> Sample:
    """Draw rows with probabilities that grow as ``tau^(p/2)``, at most linearly."""
    return poisson(probabilities(tau ** min(1.0, problem.loss.p / 2), size), rng)


def default_sample(n: int, d: int, in_memory: bool) -> int:
    """Return the size of a first sample: its solution and what is left then cost about the same.

    Where only a part of the rows fits memory, the size for which sample and rest are smallest: of
    the n rows about ``n sqrt(d / size)`` have residuals that are next to the error of a sample.
    """
    return int(max(20 * d, (n * d) ** (2 / 3) if in_memory else (n * n * d) ** (1 / 3)))


def solve_reduced(
    problem: Regression, x: Array | None, budget: Budget, rng: np.random.Generator
) -> Point:
    """Return the certified solution on all rows, most of the work being done on a part of them."""
    n, d = problem.rows.n, problem.rows.d
    size = default_sample(n, d, problem.rows.in_memory)
    if n < LEAST_ROWS or size > TOO_MANY * n:
        return solve_exact(problem, x, budget)
    tau = leverages(problem)
    sample = sample_rows(problem, tau, size, rng)
    part = restricted(problem, sample.index, sample.weights)
    if part.whitening.rank < problem.whitening.rank:
        return solve_exact(problem, x, budget)
    if problem.loss.up is None:
        first = solve_exact(part, x, budget._replace(callback=None))
        return solve_exact(problem, first.x, budget)
    first = solve_exact(part, x, Budget(SAMPLE_TOL, budget.maxiter, None))
    del part  # its rows, before those that stay free are read
    return _solve_frozen(problem, tau, sample, first, budget)


def _solve_frozen(
    problem: Regression,
    tau: Array,
    sample: Sample,
    first: Point,
    budget: Budget,
) -> Point:
    """Return the solution with most residuals' signs fixed in advance (Portnoy and Koenker 1997).

    A residual far from zero at the solution of a sample keeps its sign: its row acts through a
    constant gradient. If the solution with those rows frozen has all of them on the side where
    they were put, it solves the whole problem, and its dual variables certify that.
    """
    xp = problem.rows.xp
    spread = xp.where(tau > 0, xp.sqrt(tau), xp.ones_like(tau))
    residual = problem.b - problem.rows.times(first.x)
    distance = xp.abs(residual) / spread
    wanted = FREE_ROWS * sample.index.shape[0]
    x, nit, history = first.x, first.nit, list(first.history)
    free = distance <= _threshold(distance, sample, wanted)
    free = free | (xp.abs(residual) <= rounding(problem.b, residual))
    for _ in range(ROUNDS):
        if int(xp.count_nonzero(free)) > TOO_MANY * problem.rows.n:
            break
        point, there, y = _round(problem, free, residual, x, budget)
        nit, history = nit + point.nit, history + point.history
        solved = point.gap <= SAMPLE_TOL
        off_zero = xp.abs(there) > rounding(problem.b, there)
        wrong = ~free & (y * there < 0) & off_zero
        missed = int(xp.count_nonzero(wrong)) if solved else problem.rows.n
        if missed == 0:
            gap, there = certified(problem, point.x, y)
            if gap <= budget.tol:
                return Point(point.x, y, gap, nit, point.status, history, there)
        if solved:
            x, residual, free = point.x, there, free | wrong
        if missed == 0 or missed > MANY_WRONG * sample.index.shape[0]:
            wanted = 2 * wanted
            distance = xp.abs(residual) / spread
            free = free | (distance <= _threshold(distance, sample, wanted))
    rest = solve_exact(problem, x, budget)
    return rest._replace(nit=nit + rest.nit, history=history + rest.history)


def _threshold(distance: Array, sample: Sample, wanted: float) -> Array:
    """Return the distance below which about `wanted` rows lie, from the weighted sample."""
    xp = array_namespace(distance)
    drawn = xp.take(distance, sample.index)
    order = xp.argsort(drawn)
    counts = xp.cumulative_sum(xp.take(sample.weights, order))
    position = int(xp.count_nonzero(counts < wanted))
    return drawn[order[min(position, drawn.shape[0] - 1)]]


def _round(
    problem: Regression, free: Array, residual: Array, x: Array, budget: Budget
) -> tuple[Point, Array, Array]:
    """Return the solution of the free rows, the residual of all rows there, and all duals."""
    xp, loss = problem.rows.xp, problem.loss
    bound = xp.where(residual > 0, loss.up, -loss.down)
    fixed = xp.where(free, xp.zeros_like(bound), bound)
    frozen = Frozen(problem.rows.transposed_times(fixed), inner(fixed, residual))
    (index,) = xp.nonzero(free)
    part = restricted(problem, index)
    point = solve_exact(part, x, budget._replace(callback=None), frozen)
    # Sums over all rows round differently: what that leaves of the equations is a sizable gap.
    off = missing(problem, point.x, filled(free, point.y, fixed))
    y = filled(free, balanced(part.rows, point.y, part.loss, off), fixed)
    return point, problem.b - problem.rows.times(point.x), y
