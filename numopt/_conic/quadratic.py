"""A loss of few numbers under the constraints of few rows: a quadratic program with norms.

    min  a' G a / 2 - b' a + beta sum |v_i| + |w_i|     subject to  C_i v_i, C_i w_i >= 0

with ``a = v - w``, and the hinge loss of some samples near their non-smooth points. Newton's
system, from which what belongs to these samples has been eliminated,

    H u + (+-) G a = r,        a = u_+ - u_-,

is block diagonal but for G. With ``R' R = H_+^-1 + H_-^-1`` for each pattern, ``a = R' x`` leaves
``(I + R G R') x = rhs``, whose eigenvalues are at least 1 whatever the blocks are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from .._core.namespace import Array, array_namespace, device_of
from .._linalg import cholesky, cholesky_solve
from .cones import Scaling, curvature_blocks
from .groups import (
    Groups,
    Solver,
    first_point,
    in_cones,
    newton_step,
    stationarity,
    theta_of,
)
from .losses import HingeTerm
from .predictor_corrector import Patience, complementarity
from .systems import inverse_factors

# Corrections of a direction by its residual: more where large numbers cancel, at active hinges.
_CORRECTIONS, _MORE_CORRECTIONS = 2, 4
_STEPS = 80
# Steps shorter than this are replaced by one that centers: a product far below the others is in
# the way.
_BLOCKED = 0.1
# Steps without progress after which rounding has the say.
_PATIENCE = 6
# Residual of stationarity, relative to beta, with which a point will do: bounds allow for it.
_STATIONARY = 1e-7


class Hinges(NamedTuple):
    """The hinge loss of some samples: features (k, P d), labels -1 and 1 (k,), weights (k,)."""

    features: Array
    y: Array
    weights: Array


class Solution(NamedTuple):
    """Neurons (2, P, d), multipliers (2, P, m) of the rows, slopes (k,) of the hinge losses.

    And the number of factorizations it took.
    """

    V: Array
    mu: Array
    slopes: Array
    factorizations: int


class Quadratic(NamedTuple):
    """A program: `gram` G (P d, P d), `linear` b (P, d), `rows` C (P, m, d) of unit norm."""

    gram: Array
    linear: Array
    rows: Array
    beta: float
    hinges: Hinges


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
    found = _minimized(_rotated(problem, frames), accuracy)
    return found._replace(V=xp.matmul(frames, found.V[..., None])[..., 0])


def _rotated(problem: Quadratic, frames: Array) -> Quadratic:
    """Return a problem in the coordinates of orthonormal frames (P, d, d)."""
    xp = array_namespace(frames)
    patterns, d, _ = frames.shape
    size = patterns * d
    half = xp.matmul(frames.mT, xp.reshape(problem.gram, (patterns, d, size)))
    half = xp.reshape(half, (size, size)).T
    gram = xp.reshape(xp.matmul(frames.mT, xp.reshape(half, (patterns, d, size))), (size, size))
    seen = xp.reshape(problem.hinges.features, (-1, patterns, d))
    seen = xp.matmul(xp.permute_dims(seen, (1, 0, 2)), frames)
    seen = xp.reshape(xp.permute_dims(seen, (1, 0, 2)), (-1, size))
    return problem._replace(
        gram=gram,
        linear=xp.matmul(frames.mT, problem.linear[..., None])[..., 0],
        rows=xp.matmul(problem.rows, frames),
        hinges=problem.hinges._replace(features=seen),
    )


def _groups(problem: Quadratic) -> Groups:
    """Return the program as a problem over groups, its neurons (2, P, d)."""
    hinges, (patterns, d) = problem.hinges, problem.linear.shape
    xp = array_namespace(problem.linear)

    def predictions(u: Array) -> Array:
        return xp.matmul(hinges.features, xp.reshape(u[0, ...] - u[1, ...], (-1,)))

    def adjoint(theta: Array) -> Array:
        return xp.reshape(xp.matmul(hinges.features.T, theta), (patterns, d))

    def solver(scaling: Scaling, ratio: Array, h: Array) -> Solver | None:
        solve = _eliminated(problem, scaling, ratio, h)
        if solve is None:
            return None

        def with_hinges(b: Array, c: Array) -> tuple[Array, Array]:
            u = solve(b + _both(adjoint(c / h)))
            return u, (predictions(u) - c) / h

        return with_hinges

    return Groups(
        beta=problem.beta,
        term=HingeTerm(hinges.y, hinges.weights),
        image=lambda u: (xp.matmul(problem.rows, u[..., None])[..., 0], predictions(u)),
        adjoint=lambda mu: constraint_gradient(problem.rows, mu),
        gradient=lambda u, theta: _both(
            _times(problem.gram, u[0, ...] - u[1, ...]) - adjoint(theta)
        ),
        constant=_both(-problem.linear),
        solver=solver,
        corrections=_MORE_CORRECTIONS if hinges.y.shape[0] else _CORRECTIONS,
    )


def _eliminated(
    problem: Quadratic, scaling: Scaling, ratio: Array, h: Array
) -> Callable[[Array], Array] | None:
    """Return what solves ``H u + (+-) (G + F' F / h) (u_+ - u_-) = b``, None without a factor."""
    xp, C = array_namespace(ratio), problem.rows
    patterns, _, d = C.shape
    identity = xp.eye(d, dtype=C.dtype, device=device_of(C))
    H = xp.matmul((C * ratio[..., None]).mT, C) + curvature_blocks(scaling, identity)
    inverses = inverse_factors(H)
    if inverses is None:
        return None
    basis, roots = xp.linalg.qr(xp.concat([inverses[0, ...], inverses[1, ...]], axis=1))
    seen = problem.hinges.features / xp.sqrt(h)[:, None]
    gram = problem.gram + xp.matmul(seen.T, seen)
    half = xp.matmul(roots, xp.reshape(gram, (patterns, d, patterns * d)))
    half = xp.permute_dims(xp.reshape(half, (patterns * d, patterns, d)), (1, 2, 0))
    whole = xp.reshape(xp.matmul(roots, half), (patterns * d, patterns * d))
    whole = 0.5 * (whole + whole.T)
    factor = cholesky(xp.eye(patterns * d, dtype=C.dtype, device=device_of(C)) + whole)
    if factor is None:
        return None

    def solve(b: Array) -> Array:
        half = xp.matmul(inverses, b[..., None])
        both = xp.concat([half[0, ...], -half[1, ...]], axis=1)
        rhs = xp.reshape(xp.matmul(basis.mT, both), (-1, 1))
        x = xp.reshape(cholesky_solve(factor, rhs), (patterns, d, 1))
        change = _times(gram, xp.matmul(roots.mT, x)[..., 0])
        half = xp.matmul(inverses, (b - _both(change))[..., None])
        return xp.matmul(inverses.mT, half)[..., 0]

    return solve


def _minimized(problem: Quadratic, accuracy: float) -> Solution:
    groups = _groups(problem)
    point, patience, steps = first_point(groups, _both(0 * problem.linear)), Patience(), 0
    while steps < _STEPS:
        products = float(complementarity(in_cones(point)))
        residual = stationarity(groups, point)
        largest = float(array_namespace(residual).max(array_namespace(residual).abs(residual)))
        idle = patience.note(products, largest)
        if idle > _PATIENCE or (products <= accuracy and largest <= _STATIONARY * problem.beta):
            break
        after = newton_step(groups, point, recenter_below=_BLOCKED)
        if after.stuck:
            break
        # What rows and samples see is computed anew: few products, and no rounding adds up.
        point = after.point._replace(image=groups.image(after.point.u))
        steps += 1
    slopes = problem.hinges.y * theta_of(groups, point)
    return Solution(point.u, point.multiplier, slopes, steps)


def negative_gradient(gram: Array, linear: Array, V: Array) -> Array:
    """Return ``b - G a`` (P, d) for neurons (2, P, d)."""
    return linear - _times(gram, V[0, ...] - V[1, ...])


def constraint_gradient(rows: Array, mu: Array) -> Array:
    """Return ``C' mu`` (2, P, d) for multipliers (2, P, m)."""
    xp = array_namespace(mu)
    return xp.matmul(rows.mT, mu[..., None])[..., 0]


def _times(gram: Array, a: Array) -> Array:
    """Return ``G a`` for a (P, d)."""
    xp = array_namespace(a)
    return xp.reshape(xp.matmul(gram, xp.reshape(a, (-1, 1))), a.shape)


def _both(x: Array) -> Array:
    """Return x and -x, for the neurons that add to the prediction and those that subtract."""
    return array_namespace(x).stack([x, -x])
