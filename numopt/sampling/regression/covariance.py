"""Sampling errors of the coefficients of a quantile regression."""

from __future__ import annotations

from statistics import NormalDist

from ..._core.namespace import Array, array_namespace
from ..._rows import whiten
from .._certificate import rounding
from .._problem import Data

NORMAL = NormalDist()
# Distance of the quartiles of a normal distribution, in standard deviations, as it is rounded in
# the rules for bandwidths.
QUARTILES = 1.34


def covariance_of(data: Data, x: Array, level: float, kind: str) -> Array:
    """Return the estimated covariance (d, d) of coefficients (d,): two passes over the rows."""
    rows, xp = data.rows, data.rows.xp
    # Entries of A are scaled by a power of two, and so is the inverse of what comes out.
    residual = data.b / data.scale_b - rows.times(x) / data.scale
    density = _density_at_zero(residual, level)
    kept = rows.ones()
    if data.weights is not None:
        kept = xp.astype(data.weights > 0, rows.dtype)
    P = whiten(rows, kept).P
    if kind == "iid":
        middle = level * (1 - level) / density**2 * xp.matmul(P, P.T)
    else:
        ones = xp.ones_like(residual)
        above = residual > rounding(data.b, residual * data.scale_b) / data.scale_b
        share = xp.where(above, level * ones, (1 - level) * ones) / density
        middle = xp.matmul(xp.matmul(P, rows.gram(kept * share * share, P)), P.T)
    return middle * data.scale**2


def _density_at_zero(residual: Array, level: float) -> float:
    """Return a kernel estimate of the density of the errors at their quantile."""
    xp = array_namespace(residual)
    n = residual.shape[0]
    z = NORMAL.inv_cdf(level)
    top = NORMAL.inv_cdf(0.975) ** (2 / 3) * (1.5 * NORMAL.pdf(z) ** 2 / (2 * z * z + 1)) ** (1 / 3)
    half = min(n ** (-1 / 3) * top, 0.999 * min(level, 1 - level))
    ordered = xp.sort(residual)
    spread = float(_quantile(ordered, 0.75)) - float(_quantile(ordered, 0.25))
    size = min(float(xp.std(residual)), spread / QUARTILES)
    width = size * (NORMAL.inv_cdf(level + half) - NORMAL.inv_cdf(level - half))
    if not width > 0:
        raise ValueError("`covariance` needs residuals of which fewer than half are equal.")
    u = residual / width
    weights = xp.where(xp.abs(u) <= 1, 0.75 * (1 - u * u), xp.zeros_like(u))
    return float(xp.sum(weights) / (n * width))


def _quantile(ordered: Array, level: float) -> Array:
    """Return a quantile of sorted numbers, linear in between."""
    position = level * (ordered.shape[0] - 1)
    below = int(position)
    above = min(below + 1, ordered.shape[0] - 1)
    return ordered[below] + (position - below) * (ordered[above] - ordered[below])
