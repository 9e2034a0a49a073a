"""The Newton system of entropic optimal transport."""

from __future__ import annotations

import numpy as np
from numba import prange

from ._jit import by_layout, jit
from ._math import dot

# Below this many entries, starting threads for a product costs more than it saves (two threads).
# It depends on the matrix only, as do the results: each of their entries is one sum.
PARALLEL_ENTRIES = 100_000
# Row blocks of a dense product; see numba_kernels.transport.
BLOCKS = 16


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


@jit()
def _sparse_gram(matrix, inverse_a, p, out):
    """Write P' diag(1/a) P p, P a CSR matrix given with its transpose."""
    by_row, by_column = matrix
    row_product = np.empty_like(inverse_a)
    _product(by_row[0], by_row[1], by_row[2], p, row_product)
    row_product *= inverse_a
    _product(by_column[0], by_column[1], by_column[2], row_product, out)


@jit()
def _gram_rows(plan, inverse_a, p, first, last, out):
    """Add what some rows contribute to P' diag(1/a) P p: each row is read once."""
    for i in range(first, last):
        product = dot(plan[i], p) * inverse_a[i]
        row = plan[i]
        for j in range(out.shape[0]):
            out[j] += product * row[j]


@jit(parallel=True)
def _gram_parallel(plan, inverse_a, p, partial):
    n, blocks = plan.shape[0], partial.shape[0]
    for block in prange(blocks):
        first, last = block * n // blocks, (block + 1) * n // blocks
        _gram_rows(plan, inverse_a, p, first, last, partial[block])


@jit()
def _dense_gram(plan, inverse_a, p, out):
    """Write P' diag(1/a) P p, P a matrix."""
    if plan.size < PARALLEL_ENTRIES:
        out[:] = 0
        _gram_rows(plan, inverse_a, p, 0, plan.shape[0], out)
        return
    partial = np.zeros((BLOCKS, out.shape[0]))
    _gram_parallel(plan, inverse_a, p, partial)
    out[:] = partial[0]
    for block in range(1, BLOCKS):
        out += partial[block]


_gram = by_layout(_dense_gram, _sparse_gram)


@jit(reorder=True)
def _absolute_sum(x):
    total = 0.0
    for j in range(x.shape[0]):
        total += abs(x[j])
    return total


@jit()
def _conjugate_gradients(matrix, squares, a, c, shift, rhs, rtol, maxiter):
    """Solve with a matrix in either layout; `squares` (m,) is the diagonal of P' diag(1/a) P."""
    inverse_a = 1.0 / a.astype(np.float64)
    scale = c.astype(np.float64)
    preconditioner = 1.0 / (np.maximum(scale - squares, 1e-14 * scale) + shift * scale)
    diagonal = (1.0 + shift) * scale
    residual = rhs.astype(np.float64)
    x = np.zeros_like(residual)
    p = preconditioner * residual
    product = np.empty_like(residual)
    rho = dot(residual, p)
    error = _absolute_sum(residual)
    target = rtol * error
    iterations = 0
    while iterations < maxiter and error > target:
        _gram(matrix, inverse_a, p, product)
        for j in range(x.shape[0]):
            product[j] = diagonal[j] * p[j] - product[j]
        curvature = dot(p, product)
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
        rho = dot(residual, product)
        for j in range(x.shape[0]):
            p[j] = product[j] + rho / previous * p[j]
        iterations += 1
    return x.astype(c.dtype), iterations, error


@jit()
def schur_cg(data, indices, indptr, a, c, shift, rhs, rtol, maxiter):
    by_column = _transposed(data, indices, indptr, c.shape[0])
    values, rows, starts = by_column
    squares = np.zeros(c.shape[0])
    for j in range(c.shape[0]):
        for k in range(starts[j], starts[j + 1]):
            squares[j] += values[k] * values[k] / a[rows[k]]
    matrix = (data, indices, indptr), by_column
    return _conjugate_gradients(matrix, squares, a, c, shift, rhs, rtol, maxiter)


@jit()
def dense_schur_cg(plan, a, c, shift, rhs, rtol, maxiter):
    squares = np.zeros(c.shape[0])
    for i in range(plan.shape[0]):
        row, inverse = plan[i], 1.0 / a[i]
        for j in range(squares.shape[0]):
            squares[j] += row[j] * row[j] * inverse
    return _conjugate_gradients(plan, squares, a, c, shift, rhs, rtol, maxiter)
