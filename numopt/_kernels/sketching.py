"""Sketching: products S [A B] of an embedding with the rows of a tall matrix.

`A` is (n, d) and `B` (n, k), whose columns ride along; `scale` and `values` hold the signs of the
embedding times any scaling of the rows. H is the Hadamard matrix with entries +-1,
``H[r, i] = (-1)**popcount(r & i)``, of any size that is a power of two.
"""

from __future__ import annotations

from typing import Any

import array_api_extra as xpx

from .._core.dispatch import kernel
from .._core.namespace import Array, array_namespace, csr_matrix, device_of
from .least_squares import row_ranges
from .schur import segment_sums


@kernel(min_size=1 << 12)
def fwht_rows(X: Array) -> Array:
    """Product ``H X`` along axis 0 of X (N, w), N a power of two. N w log2(N) additions."""
    xp = array_namespace(X)
    n, width = X.shape
    half = 1
    while half < n:
        pairs = xp.reshape(X, (n // (2 * half), 2, half, width))
        low, high = pairs[:, 0, :, :], pairs[:, 1, :, :]
        X = xp.reshape(xp.stack((low + high, low - high), axis=1), (n, width))
        half *= 2
    return X


@kernel(min_size=1 << 12)
def srht_apply(A: Array, B: Array, scale: Array, rows: Array, offset: int) -> Array:
    """Compute rows of a Hadamard transform, ``H[rows, offset:offset + n] diag(scale) [A B]``.

    `rows` (m,) are row indices of H, `offset` the index of the first row of A among the columns of
    H, so that blocks of a matrix are sketched one by one and added up. Returns (m, d + k). One read
    of A and n (d + k) (log2 L + m / L) additions for the length L = 4096 of blocks in the cache;
    this reference instead transforms a padded copy.
    """
    xp = array_namespace(A)
    n, width = A.shape[0], A.shape[1] + B.shape[1]
    padded = 1 << (offset + n - 1).bit_length()
    head = xp.zeros((offset, width), dtype=A.dtype, device=device_of(A))
    tail = xp.zeros((padded - offset - n, width), dtype=A.dtype, device=device_of(A))
    scaled = xp.concat((A, B), axis=1) * scale[:, None]
    transformed = fwht_rows(xp.concat((head, scaled, tail), axis=0))
    # Beyond the padded length the transform repeats itself: higher bits meet zeros only.
    return xp.take(transformed, rows % padded, axis=0)


def _embedding(buckets: Array, values: Array, size: int) -> Any:
    """Return the embedding (size, n) as a sparse matrix, a tuple where the library has none."""
    xp = array_namespace(values)
    n, zeta = buckets.shape
    starts = xp.arange(0, n * zeta + 1, zeta, dtype=buckets.dtype, device=device_of(buckets))
    rows = csr_matrix(xp.reshape(values, (-1,)), xp.reshape(buckets, (-1,)), starts, (n, size))
    return rows if isinstance(rows, tuple) else rows.T.tocsr()


@kernel(min_size=1 << 12)
def sparse_embedding_apply(A: Array, B: Array, buckets: Array, values: Array, size: int) -> Array:
    """Sum scaled rows by bucket: ``out[buckets[i, z]] += values[i, z] [A B][i]``.

    `buckets` (n, zeta) integers below `size`, `values` (n, zeta). Returns (size, d + k).
    n zeta (d + k) multiplications.
    """
    xp = array_namespace(A)
    n, width = A.shape[0], A.shape[1] + B.shape[1]
    embedding = _embedding(buckets, values, size)
    if not isinstance(embedding, tuple):  # the library has sparse matrices
        return xp.concat((embedding @ A, embedding @ B), axis=1)
    total = xp.zeros((size, width), dtype=A.dtype, device=device_of(A))
    for rows in row_ranges(n, width + size):
        block = xp.concat((A[rows, :], B[rows, :]), axis=1)
        for z in range(buckets.shape[1]):
            choice = xpx.one_hot(buckets[rows, z], size, dtype=A.dtype)
            total = total + xp.matmul(choice.T, block * values[rows, z][:, None])
    return total


@kernel(min_size=1 << 12)
def sparse_embedding_apply_csr(
    data: Array,
    indices: Array,
    indptr: Array,
    buckets: Array,
    values: Array,
    size: int,
    d: int,
) -> Array:
    """Compute `sparse_embedding_apply` of a matrix (n, d) in compressed rows, without a B.

    Returns (size, d). zeta multiplications an entry; this reference sorts them by their place.
    """
    embedding = _embedding(buckets, values, size)
    if not isinstance(embedding, tuple):  # the library has sparse matrices
        rows = csr_matrix(data, indices, indptr, (buckets.shape[0], d))
        return (embedding @ rows).toarray()
    xp = array_namespace(data)
    device = device_of(data)
    places = xp.arange(data.shape[0], dtype=indptr.dtype, device=device)
    rows = xp.searchsorted(indptr, places, side="right") - 1
    bounds = xp.arange(size * d + 1, dtype=indptr.dtype, device=device)
    total = xp.zeros((size * d,), dtype=data.dtype, device=device)
    for z in range(buckets.shape[1]):
        keys = xp.take(buckets[:, z], rows) * d + xp.astype(indices, buckets.dtype)
        order = xp.argsort(keys, stable=True)
        terms = xp.take(data * xp.take(values[:, z], rows), order)
        total = total + segment_sums(terms, xp.searchsorted(xp.take(keys, order), bounds))
    return xp.reshape(total, (size, d))
