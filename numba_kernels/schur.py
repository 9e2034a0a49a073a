"""The sparsified Newton system of entropic optimal transport."""

from __future__ import annotations

import numpy as np
from numba import prange

from ._jit import jit

# A product is split in row blocks, whose partial sums are added in order. Both numbers depend on
# the matrix only, never on the threads, so that the result does not either. Below the threshold
# (measured, two threads) starting a parallel region costs more than it saves.
BLOCKS = 8
PARALLEL_ENTRIES = 100_000


@jit()
def _gram_rows(data, indices, indptr, inverse_a, p, out, first, last):
    """Add P' diag(1/a) P p, for rows from first to last, to out: one read of the matrix."""
    for i in range(first, last):
        product = 0.0
        for k in range(indptr[i], indptr[i + 1]):
            product += data[k] * p[indices[k]]
        product *= inverse_a[i]
        for k in range(indptr[i], indptr[i + 1]):
            out[indices[k]] += data[k] * product


@jit(parallel=True)
def _gram_parallel(data, indices, indptr, inverse_a, p, partial):
    n = inverse_a.shape[0]
    partial[:] = 0
    for block in prange(BLOCKS):
        _gram_rows(
            data,
            indices,
            indptr,
            inverse_a,
            p,
            partial[block],
            block * n // BLOCKS,
            (block + 1) * n // BLOCKS,
        )


@jit()
def _schur_product(data, indices, indptr, inverse_a, diagonal, p, partial, out):
    if partial.shape[0] == 1:
        partial[:] = 0
        _gram_rows(data, indices, indptr, inverse_a, p, partial[0], 0, inverse_a.shape[0])
    else:
        _gram_parallel(data, indices, indptr, inverse_a, p, partial)
    for j in range(out.shape[0]):
        total = 0.0
        for block in range(partial.shape[0]):
            total += partial[block, j]
        out[j] = diagonal[j] * p[j] - total


@jit(reorder=True)
def _dot(x, y):
    total = 0.0
    for j in range(x.shape[0]):
        total += x[j] * y[j]
    return total


@jit(reorder=True)
def _absolute_sum(x):
    total = 0.0
    for j in range(x.shape[0]):
        total += abs(x[j])
    return total


@jit()
def _jacobi(data, indices, indptr, inverse_a, c, shift):
    preconditioner = c.astype(np.float64)
    for i in range(inverse_a.shape[0]):
        for k in range(indptr[i], indptr[i + 1]):
            preconditioner[indices[k]] -= data[k] * data[k] * inverse_a[i]
    for j in range(c.shape[0]):
        preconditioner[j] = 1.0 / (max(preconditioner[j], 1e-14 * c[j]) + shift * c[j])
    return preconditioner


@jit()
def schur_cg(data, indices, indptr, a, c, shift, rhs, rtol, maxiter):
    inverse_a = 1.0 / a.astype(np.float64)
    preconditioner = _jacobi(data, indices, indptr, inverse_a, c, shift)
    diagonal = (1.0 + shift) * c.astype(np.float64)
    blocks = 1 if data.shape[0] < PARALLEL_ENTRIES else BLOCKS
    partial = np.empty((blocks, c.shape[0]))
    residual = rhs.astype(np.float64)
    x = np.zeros_like(residual)
    p = preconditioner * residual
    product = np.empty_like(residual)
    rho = _dot(residual, p)
    target = rtol * _absolute_sum(residual)
    error = _absolute_sum(residual)
    iterations = 0
    while iterations < maxiter and error > target:
        _schur_product(data, indices, indptr, inverse_a, diagonal, p, partial, product)
        curvature = _dot(p, product)
        if not curvature > 0:
            break
        step = rho / curvature
        for j in range(x.shape[0]):
            x[j] += step * p[j]
            residual[j] -= step * product[j]
        error = _absolute_sum(residual)
        previous = rho
        rho = 0.0
        for j in range(x.shape[0]):
            product[j] = preconditioner[j] * residual[j]
        rho = _dot(residual, product)
        ratio = rho / previous
        for j in range(x.shape[0]):
            p[j] = product[j] + ratio * p[j]
        iterations += 1
    return x.astype(c.dtype), iterations, error
