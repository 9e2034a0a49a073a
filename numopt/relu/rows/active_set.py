"""The rows that bound the cones: a few matter, and those next to a vector inside come first.

The cone of a pattern is cut out by one half space for each sample, but with many samples in a space
of few dimensions nearly all of these are implied by those next to the gate.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import array_api_extra as xpx

from ..._core.namespace import Array, array_namespace, device_of
from .._program import group_norms


class ActiveRows(NamedTuple):
    """For each of G cones some rows: `order` (G, k), small first to go, infinite for no row.

    `rows` (G, k, d) have unit norm, and the signs with which they are constraints.
    """

    order: Array
    rows: Array


def nearest(order: Array, X: Array, signs: Array, count: int) -> ActiveRows:
    """Return for each of G cones the `count` rows of X (n, d) with the smallest `order` (G, n).

    Where there are fewer rows, rows of zeros with an infinite order stand for the others.
    """
    xp = array_namespace(order)
    index = _smallest(order, count)
    norms = group_norms(X)
    unit = X / xp.where(norms > 0, norms, xp.ones_like(norms))[:, None]
    taken = xp.reshape(xp.take(unit, xp.reshape(index, (-1,)), axis=0), (*index.shape, X.shape[1]))
    sides = xp.take_along_axis(signs, index, axis=1)
    found = ActiveRows(xp.take_along_axis(order, index, axis=1), sides[..., None] * taken)
    missing = count - index.shape[1]
    return found if missing == 0 else _below(found, _no_rows(found, missing))


def smallest_rows(order: Array, table: Array, count: int) -> ActiveRows:
    """Return the `count` rows of a table (n, c) with the smallest `order` (1, n)."""
    xp = array_namespace(order)
    index = _smallest(order, count)
    taken = xp.take(table, index[0, :], axis=0)[None, ...]
    found = ActiveRows(xp.take_along_axis(order, index, axis=1), taken)
    missing = count - index.shape[1]
    return found if missing == 0 else _below(found, _no_rows(found, missing))


def nearer(a: ActiveRows, b: ActiveRows) -> ActiveRows:
    """Return the rows of both with the smallest order, as many as each has."""
    both = _below(a, b)
    return _at(both, _smallest(both.order, a.order.shape[1]))


def first_rows(found: ActiveRows) -> Array:
    """Return the rows (G, m, d) that were found, m the largest number of a cone."""
    xp = array_namespace(found.order)
    return _whole(_at(found, xp.argsort(found.order, axis=1)))


def joined(rows: Array, found: ActiveRows) -> Array:
    """Return rows (P, m, d) with those found for both neurons of each pattern (2 P, k)."""
    xp, patterns = array_namespace(rows), rows.shape[0]
    both = _below(
        ActiveRows(found.order[:patterns, :], found.rows[:patterns, ...]),
        ActiveRows(found.order[patterns:, :], found.rows[patterns:, ...]),
    )
    new = _at(both, xp.argsort(both.order, axis=1))
    kept = ActiveRows(xp.full_like(rows[:, :, 0], -math.inf), rows)
    return _whole(_below(kept, new))


def pruned(rows: Array, mu: Array, count: int) -> Array:
    """Return the `count` rows of each pattern (P, m, d) with the largest multipliers (2, P, m)."""
    xp = array_namespace(rows)
    if rows.shape[1] <= count:
        return rows
    index = xp.argsort(-xp.max(mu, axis=0), axis=1)[:, :count]
    return _at(ActiveRows(rows[:, :, 0], rows), index).rows


def _whole(found: ActiveRows) -> Array:
    """Return rows in order; where a cone has fewer than another, its first comes again."""
    xp = array_namespace(found.order)
    there = found.order < math.inf
    count = int(xp.max(xp.sum(xp.astype(there, found.rows.dtype), axis=1)))
    rows = found.rows[:, :count, :]
    return xp.where(there[:, :count, None], rows, found.rows[:, :1, :])


def _below(a: ActiveRows, b: ActiveRows) -> ActiveRows:
    xp = array_namespace(a.order)
    return ActiveRows(xp.concat([a.order, b.order], axis=1), xp.concat([a.rows, b.rows], axis=1))


def _no_rows(like: ActiveRows, count: int) -> ActiveRows:
    xp, (cones, _, d) = array_namespace(like.order), like.rows.shape
    dtype, device = like.rows.dtype, device_of(like.rows)
    return ActiveRows(
        xp.full((cones, count), math.inf, dtype=dtype, device=device),
        xp.zeros((cones, count, d), dtype=dtype, device=device),
    )


def _at(found: ActiveRows, index: Array) -> ActiveRows:
    """Return the rows at indices (G, k)."""
    xp = array_namespace(index)
    wide = xp.broadcast_to(index[..., None], (*index.shape, found.rows.shape[2]))
    return ActiveRows(
        xp.take_along_axis(found.order, index, axis=1),
        xp.take_along_axis(found.rows, wide, axis=1),
    )


def _smallest(order: Array, count: int) -> Array:
    """Return the indices of the smallest entries of each row."""
    xp = array_namespace(order)
    if order.shape[1] <= count:
        return xp.argsort(order, axis=1)
    return xpx.argpartition(order, count - 1, axis=1)[:, :count]
