"""Matrices and regressions for the tables of l_p scores, coresets and regression."""

import os

import numpy as np

QUICK = bool(os.environ.get("NUMOPT_BENCH_QUICK"))


def spiked(rng, n, d):
    """Return a matrix with a few rows that nothing else can stand for."""
    A = rng.normal(size=(n, d))
    A[:d] = 3 * np.sqrt(n) * np.eye(d)
    return A


def vandermonde(rng, n, d):
    """Chebyshev polynomials at points that are equally spaced: large towards the ends."""
    return np.polynomial.chebyshev.chebvander(np.linspace(-1, 1, n), d - 1)


def low_rank_sparse(rng, n, d):
    A = rng.normal(size=(n, 3)) @ rng.normal(size=(3, d))
    rows = rng.choice(n, 3 * d, replace=False)
    A[rows, rng.integers(0, d, 3 * d)] += 10 * rng.normal(size=3 * d)
    return A + 1e-3 * rng.normal(size=(n, d))


def cauchy(rng, n, d):
    return rng.standard_cauchy((n, d))


def one_hot(rng, n, d):
    """Return groups whose sizes fall off geometrically, down to a few rows."""
    share = np.geomspace(1, 2e-3, d)
    group = rng.choice(d, n, p=share / share.sum())
    group[:d] = np.arange(d)
    return np.eye(d)[group]


def gaussian(rng, n, d):
    return rng.normal(size=(n, d))


FAMILIES = {
    "spiked": spiked,
    "vandermonde": vandermonde,
    "low rank + sparse": low_rank_sparse,
    "cauchy": cauchy,
    "one-hot": one_hot,
    "gaussian": gaussian,
}


def matrix(family, n, d, seed=0):
    return FAMILIES[family](np.random.default_rng(seed), n, d)


def regression(n, d, tail=1.5, spikes=20, seed=0):
    """Student errors, and a few rows that are thirty times as long."""
    rng = np.random.default_rng(seed)
    A = rng.normal(size=(n, d))
    A[:spikes] *= 30
    return A, A @ rng.normal(size=d) + rng.standard_t(tail, size=n)


def ties(n, d, seed=0):
    """Integer predictors and responses: many residuals vanish at the optimum."""
    rng = np.random.default_rng(seed)
    A = rng.integers(0, 3, size=(n, d)).astype(float)
    return A, np.round(A @ np.ones(d) + rng.normal(size=n))


def groups(n, d, seed=0):
    rng = np.random.default_rng(seed)
    return np.eye(d)[rng.integers(0, d, n)], rng.integers(0, 6, n).astype(float)


def duplicates(n, d, seed=0):
    A, b = regression(n // 2, d, seed=seed)
    return np.concatenate([A, A]), np.concatenate([b, b])
