"""Passes over the rows of a stream, compiled.

They are serial: a chunk that fits into the cache is done before threads have woken up.
"""

from __future__ import annotations

import numpy as np

from ._eigh import eigh_rows
from ._jit import jit

# Entries of a block that stays in the second level of the cache.
BLOCK_ENTRIES = 1 << 16


@jit(reorder=True)
def _dot(x, y):
    total = x[0] * y[0] * 0
    for j in range(x.shape[0]):
        total += x[j] * y[j]
    return total


@jit(reorder=True)
def _norm2(x):
    total = x[0] * 0
    for j in range(x.shape[0]):
        total += x[j] * x[j]
    return total


@jit()
def _add_row(y, row, factor):
    for k in range(y.shape[0]):
        y[k] += factor * row[k]


@jit()
def _gram_product_one(X, z):
    n, d = X.shape
    y, images = np.zeros(d, X.dtype), np.empty(n, X.dtype)
    for i in range(n):
        images[i] = _dot(X[i], z)
        _add_row(y, X[i], images[i])
    return y, images


def gram_product(X, Z):
    if Z.shape[1] == 1:
        y, images = _gram_product_one(X, np.ascontiguousarray(Z[:, 0]))
        return y[:, None], images[:, None]
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


@jit(reorder=True)
def _gram_corner(W, G, first, last):
    """Fill the rows and columns of ``W W'`` from `first` to `last`, a pair of rows at a time."""
    d = W.shape[1]
    for i in range(first, last):
        for j in range(0, i + 1, 4):
            top = min(i, j + 1), min(i, j + 2), min(i, j + 3)
            s0 = s1 = s2 = s3 = W[0, 0] * 0
            for c in range(d):
                x = W[i, c]
                s0 += x * W[j, c]
                s1 += x * W[top[0], c]
                s2 += x * W[top[1], c]
                s3 += x * W[top[2], c]
            G[i, j] = G[j, i] = s0
            G[i, top[0]] = G[top[0], i] = s1
            G[i, top[1]] = G[top[1], i] = s2
            G[i, top[2]] = G[top[2], i] = s3


@jit()
def _signed(u):
    """Make the largest coefficient of a combination positive."""
    if -u.min() > u.max():
        u[:] = -u
    return u


@jit()
def _rotate(Z, W, B, size):
    """Replace B by the leading combinations of the first `size` rows of W, the largest first."""
    for i in range(B.shape[0]):
        u, b = _signed(Z[size - 1 - i]), B[i]
        b[:] = 0
        r = 0
        while r + 4 <= size:
            p, q, s, t = u[r], u[r + 1], u[r + 2], u[r + 3]
            w, x, y, z = W[r], W[r + 1], W[r + 2], W[r + 3]
            for c in range(b.shape[0]):
                b[c] += p * w[c] + q * x[c] + s * y[c] + t * z[c]
            r += 4
        while r < size:
            _add_row(b, W[r], u[r])
            r += 1


@jit()
def _unknown(B, lost):
    """Return what stands for a result where the eigenvalues were not found: not a number."""
    B[:], lost[:] = np.nan, np.nan
    return B, lost


@jit()
def merge_truncate(B, X, panel, shrink):
    k, d = B.shape
    B = B.copy()
    W, lost = np.zeros((k + panel, d), B.dtype), np.zeros(2, B.dtype)
    for start in range(0, X.shape[0], panel):
        rows = min(panel, X.shape[0] - start)
        size = k + rows
        W[:k] = B
        W[k:size] = X[start : start + rows]
        G = np.empty((size, size), B.dtype)
        _gram_corner(W, G, 0, size)
        values, Z, converged = eigh_rows(G)
        if not converged:
            return _unknown(B, lost)
        level = max(values[rows if shrink else rows - 1], B.dtype.type(0))
        for i in range(rows):
            lost[0] += max(values[i], B.dtype.type(0))
        lost[1] += level
        _rotate(Z, W, B, size)
        if shrink:
            lost[0] += k * level
            for i in range(k):
                value = values[size - 1 - i]
                B[i] *= np.sqrt(max(1 - level / value, 0.0)) if value > 0 else 0.0
    return B, lost


@jit()
def adaoja_pass(X, v, s):
    v, total = v.copy(), s[0]
    for i in range(X.shape[0]):
        row = X[i]
        image = _dot(row, v)
        total += image * image * _norm2(row)
        if total > 0:
            _add_row(v, row, image / np.sqrt(total))
            v /= np.sqrt(_norm2(v))
    return v, np.full(1, total, s.dtype)


