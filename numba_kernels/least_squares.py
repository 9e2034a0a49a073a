"""Least squares: passes over the rows of a tall matrix, compiled or through BLAS."""

from __future__ import annotations

import numpy as np

from ._jit import jit
from ._pool import added, blocks_of, run_rows
from ._rows import sum_over_row_blocks


def gram(A, weights, factor):
    def of_block(rows):
        block = A[rows] if factor is None else A[rows] @ factor
        if weights is not None:
            block = block * np.sqrt(weights[rows])[:, None]
        return block.T @ block

    return sum_over_row_blocks(of_block, *A.shape)


def residual_gradient(A, b, x, weights):
    n, d = A.shape
    if x.shape[1] > 1:
        return _many_columns(A, b, x, weights)
    none = np.empty(0, dtype=A.dtype)
    column = none if b is None else np.ascontiguousarray(b[:, 0])
    given = A, column, x[:, 0].copy(), none if weights is None else weights
    parts = np.zeros((blocks_of(n, d), d + 1), dtype=A.dtype)
    run_rows(n, d, lambda block, first, last: _one_column(*given, first, last, parts[block]))
    total = added(parts)
    return total[:d, None], total[d:]


def _many_columns(A, b, x, weights):
    d, k = x.shape

    def of_block(rows):
        residual = -(A[rows] @ x)
        if b is not None:
            residual += b[rows]
        weighted = residual if weights is None else residual * weights[rows, None]
        parts = np.empty((d + 1, k), dtype=A.dtype)
        np.matmul(A[rows].T, weighted, out=parts[:d])
        parts[d] = np.einsum("ik,ik->k", residual, weighted)
        return parts

    total = sum_over_row_blocks(of_block, A.shape[0], d + k)
    return total[:d], total[d]


@jit(reorder=True)
def _one_column(A, b, x, weights, first, last, sums):
    """Add the gradient (d,) of some rows and, behind it, their sum of squares; no b is zero."""
    d = x.shape[0]
    for i in range(first, last):
        residual = sums[0] * 0
        for j in range(d):
            residual -= A[i, j] * x[j]
        if b.shape[0]:
            residual += b[i]
        weighted = residual * weights[i] if weights.shape[0] else residual
        sums[d] += residual * weighted
        for j in range(d):
            sums[j] += weighted * A[i, j]
