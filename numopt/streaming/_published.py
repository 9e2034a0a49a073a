"""Oja's method as published: a rolling grid of fixed rates (Price and Xun)."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np  # noqa: TID251 - the generator of the draws

from .._core.namespace import Array, array_namespace, device_of, host_list, widest_float
from .._core.random import place
from .._kernels.streaming import oja_pass
from ._rows import Rows

# The largest rate times the sum of squared norms is about two to this power. The best rate is
# above log(d) over the largest eigenvalue, which may be as little as a d-th of that sum.
RANGE = 15


class Grid(NamedTuple):
    """Vectors that Oja's method has reached with rates ``2^-j`` for consecutive j."""

    vectors: Array  # (d, g)
    logs: Array  # (g,): how much each has grown, as a logarithm
    top: int  # the largest rate is 2^top


def start_grid(like: Array, d: int, rates: int, rng: np.random.Generator) -> Grid:
    """Return the grid before the first row; all rates start from one random vector."""
    xp, dtype, device = array_namespace(like), widest_float(like), device_of(like)
    start = place(rng.standard_normal((d, 1)), like, dtype)
    start = start / xp.linalg.vector_norm(start)
    vectors = start + xp.zeros((d, rates), dtype=dtype, device=device)
    return Grid(vectors, xp.zeros(rates, dtype=dtype, device=device), 0)


def grid_absorbed(
    grid: Grid, rows: Rows, squares: Array, before: float, rng: np.random.Generator
) -> Grid:
    """Return the grid after rows, moved to smaller rates as the sum of squared norms grows.

    Where the sum doubles, the largest rate gives way to one below the smallest. A rate that small
    would not have moved its random start before, so it starts from one.
    """
    sums = [before + s for s in host_list(array_namespace(squares).cumulative_sum(squares))]
    start = 0
    while start < rows.n:
        top = _top(sums[start])
        stop = start + 1
        while stop < rows.n and _top(sums[stop]) == top:
            stop += 1
        if sums[start] > 0:
            grid = _moved(grid, top, before == 0 and start == 0, rng)
            grid = _passed(grid, rows.part(start, stop))
        start = stop
    return grid


def _top(total: float) -> int:
    """Return the exponent of the largest rate: 2^15 over the sum of squared norms, or less."""
    return RANGE - math.floor(math.log2(total)) if total > 0 else 0


def _moved(grid: Grid, top: int, first: bool, rng: np.random.Generator) -> Grid:
    """Return the grid with smaller rates in place of those above `top`."""
    if first or top >= grid.top:
        return grid._replace(top=top)
    xp = array_namespace(grid.vectors)
    d, g = grid.vectors.shape
    gone = min(grid.top - top, g)
    fresh = place(rng.standard_normal((d, 1)), grid.vectors)
    fresh = fresh / xp.linalg.vector_norm(fresh)
    fresh = fresh + xp.zeros_like(grid.vectors[:, :gone])
    vectors = xp.concat([grid.vectors[:, gone:], fresh], axis=1)
    return Grid(vectors, xp.concat([grid.logs[gone:], 0 * grid.logs[:gone]]), top)


def _passed(grid: Grid, rows: Rows) -> Grid:
    xp = array_namespace(grid.vectors)
    g = int(grid.logs.shape[0])
    powers = xp.asarray(
        [2.0 ** (grid.top - j) for j in range(g)],
        dtype=grid.logs.dtype,
        device=device_of(grid.logs),
    )
    vectors, logs = oja_pass(rows.dense(), grid.vectors, powers, grid.logs)
    return Grid(vectors, logs, grid.top)


def admissible(grid: Grid) -> Array | None:
    """Return the vector of the smallest rate that has grown d-fold; None if there is none."""
    needed = math.log(max(int(grid.vectors.shape[0]), 2))
    grown = [j for j, log in enumerate(host_list(grid.logs)) if log >= needed]
    return grid.vectors[:, grown[-1]] if grown else None
