"""The exact solution on all rows: from the data to a certified point."""

from __future__ import annotations

import math
from typing import NamedTuple

from ..._core.iterate import Callback, Record
from ..._core.namespace import Array, inner
from ..._core.outcome import Status
from ..._rows import Rows
from .._certificate import certified, in_box
from .._problem import Frozen, Regression, missing
from .crossover import on_face
from .interior import BoxProblem, interior_point, starting_point
from .newton import PowerProblem, newton

# Above this condition number of the columns the unknowns are changed to coordinates in which
# they are orthonormal: a Gram matrix squares it.
PLAIN_CONDITION = 1e3


class Budget(NamedTuple):
    """When to stop."""

    tol: float
    maxiter: int
    callback: Callback | None


class Point(NamedTuple):
    """A candidate x (d,), its dual y (n,), how the search for it ended, and its gap."""

    x: Array
    y: Array
    gap: float
    nit: int
    status: int
    history: list[Record]
    residual: Array


def least_squares(problem: Regression) -> Array:
    """Return the x (d,) of least squares with the rows scaled as for the loss."""
    scale = problem.loss.row_scale()
    P, xp = problem.whitening.P, problem.rows.xp
    x = xp.matmul(P, problem.rows.transposed_times(scale * scale * problem.b) @ P)
    residual = problem.b - problem.rows.times(x)
    return x + xp.matmul(P, problem.rows.transposed_times(scale * scale * residual) @ P)


def solve_exact(
    problem: Regression, x: Array | None, budget: Budget, frozen: Frozen | None = None
) -> Point:
    """Return the certified solution on all rows, from a starting point.

    With a piecewise linear loss there may be frozen rows besides.
    """
    fitted = least_squares(problem)
    if frozen is None and problem.ridge == 0:
        # As many unknowns as rows, or responses in the range of A: nothing is left to do.
        gap, residual = certified(problem, fitted, 0 * problem.b)
        if gap == 0:
            return Point(fitted, 0 * problem.b, gap, 0, Status.CONVERGED, [], residual)
    if problem.whitening.rank == 0:
        return _without_columns(problem)
    rows, basis, x = _coordinates(problem, fitted if x is None else x)
    if problem.loss.up is not None:
        return _piecewise(problem, rows, basis, x, budget, frozen)
    return _smooth(problem, rows, basis, x, budget)


def _without_columns(problem: Regression) -> Point:
    """Return zero, the solution for a matrix of zeros, with the gradient of the loss there."""
    loss, b, xp = problem.loss, problem.b, problem.rows.xp
    if loss.up is not None:
        y = xp.where(b > 0, loss.up, -loss.down)
    else:
        y = loss.p * loss.weights * xp.sign(b) * xp.abs(b) ** (loss.p - 1)
    x = xp.zeros((problem.rows.d,), dtype=b.dtype, device=problem.rows.device)
    gap, residual = certified(problem, x, y)
    return Point(x, y, gap, 0, Status.CONVERGED, [], residual)


def _coordinates(problem: Regression, x: Array) -> tuple[Rows, Array | None, Array]:
    """Return the rows, the coordinates they are in (None as given) and x in them."""
    P = problem.whitening.P
    if problem.whitening.condition <= PLAIN_CONDITION:
        return problem.rows, None, x
    scale = problem.loss.row_scale()
    image = scale * scale * problem.rows.times(x)
    z = problem.rows.xp.matmul(P.T, problem.rows.transposed_times(image))
    return problem.rows.mapped(P), P, z


def _feasible(
    problem: Regression, x: Array, y: Array, basis: Array | None, frozen: Frozen | None = None
) -> Array:
    """Return y (n,) corrected for what rounding in other coordinates left of its equations."""
    if basis is None:
        return y
    rows, P, scale = problem.rows, problem.whitening.P, problem.loss.row_scale()
    off = P.T @ missing(problem, x, y, frozen)
    return y - scale * scale * rows.times(P @ off)


def _metric(problem: Regression, rows: Rows, basis: Array | None, factor: float) -> Array:
    xp = problem.rows.xp
    if basis is None:
        return factor * xp.eye(rows.d, dtype=rows.dtype, device=rows.device)
    return factor * xp.matmul(basis.T, basis)


def _back(basis: Array | None, x: Array) -> Array:
    return x if basis is None else basis @ x


def _smooth(
    problem: Regression, rows: Rows, basis: Array | None, x: Array, budget: Budget
) -> Point:
    p, weights = problem.loss.p, problem.loss.weights
    # In units of the first residual no power of one overflows.
    residual = problem.b - rows.times(x)
    mean = (inner(residual, residual) / residual.shape[0]) ** 0.5
    unit = 2.0 ** round(math.log2(mean)) if mean > 0 else 1.0
    metric = _metric(problem, rows, basis, 2 * problem.ridge * unit ** (2 - p) / p)
    power = PowerProblem(rows, problem.b / unit, weights, p, metric)
    run = newton(power, x / unit, *budget)
    state = run.best
    x = _back(basis, state.x * unit)
    y = _feasible(problem, x, p * unit ** (p - 1) * state.dual, basis)
    gap, residual = certified(problem, x, y)
    return Point(x, y, gap, run.nit, run.status, run.history, residual)


def _piecewise(
    problem: Regression,
    rows: Rows,
    basis: Array | None,
    x: Array,
    budget: Budget,
    frozen: Frozen | None,
) -> Point:
    """Return the better of where the interior point method ends and the face next to it."""
    xp, loss = rows.xp, problem.loss
    linear = xp.zeros_like(x) if frozen is None else frozen.linear
    if frozen is not None and basis is not None:
        linear = xp.matmul(basis.T, linear)
    width = xp.maximum(loss.up, loss.down)
    columns = xp.sqrt(xp.linalg.diagonal(rows.gram(xp.ones_like(width))))
    columns = xp.where(columns > 0, columns, xp.ones_like(columns)) * xp.sqrt(
        xp.vecdot(width, width)
    )
    box = BoxProblem(
        rows,
        problem.b,
        loss.up,
        loss.down,
        linear,
        0.0 if frozen is None else frozen.loss,
        _metric(problem, rows, basis, 2 * problem.ridge),
        columns,
        float(xp.min(loss.up + loss.down)),
        float(xp.finfo(rows.dtype).eps) ** 2 * (float(xp.max(xp.abs(problem.b))) or 1.0),
    )
    run = interior_point(box, starting_point(box, x), *budget)
    state = run.best
    candidates = [(_back(basis, state.x), state.y)]
    if run.status in (Status.CONVERGED, Status.ITERATION_LIMIT) and run.nit > 0:
        face = on_face(box, state)
        candidates.append((_back(basis, face[0]), face[1]))
    points = []
    for x, y in candidates:
        y = in_box(loss, _feasible(problem, x, y, basis, frozen))
        gap, residual = certified(problem, x, y, frozen)
        points.append(Point(x, y, gap, run.nit, run.status, run.history, residual))
    finite = [point for point in points if point.gap < float("inf")]
    return min(finite, key=lambda point: point.gap) if finite else points[0]
