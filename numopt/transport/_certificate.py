"""What is known of two potentials without trusting the solver that found them."""

from __future__ import annotations

import math
from typing import NamedTuple

from .._core import validate
from .._core.namespace import Array, array_namespace, widest_float
from .._core.outcome import Check
from .._core.settings import non_negative
from .._kernels.transport import plan_stats
from ._costs import KernelCost, bounds, offset_of, restricted, support_of, taken


class Measures(NamedTuple):
    """What the plan of two potentials is worth."""

    primal: float
    dual: float
    bound: float  # of the distance of the feasible plan next to this one from the optimum
    transport_cost: float
    row_error: float
    column_error: float


def measured(
    cost: KernelCost, a: Array, b: Array, f: Array, g: Array, reg: float, highest_cost: float
) -> Measures:
    """Measure the plan of potentials f, g between positive masses in one pass over the cost.

    The bound is one of primal - dual for the feasible plan next to this one: rows and columns
    scaled down to their masses, the remainder N added as a rank-one matrix (Altschuler, Weed and
    Rigollet 2017). Convexity of the entropy bounds the mixture, and
    ``sum N log(N / (a b')) <= -|N| log |N|`` because N stays below the masses.
    """
    xp, wide = array_namespace(a), widest_float(a)
    u, v = f / reg + xp.log(a), g / reg + xp.log(b)
    sums = plan_stats(cost, u, v, 1 / reg, f)
    a, b, f, g, rows, columns, costs, f_sums = (xp.astype(x, wide) for x in (a, b, f, g, *sums))
    mass = float(xp.sum(a))
    entropy_constant = reg * (mass**2 - float(xp.sum(rows)))
    dual = float(xp.sum(a * f) + xp.sum(b * g)) + entropy_constant
    primal = float(xp.sum(rows * f) + xp.sum(columns * g)) + entropy_constant
    # The feasible part: all rows scaled by one factor, which suffices as they are nearly exact.
    row_scale = min(1.0, float(xp.min(a / rows)))
    scale = row_scale * xp.clip(b / (row_scale * columns), None, 1.0)
    kept = float(xp.sum(scale * columns))
    lost = non_negative(mass - kept)
    feasible = float(xp.sum(scale * (f_sums + columns * g + reg * columns * xp.log(scale))))
    mixture = -_x_log(kept, mass) - _x_log(lost, mass) - _x_log(lost, 1.0)
    rounded = feasible + lost * highest_cost + reg * (mixture + mass**2 - mass)
    return Measures(
        primal,
        dual,
        rounded - dual,
        float(xp.sum(costs)),
        float(xp.sum(xp.abs(rows - a))) / mass,
        float(xp.sum(xp.abs(columns - b))) / mass,
    )


def _x_log(x: float, total: float) -> float:
    """Return x log(x / total), zero at zero."""
    return x * math.log(x / total) if x > 0 else 0.0


def objective_size(fun: float, reg: float, mass: float) -> float:
    """Return what a bound is relative to: the objective, or the part of it that `reg` carries."""
    return max(abs(fun), reg * mass)


def checks_of(measures: Measures, tol: float) -> list[Check]:
    """Return what makes potentials a success."""
    error = measures.row_error + measures.column_error
    return [Check("marginal error", error, tol, "of the mass")]


def recomputed(
    cost: KernelCost, a: Array, b: Array, f: Array, g: Array, reg: float, tol: float
) -> list[Check]:
    """Return the checks of potentials of a whole problem, some masses of which may be zero."""
    xp = array_namespace(a)
    f = xp.astype(validate.same_shape("f", f, tuple(a.shape), "cost"), a.dtype, copy=False)
    g = xp.astype(validate.same_shape("g", g, tuple(b.shape), "cost"), b.dtype, copy=False)
    low, high = bounds(cost)
    offset = offset_of(low, high)
    rows, columns = support_of(a), support_of(b)
    cost = restricted(cost, rows, columns)
    cost = cost - offset if offset else cost
    masses = taken(a, rows), taken(b, columns)
    potentials = taken(f, rows) - 0.5 * offset, taken(g, columns) - 0.5 * offset
    return checks_of(measured(cost, *masses, *potentials, reg, high - offset), tol)
