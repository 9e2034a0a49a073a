"""How far from optimal a point can be: bounds computed from it and a dual point alone."""

from __future__ import annotations

from typing import NamedTuple

from .._namespace import Array, array_namespace, inner

# A residual of this many rounding units of the response is an exact fit.
EXACT_FIT = 64


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


def relative_gap(
    loss: Loss,
    residual: Array,
    y: Array,
    *,
    penalty: float,
    floor: float,
    lost: float,
    slack: float = 0.0,
    base: float = 0.0,
) -> float:
    """Return a bound of ``1 - optimal / reached``, for the p-th root of the loss.

    `y` (n,) is a dual point: ``A'y`` is the gradient of a ridge penalty, zero without one, up to
    a difference that costs the lower bound at most `slack` times the p-th root of the loss and at
    most `lost`, infinite without a penalty. With a penalty, whose value is `penalty`, the bound
    is that of the sum of p-th powers and penalty, and y must be near the gradient of the loss.
    `base` is what other rows contribute to the loss, and `floor` the loss below which the fit is
    exact.
    """
    value = loss.value(residual)
    total = value + penalty + base
    if total <= floor:
        return 0.0
    coupling = inner(y, residual)
    if loss.up is not None:
        return max(0.0, (value - coupling + min(lost, slack * total)) / total)
    root, size = value ** (1 / loss.p), dual_norm(loss, y)
    if lost == float("inf"):
        lower = (coupling - slack * root) / size if size > 0 else 0.0
        return float(max(0.0, 1 - lower / root))
    # Without homogeneity: Young's inequality instead of Hoelder's.
    q = loss.p / (loss.p - 1)
    conjugate = (size / loss.p) ** q * (loss.p - 1)
    return float(max(0.0, (value + conjugate - coupling + lost) / total))


def in_box(loss: Loss, y: Array) -> Array:
    """Return y (n,) with entries that left the box of slopes put back on its boundary, p = 1."""
    return array_namespace(y).clip(y, -loss.down, loss.up)


def exact_fit(loss: Loss, b: Array) -> float:
    """Return the loss that rounding alone may leave."""
    eps = float(array_namespace(b).finfo(b.dtype).eps)
    return float(loss.value(b) * (EXACT_FIT * eps) ** loss.p)


def rounding(b: Array, residual: Array) -> Array:
    """Return the size (n,) up to which residuals may be nothing but rounding errors."""
    xp = array_namespace(b)
    eps = float(xp.finfo(b.dtype).eps)
    return EXACT_FIT * eps * (xp.abs(b) + xp.abs(b - residual))
