"""Matrices and regressions for the tests of l_p scores, coresets and regression."""

import numpy as np


def gaussian(n=120, d=4, seed=0):
    return np.random.default_rng(seed).normal(size=(n, d))


def spiked(n=120, d=4, seed=0):
    """Return a matrix with a few rows that nothing else can stand for."""
    A = gaussian(n, d, seed)
    A[:d] = 3 * np.sqrt(n) * np.eye(d)
    return A


def vandermonde(n=120, d=4):
    x = np.cos(np.pi * (np.arange(n) + 0.5) / n)
    return np.polynomial.chebyshev.chebvander(x, d - 1)


def low_rank_sparse(n=120, d=4, seed=0):
    rng = np.random.default_rng(seed)
    A = rng.normal(size=(n, 2)) @ rng.normal(size=(2, d))
    rows = rng.choice(n, 3 * d, replace=False)
    A[rows, rng.integers(0, d, 3 * d)] += 10 * rng.normal(size=3 * d)
    return A + 1e-3 * rng.normal(size=(n, d))


def cauchy(n=120, d=4, seed=0):
    return np.random.default_rng(seed).standard_cauchy((n, d))


def one_hot(n=120, d=4, seed=0):
    """Return groups whose sizes fall off geometrically."""
    share = 0.5 ** np.arange(1, d + 1)
    group = np.random.default_rng(seed).choice(d, n, p=share / share.sum())
    group[:d] = np.arange(d)
    return np.eye(d)[group]


FAMILIES = {
    "gaussian": gaussian,
    "spiked": spiked,
    "vandermonde": vandermonde,
    "low-rank-sparse": low_rank_sparse,
    "cauchy": cauchy,
    "one-hot": one_hot,
}


def regression(n=200, d=4, seed=0, tail=2.0):
    rng = np.random.default_rng(seed)
    A = rng.normal(size=(n, d))
    return A, A @ rng.normal(size=d) + rng.standard_t(tail, size=n)


def tied(n=200, d=4, seed=0):
    """Integer responses and predictors: many residuals vanish together."""
    rng = np.random.default_rng(seed)
    A = rng.integers(0, 3, size=(n, d)).astype(float)
    return A, np.round(A @ np.ones(d) + rng.normal(size=n))


def duplicated(n=200, d=4, seed=0):
    A, b = regression(n // 2, d, seed)
    return np.concatenate([A, A]), np.concatenate([b, b])


def grouped(n=200, d=4, seed=0):
    """One column for each group and counts as responses: medians of the groups."""
    rng = np.random.default_rng(seed)
    return np.eye(d)[rng.integers(0, d, n)], rng.integers(0, 6, n).astype(float)


REGRESSIONS = {
    "plain": regression,
    "ties": tied,
    "duplicates": duplicated,
    "groups": grouped,
}
