"""A quadratic loss of few numbers under the constraints of few rows, by an interior-point method.

What is left of the convex program once sums over all samples stand for its loss and, for each
pattern, some rows for its cone: neurons u (2, P, d), slacks ``s = C u > 0`` with multipliers mu,
the multiplier lam of the second-order cone of each neuron, ``|lam| <= beta``, and ``a = v - w``
with ``a' G a / 2 - b' a`` for the loss. Newton's system

    H u + (+-) G a = r,        a = u_+ - u_-,

is block diagonal but for G. With ``R' R = H_+^-1 + H_-^-1`` for each pattern, ``a = R' x`` leaves
``(I + R G R') x = rhs``, whose eigenvalues are at least 1 whatever the blocks are.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from .._linalg import cholesky, cholesky_solve
from .._namespace import Array, array_namespace, device_of
from ._cones import (
    Scaling,
    cone_ratio,
    curvature,
    curvature_blocks,
    orthant_ratio,
    product,
    quotient,
    scaled,
    second_order_scaling,
    unscaled,
)

_TO_BOUNDARY = 0.99
_REFINEMENTS = 3
_STEPS = 80
_SHORTEST_STEP = 1e-5
# Residual of stationarity, relative to beta, with which a point will do: bounds allow for it.
_STATIONARY = 1e-7


class Quadratic(NamedTuple):
    """``min a' G a / 2 - b' a + beta sum |v_i| + |w_i|`` subject to ``C_i v_i, C_i w_i >= 0``.

    `gram` (P d, P d), `slope` b (P, d), `rows` C (P, m, d) of unit norm.
    """

    gram: Array
    slope: Array
    rows: Array
    beta: float


class Solution(NamedTuple):
    """Neurons (2, P, d), multipliers (2, P, m) of the rows, and factorizations it took."""

    V: Array
    mu: Array
    factorizations: int


class _Point(NamedTuple):
    V: Array
    t: Array
    S: Array
    lam: Array
    mu: Array


class _System(NamedTuple):
    scaling: Scaling
    ratio: Array
    inverses: Array
    roots: Array
    basis: Array
    factor: Array
    stationarity: Array
    gap_in_slacks: Array


def minimized(problem: Quadratic, accuracy: float) -> Solution:
    """Return the minimum, once the products of slacks and multipliers sum to at most `accuracy`."""
    point = _first_point(problem)
    for count in range(_STEPS):
        if _is_close(problem, point, accuracy):
            break
        after = _step(problem, point)
        if after is None:
            break
        point = after
    return Solution(point.V, point.mu, count)


def linear_pull(gram: Array, slope: Array, V: Array) -> Array:
    """Return ``b - G a`` (P, d) for neurons (2, P, d)."""
    return slope - _times(gram, V[0, ...] - V[1, ...])


def pulled_by(rows: Array, mu: Array) -> Array:
    """Return ``C' mu`` (2, P, d) for multipliers (2, P, m)."""
    xp = array_namespace(mu)
    return xp.matmul(rows.mT, mu[..., None])[..., 0]


def _first_point(problem: Quadratic) -> _Point:
    xp, device, dtype = array_namespace(problem.rows), device_of(problem.rows), problem.rows.dtype
    patterns, m, d = problem.rows.shape
    V = xp.zeros((2, patterns, d), dtype=dtype, device=device)
    t = xp.full((2, patterns), 1 / problem.beta, dtype=dtype, device=device)
    ones = xp.ones((2, patterns, m), dtype=dtype, device=device)
    return _Point(V, t, ones, V, ones)


def _is_close(problem: Quadratic, point: _Point, accuracy: float) -> bool:
    xp = array_namespace(point.V)
    if _complementarity(problem, point) > accuracy:
        return False
    rest = xp.max(xp.abs(_stationarity(problem, point)))
    return bool(rest <= _STATIONARY * problem.beta)


def _complementarity(problem: Quadratic, point: _Point) -> float:
    """Return the sum of products of slacks and multipliers."""
    xp = array_namespace(point.V)
    linear = xp.sum(point.S * point.mu) + problem.beta * xp.sum(point.t)
    return float(linear + xp.sum(point.lam * point.V))


def _times(gram: Array, a: Array) -> Array:
    """Return ``G a`` for a (P, d)."""
    xp = array_namespace(a)
    flat = xp.matmul(gram, xp.reshape(a, (-1, 1)))
    return xp.reshape(flat, a.shape)


def _responses(problem: Quadratic, V: Array) -> Array:
    xp = array_namespace(V)
    return xp.matmul(problem.rows, V[..., None])[..., 0]


def _both(x: Array) -> Array:
    """Return x and -x, for the neurons that add to the prediction and those that subtract."""
    return array_namespace(x).stack([x, -x])


def _stationarity(problem: Quadratic, point: _Point) -> Array:
    pull = linear_pull(problem.gram, problem.slope, point.V)
    return -_both(pull) - pulled_by(problem.rows, point.mu) - point.lam


