"""A primal-dual interior-point method for the output weights of given hidden units.

For ``min loss(H a, y) + beta |a|_1`` with ``a = p - q`` and ``p, q >= 0``; its Newton systems have
one row for each sample.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from ..._conic.cones import orthant_residual
from ..._conic.losses import Term, loss_term
from ..._conic.predictor_corrector import Iterate, Pairs, predictor_corrector
from ..._conic.systems import diagonal_plus_gram
from ..._core.iterate import Callback, Record, Run, iterate
from ..._core.namespace import Array, array_namespace, device_of
from ..._core.outcome import Status
from ._certificate import Lasso, relative_gap

# Fraction of the way to the boundary that a step goes: with orthants only, steps to 0.99 of it took
# two in a hundred more on samples of 50 to 300 with three losses.
_TO_BOUNDARY = 0.995
# Corrections of a direction by its residual.
_CORRECTIONS = 4
# Weights below this share of the largest cost more than they are worth: rounding errors of zeros.
_TINY = 1e-9


class Bounds:
    """The best weights and the best dual point so far."""

    def __init__(self, lasso: Lasso) -> None:
        self._lasso = lasso
        self.fun, self.dual_fun = math.inf, -math.inf
        self.a: Array = None
        self.dual: Array = None

    def note(self, a: Array, theta: Array) -> None:
        """Take note of weights, of zero weights, and of a dual point."""
        for weights in (a, 0 * a):
            value = self._lasso.objective(weights)
            if value < self.fun:
                self.fun, self.a = value, weights
        value, scaled = self._lasso.lower_bound(theta)
        if value > self.dual_fun:
            self.dual_fun, self.dual = value, scaled

    def weights(self, dtype: Any) -> Array:
        """Return the best weights in a dtype, zero where they are but for rounding."""
        xp = array_namespace(self.a)
        a = xp.astype(self.a, dtype)
        return xp.where(xp.abs(a) > _TINY * xp.max(xp.abs(a)), a, 0 * a)


class _Point(NamedTuple):
    """Weights (2, N) of both signs, their multipliers, the pairs of the loss, and H a."""

    p: Array
    s: Array
    loss: Pairs
    z: Array


def solve(
    lasso: Lasso, tol: float, maxiter: int, callback: Callback | None
) -> tuple[Bounds, Run[Any]]:
    """Return the best bounds, and the run that found them."""
    bounds, term = Bounds(lasso), loss_term(lasso.loss, lasso.y, lasso.weights)

    def measure(now: Iterate[_Point]) -> Record:
        point = now.point
        bounds.note(point.p[0, :] - point.p[1, :], term.theta(point.z, point.loss))
        gap = relative_gap(bounds.fun, bounds.dual_fun)
        return {"error": gap, "fun": bounds.fun, "dual_fun": bounds.dual_fun}

    run = iterate(
        Iterate(_first_point(lasso, term)),
        lambda now: _step(lasso, term, now.point),
        measure,
        tol=tol,
        maxiter=maxiter,
        callback=callback,
        give_up=lambda now: Status.PRECISION_LIMIT if now.stuck else None,
    )
    return bounds, run


def _first_point(lasso: Lasso, term: Term) -> _Point:
    """Return a point with the multipliers of the zero network and equal weights of both signs."""
    xp, (n, N) = array_namespace(lasso.H), lasso.H.shape
    z = xp.zeros((n,), dtype=lasso.H.dtype, device=device_of(lasso.H))
    loss = term.start(z)
    size = xp.sqrt(xp.mean(lasso.y**2)) / xp.sqrt(xp.mean(lasso.H**2) * N + 1e-300)
    p = size + xp.zeros((2, N), dtype=lasso.H.dtype, device=device_of(lasso.H))
    slope = xp.max(xp.abs(xp.matmul(lasso.H.T, term.theta(z, loss))))
    return _Point(xp.where(p > 0, p, xp.ones_like(p)), lasso.beta + slope + 0 * p, loss, z)


def _in_cones(point: _Point) -> Pairs:
    return ((point.p, point.s), *point.loss)


def _step(lasso: Lasso, term: Term, point: _Point) -> Iterate[_Point]:
    """Return the next iterate."""
    xp, H = array_namespace(point.p), lasso.H
    h, W = term.resistance(point.z, point.loss), xp.sum(point.p / point.s, axis=0)
    # With more samples than weights the system is one of weights, whose curvature vanishes for
    # those that stay.
    solver = diagonal_plus_gram(h, xp.sqrt(W)[:, None] * H.T, H.shape[0] <= H.shape[1])
    if solver is None:
        return Iterate(point, 0.0)
    residual = lasso.beta - _both(xp.matmul(H.T, term.theta(point.z, point.loss))) - point.s

    def refined(rhs: Array) -> Array:
        g = solver(rhs)
        for _ in range(_CORRECTIONS):
            g = g + solver(rhs - h * g - xp.matmul(H, W * xp.matmul(H.T, g)))
        return g

    def direction(target: Any, affine: _Point | None) -> _Point:
        pair, own = (None, None) if affine is None else ((affine.p, affine.s), affine.loss)
        products = orthant_residual((point.p, point.s), target, pair)
        free = (products - point.p * residual) / point.s
        offset = term.offset(point.z, point.loss, target, own)
        g = refined(xp.matmul(H, free[0, :] - free[1, :]) - offset)
        s = residual + _both(xp.matmul(H.T, g))
        p = (products - point.p * s) / point.s
        z = xp.matmul(H, p[0, :] - p[1, :])
        return _Point(p, s, term.change(point.loss, g, z, target, own), z)

    return predictor_corrector(point, _in_cones, direction, fraction=_TO_BOUNDARY)


def _both(x: Array) -> Array:
    return array_namespace(x).stack([x, -x])
