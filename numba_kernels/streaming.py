"""Passes over the rows of a stream, compiled.

They are serial: a chunk that fits into the cache is done before threads have woken up.
"""

from __future__ import annotations

import math

import numpy as np

from ._eigh import SMALL, eigenvectors, eigh_rows
from ._jit import jit

# Entries of a block that stays in the second level of the cache.
BLOCK_ENTRIES = 1 << 16


@jit(inner=True, reorder=True)
def _dot(A, i, B, j):
    """Return the inner product of row i of A and row j of B."""
    total = A[0, 0] * 0
    for c in range(A.shape[1]):
        total += A[i, c] * B[j, c]
    return total


@jit(inner=True)
def _add_row(A, i, B, j, factor):
    """Add a multiple of row j of B to row i of A."""
    for c in range(A.shape[1]):
        A[i, c] += factor * B[j, c]


@jit()
def _gram_product_one(X, z, y, images):
    for i in range(X.shape[0]):
        images[i] = _dot(X, i, z, 0)
        _add_row(y, 0, X, i, images[i])


def gram_product(X, Z):
    if Z.shape[1] == 1:
        y, images = np.zeros((1, X.shape[1]), X.dtype), np.empty(len(X), X.dtype)
        _gram_product_one(X, Z.T.copy(), y, images)
        return y.T.copy(), images[:, None]
    # From two columns on BLAS is faster than a compiled loop, on blocks small enough to be read
    # from memory once for both products.
    n, d = X.shape
    height = max(8, BLOCK_ENTRIES // d)
    Y, images = np.zeros(Z.shape, X.dtype), np.empty((n, Z.shape[1]), X.dtype)
    for start in range(0, n, height):
        block, part = X[start : start + height], images[start : start + height]
        np.matmul(block, Z, out=part)
        Y += block.T @ part
    return Y, images


@jit(inner=True, reorder=True)
def _gram(W, size, G):
    """Fill ``W W'`` for the first rows of W, four entries at a time."""
    d = W.shape[1]
    for i in range(size):
        for j in range(0, i + 1, 4):
            p, q, r = min(i, j + 1), min(i, j + 2), min(i, j + 3)
            s0 = s1 = s2 = s3 = W[0, 0] * 0
            for c in range(d):
                x = W[i, c]
                s0 += x * W[j, c]
                s1 += x * W[p, c]
                s2 += x * W[q, c]
                s3 += x * W[r, c]
            G[i, j] = G[j, i] = s0
            G[i, p] = G[p, i] = s1
            G[i, q] = G[q, i] = s2
            G[i, r] = G[r, i] = s3


@jit(inner=True)
def _sign(Z, i, size):
    """Make the largest coefficient of a combination positive."""
    low = high = Z[i, 0]
    for r in range(1, size):
        low, high = min(low, Z[i, r]), max(high, Z[i, r])
    if -low > high:
        for r in range(size):
            Z[i, r] = -Z[i, r]


@jit(inner=True)
def _combine(Z, i, W, begin, end, B, b):
    """Add the combination of some rows of W that row i of Z says to row b of B."""
    whole = begin + (end - begin) // 4 * 4
    for r in range(begin, whole, 4):
        p, q, s, t = Z[i, r], Z[i, r + 1], Z[i, r + 2], Z[i, r + 3]
        for c in range(B.shape[1]):
            B[b, c] += p * W[r, c] + q * W[r + 1, c] + s * W[r + 2, c] + t * W[r + 3, c]
    for r in range(whole, end):
        _add_row(B, b, W, r, Z[i, r])


@jit()
def _truncate(X, start, rows, shrink, B, W, G, values, Z, work, lost):
    """Merge some rows into B and truncate; tell whether the eigenvalues were found."""
    k, d = B.shape
    size = k + rows
    for r in range(size):
        for c in range(d):
            W[r, c] = B[r, c] if r < k else X[start + r - k, c]
    _gram(W, size, G)
    if not eigh_rows(G, values, Z, work):
        return False
    zero = B.dtype.type(0)
    level = max(values[rows if shrink else rows - 1], zero)
    for i in range(rows):
        lost[0] += max(values[i], zero)
    lost[1] += level
    for i in range(k):
        _sign(Z, size - 1 - i, size)
        for c in range(d):
            B[i, c] = 0
        _combine(Z, size - 1 - i, W, 0, size, B, i)
    if shrink:
        lost[0] += k * level
        for i in range(k):
            value = values[size - 1 - i]
            scale = math.sqrt(max(1 - level / value, 0.0)) if value > 0 else 0.0
            for c in range(d):
                B[i, c] *= scale
    return True


def merge_truncate(B, X, panel, shrink):
    B, lost = B.copy(), np.zeros(2, B.dtype)
    (k, d), step = B.shape, _truncate if len(B) + panel <= SMALL else _truncate_large
    W = np.empty((k + panel, d), B.dtype)
    for start in range(0, len(X), panel):
        rows = min(panel, len(X) - start)
        G, values, Z, work = _space(k + rows, B.dtype)
        if not step(X, start, rows, bool(shrink), B, W, G, values, Z, work, lost):
            # The eigenvalues were not found.
            B[:], lost[:] = np.nan, np.nan
            break
    return B, lost


def _space(size, dtype):
    """Return places for a Gram matrix, its eigenvalues, its eigenvectors, and work."""
    G, Z = np.empty((2, size, size), dtype)
    return G, np.empty(size, dtype), Z, np.empty((2, size), dtype)


def _truncate_large(X, start, rows, shrink, B, W, G, values, Z, _work, lost):
    """Do what `_truncate` does through LAPACK, which is faster from some rows on."""
    k = len(B)
    size = k + rows
    W[:k], W[k:size] = B, X[start : start + rows]
    np.matmul(W[:size], W[:size].T, out=G)
    values[:], U = np.linalg.eigh(G)
    Z[:] = U.T
    Z *= np.where(-Z.min(axis=1) > Z.max(axis=1), -1, 1).astype(Z.dtype)[:, None]
    level = max(values[rows if shrink else rows - 1], values.dtype.type(0))
    lost[0] += np.maximum(values[:rows], 0).sum()
    lost[1] += level
    leading = Z[: rows - 1 : -1] if rows else Z[::-1]
    np.matmul(leading, W[:size], out=B)
    if shrink:
        lost[0] += k * level
        top = values[: rows - 1 : -1] if rows else values[::-1]
        with np.errstate(divide="ignore", invalid="ignore"):
            B *= np.where(top > 0, np.sqrt(np.maximum(1 - level / top, 0)), 0)[:, None]
    return True


@jit()
def _adaoja(X, v, s):
    for i in range(X.shape[0]):
        image = _dot(X, i, v, 0)
        s[0] += image * image * _dot(X, i, X, i)
        if s[0] > 0:
            _add_row(v, 0, X, i, image / math.sqrt(s[0]))
            length = v.dtype.type(math.sqrt(_dot(v, 0, v, 0)))
            for c in range(v.shape[1]):
                v[0, c] /= length


def adaoja_pass(X, v, s):
    v, total = v[None, :].copy(), s[:1].copy()
    _adaoja(X, v, total)
    return v[0], total


@jit()
def _oja(X, VT, rates, logs):
    for i in range(X.shape[0]):
        for j in range(rates.shape[0]):
            _add_row(VT, j, X, i, rates[j] * _dot(X, i, VT, j))
            length = VT.dtype.type(math.sqrt(_dot(VT, j, VT, j)))
            for c in range(VT.shape[1]):
                VT[j, c] /= length
            logs[j] += math.log(length)


def oja_pass(X, V, rates, logs):
    VT, logs = V.T.copy(), logs.copy()
    _oja(X, VT, rates, logs)
    return VT.T.copy(), logs


@jit()
def _csr_gram_product(data, indices, indptr, Z, Y, images):
    for i in range(indptr.shape[0] - 1):
        for at in range(indptr[i], indptr[i + 1]):
            row, x = indices[at], data[at]
            for j in range(Z.shape[1]):
                images[i, j] += x * Z[row, j]
        for at in range(indptr[i], indptr[i + 1]):
            row, x = indices[at], data[at]
            for j in range(Z.shape[1]):
                Y[row, j] += x * images[i, j]


def csr_gram_product(data, indices, indptr, Z):
    Y, images = np.zeros(Z.shape, data.dtype), np.zeros((len(indptr) - 1, Z.shape[1]), data.dtype)
    _csr_gram_product(data, indices, indptr, Z, Y, images)
    return Y, images


@jit(inner=True, reorder=True)
def _sparse_dot(data, indices, start, stop, W, i):
    total = W[0, 0] * 0
    for at in range(start, stop):
        total += data[at] * W[i, indices[at]]
    return total


@jit()
def _csr_gram(data, indices, indptr, first, B, G, spread):
    """Fill the Gram matrix of the rows of B, and of compressed rows from `first` on."""
    k = B.shape[0]
    for i in range(k):
        for j in range(i + 1):
            G[i, j] = G[j, i] = _dot(B, i, B, j)
    for i in range(k, G.shape[0]):
        row = first + i - k
        for j in range(k):
            G[i, j] = G[j, i] = _sparse_dot(data, indices, indptr[row], indptr[row + 1], B, j)
        for at in range(indptr[row], indptr[row + 1]):
            spread[0, indices[at]] += data[at]
        for j in range(k, i + 1):
            other = first + j - k
            total = _sparse_dot(data, indices, indptr[other], indptr[other + 1], spread, 0)
            G[i, j] = G[j, i] = total
        for at in range(indptr[row], indptr[row + 1]):
            spread[0, indices[at]] = 0


@jit()
def _csr_rotate(data, indices, indptr, first, rows, values, Z, B, W, lost):
    """Replace B by the leading combinations of it and of some compressed rows."""
    k, size = B.shape[0], B.shape[0] + rows
    zero = B.dtype.type(0)
    for i in range(rows):
        lost[0] += max(values[i], zero)
    lost[1] += max(values[rows - 1], zero)
    for i in range(k):
        for c in range(B.shape[1]):
            W[i, c], B[i, c] = B[i, c], zero
    for i in range(k):
        _sign(Z, size - 1 - i, size)
        _combine(Z, size - 1 - i, W, 0, k, B, i)
        for r in range(rows):
            factor = Z[size - 1 - i, k + r]
            for at in range(indptr[first + r], indptr[first + r + 1]):
                B[i, indices[at]] += factor * data[at]


def csr_merge_truncate(data, indices, indptr, B, panel):
    B, lost, W = B.copy(), np.zeros(2, B.dtype), np.empty_like(B)
    spread = np.zeros((1, B.shape[1]), B.dtype)
    for first in range(0, len(indptr) - 1, panel):
        rows = min(panel, len(indptr) - 1 - first)
        G, values, Z, work = _space(len(B) + rows, B.dtype)
        _csr_gram(data, indices, indptr, first, B, G, spread)
        if not eigenvectors(G, values, Z, work):
            B[:], lost[:] = np.nan, np.nan
            break
        _csr_rotate(data, indices, indptr, first, rows, values, Z, B, W, lost)
    return B, lost


@jit()
def _csr_adaoja(data, indices, indptr, v, s):
    # The vector is kept as `length` times a vector that is scaled rarely.
    length2 = s[0] * 0 + 1
    for i in range(indptr.shape[0] - 1):
        start, stop = indptr[i], indptr[i + 1]
        image, square = s[0] * 0, s[0] * 0
        for at in range(start, stop):
            image += data[at] * v[indices[at]]
            square += data[at] * data[at]
        inner = image * image / length2
        s[0] += inner * square
        if s[0] > 0:
            rate = 1 / math.sqrt(s[0])
            for at in range(start, stop):
                v[indices[at]] += rate * image * data[at]
            length2 *= 1 + rate * (2 * inner + rate * inner * square)
        if length2 > 1e12:
            length = math.sqrt(length2)
            for c in range(v.shape[0]):
                v[c] /= length
            length2 = s[0] * 0 + 1


def csr_adaoja_pass(data, indices, indptr, v, s):
    v, total = v.copy(), s[:1].copy()
    _csr_adaoja(data, indices, indptr, v, total)
    return (v / np.sqrt(np.vdot(v, v))).astype(v.dtype), total
