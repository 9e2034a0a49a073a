"""A loss of few numbers under the constraints of few rows, by an interior-point method.

What is left of the convex program once sums over all samples stand for its loss and, for each
pattern, some rows for its cone: neurons u (2, P, d), slacks ``s = C u > 0`` with multipliers mu,
the multiplier lam of the second-order cone of each neuron, ``|lam| <= beta``, and ``a = v - w``
with ``a' G a / 2 - b' a`` for the loss, and the hinge loss of some samples near their kinks.
Newton's system, from which what belongs to these samples has been eliminated,

    H u + (+-) G a = r,        a = u_+ - u_-,

is block diagonal but for G. With ``R' R = H_+^-1 + H_-^-1`` for each pattern, ``a = R' x`` leaves
``(I + R G R') x = rhs``, whose eigenvalues are at least 1 whatever the blocks are.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from .._core.namespace import Array, array_namespace, device_of
from .._linalg import cholesky, cholesky_solve
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
from ._terms import HingeTerm

_TO_BOUNDARY = 0.99
# Corrections of a direction by its residual: more where large numbers cancel, at active kinks.
_REFINEMENTS, _MORE_REFINEMENTS = 3, 5
_STEPS = 80
_SHORTEST_STEP = 1e-5
# Steps shorter than this are replaced by one that centers.
_BLOCKED = 0.1
# Steps without progress after which rounding has the say.
_PATIENCE = 6
# Residual of stationarity, relative to beta, with which a point will do: bounds allow for it.
_STATIONARY = 1e-7


class Kinks(NamedTuple):
    """The hinge loss of some samples: gated features (k, P d), labels (k,) and weights (k,)."""

    features: Array
    y: Array
    weights: Array


class Quadratic(NamedTuple):
    """``min a' G a / 2 - b' a + beta sum |v_i| + |w_i|`` subject to ``C_i v_i, C_i w_i >= 0``.

    `gram` (P d, P d), `slope` b (P, d), `rows` C (P, m, d) of unit norm; `kinks` add their loss.
    """

    gram: Array
    slope: Array
    rows: Array
    beta: float
    kinks: Kinks

    @property
    def term(self) -> HingeTerm:
        """The loss of the samples near their kinks."""
        return HingeTerm(self.kinks.y, self.kinks.weights, 2 * self.kinks.y.shape[0])


class Solution(NamedTuple):
    """Neurons (2, P, d), multipliers (2, P, m) of the rows, slopes (k,) of the samples near kinks.

    And the number of factorizations it took.
    """

    V: Array
    mu: Array
    slopes: Array
    factorizations: int


class _Point(NamedTuple):
    V: Array
    t: Array
    S: Array
    lam: Array
    mu: Array
    parts: tuple[Array, ...]


class _System(NamedTuple):
    scaling: Scaling
    ratio: Array
    inverses: Array
    roots: Array
    basis: Array
    factor: Array
    gram: Array
    resistance: Array
    stationarity: Array
    gap_in_slacks: Array


def minimized(problem: Quadratic, gates: Array, accuracy: float) -> Solution:
    """Return the minimum, once the products of slacks and multipliers sum to at most `accuracy`.

    With many samples a cone is thin around its gate (P, d): its blocks are stiff across it and
    soft along it, by factors beyond the precision of numbers. In coordinates that begin with the
    gate this is a matter of their units, and no digits are lost.
    """
    xp = array_namespace(gates)
    identity = xp.eye(gates.shape[1], dtype=gates.dtype, device=device_of(gates))
    wide = xp.concat([gates[..., None], identity + 0 * gates[..., None]], axis=2)
    frames = xp.linalg.qr(wide, mode="reduced")[0]
    found = _minimized(_turned(problem, frames), accuracy)
    return found._replace(V=xp.matmul(frames, found.V[..., None])[..., 0])


def _turned(problem: Quadratic, frames: Array) -> Quadratic:
    """Return a problem in the coordinates of orthonormal frames (P, d, d)."""
    xp = array_namespace(frames)
    patterns, d, _ = frames.shape
    size = patterns * d
    half = xp.matmul(frames.mT, xp.reshape(problem.gram, (patterns, d, size)))
    half = xp.reshape(half, (size, size)).T
    gram = xp.reshape(xp.matmul(frames.mT, xp.reshape(half, (patterns, d, size))), (size, size))
    seen = xp.reshape(problem.kinks.features, (-1, patterns, d))
    seen = xp.matmul(xp.permute_dims(seen, (1, 0, 2)), frames)
    seen = xp.reshape(xp.permute_dims(seen, (1, 0, 2)), (-1, size))
    return problem._replace(
        gram=gram,
        slope=xp.matmul(frames.mT, problem.slope[..., None])[..., 0],
        rows=xp.matmul(problem.rows, frames),
        kinks=problem.kinks._replace(features=seen),
    )


def _minimized(problem: Quadratic, accuracy: float) -> Solution:
    point, idle, steps = _first_point(problem), 0, 0
    least = math.inf, math.inf
    while steps < _STEPS:
        left = _complementarity(problem, point), _largest(_stationarity(problem, point))
        fell = any(now < 0.9 * before for now, before in zip(left, least, strict=True))
        least = min(left[0], least[0]), min(left[1], least[1])
        idle = 0 if fell else idle + 1
        close = left[0] <= accuracy and left[1] <= _STATIONARY * problem.beta
        after = None if close or idle > _PATIENCE else _step(problem, point)
        if after is None:
            break
        point, steps = after, steps + 1
    return Solution(point.V, point.mu, point.parts[0], steps)


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
    parts = problem.term.start(_seen_by_kinks(problem, V))
    return _Point(V, t, ones, V, ones, parts)


def _largest(x: Array) -> float:
    xp = array_namespace(x)
    return float(xp.max(xp.abs(x)))


def _complementarity(problem: Quadratic, point: _Point) -> float:
    """Return the sum of products of slacks and multipliers."""
    xp = array_namespace(point.V)
    linear = xp.sum(point.S * point.mu) + problem.beta * xp.sum(point.t)
    own = problem.term.complementarity(_seen_by_kinks(problem, point.V), point.parts)
    return float(linear + xp.sum(point.lam * point.V)) + own


def _times(gram: Array, a: Array) -> Array:
    """Return ``G a`` for a (P, d)."""
    xp = array_namespace(a)
    flat = xp.matmul(gram, xp.reshape(a, (-1, 1)))
    return xp.reshape(flat, a.shape)


def _responses(problem: Quadratic, V: Array) -> Array:
    xp = array_namespace(V)
    return xp.matmul(problem.rows, V[..., None])[..., 0]


def _seen_by_kinks(problem: Quadratic, V: Array) -> Array:
    """Return the predictions (k,) for the samples near their kinks."""
    xp = array_namespace(V)
    return xp.matmul(problem.kinks.features, xp.reshape(V[0, ...] - V[1, ...], (-1,)))


def _pulled_by_kinks(problem: Quadratic, theta: Array) -> Array:
    """Return the adjoint (P, d) of the predictions for the samples near their kinks."""
    xp = array_namespace(theta)
    return xp.reshape(xp.matmul(problem.kinks.features.T, theta), problem.slope.shape)


def _both(x: Array) -> Array:
    """Return x and -x, for the neurons that add to the prediction and those that subtract."""
    return array_namespace(x).stack([x, -x])


def _stationarity(problem: Quadratic, point: _Point) -> Array:
    pull = linear_pull(problem.gram, problem.slope, point.V)
    pull = pull + _pulled_by_kinks(problem, problem.kinks.y * point.parts[0])
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
    pairs = 2 * patterns * (m + 1) + problem.term.pairs
    target = min(1.0, max(after / before, 0.0)) ** 3 * before / pairs
    direction = _direction(problem, system, point, target, affine)
    length = min(1.0, _TO_BOUNDARY * _longest_step(problem, point, direction))
    if length < _BLOCKED:
        # A product far below the others is in the way: back to where all are alike.
        direction = _direction(problem, system, point, before / pairs, None)
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
    unit = 1 / xp.sqrt(xp.sum(H * identity, axis=-1))
    scaled_H = H * unit[..., None, :] * unit[..., :, None]
    L = cholesky(scaled_H + 4 * d * float(xp.finfo(C.dtype).eps) * identity)
    if L is None:
        return None
    inverses = xp.linalg.inv(L) * unit[..., None, :]
    basis, roots = xp.linalg.qr(xp.concat([inverses[0, ...], inverses[1, ...]], axis=1))
    h = problem.term.resistance(_seen_by_kinks(problem, point.V), point.parts)
    seen = problem.kinks.features / xp.sqrt(h)[:, None]
    gram = problem.gram + xp.matmul(seen.T, seen)
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
        gram,
        h,
        _stationarity(problem, point),
        _responses(problem, point.V) - point.S,
    )


def _solve(problem: Quadratic, system: _System, b: Array, c: Array) -> tuple[Array, Array]:
    """Return u and g with ``H u + (+-) (G a + F' g) = b`` and ``F a - h g = c``, a = u_+ - u_-."""
    u, g = 0 * b, 0 * c
    rest_b, rest_c = b, c
    for _ in range(_REFINEMENTS if c.shape[0] == 0 else _MORE_REFINEMENTS):
        du = _eliminated(
            system, rest_b + _both(_pulled_by_kinks(problem, rest_c / system.resistance))
        )
        u = u + du
        g = g + (_seen_by_kinks(problem, du) - rest_c) / system.resistance
        force = _times(problem.gram, u[0, ...] - u[1, ...]) + _pulled_by_kinks(problem, g)
        rest_b = b - curvature(system.scaling, u) - _both(force)
        rest_b = rest_b - pulled_by(problem.rows, system.ratio * _responses(problem, u))
        rest_c = c - _seen_by_kinks(problem, u) + system.resistance * g
    return u, g


def _eliminated(system: _System, b: Array) -> Array:
    """Return u with ``H u + (+-) (G + F' F / h) (u_+ - u_-) = b``, as well as the factors allow."""
    xp = array_namespace(b)
    half = xp.matmul(system.inverses, b[..., None])
    seen = xp.concat([half[0, ...], -half[1, ...]], axis=1)
    rhs = xp.reshape(xp.matmul(system.basis.mT, seen), (-1, 1))
    x = xp.reshape(cholesky_solve(system.factor, rhs), (*b.shape[1:], 1))
    force = _times(system.gram, xp.matmul(system.roots.mT, x)[..., 0])
    half = xp.matmul(system.inverses, (b - _both(force))[..., None])
    return xp.matmul(system.inverses.mT, half)[..., 0]


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
    z, term = _seen_by_kinks(problem, point.V), problem.term
    seen = None if affine is None else (affine.parts, _seen_by_kinks(problem, affine.V))
    offset = term.offset(z, point.parts, target, seen)
    b = push - system.stationarity + pulled_by(problem.rows, from_slacks)
    V, g = _solve(problem, system, b, offset)
    S = _responses(problem, V) + system.gap_in_slacks
    mu = (products - point.mu * S) / point.S
    xp = array_namespace(V)
    along = xp.sum(scaling.w1 * V, axis=-1)
    force = _times(problem.gram, V[0, ...] - V[1, ...]) + _pulled_by_kinks(problem, g)
    return _Point(
        V=V,
        t=scaling.curl * (0.5 * scaling.eta**2 * k0 + scaling.w0 * along),
        S=S,
        # From stationarity, which then holds to rounding, whatever the blocks lost.
        lam=system.stationarity + _both(force) - pulled_by(problem.rows, mu),
        mu=mu,
        parts=term.change(z, point.parts, g, target, seen),
    )


def _longest_step(problem: Quadratic, point: _Point, change: _Point) -> float:
    """Return the longest step that keeps everything in its cone."""
    z, dz = _seen_by_kinks(problem, point.V), _seen_by_kinks(problem, change.V)
    return min(
        problem.term.ratio(z, point.parts, dz, change.parts) if z.shape[0] else math.inf,
        orthant_ratio(point.S, change.S),
        orthant_ratio(point.mu, change.mu),
        cone_ratio(point.t, point.V, change.t, change.V),
        cone_ratio(problem.beta + 0 * point.t, point.lam, 0 * point.t, change.lam),
    )


def _moved(point: _Point, change: _Point, length: float) -> _Point:
    V, t, S, lam, mu = (x + length * dx for x, dx in zip(point[:5], change[:5], strict=True))
    pairs = zip(point.parts, change.parts, strict=True)
    return _Point(V, t, S, lam, mu, tuple(x + length * dx for x, dx in pairs))
