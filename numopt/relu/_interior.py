"""A primal-dual interior-point method that uses the structure of the convex program.

For neurons u (2, P, d) and their norms bounded by t, slacks ``s = E X u > 0`` with multipliers mu
and the multiplier lam of the second-order cone, ``|lam| <= beta``, Newton's system is block
diagonal with one d by d block H for each neuron, plus the loss, which only sees n predictions:

    H u + (+-) X' D g = b,        sum (+-) D X u - h g = c,

with h the inverse curvature of the loss. Eliminating the neurons leaves the n by n matrix
``h + sum D X H^-1 X' D``, or one with P d rows where that is smaller: no cost grows with the 2 n P
constraints but that of forming the blocks.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

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
from ._program import Program, adjoint, combined, predictions, responses
from ._terms import Term, loss_term

# Fraction of the way to the boundary that a step goes.
_TO_BOUNDARY = 0.99
# Corrections of a direction by its residual. The blocks reach condition numbers of 1e15, and these
# remove what rounding then does to their factors; more where the loss is not solved for by samples,
# as large numbers then cancel.
_REFINEMENTS, _MORE_REFINEMENTS = 2, 5
# Steps shorter than this make no progress any more: rounding has the say.
SHORTEST_STEP = 1e-4
# Slacks and multipliers at the start, in normalized units: tuned on breast cancer with the three
# losses, where a tenth or ten times of either took up to half as many more iterations.
_FIRST_SLACK, _FIRST_MULTIPLIER = 1.0, 1.0
# Up to so many samples their matrix is factored, even where that of the neurons is smaller: the
# latter loses digits where the loss has kinks.
_FEW_SAMPLES = 2500
# Entries of the n by P d factor of the loss that are formed at once.
_CHUNK_ENTRIES = 16_000_000


class Point(NamedTuple):
    """An iterate, or a change of one: neurons, their bounds t, slacks, multipliers, loss terms.

    `XV` are the responses of `V`, `step` is the length of the step that led here.
    """

    V: Array
    t: Array
    S: Array
    lam: Array
    mu: Array
    parts: tuple[Array, ...]
    XV: Array
    step: float = 1.0


class System(NamedTuple):
    """Newton's system at an iterate, factored, and the residuals of the two linear equations."""

    scaling: Scaling
    ratio: Array
    inverses: Array
    resistance: Array
    basis: Array
    factor: Array
    by_samples: bool
    stationarity: Array
    gap_in_slacks: Array


class Target(NamedTuple):
    """Where the products of slacks and multipliers should go, and what the last try left."""

    value: float
    affine: Point | None


def first_point(problem: Program) -> Point:
    """Return a point well inside all cones; it satisfies no equation yet."""
    xp, device, dtype = array_namespace(problem.X), device_of(problem.X), problem.X.dtype
    n, d, patterns = problem.shape

    def full(shape: tuple[int, ...], value: float) -> Array:
        return xp.full(shape, value, dtype=dtype, device=device)

    V = full((2, patterns, d), 0.0)
    XV = full((2, patterns, n), 0.0)
    return Point(
        V=V,
        t=full((2, patterns), _FIRST_SLACK * _FIRST_MULTIPLIER / problem.beta),
        S=full((2, patterns, n), _FIRST_SLACK),
        lam=V,
        mu=full((2, patterns, n), _FIRST_MULTIPLIER),
        parts=loss_term(problem).start(predictions(problem, XV)),
        XV=XV,
    )


def interior_step(problem: Program, point: Point) -> Point:
    """Return the next iterate: a predictor, then a centered and corrected direction."""
    term = loss_term(problem)
    system = _factored(problem, term, point)
    if system is None:
        return point._replace(step=0.0)
    affine = _direction(problem, term, system, point, Target(0.0, None))
    length = min(1.0, _longest_step(problem, term, point, affine))
    before = _complementarity(problem, term, point)
    after = _complementarity(problem, term, _moved(point, affine, length))
    share = min(1.0, max(after / before, 0.0)) ** 3
    target = Target(share * before / _pairs(problem, term), affine)
    direction = _direction(problem, term, system, point, target)
    length = min(1.0, _TO_BOUNDARY * _longest_step(problem, term, point, direction))
    moved = _moved(point, direction, length)
    return (
        moved if math.isfinite(_complementarity(problem, term, moved)) else point._replace(step=0.0)
    )


