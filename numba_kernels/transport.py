"""Entropic optimal transport: dense passes over the cost.

A cost is a C-contiguous (n, m) array or a tuple ``(X, Y, metric)`` of point clouds; see
``numopt._kernels.transport``. Every dense pass holds one row of length m in cache.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from ._costs import cost_layout, cost_row, cost_shape, exponents
from ._jit import jit
from ._math import exp

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


@jit(reorder=True)
def _dot(x, y):
    total = 0.0
    for j in range(x.shape[0]):
        total += x[j] * y[j]
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


@jit(parallel=True)
def semidual_pass(cost, v, a, log_a, inverse_reg):
    n, m = cost_shape(cost)
    cost = cost_layout(cost)
    inverse_reg = v.dtype.type(inverse_reg)
    u = np.empty(n, dtype=v.dtype)
    partial = np.zeros((BLOCKS, m))
    for block in prange(BLOCKS):
        row = np.empty(m, dtype=v.dtype)
        for i in _block(block, n):
            exponents(cost, i, v, inverse_reg, row)
            peak = _largest(row)
            total = _exponentiate_and_sum(row, -peak)
            u[i] = log_a[i] - peak - np.log(total)
            _accumulate(partial[block], a[i] / total, row)
    return u, _add_blocks(partial, v)


@jit(parallel=True)
def plan_stats(cost, u, v, inverse_reg, row_values):
    n, m = cost_shape(cost)
    cost = cost_layout(cost)
    inverse_reg = v.dtype.type(inverse_reg)
    row_sums = np.empty(n, dtype=v.dtype)
    column_sums = np.zeros((BLOCKS, m))
    column_costs = np.zeros((BLOCKS, m))
    column_values = np.zeros((BLOCKS, m))
    for block in prange(BLOCKS):
        row = np.empty(m, dtype=v.dtype)
        costs = np.empty(m, dtype=v.dtype)
        for i in _block(block, n):
            cost_row(cost, i, costs)
            for j in range(m):
                row[j] = exp(u[i] + (v[j] - costs[j] * inverse_reg))
            row_sums[i] = _sum(row)
            _accumulate(column_sums[block], 1.0, row)
            _accumulate(column_values[block], np.float64(row_values[i]), row)
            _accumulate_products(column_costs[block], row, costs)
    return (
        row_sums,
        _add_blocks(column_sums, v),
        _add_blocks(column_costs, v),
        _add_blocks(column_values, v),
    )


@jit(parallel=True)
def plan_matrix(cost, u, v, inverse_reg):
    n, m = cost_shape(cost)
    cost = cost_layout(cost)
    inverse_reg = v.dtype.type(inverse_reg)
    out = np.empty((n, m), dtype=v.dtype)
    for i in prange(n):
        exponents(cost, i, v, inverse_reg, out[i])
        _exponentiate(out[i], u[i])
    return out


@jit(parallel=True)
def plan_apply(cost, u, v, inverse_reg, V):
    n, m = cost_shape(cost)
    cost = cost_layout(cost)
    inverse_reg = v.dtype.type(inverse_reg)
    columns = V.T.copy()
    out = np.empty((n, V.shape[1]), dtype=v.dtype)
    for block in prange(BLOCKS):
        row = np.empty(m, dtype=v.dtype)
        for i in _block(block, n):
            exponents(cost, i, v, inverse_reg, row)
            _exponentiate(row, u[i])
            for k in range(columns.shape[0]):
                out[i, k] = _dot(row, columns[k])
    return out


@jit(parallel=True)
def plan_apply_t(cost, u, v, inverse_reg, V):
    n, m = cost_shape(cost)
    cost = cost_layout(cost)
    inverse_reg = v.dtype.type(inverse_reg)
    partial = np.zeros((BLOCKS, V.shape[1], m))
    for block in prange(BLOCKS):
        row = np.empty(m, dtype=v.dtype)
        for i in _block(block, n):
            exponents(cost, i, v, inverse_reg, row)
            _exponentiate(row, u[i])
            for k in range(V.shape[1]):
                _accumulate(partial[block, k], V[i, k], row)
    return _add_blocks(partial, v).T.copy()


@jit(parallel=True)
def plan_gradient(cost, u, v, inverse_reg):
    n, m = cost_shape(cost)
    X, Y, metric = cost_layout(cost)
    inverse_reg = v.dtype.type(inverse_reg)
    out = np.empty(X.shape, dtype=v.dtype)
    for block in prange(BLOCKS):
        row = np.empty(m, dtype=v.dtype)
        slope = np.empty(m, dtype=v.dtype)
        for i in _block(block, n):
            cost_row((X, Y, metric), i, row)
            for j in range(m):
                # What multiplies x - y (or its sign) in the gradient of the cost.
                distance = row[j]
                slope[j] = exp(u[i] + (v[j] - distance * inverse_reg))
                if metric == 0:
                    slope[j] *= 2
                elif metric == 1:
                    slope[j] = slope[j] / distance if distance > 0 else slope[j] * 0
            for k in range(X.shape[1]):
                for j in range(m):
                    step = X[i, k] - Y[k, j]
                    row[j] = np.sign(step) if metric == 2 else step
                out[i, k] = _dot(slope, row)
    return out


@jit(parallel=True)
def sparsify_count(cost, u, v, row_threshold, column_threshold, inverse_reg):
    n, m = cost_shape(cost)
    cost = cost_layout(cost)
    inverse_reg = v.dtype.type(inverse_reg)
    counts = np.empty(n, dtype=np.int64)
    for block in prange(BLOCKS):
        row = np.empty(m, dtype=v.dtype)
        for i in _block(block, n):
            exponents(cost, i, v, inverse_reg, row)
            kept = 0
            for j in range(m):
                kept += u[i] + row[j] >= min(row_threshold[i], column_threshold[j])
            counts[i] = kept
    return counts


@jit()
def _compress(row, shift, row_threshold, column_threshold, kept, positions):
    # The test vectorizes on its own. Eight results at a time are then skipped as one integer or,
    # without a branch that could be mispredicted, written and kept by moving the end.
    m = row.shape[0]
    for j in range(m):
        kept[j] = shift + row[j] >= min(row_threshold, column_threshold[j])
    groups = kept.view(np.uint64)
    end = 0
    for group in range(groups.shape[0]):
        if groups[group] != 0:
            for j in range(8 * group, 8 * group + 8):
                positions[end] = j
                end += kept[j]


@jit(parallel=True)
def sparsify_fill(cost, u, v, row_threshold, column_threshold, inverse_reg, indptr):
    n, m = cost_shape(cost)
    cost = cost_layout(cost)
    inverse_reg = v.dtype.type(inverse_reg)
    data = np.empty(indptr[n], dtype=v.dtype)
    indices = np.empty(indptr[n], dtype=np.int32)
    for block in prange(BLOCKS):
        row = np.empty(m, dtype=v.dtype)
        positions = np.empty(m + 8, dtype=np.int32)
        kept = np.zeros((m + 7) // 8 * 8, dtype=np.uint8)
        for i in _block(block, n):
            exponents(cost, i, v, inverse_reg, row)
            _compress(row, u[i], row_threshold[i], column_threshold, kept, positions)
            start = indptr[i]
            for k in range(indptr[i + 1] - start):
                indices[start + k] = positions[k]
                data[start + k] = row[positions[k]]
            _exponentiate(data[start : indptr[i + 1]], u[i])
    return data, indices
