"""Least squares: passes over the rows of a tall matrix, compiled or through BLAS."""

from __future__ import annotations

import numba
import numpy as np
from numba import prange

from ._jit import jit
from ._rows import sum_over_row_blocks

# Entries that are worth another thread.
ENTRIES_PER_THREAD = 1 << 17


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
    threads = min(numba.get_num_threads(), 1 + n * d // ENTRIES_PER_THREAD)
    column = None if b is None else np.ascontiguousarray(b[:, 0])
    gradients, squares = _one_column(A, column, x[:, 0].copy(), weights, threads)
    return gradients.sum(axis=0)[:, None], squares.sum(keepdims=True)


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


@jit(parallel=True, reorder=True)
def _one_column(A, b, x, weights, threads):
    """Partial gradients (threads, d) and sums of squares (threads,)."""
    n, d = A.shape
    gradients = np.zeros((threads, d), dtype=A.dtype)
    squares = np.zeros(threads, dtype=A.dtype)
    for part in prange(threads):
        gradient = np.zeros(d, dtype=A.dtype)
        total = A.dtype.type(0)
        for i in range(part * n // threads, (part + 1) * n // threads):
            row = A[i]
            residual = A.dtype.type(0)
            for j in range(d):
                residual -= row[j] * x[j]
            if b is not None:
                residual += b[i]
            weighted = residual
            if weights is not None:
                weighted *= weights[i]
            total += residual * weighted
            for j in range(d):
                gradient[j] += weighted * row[j]
        gradients[part] = gradient
        squares[part] = total
    return gradients, squares
