"""Low-rank matrices of which a part is seen, and what a completion of them is worth."""

import math

import numpy as np
from libraries import to_numpy


def lowrank(m, n, r, kappa=1.0, seed=0):
    """Return factors of a matrix of rank r with singular values from 1 to 1 / kappa."""
    rng = np.random.default_rng(seed)
    U, V = (np.linalg.qr(rng.normal(size=(size, r)))[0] for size in (m, n))
    return U * np.geomspace(1, 1 / kappa, r) * math.sqrt(m * n / r), V


def sampled(m, n, r, ratio, kappa=1.0, seed=0, noise=0.0):
    """Return coordinates of a random part of such a matrix, and its factors."""
    U, V = lowrank(m, n, r, kappa, seed)
    rng = np.random.default_rng(seed + 1000)
    count = round(ratio * r * (m + n - r))
    rows, columns = np.divmod(rng.choice(m * n, count, replace=False), n)
    values = np.einsum("ij,ij->i", U[rows], V[columns]) + noise * rng.normal(size=count)
    return (rows, columns, values, (m, n)), (U, V)


def error(result, truth):
    """Return the relative error of ``X Y'``, by QR factors of what it differs by."""
    U, V = truth
    left = np.linalg.qr(np.hstack([to_numpy(result.X), -U]), mode="r")
    right = np.linalg.qr(np.hstack([to_numpy(result.Y), V]), mode="r")
    return np.linalg.norm(left @ right.T) / np.linalg.norm(U)


def objective(M, X, Y, reg, weights=None, row_reg=None, col_reg=None):
    """Return the objective and its gradients, from coordinates, with none of the library."""
    rows, columns, values, _ = M
    w = np.ones_like(values) if weights is None else weights
    residual = values - np.einsum("ij,ij->i", X[rows], Y[columns])
    row_reg = np.full(X.shape[0], reg) if row_reg is None else row_reg
    col_reg = np.full(Y.shape[0], reg) if col_reg is None else col_reg
    fun = w @ residual**2 + row_reg @ (X**2).sum(axis=1) + col_reg @ (Y**2).sum(axis=1)
    slope_x, slope_y = 2 * row_reg[:, None] * X, 2 * col_reg[:, None] * Y
    np.add.at(slope_x, rows, -2 * (w * residual)[:, None] * Y[columns])
    np.add.at(slope_y, columns, -2 * (w * residual)[:, None] * X[rows])
    return fun, slope_x, slope_y


def relative_gradient(M, X, Y, reg, **options):
    _, slope_x, slope_y = objective(M, X, Y, reg, **options)
    size = np.linalg.norm(M[2]) * (np.linalg.norm(X) + np.linalg.norm(Y))
    return math.hypot(np.linalg.norm(slope_x), np.linalg.norm(slope_y)) / size


def noisy(seed=0):
    return sampled(40, 30, 2, 5.0, seed=seed, noise=0.3)[0]


def as_dense(M):
    rows, columns, values, shape = M
    dense = np.full(shape, np.nan)
    dense[rows, columns] = values
    return dense
