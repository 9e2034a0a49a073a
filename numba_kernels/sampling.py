"""Passes over tall matrices, and over the vectors of an interior point method."""

from __future__ import annotations

import numpy as np
from numba import prange

from ._jit import jit
from ._rows import sum_over_row_blocks

# Row blocks of a pass. The number is fixed so that sums over rows are added in the same order,
# hence are bit for bit the same, whatever the number of threads.
BLOCKS = 16
# Rows whose transposed copies, plain and weighted, stay in the cache.
STRIP = 128


@jit()
def _total(parts):
    # In a function of its own: in a parallel one, the order would depend on the threads.
    total = 0.0
    for part in parts:
        total += part
    return total


@jit(reorder=True)
def _tile(T, U, i, j, height):
    """Return the products of two rows of T with four rows of U: enough to keep registers busy."""
    s00 = s01 = s02 = s03 = s10 = s11 = s12 = s13 = T[0, 0] * 0
    for r in range(height):
        a, b = T[i, r], T[i + 1, r]
        u, v, w, x = U[j, r], U[j + 1, r], U[j + 2, r], U[j + 3, r]
        s00 += a * u
        s01 += a * v
        s02 += a * w
        s03 += a * x
        s10 += b * u
        s11 += b * v
        s12 += b * w
        s13 += b * x
    return s00, s01, s02, s03, s10, s11, s12, s13


