"""How large residuals are, whatever the outliers, and how many vanish."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import NamedTuple

from .._kernels.recovery import order_statistics
from .._namespace import Array, array_namespace
from ._factors import degrees_of_freedom

# Measurements that agree exactly, over the unknowns, from which on agreement is no coincidence.
CONSENSUS = 1.5


class Spread(NamedTuple):
    """What the residuals look like."""

    scale: float  # robust standard deviation
    agreed: float  # magnitude that all but the agreeing residuals exceed; infinite if too few


def to_deviation(q: float) -> float:
    """Return the factor from a quantile of magnitudes to the deviation of a normal variable."""
    return 1 / NormalDist().inv_cdf((1 + q) / 2)


def spread(residual: Array, q: float, needed: int) -> Spread:
    """Return the robust scale of a residual, and the magnitude that `needed` of it do not exceed.

    Reading both is the one place where an iteration waits for the device.
    """
    xp, m = array_namespace(residual), residual.shape[0]
    place = min(int(q * m), m - 1)
    within = min(needed, m) - 1
    quantile, agreed = order_statistics(xp.abs(residual), place, within)
    scale = float(quantile) * to_deviation(q)
    return Spread(scale, float(agreed) if needed <= m else math.inf)


def needed_for(shape: tuple[int, int], rank: int, symmetric: bool) -> int:
    """Return how many measurements must agree exactly to verify a matrix of a rank."""
    return max(1, math.ceil(CONSENSUS * degrees_of_freedom(shape, rank, symmetric)))
