"""Sketching: the Hadamard transform in cache, and sparse embeddings by rows."""

from __future__ import annotations

import numba
import numpy as np
from numba import prange

from ._jit import jit

# Columns transformed together: two AVX-512 vectors of float64.
PANEL = 16
# Rows of the inner transform, in which a tile of PANEL columns fits the first-level cache.
INNER = 64
# Panels that go through the cache together: one read of 512 consecutive bytes of a row.
PANELS = 4
# A slot of padding between tiles, so that their first rows do not fall in one cache set.
_PAD = PANEL

_U = np.uint64


def _radix8(stride):
    """Return a function that transforms 8 runs of a vector, `stride` entries apart, in place.

    A constant stride lets the compiler see that the runs do not overlap, and unsigned indices that
    none is negative; without either the loop does not vectorize.
    """
    s1, s2, s3, s4, s5, s6, s7 = (_U(k * stride) for k in range(1, 8))

    @jit()
    def transform(x, base, run):
        for i in range(base, base + run):
            a0, a1, a2, a3 = x[i], x[i + s1], x[i + s2], x[i + s3]
            a4, a5, a6, a7 = x[i + s4], x[i + s5], x[i + s6], x[i + s7]
            b0, b1, b2, b3 = a0 + a1, a0 - a1, a2 + a3, a2 - a3
            b4, b5, b6, b7 = a4 + a5, a4 - a5, a6 + a7, a6 - a7
            c0, c1, c2, c3 = b0 + b2, b1 + b3, b0 - b2, b1 - b3
            c4, c5, c6, c7 = b4 + b6, b5 + b7, b4 - b6, b5 - b7
            x[i], x[i + s1], x[i + s2], x[i + s3] = c0 + c4, c1 + c5, c2 + c6, c3 + c7
            x[i + s4], x[i + s5], x[i + s6], x[i + s7] = c0 - c4, c1 - c5, c2 - c6, c3 - c7

    return transform


_across_rows = _radix8(PANEL)
_across_groups = _radix8(8 * PANEL)


@jit()
def _transform64(x, base):
    """Transform 64 consecutive rows of a panel, starting at an entry of `x`."""
    _across_groups(x, base, _U(8 * PANEL))
    for group in range(8):
        _across_rows(x, base + _U(group * 8 * PANEL), _U(PANEL))


@jit()
def _load(A, B, scale, first, left, right, tiles):
    """Fill tiles with 64 rows of the panels left, ..., right - 1 of [A B], scaled; 0 outside."""
    n, d = A.shape
    for q in range(INNER):
        i = first + q
        for panel in range(left, right):
            column = panel * PANEL
            base = _U(((panel - left) * INNER + q) * PANEL)
            if i < 0 or i >= n:
                for c in range(_U(PANEL)):
                    tiles[base + c] = 0
            elif column + PANEL <= d:
                factor, row, start = scale[i], _U(i), _U(column)
                for c in range(_U(PANEL)):
                    tiles[base + c] = factor * A[row, start + c]
            else:
                _load_edge(A, B, scale[i], i, column, tiles, base)


@jit()
def _load_edge(A, B, factor, i, column, tiles, base):
    """Fill a row of the panel that holds columns of B or none."""
    d = A.shape[1]
    for c in range(PANEL):
        j = column + c
        value = A[i, j] if j < d else B[i, j - d] if j < d + B.shape[1] else 0
        tiles[base + _U(c)] = factor * value


@jit()
def _store(tile, first, buffer, start, step):
    """Copy the 64 rows of a tile to places `step` entries apart."""
    for q in range(INNER):
        to = _U(start + q * step)
        source = first + _U(q * PANEL)
        for c in range(_U(PANEL)):
            buffer[to + c] = tile[source + c]


@jit()
def _parity(x):
    """Parity of the number of bits set."""
    for shift in (32, 16, 8, 4, 2, 1):
        x ^= x >> shift
    return x & 1


@jit(parallel=True)
def _srht(A, B, scale, rows, starts, offset, outer, threads):
    """Partial sketches (threads, padded width * m), of `rows` sorted by their residue mod 64."""
    n, d = A.shape
    m = rows.size
    panels = (d + B.shape[1] + PANEL - 1) // PANEL
    length = outer * INNER
    first_block = offset // length
    blocks = (offset + n - 1) // length + 1 - first_block
    row_blocks = rows // length
    sources = rows % length // INNER * PANEL
    sums = np.zeros((threads, panels * m * PANEL), dtype=A.dtype)
    for part in prange(threads):
        tiles = np.empty(PANELS * INNER * PANEL, dtype=A.dtype)
        buffer = np.empty(PANELS * INNER * (outer * PANEL + _PAD), dtype=A.dtype)
        signs = np.empty(m, dtype=A.dtype)
        low = first_block + part * blocks // threads
        high = first_block + (part + 1) * blocks // threads
        for block in range(low, high):
            for r in range(m):
                signs[r] = 1 - 2 * _parity(row_blocks[r] & block)
            for left in range(0, panels, PANELS):
                right = min(left + PANELS, panels)
                first = block * length - offset
                _inner(A, B, scale, first, left, right, outer, tiles, buffer)
                _outer(buffer, left, right, outer, signs, sources, starts, sums[part])
    return sums


