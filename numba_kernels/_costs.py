"""Rows of a transport cost: stored in an array, or computed from two point clouds.

One set of kernels serves both: ``metric`` is negative where the cost is the array C, else X (n, d)
and Y (d, m) are coordinates. The columns of a cloud are cut into tiles of consecutive points, whose
bounding boxes tell which tiles are too far from a row's point to carry any mass: where neighbors in
space are neighbors in memory, most of the work falls away; where they are not, little is lost. An
array has one tile, the whole row.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ._jit import jit

TILE = 64
# A tile is left out of a row where each of its entries is below exp(-50) = 2e-22 of the largest.
NEGLIGIBLE = 50.0
STORED = -1


class Layout(NamedTuple):
    """A cost as the kernels take it: the first five argument by argument."""

    C: np.ndarray  # (n, m), or empty for clouds
    X: np.ndarray  # (n, d)
    Y: np.ndarray  # (d, m): coordinates are rows, so that a row of costs is computed by streaming
    metric: int
    tile: int  # columns of a tile
    low: np.ndarray  # (tiles, d): corners of the boxes around tiles of Y
    high: np.ndarray
    starts: np.ndarray  # (tiles,): first columns


def layout(cost):
    """Return the shape of a cost, an array or clouds ``(X, Y, metric)``, and its layout."""
    if not isinstance(cost, tuple):
        none, start = np.empty((0, 0), cost.dtype), np.zeros(1, dtype=np.int64)
        return cost.shape, Layout(cost, none, none, STORED, cost.shape[1], none, none, start)
    X, Y, metric = cost
    starts = np.arange(0, len(Y), TILE)
    boxes = np.minimum.reduceat(Y, starts), np.maximum.reduceat(Y, starts)
    none = np.empty((0, 0), Y.dtype)
    return (len(X), len(Y)), Layout(none, X, Y.T.copy(), int(metric), TILE, *boxes, starts)


def tops(made, v):
    """Return the largest value of a vector over the columns in each tile."""
    return np.maximum.reduceat(v, made.starts) if made.metric != STORED else v[:1]


def tiles_near_peak(made, v, tops, inverse_reg, first, last):
    """Return which tiles (last - first, tiles) hold all but a negligible share of a row's mass."""
    kept = np.ones((last - first, len(made.starts)), dtype=np.uint8)
    if made.metric != STORED:
        _, X, Y, metric, _, low, high, _ = made
        _near_peak(X, Y, metric, low, high, v, tops, inverse_reg, first, last, kept)
    return kept


def tiles_above(made, u, row_threshold, tops, bottoms, inverse_reg, first, last):
    """Return which tiles hold every entry of the plan that reaches a threshold.

    `bottoms` are the least column thresholds in each.
    """
    kept = np.ones((last - first, len(made.starts)), dtype=np.uint8)
    if made.metric != STORED:
        _, X, _, metric, _, low, high, _ = made
        given = u, row_threshold, tops, bottoms, inverse_reg
        _above(X, metric, low, high, *given, first, last, kept)
    return kept


# Loops over columns run over unsigned indices: one that could be negative, as Numba has to assume
# of one that starts elsewhere than at zero, would not vectorize.


@jit(inner=True)
def costs_of(C, X, Y, metric, i, first, last, out):
    """Write the costs of the columns from first to last of a row."""
    low, high = np.uint64(first), np.uint64(last)
    if metric < 0:
        for j in range(low, high):
            out[j] = C[i, j]
        return
    for j in range(low, high):
        out[j] = 0
    for k in range(X.shape[1]):
        x = X[i, k]
        if metric == 2:
            for j in range(low, high):
                out[j] += abs(x - Y[k, j])
        else:
            for j in range(low, high):
                out[j] += (x - Y[k, j]) * (x - Y[k, j])
    if metric == 1:
        for j in range(low, high):
            out[j] = np.sqrt(out[j])


@jit(inner=True)
def _least_cost(X, metric, low, high, i, tile):
    """Return a lower bound of the cost from point i to the points of a tile."""
    total = 0.0
    for k in range(X.shape[1]):
        step = max(max(low[tile, k] - X[i, k], X[i, k] - high[tile, k]), 0.0)
        total += step if metric == 2 else step * step
    return np.sqrt(total) if metric == 1 else total


@jit()
def _near_peak(X, Y, metric, low, high, v, tops, inverse_reg, first, last, kept):
    tiles, m = tops.shape[0], v.shape[0]
    for i in range(first, last):
        # The tile that promises most has an entry that is a lower bound of the peak of the row.
        best, most = 0, -np.inf
        for tile in range(tiles):
            bound = tops[tile] - _least_cost(X, metric, low, high, i, tile) * inverse_reg
            if bound > most:
                best, most = tile, bound
        peak = -np.inf
        for j in range(best * TILE, min(m, (best + 1) * TILE)):
            total = 0.0
            for k in range(X.shape[1]):
                step = abs(X[i, k] - Y[k, j])
                total += step if metric == 2 else step * step
            peak = max(peak, v[j] - (np.sqrt(total) if metric == 1 else total) * inverse_reg)
        for tile in range(tiles):
            bound = tops[tile] - _least_cost(X, metric, low, high, i, tile) * inverse_reg
            kept[i - first, tile] = bound >= peak - NEGLIGIBLE


@jit()
def _above(X, metric, low, high, u, threshold, tops, bottoms, inverse_reg, first, last, kept):
    for i in range(first, last):
        for tile in range(tops.shape[0]):
            bound = tops[tile] - _least_cost(X, metric, low, high, i, tile) * inverse_reg
            kept[i - first, tile] = bound >= min(threshold[i], bottoms[tile]) - u[i]
