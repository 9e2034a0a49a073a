"""How far from optimal a point can be: bounds computed from it and a dual point alone."""

from __future__ import annotations

from .._core.namespace import Array, array_namespace, inner
from .._losses.norms import Loss, dual_norm

# A residual of this many rounding units of the response is an exact fit.
EXACT_FIT = 64


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
