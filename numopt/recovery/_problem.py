"""A recovery problem and its settings, as the parts of the solver share them."""

from __future__ import annotations

from typing import Any, NamedTuple

from .._iterate import Callback
from .._kernels.recovery import order_statistics
from .._namespace import Array, array_namespace
from ._factors import Factors
from ._operators import SensingOperator
from ._scale import Spread, needed_for, spread


class Problem(NamedTuple):
    """Measurements ``y_i = <A_i, X> + s_i`` on the device."""

    operator: SensingOperator
    y: Array
    weights: Array  # (m,) non-negative
    symmetric: bool
    intercept: bool  # whether the same number is added to all measurements


class Settings(NamedTuple):
    """Validated options of `robust_low_rank_recovery`."""

    rank: int
    init: str
    alpha: float
    step: str
    q: float
    eta: float | None
    decay: float | None
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


def spread_of(problem: Problem, residual: Array, q: float, rank: int) -> Spread:
    """Return the scale of a residual and the magnitude that decides on exact consensus."""
    return spread(residual, q, needed_for(problem.operator.shape, rank, problem.symmetric))


def objective(problem: Problem, residual: Array) -> Array:
    """Return the mean of the weighted magnitudes."""
    xp = array_namespace(residual)
    return xp.mean(problem.weights * xp.abs(residual))
