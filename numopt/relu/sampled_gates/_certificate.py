"""Both bounds of the convex program in the output weights, and the network they stand for."""

from __future__ import annotations

import math
from typing import NamedTuple

from ..._core.namespace import Array, array_namespace, widest_float
from ..._core.outcome import Check
from ..._losses.pointwise import Loss
from .._certificate import feasible_scale, network_mismatch
from .._network import network_objective
from .._problem import Data


class Lasso(NamedTuple):
    """``min loss(H a, y) + beta |a|_1`` over the samples of positive weight, H (n, N)."""

    H: Array
    y: Array
    weights: Array
    beta: float
    loss: Loss

    def objective(self, a: Array) -> float:
        """Return the objective, an upper bound of the optimum."""
        xp = array_namespace(a)
        fit = self.loss.value(xp.matmul(self.H, a), self.y, self.weights)
        return float(fit + self.beta * xp.sum(xp.abs(a)))

    def lower_bound(self, theta: Array, longest: float = math.inf) -> tuple[float, Array]:
        """Return a lower bound of the optimum, and the scaled theta that proves it.

        It is scaled by no more than `longest`.
        """
        xp = array_namespace(theta)
        theta = self.loss.admissible(theta, self.y, self.weights)
        slopes = xp.abs(xp.matmul(self.H.T, theta))
        limit = feasible_scale(slopes[None, :], self.beta, longest)[0]
        scale, value = self.loss.dual(theta, self.y, self.weights, limit)
        return float(value), scale * theta


class Certificate(NamedTuple):
    """The objective, the dual one, that of the network, and how far that is another one."""

    fun: float
    dual_fun: float
    net_fun: float
    mismatch: float

    @property
    def gap(self) -> float:
        """The gap relative to the objective."""
        return relative_gap(self.fun, self.dual_fun)


def relative_gap(fun: float, dual_fun: float) -> float:
    """Return the relative gap of two bounds, zero where rounding made them cross."""
    return 0.0 if fun <= dual_fun else (fun - dual_fun) / fun


def lasso_of(data: Data, hidden: Array, beta: float) -> Lasso:
    """Return the convex program of hidden units (d, N), in float64 where the device has it."""
    xp, wide = array_namespace(hidden), widest_float(hidden)
    (rows,) = xp.nonzero(data.weights > 0)
    H = xp.clip(xp.matmul(data.X, hidden), 0.0, None)
    return Lasso(
        xp.astype(xp.take(H, rows, axis=0), wide),
        xp.astype(xp.take(data.y[0, :], rows), wide),
        xp.astype(xp.take(data.weights, rows), wide),
        beta,
        data.loss,
    )


def neurons_of(hidden: Array, a: Array) -> Array:
    """Return hidden units (d, N) times their weights as neurons (1, 2, N, d)."""
    xp = array_namespace(a)
    return xp.clip(xp.stack([a, -a]), 0.0, None)[None, :, :, None] * hidden.T


def certificate(
    data: Data, lasso: Lasso, hidden: Array, a: Array, dual: Array, network: tuple[Array, Array]
) -> Certificate:
    """Return what is measured on the arrays returned."""
    xp, wide = array_namespace(a), lasso.H.dtype
    (rows,) = xp.nonzero(data.weights > 0)
    W1, w2 = network[0], network[1][:, None]
    return Certificate(
        lasso.objective(xp.astype(a, wide, copy=False)),
        lasso.lower_bound(xp.astype(xp.take(dual, rows), wide, copy=False), longest=1.0)[0],
        network_objective(data.X, data.y, data.weights, W1, w2, lasso.beta, data.loss),
        network_mismatch(neurons_of(hidden, a), W1, w2),
    )


def checks_of(found: Certificate, gap: float, mismatch: float) -> list[Check]:
    """Return what decides success, against the limits given."""
    return [
        Check("relative gap", found.gap, gap, "of fun"),
        Check("network mismatch", found.mismatch, mismatch, "of the largest weight"),
    ]
