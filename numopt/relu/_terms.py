"""The loss inside the interior-point method: its slope, its resistance and its own slacks."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from .._core.namespace import Array, array_namespace
from ._cones import orthant_ratio
from ._program import Program

Parts = tuple[Array, ...]


class SmoothTerm(NamedTuple):
    """A loss with two derivatives: Newton's model of it, and no variables of its own."""

    loss: Any
    y: Array
    weights: Array
    pairs: int = 0

    def start(self, z: Array) -> Parts:  # noqa: ARG002
        """Return the first values of the loss's own variables."""
        return ()

    def theta(self, z: Array, parts: Parts) -> Array:  # noqa: ARG002
        """Return minus the slope."""
        return self.loss.theta(z, self.y, self.weights)

    def resistance(self, z: Array, parts: Parts) -> Array:  # noqa: ARG002
        """Return the change of the prediction for a unit change of the slope."""
        return self.loss.resistance(z, self.y, self.weights)

    def offset(self, z: Array, parts: Parts, target: float, affine: Any) -> Array:  # noqa: ARG002
        """Return the change of the prediction that comes without a change of the slope."""
        return 0 * z

    def change(self, *_: Any) -> Parts:
        """Return the change of the loss's own variables for a change g of the slope."""
        return ()

    def ratio(self, z: Array, parts: Parts, dz: Array, changes: Parts) -> float:  # noqa: ARG002
        """Return the longest step that keeps the loss's own slacks positive."""
        return math.inf

    def complementarity(self, z: Array, parts: Parts) -> float:  # noqa: ARG002
        """Return the sum of products of the loss's own slacks and multipliers."""
        return 0.0


class HingeTerm(NamedTuple):
    """The hinge loss as ``min sum weights xi`` with ``xi >= 0`` and ``xi >= 1 - y z``.

    Its variables are the multiplier p of the second, between 0 and the weight, and xi.
    """

    y: Array
    weights: Array
    pairs: int

    def start(self, z: Array) -> Parts:
        """Return the first values of the loss's own variables."""
        xp = array_namespace(z)
        return 0.5 * self.weights + 0 * z, xp.clip(1 - self.y * z, 0.0, None) + 1

    def _slacks(self, z: Array, parts: Parts) -> tuple[Array, Array]:
        return parts[1], parts[1] - 1 + self.y * z

    def _targets(self, z: Array, parts: Parts, target: float, affine: Any) -> tuple[Array, Array]:
        """Return what the products of both slacks with their multipliers are to change by."""
        p = parts[0]
        above, beyond = self._slacks(z, parts)
        first, second = target - above * (self.weights - p), target - beyond * p
        if affine is not None:
            (dp, dxi), dz = affine
            first, second = first + dxi * dp, second - (dxi + self.y * dz) * dp
        return first, second

    def theta(self, z: Array, parts: Parts) -> Array:  # noqa: ARG002
        """Return minus the slope."""
        return self.y * parts[0]

    def resistance(self, z: Array, parts: Parts) -> Array:
        """Return the change of the prediction for a unit change of the slope."""
        above, beyond = self._slacks(z, parts)
        return beyond / parts[0] + above / (self.weights - parts[0])

    def offset(self, z: Array, parts: Parts, target: float, affine: Any) -> Array:
        """Return the change of the prediction that comes without a change of the slope."""
        first, second = self._targets(z, parts, target, affine)
        return self.y * (second / parts[0] - first / (self.weights - parts[0]))

    def change(self, z: Array, parts: Parts, g: Array, target: float, affine: Any) -> Parts:
        """Return the change of the loss's own variables for a change g of the slope."""
        first, _ = self._targets(z, parts, target, affine)
        dp = -self.y * g
        return dp, (first + parts[1] * dp) / (self.weights - parts[0])

    def ratio(self, z: Array, parts: Parts, dz: Array, changes: Parts) -> float:
        """Return the longest step that keeps the loss's own slacks positive."""
        above, beyond = self._slacks(z, parts)
        dp, dxi = changes
        return min(
            orthant_ratio(above, dxi),
            orthant_ratio(beyond, dxi + self.y * dz),
            orthant_ratio(parts[0], dp),
            orthant_ratio(self.weights - parts[0], -dp),
        )

    def complementarity(self, z: Array, parts: Parts) -> float:
        """Return the sum of products of the loss's own slacks and multipliers."""
        xp = array_namespace(z)
        above, beyond = self._slacks(z, parts)
        return float(xp.sum(above * (self.weights - parts[0]) + beyond * parts[0]))


Term = SmoothTerm | HingeTerm


def loss_term_of(loss: Any, y: Array, weights: Array) -> Term:
    """Return a loss as a term of an interior-point method."""
    return SmoothTerm(loss, y, weights) if loss.smooth else HingeTerm(y, weights, 2 * y.shape[0])


def loss_term(problem: Program) -> Term:
    """Return the loss of a problem with one output as a term of the interior-point method."""
    return loss_term_of(problem.loss, problem.y[0, :], problem.weights)
