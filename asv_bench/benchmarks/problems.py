"""Transport problems of the benchmarks, generated from a seed."""

from typing import NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.spatial import ConvexHull
from scipy.spatial.distance import cdist

IMAGE_SIDE = 28


class Problem(NamedTuple):
    """One problem: masses `a` (n,) and `b` (m,), regularization `reg`, and a cost.

    The cost is a matrix (n, m), or comes from `points` ``(X, Y, scale)`` with entries
    ``scale * |x_i - y_j|^2``. A batch has a leading axis on `cost`, `a` and `b`.
    """

    a: np.ndarray
    b: np.ndarray
    reg: float
    cost: np.ndarray | None = None
    points: tuple[np.ndarray, np.ndarray, float] | None = None


def make(family, n, eta, seed=0):
    """Problem of a family with `n` rows and regularization ``1 / eta``; the cost peaks at 1."""
    rng = np.random.default_rng([seed, n])
    return FAMILIES[family](n, 1.0 / eta, rng)


def uniform(n):
    return np.full(n, 1.0 / n)


def clouds(n, m, dimension, rng):
    """Uniform points and clipped normal points in the unit cube."""
    target = np.clip(rng.normal(0.5, 0.18, (m, dimension)), 0.0, 1.0)
    return rng.random((n, dimension)), target


def from_cost(cost, a, b, reg):
    return Problem(a / a.sum(), b / b.sum(), reg, cost=cost / cost.max())


def assign(n, reg, rng):
    return from_cost(rng.random((n, n)), uniform(n), uniform(n), reg)


def cloud(n, reg, rng):
    X, Y = clouds(n, n, 2, rng)
    return from_cost(cdist(X, Y, "sqeuclidean"), uniform(n), uniform(n), reg)


def cloudw3(n, reg, rng):
    X, Y = clouds(n, n, 3, rng)
    return from_cost(
        cdist(X, Y, "sqeuclidean"), rng.gamma(0.5, size=n), rng.gamma(0.5, size=n), reg
    )


def rect(n, reg, rng):
    m = n // 4
    X, Y = clouds(n, m, 2, rng)
    a, b = rng.uniform(0.2, 1.0, n), rng.uniform(0.2, 1.0, m)
    return from_cost(cdist(X, Y, "sqeuclidean"), a, b, reg)


def strokes(side, rng):
    """Image of two pen strokes, floored at 1e-3 of its peak as every solver here needs."""
    image = np.zeros((side, side))
    t = np.linspace(0.0, 1.0, 20 * side)[:, None]
    for _ in range(2):
        ends = rng.uniform(0.15, 0.85, (3, 2)) * (side - 1)
        curve = (1 - t) ** 2 * ends[0] + 2 * t * (1 - t) * ends[1] + t**2 * ends[2]
        image[tuple(np.rint(curve).astype(int).T)] = 1.0
    image = gaussian_filter(image, 0.03 * side)
    return np.maximum(image / image.max(), 1e-3).ravel()


def images(metric):
    def build(n, reg, rng):
        side = round(n**0.5)
        pixels = np.stack(np.divmod(np.arange(side * side), side), axis=1).astype(float)
        a, b = strokes(side, rng), strokes(side, rng)
        return from_cost(cdist(pixels, pixels, metric), a, b, reg)

    return build


def densities(power):
    def mixture(x, rng):
        centers, widths = rng.uniform(0.1, 0.9, (3, 1)), rng.uniform(0.03, 0.1, (3, 1))
        return np.exp(-0.5 * ((x - centers) / widths) ** 2).sum(axis=0) + 1e-3

    def build(n, reg, rng):
        x = np.linspace(0.0, 1.0, n)
        cost = np.abs(x[:, None] - x) ** power
        return from_cost(cost, mixture(x, rng), mixture(x, rng), reg)

    return build


def points(n, reg, rng):
    """Clouds whose cost matrix is never stored; the largest cost is between hull vertices."""
    X, Y = clouds(n, n, 2, rng)
    corners = (Z[ConvexHull(Z).vertices] for Z in (X, Y))
    scale = 1.0 / cdist(*corners, "sqeuclidean").max()
    return Problem(uniform(n), uniform(n), reg, points=(X, Y, scale))


def batch(n, reg, rng):
    """64 clouds of one size, stacked."""
    members = [cloud(n, reg, rng) for _ in range(64)]
    a, b, cost = (np.stack([getattr(p, name) for p in members]) for name in ("a", "b", "cost"))
    return Problem(a, b, reg, cost=cost)


FAMILIES = {
    "assign": assign,
    "cloud": cloud,
    "cloudw3": cloudw3,
    "rect": rect,
    "imgL2": images("sqeuclidean"),
    "imgL1": images("cityblock"),
    "dens": densities(2),
    "dens1": densities(1),
    "points": points,
    "batch": batch,
}


def moved_pair(n, eta, seed=0):
    """Make a cloud, and the same a moment later: points moved by 1e-4, `reg` smaller by 1 %."""
    rng = np.random.default_rng([seed, n])
    X, Y = clouds(n, n, 2, rng)
    before = from_cost(cdist(X, Y, "sqeuclidean"), uniform(n), uniform(n), 1.0 / eta)
    X, Y = (Z + 1e-4 * rng.normal(size=Z.shape) for Z in (X, Y))
    return before, from_cost(cdist(X, Y, "sqeuclidean"), before.a, before.b, 0.99 / eta)
