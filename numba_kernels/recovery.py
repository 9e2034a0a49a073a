"""Passes of robust low-rank recovery: packed measurements, and entries of a matrix by rows."""

from __future__ import annotations

import numpy as np

from ._jit import jit
from ._pool import added, blocks_of, run_rows


@jit(inner=True, reorder=True)
def _four_products(A, i, z):
    s0 = s1 = s2 = s3 = z[0] * 0
    for j in range(z.shape[0]):
        s0 += A[i, j] * z[j]
        s1 += A[i + 1, j] * z[j]
        s2 += A[i + 2, j] * z[j]
        s3 += A[i + 3, j] * z[j]
    return s0, s1, s2, s3


@jit(inner=True, reorder=True)
def _product(A, i, z):
    total = z[0] * 0
    for j in range(z.shape[0]):
        total += A[i, j] * z[j]
    return total


@jit()
def _sense(A, z, y, weights, first, last, residual, g):
    whole = first + (last - first) // 4 * 4
    # Four rows at a time: z is read once for them, and they are still in the cache when their
    # signs are known.
    for i in range(first, whole, 4):
        s0, s1, s2, s3 = _four_products(A, i, z)
        residual[i], residual[i + 1] = s0 - y[i], s1 - y[i + 1]
        residual[i + 2], residual[i + 3] = s2 - y[i + 2], s3 - y[i + 3]
        w0 = weights[i] * np.sign(residual[i])
        w1 = weights[i + 1] * np.sign(residual[i + 1])
        w2 = weights[i + 2] * np.sign(residual[i + 2])
        w3 = weights[i + 3] * np.sign(residual[i + 3])
        for j in range(g.shape[0]):
            g[j] += w0 * A[i, j] + w1 * A[i + 1, j] + w2 * A[i + 2, j] + w3 * A[i + 3, j]
    for i in range(whole, last):
        residual[i] = _product(A, i, z) - y[i]
        w0 = weights[i] * np.sign(residual[i])
        for j in range(g.shape[0]):
            g[j] += w0 * A[i, j]


def l1_sense_fused(A, z, y, weights):
    m, D = A.shape
    residual, parts = np.empty(m, A.dtype), np.zeros((blocks_of(m, D), D), A.dtype)

    def work(block, first, last):
        _sense(A, z, y, weights, first, last, residual, parts[block])

    run_rows(m, D, work)
    total = added(parts)
    return residual, total