@jit()
def _oja_pass(X, VT, rates, logs):
    for i in range(X.shape[0]):
        row = X[i]
        for j in range(rates.shape[0]):
            v = VT[j]
            _add_row(v, row, rates[j] * _dot(row, v))
            length = np.sqrt(_norm2(v))
            v /= length
            logs[j] += np.log(length)
    return VT, logs


def oja_pass(X, V, rates, logs):
    VT, logs = _oja_pass(X, np.ascontiguousarray(V.T), rates, logs.copy())
    return np.ascontiguousarray(VT.T), logs


@jit()
def csr_gram_product(data, indices, indptr, Z):
    n, k = indptr.shape[0] - 1, Z.shape[1]
    Y, images = np.zeros(Z.shape, data.dtype), np.zeros((n, k), data.dtype)
    for i in range(n):
        for at in range(indptr[i], indptr[i + 1]):
            row, x = indices[at], data[at]
            for j in range(k):
                images[i, j] += x * Z[row, j]
        for at in range(indptr[i], indptr[i + 1]):
            row, x = indices[at], data[at]
            for j in range(k):
                Y[row, j] += x * images[i, j]
    return Y, images


@jit(reorder=True)
def _sparse_dot(data, indices, start, stop, y):
    total = y[0] * 0
    for at in range(start, stop):
        total += data[at] * y[indices[at]]
    return total


@jit()
def _sparse_gram(data, indices, indptr, first, B, G, work):
    """Fill the Gram matrix of the rows of B, and of compressed rows from `first` on."""
    k = B.shape[0]
    for i in range(k):
        for j in range(i + 1):
            G[i, j] = G[j, i] = _dot(B[i], B[j])
    for i in range(k, G.shape[0]):
        row = first + i - k
        for j in range(k):
            G[i, j] = G[j, i] = _sparse_dot(data, indices, indptr[row], indptr[row + 1], B[j])
        for at in range(indptr[row], indptr[row + 1]):
            work[indices[at]] += data[at]
        for j in range(k, i + 1):
            other = first + j - k
            G[i, j] = G[j, i] = _sparse_dot(data, indices, indptr[other], indptr[other + 1], work)
        for at in range(indptr[row], indptr[row + 1]):
            work[indices[at]] = 0


@jit()
def csr_merge_truncate(data, indices, indptr, B, panel):
    k, n = B.shape[0], indptr.shape[0] - 1
    B, W = B.copy(), np.empty_like(B)
    work, lost = np.zeros(B.shape[1], B.dtype), np.zeros(2, B.dtype)
    for first in range(0, n, panel):
        rows = min(panel, n - first)
        G = np.empty((k + rows, k + rows), B.dtype)
        _sparse_gram(data, indices, indptr, first, B, G, work)
        values, Z, converged = eigh_rows(G)
        if not converged:
            return _unknown(B, lost)
        for i in range(rows):
            lost[0] += max(values[i], B.dtype.type(0))
        lost[1] += max(values[rows - 1], B.dtype.type(0))
        for row in range(rows, k + rows):
            _signed(Z[row])
        W[:] = B
        _rotate_dense(Z, W, B)
        for i in range(k):
            for r in range(rows):
                factor = Z[k + rows - 1 - i, k + r]
                for at in range(indptr[first + r], indptr[first + r + 1]):
                    B[i, indices[at]] += factor * data[at]
    return B, lost


@jit()
def _rotate_dense(Z, W, B):
    """Replace B by the leading combinations of W alone, the largest first."""
    k, size = W.shape[0], Z.shape[0]
    for i in range(k):
        b = B[i]
        b[:] = 0
        for r in range(k):
            _add_row(b, W[r], Z[size - 1 - i, r])


@jit()
def csr_adaoja_pass(data, indices, indptr, v, s):
    # The vector is kept as `length` times a vector that is scaled rarely.
    v, total, length2 = v.copy(), s[0], s[0] * 0 + 1
    for i in range(indptr.shape[0] - 1):
        start, stop = indptr[i], indptr[i + 1]
        image, square = s[0] * 0, s[0] * 0
        for at in range(start, stop):
            image += data[at] * v[indices[at]]
            square += data[at] * data[at]
        inner = image * image / length2
        total += inner * square
        if total > 0:
            rate = 1 / np.sqrt(total)
            for at in range(start, stop):
                v[indices[at]] += rate * image * data[at]
            length2 *= 1 + rate * (2 * inner + rate * inner * square)
        if length2 > 1e12:
            v /= np.sqrt(length2)
            length2 = s[0] * 0 + 1
    return (v / np.sqrt(_norm2(v))).astype(v.dtype), np.full(1, total, s.dtype)
