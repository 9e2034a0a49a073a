"""Projections onto rows of a linear system: the iterations of sketch-and-project solvers.

A step with a sketch S (N, s) of the symmetric system ``K d = b`` moves d to the closest point at
which ``S' K d = S' b`` holds (Gower and Richtarik 2015).
"""

from __future__ import annotations

from .._core.dispatch import kernel
from .._core.namespace import Array, array_namespace, device_of
from .._linalg import cholesky_solve


@kernel(min_size=1, rent=False)
def kaczmarz_sweep(K: Array, b: Array, d: Array, row_norms2: Array, idx: Array) -> Array:
    """Project onto single equations, one after the other.

    `K` (N, n) any matrix in C order, `b` (N,), `d` (n,), `row_norms2` (N,) the squared norms of the
    rows, `idx` (q,) the rows in the order of use. Returns d (n,) after
    ``d = d + (b[i] - K[i] @ d) / row_norms2[i] * K[i]`` for every i in `idx`; rows of zeros are
    left out. Takes 4 n q operations, each row depending on the one before.
    """
    xp = array_namespace(K, b, d)
    for k in range(idx.shape[0]):
        row = xp.take(K, idx[k : k + 1], axis=0)[0, :]
        norm, goal = xp.take(row_norms2, idx[k : k + 1]), xp.take(b, idx[k : k + 1])
        apart = norm > 0
        weight = xp.where(apart, (goal - xp.vecdot(row, d)) / xp.where(apart, norm, 1.0), 0.0)
        d = d + weight * row
    return d


def gaussian_sketch_step(K: Array, b: Array, d: Array, S: Array) -> Array:
    """Project onto random combinations of the equations, one column of a sketch after the other.

    `K` (N, N) symmetric, `S` (N, s). Returns d (N,). Takes 2 N^2 s operations.
    """
    xp = array_namespace(K, b, d, S)
    rows = S.T @ K
    norms = xp.sum(rows * rows, axis=1)
    order = xp.arange(S.shape[1], device=device_of(K))
    return kaczmarz_sweep(xp.asarray(rows, copy=True), S.T @ b, d, norms, order)


def block_project(K_S: Array, chol: Array, b_S: Array, d: Array) -> Array:
    """Project onto several equations at once.

    `K_S` (s, N) their rows, `chol` (s, s) the lower Cholesky factor of ``K_S K_S'``, `b_S` (s,).
    Returns d (N,). Takes 4 N s + 2 s^2 operations.
    """
    return d + K_S.T @ cholesky_solve(chol, b_S - K_S @ d)
