"""Losses of a prediction z for a target y: values, slopes, curvatures, conjugates, proximal maps.

What is elementwise has no weights; sums over samples, along the last axis, have them. `theta` is
minus the slope of the weighted loss in the prediction.
"""

from __future__ import annotations

import math
from typing import Protocol

from .._core.namespace import Array, array_namespace

# Slopes of a logistic loss closer to its ends than this are held there: their curvature is below
# what a division can use.
_LOGISTIC_EDGE = 1e-300
# Newton steps of the logistic prox once they converge quadratically.
_PROX_STEPS = 8


class Pointwise:
    """What values, slopes and curvatures make of a weighted sum over samples, shape (..., n)."""

    def values(self, z: Array, y: Array) -> Array:
        """Return the loss of each sample."""
        raise NotImplementedError

    def slopes(self, z: Array, y: Array) -> Array:
        """Return a derivative of each in z."""
        raise NotImplementedError

    def value(self, z: Array, y: Array, weights: Array) -> Array:
        """Return the loss summed over samples."""
        return array_namespace(z).sum(weights * self.values(z, y), axis=-1)

    def theta(self, z: Array, y: Array, weights: Array) -> Array:
        """Return minus a slope of the weighted loss."""
        return -weights * self.slopes(z, y)


class Smooth(Pointwise):
    """A loss with second derivatives."""

    def curvatures(self, z: Array, y: Array) -> Array:
        """Return the second derivative of each in z."""
        raise NotImplementedError

    def resistance(self, z: Array, y: Array, weights: Array) -> Array:
        """Return the inverse of the second derivative of the weighted loss."""
        xp = array_namespace(z)
        least = max(_LOGISTIC_EDGE, 10 * float(xp.finfo(z.dtype).smallest_normal))
        return 1 / (weights * xp.clip(self.curvatures(z, y), least, None))


class Loss(Protocol):
    """A convex loss ``sum_k weights[k] l(z[k], y[k])`` with a conjugate and a proximal map."""

    name: str
    scales: bool  # whether (z, y) -> (t z, t y) multiplies the loss by t^2
    smooth: bool

    def value(self, z: Array, y: Array, weights: Array) -> Array:
        """Return the loss summed over samples."""
        ...

    def theta(self, z: Array, y: Array, weights: Array) -> Array:
        """Return minus a slope of the weighted loss."""
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


class Squared(Smooth):
    """``(z - y)^2 / 2``."""

    name = "squared"
    scales = True
    smooth = True

    def values(self, z: Array, y: Array) -> Array:
        return 0.5 * (z - y) ** 2

    def slopes(self, z: Array, y: Array) -> Array:
        return z - y

    def curvatures(self, z: Array, y: Array) -> Array:  # noqa: ARG002
        return array_namespace(z).ones_like(z)

    def admissible(self, theta: Array, y: Array, weights: Array) -> Array:  # noqa: ARG002
        return theta

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


class Logistic(Smooth):
    """``log(1 + exp(-y z))`` for labels -1 and 1."""

    name = "logistic"
    scales = False
    smooth = True

    def values(self, z: Array, y: Array) -> Array:
        xp = array_namespace(z)
        m = y * z
        return xp.log1p(xp.exp(-xp.abs(m))) - xp.minimum(m, 0 * m)

    def slopes(self, z: Array, y: Array) -> Array:
        return -y * expit(-y * z)

    def curvatures(self, z: Array, y: Array) -> Array:
        share = expit(-array_namespace(z).abs(y * z))
        return share * (1 - share)

    def admissible(self, theta: Array, y: Array, weights: Array) -> Array:
        return _clipped(theta, y, weights)

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


class Hinge(Pointwise):
    """``max(0, 1 - y z)`` for labels -1 and 1."""

    name = "hinge"
    scales = False
    smooth = False

    def values(self, z: Array, y: Array) -> Array:
        return array_namespace(z).clip(1 - y * z, 0.0, None)

    def slopes(self, z: Array, y: Array) -> Array:
        xp = array_namespace(z)
        return xp.where(y * z < 1, -y + xp.zeros_like(z), xp.zeros_like(z))

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


class Poisson(Smooth):
    """``exp(z) - y z`` for counts."""

    name = "poisson"
    scales = False
    smooth = True

    def values(self, z: Array, y: Array) -> Array:
        return array_namespace(z).exp(z) - y * z

    def slopes(self, z: Array, y: Array) -> Array:
        return array_namespace(z).exp(z) - y

    def curvatures(self, z: Array, y: Array) -> Array:  # noqa: ARG002
        return array_namespace(z).exp(z)


class Huber(Smooth):
    """``r^2 / 2`` for residuals r up to the threshold t, else ``t (|r| - t / 2)``."""

    name = "huber"
    scales = False
    smooth = True

    def __init__(self, threshold: float = 1.0) -> None:
        self.threshold = threshold

    def values(self, z: Array, y: Array) -> Array:
        inside = self.slopes(z, y)
        return inside * (z - y - inside / 2)

    def slopes(self, z: Array, y: Array) -> Array:
        return array_namespace(z).clip(z - y, -self.threshold, self.threshold)

    def curvatures(self, z: Array, y: Array) -> Array:
        xp = array_namespace(z)
        return xp.astype(xp.abs(z - y) <= self.threshold, z.dtype)


# Those with a conjugate.
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
