"""Entropic optimal transport: dense passes over the cost.

A cost is a C-contiguous (n, m) array or a tuple ``(X, Y, metric)`` of point clouds; see
``numopt._kernels.transport``. Every pass holds one row of length m in cache.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from ._costs import (
    cost_layout,
    cost_row,
    cost_shape,
    exponents,
    new_segments,
    segments_above,
    segments_near_peak,
    tile_tops,
)
from ._jit import jit, pass_kernel
from ._math import dot, exp

# Row blocks of a dense pass. The number is fixed so that sums over rows are added in the same
# order, hence are bit for bit the same, whatever the number of threads.
BLOCKS = 16


@jit()
def _block(block, n):
    return range(block * n // BLOCKS, (block + 1) * n // BLOCKS)


@jit()
def _largest(values):
    # A reduction by max does not vectorize; eight independent running maxima do.
    m = values.shape[0]
    whole = m - m % 8
    p0 = p1 = p2 = p3 = p4 = p5 = p6 = p7 = values[0]
    for j in range(0, whole, 8):
        p0 = max(p0, values[j])
        p1 = max(p1, values[j + 1])
        p2 = max(p2, values[j + 2])
        p3 = max(p3, values[j + 3])
        p4 = max(p4, values[j + 4])
        p5 = max(p5, values[j + 5])
        p6 = max(p6, values[j + 6])
        p7 = max(p7, values[j + 7])
    for j in range(whole, m):
        p0 = max(p0, values[j])
    return max(max(max(p0, p1), max(p2, p3)), max(max(p4, p5), max(p6, p7)))


@jit(reorder=True)
def _sum(values):
    total = 0.0
    for j in range(values.shape[0]):
        total += values[j]
    return total


@jit()
def _exponentiate(values, shift):
    for j in range(values.shape[0]):
        values[j] = exp(values[j] + shift)


@jit(reorder=True)
def _exponentiate_and_sum(values, shift):
    total = 0.0
    for j in range(values.shape[0]):
        values[j] = exp(values[j] + shift)
        total += values[j]
    return total


@jit()
def _accumulate(total, weight, values):
    for j in range(values.shape[0]):
        total[j] += weight * values[j]


@jit()
def _accumulate_products(total, values, others):
    for j in range(values.shape[0]):
        total[j] += values[j] * others[j]


@jit()
def _add_blocks(partial, like):
    total = np.zeros(partial.shape[1:])
    for block in range(partial.shape[0]):
        total += partial[block]
    return total.astype(like.dtype)


@pass_kernel
def semidual_pass(cost, v, a, log_a, inverse_reg):
    n, m = cost_shape(cost)
    cost = cost_layout(cost)
    tops = tile_tops(cost, v)
    inverse_reg = v.dtype.type(inverse_reg)
    u = np.empty(n, dtype=v.dtype)
    partial = np.zeros((BLOCKS, m))
    for block in prange(BLOCKS):
        row, segments = np.empty(m, dtype=v.dtype), new_segments(m)
        for i in _block(block, n):
            count = segments_near_peak(cost, i, v, tops, inverse_reg, row, segments)
            peak = v.dtype.type(-np.inf)
            for s in range(count):
                first, last = segments[s]
                exponents(cost, i, first, last, v, inverse_reg, row)
                peak = max(peak, _largest(row[first:last]))
            total = 0.0
            for s in range(count):
                total += _exponentiate_and_sum(row[segments[s, 0] : segments[s, 1]], -peak)
            u[i] = log_a[i] - peak - np.log(total)
            weight = a[i] / total
            for s in range(count):
                first, last = segments[s]
                _accumulate(partial[block, first:last], weight, row[first:last])
    return u, _add_blocks(partial, v)


@jit()
def _plan_segments(cost, i, u_i, v, tops, inverse_reg, row, segments):
    """Compute row i of the plan on its segments; return how many there are."""
    count = segments_near_peak(cost, i, v, tops, inverse_reg, row, segments)
    for s in range(count):
        first, last = segments[s]
        exponents(cost, i, first, last, v, inverse_reg, row)
        _exponentiate(row[first:last], u_i)
    return count


@pass_kernel
def plan_stats(cost, u, v, inverse_reg, row_values):
    n, m = cost_shape(cost)
    cost = cost_layout(cost)
    tops = tile_tops(cost, v)
    inverse_reg = v.dtype.type(inverse_reg)
    row_sums = np.empty(n, dtype=v.dtype)
    column_sums = np.zeros((BLOCKS, m))
    column_costs = np.zeros((BLOCKS, m))
    column_values = np.zeros((BLOCKS, m))
    for block in prange(BLOCKS):
        row, segments = np.empty(m, dtype=v.dtype), new_segments(m)
        costs = np.empty(m, dtype=v.dtype)
        for i in _block(block, n):
            count = _plan_segments(cost, i, u[i], v, tops, inverse_reg, row, segments)
            total, value = 0.0, np.float64(row_values[i])
            for s in range(count):
                first, last = segments[s]
                plan = row[first:last]
                total += _sum(plan)
                _accumulate(column_sums[block, first:last], 1.0, plan)
                _accumulate(column_values[block, first:last], value, plan)
                cost_row(cost, i, first, last, costs)
                _accumulate_products(column_costs[block, first:last], plan, costs[first:last])
            row_sums[i] = total
    return (
        row_sums,
        _add_blocks(column_sums, v),
        _add_blocks(column_costs, v),
        _add_blocks(column_values, v),
    )


@pass_kernel
def plan_matrix(cost, u, v, inverse_reg):
    n, m = cost_shape(cost)
    cost = cost_layout(cost)
    tops = tile_tops(cost, v)
    inverse_reg = v.dtype.type(inverse_reg)
    out = np.zeros((n, m), dtype=v.dtype)
    for block in prange(BLOCKS):
        row, segments = np.empty(m, dtype=v.dtype), new_segments(m)
        for i in _block(block, n):
            for s in range(_plan_segments(cost, i, u[i], v, tops, inverse_reg, row, segments)):
                first, last = segments[s]
                out[i, first:last] = row[first:last]
    return out


@pass_kernel
def plan_apply(cost, u, v, inverse_reg, V):
    n, m = cost_shape(cost)
    cost = cost_layout(cost)
    tops = tile_tops(cost, v)
    inverse_reg = v.dtype.type(inverse_reg)
    columns = V.T.copy()
    out = np.zeros((n, V.shape[1]), dtype=v.dtype)
    for block in prange(BLOCKS):
        row, segments = np.empty(m, dtype=v.dtype), new_segments(m)
        for i in _block(block, n):
            for s in range(_plan_segments(cost, i, u[i], v, tops, inverse_reg, row, segments)):
                first, last = segments[s]
                for k in range(columns.shape[0]):
                    out[i, k] += dot(row[first:last], columns[k, first:last])
    return out


@pass_kernel
def plan_apply_t(cost, u, v, inverse_reg, V):
    n, m = cost_shape(cost)
    cost = cost_layout(cost)
    tops = tile_tops(cost, v)
    inverse_reg = v.dtype.type(inverse_reg)
    partial = np.zeros((BLOCKS, V.shape[1], m))
    for block in prange(BLOCKS):
        row, segments = np.empty(m, dtype=v.dtype), new_segments(m)
        for i in _block(block, n):
            for s in range(_plan_segments(cost, i, u[i], v, tops, inverse_reg, row, segments)):
                first, last = segments[s]
                for k in range(V.shape[1]):
                    _accumulate(partial[block, k, first:last], V[i, k], row[first:last])
    return _add_blocks(partial, v).T.copy()


@jit()
def _divide(values, distances):
    for j in range(values.shape[0]):
        values[j] = values[j] / distances[j] if distances[j] > 0 else values.dtype.type(0)


@jit(reorder=True)
def _slope(plan, x, y, signs):
    total = 0.0
    for j in range(plan.shape[0]):
        step = x - y[j]
        total += plan[j] * (np.sign(step) if signs else step)
    return total


@pass_kernel
def plan_gradient(cost, u, v, inverse_reg):
    n, m = cost_shape(cost)
    cost = cost_layout(cost)
    tops = tile_tops(cost, v)
    X, Y, metric = cost[0], cost[1], cost[2]
    inverse_reg = v.dtype.type(inverse_reg)
    out = np.zeros(X.shape, dtype=v.dtype)
    for block in prange(BLOCKS):
        row, segments = np.empty(m, dtype=v.dtype), new_segments(m)
        work = np.empty(m, dtype=v.dtype)
        for i in _block(block, n):
            for s in range(_plan_segments(cost, i, u[i], v, tops, inverse_reg, row, segments)):
                first, last = segments[s]
                plan = row[first:last]
                if metric == 0:
                    plan *= 2
                elif metric == 1:
                    cost_row(cost, i, first, last, work)
                    _divide(plan, work[first:last])
                for k in range(X.shape[1]):
                    out[i, k] += _slope(plan, X[i, k], Y[k, first:last], metric == 2)
    return out


@jit()
def _threshold(row_threshold, column_threshold, u_i):
    """Return what v - cost / reg must reach for an entry to count."""
    return min(row_threshold, column_threshold) - u_i


@jit()
def _count_kept(exponent, u_i, row_threshold, column_threshold):
    kept = 0
    for j in range(exponent.shape[0]):
        kept += exponent[j] >= _threshold(row_threshold, column_threshold[j], u_i)
    return kept


@jit()
def _keep(exponent, u_i, row_threshold, column_threshold):
    """Replace v - cost / reg by the plan, zero where it does not count."""
    for j in range(exponent.shape[0]):
        value = exp(exponent[j] + u_i)
        kept = exponent[j] >= _threshold(row_threshold, column_threshold[j], u_i)
        exponent[j] = value if kept else exponent.dtype.type(0)


@pass_kernel
def sparsify_count(cost, u, v, row_threshold, column_threshold, inverse_reg):
    n, m = cost_shape(cost)
    cost = cost_layout(cost)
    tops, bottoms = tile_tops(cost, v), tile_tops(cost, -column_threshold)
    inverse_reg = v.dtype.type(inverse_reg)
    counts = np.empty(n, dtype=np.int64)
    for block in prange(BLOCKS):
        row, segments = np.empty(m, dtype=v.dtype), new_segments(m)
        for i in _block(block, n):
            level = (row_threshold[i] - u[i], u[i])
            kept = 0
            for s in range(segments_above(cost, i, level, tops, bottoms, inverse_reg, segments)):
                first, last = segments[s]
                exponents(cost, i, first, last, v, inverse_reg, row)
                kept += _count_kept(
                    row[first:last], u[i], row_threshold[i], column_threshold[first:last]
                )
            counts[i] = kept
    return counts


@jit()
def _compress(exponent, first, u_i, row_threshold, column_threshold, kept, positions):
    """Write the positions, from `first` on, of the entries that count; return their number."""
    # The test vectorizes on its own. Eight results at a time are then skipped as one integer or,
    # without a branch that could be mispredicted, written and kept by moving the end.
    length = exponent.shape[0]
    for j in range(length):
        kept[j] = exponent[j] >= _threshold(row_threshold, column_threshold[j], u_i)
    whole = (length + 7) // 8
    kept[length : 8 * whole] = 0
    groups = kept.view(np.uint64)
    end = 0
    for group in range(whole):
        if groups[group] != 0:
            for j in range(8 * group, 8 * group + 8):
                positions[end] = first + j
                end += kept[j]
    return end


@pass_kernel
def sparsify_fill(cost, u, v, row_threshold, column_threshold, inverse_reg, indptr):
    n, m = cost_shape(cost)
    cost = cost_layout(cost)
    tops, bottoms = tile_tops(cost, v), tile_tops(cost, -column_threshold)
    inverse_reg = v.dtype.type(inverse_reg)
    data = np.empty(indptr[n], dtype=v.dtype)
    indices = np.empty(indptr[n], dtype=np.int32)
    for block in prange(BLOCKS):
        row, segments = np.empty(m, dtype=v.dtype), new_segments(m)
        positions = np.empty(m + 8, dtype=np.int32)
        kept = np.empty((m + 7) // 8 * 8, dtype=np.uint8)
        for i in _block(block, n):
            level = (row_threshold[i] - u[i], u[i])
            end = indptr[i]
            for s in range(segments_above(cost, i, level, tops, bottoms, inverse_reg, segments)):
                first, last = segments[s]
                exponents(cost, i, first, last, v, inverse_reg, row)
                found = _compress(
                    row[first:last],
                    first,
                    u[i],
                    row_threshold[i],
                    column_threshold[first:last],
                    kept,
                    positions,
                )
                for k in range(found):
                    indices[end + k] = positions[k]
                    data[end + k] = row[positions[k]]
                end += found
            _exponentiate(data[indptr[i] : end], u[i])
    return data, indices


@pass_kernel
def gram_apply(cost, u, v, row_threshold, column_threshold, inverse_reg, scale, x):
    n, m = cost_shape(cost)
    cost = cost_layout(cost)
    tops, bottoms = tile_tops(cost, v), tile_tops(cost, -column_threshold)
    inverse_reg = v.dtype.type(inverse_reg)
    partial = np.zeros((BLOCKS, m))
    for block in prange(BLOCKS):
        row, segments = np.empty(m, dtype=v.dtype), new_segments(m)
        for i in _block(block, n):
            level = (row_threshold[i] - u[i], u[i])
            count = segments_above(cost, i, level, tops, bottoms, inverse_reg, segments)
            product = 0.0
            for s in range(count):
                first, last = segments[s]
                exponents(cost, i, first, last, v, inverse_reg, row)
                _keep(row[first:last], u[i], row_threshold[i], column_threshold[first:last])
                product += dot(row[first:last], x[first:last])
            product *= scale[i]
            for s in range(count):
                first, last = segments[s]
                _accumulate(partial[block, first:last], product, row[first:last])
    return _add_blocks(partial, v)
