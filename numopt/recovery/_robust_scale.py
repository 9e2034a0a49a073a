"""How large numbers are, whatever the outliers among them, and how many must vanish."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import NamedTuple

from .._core.namespace import Array, array_namespace, device_of
from .._kernels.recovery import order_statistics
from .._linalg import degrees_of_freedom

# Measurements that agree exactly, over the unknowns, from which on agreement is no coincidence.
CONSENSUS = 1.5
# Entries that a median is taken of.
SAMPLE = 1 << 14


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


def size_of(values: Array, q: float) -> float:
    """Return the robust deviation of data, of those that are not zero if too many are."""
    xp = array_namespace(values)
    scale = deviation(values, q)
    zeros = 1 - int(xp.count_nonzero(values)) / values.shape[0]
    return scale if scale > 0 or zeros == 1 else deviation(values, zeros + (1 - zeros) * q)


def middle(values: Array) -> Array:
    """Return the median of a vector as an array of no dimension."""
    place = values.shape[0] // 2
    return order_statistics(values, place, place)[0]


def median_at(values: Array, there: Array) -> float:
    """Return about the median of the values at some places, from a sample of a large array."""
    xp = array_namespace(values)
    infinity = xp.asarray(math.inf, dtype=values.dtype, device=device_of(values))
    flat = xp.reshape(xp.where(there, values, infinity), (-1,))
    flat = flat[:: 1 + flat.shape[0] // SAMPLE]
    count = int(xp.count_nonzero(xp.isfinite(flat)))
    return float(order_statistics(flat, count // 2, 0)[0]) if count else 0.0


def needed_for(shape: tuple[int, int], rank: int, symmetric: bool) -> int:
    """Return how many measurements must agree exactly to verify a matrix of a rank."""
    return max(1, math.ceil(CONSENSUS * degrees_of_freedom(shape, rank, symmetric)))
