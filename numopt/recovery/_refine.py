"""Reweighted Gauss-Newton steps on the manifold of a rank: the finish, exact where outliers are."""

from __future__ import annotations

import math
from typing import NamedTuple

from .._core.namespace import Array, array_namespace, device_of
from .._linalg import Factors, Frame, cholesky, cholesky_solve, conjugate_gradients, frame_of
from .._linalg.lowrank import moved
from ._problem import Problem, objective, residual_of, spread_of

# Residuals beyond this many robust deviations count as outliers in a redescending weight. Tuned on
# Gaussian measurements at 10 to 60 % corruption, five to twenty times more than unknowns.
WIDTH = 1.5
QUANTILE = 0.35
# Unknowns up to which normal equations are formed and factored.
DIRECT_UNKNOWNS = 700
CG_STEPS = 40
CG_RTOL = 1e-3
PATIENCE = 4
SHARPENINGS = 4


class Refined(NamedTuple):
    """Factors after refinement."""

    factors: Factors
    residual: Array
    scale: float
    agreed: float
    steps: int


def refine(problem: Problem, factors: Factors, *, floor: float, limit: int, q: float) -> Refined:
    """Return factors of the same rank after reweighted steps, first for the l1 norm.

    The second kind of weights forgets outliers altogether. `floor` is the residual from which on
    nothing is gained; `limit` bounds the steps of each kind.
    """
    current = _evaluated(problem, factors, q, 0)
    current = _descend_l1(problem, current, floor, min(6, limit), q)
    return _redescend(problem, current, floor, limit, q)


def _evaluated(problem: Problem, factors: Factors, q: float, steps: int) -> Refined:
    residual = residual_of(problem, factors)
    found = spread_of(problem, residual, q, factors.rank)
    return Refined(factors, residual, found.scale, found.agreed, steps)


def _descend_l1(problem: Problem, current: Refined, floor: float, limit: int, q: float) -> Refined:
    """Return the state after reweighted steps for the l1 norm, as long as they lower it."""
    value = float(objective(problem, current.residual))
    for _ in range(limit):
        if current.agreed <= floor or not math.isfinite(current.scale):
            break
        xp = array_namespace(current.residual)
        smooth = max(current.scale, floor)
        weights = problem.weights / xp.clip(xp.abs(current.residual), smooth, None)
        trial = _evaluated(problem, _moved(problem, current, weights), q, current.steps + 1)
        lowered = float(objective(problem, trial.residual))
        if not lowered < value:
            break
        done = lowered > (1 - 1e-3) * value
        current, value = trial, lowered
        if done:
            break
    return current


def _redescend(problem: Problem, current: Refined, floor: float, limit: int, q: float) -> Refined:
    """Return the state after steps whose weights fall like the squared residual."""
    best, idle = current, 0
    for _ in range(limit):
        if current.agreed <= floor or not math.isfinite(current.scale):
            break
        width = max(WIDTH * current.scale, floor)
        weights = problem.weights / (1 + (current.residual / width) ** 2)
        current = _evaluated(problem, _moved(problem, current, weights), q, current.steps + 1)
        idle = 0 if current.scale < 0.98 * best.scale else idle + 1
        if current.scale < best.scale or current.agreed <= floor:
            best = current
        if idle > PATIENCE:
            break
    return best._replace(steps=current.steps)


def sharpened(problem: Problem, current: Refined, floor: float) -> Refined:
    """Return the least squares fit to the measurements that agree, to rounding."""
    xp = array_namespace(current.residual)
    agree = problem.weights * xp.astype(xp.abs(current.residual) <= floor, problem.y.dtype)
    for _ in range(SHARPENINGS):
        trial = _evaluated(problem, _moved(problem, current, agree), QUANTILE, current.steps + 1)
        if not trial.agreed < current.agreed / 2:
            return trial if trial.agreed < current.agreed else current
        current = trial
    return current


def _moved(problem: Problem, current: Refined, weights: Array) -> Factors:
    return gauss_newton(problem, current.factors, current.residual, weights)


def gauss_newton(problem: Problem, factors: Factors, residual: Array, weights: Array) -> Factors:
    """Return the factors after one weighted Gauss-Newton step."""
    frame = frame_of(factors)
    tangent = _direct(problem, frame, residual, weights)
    if tangent is None:
        tangent = _conjugate(problem, frame, residual, weights)
    return moved(frame, *tangent)


def centered(problem: Problem, weights: Array, values: Array) -> Array:
    """Return values (m,) or columns (m, k) around their weighted means if there is an intercept.

    That eliminates the intercept from the least squares problem.
    """
    if not problem.intercept:
        return values
    xp = array_namespace(values)
    return values - xp.tensordot(weights, values, axes=1) / xp.sum(weights)


def _direct(
    problem: Problem, frame: Frame, residual: Array, weights: Array
) -> tuple[Array, Array] | None:
    """Return the step by a Cholesky factor of the normal equations, None if that is too much."""
    d, k = frame.left.shape
    if not problem.symmetric or d * k > DIRECT_UNKNOWNS:
        return None
    J = problem.operator.tangent_matrix(frame.left)
    if J is None:
        return None
    xp = array_namespace(J)
    residual, J = centered(problem, weights, residual), centered(problem, weights, J)
    weighted = J * weights[:, None]
    H = xp.matmul(J.T, weighted)
    eye = xp.eye(d * k, dtype=J.dtype, device=device_of(J))
    # Rotations of the factors leave the matrix as it is: the ridge fixes them.
    ridge = 1e3 * float(xp.finfo(J.dtype).eps) * xp.linalg.trace(H) / (d * k)
    L = cholesky(H + ridge * eye)
    if L is None:
        return None
    Z = xp.reshape(-cholesky_solve(L, xp.matmul(weighted.T, residual)), (d, k))
    return Z, Z


def _conjugate(
    problem: Problem, frame: Frame, residual: Array, weights: Array
) -> tuple[Array, Array]:
    """Return the step by conjugate gradients on the normal equations, products only.

    In orthonormal coordinates they are as well conditioned as the measurements are on matrices of
    low rank, whatever the condition of the matrix itself.
    """
    xp = array_namespace(residual)

    def product(z: Array) -> tuple[Array, Array]:
        image = centered(problem, weights, _forward(problem, frame, z))
        weighted = weights * image
        return _adjoint(problem, frame, weighted), xp.sum(weighted * image)

    residual = centered(problem, weights, residual)
    gradient = _adjoint(problem, frame, -weights * residual)
    z = conjugate_gradients(product, gradient, rtol=CG_RTOL, maxiter=CG_STEPS).x
    d1 = frame.left.shape[0]
    return z[:d1, :], z if problem.symmetric else z[d1:, :]


def _forward(problem: Problem, frame: Frame, z: Array) -> Array:
    """Return the measurements of the tangent that coordinates z stand for."""
    xp, d1 = array_namespace(z), frame.left.shape[0]
    left, right = (z, z) if problem.symmetric else (z[:d1, :], z[d1:, :])
    return problem.operator.forward(
        xp.concat([frame.left, left], axis=1), xp.concat([right, frame.right], axis=1)
    )


def _adjoint(problem: Problem, frame: Frame, s: Array) -> Array:
    """Return the coordinates of ``sum_i s_i A_i`` on the tangent space."""
    left = problem.operator.adjoint_apply(s, frame.right)
    if problem.symmetric:
        return 2 * left
    right = problem.operator.adjoint_apply(s, frame.left, transpose=True)
    return array_namespace(s).concat([left, right], axis=0)
