"""Two rigorous bounds of the optimum of the convex program, and points inside the cones.

For any theta where the conjugate of the loss is finite and any ``mu >= 0``, scaling both until
``|+-X' D_i theta + X' E_i mu_i| <= beta`` for all neurons gives a point of the dual problem, hence
a lower bound. Any V inside its cones gives an upper bound.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from .._core.namespace import Array, array_namespace
from ._program import (
    Program,
    combined,
    group_norms,
    per_output,
    predictions,
    pulled_back,
    responses,
    slacks,
)


class Lower(NamedTuple):
    """A lower bound for each output (C,), and the theta (C, n) that proves it."""

    value: Array
    theta: Array


class Upper(NamedTuple):
    """An upper bound for each output (C,), and the neurons (C, 2, P, d) that prove it."""

    value: Array
    V: Array


def worst_case_shift(problem: Program, V: Array) -> Array:
    """Return by how much perturbations may shift each prediction of V (C, 2, P, d), (C, n)."""
    xp = array_namespace(V)
    if problem.robust == "lipschitz":
        return per_output(xp.sum(problem.eps * xp.abs(V), axis=-1))[:, None] + 0 * problem.y
    q = xp.matmul(problem.active.T, V[:, 0, ...] - V[:, 1, ...])
    return xp.sum(problem.eps * xp.abs(q), axis=-1)


def objective(problem: Program, V: Array, XV: Array | None = None) -> Array:
    """Return the objective of the convex program for each output, (C,)."""
    xp = array_namespace(V)
    z = predictions(problem, responses(problem, V) if XV is None else XV)
    if problem.eps is not None:
        shift = worst_case_shift(problem, V)
        away = (
            xp.where(z >= problem.y, shift, -shift) if problem.loss.scales else -problem.y * shift
        )
        z = z + away
    loss = problem.loss.value(z, problem.y, problem.weights)
    return loss + problem.beta * per_output(group_norms(V))


def lower_bound(problem: Program, theta: Array, mu: Array) -> Lower:
    """Return the lower bound that theta (C, n) and multipliers mu (C, 2, P, n) >= 0 give."""
    return lower_bound_of(problem, theta, combined(problem, problem.signs * mu))


def lower_bound_of(problem: Program, theta: Array, push: Array) -> Lower:
    """Return the lower bound of theta (C, n) and ``X' E mu`` (C, 2, P, d) for some ``mu >= 0``."""
    xp = array_namespace(theta)
    theta = problem.loss.admissible(theta, problem.y, problem.weights)
    pull = group_norms(pulled_back(problem, theta) + push)
    highest = xp.max(xp.reshape(pull, (pull.shape[0], -1)), axis=1)
    positive = highest > 0
    limit = xp.where(positive, problem.beta / xp.where(positive, highest, 1.0), math.inf)
    scale, value = problem.loss.dual(theta, problem.y, problem.weights, limit)
    return Lower(value, scale[:, None] * theta)


def better_lower(a: Lower | None, b: Lower) -> Lower:
    """Return the larger of two lower bounds, output by output."""
    if a is None:
        return b
    xp = array_namespace(b.value)
    keep = a.value >= b.value
    return Lower(xp.where(keep, a.value, b.value), xp.where(keep[:, None], a.theta, b.theta))


def better_upper(a: Upper | None, b: Upper) -> Upper:
    """Return the smaller of two upper bounds, output by output."""
    if a is None:
        return b
    xp = array_namespace(b.value)
    keep = a.value <= b.value
    V = xp.where(keep[:, None, None, None], a.V, b.V)
    return Upper(xp.where(keep, a.value, b.value), V)


def moved_inside(problem: Program, V: Array, eps: float | None = None) -> Array:
    """Return neurons outside their cones moved along the gate of their pattern into them.

    A neuron goes far enough that rounding its entries to `eps`, by default that of their dtype,
    and summing them does not take it out again.
    """
    xp = array_namespace(V)
    inside = slacks(problem, V)
    room = slacks(problem, problem.gates)
    outside = xp.any(inside < 0, axis=-1)
    unit = float(xp.finfo(V.dtype).eps) if eps is None else eps
    rounding = 4 * unit * group_norms(V)[..., None]
    missing = rounding * group_norms(problem.X) - inside
    ratio = xp.where(room > 0, missing / xp.where(room > 0, room, xp.ones_like(room)), math.inf)
    far = xp.max(xp.where(missing > 0, ratio, 0 * ratio), axis=-1)
    far = xp.where(outside, far, 0 * far)
    return V + xp.where(xp.isfinite(far), far, 0 * far)[..., None] * problem.gates


def upper_bound(problem: Program, V: Array) -> Upper:
    """Return the upper bound of neurons near their cones: moved inside, or infinite."""
    xp = array_namespace(V)
    inside = moved_inside(problem, V)
    value = objective(problem, inside)
    violated = xp.any(xp.reshape(slacks(problem, inside), (V.shape[0], -1)) < 0, axis=1)
    bad = violated | ~xp.isfinite(value)
    return Upper(xp.where(bad, math.inf, value), inside)


def relative_gap(upper: Array, lower: Array) -> float:
    """Return the largest gap over the outputs, each relative to the upper bound."""
    xp = array_namespace(upper)
    size = xp.abs(upper)
    positive = size > 0
    if bool(xp.any(xp.isinf(upper))):
        return math.inf
    return float(xp.max((upper - lower) / xp.where(positive, size, 1.0)))


def infeasibility(problem: Program, V: Array) -> float:
    """Return the norm of the violated slacks relative to that of all, over neurons."""
    xp = array_namespace(V)
    inside = slacks(problem, V)
    total = math.sqrt(float(xp.sum(inside * inside)))
    short = xp.clip(inside, None, 0.0)
    return math.sqrt(float(xp.sum(short * short))) / total if total > 0 else 0.0
