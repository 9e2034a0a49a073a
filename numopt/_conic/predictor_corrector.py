"""Mehrotra's predictor-corrector step, for one problem or for many at once.

Points x and multipliers s in cones follow the central path, on which all products of the two are
the same, to where they vanish. Newton's direction to products of zero, the affine one, tells how
far they can fall: the cube of that share of the products now is the target of the direction taken,
which also corrects for the products of the affine one. What differs between problems is the linear
system behind a direction, and which of its variables are in cones.

Nothing here waits for a device, unless steps are recentered.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import reduce
from operator import add
from typing import Any, Generic, NamedTuple, TypeVar

from .._core.namespace import Array, array_namespace
from .cones import Element, inner, to_boundary

# Fraction of the way to the boundary that a step goes.
TO_BOUNDARY = 0.99
# Steps shorter than this make no progress any more: rounding has the say.
SHORTEST_STEP = 1e-4

Point = TypeVar("Point")  # nested tuples of arrays: an iterate, or a change of one
Pair = tuple[Any, Any]  # points and multipliers of cones of one kind
Pairs = tuple[Pair, ...]


class Iterate(NamedTuple, Generic[Point]):
    """An iterate, and the length of the step that led to it, 0 where none was possible."""

    point: Point
    step: Any = 1.0

    @property
    def stuck(self) -> bool:
        """Whether steps are so short that rounding has the say."""
        return not float(self.step) >= SHORTEST_STEP


def predictor_corrector(
    point: Point,
    pairs: Callable[[Point], Pairs],
    direction: Callable[[Any, Point | None], Point],
    *,
    batched: bool = False,
    fraction: float = TO_BOUNDARY,
    recenter_below: float = 0.0,
) -> Iterate[Point]:
    """Return the next iterate; the same one, with a step of 0, where it would not be finite.

    `pairs` picks what is in cones from an iterate or a change. ``direction(target, affine)`` solves
    the linear equations, linearized products that reach `target`, and, unless it is None, a
    correction for the products of the direction `affine`. A step goes a `fraction` of the way to
    the boundary; one shorter than `recenter_below` is replaced by one towards products that are as
    large as now, but all alike. If `batched`, each problem along the first axis has its own step.
    """
    now = pairs(point)
    mean = mean_product(now, batched)
    affine = direction(0.0, None)
    length = _step_length(now, pairs(affine), 1.0, batched)
    left = mean_product(moved(now, pairs(affine), length), batched)
    xp = array_namespace(mean)
    share = xp.clip(left / xp.where(mean > 0, mean, xp.ones_like(mean)), 0.0, 1.0) ** 3
    change = direction(share * mean, affine)
    length = _step_length(now, pairs(change), fraction, batched)
    if recenter_below and float(length) < recenter_below:
        change = direction(mean, None)
        length = _step_length(now, pairs(change), fraction, batched)
    after = moved(point, change, length)
    finite = xp.isfinite(mean_product(pairs(after), batched))
    return Iterate(selected(finite, after, point), xp.where(finite, length, 0 * mean))


def complementarity(pairs: Pairs, batched: bool = False) -> Array:
    """Return the sum of products of points and multipliers."""
    return reduce(add, [inner(x, s, batched) for x, s in pairs])


def mean_product(pairs: Pairs, batched: bool = False) -> Array:
    """Return the mean product of points and multipliers, the parameter of the central path."""
    return complementarity(pairs, batched) / sum(_degree(x, batched) for x, _ in pairs)


def _degree(x: Any, batched: bool) -> int:
    """Return the number of products: one for an entry of an orthant, or a second-order cone."""
    shape = (x.head if isinstance(x, Element) else x).shape
    return shape[-1] if batched else math.prod(shape)


def _step_length(now: Pairs, change: Pairs, fraction: float, batched: bool) -> Array:
    """Return a fraction of the longest step in all cones, at most 1."""
    longest = [
        to_boundary(x, dx, batched)
        for pair, changes in zip(now, change, strict=True)
        for x, dx in zip(pair, changes, strict=True)
        if _degree(x, batched)
    ]
    xp = array_namespace(longest[0])
    return xp.clip(fraction * reduce(xp.minimum, longest), None, 1.0)


def moved(point: Any, change: Any, length: Any) -> Any:
    """Return ``point + length * change`` for nested tuples of arrays."""
    return _mapped(lambda x, dx: x + length * dx, point, change)


def selected(mask: Array, chosen: Any, otherwise: Any) -> Any:
    """Return the arrays of one of two nested tuples, by a mask."""
    return _mapped(lambda x, y: array_namespace(x).where(mask, x, y), chosen, otherwise)


def _mapped(function: Callable[[Array, Array], Array], a: Any, b: Any) -> Any:
    """Return a function of two arrays in each place of two nested tuples."""
    if not isinstance(a, tuple):
        return function(a, b)
    parts = [_mapped(function, x, y) for x, y in zip(a, b, strict=True)]
    return type(a)(*parts) if hasattr(a, "_fields") else tuple(parts)


class Patience:
    """How many times in a row none of some numbers was a tenth below its least so far."""

    def __init__(self) -> None:
        self.idle = 0
        self.least: tuple[float, ...] = ()

    def note(self, *values: float) -> int:
        """Take note of the numbers as they are now, and return how often none fell."""
        least = self.least or (math.inf,) * len(values)
        fell = any(now < 0.9 * before for now, before in zip(values, least, strict=True))
        self.least = tuple(map(min, values, least))
        self.idle = 0 if fell else self.idle + 1
        return self.idle
