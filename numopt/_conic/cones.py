"""Orthants and second-order cones as an interior-point method needs them, for many at once.

A point of an orthant, or a multiplier, is an array; one of second-order cones is an `Element`.
Measures are over everything, of shape (), or, if `batched`, over the last axis of an orthant and of
shape (..., 1). Nothing here waits for a device.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from .._core.namespace import Array, array_namespace


class Element(NamedTuple):
    """Elements of second-order cones ``|tail| <= head``; head (...), tail (..., d)."""

    head: Array
    tail: Array


class Scaling(NamedTuple):
    """Nesterov-Todd scaling W of points and multipliers in second-order cones.

    ``W = eta [[w0, w1'], [w1, I + w1 w1' / (1 + w0)]]`` maps the multiplier and W^-1 the point to
    the same `middle`. Where the head of the multiplier is fixed, that of the point is eliminated:
    the tail of the multiplier then changes by ``-(I - rank_one w1 w1') / eta^2`` times the change
    of the tail of the point, with ``rank_one = 2 / (2 w0^2 - 1)``.
    """

    eta: Array
    w: Element
    middle: Element
    rank_one: Array


def norms(x: Array) -> Array:
    """Return the Euclidean norm over the last axis."""
    xp = array_namespace(x)
    return xp.sqrt(xp.sum(x * x, axis=-1))


def nesterov_todd(x: Element, s: Element) -> Scaling:
    """Return the scaling of points and multipliers inside their cones."""
    xp = array_namespace(x.head)
    depth, point = _on_hyperboloid(x)
    dual_depth, dual = _on_hyperboloid(s)
    gamma = xp.sqrt(0.5 * (1 + point.head * dual.head + xp.sum(point.tail * dual.tail, axis=-1)))
    w = Element(
        0.5 * (point.head + dual.head) / gamma,
        0.5 * (point.tail - dual.tail) / gamma[..., None],
    )
    scaling = Scaling(xp.sqrt(depth / dual_depth), w, x, 2 / (2 * w.head * w.head - 1))
    return scaling._replace(middle=scaled(scaling, s))


def _on_hyperboloid(x: Element) -> tuple[Array, Element]:
    """Return ``sqrt(head^2 - |tail|^2)`` and the elements divided by it."""
    size = norms(x.tail)
    # As a product: a difference of squares would lose half of the digits near the boundary.
    depth = array_namespace(size).sqrt((x.head - size) * (x.head + size))
    return depth, Element(x.head / depth, x.tail / depth[..., None])


def scaled(scaling: Scaling, x: Element) -> Element:
    """Return W x."""
    return _times(scaling, x, scaling.eta, 1.0)


def unscaled(scaling: Scaling, x: Element) -> Element:
    """Return W^-1 x."""
    return _times(scaling, x, 1 / scaling.eta, -1.0)


def _times(scaling: Scaling, x: Element, factor: Array, sign: float) -> Element:
    w = scaling.w
    dot = array_namespace(x.head).sum(w.tail * x.tail, axis=-1)
    along = sign * x.head + dot / (1 + w.head)
    head = factor * (w.head * x.head + sign * dot)
    return Element(head, factor[..., None] * (x.tail + along[..., None] * w.tail))


def product(x: Element, y: Element) -> Element:
    """Return the Jordan product."""
    dot = array_namespace(x.head).sum(x.tail * y.tail, axis=-1)
    return Element(x.head * y.head + dot, x.head[..., None] * y.tail + y.head[..., None] * x.tail)


def quotient(r: Element, m: Element) -> Element:
    """Return the x whose Jordan product with m, inside its cone, is r."""
    size = norms(m.tail)
    dot = array_namespace(size).sum(m.tail * r.tail, axis=-1)
    head = (m.head * r.head - dot) / ((m.head - size) * (m.head + size))
    return Element(head, (r.tail - head[..., None] * m.tail) / m.head[..., None])


def orthant_residual(pair: Any, target: Any, affine: Any = None) -> Array:
    """Return by what products of points and multipliers miss their target.

    `affine` is the change of the pair along the affine direction, whose product is corrected for.
    """
    rest = target - pair[0] * pair[1]
    return rest if affine is None else rest - affine[0] * affine[1]


def second_order_residual(scaling: Scaling, target: Any, affine: Any = None) -> Element:
    """Return the same for second-order cones, in the coordinates in which both are `middle`."""
    square = product(scaling.middle, scaling.middle)
    rest = Element(target - square.head, -square.tail)
    if affine is None:
        return rest
    second = product(unscaled(scaling, affine[0]), scaled(scaling, affine[1]))
    return Element(rest.head - second.head, rest.tail - second.tail)


def curvature(scaling: Scaling, v: Array) -> Array:
    """Return ``(I - rank_one w1 w1') v / eta^2``, heads of multipliers held fixed."""
    w1 = scaling.w.tail
    along = scaling.rank_one * array_namespace(v).sum(w1 * v, axis=-1)
    return (v - along[..., None] * w1) / (scaling.eta**2)[..., None]


def curvature_blocks(scaling: Scaling, identity: Array) -> Array:
    """Return the matrices of `curvature`, shape (..., d, d)."""
    w1, weight = scaling.w.tail, scaling.rank_one[..., None, None]
    outer = w1[..., :, None] * w1[..., None, :]
    return (identity - weight * outer) / (scaling.eta**2)[..., None, None]


def inner(x: Any, s: Any, batched: bool = False) -> Array:
    """Return the sum of products of points and multipliers."""
    if isinstance(x, Element):
        return inner(x.head, s.head, batched) + inner(x.tail, s.tail, batched)
    xp = array_namespace(x)
    return xp.sum(x * s, axis=-1, keepdims=True) if batched else xp.sum(x * s)


def to_boundary(x: Any, change: Any, batched: bool = False) -> Array:
    """Return the longest step along a change that leaves no cone, infinite where none does."""
    xp = array_namespace(x.head if isinstance(x, Element) else x)
    if isinstance(x, Element):
        crossing = xp.minimum(_crossing(x, change), _to_zero(x.head, change.head))
    else:
        crossing = _to_zero(x, change)
    return xp.min(crossing, axis=-1, keepdims=True) if batched else xp.min(crossing)


def _to_zero(x: Array, change: Array) -> Array:
    """Return, for each positive entry, the step with which it is zero."""
    xp = array_namespace(x)
    falling = change < 0
    return xp.where(falling, -x / xp.where(falling, change, -xp.ones_like(x)), math.inf + 0 * x)


def _crossing(x: Element, change: Element) -> Array:
    """Return, for each element, the step with which ``head^2 - |tail|^2`` is zero."""
    xp = array_namespace(x.head)
    size = norms(x.tail)
    a = change.head * change.head - xp.sum(change.tail * change.tail, axis=-1)
    b = x.head * change.head - xp.sum(x.tail * change.tail, axis=-1)
    c = (x.head - size) * (x.head + size)
    square = b * b - a * c
    root = xp.sqrt(xp.clip(square, 0.0, None))
    # The roots of a x^2 + 2 b x + c, without cancellation.
    q = -(b + xp.where(b >= 0, root, -root))
    never = math.inf + 0 * x.head
    first, second = _positive_ratio(q, a, never), _positive_ratio(c, q, never)
    return xp.where(square >= 0, xp.minimum(first, second), never)


def _positive_ratio(x: Array, y: Array, otherwise: Array) -> Array:
    """Return ``x / y`` where it is positive and y not zero."""
    xp = array_namespace(x)
    ratio = xp.where(y != 0, x / xp.where(y != 0, y, xp.ones_like(y)), otherwise)
    return xp.where(ratio > 0, ratio, otherwise)
