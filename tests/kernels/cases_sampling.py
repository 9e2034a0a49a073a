"""Arguments of the kernels of l_p scores and regression; see `families`."""

import numpy as np


def tall(rng, n, d):
    return rng.normal(size=(n, d)), rng.random(n)


def box(rng, n):
    """Return multipliers, rooms and a residual in the middle of an interior point method."""
    positive, negative = 10.0 ** rng.uniform(-3, 2, size=(2, n))
    y = rng.uniform(-0.99, 0.99, size=n)
    return positive, negative, 1 - y, 1 + y, positive - negative


def steps(rng, sides):
    """Return the curvature, an image of a step, and targets."""
    positive, negative, up, down, residual = sides
    curvature = 1 / (positive / up + negative / down)
    n = residual.size
    step_y = 0.3 * rng.uniform(-1, 1, size=n) * np.minimum(up, down)
    return curvature, step_y, rng.normal(size=n), rng.random(n), rng.random(n)


def cases():
    """Yield names, labels and arguments."""
    rng = np.random.default_rng(9)
    for label, n, d in (
        ("plain", 37, 5),
        ("one-row", 1, 4),
        ("one-column", 300, 1),
        ("wide", 3, 9),
    ):
        yield "weighted_gram", label, tall(rng, n, d)
        yield "row_quadform", label, (rng.normal(size=(n, d)), rng.normal(size=(d, d + 1)))
    yield "row_quadform", "one-direction", (rng.normal(size=(90, 5)), rng.normal(size=(5, 1)))
    A, weights = tall(rng, 700, 6)
    yield "weighted_gram", "zero-weights", (A, weights * (weights > 0.5))
    yield "weighted_gram", "uneven-weights", (A, 10.0 ** rng.uniform(-12, 12, 700))
    for label, n in (("plain", 200), ("one", 1), ("few", 7)):
        sides = box(rng, n)
        curvature, step_y, image, up, down = steps(rng, sides)
        right = sides[4]
        yield "box_curvature", label, sides
        yield "box_targets", label, (*sides, curvature, step_y, 0.25)
        yield "box_direction", label, (*sides[:4], curvature, right, image, up, down)
    residual, weights = rng.normal(size=150), rng.random(150)
    residual[:3] = 0.0
    for p in (1.25, 1.5, 2.0, 3.0, 4.0, 7.5):
        for smoothing in (0.0, 0.125):
            if p < 2 and smoothing == 0:
                continue
            label = f"{p}-{smoothing}"
            yield "power_terms", label, (residual, weights, p, smoothing)
            image = rng.normal(size=150)
            yield "power_slope", label, (residual, image, weights, p, smoothing, 0.75)
    yield "power_terms", "one", (residual[5:6], weights[:1], 3.0, 0.0)
    yield "power_slope", "one", (residual[5:6], weights[7:8], weights[:1], 3.0, 0.0, 0.5)


def large():
    """Return, for every kernel, arguments large enough for several threads."""
    rng = np.random.default_rng(10)
    yield "weighted_gram", tall(rng, 5000, 7)
    yield "row_quadform", (rng.normal(size=(5000, 7)), rng.normal(size=(7, 7)))
    sides = box(rng, 5000)
    curvature, step_y, image, up, down = steps(rng, sides)
    yield "box_curvature", sides
    yield "box_targets", (*sides, curvature, step_y, 0.25)
    yield "box_direction", (*sides[:4], curvature, sides[4], image, up, down)
    residual, weights = rng.normal(size=(2, 5000)) ** 2
    yield "power_terms", (residual, weights, 2.5, 0.0)
    yield "power_slope", (residual, image, weights, 2.5, 0.0, 0.75)
