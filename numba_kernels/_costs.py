"""Rows of a transport cost: stored in an array, or computed from two point clouds.

A row is handled as segments, ranges of columns that can matter. An array has one segment, the
whole row. A cloud is cut into tiles of consecutive points, whose bounding boxes tell which tiles
are too far from a row's point to carry any mass: where neighbors in space are neighbors in
memory, most of the work falls away; where they are not, little is lost.
"""

from __future__ import annotations

# Loops run over slices from zero: an index that could be negative, as Numba has to assume of one
# that starts elsewhere, would not vectorize.
import numpy as np

from ._jit import by_layout, jit

TILE = 64

# A tile is left out of a row where each of its entries is below exp(-50) = 2e-22 of the largest.
NEGLIGIBLE = 50.0


# --- a stored cost ----------------------------------------------------------------------------


@jit()
def _array_shape(cost):
    return cost.shape


@jit()
def _array_layout(cost):
    return cost


@jit()
def _array_tiles(_cost, _v):
    return np.zeros(0)


@jit()
def _array_row(cost, i, first, last, out):
    row, target = cost[i, first:last], out[first:last]
    for j in range(target.shape[0]):
        target[j] = row[j]


@jit()
def _array_exponents(cost, i, first, last, v, inverse_reg, out):
    row, scaling, target = cost[i, first:last], v[first:last], out[first:last]
    for j in range(target.shape[0]):
        target[j] = scaling[j] - row[j] * inverse_reg


@jit()
def _array_near_peak(cost, _i, _v, _tops, _inverse_reg, _scratch, segments):
    segments[0, 0], segments[0, 1] = 0, cost.shape[1]
    return 1


@jit()
def _array_above(cost, _i, _level, _tops, _bottoms, _inverse_reg, segments):
    segments[0, 0], segments[0, 1] = 0, cost.shape[1]
    return 1


# --- point clouds -----------------------------------------------------------------------------


@jit()
def _cloud_shape(cost):
    return cost[0].shape[0], cost[1].shape[0]


@jit()
def _cloud_layout(cost):
    # Coordinates of Y become rows, so that a row of costs is computed by streaming them.
    X, Y, metric = cost
    m, d = Y.shape
    tiles = (m + TILE - 1) // TILE
    low, high = np.empty((tiles, d), dtype=Y.dtype), np.empty((tiles, d), dtype=Y.dtype)
    for tile in range(tiles):
        for k in range(d):
            low[tile, k] = high[tile, k] = Y[tile * TILE, k]
            for j in range(tile * TILE, min(m, (tile + 1) * TILE)):
                low[tile, k] = min(low[tile, k], Y[j, k])
                high[tile, k] = max(high[tile, k], Y[j, k])
    return X, Y.T.copy(), metric, low, high


@jit()
def _cloud_tiles(cost, v):
    """Return the largest value of v in each tile."""
    tops = np.empty(cost[3].shape[0])
    for tile in range(tops.shape[0]):
        tops[tile] = v[tile * TILE]
        for j in range(tile * TILE, min(v.shape[0], (tile + 1) * TILE)):
            tops[tile] = max(tops[tile], v[j])
    return tops


@jit()
def _cloud_row(cost, i, first, last, out):
    X, Y, metric = cost[0], cost[1], cost[2]
    target = out[first:last]
    target[:] = 0
    for k in range(X.shape[1]):
        x, y = X[i, k], Y[k, first:last]
        if metric == 2:
            for j in range(target.shape[0]):
                target[j] += abs(x - y[j])
        else:
            for j in range(target.shape[0]):
                target[j] += (x - y[j]) * (x - y[j])
    if metric == 1:
        for j in range(target.shape[0]):
            target[j] = np.sqrt(target[j])


@jit()
def _cloud_exponents(cost, i, first, last, v, inverse_reg, out):
    _cloud_row(cost, i, first, last, out)
    scaling, target = v[first:last], out[first:last]
    for j in range(target.shape[0]):
        target[j] = scaling[j] - target[j] * inverse_reg


@jit()
def _least_cost(cost, i, tile):
    """Return a lower bound of the cost from point i to the points of a tile."""
    X, metric, low, high = cost[0], cost[2], cost[3], cost[4]
    total = 0.0
    for k in range(X.shape[1]):
        step = max(max(low[tile, k] - X[i, k], X[i, k] - high[tile, k]), 0.0)
        total += step if metric == 2 else step * step
    return np.sqrt(total) if metric == 1 else total


@jit()
def _append(segments, count, tile, m):
    """Add a tile to the segments, joined to the last one where they touch."""
    first, last = tile * TILE, min(m, (tile + 1) * TILE)
    if count > 0 and segments[count - 1, 1] == first:
        segments[count - 1, 1] = last
        return count
    segments[count, 0], segments[count, 1] = first, last
    return count + 1


@jit()
def _cloud_near_peak(cost, i, v, tops, inverse_reg, scratch, segments):
    m, tiles = v.shape[0], tops.shape[0]
    best, bounds = 0, np.empty(tiles)
    for tile in range(tiles):
        bounds[tile] = tops[tile] - _least_cost(cost, i, tile) * inverse_reg
        if bounds[tile] > bounds[best]:
            best = tile
    # The largest entry of the most promising tile is a lower bound of the peak of the row.
    first, last = best * TILE, min(m, (best + 1) * TILE)
    _cloud_exponents(cost, i, first, last, v, inverse_reg, scratch)
    peak = scratch[first]
    for j in range(first, last):
        peak = max(peak, scratch[j])
    count = 0
    for tile in range(tiles):
        if bounds[tile] >= peak - NEGLIGIBLE:
            count = _append(segments, count, tile, m)
    return count


@jit()
def _cloud_above(cost, i, level, tops, bottoms, inverse_reg, segments):
    # `level` is the row's threshold minus u[i]; `bottoms` are minus the least column thresholds.
    count, m = 0, cost[1].shape[1]
    for tile in range(tops.shape[0]):
        bound = tops[tile] - _least_cost(cost, i, tile) * inverse_reg
        if bound >= min(level[0], -bottoms[tile] - level[1]):
            count = _append(segments, count, tile, m)
    return count


# `cost_layout` prepares a cost once per pass; the others take what it returned.
cost_shape = by_layout(_array_shape, _cloud_shape)
cost_layout = by_layout(_array_layout, _cloud_layout)
# Largest value of a vector over the columns in each tile, for the functions below.
tile_tops = by_layout(_array_tiles, _cloud_tiles)
# Costs, or v - costs / reg, of the columns from first to last of a row.
cost_row = by_layout(_array_row, _cloud_row)
exponents = by_layout(_array_exponents, _cloud_exponents)
# Segments of a row that hold all but a negligible share of its mass, or every entry of the plan
# that reaches a threshold; both return how many there are.
segments_near_peak = by_layout(_array_near_peak, _cloud_near_peak)
segments_above = by_layout(_array_above, _cloud_above)


@jit()
def new_segments(m):
    """Return space for the segments of a row."""
    return np.empty((m // TILE + 1, 2), dtype=np.int64)
