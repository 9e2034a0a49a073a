"""Sums of a loss over the rows of a matrix, and what they are by definition."""

import numpy as np

N, D = 240, 4
LOSSES = ("squared", "logistic", "poisson", "huber")


def targets(loss, n=N, seed=1):
    rng = np.random.default_rng(seed)
    if loss == "logistic":
        return rng.choice([-1.0, 1.0], size=n)
    return rng.poisson(2.0, size=n).astype(float) if loss == "poisson" else rng.normal(size=n)


def problem(loss, n=N, d=D):
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, d)) / 2, targets(loss, n), rng.random(n), rng.normal(size=d)


def definition(loss, margins, b):
    """Return the sum of a loss, written down once more."""
    if loss == "logistic":
        return np.logaddexp(0, -b * margins)
    if loss == "poisson":
        return np.exp(margins) - b * margins
    r = np.abs(margins - b)
    return np.where((r <= 0.7) | (loss == "squared"), r**2 / 2, 0.7 * (r - 0.35))


def differences(function, x, step=1e-6):
    columns = [
        (function(x + step * e) - function(x - step * e)) / (2 * step) for e in np.eye(x.size)
    ]
    return np.stack(columns, axis=-1)


LOGISTIC = (
    lambda m, b: np.logaddexp(0, -b * m),
    lambda m, b: -b / (1 + np.exp(b * m)),
    lambda m, _: 1 / (2 + np.exp(m) + np.exp(-m)),
)


def certified(f, x, C, target, tol):
    """Assert that a point satisfies linear equations, and the optimality conditions with them."""
    g = f.gradient(x)
    lam = np.linalg.lstsq(C.T, -g)[0]
    assert np.abs(C @ x - target).max() <= 2 * tol
    assert np.abs(g + C.T @ lam).max() <= 2 * tol * max(1, np.abs(g).max())
