"""Where the subgradient method starts: small, along the spectrum of the signs."""

from __future__ import annotations

from typing import NamedTuple

from .._core.namespace import Array, array_namespace
from .._core.random import place
from .._linalg import Factors, Frame, leading_singular, subspaces
from ._problem import Problem, Settings, offset_of
from ._robust_scale import size_of
from .measurements import Direction

# Size from which on a few leading eigenvectors are cheaper by a block power method.
DENSE_LIMIT = 400
POWER_STEPS = 15


class Start(NamedTuple):
    """Starting factors and what sets the step size."""

    factors: Factors
    slope: float  # largest singular value of the subgradient at zero
    scale: float  # robust scale of the residual at zero
    indefinite: bool  # whether negative eigenvalues outweigh the positive ones


def spectral_start(problem: Problem, settings: Settings) -> Start:
    """Return small factors along the leading singular vectors of ``sum_i sign(y_i) A_i``.

    Signs, not measurements: no outlier weighs more than another measurement.
    """
    xp = array_namespace(problem.y)
    signs = problem.weights * xp.sign(problem.y - offset_of(problem, problem.y))
    scale = size_of(problem.y - offset_of(problem, problem.y), settings.q)
    left, values, right = _leading(problem, signs, settings, settings.rank)
    slope, indefinite = float(values[0]), False
    if problem.symmetric:
        indefinite = float(_leading(problem, -signs, settings, 1).values[0]) > slope
    if not slope > 0:
        raise ValueError(
            "`A` and `y` show no direction in which X is positive: a negative semidefinite X needs "
            "symmetric=False."
        )
    if settings.random:
        left = _gaussian(left, settings)
        right = left if problem.symmetric else _gaussian(right, settings)
        values = xp.zeros_like(values) + values[0]
    # Columns without a positive eigenvalue would stay zero for ever.
    positive = values > 0
    size = xp.where(
        positive, xp.sqrt(xp.clip(values, 0, None) / slope), xp.zeros_like(values) + 1e-3
    )
    size = settings.alpha * scale**0.5 * size
    left = xp.where(positive[None, :], left, _gaussian(left, settings)) * size
    if problem.symmetric:
        return Start(Factors(left, left), slope, scale, indefinite)
    return Start(Factors(left, right * size), slope, scale, False)


def _gaussian(like: Array, settings: Settings) -> Array:
    shape = tuple(like.shape)
    return place(settings.generator.normal(size=shape) / shape[0] ** 0.5, like)


def _leading(problem: Problem, signs: Array, settings: Settings, rank: int) -> Frame:
    """Return the leading part of ``sum_i s_i A_i``, by eigenvalues if X is symmetric."""
    xp, (d1, d2) = array_namespace(signs), problem.operator.shape
    if max(d1, d2) <= DENSE_LIMIT:
        matrix = problem.operator.adjoint(signs)
        if problem.symmetric:
            values, vectors = xp.linalg.eigh(matrix)
            return _largest(values, vectors, rank)
        U, s, Vh = xp.linalg.svd(matrix, full_matrices=False)
        return Frame(U[:, :rank], s[:rank], Vh.T[:, :rank])
    matrix = Direction(problem.operator, signs)
    start = place(settings.generator.normal(size=(d2, min(d2, rank + 5))), signs)
    if not problem.symmetric:
        return leading_singular(matrix.times, matrix.transposed_times, start, POWER_STEPS, rank)
    _, Q = subspaces(matrix.times, matrix.transposed_times, start, POWER_STEPS)
    small = xp.matmul(Q.T, matrix.times(Q))
    values, vectors = xp.linalg.eigh((small + small.T) / 2)
    return _largest(values, xp.matmul(Q, vectors), rank)


def _largest(values: Array, vectors: Array, rank: int) -> Frame:
    """Return the last of eigenvalues in rising order, and their vectors, the largest first."""
    xp = array_namespace(values)
    vectors = xp.flip(vectors, axis=1)[:, :rank]
    return Frame(vectors, xp.flip(values)[:rank], vectors)


def leading_pair(problem: Problem, signs: Array, settings: Settings) -> tuple[Array, Array]:
    """Return the leading left and right singular vectors of ``sum_i s_i A_i``, signs for tied."""
    frame = _leading(problem, signs, settings, 1)
    return frame.left[:, 0], frame.right[:, 0]
