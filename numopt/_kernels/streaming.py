"""Passes over the rows of a stream.

X is (b, d): rows of a matrix A that is never held. A pass reads them once and returns sums.
"""

from __future__ import annotations

from .._core.dispatch import kernel
from .._core.namespace import Array, array_namespace, csr_matrix, device_of


@kernel(min_size=1 << 12)
def gram_product(X: Array, Z: Array) -> tuple[Array, Array]:
    """Compute ``X' (X Z)`` (d, k) and ``X Z`` (b, k) for Z (d, k).

    4 b d k operations, one read of X.
    """
    xp = array_namespace(X)
    images = xp.matmul(X, Z)
    return xp.matmul(X.T, images), images


@kernel(min_size=1 << 8)
def merge_truncate(B: Array, X: Array, panel: int, shrink: bool) -> tuple[Array, Array]:
    """Merge rows into a factor of a Gram matrix and keep its largest part, `panel` rows at a time.

    `B` (k, d) is replaced by the leading k rows of ``diag(sigma) V'`` for the singular value
    decomposition of B on top of the next `panel` rows of X, until X is used up. If `shrink`, the
    square of the k-th singular value is subtracted from all squares kept (Frequent Directions).
    Combinations of rows are signed so that the largest coefficient of each is positive. Returns
    the new B, whose Gram matrix ``B'B`` is below that of all rows, and two numbers: the
    trace of what was taken away, and the sum over panels of its spectral norm. ``(k + panel)^2 d``
    operations for each panel.
    """
    xp = array_namespace(B)
    k = B.shape[0]
    trace = xp.zeros((), dtype=B.dtype, device=device_of(B))
    spectral = trace
    for start in range(0, X.shape[0], panel):
        rows = xp.concat([B, X[start : min(start + panel, X.shape[0]), :]])
        values, U = xp.linalg.eigh(xp.matmul(rows, rows.T))
        values = xp.clip(values, 0, None)
        lost, kept = values[:-k], values[-k:]
        level = kept[0] if shrink else lost[-1]
        U = xp.flip(U[:, -k:], axis=1)
        negative = xp.max(-U, axis=0) > xp.max(U, axis=0)
        B = xp.matmul(xp.where(negative[None, :], -U, U).T, rows)
        if shrink:
            safe = xp.where(kept > 0, kept, xp.ones_like(kept))
            shrunk = xp.where(kept > 0, xp.sqrt(xp.clip(1 - level / safe, 0, None)), 0 * kept)
            B = B * xp.flip(shrunk, axis=0)[:, None]
            trace = trace + k * level
        trace = trace + xp.sum(lost)
        spectral = spectral + level
    return B, xp.stack([trace, spectral])


@kernel(min_size=1 << 6, rent=False)
def adaoja_pass(X: Array, v: Array, s: Array) -> tuple[Array, Array]:
    """Take one step of Oja's method for every row in turn, with the rate of AdaOja.

    For each row a: ``g = (a'v) a``, ``s = s + ||g||^2``, ``v = v + g / sqrt(s)``, normalized. `v`
    (d,) of length one, `s` (1,); returns both. 4 b d operations.
    """
    xp = array_namespace(X)
    for i in range(X.shape[0]):
        row = X[i, :]
        image = xp.vecdot(row, v)
        s = s + image * image * xp.vecdot(row, row)
        rate = xp.where(s > 0, 1 / xp.sqrt(xp.where(s > 0, s, xp.ones_like(s))), xp.zeros_like(s))
        v = v + rate * image * row
        v = v / xp.linalg.vector_norm(v)
    return v, s


@kernel(min_size=1 << 6, rent=False)
def oja_pass(X: Array, V: Array, rates: Array, logs: Array) -> tuple[Array, Array]:
    """Take one step of Oja's method for every row in turn, with several fixed rates at once.

    Column j of `V` (d, g) has length one and becomes ``v + rates[j] (a'v) a``, normalized; `logs`
    (g,) add up the logarithms of the lengths before that. 4 b d g operations.
    """
    xp = array_namespace(X)
    for i in range(X.shape[0]):
        row = X[i, :]
        images = xp.vecdot(V.T, row[None, :])
        V = V + (rates * images)[None, :] * row[:, None]
        lengths = xp.linalg.vector_norm(V, axis=0)
        V = V / lengths[None, :]
        logs = logs + xp.log(lengths)
    return V, logs


# Rows stored as a compressed sparse matrix: `data` and `indices` (nnz,), `indptr` (b + 1,). The
# references spread them out, a chunk at a time; what is compiled does not.


def _spread(data: Array, indices: Array, indptr: Array, d: int) -> Array:
    """Return compressed rows as an array (b, d)."""
    rows = csr_matrix(data, indices, indptr, (indptr.shape[0] - 1, d))
    if not isinstance(rows, tuple):  # the library has sparse matrices
        return rows.toarray()
    xp, device = array_namespace(data), device_of(data)
    positions = xp.arange(data.shape[0], dtype=indptr.dtype, device=device)
    before = positions[None, :] < indptr[1:][:, None]
    owned = xp.astype(before & (positions[None, :] >= indptr[:-1][:, None]), data.dtype)
    columns = xp.arange(d, dtype=indices.dtype, device=device)
    hit = xp.astype(indices[:, None] == columns[None, :], data.dtype)
    return xp.matmul(owned, data[:, None] * hit)


@kernel(min_size=1)
def csr_gram_product(data: Array, indices: Array, indptr: Array, Z: Array) -> tuple[Array, Array]:
    """Compute what `gram_product` does for compressed rows. 4 nnz k operations."""
    return gram_product(_spread(data, indices, indptr, Z.shape[0]), Z)


@kernel(min_size=1)
def csr_merge_truncate(
    data: Array, indices: Array, indptr: Array, B: Array, panel: int
) -> tuple[Array, Array]:
    """Compute what `merge_truncate` does, without shrinking, for compressed rows.

    ``2 k^2 d + 2 (k + panel) nnz`` operations for each panel.
    """
    return merge_truncate(B, _spread(data, indices, indptr, B.shape[1]), panel, False)


@kernel(min_size=1, rent=False)
def csr_adaoja_pass(
    data: Array, indices: Array, indptr: Array, v: Array, s: Array
) -> tuple[Array, Array]:
    """Compute what `adaoja_pass` does for compressed rows. 4 nnz operations."""
    return adaoja_pass(_spread(data, indices, indptr, v.shape[0]), v, s)