def theta_of(problem: Program, point: Point) -> Array:
    """Return minus the slope of the loss at an iterate, (n,)."""
    return loss_term(problem).theta(predictions(problem, point.XV), point.parts)


def _factored(problem: Program, term: Any, point: Point) -> System | None:
    """Return the factored system at an iterate; None where rounding leaves no factor."""
    xp = array_namespace(point.V)
    z = predictions(problem, point.XV)
    theta = term.theta(z, point.parts)
    scaling = second_order_scaling(point.t, point.V, problem.beta, point.lam)
    ratio = point.mu / point.S
    inverses = _inverse_factors(problem, scaling, ratio)
    if inverses is None:
        return None
    h = term.resistance(z, point.parts)
    basis = _basis(problem, inverses)
    by_samples = basis.shape[1] <= max(basis.shape[0], _FEW_SAMPLES)
    if by_samples:
        matrix = xp.matmul(basis.T, basis) + _diagonal(h)
    else:
        matrix = xp.matmul(basis / h[None, :], basis.T) + _diagonal(xp.ones_like(basis[:, 0]))
    factor = cholesky(matrix)
    if factor is None:
        return None
    stationarity = -adjoint(problem, theta) - combined(problem, problem.signs * point.mu)
    return System(
        scaling,
        ratio,
        inverses,
        h,
        basis,
        factor,
        by_samples,
        stationarity - point.lam,
        problem.signs * point.XV - point.S,
    )


def _diagonal(x: Array) -> Array:
    xp = array_namespace(x)
    return xp.eye(x.shape[0], dtype=x.dtype, device=device_of(x)) * x[None, :]


