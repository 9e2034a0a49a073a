"""Passes of robust low-rank recovery: packed measurements, and entries of a matrix by rows."""

from __future__ import annotations

import numpy as np
from numba import prange

from ._jit import jit

# Blocks of rows of a pass. The number is fixed so that sums over rows are added in the same order,
# hence are bit for bit the same, whatever the number of threads.
BLOCKS = 16


@jit(reorder=True)
def _four_products(A, i, z):
    s0 = s1 = s2 = s3 = z[0] * 0
    for j in range(z.shape[0]):
        s0 += A[i, j] * z[j]
        s1 += A[i + 1, j] * z[j]
        s2 += A[i + 2, j] * z[j]
        s3 += A[i + 3, j] * z[j]
    return s0, s1, s2, s3


@jit()
def _add_four(g, A, i, w0, w1, w2, w3):
    for j in range(g.shape[0]):
        g[j] += w0 * A[i, j] + w1 * A[i + 1, j] + w2 * A[i + 2, j] + w3 * A[i + 3, j]


@jit(reorder=True)
def _product(row, z):
    total = z[0] * 0
    for j in range(z.shape[0]):
        total += row[j] * z[j]
    return total


@jit()
def _add(g, row, weight):
    for j in range(g.shape[0]):
        g[j] += weight * row[j]


@jit(parallel=True)
def l1_sense_fused(A, z, y, weights):
    m, D = A.shape
    residual = np.empty(m, A.dtype)
    parts = np.zeros((BLOCKS, D), A.dtype)
    for block in prange(BLOCKS):
        g = parts[block]
        start, end = block * m // BLOCKS, (block + 1) * m // BLOCKS
        whole = start + (end - start) // 4 * 4
        # Four rows at a time: z is read once for them, and they are still in the cache when their
        # signs are known.
        for i in range(start, whole, 4):
            s0, s1, s2, s3 = _four_products(A, i, z)
            residual[i], residual[i + 1] = s0 - y[i], s1 - y[i + 1]
            residual[i + 2], residual[i + 3] = s2 - y[i + 2], s3 - y[i + 3]
            w0 = weights[i] * np.sign(residual[i])
            w1 = weights[i + 1] * np.sign(residual[i + 1])
            w2 = weights[i + 2] * np.sign(residual[i + 2])
            w3 = weights[i + 3] * np.sign(residual[i + 3])
            _add_four(g, A, i, w0, w1, w2, w3)
        for i in range(whole, end):
            residual[i] = _product(A[i], z) - y[i]
            _add(g, A[i], weights[i] * np.sign(residual[i]))
    total = parts[0].copy()
    for block in range(1, BLOCKS):
        total += parts[block]
    return residual, total


def order_statistics(values, first, second):
    places = np.partition(values, (first, second))
    return places[first], places[second]


@jit()
def _select(x, place):
    """Return the entry of x that would be at a place were it sorted; reorders x.

    Partitions without branches, which the processor could not predict: smaller entries to the
    front, then, if the place lies behind them, entries equal to the pivot.
    """
    low, high = 0, x.shape[0]
    while high - low > 1:
        pivot = _median_of_three(x, low, high - 1)
        smaller = low
        for j in range(low, high):
            value = x[j]
            x[j] = x[smaller]
            x[smaller] = value
            smaller += value < pivot
        if place < smaller:
            high = smaller
            continue
        equal = smaller
        for j in range(smaller, high):
            value = x[j]
            x[j] = x[equal]
            x[equal] = value
            equal += value == pivot
        if place < equal or equal == low:  # the latter for a pivot that is not a number
            return pivot
        low = equal
    return x[place]