def _step(problem: Quadratic, point: _Point) -> _Point | None:
    """Return the next iterate: a predictor, then a centered and corrected direction."""
    system = _factored(problem, point)
    if system is None:
        return None
    affine = _direction(problem, system, point, 0.0, None)
    length = min(1.0, _longest_step(problem, point, affine))
    before = _complementarity(problem, point)
    after = _complementarity(problem, _moved(point, affine, length))
    patterns, m, _ = problem.rows.shape
    target = min(1.0, max(after / before, 0.0)) ** 3 * before / (2 * patterns * (m + 1))
    direction = _direction(problem, system, point, target, affine)
    length = min(1.0, _TO_BOUNDARY * _longest_step(problem, point, direction))
    moved = _moved(point, direction, length)
    fine = length >= _SHORTEST_STEP and math.isfinite(_complementarity(problem, moved))
    return moved if fine else None


def _factored(problem: Quadratic, point: _Point) -> _System | None:
    """Return the factored system at an iterate; None where rounding leaves no factor."""
    xp, C = array_namespace(point.V), problem.rows
    patterns, _, d = C.shape
    identity = xp.eye(d, dtype=C.dtype, device=device_of(C))
    scaling = second_order_scaling(point.t, point.V, problem.beta, point.lam)
    ratio = point.mu / point.S
    H = xp.matmul((C * ratio[..., None]).mT, C) + curvature_blocks(scaling, identity)
    trace = xp.sum(H * identity, axis=(-2, -1))
    L = cholesky(H + (4 * float(xp.finfo(C.dtype).eps) * trace)[..., None, None] * identity)
    if L is None:
        return None
    inverses = xp.linalg.inv(L)
    basis, roots = xp.linalg.qr(xp.concat([inverses[0, ...], inverses[1, ...]], axis=1))
    gram = xp.reshape(problem.gram, (patterns, d, patterns, d))
    half = xp.matmul(roots, xp.reshape(gram, (patterns, d, patterns * d)))
    half = xp.permute_dims(xp.reshape(half, (patterns * d, patterns, d)), (1, 2, 0))
    inner = xp.reshape(xp.matmul(roots, half), (patterns * d, patterns * d))
    whole = xp.eye(patterns * d, dtype=C.dtype, device=device_of(C)) + 0.5 * (inner + inner.T)
    factor = cholesky(whole)
    if factor is None:
        return None
    return _System(
        scaling,
        ratio,
        inverses,
        roots,
        basis,
        factor,
        _stationarity(problem, point),
        _responses(problem, point.V) - point.S,
    )


def _solve(problem: Quadratic, system: _System, b: Array) -> Array:
    """Return u with ``H u + (+-) G (u_+ - u_-) = b``."""
    xp = array_namespace(b)
    u, rest = 0 * b, b
    for _ in range(_REFINEMENTS):
        half = xp.matmul(system.inverses, rest[..., None])
        seen = xp.concat([half[0, ...], -half[1, ...]], axis=1)
        rhs = xp.reshape(xp.matmul(system.basis.mT, seen), (-1, 1))
        x = xp.reshape(cholesky_solve(system.factor, rhs), (*b.shape[1:], 1))
        force = _times(problem.gram, xp.matmul(system.roots.mT, x)[..., 0])
        half = xp.matmul(system.inverses, (rest - _both(force))[..., None])
        u = u + xp.matmul(system.inverses.mT, half)[..., 0]
        rest = b - curvature(system.scaling, u) - _both(_times(problem.gram, u[0, ...] - u[1, ...]))
        rest = rest - pulled_by(problem.rows, system.ratio * _responses(problem, u))
    return u


def _direction(
    problem: Quadratic, system: _System, point: _Point, target: float, affine: _Point | None
) -> _Point:
    """Return the change that satisfies the linear equations and moves the products to a target."""
    scaling = system.scaling
    products = target - point.S * point.mu
    r0, r1 = product(scaling.middle0, scaling.middle1, scaling.middle0, scaling.middle1)
    r0, r1 = target - r0, -r1
    if affine is not None:
        products = products - affine.S * affine.mu
        second = product(
            *unscaled(scaling, affine.t, affine.V), *scaled(scaling, 0 * point.t, affine.lam)
        )
        r0, r1 = r0 - second[0], r1 - second[1]
    k0, k1 = unscaled(scaling, *quotient(scaling, r0, r1))
    push = k1 + (scaling.curl * scaling.w0 * k0)[..., None] * scaling.w1
    from_slacks = products / point.S - system.ratio * system.gap_in_slacks
    V = _solve(
        problem, system, push - system.stationarity + pulled_by(problem.rows, from_slacks)
    )
    S = _responses(problem, V) + system.gap_in_slacks
    mu = (products - point.mu * S) / point.S
    xp = array_namespace(V)
    along = xp.sum(scaling.w1 * V, axis=-1)
    force = _both(_times(problem.gram, V[0, ...] - V[1, ...]))
    return _Point(
        V=V,
        t=scaling.curl * (0.5 * scaling.eta**2 * k0 + scaling.w0 * along),
        S=S,
        # From stationarity, which then holds to rounding, whatever the blocks lost.
        lam=system.stationarity + force - pulled_by(problem.rows, mu),
        mu=mu,
    )


def _longest_step(problem: Quadratic, point: _Point, change: _Point) -> float:
    """Return the longest step that keeps everything in its cone."""
    return min(
        orthant_ratio(point.S, change.S),
        orthant_ratio(point.mu, change.mu),
        cone_ratio(point.t, point.V, change.t, change.V),
        cone_ratio(problem.beta + 0 * point.t, point.lam, 0 * point.t, change.lam),
    )


def _moved(point: _Point, change: _Point, length: float) -> _Point:
    return _Point(*[x + length * dx for x, dx in zip(point, change, strict=True)])