def _inverse_factors(problem: Program, scaling: Scaling, ratio: Array) -> Array | None:
    """Return the inverses of the Cholesky factors of the blocks, (2, P, d, d)."""
    xp = array_namespace(ratio)
    X, (n, d, patterns) = problem.X, problem.shape
    identity = xp.eye(d, dtype=X.dtype, device=device_of(X))
    weights = xp.reshape(ratio, (2 * patterns, n))
    size = max(1, _CHUNK_ENTRIES // (n * d))
    blocks = [
        xp.matmul(
            (weights[k : min(k + size, 2 * patterns), :, None] * X[None, :, :]).mT, X[None, :, :]
        )
        for k in range(0, 2 * patterns, size)
    ]
    H = xp.reshape(xp.concat(blocks), (2, patterns, d, d)) + curvature_blocks(scaling, identity)
    eps = float(xp.finfo(X.dtype).eps)
    trace = xp.sum(H * identity, axis=(-2, -1))
    L = cholesky(H + (4 * eps * trace)[..., None, None] * identity)
    return None if L is None else xp.linalg.inv(L)


def _basis(problem: Program, inverses: Array) -> Array:
    """Return R, (P d, n), such that ``R' R = sum (+-) D X H^-1 X' D`` over all neurons."""
    xp = array_namespace(inverses)
    n, d, patterns = problem.shape
    pairs = xp.concat([inverses[0, ...], inverses[1, ...]], axis=1)
    # Both neurons of a pattern see the loss through one factor of the sum of their inverses.
    R = xp.linalg.qr(pairs, mode="reduced")[1]
    rows = xp.matmul(xp.reshape(R, (patterns * d, d)), problem.X.T)
    masked = xp.reshape(rows, (patterns, d, n)) * problem.active[:, None, :]
    return xp.reshape(masked, (patterns * d, n))


def _solve_loss(system: System, rhs: Array) -> Array:
    """Return g with ``(h + R' R) g = rhs``."""
    xp = array_namespace(rhs)
    if system.by_samples:
        return cholesky_solve(system.factor, rhs)
    h, R = system.resistance, system.basis
    return (rhs - xp.matmul(R.T, cholesky_solve(system.factor, xp.matmul(R, rhs / h)))) / h


def _apply_inverse(system: System, b: Array) -> Array:
    """Return ``H^-1 b`` for each neuron."""
    xp = array_namespace(b)
    half = xp.matmul(system.inverses, b[..., None])
    return xp.matmul(system.inverses.mT, half)[..., 0]


def _solve(problem: Program, system: System, b: Array, c: Array) -> tuple[Array, Array]:
    """Return u and g with ``H u + (+-) X' D g = b`` and ``sum (+-) D X u - h g = c``."""
    u, g = 0 * b, 0 * c
    rest_b, rest_c = b, c
    for _ in range(_REFINEMENTS if system.by_samples else _MORE_REFINEMENTS):
        first = _apply_inverse(system, rest_b)
        rhs = predictions(problem, responses(problem, first)) - rest_c
        dg = _solve_loss(system, rhs)
        u = u + _apply_inverse(system, rest_b - adjoint(problem, dg))
        g = g + dg
        Xu = responses(problem, u)
        rest_b = b - curvature(system.scaling, u) - combined(problem, system.ratio * Xu)
        rest_b = rest_b - adjoint(problem, g)
        rest_c = c - predictions(problem, Xu) + system.resistance * g
    return u, g


def _direction(problem: Program, term: Any, system: System, point: Point, target: Target) -> Point:
    """Return the change that satisfies the linear equations and moves the products to a target."""
    scaling, affine = system.scaling, target.affine
    z = predictions(problem, point.XV)
    seen = None if affine is None else (affine.parts, predictions(problem, affine.XV))
    products = target.value - point.S * point.mu
    r0, r1 = product(scaling.middle0, scaling.middle1, scaling.middle0, scaling.middle1)
    r0, r1 = target.value - r0, -r1
    if affine is not None:
        products = products - affine.S * affine.mu
        second = product(
            *unscaled(scaling, affine.t, affine.V), *scaled(scaling, 0 * point.t, affine.lam)
        )
        r0, r1 = r0 - second[0], r1 - second[1]
    k0, k1 = unscaled(scaling, *quotient(scaling, r0, r1))
    push = k1 + (scaling.curl * scaling.w0 * k0)[..., None] * scaling.w1
    from_slacks = problem.signs * (products / point.S - system.ratio * system.gap_in_slacks)
    b = push - system.stationarity + combined(problem, from_slacks)
    offset = term.offset(z, point.parts, target.value, seen)
    V, g = _solve(problem, system, b, offset)
    XV = responses(problem, V)
    S = problem.signs * XV + system.gap_in_slacks
    mu = (products - point.mu * S) / point.S
    xp = array_namespace(V)
    along = xp.sum(scaling.w1 * V, axis=-1)
    return Point(
        V=V,
        t=scaling.curl * (0.5 * scaling.eta**2 * k0 + scaling.w0 * along),
        S=S,
        # From stationarity, which then holds to rounding, whatever the blocks lost.
        lam=system.stationarity + adjoint(problem, g) - combined(problem, problem.signs * mu),
        mu=mu,
        parts=term.change(z, point.parts, g, target.value, seen),
        XV=XV,
    )


def _longest_step(problem: Program, term: Term, point: Point, change: Point) -> float:
    """Return the longest step that keeps everything in its cone."""
    z, dz = predictions(problem, point.XV), predictions(problem, change.XV)
    return min(
        orthant_ratio(point.S, change.S),
        orthant_ratio(point.mu, change.mu),
        cone_ratio(point.t, point.V, change.t, change.V),
        cone_ratio(problem.beta + 0 * point.t, point.lam, 0 * point.t, change.lam),
        term.ratio(z, point.parts, dz, change.parts),
    )


def _moved(point: Point, change: Point, length: float) -> Point:
    V, t, S, lam, mu = (x + length * dx for x, dx in zip(point[:5], change[:5], strict=True))
    pairs = zip(point.parts, change.parts, strict=True)
    parts = tuple(x + length * dx for x, dx in pairs)
    return Point(V, t, S, lam, mu, parts, point.XV + length * change.XV, length)


def _pairs(problem: Program, term: Term) -> int:
    """Return the number of products of a slack and its multiplier."""
    n, _, patterns = problem.shape
    return 2 * patterns * (n + 1) + term.pairs


def _complementarity(problem: Program, term: Term, point: Point) -> float:
    """Return the sum of products of slacks and multipliers."""
    xp = array_namespace(point.V)
    linear = xp.sum(point.S * point.mu) + problem.beta * xp.sum(point.t)
    own: float = term.complementarity(predictions(problem, point.XV), point.parts)
    return float(linear + xp.sum(point.lam * point.V)) + own
