"""The Newton system of entropic optimal transport."""

from __future__ import annotations

import numpy as np

from ._jit import jit
from ._pool import blocks_of, run_rows

# Entries from which a product is shared among threads. It depends on the matrix only, as do the
# results: each entry of a product is one sum.
PARALLEL_ENTRIES = 1 << 17


@jit()
def _transpose(data, indices, indptr, values, rows, ends):
    """Write data and row numbers of the transposed CSR matrix; `ends` are where columns begin."""
    for i in range(indptr.shape[0] - 1):
        for k in range(indptr[i], indptr[i + 1]):
            position = ends[indices[k]]
            values[position] = data[k]
            rows[position] = i
            ends[indices[k]] = position + 1


@jit(reorder=True)
def _times(data, indices, indptr, x, scale, first, last, out):
    """Write the entries from first to last of ``diag(scale) M x``, M a CSR matrix."""
    for i in range(first, last):
        total = 0.0
        for k in range(np.uint64(indptr[i]), np.uint64(indptr[i + 1])):
            total += data[k] * x[indices[k]]
        out[i] = total * scale[i]


@jit(reorder=True)
def _gram_rows(plan, inverse_a, p, first, last, out):
    """Add what some rows contribute to P' diag(1/a) P p: each row is read once."""
    for i in range(first, last):
        product = 0.0
        for j in range(p.shape[0]):
            product += plan[i, j] * p[j]
        product *= inverse_a[i]
        for j in range(out.shape[0]):
            out[j] += product * plan[i, j]


@jit(reorder=True)
def _first(rhs, preconditioner, p):
    """Set the first direction; return its product with the residual, and the residual's l1 norm."""
    rho = error = 0.0
    for j in range(rhs.shape[0]):
        p[j] = preconditioner[j] * rhs[j]
        rho += rhs[j] * p[j]
        error += abs(rhs[j])
    return rho, error


@jit(reorder=True)
def _curvature(diagonal, p, gram):
    """Overwrite the Gram product by that with the system; return that of p with it."""
    total = 0.0
    for j in range(p.shape[0]):
        gram[j] = diagonal[j] * p[j] - gram[j]
        total += p[j] * gram[j]
    return total


@jit(reorder=True)
def _step(length, rho, preconditioner, x, residual, p, product):
    """Take a step and turn the direction; return the new rho and the residual's l1 norm."""
    error = fresh = 0.0
    for j in range(x.shape[0]):
        x[j] += length * p[j]
        residual[j] -= length * product[j]
        error += abs(residual[j])
        product[j] = preconditioner[j] * residual[j]
        fresh += residual[j] * product[j]
    for j in range(x.shape[0]):
        p[j] = product[j] + fresh / rho * p[j]
    return fresh, error


def _conjugate_gradients(gram, squares, c, shift, rhs, rtol, maxiter):
    """Solve with ``gram(p, out)``; `squares` (m,) is the diagonal of P' diag(1/a) P."""
    scale, shift = c.astype(np.float64), float(shift)
    preconditioner = 1.0 / (np.maximum(scale - squares, 1e-14 * scale) + shift * scale)
    diagonal = (1.0 + shift) * scale
    residual = rhs.astype(np.float64)
    x, p, product = np.zeros_like(residual), np.empty_like(residual), np.empty_like(residual)
    rho, error = _first(residual, preconditioner, p)
    target, iterations = rtol * error, 0
    while iterations < maxiter and error > target:
        gram(p, product)
        curvature = _curvature(diagonal, p, product)
        if not curvature > 0:
            break
        rho, error = _step(rho / curvature, rho, preconditioner, x, residual, p, product)
        iterations += 1
    return x.astype(c.dtype), iterations, error


def schur_cg(data, indices, indptr, a, c, shift, rhs, rtol, maxiter):
    n, m = len(indptr) - 1, len(c)
    counts = np.bincount(indices, minlength=m)
    starts = np.concatenate([[0], np.cumsum(counts)])
    values, rows = np.empty_like(data), np.empty_like(indices)
    _transpose(data, indices, indptr, values, rows, starts[:-1].copy())
    inverse_a, ones = 1.0 / a.astype(np.float64), np.ones(m)
    images = np.empty(n)
    squares = np.empty(m)
    _times(values.astype(np.float64) ** 2, rows, starts, inverse_a, ones, 0, m, squares)
    blocks = None if len(data) >= PARALLEL_ENTRIES else 1

    def times(matrix, x, scale, out):
        count = len(out)

        def work(_, first, last):
            _times(*matrix, x, scale, first, last, out)

        run_rows(count, len(data) // count, work, blocks=blocks)

    def gram(p, out):
        times((data, indices, indptr), p, inverse_a, images)
        times((values, rows, starts), images, ones, out)

    return _conjugate_gradients(gram, squares, c, shift, rhs, rtol, maxiter)


def dense_schur_cg(plan, a, c, shift, rhs, rtol, maxiter):
    n, m = plan.shape
    inverse_a = 1.0 / a.astype(np.float64)
    squares = np.einsum("ij,ij,i->j", plan, plan, inverse_a)
    blocks = blocks_of(n, m) if plan.size >= PARALLEL_ENTRIES else 1
    partial = np.empty((blocks, m))

    def gram(p, out):
        partial[:] = 0

        def work(block, first, last):
            _gram_rows(plan, inverse_a, p, first, last, partial[block])

        run_rows(n, m, work, blocks=blocks)
        np.copyto(out, partial[0])
        for part in partial[1:]:
            out += part

    return _conjugate_gradients(gram, squares, c, shift, rhs, rtol, maxiter)
