"""Entropic optimal transport: dense passes over the cost.

Throughout, ``cost`` is an (n, m) array or a tuple ``(X, Y, metric)`` of point clouds, X (n, d),
Y (m, d), whose cost is computed on the fly: metric 0 is the squared Euclidean distance, 1 the
Euclidean distance and 2 the l1 distance. `u` (n,) and `v` (m,) are log-scalings: the plan is
``P[i, j] = exp(u[i] + v[j] - cost[i, j] * inverse_reg)``. No temporary exceeds 64 MB.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .._core.dispatch import kernel, size_of
from .._core.namespace import Array, array_namespace, device_of, widest_float

CHUNK_ENTRIES = 8_000_000

# exp of anything lower would be subnormal after a product, which is slow and of no use.
_LARGEST_EXPONENT = {8: 600.0, 4: 70.0}


def clipped_exp(x: Array) -> Array:
    """Return exp(x) with x clamped to where the result is a normal number with room to spare."""
    xp = array_namespace(x)
    limit = _LARGEST_EXPONENT[8 if x.dtype == getattr(xp, "float64", None) else 4]
    return xp.exp(xp.clip(x, -limit, limit))


def cost_rows(cost: Any, rows: slice) -> Array:
    """Return some rows of a cost as an array."""
    if not isinstance(cost, tuple):
        return cost[rows, :]
    X, Y, metric = cost
    xp = array_namespace(X, Y)
    total = xp.zeros((X[rows, :].shape[0], Y.shape[0]), dtype=X.dtype, device=device_of(X))
    for k in range(X.shape[1]):
        step = X[rows, k][:, None] - Y[:, k][None, :]
        total = total + (xp.abs(step) if metric == 2 else step * step)
    return xp.sqrt(total) if metric == 1 else total


def cost_chunks(cost: Any) -> Iterator[tuple[slice, Array]]:
    """Yield consecutive row ranges of a cost, each with its rows."""
    n = cost[0].shape[0] if isinstance(cost, tuple) else cost.shape[0]
    height = max(1, CHUNK_ENTRIES * n // max(1, size_of(cost)))
    for start in range(0, n, height):
        rows = slice(start, min(n, start + height))
        yield rows, cost_rows(cost, rows)


def _plan_chunks(
    cost: Any, u: Array, v: Array, inverse_reg: float
) -> Iterator[tuple[slice, Array, Array]]:
    """Yield consecutive row ranges, each with its rows of the cost and of the plan."""
    for rows, costs in cost_chunks(cost):
        yield rows, costs, clipped_exp(u[rows][:, None] + (v[None, :] - costs * inverse_reg))


@kernel(min_size=4096)
def semidual_pass(
    cost: Any, v: Array, a: Array, log_a: Array, inverse_reg: float
) -> tuple[Array, Array]:
    """Compute the exact row scaling for given column scalings, and the column sums it leads to.

    `v` (m,), `a` and `log_a` (n,) the row masses and their logarithms. Returns u (n,),
    ``u[i] = log_a[i] - log(sum_j exp(v[j] - cost[i, j] * inverse_reg))``, and c (m,), the column
    sums of the plan, accumulated in float64. One read of the cost, one exponential per entry.
    """
    xp = array_namespace(v, a, log_a)
    wide = widest_float(v)
    u, c = [], xp.zeros(v.shape, dtype=wide, device=device_of(v))
    for rows, costs in cost_chunks(cost):
        exponent = v[None, :] - costs * inverse_reg
        peak = xp.max(exponent, axis=1, keepdims=True)
        weights = xp.astype(clipped_exp(exponent - peak), wide)
        total = xp.sum(weights, axis=1)
        u.append(log_a[rows] - peak[:, 0] - xp.astype(xp.log(total), v.dtype))
        c = c + xp.matmul((xp.astype(a[rows], wide) / total)[None, :], weights)[0, :]
    return xp.concat(u), xp.astype(c, v.dtype)


@kernel(min_size=4096)
def plan_stats(
    cost: Any, u: Array, v: Array, inverse_reg: float, row_values: Array
) -> tuple[Array, Array, Array, Array]:
    """Compute the sums that certify a plan, accumulated in float64.

    Returns the row sums (n,), the column sums (m,), the cost of each column (m,),
    ``sum_i P[i, j] * cost[i, j]``, and the column sums of values `row_values` (n,) carried by
    the rows, ``sum_i P[i, j] * row_values[i]`` (m,). One exponential per entry.
    """
    xp = array_namespace(u, v, row_values)
    wide = widest_float(v)
    row_sums = []
    column_sums = xp.zeros(v.shape, dtype=wide, device=device_of(v))
    column_costs = column_values = column_sums
    for rows, costs, plan in _plan_chunks(cost, u, v, inverse_reg):
        plan = xp.astype(plan, wide)
        row_sums.append(xp.sum(plan, axis=1))
        column_sums = column_sums + xp.sum(plan, axis=0)
        column_costs = column_costs + xp.sum(plan * xp.astype(costs, wide), axis=0)
        values = xp.astype(row_values[rows], wide)
        column_values = column_values + xp.matmul(values[None, :], plan)[0, :]
    sums = (xp.concat(row_sums), column_sums, column_costs, column_values)
    return tuple(xp.astype(s, v.dtype) for s in sums)


@kernel(min_size=4096)
def plan_matrix(cost: Any, u: Array, v: Array, inverse_reg: float) -> Array:
    """Compute the plan as an array (n, m)."""
    xp = array_namespace(u, v)
    return xp.concat([plan for _, _, plan in _plan_chunks(cost, u, v, inverse_reg)])


@kernel(min_size=4096)
def plan_apply(cost: Any, u: Array, v: Array, inverse_reg: float, V: Array) -> Array:
    """Multiply the plan by a matrix V (m, k), without storing the plan: (n, k)."""
    xp = array_namespace(u, v, V)
    chunks = _plan_chunks(cost, u, v, inverse_reg)
    return xp.concat([xp.matmul(plan, V) for _, _, plan in chunks])


@kernel(min_size=4096)
def plan_apply_t(cost: Any, u: Array, v: Array, inverse_reg: float, V: Array) -> Array:
    """Multiply the transposed plan by a matrix V (n, k), without storing the plan: (m, k)."""
    xp = array_namespace(u, v, V)
    total = xp.zeros((v.shape[0], V.shape[1]), dtype=v.dtype, device=device_of(v))
    for rows, _, plan in _plan_chunks(cost, u, v, inverse_reg):
        total = total + xp.matmul(plan.T, V[rows, :])
    return total


@kernel(min_size=4096)
def plan_gradient(cost: Any, u: Array, v: Array, inverse_reg: float) -> Array:
    """Compute the gradient (n, d) of ``sum(P * cost)`` with respect to X for a fixed plan P.

    Only for point clouds, `cost` = (X, Y, metric). Where two points coincide, the Euclidean
    and the l1 distance have no gradient and contribute zero.
    """
    X, Y, metric = cost
    xp = array_namespace(X, Y)
    parts = []
    for rows, costs, plan in _plan_chunks(cost, u, v, inverse_reg):
        if metric == 0:
            plan = 2 * plan
        elif metric == 1:
            apart = costs > 0
            plan = xp.where(apart, plan / xp.where(apart, costs, 1.0), 0.0)
        columns = []
        for k in range(X.shape[1]):
            step = X[rows, k][:, None] - Y[:, k][None, :]
            columns.append(xp.sum(plan * (xp.sign(step) if metric == 2 else step), axis=1))
        parts.append(xp.stack(columns, axis=1))
    return xp.concat(parts)


def _kept(
    costs: Array, rows: slice, u: Array, v: Array, thresholds: tuple[Array, Array], inverse: float
) -> tuple[Array, Array]:
    """Return log P for some rows, and which of its entries reach a threshold."""
    xp = array_namespace(u, v)
    row_threshold, column_threshold = thresholds
    exponent = u[rows][:, None] + (v[None, :] - costs * inverse)
    return exponent, exponent >= xp.minimum(row_threshold[rows][:, None], column_threshold[None, :])


@kernel(min_size=4096)
def sparsify_count(
    cost: Any,
    u: Array,
    v: Array,
    row_threshold: Array,
    column_threshold: Array,
    inverse_reg: float,
) -> Array:
    """Count, in each row, the entries of the plan that matter to their row or to their column.

    Entry (i, j) counts if ``log P[i, j]`` reaches `row_threshold[i]` or `column_threshold[j]`.
    Returns integers (n,). No exponential is taken.
    """
    xp = array_namespace(u, v)
    thresholds = (row_threshold, column_threshold)
    counts = []
    for rows, costs in cost_chunks(cost):
        kept = _kept(costs, rows, u, v, thresholds, inverse_reg)[1]
        counts.append(xp.count_nonzero(kept, axis=1))
    return xp.concat(counts)


@kernel(min_size=4096)
def sparsify_fill(
    cost: Any,
    u: Array,
    v: Array,
    row_threshold: Array,
    column_threshold: Array,
    inverse_reg: float,
    indptr: Array,  # noqa: ARG001  (where a compiled kernel writes; here order says it)
) -> tuple[Array, Array]:
    """Store the entries that `sparsify_count` counts, as the data and indices of a CSR matrix.

    `indptr` (n + 1,) is the cumulative sum of the counts. Returns the values of the plan and
    their columns, rows in order and columns ascending within a row, both (indptr[n],).
    """
    xp = array_namespace(u, v)
    thresholds = (row_threshold, column_threshold)
    data, indices = [], []
    for rows, costs in cost_chunks(cost):
        exponent, kept = _kept(costs, rows, u, v, thresholds, inverse_reg)
        data.append(clipped_exp(exponent[kept]))
        indices.append(xp.nonzero(kept)[1])
    return xp.concat(data), xp.concat(indices)


@kernel(min_size=4096)
def gram_apply(
    cost: Any,
    u: Array,
    v: Array,
    row_threshold: Array,
    column_threshold: Array,
    inverse_reg: float,
    scale: Array,
    x: Array,
) -> Array:
    """Compute ``P' (scale * (P x))``, P cut to the entries that `sparsify_count` counts.

    `scale` (n,), `x` (m,). Returns (m,). Nothing is stored: one exponential per entry.
    """
    xp = array_namespace(u, v, scale, x)
    thresholds = (row_threshold, column_threshold)
    total = xp.zeros(v.shape, dtype=v.dtype, device=device_of(v))
    for rows, costs in cost_chunks(cost):
        exponent, kept = _kept(costs, rows, u, v, thresholds, inverse_reg)
        plan = xp.where(kept, clipped_exp(exponent), 0.0)
        total = total + xp.matmul(scale[rows] * xp.matmul(plan, x), plan)
    return total
