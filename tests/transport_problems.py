"""Families of transport problems, from easy to hard, drawn from a seed."""

import numpy as np


def uniform(n):
    return np.full(n, 1 / n)


def weights(rng, n):
    w = rng.gamma(0.5, size=n) + 1e-4
    return w / w.sum()


def squared_distances(X, Y):
    return ((X[:, None, :] - Y[None, :, :]) ** 2).sum(axis=2)


def scaled(cost):
    return cost / cost.max()


def assign(n, seed=0):
    """Uniform costs: no structure, one clear best assignment."""
    rng = np.random.default_rng(seed)
    return scaled(rng.random((n, n))), uniform(n), uniform(n)


def cloud(n, seed=0):
    """Squared distances between a uniform and a Gaussian cloud in the unit square."""
    rng = np.random.default_rng(seed)
    X, Y = rng.random((n, 2)), np.clip(rng.normal(0.5, 0.18, size=(n, 2)), 0, 1)
    return scaled(squared_distances(X, Y)), uniform(n), uniform(n)


def cloud_3d(n, seed=0):
    """Clouds in space with very uneven masses."""
    rng = np.random.default_rng(seed)
    cost = squared_distances(rng.random((n, 3)), rng.random((n, 3)))
    return scaled(cost), weights(rng, n), weights(rng, n)


def rectangle(n, seed=0):
    """Four times more rows than columns, uneven masses."""
    rng = np.random.default_rng(seed)
    cost = squared_distances(rng.random((n, 2)), rng.random((n // 4, 2)))
    return scaled(cost), weights(rng, n), weights(rng, n // 4)


def densities(n, power=2):
    """Two mixtures on a line, cost ``|x - y|**power``."""
    x = np.linspace(0, 1, n)

    def bump(center, width):
        return np.exp(-(((x - center) / width) ** 2))

    a = bump(0.2, 0.06) + 0.5 * bump(0.6, 0.1) + 1e-3
    b = 0.7 * bump(0.35, 0.08) + bump(0.8, 0.05) + 1e-3
    return np.abs(x[:, None] - x[None, :]) ** power, a / a.sum(), b / b.sum()


def pixels(side):
    return np.stack(np.meshgrid(*[np.arange(float(side))] * 2, indexing="ij"), -1).reshape(-1, 2)


def strokes(side, power=2):
    """Two drawings on a grid of pixels: many equal costs, hence tied optima."""
    points = pixels(side) / (side - 1)
    cost = (np.abs(points[:, None, :] - points[None, :, :]) ** power).sum(axis=2)

    def drawn(distance):
        image = np.exp(-((distance / 0.06) ** 2)) + 1e-3
        return image / image.sum()

    x, y = points.T
    ring = drawn(np.hypot(x - 0.5, y - 0.5) - 0.3)
    line = drawn(x - 0.2 - 0.6 * y)
    return scaled(cost), ring, line


FAMILIES = {
    "assign": assign,
    "cloud": cloud,
    "cloud-3d": cloud_3d,
    "rectangle": rectangle,
    "densities-2": lambda n: densities(n, 2),
    "densities-1": lambda n: densities(n, 1),
    "strokes-2": lambda n: strokes(round(n**0.5), 2),
    "strokes-1": lambda n: strokes(round(n**0.5), 1),
}
