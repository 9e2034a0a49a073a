"""Column generation: patterns that the solution itself, and neurons it lacks, suggest."""

from __future__ import annotations

from typing import Any

from .._core.namespace import Array, array_namespace
from .._core.random import place
from ._bounds import Outcome
from ._patterns import Patterns, distinct
from ._program import Program, group_norms, widened

# Random starts of the local search for a neuron that would help, and its steps.
_STARTS, _CLIMBS = 200, 20
# Patterns added in a round, at most.
_MOST_ADDED = 50
# Neurons smaller than this share of the largest lose their pattern.
_DROPPED_BELOW = 1e-3


def next_patterns(program: Program, outcome: Outcome, rng: Any) -> tuple[Patterns, Array]:
    """Return the patterns of the next round, and the neurons under them to start from.

    Patterns with a neuron stay, so that the objective cannot rise; those of the neurons that would
    help most come on top.
    """
    xp = array_namespace(program.X)
    program = widened(program)
    V = outcome.upper.V
    norms = group_norms(V)
    largest = xp.max(xp.max(norms, axis=1), axis=0)
    (kept,) = xp.nonzero(largest > _DROPPED_BELOW * xp.max(norms))
    active = xp.take(program.active, kept, axis=0)
    gates = xp.take(program.gates, kept, axis=0)
    _, candidates = largest_violation(program, outcome.lower.theta, rng)
    fresh = xp.concat([active, xp.astype(xp.matmul(candidates, program.X.T) >= 0, active.dtype)])
    found = distinct(fresh > 0, xp.concat([gates, candidates]))
    count = min(found.active.shape[0], kept.shape[0] + _MOST_ADDED)
    V = xp.take(V, kept, axis=2)
    extra = xp.zeros(
        (*V.shape[:2], count - kept.shape[0], V.shape[3]), dtype=V.dtype, device=V.device
    )
    return Patterns(found.active[:count, :], found.gates[:count, :]), xp.concat([V, extra], axis=2)


def largest_violation(program: Program, theta: Array, rng: Any) -> tuple[float, Array]:
    """Return the largest value found of ``|theta'(X u)_+|`` over unit u, and the u above beta.

    The u (k, d) come in order of their value. A local search from random starts: what it does not
    find may still exist.
    """
    xp = array_namespace(theta)
    program = widened(program)
    starts = place(rng.standard_normal((_STARTS, program.X.shape[1])), theta)
    starts = xp.concat([starts, program.gates])
    values, points = [], []
    for c in range(theta.shape[0]):
        for sign in (1.0, -1.0):
            u, value = _climbed(program.X, sign * theta[c, :], starts)
            values.append(value)
            points.append(u)
    value, u = xp.concat(values), xp.concat(points)
    order = xp.flip(xp.argsort(value))
    value, u = xp.take(value, order), xp.take(u, order, axis=0)
    (index,) = xp.nonzero(value > program.beta)
    return float(value[0]), xp.take(u, index, axis=0)


def _climbed(X: Array, theta: Array, u: Array) -> tuple[Array, Array]:
    """Return unit vectors (k, d) that local steps lead to, and ``theta'(X u)_+`` there."""
    xp = array_namespace(X)
    u = u / xp.where(group_norms(u) > 0, group_norms(u), xp.ones_like(u[:, 0]))[:, None]
    value = xp.matmul(xp.clip(xp.matmul(u, X.T), 0.0, None), theta)
    for _ in range(_CLIMBS):
        on = xp.astype(xp.matmul(u, X.T) >= 0, X.dtype)
        trial = xp.matmul(on * theta[None, :], X)
        size = group_norms(trial)
        trial = trial / xp.where(size > 0, size, xp.ones_like(size))[:, None]
        after = xp.matmul(xp.clip(xp.matmul(trial, X.T), 0.0, None), theta)
        better = after > value
        u = xp.where(better[:, None], trial, u)
        value = xp.where(better, after, value)
    return u, value
