"""A recovery problem and its settings, as the parts of the solver share them."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from .._core.iterate import Callback
from .._core.namespace import Array, array_namespace, device_of
from .._kernels.recovery import order_statistics
from .._linalg.lowrank import Factors
from ._operators import SensingOperator
from ._scale import Spread, needed_for, to_deviation


class Problem(NamedTuple):
    """Measurements ``y_i = <A_i, X> + s_i`` on the device."""

    operator: SensingOperator
    y: Array
    weights: Array  # (m,) non-negative
    symmetric: bool
    intercept: bool  # whether the same number is added to all measurements
    heard: int  # measurements that are not zero: those can verify a matrix


class Settings(NamedTuple):
    """Validated options of `robust_low_rank_recovery`."""

    rank: int
    init: str
    alpha: float
    step: str
    q: float
    eta: float | None
    decay: float | None
    fun_star: float | None  # the optimal value, for Polyak's step
    scaling: bool | str
    prune: bool
    polish: bool
    noise: bool
    tol: float
    maxiter: int
    generator: Any
    callback: Callback | None


def residual_of(problem: Problem, factors: Factors) -> Array:
    """Return ``<A_i, X> - y_i``, around its median if there is an intercept."""
    residual = problem.operator.forward(factors.left, factors.right) - problem.y
    return residual - middle(residual) if problem.intercept else residual


def middle(values: Array) -> Array:
    """Return the median of a vector as an array of no dimension."""
    place = values.shape[0] // 2
    return order_statistics(values, place, place)[0]


def magnitudes(problem: Problem, residual: Array) -> Array:
    """Return the magnitudes of a residual, infinite for measurements of exactly zero.

    With those, any matrix would agree that is zero.
    """
    xp, sizes = array_namespace(residual), array_namespace(residual).abs(residual)
    if problem.heard == problem.operator.m:
        return sizes
    infinity = xp.asarray(math.inf, dtype=sizes.dtype, device=device_of(sizes))
    return xp.where(problem.y != 0, sizes, infinity)


def places_of(problem: Problem, q: float, rank: int) -> tuple[int, int, bool]:
    """Return where, among sorted magnitudes, a quantile is and the last one that must agree.

    The third item tells whether there are enough measurements to verify a matrix of that rank.
    """
    needed = needed_for(problem.operator.shape, rank, problem.symmetric)
    last = problem.heard - 1
    return min(int(q * problem.heard), last), min(needed - 1, last), needed <= problem.heard


def spread_of(problem: Problem, residual: Array, q: float, rank: int) -> Spread:
    """Return the scale of a residual and the magnitude that decides on exact consensus."""
    place, within, enough = places_of(problem, q, rank)
    quantile, agreed = order_statistics(magnitudes(problem, residual), place, within)
    scale = float(quantile) * to_deviation(q)
    return Spread(scale, float(agreed) if enough else math.inf)


def objective(problem: Problem, residual: Array) -> Array:
    """Return the mean of the weighted magnitudes."""
    xp = array_namespace(residual)
    return xp.mean(problem.weights * xp.abs(residual))
