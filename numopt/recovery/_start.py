"""Where the subgradient method starts: small, along the spectrum of the signs."""

from __future__ import annotations

from typing import NamedTuple

from .._core.namespace import Array, array_namespace
from .._core.random import place
from .._linalg.lowrank import Factors
from ._problem import Problem, Settings, middle
from ._scale import deviation

# Size from which on a few leading eigenvectors are cheaper by a block power method.
DENSE_LIMIT = 400
POWER_STEPS = 15


class Start(NamedTuple):
    """Starting factors and what sets the step size."""

    factors: Factors
    slope: float  # largest singular value of the subgradient at zero
    scale: float  # robust scale of the residual at zero
    indefinite: bool  # whether negative eigenvalues outweigh the positive ones


def offset_of(problem: Problem, values: Array) -> Array | float:
    """Return what signs are taken around: the median where the measurements have a common mean.

    For ``a' X a`` with X positive semidefinite all signs would be the same.
    """
    if problem.operator.centered and not problem.intercept:
        return 0.0
    return middle(values)


def size_of(values: Array, q: float) -> float:
    """Return the robust scale of the measurements, of those that are not zero if too many are."""
    xp = array_namespace(values)
    scale = deviation(values, q)
    zeros = 1 - int(xp.count_nonzero(values)) / values.shape[0]
    return scale if scale > 0 or zeros == 1 else deviation(values, zeros + (1 - zeros) * q)


def spectral_start(problem: Problem, settings: Settings) -> Start:
    """Return small factors along the leading singular vectors of ``sum_i sign(y_i) A_i``.

    Signs, not measurements: no outlier weighs more than another measurement.
    """
    xp = array_namespace(problem.y)
    signs = problem.weights * xp.sign(problem.y - offset_of(problem, problem.y))
    scale = size_of(problem.y - offset_of(problem, problem.y), settings.q)
    decompose = _eigen if problem.symmetric else _singular
    values, left, right = decompose(problem, signs, settings)
    slope, indefinite = float(values[0]), False
    if problem.symmetric:
        lowest = -float(_eigen(problem, -signs, settings._replace(rank=1))[0][0])
        indefinite = -lowest > slope
    if not slope > 0:
        raise ValueError(
            "`A` and `y` show no direction in which X is positive: a negative semidefinite X needs "
            "symmetric=False."
        )
    if settings.init == "random":
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


def _eigen(problem: Problem, signs: Array, settings: Settings) -> tuple[Array, Array, Array]:
    """Return the largest eigenvalues and their vectors."""
    xp, d = array_namespace(signs), problem.operator.shape[0]
    if d <= DENSE_LIMIT:
        values, vectors = xp.linalg.eigh(problem.operator.adjoint(signs))
    else:
        Q = _power(problem, signs, settings, d)[1]
        small = xp.matmul(Q.T, problem.operator.adjoint_apply(signs, Q))
        values, vectors = xp.linalg.eigh((small + small.T) / 2)
        vectors = xp.matmul(Q, vectors)
    values, vectors = xp.flip(values), xp.flip(vectors, axis=1)
    return values[: settings.rank], vectors[:, : settings.rank], vectors[:, : settings.rank]


def _singular(problem: Problem, signs: Array, settings: Settings) -> tuple[Array, Array, Array]:
    """Return the largest singular values and their vectors."""
    xp, (d1, d2), k = array_namespace(signs), problem.operator.shape, settings.rank
    if max(d1, d2) <= DENSE_LIMIT:
        U, s, V = xp.linalg.svd(problem.operator.adjoint(signs), full_matrices=False)
        return s[:k], U[:, :k], V.T[:, :k]
    Q, P = _power(problem, signs, settings, d2)
    U, s, V = xp.linalg.svd(problem.operator.adjoint_apply(signs, P), full_matrices=False)
    del Q
    return s[:k], U[:, :k], xp.matmul(P, V.T)[:, :k]


def _power(problem: Problem, signs: Array, settings: Settings, d: int) -> tuple[Array, Array]:
    """Return orthonormal bases of about the leading left and right singular vectors."""
    xp, operator = array_namespace(signs), problem.operator
    width = min(d, settings.rank + 5)
    P = place(settings.generator.normal(size=(d, width)), signs)
    P = Q = xp.linalg.qr(P)[0]
    for _ in range(POWER_STEPS):
        Q = xp.linalg.qr(operator.adjoint_apply(signs, P))[0]
        P = xp.linalg.qr(operator.adjoint_apply(signs, Q, transpose=True))[0]
    return Q, P


def leading_pair(problem: Problem, signs: Array, settings: Settings) -> tuple[Array, Array]:
    """Return the leading left and right singular vectors of ``sum_i s_i A_i``, signs for tied."""
    one = settings._replace(rank=1)
    decompose = _eigen if problem.symmetric else _singular
    _, left, right = decompose(problem, signs, one)
    return left[:, 0], right[:, 0]
