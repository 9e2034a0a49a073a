"""Entropic optimal transport: dense passes over the cost.

A cost is a C-contiguous (n, m) array or a tuple ``(X, Y, metric)`` of point clouds; see
``numopt._kernels.transport``. A kernel works on the rows of a block, on those tiles of each that
can matter (see `_costs`), with one row of length m in cache.
"""

from __future__ import annotations

import math

import numpy as np

from ._costs import costs_of, layout, tiles_above, tiles_near_peak, tops
from ._jit import jit
from ._math import exp
from ._pool import added, blocks_of, run_rows


@jit(inner=True)
def _run(kept, i, tile, width, m):
    """Return the first column and the end of the next run of tiles that are kept, and its end."""
    tiles = kept.shape[1]
    while tile < tiles and not kept[i, tile]:
        tile += 1
    first = tile
    while tile < tiles and kept[i, tile]:
        tile += 1
    return first * width, min(m, tile * width), tile


@jit(inner=True)
def _exponents(C, X, Y, metric, i, first, last, v, inverse_reg, row):
    """Write v - costs / reg; return the largest."""
    low, high = np.uint64(first), np.uint64(last)
    if metric < 0:
        for j in range(low, high):
            row[j] = v[j] - C[i, j] * inverse_reg
    else:
        costs_of(C, X, Y, metric, i, first, last, row)
        for j in range(low, high):
            row[j] = v[j] - row[j] * inverse_reg
    # A reduction by max does not vectorize; eight independent running maxima do.
    whole = low + (high - low) // np.uint64(8) * np.uint64(8)
    p0 = p1 = p2 = p3 = p4 = p5 = p6 = p7 = row[low]
    for j in range(low, whole, np.uint64(8)):
        p0 = max(p0, row[j])
        p1 = max(p1, row[j + np.uint64(1)])
        p2 = max(p2, row[j + np.uint64(2)])
        p3 = max(p3, row[j + np.uint64(3)])
        p4 = max(p4, row[j + np.uint64(4)])
        p5 = max(p5, row[j + np.uint64(5)])
        p6 = max(p6, row[j + np.uint64(6)])
        p7 = max(p7, row[j + np.uint64(7)])
    for j in range(whole, high):
        p0 = max(p0, row[j])
    return max(max(max(p0, p1), max(p2, p3)), max(max(p4, p5), max(p6, p7)))


@jit(inner=True, reorder=True)
def _exponentiate(row, shift, first, last):
    """Replace exponents by exponentials; return their sum."""
    total = 0.0
    for j in range(np.uint64(first), np.uint64(last)):
        row[j] = exp(row[j] + shift)
        total += row[j]
    return total


@jit(inner=True)
def _plan(row, v, inverse_reg, u_i, first, last):
    """Replace costs by entries of the plan."""
    for j in range(np.uint64(first), np.uint64(last)):
        row[j] = exp(v[j] - row[j] * inverse_reg + u_i)


@jit(inner=True)
def _accumulate(total, weight, row, first, last):
    for j in range(np.uint64(first), np.uint64(last)):
        total[j] += weight * row[j]


@jit()
def _semidual(C, X, Y, metric, width, kept, v, inverse_reg, a, log_a, start, u, total, row):
    m = v.shape[0]
    for r in range(kept.shape[0]):
        i, tile, peak = start + r, 0, -np.inf
        while tile < kept.shape[1]:
            first, last, tile = _run(kept, r, tile, width, m)
            if first < last:
                top = _exponents(C, X, Y, metric, i, first, last, v, inverse_reg, row)
                peak = max(peak, top)
        tile, mass = 0, 0.0
        while tile < kept.shape[1]:
            first, last, tile = _run(kept, r, tile, width, m)
            mass += _exponentiate(row, v.dtype.type(-peak), first, last)
        u[i] = log_a[i] - peak - math.log(mass)
        tile = 0
        while tile < kept.shape[1]:
            first, last, tile = _run(kept, r, tile, width, m)
            _accumulate(total, a[i] / mass, row, first, last)