@jit(inner=True)
def _select(x, count, place):
    """Return the entry that would be at a place were the first of x sorted; reorders these.

    Partitions without branches, which the processor could not predict: smaller entries to the
    front, then, if the place lies behind them, entries equal to the pivot.
    """
    low, high = 0, count
    while high - low > 1:
        a, b, c = x[low], x[(low + high - 1) // 2], x[high - 1]
        pivot = max(min(a, b), min(max(a, b), c))
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


@jit(inner=True)
def _quantile(magnitudes, count, q):
    if count == 0:
        return magnitudes.dtype.type(0)
    return _select(magnitudes, count, min(int(np.floor(q * count)), count - 1))


@jit()
def _quantiles(values, counts, q, first, last, magnitudes, out):
    for i in range(first, last):
        for j in range(counts[i]):
            magnitudes[j] = abs(values[i, j])
        out[i] = _quantile(magnitudes, counts[i], q)


def row_quantile_abs(values, counts, q):
    n, w = values.shape
    out = np.empty(n, values.dtype)

    def work(_, first, last):
        _quantiles(values, counts, float(q), first, last, np.empty(w, values.dtype), out)

    run_rows(n, w, work)
    return out


@jit(inner=True)
def _near(columns, i, count, R, near):
    """Write the rows of R (k, ...) at the columns of a row next to one another: near (k, w)."""
    if columns.shape[0] == 0:
        return
    for j in range(count):
        for a in range(R.shape[0]):
            near[a, j] = R[a, columns[i, j]]


@jit(inner=True)
def _row_residual(values, L, i, near, count, out):
    """Compute ``weights' near - values`` for one row."""
    for j in range(count):
        out[j] = -values[i, j]
    for a in range(near.shape[0]):
        weight = L[i, a]
        for j in range(count):
            out[j] += weight * near[a, j]


@jit()
def _residuals(values, columns, counts, L, R, first, last, near, work, out):
    for i in range(first, last):
        _near(columns, i, counts[i], R, near)
        _row_residual(values, L, i, near, counts[i], work)
        for j in range(counts[i]):
            out[i, j] = work[j]


def entry_residuals(values, columns, counts, L, R):
    if columns.shape[0] == 0:
        product = L @ R.T
        product -= values
        return product
    (n, w), k = values.shape, R.shape[1]
    out, transposed = np.zeros((n, w), values.dtype), np.ascontiguousarray(R.T)

    def work(_, first, last):
        space = np.empty((k, w), values.dtype), np.empty(w, values.dtype)
        _residuals(values, columns, counts, L, transposed, first, last, *space, out)

    run_rows(n, w * k, work)
    return out


@jit()
def _products(weights, columns, R, first, last, out):
    for i in range(first, last):
        for j in range(weights.shape[1]):
            weight, column = weights[i, j], columns[i, j]
            for a in range(R.shape[1]):
                out[i, a] += weight * R[column, a]


def entry_products(weights, columns, R):
    if columns.shape[0] == 0:
        return weights @ R
    (n, w), k = weights.shape, R.shape[1]
    out = np.zeros((n, k), R.dtype)
    run_rows(n, w * k, lambda _, first, last: _products(weights, columns, R, first, last, out))
    return out


def _in_rows(columns, R, n, w, kernel):
    """Call a kernel on blocks of rows, with space for a row's part of R' and vectors of a row."""
    k = R.shape[1]
    transposed = np.ascontiguousarray(R.T)

    def work(_, first, last):
        near = np.empty((k, w), R.dtype) if columns.shape[0] else transposed
        kernel(transposed, first, last, near, np.empty((3, w), R.dtype))

    run_rows(n, w * k, work)


@jit()
def _sign_step(
    values, columns, counts, weights, L, q, R, first, last, near, space, sums, quantiles
):
    residual, work = space[0], space[1]
    for i in range(first, last):
        count = counts[i]
        _near(columns, i, count, R, near)
        _row_residual(values, L, i, near, count, residual)
        for j in range(count):
            work[j] = abs(residual[j])
            residual[j] = np.sign(residual[j])
        quantiles[i] = _quantile(work, count, q)
        if weights.shape[0]:
            for j in range(count):
                residual[j] *= weights[i, j]
        for a in range(near.shape[0]):
            sums[i, a] = _inner(near, a, residual, count)


@jit(inner=True, reorder=True)
def _inner(near, a, x, count):
    total = x[0] * 0
    for j in range(count):
        total += near[a, j] * x[j]
    return total


def entry_sign_step(values, columns, counts, weights, L, R, q):
    n, w = values.shape
    sums, quantiles = np.empty((n, R.shape[1]), R.dtype), np.empty(n, R.dtype)
    given = values, columns, counts, weights, L, float(q)
    _in_rows(columns, R, n, w, lambda *here: _sign_step(*given, *here, sums, quantiles))
    return sums, quantiles


@jit(inner=True, reorder=True)
def _gram_of(near, residual, shares, work, count, i, sums, grams):
    """Write the weighted Gram matrix and products of the rows that are near."""
    k = near.shape[0]
    for a in range(k):
        total = work[0] * 0
        for j in range(count):
            work[j] = near[a, j] * shares[j]
            total += work[j] * residual[j]
        sums[i, a] = total
        for b in range(a, k):
            product = work[0] * 0
            for j in range(count):
                product += work[j] * near[b, j]
            grams[i, a, b] = grams[i, b, a] = product


@jit()
def _reweighted_step(
    values, columns, counts, weights, L, q, width, floor, R, first, last, near, space, grams, sums,
    quantiles,
):  # fmt: skip
    residual, work, shares = space[0], space[1], space[2]
    for i in range(first, last):
        count = counts[i]
        _near(columns, i, count, R, near)
        _row_residual(values, L, i, near, count, residual)
        for j in range(count):
            work[j] = abs(residual[j])
        quantiles[i] = _quantile(work, count, q)
        if count == 0:
            continue
        scale = max(width * quantiles[i], floor)
        for j in range(count):
            share = scale / max(abs(residual[j]), scale)
            shares[j] = share * share
        if weights.shape[0]:
            for j in range(count):
                shares[j] *= weights[i, j]
        _gram_of(near, residual, shares, work, count, i, sums, grams)


def entry_reweighted_step(values, columns, counts, weights, L, R, q, width, floor):
    (n, w), k, kind = values.shape, R.shape[1], R.dtype.type
    grams, sums = np.zeros((n, k, k), R.dtype), np.zeros((n, k), R.dtype)
    quantiles = np.empty(n, R.dtype)
    given = values, columns, counts, weights, L, float(q), kind(width), kind(floor)
    out = grams, sums, quantiles
    _in_rows(columns, R, n, w, lambda *here: _reweighted_step(*given, *here, *out))
    return out
