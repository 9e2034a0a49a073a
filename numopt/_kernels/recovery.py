"""Passes of robust low-rank recovery: packed measurements, and entries of a matrix by rows.

A symmetric matrix Z is packed as its upper triangle, row by row, off-diagonal entries doubled; a
measurement matrix as its upper triangle as it is. The inner product of two packed vectors is then
that of the matrices.

Entries of a matrix are laid out row by row, ``values`` (n, w). Where it is wholly observed, that is
the matrix itself and ``columns`` has shape (0, 0). Otherwise the first ``counts[i]`` places of row
i hold its entries, in the columns ``columns[i]`` names; the places behind hold zeros. ``weights``
has the shape of the values, or (0, 0) where all weights are one.
"""

from __future__ import annotations

from array_api_compat import is_numpy_array

from .._core.dispatch import kernel
from .._core.namespace import Array, array_namespace, device_of

# Numbers in a temporary of the references, which cut rows into blocks of about this size.
BLOCK_ENTRIES = 1 << 21


@kernel(min_size=20_000)
def l1_sense_fused(A: Array, z: Array, y: Array, weights: Array) -> tuple[Array, Array]:
    """Compute the residual of packed measurements and its subgradient.

    `A` (m, D), `z` (D,), `y` (m,), `weights` (m,). Returns ``res = A z - y`` (m,) and
    ``A' (weights * sign(res))`` (D,), with sign(0) = 0. One read of A, 4 m D operations.
    """
    xp = array_namespace(A)
    residual = xp.matmul(A, z) - y
    return residual, xp.matmul(A.T, weights * xp.sign(residual))


@kernel(min_size=1 << 62)
def order_statistics(values: Array, first: int, second: int) -> tuple[Array, Array]:
    """Return the entries of `values` (m,) that would be at two places were it sorted.

    Partial selection, O(m), where the library has one. Returns two arrays of no dimension.
    """
    if is_numpy_array(values):
        places = values.copy()
        places.partition((first, second))
    else:
        places = array_namespace(values).sort(values)
    return places[first], places[second]


@kernel(min_size=4_000)
def row_quantile_abs(values: Array, counts: Array, q: float) -> Array:
    """Compute a quantile of the magnitudes in each row of `values` (n, w).

    Row i has `counts[i]` entries; of its magnitudes, sorted, the result is the one at place
    ``floor(q * counts[i])``, zero for an empty row. Returns (n,), in O(n w) where compiled.
    """
    xp = array_namespace(values)
    w = values.shape[1]
    place = xp.arange(w, dtype=counts.dtype, device=device_of(values))
    there = place[None, :] < counts[:, None]
    infinity = xp.asarray(float("inf"), dtype=values.dtype, device=device_of(values))
    ordered = xp.sort(xp.where(there, xp.abs(values), infinity), axis=1)
    at = xp.astype(xp.floor(q * xp.astype(counts, values.dtype)), counts.dtype)
    at = xp.minimum(at, xp.clip(counts - 1, 0, None))
    picked = xp.sum(xp.where(place[None, :] == at[:, None], ordered, xp.zeros_like(values)), axis=1)
    return xp.where(counts > 0, picked, xp.zeros_like(picked))


@kernel(min_size=4_000)
def entry_residuals(values: Array, columns: Array, counts: Array, L: Array, R: Array) -> Array:
    """Compute ``<L_i, R_j> - values`` at the entries of each row, zero behind them.

    `L` (n, k), `R` (d, k). Returns (n, w). 2 n w k operations.
    """
    xp = array_namespace(values)
    if columns.shape[0] == 0:
        return xp.matmul(L, R.T) - values
    parts = []
    for rows in _row_blocks(values.shape, R.shape[1]):
        there = _there(values[rows, :], counts[rows])
        product = xp.sum(L[rows, None, :] * _taken(R, columns[rows, :]), axis=2)
        parts.append(xp.where(there, product - values[rows, :], xp.zeros_like(product)))
    return xp.concat(parts) if len(parts) > 1 else parts[0]


