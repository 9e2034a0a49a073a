"""Sketching: the Hadamard transform in cache, and sparse embeddings by rows."""

from __future__ import annotations

from functools import partial

import numpy as np

from ._jit import jit
from ._pool import added, blocks_of, run_rows

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

    @jit(inner=True)
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


@jit(inner=True)
def _transform64(x, base):
    """Transform 64 consecutive rows of a panel, starting at an entry of `x`."""
    _across_groups(x, base, _U(8 * PANEL))
    for group in range(8):
        _across_rows(x, base + _U(group * 8 * PANEL), _U(PANEL))


@jit(inner=True)
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


@jit(inner=True)
def _load_edge(A, B, factor, i, column, tiles, base):
    """Fill a row of the panel that holds columns of B or none."""
    d = A.shape[1]
    for c in range(PANEL):
        j = column + c
        value = A[i, j] if j < d else B[i, j - d] if j < d + B.shape[1] else 0
        tiles[base + _U(c)] = factor * value


@jit(inner=True)
def _store(tile, first, buffer, start, step):
    """Copy the 64 rows of a tile to places `step` entries apart."""
    for q in range(INNER):
        to = _U(start + q * step)
        source = first + _U(q * PANEL)
        for c in range(_U(PANEL)):
            buffer[to + c] = tile[source + c]


@jit(inner=True)
def _parity(x):
    """Parity of the number of bits set."""
    for shift in (32, 16, 8, 4, 2, 1):
        x ^= x >> shift
    return x & 1


@jit()
def _srht(A, B, scale, rows, sources, starts, offset, outer, low, high, space, sums):
    """Add what some blocks of rows give to the sketch, `rows` sorted by their residue mod 64.

    `space` holds tiles, a buffer and signs; `sums` is (padded width * m,).
    """
    m = rows.size
    tiles, buffer, signs = space
    panels = (A.shape[1] + B.shape[1] + PANEL - 1) // PANEL
    length = outer * INNER
    for block in range(low, high):
        for r in range(m):
            signs[r] = 1 - 2 * _parity((rows[r] // length) & block)
        for left in range(0, panels, PANELS):
            right = min(left + PANELS, panels)
            first = block * length - offset
            _inner(A, B, scale, first, left, right, outer, tiles, buffer)
            _outer(buffer, left, right, outer, signs, sources, starts, sums)


@jit(inner=True)
def _inner(A, B, scale, first, left, right, outer, tiles, buffer):
    """Transform groups of 64 rows, and put rows of equal place in their groups side by side."""
    step = outer * PANEL + _PAD
    for group in range(outer):
        _load(A, B, scale, first + group * INNER, left, right, tiles)
        for panel in range(right - left):
            tile = _U(panel * INNER * PANEL)
            _transform64(tiles, tile)
            _store(tiles, tile, buffer, panel * INNER * step + group * PANEL, step)


@jit(inner=True)
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
    m, width = rows.size, d + B.shape[1]
    order = np.argsort(rows % INNER, kind="stable")
    ordered = rows[order]
    starts = np.searchsorted(ordered % INNER, np.arange(INNER + 1))
    outer = 1 if n <= INNER else 8 if n <= 8 * INNER else 64
    length = outer * INNER
    begin, end = offset // length, (offset + n - 1) // length + 1
    panels = (width + PANEL - 1) // PANEL
    given = A, B, scale, ordered, ordered % length // INNER * PANEL, starts, offset, outer
    # Every part needs a sketch of its own, and the time to add them up.
    parts = blocks_of(end - begin, length * width, most=max(1, min(16, n // (4 * m))))
    sums = np.zeros((parts, panels * m * PANEL), dtype=A.dtype)

    def work(part, low, high):
        space = (
            np.empty(PANELS * INNER * PANEL, dtype=A.dtype),
            np.empty(PANELS * INNER * (outer * PANEL + _PAD), dtype=A.dtype),
            np.empty(m, dtype=A.dtype),
        )
        _srht(*given, begin + low, begin + high, space, sums[part])

    run_rows(end - begin, length * width, work, blocks=parts)
    panels = added(sums).reshape(-1, m, PANEL)
    sketch = np.empty((m, width), dtype=A.dtype)
    sketch[order] = panels.transpose(1, 0, 2).reshape(m, -1)[:, :width]
    return sketch


@jit()
def _embed(A, B, buckets, values, first, last, total):
    """Add the sketch (size, d + k) of some rows."""
    d, k = A.shape[1], B.shape[1]
    for i in range(first, last):
        for z in range(buckets.shape[1]):
            to, value = buckets[i, z], values[i, z]
            for j in range(d):
                total[to, j] += value * A[i, j]
            for j in range(k):
                total[to, d + j] += value * B[i, j]


def sparse_embedding_apply(A, B, buckets, values, size):
    n, width = A.shape[0], A.shape[1] + B.shape[1]
    # Every part needs a sketch of its own, and the time to add them up.
    parts = blocks_of(n, width, most=max(1, min(16, n // (4 * size))))
    sums, given = np.zeros((parts, size, width), dtype=A.dtype), (A, B, buckets, values)
    run_rows(
        n, width, lambda part, first, last: _embed(*given, first, last, sums[part]), blocks=parts
    )
    return added(sums)


@jit()
def _embed_csr(data, indices, indptr, buckets, values, first, last, total):
    """Add the sketch (size, d) of some rows."""
    for i in range(first, last):
        for z in range(buckets.shape[1]):
            to, value = buckets[i, z], values[i, z]
            for entry in range(indptr[i], indptr[i + 1]):
                total[to, indices[entry]] += value * data[entry]


def sparse_embedding_apply_csr(data, indices, indptr, buckets, values, size, d):
    n, width = buckets.shape[0], data.size // max(1, buckets.shape[0])
    parts = blocks_of(n, width, most=max(1, min(16, data.size // (4 * size * d))))
    sums, given = np.zeros((parts, size, d), data.dtype), (data, indices, indptr, buckets, values)
    run_rows(
        n,
        width,
        lambda part, first, last: _embed_csr(*given, first, last, sums[part]),
        blocks=parts,
    )
    return added(sums)


@jit()
def _butterflies(X, half, first, last):
    """Replace some pairs of rows, `half` rows apart, by their sums and differences."""
    for pair in range(first, last):
        low = pair // half * 2 * half + pair % half
        high = low + half
        for j in range(X.shape[1]):
            a, b = X[low, j], X[high, j]
            X[low, j] = a + b
            X[high, j] = a - b


def _pairs(X, half, _block, first, last):
    _butterflies(X, half, first, last)


def fwht_rows(X):
    out, half = X.copy(), 1
    while half < len(X):
        run_rows(len(X) // 2, 2 * X.shape[1], partial(_pairs, out, half))
        half *= 2
    return out