@jit()
def _inner(A, B, scale, first, left, right, outer, tiles, buffer):
    """Transform groups of 64 rows, and put rows of equal place in their groups side by side."""
    step = outer * PANEL + _PAD
    for group in range(outer):
        _load(A, B, scale, first + group * INNER, left, right, tiles)
        for panel in range(right - left):
            tile = _U(panel * INNER * PANEL)
            _transform64(tiles, tile)
            _store(tiles, tile, buffer, panel * INNER * step + group * PANEL, step)


@jit()
def _outer(buffer, left, right, outer, signs, sources, starts, sums):
    """Transform across groups, and add the rows asked for to the sums with their signs."""
    m = signs.size
    for panel in range(left, right):
        for residue in range(INNER):
            base = _U(((panel - left) * INNER + residue) * (outer * PANEL + _PAD))
            if outer == 64:
                _transform64(buffer, base)
            elif outer == 8:
                _across_rows(buffer, base, _U(PANEL))
            for r in range(starts[residue], starts[residue + 1]):
                sign = signs[r]
                source = base + _U(sources[r])
                to = _U((panel * m + r) * PANEL)
                for c in range(_U(PANEL)):
                    sums[to + c] += sign * buffer[source + c]


def srht_apply(A, B, scale, rows, offset):
    n, d = A.shape
    width = d + B.shape[1]
    order = np.argsort(rows % INNER, kind="stable")
    ordered = rows[order]
    starts = np.searchsorted(ordered % INNER, np.arange(INNER + 1))
    outer = 1 if n <= INNER else 8 if n <= 8 * INNER else 64
    blocks = 1 + (offset + n - 1) // (outer * INNER) - offset // (outer * INNER)
    threads = max(1, min(numba.get_num_threads(), blocks))
    sums = _srht(A, B, scale, ordered, starts, offset, outer, threads).sum(axis=0)
    panels = sums.reshape(-1, rows.size, PANEL)
    sketch = np.empty((rows.size, width), dtype=A.dtype)
    sketch[order] = panels.transpose(1, 0, 2).reshape(rows.size, -1)[:, :width]
    return sketch


@jit(parallel=True)
def _sparse_embedding(A, B, buckets, values, size, threads):
    """Partial sketches (threads, size, d + k)."""
    n, d = A.shape
    k = B.shape[1]
    sums = np.zeros((threads, size, d + k), dtype=A.dtype)
    for part in prange(threads):
        total = sums[part]
        for i in range(part * n // threads, (part + 1) * n // threads):
            for z in range(buckets.shape[1]):
                to = total[buckets[i, z]]
                value = values[i, z]
                row = A[i]
                for j in range(d):
                    to[j] += value * row[j]
                for j in range(k):
                    to[d + j] += value * B[i, j]
    return sums


def sparse_embedding_apply(A, B, buckets, values, size):
    # Every thread needs a sketch of its own, and the time to add them up.
    threads = max(1, min(numba.get_num_threads(), A.shape[0] // (4 * size)))
    return _sparse_embedding(A, B, buckets, values, size, threads).sum(axis=0)


@jit(parallel=True)
def _sparse_embedding_csr(data, indices, indptr, buckets, values, size, d, threads):
    """Partial sketches (threads, size, d)."""
    n, zeta = buckets.shape
    sums = np.zeros((threads, size, d), dtype=data.dtype)
    for part in prange(threads):
        total = sums[part]
        for i in range(part * n // threads, (part + 1) * n // threads):
            for z in range(zeta):
                to = total[buckets[i, z]]
                value = values[i, z]
                for entry in range(indptr[i], indptr[i + 1]):
                    to[indices[entry]] += value * data[entry]
    return sums


def sparse_embedding_apply_csr(data, indices, indptr, buckets, values, size, d):
    threads = max(1, min(numba.get_num_threads(), data.size // (4 * size)))
    parts = _sparse_embedding_csr(data, indices, indptr, buckets, values, size, d, threads)
    return parts.sum(axis=0)


def fwht_rows(X):
    out = X.copy()
    _fwht(out, max(1, min(numba.get_num_threads(), out.size >> 16)))
    return out


@jit(parallel=True)
def _fwht(X, threads):
    n, width = X.shape
    half = 1
    while half < n:
        pairs = n // 2
        for part in prange(threads):
            for pair in range(part * pairs // threads, (part + 1) * pairs // threads):
                low = pair // half * 2 * half + pair % half
                a, b = X[low], X[low + half]
                for j in range(width):
                    s = a[j]
                    a[j] = s + b[j]
                    b[j] = s - b[j]
        half *= 2