@jit()
def _add_strip(G, T, U, height):
    """Add the upper triangle of ``T U'`` to G, in tiles of two by four."""
    for i in range(0, G.shape[0], 2):
        for j in range(i // 4 * 4, G.shape[0], 4):
            s00, s01, s02, s03, s10, s11, s12, s13 = _tile(T, U, i, j, height)
            G[i, j] += s00
            G[i, j + 1] += s01
            G[i, j + 2] += s02
            G[i, j + 3] += s03
            G[i + 1, j] += s10
            G[i + 1, j + 1] += s11
            G[i + 1, j + 2] += s12
            G[i + 1, j + 3] += s13


def row_quadform(A, P):
    out = np.empty(A.shape[0], A.dtype)

    def of_block(rows):
        block = A[rows] @ P
        np.vecdot(block, block, out=out[rows])
        return np.zeros(1)

    sum_over_row_blocks(of_block, A.shape[0], max(P.shape))
    return out


@jit(parallel=True)
def weighted_gram(A, weights):
    n, d = A.shape
    padded = (d + 3) // 4 * 4
    parts = np.zeros((BLOCKS, padded, padded), A.dtype)
    for block in prange(BLOCKS):
        T, U = np.zeros((padded, STRIP), A.dtype), np.zeros((padded, STRIP), A.dtype)
        end = (block + 1) * n // BLOCKS
        for start in range(block * n // BLOCKS, end, STRIP):
            height = min(STRIP, end - start)
            for r in range(height):
                for j in range(d):
                    U[j, r] = A[start + r, j]
                    T[j, r] = A[start + r, j] * weights[start + r]
            _add_strip(parts[block], T, U, height)
    gram = np.zeros((d, d), A.dtype)
    for i in range(d):
        for j in range(i, d):
            for block in range(BLOCKS):
                gram[i, j] += parts[block, i, j]
            gram[j, i] = gram[i, j]
    return gram


@jit(parallel=True)
def box_curvature(positive, negative, room_up, room_down, residual):
    curvature, product = np.empty_like(positive), np.empty_like(positive)
    for i in prange(positive.shape[0]):
        curvature[i] = 1 / (positive[i] / room_up[i] + negative[i] / room_down[i])
        product[i] = curvature[i] * residual[i]
    return curvature, product


@jit(parallel=True)
def box_targets(positive, negative, room_up, room_down, residual, curvature, step_y, center):
    up, down = np.empty_like(positive), np.empty_like(positive)
    right, product = np.empty_like(positive), np.empty_like(positive)
    middle = positive.dtype.type(center)
    for i in prange(positive.shape[0]):
        p, n, s = positive[i], negative[i], step_y[i]
        up[i] = middle + (p * s / room_up[i] - p) * s
        down[i] = middle + (n * s / room_down[i] + n) * s
        right[i] = residual[i] - up[i] / room_up[i] + down[i] / room_down[i]
        product[i] = curvature[i] * right[i]
    return up, down, right, product


@jit(parallel=True)
def box_direction(positive, negative, room_up, room_down, curvature, right, image, up, down):
    size = positive.shape[0]
    step_y, step_p = np.empty_like(positive), np.empty_like(positive)
    step_n = np.empty_like(positive)
    parts = np.zeros((BLOCKS, 6), np.float64)
    for block in prange(BLOCKS):
        shrink_p = shrink_r = -np.inf
        products = by_step = by_room = by_both = 0.0
        for i in range(block * size // BLOCKS, (block + 1) * size // BLOCKS):
            p, n, over_up, over_down = positive[i], negative[i], 1 / room_up[i], 1 / room_down[i]
            y = curvature[i] * (right[i] - image[i])
            a = (up[i] + p * y) * over_up - p
            b = (down[i] - n * y) * over_down - n
            step_y[i], step_p[i], step_n[i] = y, a, b
            shrink_p = max(shrink_p, max(-a / p, -b / n))
            shrink_r = max(shrink_r, max(y * over_up, -y * over_down))
            products += p * room_up[i] + n * room_down[i]
            by_step += a * room_up[i] + b * room_down[i]
            by_room += (n - p) * y
            by_both += (b - a) * y
        parts[block, 0], parts[block, 1] = shrink_p, shrink_r
        parts[block, 2], parts[block, 3] = products, by_step
        parts[block, 4], parts[block, 5] = by_room, by_both
    total = np.empty(6, positive.dtype)
    for k in range(6):
        total[k] = parts[:, k].max() if k < 2 else _total(parts[:, k])
    return step_y, step_p, step_n, total


@jit()
def _power(square, exponent):
    # The two that need no logarithm are the two that are asked for most.
    if exponent == -0.25:
        return 1 / np.sqrt(np.sqrt(square))
    if exponent == 0.5:
        return np.sqrt(square)
    return square**exponent


@jit(parallel=True)
def power_terms(residual, weights, p, smoothing):
    size = residual.shape[0]
    gradient, curvature = np.empty_like(residual), np.empty_like(residual)
    parts = np.zeros(BLOCKS, np.float64)
    exponent, extra = 0.5 * p - 1, p - 2
    floor = smoothing * smoothing
    for block in prange(BLOCKS):
        for i in range(block * size // BLOCKS, (block + 1) * size // BLOCKS):
            r = np.float64(residual[i])
            square = r * r + floor
            slope = weights[i] * _power(square, exponent) if square > 0 or p == 2 else 0.0
            gradient[i] = slope * r
            curvature[i] = slope * (1 + extra * (r * r / square)) if square > 0 else slope
            if floor == 0.0:
                parts[block] += slope * r * r
            elif r != 0.0:
                parts[block] += weights[i] * _power(r * r, exponent) * r * r
    return gradient, curvature, residual.dtype.type(_total(parts))


@jit(parallel=True)
def power_slope(residual, image, weights, p, smoothing, step):
    size = residual.shape[0]
    parts = np.zeros(BLOCKS, np.float64)
    exponent, floor = 0.5 * p - 1, smoothing * smoothing
    for block in prange(BLOCKS):
        for i in range(block * size // BLOCKS, (block + 1) * size // BLOCKS):
            r = np.float64(residual[i]) - step * image[i]
            square = r * r + floor
            if square > 0:
                parts[block] -= weights[i] * _power(square, exponent) * r * image[i]
    return residual.dtype.type(_total(parts))
