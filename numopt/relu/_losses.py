"""The three losses: values, slopes, conjugates and proximal maps, sample by sample.

Each is a sum over samples with weights. `theta` stands for minus the slope in the prediction.
"""

from __future__ import annotations

import math
from typing import Protocol

from .._namespace import Array, array_namespace

# Slopes of a logistic loss closer to its ends than this are held there: their curvature is below
# what a division can use.
_LOGISTIC_EDGE = 1e-300
# Newton steps of the logistic prox once they converge quadratically.
_PROX_STEPS = 8


class Loss(Protocol):
    """A convex loss ``sum_k weights[k] l(z[k], y[k])``, everything with shape (..., n)."""

    name: str
    scales: bool  # whether (z, y) -> (t z, t y) multiplies the loss by t^2
    smooth: bool

    def value(self, z: Array, y: Array, weights: Array) -> Array:
        """Return the loss summed over samples."""
        ...

    def theta(self, z: Array, y: Array, weights: Array) -> Array:
        """Return minus a slope of the loss."""
        ...

    def admissible(self, theta: Array, y: Array, weights: Array) -> Array:
        """Return the closest theta at which the conjugate is finite."""
        ...

    def dual(self, theta: Array, y: Array, weights: Array, limit: Array) -> tuple[Array, Array]:
        """Return a scaling c in [0, limit] and the dual value ``-l*(-c theta)`` there."""
        ...

    def dual_value(self, theta: Array, y: Array, weights: Array) -> Array:
        """Return the dual value ``-l*(-theta)`` where it is finite; weights are positive."""
        ...

    def prox(self, z: Array, y: Array, weights: Array, step: Array) -> Array:
        """Return the minimizer u of ``weights l(u, y) + (u - z)^2 / (2 step)``."""
        ...


class Squared:
    """``(z - y)^2 / 2``."""

    name = "squared"
    scales = True
    smooth = True

    def value(self, z: Array, y: Array, weights: Array) -> Array:
        xp = array_namespace(z)
        return 0.5 * xp.sum(weights * (z - y) ** 2, axis=-1)

    def theta(self, z: Array, y: Array, weights: Array) -> Array:
        return weights * (y - z)

    def admissible(self, theta: Array, y: Array, weights: Array) -> Array:  # noqa: ARG002
        return theta

    def resistance(self, z: Array, y: Array, weights: Array) -> Array:  # noqa: ARG002
        """Return the inverse of the second derivative."""
        xp = array_namespace(z)
        return xp.ones_like(z) / weights

    def dual(self, theta: Array, y: Array, weights: Array, limit: Array) -> tuple[Array, Array]:
        xp = array_namespace(theta)
        linear = xp.sum(theta * y, axis=-1)
        square = xp.sum(theta * theta / weights, axis=-1)
        positive = square > 0
        best = xp.where(positive, linear, 0.0) / xp.where(positive, square, 1.0)
        c = xp.clip(xp.minimum(best, limit), 0.0, None)
        return c, c * linear - 0.5 * c * c * square

    def dual_value(self, theta: Array, y: Array, weights: Array) -> Array:
        xp = array_namespace(theta)
        return xp.sum(theta * y - 0.5 * theta * theta / weights, axis=-1)

    def prox(self, z: Array, y: Array, weights: Array, step: Array) -> Array:
        return (z + step * weights * y) / (1 + step * weights)


