"""What a model is worth: the stopping error, and how far it is from the convex minimum."""

from __future__ import annotations

import math
from functools import partial
from typing import NamedTuple

from .._core.namespace import Array, array_namespace, device_of, inner, widest_float
from .._core.outcome import Check
from .._core.settings import non_negative
from .._entries.observations import Rows, Seen, Side, times
from .._kernels import completion as kernels
from .._linalg import lanczos_norm
from ._problem import (
    Held,
    Model,
    Problem,
    inner_all,
    objective,
    rmse,
    row_problems,
    stationarity,
)

# Steps of the Lanczos iteration at most, and the relative change at which it is done.
_STEPS, _SETTLED = 200, 1e-9
# Rounding errors of the largest value by which the held-out error of the returned factors may be
# off that of the sweep they come from: they are made singular vectors in between.
_ROUNDING = 1e2


class Sides(NamedTuple):
    """Of a model its loss, its squared gradient over 4, and what a step in all rows brings."""

    loss: float
    square: float
    fall: float


class Evaluation(NamedTuple):
    """Of a model the objective, its relative residual and gradient, and the stopping error."""

    fun: float
    residual: float
    gradient: float
    error: float


def evaluation(problem: Problem, model: Model) -> Evaluation:
    """Return the objective and the errors of a model, all computed from the entries.

    The stopping error is the larger of a tenth of the relative gradient and of the relative fall
    of the objective by a step of preconditioned conjugate gradients in every row and every column;
    or the relative residual if that is smaller and there is no regularization.
    """
    sides, norm = both_sides(problem, model, steps=1), problem.seen.norm()
    fun = objective(problem, model, sides.loss)
    residual = math.sqrt(sides.loss)
    residual = residual / norm if norm > 0 else residual
    gradient = stationarity(model, sides.square, norm)
    fall = non_negative(sides.fall) / fun if fun > 0 else 0.0
    # Sums, unlike max and min, remain nan once they are.
    error = max(fall, 0.1 * gradient) + 0.0 * (fall + gradient + fun)
    if problem.reg == 0 and residual < error:
        error = residual
    return Evaluation(fun, residual, gradient, error)


def both_sides(problem: Problem, model: Model, steps: int) -> Sides:
    """Return what the rows and the columns of a model say of it, in two passes."""
    seen, transposed = problem.seen, model.transposed()
    loss, square, fall = _one_side(problem, seen.rows, model, steps)
    _, more_square, more_fall = _one_side(problem, seen.columns, transposed, steps)
    return Sides(loss, square + more_square, fall + more_fall)


def _one_side(problem: Problem, rows: Rows, model: Model, steps: int) -> Sides:
    """Return what the rows say, each a least-squares problem of its own."""
    W, X, offsets, reg = row_problems(problem, rows, model)
    work = partial(_of_rows, problem.nonneg, steps, offsets, W)
    loss, square, fall = rows.each(work, X, reg)
    ones = array_namespace(loss).ones_like
    return Sides(*(inner(x, ones(x)) for x in (loss, square, fall)))


def _of_rows(
    nonneg: bool, steps: int, offsets: Array | None, W: Array, side: Side, X: Array, reg: Array
) -> tuple[Array, Array, Array]:
    """Return loss and squared gradient of some rows (m,), and what some steps bring them (1,)."""
    xp, data = array_namespace(X), side.data
    if offsets is not None:
        data = data - xp.take(offsets, side.indices)
    problem = data, side.indices, side.indptr, side.weights, W, X, reg
    if nonneg:
        new, loss, square, _ = kernels.masked_ls_nonneg(*problem, steps)
    else:
        new, loss, square, _ = kernels.masked_ls_pcg(*problem, steps, 0.0)
    fall = 0.0
    if steps:
        left = side.residual(new, W, data)
        weighted = left if side.weights is None else side.weights * left
        before = inner(loss, xp.ones_like(loss)) + inner(reg, xp.sum(X * X, axis=1))
        fall = before - inner(left, weighted) - inner(reg, xp.sum(new * new, axis=1))
    wide = widest_float(X)
    return loss, square, xp.asarray([fall], dtype=wide, device=device_of(X))


def checks_of(
    problem: Problem, model: Model, tol: float, found: Evaluation | None = None
) -> list[Check]:
    """Return the check of a fit: its stopping error."""
    found = evaluation(problem, model) if found is None else found
    return [Check("stopping error", found.error, tol)]


def held_out_limit(best: float, scale: float, like: Array) -> float:
    """Return the largest held-out error of factors that stand for the sweep with the best one."""
    return best + _ROUNDING * float(array_namespace(like).finfo(like.dtype).eps) * scale


def held_out_checks(model: Model, held: Held, scale: float, limit: float) -> list[Check]:
    """Return the check of a fit that was stopped early: its error on held-out entries."""
    return [Check("held-out error", scale * rmse(model, held), limit)]


def convex_certificate(problem: Problem, model: Model) -> tuple[float, float]:
    """Return the largest singular value of the residual over `reg`, and the relative duality gap.

    The gap is that of ``|P(Z) - b|^2 / 2 + reg |Z|_*``, whose value at ``Z = X Y'`` is at most half
    the objective, relative to that. Residuals scaled until their largest singular value is `reg`
    are feasible for its dual problem.
    """
    xp, seen, reg = array_namespace(model.X), problem.seen, problem.reg
    left = seen.left(*model)
    square = left.norm() ** 2
    slack = 2 * max(_SETTLED, float(xp.finfo(model.X.dtype).eps))
    sigma = (1 + slack) * spectral_norm(left)
    share = min(1.0, reg / sigma) if sigma > 0 else 1.0
    primal = 0.5 * square + 0.5 * reg * (inner_all(model.X) + inner_all(model.Y))
    products = seen.rows.each(partial(_residual_by_value, model.Y), model.X)
    dual = share * inner(products, xp.ones_like(products)) - 0.5 * share**2 * square
    return sigma / reg, (primal - dual) / primal if primal > 0 else 0.0


def spectral_norm(seen: Seen) -> float:
    """Return the largest singular value of a sparse matrix."""
    like, (_, n) = seen.like, seen.shape
    xp = array_namespace(like)
    angles = xp.arange(1, n + 1, dtype=like.dtype, device=device_of(like))
    return lanczos_norm(
        partial(times, seen.rows),
        partial(times, seen.columns),
        xp.cos(angles * angles)[:, None],  # a fixed vector without symmetries
        steps=min(_STEPS, *seen.shape),
        rtol=_SETTLED,
    )


def _residual_by_value(W: Array, side: Side, X: Array) -> Array:
    """Return the inner product of residuals and values of some rows (1,)."""
    return array_namespace(X).asarray(
        [inner(side.residual(X, W), side.data)], dtype=widest_float(X), device=device_of(X)
    )
