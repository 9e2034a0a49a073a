"""The sparsified Newton system of entropic optimal transport."""

from __future__ import annotations

import numpy as np
from numba import prange

from ._jit import jit

# Below this many entries, starting threads for a product costs more than it saves (two threads).
# It depends on the matrix only, as do the results: each of their entries is one sum.
PARALLEL_ENTRIES = 100_000


@jit()
def _transposed(data, indices, indptr, m):
    """Return the data, indices and indptr of the transposed CSR matrix."""
    starts = np.zeros(m + 1, dtype=np.int64)
    for k in range(indices.shape[0]):
        starts[indices[k] + 1] += 1
    for j in range(m):
        starts[j + 1] += starts[j]
    ends = starts[:m].copy()
    values, rows = np.empty_like(data), np.empty_like(indices)
    for i in range(indptr.shape[0] - 1):
        for k in range(indptr[i], indptr[i + 1]):
            position = ends[indices[k]]
            values[position] = data[k]
            rows[position] = i
            ends[indices[k]] = position + 1
    return values, rows, starts


@jit(reorder=True)
def _gathered_dot(values, indices, x):
    total = 0.0
    for k in range(values.shape[0]):
        total += values[k] * x[indices[k]]
    return total


@jit()
def _row_product(data, indices, indptr, i, x):
    start, end = indptr[i], indptr[i + 1]
    return _gathered_dot(data[start:end], indices[start:end], x)


@jit()
def _product_serial(data, indices, indptr, x, out):
    for i in range(out.shape[0]):
        out[i] = _row_product(data, indices, indptr, i, x)


@jit(parallel=True)
def _product_parallel(data, indices, indptr, x, out):
    for i in prange(out.shape[0]):
        out[i] = _row_product(data, indices, indptr, i, x)


@jit()
def _product(data, indices, indptr, x, out):
    if data.shape[0] < PARALLEL_ENTRIES:
        _product_serial(data, indices, indptr, x, out)
    else:
        _product_parallel(data, indices, indptr, x, out)


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
def _jacobi(values, rows, starts, inverse_a, c, shift):
    preconditioner = np.empty(c.shape[0])
    for j in range(c.shape[0]):
        diagonal = np.float64(c[j])
        for k in range(starts[j], starts[j + 1]):
            diagonal -= values[k] * values[k] * inverse_a[rows[k]]
        preconditioner[j] = 1.0 / (max(diagonal, 1e-14 * c[j]) + shift * c[j])
    return preconditioner


@jit()
def schur_cg(data, indices, indptr, a, c, shift, rhs, rtol, maxiter):
    values, rows, starts = _transposed(data, indices, indptr, c.shape[0])
    inverse_a = 1.0 / a.astype(np.float64)
    preconditioner = _jacobi(values, rows, starts, inverse_a, c, shift)
    diagonal = (1.0 + shift) * c.astype(np.float64)
    residual = rhs.astype(np.float64)
    x = np.zeros_like(residual)
    p = preconditioner * residual
    product, row_product = np.empty_like(residual), np.empty_like(inverse_a)
    rho = _dot(residual, p)
    error = _absolute_sum(residual)
    target = rtol * error
    iterations = 0
    while iterations < maxiter and error > target:
        _product(data, indices, indptr, p, row_product)
        row_product *= inverse_a
        _product(values, rows, starts, row_product, product)
        for j in range(x.shape[0]):
            product[j] = diagonal[j] * p[j] - product[j]
        curvature = _dot(p, product)
        if not curvature > 0:
            break
        step = rho / curvature
        for j in range(x.shape[0]):
            x[j] += step * p[j]
            residual[j] -= step * product[j]
        error = _absolute_sum(residual)
        previous = rho
        for j in range(x.shape[0]):
            product[j] = preconditioner[j] * residual[j]
        rho = _dot(residual, product)
        for j in range(x.shape[0]):
            p[j] = product[j] + rho / previous * p[j]
        iterations += 1
    return x.astype(c.dtype), iterations, error