@jit()
def _median_of_three(x, low, high):
    a, b, c = x[low], x[(low + high) // 2], x[high]
    return max(min(a, b), min(max(a, b), c))


@jit()
def _quantile(magnitudes, q):
    count = magnitudes.shape[0]
    if count == 0:
        return magnitudes.dtype.type(0)
    return _select(magnitudes, min(int(np.floor(q * count)), count - 1))


@jit(parallel=True)
def row_quantile_abs(values, counts, q):
    n, w = values.shape
    out = np.empty(n, values.dtype)
    for block in prange(BLOCKS):
        magnitudes = np.empty(w, values.dtype)
        for i in range(block * n // BLOCKS, (block + 1) * n // BLOCKS):
            for j in range(counts[i]):
                magnitudes[j] = abs(values[i, j])
            out[i] = _quantile(magnitudes[: counts[i]], q)
    return out


@jit()
def _gather(R, columns, count, out):
    """Write the rows of R' at some columns next to one another: out (k, w)."""
    for j in range(count):
        for a in range(R.shape[0]):
            out[a, j] = R[a, columns[j]]


@jit()
def _row_residual(values, weights, R, count, out):
    """Compute ``weights' R - values`` for one row, R (k, w)."""
    for j in range(count):
        out[j] = -values[j]
    for a in range(R.shape[0]):
        _add(out[:count], R[a], weights[a])


def entry_residuals(values, columns, counts, L, R):
    if columns.shape[0] == 0:
        product = L @ R.T
        product -= values
        return product
    return _entry_residuals(values, columns, counts, L, np.ascontiguousarray(R.T))


@jit(parallel=True)
def _entry_residuals(values, columns, counts, L, transposed):
    n, w = values.shape
    out = np.zeros((n, w), values.dtype)
    for block in prange(BLOCKS):
        near = np.empty((transposed.shape[0], w), values.dtype)
        for i in range(block * n // BLOCKS, (block + 1) * n // BLOCKS):
            _gather(transposed, columns[i], counts[i], near)
            _row_residual(values[i], L[i], near, counts[i], out[i])
    return out


def entry_products(weights, columns, R):
    return weights @ R if columns.shape[0] == 0 else _entry_products(weights, columns, R)


@jit(parallel=True)
def _entry_products(weights, columns, R):
    n, w = weights.shape
    out = np.zeros((n, R.shape[1]), R.dtype)
    for i in prange(n):
        for j in range(w):
            _add(out[i], R[columns[i, j]], weights[i, j])
    return out


@jit(parallel=True)
def entry_sign_step(values, columns, counts, weights, L, R, q):
    n, w = values.shape
    k = R.shape[1]
    transposed = np.ascontiguousarray(R.T)
    sums, quantiles = np.empty((n, k), R.dtype), np.empty(n, R.dtype)
    for block in prange(BLOCKS):
        full = columns.shape[0] == 0
        near = transposed if full else np.empty((k, w), R.dtype)
        residual, work = np.empty(w, R.dtype), np.empty(w, R.dtype)
        for i in range(block * n // BLOCKS, (block + 1) * n // BLOCKS):
            count = counts[i]
            if not full:
                _gather(transposed, columns[i], count, near)
            _row_residual(values[i], L[i], near, count, residual)
            for j in range(count):
                work[j] = abs(residual[j])
                residual[j] = np.sign(residual[j])
            quantiles[i] = _quantile(work[:count], q)
            if weights.shape[0]:
                _multiply(residual, weights[i], residual[:count])
            for a in range(k):
                sums[i, a] = _product(near[a], residual[:count]) if count else 0
    return sums, quantiles


@jit()
def _reweight(residual, scale, shares):
    for j in range(residual.shape[0]):
        share = scale / max(abs(residual[j]), scale)
        shares[j] = share * share


@jit()
def _multiply(x, y, out):
    for j in range(out.shape[0]):
        out[j] = x[j] * y[j]


@jit(parallel=True)
def entry_reweighted_step(values, columns, counts, weights, L, R, q, width, floor):
    n, w = values.shape
    k = R.shape[1]
    transposed = np.ascontiguousarray(R.T)
    grams = np.zeros((n, k, k), R.dtype)
    sums, quantiles = np.zeros((n, k), R.dtype), np.empty(n, R.dtype)
    for block in prange(BLOCKS):
        full = columns.shape[0] == 0
        near = transposed if full else np.empty((k, w), R.dtype)
        residual, work = np.empty(w, R.dtype), np.empty(w, R.dtype)
        shares = np.empty(w, R.dtype)
        for i in range(block * n // BLOCKS, (block + 1) * n // BLOCKS):
            count = counts[i]
            if not full:
                _gather(transposed, columns[i], count, near)
            _row_residual(values[i], L[i], near, count, residual)
            for j in range(count):
                work[j] = abs(residual[j])
            quantiles[i] = _quantile(work[:count], q)
            if count == 0:
                continue
            scale = max(R.dtype.type(width) * quantiles[i], R.dtype.type(floor))
            _reweight(residual[:count], scale, shares[:count])
            if weights.shape[0]:
                _multiply(shares, weights[i], shares[:count])
            for a in range(k):
                _multiply(near[a], shares, work[:count])
                sums[i, a] = _product(work, residual[:count])
                for b in range(a, k):
                    grams[i, a, b] = _product(work, near[b][:count])
                    grams[i, b, a] = grams[i, a, b]
    return grams, sums, quantiles
