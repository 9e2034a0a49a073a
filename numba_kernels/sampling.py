"""Passes over tall matrices, and over the vectors of an interior point method."""

from __future__ import annotations

import numpy as np

from ._jit import jit
from ._pool import added, blocks_of, run_rows
from ._rows import sum_over_row_blocks

# Rows whose transposed copies, plain and weighted, stay in the cache.
STRIP = 128


@jit(inner=True, reorder=True)
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


@jit(inner=True)
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


@jit()
def _gram_rows(A, weights, first, last, T, U, G):
    for start in range(first, last, STRIP):
        height = min(STRIP, last - start)
        for r in range(height):
            for j in range(A.shape[1]):
                U[j, r] = A[start + r, j]
                T[j, r] = A[start + r, j] * weights[start + r]
        _add_strip(G, T, U, height)


def weighted_gram(A, weights):
    n, d = A.shape
    padded = (d + 3) // 4 * 4
    parts = np.zeros((blocks_of(n, d * d), padded, padded), A.dtype)

    def work(block, first, last):
        T, U = np.zeros((2, padded, STRIP), A.dtype)
        _gram_rows(A, weights, first, last, T, U, parts[block])

    run_rows(n, d * d, work, blocks=len(parts))
    gram = added(parts)
    upper = np.triu(gram[:d, :d])
    return upper + np.triu(upper, 1).T


@jit()
def _curvature(positive, negative, room_up, room_down, residual, first, last, curvature, product):
    for i in range(np.uint64(first), np.uint64(last)):
        curvature[i] = 1 / (positive[i] / room_up[i] + negative[i] / room_down[i])
        product[i] = curvature[i] * residual[i]


def box_curvature(positive, negative, room_up, room_down, residual):
    given = positive, negative, room_up, room_down, residual
    out = np.empty_like(positive), np.empty_like(positive)
    run_rows(len(positive), 7, lambda _, first, last: _curvature(*given, first, last, *out))
    return out


@jit()
def _targets(
    positive, negative, room_up, room_down, residual, curvature, step_y, middle, first, last, up,
    down, right, product,
):  # fmt: skip
    for i in range(np.uint64(first), np.uint64(last)):
        p, n, s = positive[i], negative[i], step_y[i]
        up[i] = middle + (p * s / room_up[i] - p) * s
        down[i] = middle + (n * s / room_down[i] + n) * s
        right[i] = residual[i] - up[i] / room_up[i] + down[i] / room_down[i]
        product[i] = curvature[i] * right[i]


def box_targets(positive, negative, room_up, room_down, residual, curvature, step_y, center):
    middle = positive.dtype.type(center)
    given = positive, negative, room_up, room_down, residual, curvature, step_y, middle
    out = tuple(np.empty_like(positive) for _ in range(4))
    run_rows(len(positive), 11, lambda _, first, last: _targets(*given, first, last, *out))
    return out


@jit()
def _direction(
    positive, negative, room_up, room_down, curvature, right, image, up, down, first, last, step_y,
    step_p, step_n, sums,
):  # fmt: skip
    shrink_p, shrink_r = sums[0], sums[1]
    products = by_step = by_room = by_both = 0.0
    for i in range(first, last):
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
    sums[0], sums[1] = shrink_p, shrink_r
    sums[2] += products
    sums[3] += by_step
    sums[4] += by_room
    sums[5] += by_both


def box_direction(positive, negative, room_up, room_down, curvature, right, image, up, down):
    given = positive, negative, room_up, room_down, curvature, right, image, up, down
    steps = tuple(np.empty_like(positive) for _ in range(3))
    sums = np.zeros((blocks_of(len(positive), 12), 6))
    sums[:, :2] = -np.inf
    run_rows(
        len(positive),
        12,
        lambda block, first, last: _direction(*given, first, last, *steps, sums[block]),
    )
    total = sums[0]
    for part in sums[1:]:
        total[:2] = np.maximum(total[:2], part[:2])
        total[2:] += part[2:]
    return (*steps, total.astype(positive.dtype))


@jit(inner=True)
def _power(square, exponent):
    # The two that need no logarithm are the two that are asked for most.
    if exponent == -0.25:
        return 1 / np.sqrt(np.sqrt(square))
    if exponent == 0.5:
        return np.sqrt(square)
    return square**exponent


@jit()
def _terms(residual, weights, p, floor, first, last, gradient, curvature, total):
    exponent, extra = 0.5 * p - 1, p - 2
    for i in range(first, last):
        r = np.float64(residual[i])
        square = r * r + floor
        slope = weights[i] * _power(square, exponent) if square > 0 or p == 2 else 0.0
        gradient[i] = slope * r
        curvature[i] = slope * (1 + extra * (r * r / square)) if square > 0 else slope
        if floor == 0.0:
            total[0] += slope * r * r
        elif r != 0.0:
            total[0] += weights[i] * _power(r * r, exponent) * r * r


# Entries that a power is worth.
POWER = 16


def power_terms(residual, weights, p, smoothing):
    given = residual, weights, float(p), float(smoothing) ** 2
    out = np.empty_like(residual), np.empty_like(residual)
    totals = np.zeros((blocks_of(len(residual), POWER), 1))
    run_rows(
        len(residual),
        POWER,
        lambda block, first, last: _terms(*given, first, last, *out, totals[block]),
    )
    return (*out, residual.dtype.type(_sum(totals)))


def _sum(totals):
    """Return the sum of one number of each block, in their order."""
    total = 0.0
    for part in totals[:, 0]:
        total += part
    return total


@jit()
def _slope_rows(residual, image, weights, p, floor, step, first, last, total):
    exponent = 0.5 * p - 1
    for i in range(first, last):
        r = np.float64(residual[i]) - step * image[i]
        square = r * r + floor
        if square > 0:
            total[0] -= weights[i] * _power(square, exponent) * r * image[i]


def power_slope(residual, image, weights, p, smoothing, step):
    given = residual, image, weights, float(p), float(smoothing) ** 2, float(step)
    totals = np.zeros((blocks_of(len(residual), POWER), 1))
    run_rows(
        len(residual),
        POWER,
        lambda block, first, last: _slope_rows(*given, first, last, totals[block]),
    )
    return residual.dtype.type(_sum(totals))
