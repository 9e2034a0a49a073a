"""Sums over the rows of a matrix of a loss of each: one read of the matrix."""

from __future__ import annotations

import math

import numba
import numpy as np
from numba import prange

from ._jit import jit
from ._math import LARGEST_EXPONENT, exp, log1p_up_to_one
from ._rows import sum_over_row_blocks

SQUARED, LOGISTIC, POISSON, HUBER = range(4)
# Entries that are worth another thread.
ENTRIES_PER_THREAD = 1 << 17
# Rows whose margins are found before their losses are, so that these vectorize; fewer where the
# rows would leave the cache before they are added to the gradient.
MOST_ROWS = 64
CACHED_ENTRIES = 1 << 14


def loss_gradient(A, b, weights, x, loss, threshold):
    n, d = A.shape
    threads = min(numba.get_num_threads(), 1 + n * d // ENTRIES_PER_THREAD)
    height = min(MOST_ROWS, max(4, CACHED_ENTRIES // d // 4 * 4))
    wide = x.astype(np.float64)
    values, gradients = _sums(A, b, weights, wide, loss, threshold, height, threads)
    return (
        values.sum(keepdims=True).astype(A.dtype),
        gradients.sum(axis=0).astype(A.dtype),
    )


@jit(parallel=True, reorder=True)
def _sums(A, b, weights, x, loss, threshold, height, threads):
    """Return sums (threads,) and gradients (threads, d), in double precision."""
    n, d = A.shape
    values = np.zeros(threads)
    gradients = np.zeros((threads, d))
    for part in prange(threads):
        gradient, total = np.zeros(d), 0.0
        margins, slopes = np.empty(height), np.empty(height)
        last = (part + 1) * n // threads
        for start in range(part * n // threads, last, height):
            stop = min(last, start + height)
            rows, size = A[start:stop], stop - start
            for i in range(size):
                row, margin = rows[i], 0.0
                for j in range(d):
                    margin += row[j] * x[j]
                margins[i] = margin
            w = None if weights is None else weights[start:stop]
            total += _losses(margins[:size], b[start:stop], w, loss, threshold, slopes)
            _add_rows(rows, slopes, gradient)
        values[part] = total
        gradients[part] = gradient
    return values, gradients


@jit(reorder=True)
def _add_rows(rows, slopes, gradient):
    """Add ``rows' slopes`` to the gradient, by fours."""
    size, d = rows.shape
    fours = size // 4 * 4
    for i in range(0, fours, 4):
        a, b, c, e = rows[i], rows[i + 1], rows[i + 2], rows[i + 3]
        p, q, r, s = slopes[i], slopes[i + 1], slopes[i + 2], slopes[i + 3]
        for j in range(d):
            gradient[j] += p * a[j] + q * b[j] + r * c[j] + s * e[j]
    for i in range(fours, size):
        row, slope = rows[i], slopes[i]
        for j in range(d):
            gradient[j] += slope * row[j]


@jit(reorder=True)
def _losses(margins, b, weights, loss, threshold, slopes):
    """Return the sum of the losses; their slopes go into the last argument."""
    total = 0.0
    if loss == LOGISTIC:
        for i in range(margins.size):
            y = np.float64(b[i])
            agreement = y * margins[i]
            decay = exp(-abs(agreement))
            value = log1p_up_to_one(decay) - min(agreement, 0.0)
            slope = -y * (decay if agreement >= 0 else 1.0) / (1 + decay)
            if weights is not None:
                value, slope = value * weights[i], slope * weights[i]
            total += value
            slopes[i] = slope
        return total
    for i in range(margins.size):
        y = np.float64(b[i])
        if loss == POISSON:
            mean = exp(margins[i]) if margins[i] <= LARGEST_EXPONENT else math.inf
            value, slope = mean - y * margins[i], mean - y
        else:
            residual = margins[i] - y
            slope = residual
            if loss == HUBER:
                slope = min(max(residual, -threshold), threshold)
            value = slope * (residual - slope / 2)
        if weights is not None:
            value, slope = value * weights[i], slope * weights[i]
        total += value
        slopes[i] = slope
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
    threads = min(numba.get_num_threads(), 1 + data.size // (1 << 14))
    parts = _csr_grams(data, indices, indptr, weights, d, threads)
    total = parts.sum(axis=0)
    return (total + np.triu(total, 1).T).astype(data.dtype)


@jit(parallel=True)
def _csr_grams(data, indices, indptr, weights, d, threads):
    """Return upper triangles (threads, d, d) of sums over rows, in double precision."""
    n = weights.size
    totals = np.zeros((threads, d, d))
    for part in prange(threads):
        total = totals[part]
        for i in range(part * n // threads, (part + 1) * n // threads):
            weight = np.float64(weights[i])
            stop = indptr[i + 1]
            for p in range(indptr[i], stop):
                row, entry = total[indices[p]], weight * data[p]
                for q in range(p, stop):
                    row[indices[q]] += entry * data[q]
    return totals
