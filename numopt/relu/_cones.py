"""Second-order cones and orthants as an interior-point method needs them, for many at once."""

from __future__ import annotations

import math
from typing import NamedTuple

from .._core.namespace import Array, array_namespace


class Scaling(NamedTuple):
    """Nesterov-Todd scaling W of pairs (t, v), (beta, lam) in second-order cones.

    ``W = eta [[w0, w1'], [w1, I + w1 w1' / (1 + w0)]]`` maps the multiplier and W^-1 the point to
    the same `middle`. `curl` is ``2 / (2 w0^2 - 1)``: with t eliminated, the multiplier changes by
    ``-(I - curl w1 w1') / eta^2`` times the change of v.
    """

    eta: Array
    w0: Array
    w1: Array
    middle0: Array
    middle1: Array
    curl: Array


def second_order_scaling(t: Array, V: Array, beta: float, lam: Array) -> Scaling:
    """Return the scaling of points inside their cones; t (...), V and lam (..., d)."""
    xp = array_namespace(t)
    size, pull = xp.sqrt(xp.sum(V * V, axis=-1)), xp.sqrt(xp.sum(lam * lam, axis=-1))
    # As products: differences of squares would lose half of the digits near the boundary.
    depth, dual_depth = xp.sqrt((t - size) * (t + size)), xp.sqrt((beta - pull) * (beta + pull))
    point0, point1 = t / depth, V / depth[..., None]
    dual0, dual1 = beta / dual_depth, lam / dual_depth[..., None]
    gamma = xp.sqrt(0.5 * (1 + point0 * dual0 + xp.sum(point1 * dual1, axis=-1)))
    w0 = 0.5 * (point0 + dual0) / gamma
    w1 = 0.5 * (point1 - dual1) / gamma[..., None]
    eta = xp.sqrt(depth / dual_depth)
    made = Scaling(eta, w0, w1, t, V, 2 / (2 * w0 * w0 - 1))
    middle0, middle1 = scaled(made, beta + 0 * t, lam)
    return made._replace(middle0=middle0, middle1=middle1)


def scaled(scaling: Scaling, x0: Array, x1: Array) -> tuple[Array, Array]:
    """Return W x."""
    return _times(scaling, x0, x1, scaling.eta, 1.0)


def unscaled(scaling: Scaling, x0: Array, x1: Array) -> tuple[Array, Array]:
    """Return W^-1 x."""
    return _times(scaling, x0, x1, 1 / scaling.eta, -1.0)


def _times(
    scaling: Scaling, x0: Array, x1: Array, factor: Array, sign: float
) -> tuple[Array, Array]:
    xp = array_namespace(x0)
    dot = xp.sum(scaling.w1 * x1, axis=-1)
    along = sign * x0 + dot / (1 + scaling.w0)
    head = factor * (scaling.w0 * x0 + sign * dot)
    return head, factor[..., None] * (x1 + along[..., None] * scaling.w1)


def product(x0: Array, x1: Array, y0: Array, y1: Array) -> tuple[Array, Array]:
    """Return the Jordan product of elements of second-order cones."""
    xp = array_namespace(x0)
    return x0 * y0 + xp.sum(x1 * y1, axis=-1), x0[..., None] * y1 + y0[..., None] * x1


def quotient(scaling: Scaling, r0: Array, r1: Array) -> tuple[Array, Array]:
    """Return the x whose Jordan product with the middle point is r."""
    xp = array_namespace(r0)
    m0, m1 = scaling.middle0, scaling.middle1
    size = xp.sqrt(xp.sum(m1 * m1, axis=-1))
    x0 = (m0 * r0 - xp.sum(m1 * r1, axis=-1)) / ((m0 - size) * (m0 + size))
    return x0, (r1 - x0[..., None] * m1) / m0[..., None]


def curvature(scaling: Scaling, V: Array) -> Array:
    """Return ``(I - curl w1 w1') v / eta^2``: the resistance of the multiplier to a change of v."""
    xp = array_namespace(V)
    along = scaling.curl * xp.sum(scaling.w1 * V, axis=-1)
    return (V - along[..., None] * scaling.w1) / (scaling.eta**2)[..., None]


def curvature_blocks(scaling: Scaling, identity: Array) -> Array:
    """Return the matrices of `curvature`, shape (..., d, d)."""
    outer = scaling.w1[..., :, None] * scaling.w1[..., None, :]
    return (identity - scaling.curl[..., None, None] * outer) / (scaling.eta**2)[..., None, None]


def orthant_ratio(x: Array, change: Array) -> float:
    """Return the longest step along `change` that keeps positive `x` non-negative."""
    xp = array_namespace(x)
    falling = change < 0
    ratios = xp.where(falling, -x / xp.where(falling, change, -xp.ones_like(x)), math.inf + 0 * x)
    return float(xp.min(ratios))


def cone_ratio(t: Array, V: Array, dt: Array, dV: Array) -> float:
    """Return the longest step that keeps all (t, v) in the second-order cone."""
    xp = array_namespace(t)
    size = xp.sqrt(xp.sum(V * V, axis=-1))
    a = dt * dt - xp.sum(dV * dV, axis=-1)
    b = t * dt - xp.sum(V * dV, axis=-1)
    c = (t - size) * (t + size)
    square = b * b - a * c
    root = xp.sqrt(xp.clip(square, 0.0, None))
    # The roots of a x^2 + 2 b x + c, without cancellation.
    q = -(b + xp.where(b >= 0, root, -root))
    never = math.inf + 0 * t
    nonzero_a, nonzero_q = a != 0, q != 0
    first = xp.where(nonzero_a, q / xp.where(nonzero_a, a, xp.ones_like(a)), never)
    second = xp.where(nonzero_q, c / xp.where(nonzero_q, q, xp.ones_like(q)), never)
    first = xp.where(first > 0, first, never)
    second = xp.where(second > 0, second, never)
    crossing = xp.where(square >= 0, xp.minimum(first, second), never)
    return min(float(xp.min(crossing)), orthant_ratio(t, dt))
