"""How far a model is from the minimum over matrices of any rank."""

from __future__ import annotations

import math

from .._namespace import Array, array_namespace, device_of, inner
from .._random import place
from ._fit import Task
from ._observations import Observations
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
    side, reg = problem.seen.rows, problem.reg
    residual = side.residual(model.X, model.Y)
    slack = 2 * max(_SETTLED, float(xp.finfo(residual.dtype).eps))
    sigma = (1 + slack) * spectral_norm(problem.seen, residual, task)
    share = min(1.0, reg / sigma) if sigma > 0 else 1.0
    u = share * residual
    primal = 0.5 * inner(residual, residual) + 0.5 * reg * (inner_all(model.X) + inner_all(model.Y))
    dual = inner(u, side.data) - 0.5 * inner(u, u)
    return sigma / reg, primal - dual


def spectral_norm(seen: Observations, values: Array, task: Task) -> float:
    """Return the largest singular value of a sparse matrix, by Lanczos bidiagonalization.

    With full orthogonalization on both sides: two products a step.
    """
    xp, rng = array_namespace(values), task.settings.rng
    by_column = seen.transposed(values)
    v = place(rng.standard_normal((seen.shape[1], 1)), values)
    V = v / xp.linalg.vector_norm(v)
    U = V[:0, :]
    largest, settled, steps = 0.0, 0, min(_STEPS, *seen.shape)
    diagonal: list[float] = []
    beside: list[float] = []
    for step in range(steps):
        u = seen.rows.times(V[:, -1:] + 0, values)
        if step:
            u = _orthogonal(u, U)
        alpha = float(xp.linalg.vector_norm(u))
        diagonal.append(alpha)
        if alpha == 0:
            break
        U = u / alpha if step == 0 else xp.concat([U, u / alpha], axis=1)
        v = _orthogonal(seen.columns.times(U[:, -1:] + 0, by_column), V)
        beta = float(xp.linalg.vector_norm(v))
        beside.append(beta)
        found = _bidiagonal_norm(diagonal, beside, values)
        settled = settled + 1 if found - largest <= _SETTLED * found else 0
        if settled == 3 or beta <= _SETTLED * found:
            return found
        largest = found
        V = xp.concat([V, v / beta], axis=1)
    return max(largest, _bidiagonal_norm(diagonal, beside, values))


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