class Logistic:
    """``log(1 + exp(-y z))`` for labels -1 and 1."""

    name = "logistic"
    scales = False
    smooth = True

    def value(self, z: Array, y: Array, weights: Array) -> Array:
        xp = array_namespace(z)
        m = y * z
        return xp.sum(
            weights * (xp.maximum(-m, xp.zeros_like(m)) + xp.log1p(xp.exp(-xp.abs(m)))), axis=-1
        )

    def theta(self, z: Array, y: Array, weights: Array) -> Array:
        return weights * y * expit(-y * z)

    def admissible(self, theta: Array, y: Array, weights: Array) -> Array:
        return _clipped(theta, y, weights)

    def resistance(self, z: Array, y: Array, weights: Array) -> Array:
        """Return the inverse of the second derivative."""
        xp = array_namespace(z)
        share = expit(-xp.abs(y * z))
        curvature = share * (1 - share)
        tiny = float(xp.finfo(z.dtype).smallest_normal)
        return 1 / (weights * xp.clip(curvature, max(_LOGISTIC_EDGE, 10 * tiny), None))

    def dual(self, theta: Array, y: Array, weights: Array, limit: Array) -> tuple[Array, Array]:
        xp = array_namespace(theta)
        share = theta * y / weights
        c = _within(share, xp.clip(limit, None, 1.0))
        return c, self.dual_value(c[..., None] * theta, y, weights)

    def dual_value(self, theta: Array, y: Array, weights: Array) -> Array:
        xp = array_namespace(theta)
        p = xp.clip(theta * y / weights, 0.0, 1.0)
        return xp.sum(weights * (_entropy(p) + _entropy(1 - p)), axis=-1)

    def prox(self, z: Array, y: Array, weights: Array, step: Array) -> Array:
        """Solve ``p = expit(-y z - s p)`` by Newton's method for ``u + y z + s expit(u) = 0``.

        A reflection puts the root at or below zero, where the function is convex: from zero the
        steps fall monotonically, about one unit each until ``s expit(u)`` is small.
        """
        xp = array_namespace(z)
        m, s = y * z, step * weights + xp.zeros_like(z)
        below = m + 0.5 * s >= 0
        shift = xp.where(below, m, -m - s)
        u = xp.zeros_like(m)
        for _ in range(_PROX_STEPS + math.ceil(math.log1p(float(xp.max(s))))):
            p = expit(u)
            u = u - (u + shift + s * p) / (1 + s * p * (1 - p))
        p = expit(u)
        return z + y * s * xp.where(below, p, 1 - p)


class Hinge:
    """``max(0, 1 - y z)`` for labels -1 and 1."""

    name = "hinge"
    scales = False
    smooth = False

    def value(self, z: Array, y: Array, weights: Array) -> Array:
        xp = array_namespace(z)
        return xp.sum(weights * xp.clip(1 - y * z, 0.0, None), axis=-1)

    def theta(self, z: Array, y: Array, weights: Array) -> Array:
        xp = array_namespace(z)
        return xp.where(y * z < 1, weights * y, xp.zeros_like(z))

    def admissible(self, theta: Array, y: Array, weights: Array) -> Array:
        return _clipped(theta, y, weights)

    def dual(self, theta: Array, y: Array, weights: Array, limit: Array) -> tuple[Array, Array]:
        share = theta * y / weights
        c = _within(share, limit)
        return c, self.dual_value(c[..., None] * theta, y, weights)

    def dual_value(self, theta: Array, y: Array, weights: Array) -> Array:
        xp = array_namespace(theta)
        return xp.sum(weights * xp.clip(theta * y / weights, 0.0, 1.0), axis=-1)

    def prox(self, z: Array, y: Array, weights: Array, step: Array) -> Array:
        xp = array_namespace(z)
        room = 1 - y * z
        return z + y * xp.clip(xp.minimum(room, step * weights + xp.zeros_like(z)), 0.0, None)


LOSSES: dict[str, Loss] = {"squared": Squared(), "logistic": Logistic(), "hinge": Hinge()}


def _clipped(theta: Array, y: Array, weights: Array) -> Array:
    xp = array_namespace(theta)
    return y * xp.minimum(xp.clip(theta * y, 0.0, None), weights + xp.zeros_like(theta))


def _within(share: Array, limit: Array) -> Array:
    """Return the largest scaling up to `limit` that keeps shares, all >= 0, in [0, 1]."""
    xp = array_namespace(share)
    highest = xp.max(share, axis=-1)
    positive = highest > 0
    bound = xp.where(positive, 1 / xp.where(positive, highest, 1.0), 0.0)
    return xp.minimum(limit, bound)


def expit(x: Array) -> Array:
    """Return ``1 / (1 + exp(-x))`` without overflow."""
    xp = array_namespace(x)
    small = xp.exp(-xp.abs(x))
    return xp.where(x >= 0, 1 / (1 + small), small / (1 + small))


def _entropy(p: Array) -> Array:
    xp = array_namespace(p)
    positive = p > 0
    return -xp.where(positive, p * xp.log(xp.where(positive, p, xp.ones_like(p))), 0.0 * p)
