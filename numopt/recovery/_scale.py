"""How large residuals are, whatever the outliers, and how many vanish."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import NamedTuple

from .._core.namespace import Array, array_namespace
from .._kernels.recovery import order_statistics
from .._linalg.lowrank import degrees_of_freedom

# Measurements that agree exactly, over the unknowns, from which on agreement is no coincidence.
CONSENSUS = 1.5


class Spread(NamedTuple):
    """What the residuals look like."""

    scale: float  # robust standard deviation
    agreed: float  # magnitude that all but the agreeing residuals exceed; infinite if too few


def to_deviation(q: float) -> float:
    """Return the factor from a quantile of magnitudes to the deviation of a normal variable."""
    return 1 / NormalDist().inv_cdf((1 + q) / 2)


def deviation(values: Array, q: float) -> float:
    """Return the robust standard deviation of a vector: a scaled quantile of its magnitudes."""
    place = min(int(q * values.shape[0]), values.shape[0] - 1)
    quantile = order_statistics(array_namespace(values).abs(values), place, place)[0]
    return float(quantile) * to_deviation(q)


def needed_for(shape: tuple[int, int], rank: int, symmetric: bool) -> int:
    """Return how many measurements must agree exactly to verify a matrix of a rank."""
    return max(1, math.ceil(CONSENSUS * degrees_of_freedom(shape, rank, symmetric)))
