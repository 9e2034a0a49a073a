"""Matrices seen in part, and what completions of them are worth."""

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.sparse import coo_array

QUICK = os.environ.get("NUMOPT_BENCH_QUICK") == "1"
RATINGS = Path(__file__).parents[2] / "examples" / "data" / "ratings.npz"


class Case(NamedTuple):
    """A random matrix: shape, entries, rank of the model, skew of the sample, noise."""

    m: int
    n: int
    count: int
    rank: int
    skew: float
    noise: float
    reg: float
    dtype: str = "float64"


def make(case, seed=0):
    """Return the entries seen of a matrix whose rank is that of the model."""
    if QUICK:
        shrink = 40
        case = case._replace(
            m=case.m // shrink, n=case.n // shrink, count=min(case.count // 500, 4000), rank=4
        )
    rng = np.random.default_rng(seed)
    rows = _drawn(case.m, case.count, case.skew, rng)
    columns = _drawn(case.n, case.count, case.skew, rng)
    places = np.unique(rows * case.n + columns)
    rows, columns = np.divmod(places, case.n)
    U, V = rng.normal(size=(case.m, case.rank)), rng.normal(size=(case.n, case.rank))
    values = np.empty(places.size)
    for start in range(0, places.size, 1 << 18):
        part = slice(start, start + (1 << 18))
        values[part] = np.einsum("ij,ij->i", U[rows[part]], V[columns[part]]) / case.rank**0.5
    values += case.noise * rng.normal(size=places.size)
    return coo_array((values.astype(case.dtype), (rows, columns)), shape=(case.m, case.n)), case


def _drawn(size, count, skew, rng):
    """Return numbers below `size`, drawn by a power law of their place in a random order."""
    shares = np.arange(1, size + 1) ** -skew
    return rng.permutation(size)[rng.choice(size, count, p=shares / shares.sum())]


def exact(n, rank, oversampling, condition, seed, least=0):
    """Return coordinates of entries of a square matrix of some rank, and its factors.

    With `least`, every row and column has at least so many entries.
    """
    rng = np.random.default_rng(seed)
    U, V = (np.linalg.qr(rng.normal(size=(n, rank)))[0] for _ in range(2))
    U = U * np.geomspace(1, 1 / condition, rank) * n / rank**0.5
    mask = np.zeros((n, n), dtype=bool)
    for _ in range(least):
        mask[np.arange(n), rng.permutation(n)] = True
    missing = round(oversampling * rank * (2 * n - rank)) - int(mask.sum())
    mask.flat[rng.choice(np.nonzero(~mask.ravel())[0], missing, replace=False)] = True
    rows, columns = np.nonzero(mask)
    return (rows, columns, np.einsum("ij,ij->i", U[rows], V[columns]), (n, n)), (U, V)


def relative_error(X, Y, truth):
    """Return the relative error of ``X Y'`` from QR factors, without the matrix."""
    U, V = truth
    left = np.linalg.qr(np.hstack([X, -U]), mode="r")
    right = np.linalg.qr(np.hstack([Y, V]), mode="r")
    return float(np.linalg.norm(left @ right.T) / np.linalg.norm(U))


def objective(M, X, Y, reg):
    """Return the objective in double precision, by parts of the entries."""
    X, Y, total = X.astype(float), Y.astype(float), 0.0
    for start in range(0, M.nnz, 1 << 18):
        part = slice(start, start + (1 << 18))
        products = np.einsum("ij,ij->i", X[M.row[part]], Y[M.col[part]])
        total += float(((M.data[part] - products) ** 2).sum())
    return total + reg * float((X**2).sum() + (Y**2).sum())
