"""Activation patterns: drawn from random gates, or given; and vectors inside their cones."""

from __future__ import annotations

from typing import Any, NamedTuple

from .._core.namespace import Array, array_namespace, device_of
from .._core.random import place
from .interior.projection import hard_margin_gates


class Patterns(NamedTuple):
    """Distinct patterns (P, n), ones where a sample is on, and gates (P, d) inside their cones."""

    active: Array
    gates: Array


def drawn_gates(X: Array, count: int, rng: Any) -> Array:
    """Return standard normal gates (count, d), the same ones for every library and dtype."""
    return place(rng.standard_normal((count, X.shape[1])), X)


def patterns_of_gates(X: Array, gates: Array) -> Patterns:
    """Return the distinct patterns ``X g >= 0`` of gates (P, d) in order, without the empty one."""
    xp = array_namespace(X)
    return distinct(xp.matmul(gates, X.T) >= 0, gates)


def patterns_of_mask(X: Array, mask: Array) -> Patterns:
    """Return given patterns (P, n) that some vector has, with such vectors as gates."""
    xp = array_namespace(X)
    kept = distinct(mask, xp.zeros((mask.shape[0], X.shape[1]), dtype=X.dtype, device=device_of(X)))
    if kept.active.shape[0] == 0:
        return kept
    gates, found = hard_margin_gates(X, 2 * kept.active - 1)
    (index,) = xp.nonzero(found)
    return Patterns(xp.take(kept.active, index, axis=0), xp.take(gates, index, axis=0))


def distinct(mask: Array, gates: Array) -> Patterns:
    """Return patterns without repetitions and without the one that is off everywhere."""
    xp = array_namespace(gates)
    active = xp.astype(mask, gates.dtype)
    counts = xp.sum(active, axis=1)
    # Two patterns are equal if and only if they share as many samples as each of them has.
    shared = xp.matmul(active, active.T)
    same = (shared == counts[:, None]) & (shared == counts[None, :])
    repeated = xp.any(xp.tril(same, k=-1), axis=1)
    (index,) = xp.nonzero(~repeated & (counts > 0))
    return Patterns(xp.take(active, index, axis=0), xp.take(gates, index, axis=0))
