"""Sums over the rows of a matrix of a loss of each: one read of the matrix."""

from __future__ import annotations

import math

import numpy as np

from ._jit import jit
from ._math import LARGEST_EXPONENT, exp, log1p_up_to_one
from ._pool import added, blocks_of, run_rows
from ._rows import sum_over_row_blocks

SQUARED, LOGISTIC, POISSON, HUBER = range(4)
# Rows whose margins are found before their losses are, so that these vectorize; fewer where the
# rows would leave the cache before they are added to the gradient.
MOST_ROWS = 64
CACHED_ENTRIES = 1 << 14


def loss_gradient(A, b, weights, x, loss, threshold):
    n, d = A.shape
    height = min(MOST_ROWS, max(4, CACHED_ENTRIES // d // 4 * 4))
    none = np.empty(0, dtype=A.dtype)
    given = A, b, none if weights is None else weights, x.astype(np.float64), loss, float(threshold)
    sums = np.zeros((blocks_of(n, d), d + 1))

    def work(block, first, last):
        _sums(*given, first, last, np.empty((2, height)), sums[block])

    run_rows(n, d, work)
    total = added(sums)
    total = total.astype(A.dtype)
    return total[d:], total[:d]


@jit(reorder=True)
def _sums(A, b, weights, x, loss, threshold, begin, end, space, sums):
    """Add the gradient (d,) of the rows from begin to end and, behind it, their losses."""
    d, height = x.shape[0], space.shape[1]
    margins, slopes = space[0], space[1]
    for start in range(begin, end, height):
        size = min(height, end - start)
        for i in range(size):
            margin = 0.0
            for j in range(d):
                margin += A[start + i, j] * x[j]
            margins[i] = margin
        sums[d] += _losses(margins, size, b, weights, start, loss, threshold, slopes)
        _add_rows(A, start, size, slopes, sums)


@jit(inner=True, reorder=True)
def _add_rows(A, start, size, slopes, gradient):
    """Add rows times slopes to the gradient, by fours."""
    d = A.shape[1]
    fours = size // 4 * 4
    for r in range(0, fours, 4):
        i = start + r
        p, q, s, t = slopes[r], slopes[r + 1], slopes[r + 2], slopes[r + 3]
        for j in range(d):
            gradient[j] += p * A[i, j] + q * A[i + 1, j] + s * A[i + 2, j] + t * A[i + 3, j]
    for r in range(fours, size):
        slope = slopes[r]
        for j in range(d):
            gradient[j] += slope * A[start + r, j]


@jit(inner=True, reorder=True)
def _losses(margins, size, b, weights, start, loss, threshold, slopes):
    """Return the sum of some losses; their slopes go into the last argument."""
    for i in range(size):
        y, margin = np.float64(b[start + i]), margins[i]
        if loss == LOGISTIC:
            agreement = y * margin
            decay = exp(-abs(agreement))
            margins[i] = log1p_up_to_one(decay) - min(agreement, 0.0)
            slopes[i] = -y * (decay if agreement >= 0 else 1.0) / (1 + decay)
        elif loss == POISSON:
            mean = exp(margin) if margin <= LARGEST_EXPONENT else math.inf
            margins[i], slopes[i] = mean - y * margin, mean - y
        else:
            residual = margin - y
            slope = residual
            if loss == HUBER:
                slope = min(max(residual, -threshold), threshold)
            margins[i], slopes[i] = slope * (residual - slope / 2), slope
    total = 0.0
    weighted = weights.shape[0] > 0
    for i in range(size):
        weight = np.float64(weights[start + i]) if weighted else 1.0
        total += margins[i] * weight
        slopes[i] *= weight
    return total


def loss_hessian(A, b, weights, x, loss, threshold):
    def of_block(rows):
        block = A[rows]
        if loss != SQUARED:
            block = block * np.sqrt(_curvatures(block @ x, b[rows], loss, threshold))[:, None]
        if weights is not None:
            block = block * np.sqrt(weights[rows])[:, None]
        return block.T @ block

    return sum_over_row_blocks(of_block, *A.shape)


def _curvatures(margins, b, loss, threshold):
    if loss == POISSON:
        return np.exp(margins)
    if loss == HUBER:
        return (np.abs(margins - b) <= threshold).astype(margins.dtype)
    decay = np.exp(-np.abs(margins))
    return decay / (1 + decay) ** 2


def csr_weighted_gram(data, indices, indptr, weights, d):
    entries = data.size // max(1, weights.size)
    totals = np.zeros((blocks_of(weights.size, 8 * entries, most=4), d, d))
    given = data, indices, indptr, weights

    def work(block, first, last):
        _csr_gram(*given, first, last, totals[block])

    run_rows(weights.size, 8 * entries, work, blocks=len(totals))
    total = added(totals)
    return (total + np.triu(total, 1).T).astype(data.dtype)


@jit()
def _csr_gram(data, indices, indptr, weights, first, last, total):
    """Add the upper triangle (d, d) of a sum over some rows, in double precision."""
    for i in range(first, last):
        weight = np.float64(weights[i])
        for p in range(indptr[i], indptr[i + 1]):
            row, entry = indices[p], weight * data[p]
            for q in range(p, indptr[i + 1]):
                total[row, indices[q]] += entry * data[q]
