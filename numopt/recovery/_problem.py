"""A recovery problem and its settings, as the parts of the solver share them."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from .._core.iterate import Callback, Record
from .._core.namespace import Array, array_namespace, device_of
from .._kernels.recovery import order_statistics
from .._linalg import Factors
from ._robust_scale import Spread, middle, needed_for, to_deviation
from .measurements import SensingOperator


class Problem(NamedTuple):
    """Measurements ``y_i = <A_i, X> + s_i`` on the device."""

    operator: SensingOperator
    y: Array
    weights: Array  # (m,) non-negative
    symmetric: bool
    intercept: bool  # whether the same number is added to all measurements
    n_nonzero: int  # measurements that are not zero: those can verify a matrix


class Settings(NamedTuple):
    """Validated options of `robust_low_rank_recovery`."""

    rank: int
    x0: Factors | None
    random: bool  # whether the start is random where there is no `x0`
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


class Ended(NamedTuple):
    """How a solve ended, from measurements or from entries."""

    factors: Factors  # balanced, with orthogonal columns in falling order
    singular_values: Array
    status: int
    nit: int
    history: list[Record]
    ranks: list[int]  # those after the first
    step: float = 1.0  # relative length of the steps in the end
    intercept: float = 0.0
    indefinite: bool = False  # whether negative eigenvalues outweigh the positive ones


def offset_of(problem: Problem, values: Array) -> Array | float:
    """Return what signs are taken around: the median where the measurements have a common mean.

    For ``a' X a`` with X positive semidefinite all signs would be the same.
    """
    if problem.operator.centered and not problem.intercept:
        return 0.0
    return middle(values)


def residual_of(problem: Problem, factors: Factors) -> Array:
    """Return ``<A_i, X> - y_i``, around its median if there is an intercept."""
    residual = problem.operator.forward(factors.left, factors.right) - problem.y
    return residual - middle(residual) if problem.intercept else residual


def magnitudes(problem: Problem, residual: Array) -> Array:
    """Return the magnitudes of a residual, infinite for measurements of exactly zero.

    With those, any matrix would agree that is zero. Where all are zero, so is the matrix.
    """
    xp, sizes = array_namespace(residual), array_namespace(residual).abs(residual)
    if problem.n_nonzero in (0, problem.operator.m):
        return sizes
    infinity = xp.asarray(math.inf, dtype=sizes.dtype, device=device_of(sizes))
    return xp.where(problem.y != 0, sizes, infinity)


def places_of(problem: Problem, q: float, rank: int) -> tuple[int, int, bool]:
    """Return where, among sorted magnitudes, a quantile is and the last one that must agree.

    The third item tells whether there are enough measurements to verify a matrix of that rank.
    """
    needed, count = needed_for(problem.operator.shape, rank, problem.symmetric), problem.n_nonzero
    return min(int(q * count), count - 1), min(needed, count) - 1, needed <= count


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
