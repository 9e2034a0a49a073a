"""A loss of predictions inside an interior-point method: its slope, its resistance, its pairs.

`theta` is minus the slope of the loss, and g minus its change along a direction: the prediction
then changes by ``resistance * g + offset``.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from .._core.namespace import Array, array_namespace
from .cones import orthant_residual
from .predictor_corrector import Pairs


class SmoothTerm(NamedTuple):
    """A loss with two derivatives: Newton's model of it, and no pairs."""

    loss: Any
    y: Array
    weights: Array

    def start(self, z: Array) -> Pairs:  # noqa: ARG002
        """Return the first values of the pairs."""
        return ()

    def theta(self, z: Array, pairs: Pairs) -> Array:  # noqa: ARG002
        """Return the minus the slope."""
        return self.loss.theta(z, self.y, self.weights)

    def resistance(self, z: Array, pairs: Pairs) -> Array:  # noqa: ARG002
        """Return the change of the prediction for a unit change of the slope."""
        return self.loss.resistance(z, self.y, self.weights)

    def offset(self, z: Array, *_: Any) -> Array:
        """Return the change of the prediction that comes without a change of the slope."""
        return 0 * z

    def change(self, *_: Any) -> Pairs:
        """Return the changes of the pairs for changes g and dz."""
        return ()


class HingeTerm(NamedTuple):
    """The hinge loss as ``min sum weights xi`` with ``xi >= 0`` and ``xi - 1 + y z >= 0``.

    Their multipliers are ``weights - p`` and p.
    """

    y: Array
    weights: Array

    def start(self, z: Array) -> Pairs:
        """Return the first values of the pairs."""
        half = 0.5 * self.weights + 0 * z
        short = 1 - self.y * z
        xi = array_namespace(z).clip(short, 0.0, None) + 1
        return (xi, half), (xi - short, half)

    def theta(self, z: Array, pairs: Pairs) -> Array:  # noqa: ARG002
        """Return the minus the slope."""
        return self.y * pairs[1][1]

    def resistance(self, z: Array, pairs: Pairs) -> Array:  # noqa: ARG002
        """Return the change of the prediction for a unit change of the slope."""
        (xi, q), (beyond, p) = pairs
        return beyond / p + xi / q

    def offset(self, z: Array, pairs: Pairs, target: Any, affine: Any) -> Array:  # noqa: ARG002
        """Return the change of the prediction that comes without a change of the slope."""
        first, second = _residuals(pairs, target, affine)
        return self.y * (second / pairs[1][1] - first / pairs[0][1])

    def change(self, pairs: Pairs, g: Array, dz: Array, target: Any, affine: Any) -> Pairs:
        """Return the changes of the pairs for changes g and dz."""
        xi, q = pairs[0]
        dp = -self.y * g
        dxi = (_residuals(pairs, target, affine)[0] + xi * dp) / q
        return (dxi, -dp), (dxi + self.y * dz, dp)


def _residuals(pairs: Pairs, target: Any, affine: Any) -> list[Array]:
    changes = (None, None) if affine is None else affine
    return [orthant_residual(pair, target, d) for pair, d in zip(pairs, changes, strict=True)]


Term = SmoothTerm | HingeTerm


def loss_term(loss: Any, y: Array, weights: Array) -> Term:
    """Return a loss as a term of an interior-point method."""
    return SmoothTerm(loss, y, weights) if loss.smooth else HingeTerm(y, weights)