def semidual_pass(cost, v, a, log_a, inverse_reg):
    (n, m), made = layout(cost)
    inverse_reg, top = v.dtype.type(inverse_reg), tops(made, v)
    u, partial = np.empty(n, dtype=v.dtype), np.zeros((blocks_of(n, m), m))

    def work(block, first, last):
        kept = tiles_near_peak(made, v, top, inverse_reg, first, last)
        row = np.empty(m, dtype=v.dtype)
        _semidual(*made[:5], kept, v, inverse_reg, a, log_a, first, u, partial[block], row)

    run_rows(n, m, work)
    return u, added(partial).astype(v.dtype)


@jit()
def _plan_rows(C, X, Y, metric, width, kept, u, v, inverse_reg, start, out):
    m = v.shape[0]
    for r in range(kept.shape[0]):
        tile, row = 0, out[r]
        while tile < kept.shape[1]:
            first, last, tile = _run(kept, r, tile, width, m)
            costs_of(C, X, Y, metric, start + r, first, last, row)
            _plan(row, v, inverse_reg, u[start + r], first, last)


class _Plan:
    """The plan of a cost and scalings, some rows at a time."""

    def __init__(self, cost, u, v, inverse_reg):
        self.shape, self.made = layout(cost)
        self.u, self.v, self.inverse_reg = u, v, v.dtype.type(inverse_reg)
        self.tops = tops(self.made, v)

    def tiles(self, first, last):
        return tiles_near_peak(self.made, self.v, self.tops, self.inverse_reg, first, last)

    def rows(self, first, last, out):
        """Write rows (last - first, m) of the plan, which must be zero, and return them."""
        kept = self.tiles(first, last)
        _plan_rows(*self.made[:5], kept, self.u, self.v, self.inverse_reg, first, out)
        return out

    def run(self, use):
        """Call ``use(block, first, last, rows)`` for pieces of each block that fit the cache."""
        n, m = self.shape

        def work(block, first, last):
            rows = np.zeros((last - first, m), dtype=self.v.dtype)
            use(block, first, last, self.rows(first, last, rows))

        run_rows(n, m, work, height=max(1, PIECE // m))


# Entries of the plan that are handled at a time where BLAS takes them on.
PIECE = 1 << 16


def plan_matrix(cost, u, v, inverse_reg):
    plan = _Plan(cost, u, v, inverse_reg)
    out = np.zeros(plan.shape, dtype=v.dtype)
    run_rows(
        plan.shape[0], plan.shape[1], lambda _, first, last: plan.rows(first, last, out[first:last])
    )
    return out


def plan_apply(cost, u, v, inverse_reg, V):
    plan, V = _Plan(cost, u, v, inverse_reg), V.astype(np.float64)
    out = np.empty((plan.shape[0], V.shape[1]), dtype=v.dtype)

    def use(_, first, last, rows):
        out[first:last] = rows @ V

    plan.run(use)
    return out


def plan_apply_t(cost, u, v, inverse_reg, V):
    plan, V = _Plan(cost, u, v, inverse_reg), V.astype(np.float64)
    partial = np.zeros((blocks_of(*plan.shape), plan.shape[1], V.shape[1]))

    def use(block, first, last, rows):
        partial[block] += rows.T @ V[first:last]

    plan.run(use)
    return added(partial).astype(v.dtype)


@jit(reorder=True)
def _stats(
    C, X, Y, metric, width, kept, u, v, inverse_reg, values, start, sums, mass, costs, images, row,
    cost,
):  # fmt: skip
    m = v.shape[0]
    for r in range(kept.shape[0]):
        i, tile, total = start + r, 0, 0.0
        while tile < kept.shape[1]:
            first, last, tile = _run(kept, r, tile, width, m)
            costs_of(C, X, Y, metric, i, first, last, cost)
            for j in range(np.uint64(first), np.uint64(last)):
                row[j] = exp(v[j] - cost[j] * inverse_reg + u[i])
                total += row[j]
            value = np.float64(values[i])
            for j in range(np.uint64(first), np.uint64(last)):
                mass[j] += row[j]
                costs[j] += row[j] * cost[j]
                images[j] += value * row[j]
        sums[i] = total


def plan_stats(cost, u, v, inverse_reg, row_values):
    plan = _Plan(cost, u, v, inverse_reg)
    n, m = plan.shape
    sums, partial = np.empty(n, dtype=v.dtype), np.zeros((3, blocks_of(n, m), m))

    def work(block, first, last):
        kept, row = plan.tiles(first, last), np.empty((2, m), dtype=v.dtype)
        given = kept, u, v, plan.inverse_reg, row_values, first
        _stats(*plan.made[:5], *given, sums, *partial[:, block], *row)

    run_rows(n, m, work)
    return (sums, *(added(part).astype(v.dtype) for part in partial))


@jit(reorder=True)
def _slopes(X, Y, metric, start, rows, distances, out):
    """Write sums of plan times steps, or signs or directions of steps, for each coordinate."""
    C = rows[:0]
    for r in range(rows.shape[0]):
        if metric == 1:
            costs_of(C, X, Y, metric, start + r, start - start, rows.shape[1], distances)
        for k in range(X.shape[1]):
            x, total = X[start + r, k], 0.0
            for j in range(np.uint64(rows.shape[1])):
                step = x - Y[k, j]
                if metric == 2:
                    step = np.sign(step)
                elif metric == 1:
                    step = step / distances[j] if distances[j] > 0 else step * 0
                total += rows[r, j] * step
            out[start + r, k] = 2 * total if metric == 0 else total


def plan_gradient(cost, u, v, inverse_reg):
    plan = _Plan(cost, u, v, inverse_reg)
    _, X, Y, metric, *_ = plan.made
    out = np.empty(X.shape, dtype=v.dtype)

    def use(_, first, _last, rows):
        _slopes(X, Y, metric, first, rows, np.empty(rows.shape[1], dtype=v.dtype), out)

    plan.run(use)
    return out


class _Sparse:
    """The entries of a plan that reach the threshold of their row or of their column."""

    def __init__(self, cost, u, v, row_threshold, column_threshold, inverse_reg):
        self.shape, self.made = layout(cost)
        self.levels = u, row_threshold, column_threshold, v, v.dtype.type(inverse_reg)
        self.tops = tops(self.made, v), -tops(self.made, -column_threshold)

    def run(self, use):
        """Call ``use(block, first, kept, row)`` for the rows of each block, one of `kept` each."""
        u, row_threshold, _, v, inverse_reg = self.levels
        n, m = self.shape

        def work(block, first, last):
            given = u, row_threshold, *self.tops, inverse_reg
            kept = tiles_above(self.made, *given, first, last)
            use(block, first, kept, np.empty(m, dtype=v.dtype))

        run_rows(n, m, work)


@jit()
def _count(
    C, X, Y, metric, width, u, row_threshold, column_threshold, v, inverse_reg, start, kept, row,
    counts,
):  # fmt: skip
    for r in range(kept.shape[0]):
        i, tile, found = start + r, 0, 0
        u_i, level = u[i], row_threshold[i]
        while tile < kept.shape[1]:
            first, last, tile = _run(kept, r, tile, width, row.shape[0])
            low, high = np.uint64(first), np.uint64(last)
            if metric < 0:
                for j in range(low, high):
                    least = min(level, column_threshold[j]) - u_i
                    found += v[j] - C[i, j] * inverse_reg >= least
            else:
                costs_of(C, X, Y, metric, i, first, last, row)
                for j in range(low, high):
                    least = min(level, column_threshold[j]) - u_i
                    found += v[j] - row[j] * inverse_reg >= least
        counts[i] = found


def sparsify_count(cost, u, v, row_threshold, column_threshold, inverse_reg):
    entries = _Sparse(cost, u, v, row_threshold, column_threshold, inverse_reg)
    counts = np.empty(entries.shape[0], dtype=np.int64)
    given = *entries.made[:5], *entries.levels
    entries.run(lambda _, first, kept, row: _count(*given, first, kept, row, counts))
    return counts


@jit(inner=True)
def _collect(row, flags, groups, low, high, end, data, indices):
    """Write the entries that are flagged from `end` on; return the new end."""
    eight = np.uint64(8)
    last = (high + np.uint64(7)) // eight
    for j in range(high, last * eight):
        flags[j] = 0
    # The test vectorizes on its own; eight of its results are then skipped as one integer.
    for group in range(low // eight, last):
        if groups[group] != 0:
            for j in range(max(low, eight * group), min(high, eight * group + eight)):
                if flags[j]:
                    indices[end] = j
                    data[end] = row[j]
                    end += 1
    return end


@jit()
def _fill(
    C, X, Y, metric, width, u, row_threshold, column_threshold, v, inverse_reg, start, kept, row,
    indptr, flags, groups, data, indices,
):  # fmt: skip
    for r in range(kept.shape[0]):
        i, tile = start + r, 0
        u_i, level, end = u[i], row_threshold[i], indptr[i]
        while tile < kept.shape[1]:
            first, last, tile = _run(kept, r, tile, width, row.shape[0])
            if first == last:
                continue
            low, high = np.uint64(first), np.uint64(last)
            _exponents(C, X, Y, metric, i, first, last, v, inverse_reg, row)
            for j in range(low, high):
                flags[j] = row[j] >= min(level, column_threshold[j]) - u_i
            end = _collect(row, flags, groups, low, high, end, data, indices)
        for k in range(np.uint64(indptr[i]), np.uint64(end)):
            data[k] = exp(data[k] + u_i)


def sparsify_fill(cost, u, v, row_threshold, column_threshold, inverse_reg, indptr):
    entries = _Sparse(cost, u, v, row_threshold, column_threshold, inverse_reg)
    data, indices = np.empty(indptr[-1], dtype=v.dtype), np.empty(indptr[-1], dtype=np.int32)
    given = *entries.made[:5], *entries.levels

    def use(_, first, kept, row):
        # One memory, as flags and as groups of eight.
        groups = np.zeros(row.size // 8 + 1, dtype=np.uint64)
        flags = groups.view(np.uint8)
        _fill(*given, first, kept, row, indptr, flags, groups, data, indices)

    entries.run(use)
    return data, indices


@jit(reorder=True)
def _gram(
    C, X, Y, metric, width, u, row_threshold, column_threshold, v, inverse_reg, start, kept, row,
    scale, x, total,
):  # fmt: skip
    for r in range(kept.shape[0]):
        i, tile, product = start + r, 0, 0.0
        u_i, level, zero = u[i], row_threshold[i], row.dtype.type(0)
        while tile < kept.shape[1]:
            first, last, tile = _run(kept, r, tile, width, row.shape[0])
            costs_of(C, X, Y, metric, i, first, last, row)
            for j in range(np.uint64(first), np.uint64(last)):
                exponent = v[j] - row[j] * inverse_reg
                value = exp(exponent + u_i)
                value = value if exponent >= min(level, column_threshold[j]) - u_i else zero
                row[j] = value
                product += value * x[j]
        product *= scale[i]
        tile = 0
        while tile < kept.shape[1]:
            first, last, tile = _run(kept, r, tile, width, row.shape[0])
            _accumulate(total, product, row, first, last)


def gram_apply(cost, u, v, row_threshold, column_threshold, inverse_reg, scale, x):
    entries = _Sparse(cost, u, v, row_threshold, column_threshold, inverse_reg)
    partial = np.zeros((blocks_of(*entries.shape), entries.shape[1]))
    given = *entries.made[:5], *entries.levels

    def use(block, first, kept, row):
        _gram(*given, first, kept, row, scale, x, partial[block])

    entries.run(use)
    return added(partial).astype(v.dtype)