@kernel(min_size=4_000)
def entry_products(weights: Array, columns: Array, R: Array) -> Array:
    """Compute ``sum_j weights[i, j] R_j`` over the entries of each row.

    `weights` (n, w), zero behind the entries of a row; `R` (d, k). Returns (n, k).
    """
    xp = array_namespace(weights)
    if columns.shape[0] == 0:
        return xp.matmul(weights, R)
    parts = []
    for rows in _row_blocks(weights.shape, R.shape[1]):
        parts.append(xp.sum(weights[rows, :, None] * _taken(R, columns[rows, :]), axis=1))
    return xp.concat(parts) if len(parts) > 1 else parts[0]


@kernel(min_size=4_000)
def entry_sign_step(
    values: Array, columns: Array, counts: Array, weights: Array, L: Array, R: Array, q: float
) -> tuple[Array, Array]:
    """Compute the subgradient of the weighted l1 norm for each row, and a quantile of its residual.

    Returns ``sum_j weights_ij sign(res_ij) R_j`` (n, k) and `row_quantile_abs` of the residual
    (n,). One sweep of the entries, 4 n w k operations.
    """
    xp = array_namespace(values)
    residual = entry_residuals(values, columns, counts, L, R)
    signs = xp.sign(residual)
    sums = entry_products(signs * weights if weights.shape[0] else signs, columns, R)
    return sums, row_quantile_abs(residual, counts, q)


@kernel(min_size=4_000)
def entry_reweighted_step(
    values: Array,
    columns: Array,
    counts: Array,
    weights: Array,
    L: Array,
    R: Array,
    q: float,
    width: float,
    floor: float,
) -> tuple[Array, Array, Array]:
    """Compute reweighted normal equations for each row.

    With ``s_i = max(width * quantile of row i, floor)``, `floor` positive, the new weights are
    ``w_ij = weights_ij min(1, (s_i / |res_ij|)^2)``. Returns the matrices ``sum_j w_ij R_j R_j'``
    (n, k, k), the sums ``sum_j w_ij res_ij R_j`` (n, k), and the quantiles (n,). One sweep of the
    entries, n w (k^2 + 4 k) operations.
    """
    xp = array_namespace(values)
    residual = entry_residuals(values, columns, counts, L, R)
    quantiles = row_quantile_abs(residual, counts, q)
    scale = xp.clip(width * quantiles, floor, None)[:, None]
    shares = (scale / xp.maximum(xp.abs(residual), scale)) ** 2
    shares = shares * weights if weights.shape[0] else shares
    shares = xp.where(_there(values, counts), shares, xp.zeros_like(shares))
    k = R.shape[1]
    pairs = xp.reshape(R[:, :, None] * R[:, None, :], (R.shape[0], k * k))
    grams = entry_products(shares, columns, pairs)
    sums = entry_products(shares * residual, columns, R)
    return xp.reshape(grams, (values.shape[0], k, k)), sums, quantiles


def _there(values: Array, counts: Array) -> Array:
    """Return which places of each row hold an entry."""
    xp = array_namespace(values)
    place = xp.arange(values.shape[1], dtype=counts.dtype, device=device_of(values))
    return place[None, :] < counts[:, None]


def _taken(R: Array, columns: Array) -> Array:
    """Return the rows of `R` (d, k) that `columns` (n, w) names: (n, w, k)."""
    xp = array_namespace(R)
    rows = xp.take(R, xp.reshape(columns, (-1,)), axis=0)
    return xp.reshape(rows, (*columns.shape, R.shape[1]))


def _row_blocks(shape: tuple[int, int], k: int) -> list[slice]:
    """Return slices of rows whose temporaries of k numbers an entry have a bounded size."""
    n, w = shape
    height = max(1, BLOCK_ENTRIES // max(1, w * k))
    return [slice(start, min(n, start + height)) for start in range(0, n, height)]
