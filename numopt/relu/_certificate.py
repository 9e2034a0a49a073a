"""Two rigorous bounds of the optimum of the convex program, and points inside the cones.

For any theta where the conjugate of the loss is finite and any ``mu >= 0``, scaling both until
``|+-X' D_i theta + X' E_i mu_i| <= beta`` for all neurons gives a point of the dual program, hence
a lower bound. Any V inside its cones gives an upper bound.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from .._core.namespace import Array, array_namespace, device_of
from .._core.outcome import Check
from ._network import network_of
from ._program import (
    Program,
    adjoint,
    combined,
    group_norms,
    per_output,
    predictions,
    responses,
    slacks,
)

# Share of a bound by which the other may exceed it through rounding alone.
_ROUNDING = 1e-12


class Lower(NamedTuple):
    """A lower bound for each output (C,), the theta (C, n) that proves it, and what goes with it.

    `proof` are arrays whose first axis is the output: ``X' E mu`` (C, 2, P, d) for some ``mu >= 0``
    or, with perturbations, those that `robust_lower` asks for.
    """

    value: Array
    theta: Array
    proof: tuple[Array, ...]


class Upper(NamedTuple):
    """An upper bound for each output (C,), and the neurons (C, 2, P, d) that prove it."""

    value: Array
    V: Array


def worst_case_shift(program: Program, V: Array) -> Array:
    """Return by how much perturbations may shift each prediction of V (C, 2, P, d), (C, n)."""
    xp = array_namespace(V)
    if program.robust == "lipschitz":
        return per_output(xp.sum(program.eps * xp.abs(V), axis=-1))[:, None] + 0 * program.y
    q = xp.matmul(program.active.T, V[:, 0, ...] - V[:, 1, ...])
    return xp.sum(program.eps * xp.abs(q), axis=-1)


def objective(program: Program, V: Array, XV: Array | None = None) -> Array:
    """Return the objective of the convex program for each output, (C,)."""
    xp = array_namespace(V)
    z = predictions(program, responses(program, V) if XV is None else XV)
    if program.eps is not None:
        shift = worst_case_shift(program, V)
        away = (
            xp.where(z >= program.y, shift, -shift) if program.loss.scales else -program.y * shift
        )
        z = z + away
    loss = program.loss.value(z, program.y, program.weights)
    return loss + program.beta * per_output(group_norms(V))


def lower_bound(program: Program, theta: Array, mu: Array) -> Lower:
    """Return the lower bound that theta (C, n) and multipliers mu (C, 2, P, n) >= 0 give."""
    return lower_bound_of(program, theta, combined(program, program.signs * mu))


def lower_bound_of(
    program: Program, theta: Array, normal: Array, longest: float = math.inf
) -> Lower:
    """Return the lower bound of theta (C, n) and ``X' E mu`` (C, 2, P, d) for some ``mu >= 0``.

    Both are scaled by one factor, by no more than `longest`.
    """
    theta = program.loss.admissible(theta, program.y, program.weights)
    norms = group_norms(adjoint(program, theta) + normal)
    limit = feasible_scale(norms, program.beta, longest)
    scale, value = program.loss.dual(theta, program.y, program.weights, limit)
    return Lower(value, scale[:, None] * theta, (scale[:, None, None, None] * normal,))


def feasible_scale(norms: Array, beta: float, longest: float = math.inf) -> Array:
    """Return up to which factor (C,) all norms of an output (C, ...) stay within beta."""
    xp, outputs = array_namespace(norms), norms.shape[0]
    if 0 in norms.shape[1:]:
        return xp.full((outputs,), longest, dtype=norms.dtype, device=device_of(norms))
    highest = xp.max(xp.reshape(norms, (outputs, -1)), axis=1)
    positive = highest > 0
    scale = beta / xp.where(positive, highest, xp.ones_like(highest))
    return xp.clip(xp.where(positive, scale, math.inf), None, longest)


def better_lower(a: Lower | None, b: Lower) -> Lower:
    """Return the larger of two lower bounds, output by output."""
    if a is None:
        return b
    keep = a.value >= b.value
    pairs = zip(a.proof, b.proof, strict=True)
    return Lower(
        _where(keep, a.value, b.value),
        _where(keep, a.theta, b.theta),
        tuple(_where(keep, x, y) for x, y in pairs),
    )


def _where(keep: Array, a: Array, b: Array) -> Array:
    """Return the outputs of `a` that are to be kept, else those of `b`."""
    xp = array_namespace(a)
    return xp.where(xp.reshape(keep, (-1,) + (1,) * (a.ndim - 1)), a, b)


def better_upper(a: Upper | None, b: Upper) -> Upper:
    """Return the smaller of two upper bounds, output by output."""
    if a is None:
        return b
    keep = a.value <= b.value
    return Upper(_where(keep, a.value, b.value), _where(keep, a.V, b.V))


def moved_inside(program: Program, V: Array, eps: float | None = None) -> Array:
    """Return neurons outside their cones moved along the gate of their pattern into them.

    A neuron goes far enough that rounding its entries to `eps`, by default that of their dtype,
    and summing them does not take it out again.
    """
    xp = array_namespace(V)
    inside = slacks(program, V)
    room = slacks(program, program.gates)
    outside = xp.any(inside < 0, axis=-1)
    unit = float(xp.finfo(V.dtype).eps) if eps is None else eps
    rounding = 4 * unit * group_norms(V)[..., None]
    missing = rounding * group_norms(program.X) - inside
    ratio = xp.where(room > 0, missing / xp.where(room > 0, room, xp.ones_like(room)), math.inf)
    far = xp.max(xp.where(missing > 0, ratio, 0 * ratio), axis=-1)
    far = xp.where(outside, far, 0 * far)
    return V + xp.where(xp.isfinite(far), far, 0 * far)[..., None] * program.gates


def upper_bound(program: Program, V: Array) -> Upper:
    """Return the upper bound of neurons near their cones: moved inside, or infinite."""
    xp = array_namespace(V)
    inside = moved_inside(program, V)
    value = objective(program, inside)
    violated = xp.any(xp.reshape(slacks(program, inside), (V.shape[0], -1)) < 0, axis=1)
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


def infeasibility(program: Program, V: Array) -> float:
    """Return the norm of the violated slacks relative to that of all, over neurons."""
    xp = array_namespace(V)
    inside = slacks(program, V)
    total = math.sqrt(float(xp.sum(inside * inside)))
    short = xp.clip(inside, None, 0.0)
    return math.sqrt(float(xp.sum(short * short))) / total if total > 0 else 0.0


def price_of_violations(program: Program, XV: Array, mu: Array) -> Array:
    """Return what the violated slacks of each output cost at multipliers mu (C, 2, P, n)."""
    xp = array_namespace(XV)
    return per_output(mu * xp.clip(-program.signs * XV, 0.0, None))


def network_mismatch(V: Array, W1: Array, w2: Array) -> float:
    """Return by how much a network is another one than neurons (C, 2, P, d) stand for."""
    xp = array_namespace(V)
    wanted = network_of(V)
    if tuple(W1.shape) != tuple(wanted[0].shape) or tuple(w2.shape) != tuple(wanted[1].shape):
        return math.inf
    if W1.shape[1] == 0:
        return 0.0
    pairs = zip((W1, w2), wanted, strict=True)
    return max(float(xp.max(xp.abs(x - y)) / xp.max(xp.abs(y))) for x, y in pairs)


class Certificate(NamedTuple):
    """What is measured on the arrays returned, in the units of the user.

    Objectives and dual objectives of the outputs, what the objectives come to once neurons are in
    their cones, the relative violation of all slacks, the objective of the network, how far it is
    from the one of the neurons, and whether perturbations leave no pattern to train.
    """

    funs: list[float]
    dual_funs: list[float]
    reached: list[float]
    infeasibility: float
    net_fun: float
    mismatch: float
    lost: bool = False

    @property
    def gap(self) -> float:
        """The largest relative gap over the outputs."""
        pairs = zip(self.reached, self.dual_funs, strict=True)
        return max(_relative(upper, lower) for upper, lower in pairs)

    def checks(self, gap: float, violation: float, mismatch: float) -> list[Check]:
        """Return what decides success, against the limits given."""
        found = [
            Check("relative gap", self.gap, gap, "of fun"),
            Check("infeasibility", self.infeasibility, violation, "of the slacks"),
            Check("network mismatch", self.mismatch, mismatch, "of the largest weight"),
        ]
        if self.lost:
            found.append(Check("missing pattern", 1.0, 0.0))
        return found


def _relative(upper: float, lower: float) -> float:
    """Return a gap relative to the upper bound; bounds that rounding has crossed agree."""
    if upper - lower <= _ROUNDING * abs(upper):
        return 0.0
    return (upper - lower) / abs(upper)
