"""Losses of residuals: weighted sums of p-th powers, and slopes above and below zero for p = 1."""

from __future__ import annotations

from typing import NamedTuple

from .._core.namespace import Array, array_namespace, inner


class Loss(NamedTuple):
    """``sum_i w_i |r_i|^p``, or for p = 1 slopes `up` above and `down` below zero; (n,) each."""

    p: float
    weights: Array
    up: Array = None
    down: Array = None

    def value(self, residual: Array) -> float:
        """Return the loss of a residual (n,), computed from its largest entry: no overflow."""
        xp = array_namespace(residual)
        if self.up is not None:
            return inner(xp.where(residual > 0, self.up, -self.down), residual)
        size = xp.abs(residual)
        largest = float(xp.max(size))
        if largest == 0:
            return 0.0
        return inner(self.weights, (size / largest) ** self.p) * float(largest**self.p)

    def row_scale(self) -> Array:
        """Return factors c (n,) with ``sum_i |c_i r_i|^p`` at most the loss of r."""
        xp = array_namespace(self.weights)
        if self.up is not None:
            return xp.minimum(self.up, self.down)
        return self.weights ** (1 / self.p)


def dual_norm(loss: Loss, y: Array) -> float:
    """Return the largest ``y'r`` over residuals whose loss is 1, p > 1."""
    xp = array_namespace(y)
    q = loss.p / (loss.p - 1)
    scaled = xp.abs(y) / loss.weights ** (1 / loss.p)
    largest = float(xp.max(scaled))
    if largest == 0:
        return 0.0
    return float(largest * float(xp.sum((scaled / largest) ** q)) ** (1 / q))
