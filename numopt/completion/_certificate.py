"""How far a model is from the minimum over matrices of any rank."""

from __future__ import annotations

import math
from functools import partial

from .._core.namespace import Array, array_namespace, device_of, inner, widest_float
from .._core.random import place
from ._fit import Task
from ._observations import Side
from ._seen import Seen, times
from ._sweep import Model, inner_all

# Steps of the Lanczos iteration at most, and the relative change at which it is done.
_STEPS, _SETTLED = 200, 1e-9


def convex_certificate(task: Task, model: Model) -> tuple[float, float]:
    """Return the largest singular value of the residual over `reg`, and the duality gap.

    The gap is that of ``|P(Z) - b|^2 / 2 + reg |Z|_*``, whose value at ``Z = X Y'`` is at most half
    the objective. Residuals scaled until their largest singular value is `reg` are feasible for
    its dual problem.
    """
    xp, problem = array_namespace(model.X), task.problem
    seen, reg = problem.seen, problem.reg
    left = seen.left(*model)
    square = left.norm() ** 2
    slack = 2 * max(_SETTLED, float(xp.finfo(model.X.dtype).eps))
    sigma = (1 + slack) * spectral_norm(left, task)
    share = min(1.0, reg / sigma) if sigma > 0 else 1.0
    primal = 0.5 * square + 0.5 * reg * (inner_all(model.X) + inner_all(model.Y))
    products = seen.rows.each(partial(_residual_by_value, model.Y), model.X)
    dual = share * inner(products, xp.ones_like(products)) - 0.5 * share**2 * square
    return sigma / reg, primal - dual


def _residual_by_value(W: Array, side: Side, X: Array) -> Array:
    """Return the inner product of residuals and values of some rows (1,)."""
    return array_namespace(X).asarray(
        [inner(side.residual(X, W), side.data)], dtype=widest_float(X), device=device_of(X)
    )


def spectral_norm(seen: Seen, task: Task) -> float:
    """Return the largest singular value of a sparse matrix, by Lanczos bidiagonalization.

    With full orthogonalization on both sides: two products a step.
    """
    like, rng = seen.like, task.settings.rng
    xp = array_namespace(like)
    v = place(rng.standard_normal((seen.shape[1], 1)), like)
    V = v / xp.linalg.vector_norm(v)
    U = V[:0, :]
    largest, settled, steps = 0.0, 0, min(_STEPS, *seen.shape)
    diagonal: list[float] = []
    beside: list[float] = []
    for step in range(steps):
        u = times(seen.rows, V[:, -1:] + 0)
        if step:
            u = _orthogonal(u, U)
        alpha = float(xp.linalg.vector_norm(u))
        diagonal.append(alpha)
        if alpha == 0:
            break
        U = u / alpha if step == 0 else xp.concat([U, u / alpha], axis=1)
        v = _orthogonal(times(seen.columns, U[:, -1:] + 0), V)
        beta = float(xp.linalg.vector_norm(v))
        beside.append(beta)
        found = _bidiagonal_norm(diagonal, beside, like)
        settled = settled + 1 if found - largest <= _SETTLED * found else 0
        if settled == 3 or beta <= _SETTLED * found:
            return found
        largest = found
        V = xp.concat([V, v / beta], axis=1)
    return max(largest, _bidiagonal_norm(diagonal, beside, like))


def _orthogonal(x: Array, Q: Array) -> Array:
    """Return what is left of a column beside others, orthogonalized twice."""
    xp = array_namespace(x)
    for _ in range(2):
        x = x - xp.matmul(Q, xp.matmul(xp.matrix_transpose(Q), x))
    return x


def _bidiagonal_norm(diagonal: list[float], beside: list[float], like: Array) -> float:
    """Return the largest singular value of an upper bidiagonal matrix, by its tridiagonal square.

    Golub-Kahan with one more column than rows: ``B B'`` has ``alpha^2 + beta^2`` on its diagonal.
    """
    xp, count = array_namespace(like), len(diagonal)
    beside = beside[:count] + [0.0] * (count - len(beside))
    rows = [
        [
            diagonal[i] ** 2 + beside[i] ** 2
            if i == j
            else diagonal[max(i, j)] * beside[min(i, j)]
            if abs(i - j) == 1
            else 0.0
            for j in range(count)
        ]
        for i in range(count)
    ]
    T = xp.asarray(rows, dtype=like.dtype, device=device_of(like))
    return math.sqrt(max(0.0, float(xp.linalg.eigvalsh(T)[-1])))
