"""Matrix completion: least squares in every row at once, and products with sparse matrices.

Features and models are padded with zeros to whole vector registers.
"""

from __future__ import annotations

import math

import numpy as np

from ._jit import jit
from ._pool import SMALL, run
from ._simd import REGISTER, TILE, add_rows, add_squares, add_tile, dots, scaled_row

_RIDGE = 0.75
# Entries of a row that are copied next to one another: all steps of an iteration go over the copy
# of a row that is not longer; Gram matrices are summed up in parts.
_BUFFERED, _PART = 4096, 256
_CHUNKS = 64
# Rows of the work space of a row: model, gradient, inverse diagonal, direction, its image.
_X, _G, _D, _P, _Q = range(5)


class _Rows:
    """Sparse rows in about equal shares, and features padded to whole registers."""

    def __init__(self, data, indices, indptr, weights, W):
        self.sparse = data, indices, indptr
        self.weights = data if weights is None else weights, weights is not None
        width = REGISTER // W.itemsize
        self.k = W.shape[1]
        self.features = np.zeros((len(W), (self.k + width - 1) // width * width), W.dtype)
        self.features[:, : self.k] = W
        self.lengths = np.diff(indptr)
        # Each row counts as one entry more than it has.
        ends = indptr + np.arange(len(indptr), dtype=indptr.dtype)
        parts = max(1, min(_CHUNKS, len(data) * self.k // SMALL))
        self.cuts = np.searchsorted(ends, np.arange(parts + 1) * int(ends[-1]) // parts)
        self.cuts[-1] = len(indptr) - 1

    def run(self, work):
        """Call ``work(first, last)`` for the rows of each share."""
        entries = len(self.sparse[0]) * self.k
        run(len(self.cuts) - 1, lambda k: work(*self.cuts[k : k + 2].tolist()), entries=entries)

    def space(self, *rows):
        """Return space for some rows of features."""
        return np.empty((*rows, self.features.shape[1]), self.features.dtype)

    def longest(self, first, last):
        """Return the entries of the longest of some rows."""
        return int(self.lengths[first:last].max(initial=0))


@jit(inner=True)
def _set_up(W, where, b, w, weighted, work):
    """Add a row's gradient to that in the work space; return its loss."""
    n, zero = where.shape[0], W.dtype.type(0)
    loss = 0.0
    for t in range(0, n, 4):
        # Behind the last entry the last one again, with no weight.
        t1, t2, t3 = min(t + 1, n - 1), min(t + 2, n - 1), min(t + 3, n - 1)
        r0, r1, r2, r3 = where[t], where[t1], where[t2], where[t3]
        p0, p1, p2, p3 = dots(W, r0, r1, r2, r3, work, _X)
        e0, e1, e2, e3 = b[t] - p0, b[t1] - p1, b[t2] - p2, b[t3] - p3
        s0, s1, s2, s3 = e0, e1, e2, e3
        if weighted:
            s0, s1, s2, s3 = w[t] * e0, w[t1] * e1, w[t2] * e2, w[t3] * e3
        s1 = s1 if t + 1 < n else zero
        s2 = s2 if t + 2 < n else zero
        s3 = s3 if t + 3 < n else zero
        loss += float(s0) * float(e0) + float(s1) * float(e1)
        loss += float(s2) * float(e2) + float(s3) * float(e3)
        add_rows(W, r0, r1, r2, r3, s0, s1, s2, s3, work, _G, 0)
    return loss


@jit(inner=True)
def _add_diagonal(W, where, w, weighted, work):
    """Add the diagonal of a row's Gram matrix to that in the work space."""
    one = W.dtype.type(1)
    for t in range(where.shape[0]):
        add_squares(W, where[t], w[t] if weighted else one, work, _D)


@jit(inner=True)
def _gather(W, where, w, weighted, buffer):
    """Copy the features of entries, times the roots of their weights."""
    one = W.dtype.type(1)
    for t in range(where.shape[0]):
        scale = W.dtype.type(math.sqrt(w[t])) if weighted else one
        scaled_row(W, where[t], scale, buffer, t)


@jit(inner=True)
def _add_normal_product(A, where, w, weighted, work):
    """Add ``A' diag(w) A p`` to the image of the direction, four entries at a time."""
    n, zero = where.shape[0], A.dtype.type(0)
    for t in range(0, n, 4):
        t1, t2, t3 = min(t + 1, n - 1), min(t + 2, n - 1), min(t + 3, n - 1)
        r0, r1, r2, r3 = where[t], where[t1], where[t2], where[t3]
        s0, s1, s2, s3 = dots(A, r0, r1, r2, r3, work, _P)
        if weighted:
            s0, s1, s2, s3 = w[t] * s0, w[t1] * s1, w[t2] * s2, w[t3] * s3
        s1 = s1 if t + 1 < n else zero
        s2 = s2 if t + 2 < n else zero
        s3 = s3 if t + 3 < n else zero
        add_rows(A, r0, r1, r2, r3, s0, s1, s2, s3, work, _Q, 0)


@jit(inner=True, reorder=True)
def _dot(a, b):
    total = 0.0
    for j in range(a.shape[0]):
        total += float(a[j]) * float(b[j])
    return total


@jit(inner=True, reorder=True)
def _precondition(work, shift):
    """Invert the diagonal and set the first direction; return its product with the gradient."""
    g, d, p = work[_G], work[_D], work[_P]
    rho = 0.0
    for j in range(g.shape[0]):
        diagonal = d[j] + shift
        d[j] = 1 / diagonal if diagonal > 0 else 0.0
        p[j] = d[j] * g[j]
        rho += float(g[j]) * float(p[j])
    return rho


@jit(inner=True, reorder=True)
def _advance(work, alpha):
    """Take a step; return the product of the new gradient and the preconditioned one."""
    x, g, d, p, q = work[_X], work[_G], work[_D], work[_P], work[_Q]
    fresh = 0.0
    for j in range(g.shape[0]):
        x[j] += alpha * p[j]
        g[j] -= alpha * q[j]
        fresh += float(g[j]) * float(g[j]) * float(d[j])
    return fresh


@jit(inner=True)
def _pcg(A, where, w, weighted, shift, steps, rtol, work):
    """Improve the model by conjugate gradients; return the steps taken."""
    kind = A.dtype.type
    rho = _precondition(work, shift)
    g, d, p, q = work[_G], work[_D], work[_P], work[_Q]
    target = rtol * rtol * rho
    for step in range(steps):
        if not (rho > target and rho > 0):
            return step
        for j in range(q.shape[0]):
            q[j] = shift * p[j]
        _add_normal_product(A, where, w, weighted, work)
        curvature = _dot(p, q)
        if not curvature > 0:
            return step
        fresh = _advance(work, kind(rho / curvature))
        beta = kind(fresh / rho)
        for j in range(p.shape[0]):
            p[j] = d[j] * g[j] + beta * p[j]
        rho = fresh
    return steps


@jit(inner=True)
def _begin(work, x, shift):
    """Clear the work space and put the model and the gradient of its penalty there."""
    work[:] = 0
    for j in range(x.shape[0]):
        work[_X, j] = x[j]
        work[_G, j] = -shift * x[j]


@jit()
def _pcg_rows(
    data, indices, indptr, values, weighted, features, X, reg, steps, rtol, first, last, buffer,
    own, work, new, loss, square, taken,
):  # fmt: skip
    for i in range(first, last):
        begin, end = indptr[i], indptr[i + 1]
        if begin == end:
            continue
        where, w = indices[begin:end], values[begin:end]
        _begin(work, X[i], reg[i])
        A = features
        if end - begin <= buffer.shape[0]:
            _gather(features, where, w, False, buffer)
            A, where = buffer, own[: end - begin]
        loss[i] = _set_up(A, where, data[begin:end], w, weighted, work)
        square[i] = _dot(work[_G], work[_G])
        if steps > 0:
            _add_diagonal(A, where, w, weighted, work)
            taken[i] = _pcg(A, where, w, weighted, reg[i], steps, rtol, work)
        for j in range(X.shape[1]):
            new[i, j] = work[_X, j]


def _outcomes(X, count):
    """Return a place for models, and for some numbers of each."""
    return np.zeros_like(X), *(np.zeros(len(X), X.dtype) for _ in range(count))


def masked_ls_pcg(data, indices, indptr, weights, W, X, reg, steps, rtol):
    rows, out = _Rows(data, indices, indptr, weights, W), _outcomes(X, 3)
    given = *rows.sparse, *rows.weights, rows.features, X, reg, int(steps), float(rtol)

    def work(first, last):
        size = min(rows.longest(first, last), _BUFFERED) if steps > 1 else 0
        own = np.arange(size, dtype=indices.dtype)
        _pcg_rows(*given, first, last, rows.space(size), own, rows.space(5), *out)

    rows.run(work)
    return out


@jit(inner=True)
def _add_gram(W, where, w, weighted, buffer, G):
    """Add the tiles on and above the diagonal of a row's Gram matrix to G, part by part."""
    width, size = REGISTER // W.itemsize, G.shape[0]
    for start in range(0, where.shape[0], _PART):
        stop = min(where.shape[0], start + _PART)
        _gather(W, where[start:stop], w[start:stop], weighted, buffer)
        for i in range(0, size, TILE):
            j = i // width * width
            while j < size:
                vectors = 2 if j + 2 * width <= size else 1
                add_tile(buffer, stop - start, i, j, vectors, G)
                j += vectors * width


@jit(inner=True)
def _add_ridge(G, shift):
    """Add the regularization and a power of eps, times the trace, to the diagonal."""
    trace = 0.0
    for j in range(G.shape[0]):
        trace += float(G[j, j])
    ridge = G.dtype.type(np.finfo(G.dtype).eps ** _RIDGE * trace + shift)
    for j in range(G.shape[0]):
        G[j, j] += ridge


@jit(inner=True)
def _factor(G):
    """Overwrite the upper half of G by R with ``G = R'R``; a pivot without digits becomes huge.

    Four pivot rows at a time are subtracted from the rows below.
    """
    size, width, zero = G.shape[0], REGISTER // G.itemsize, G.dtype.type(0)
    for i in range(0, size, 4):
        for own in range(i, i + 4):
            r1, r2 = min(i + 1, own), min(i + 2, own)
            s0 = -G[i, own] if own > i else zero
            s1 = -G[i + 1, own] if own > i + 1 else zero
            s2 = -G[i + 2, own] if own > i + 2 else zero
            start = own // width * width
            if own > i:
                add_rows(G, i, r1, r2, i, s0, s1, s2, zero, G, own, start)
            pivot = G[own, own]
            inverse = G.dtype.type(1 / math.sqrt(pivot) if pivot > 0 else 0.0)
            for j in range(own, size):
                G[own, j] *= inverse
            if not pivot > 0:
                G[own, own] = math.inf
        for other in range(i + 4, size):
            start = other // width * width
            s0, s1, s2, s3 = G[i, other], G[i + 1, other], G[i + 2, other], G[i + 3, other]
            add_rows(G, i, i + 1, i + 2, i + 3, -s0, -s1, -s2, -s3, G, other, start)


@jit(inner=True, reorder=True)
def _add_solution(R, work, k):
    """Add the solution of ``R'R d = g`` to the model; overwrites the gradient."""
    g, x = work[_G], work[_X]
    for i in range(k):
        value = g[i] / R[i, i]
        g[i] = value
        row = R[i]
        for j in range(i + 1, k):
            g[j] -= value * row[j]
    for i in range(k - 1, -1, -1):
        total, row = g[i], R[i]
        for j in range(i + 1, k):
            total -= row[j] * g[j]
        g[i] = total / R[i, i]
    for j in range(k):
        x[j] += g[j]


@jit()
def _exact_rows(
    data, indices, indptr, values, weighted, features, X, reg, first, last, buffer, G, work, new,
    loss, square,
):  # fmt: skip
    k = X.shape[1]
    for i in range(first, last):
        begin, end = indptr[i], indptr[i + 1]
        if begin == end:
            continue
        where, w = indices[begin:end], values[begin:end]
        _begin(work, X[i], reg[i])
        loss[i] = _set_up(features, where, data[begin:end], w, weighted, work)
        square[i] = _dot(work[_G], work[_G])
        G[:] = 0
        _add_gram(features, where, w, weighted, buffer, G)
        _add_ridge(G, reg[i])
        _factor(G)
        _add_solution(G, work, k)
        for j in range(k):
            new[i, j] = work[_X, j]


def masked_ls_exact(data, indices, indptr, weights, W, X, reg):
    rows, out = _Rows(data, indices, indptr, weights, W), _outcomes(X, 2)
    given = *rows.sparse, *rows.weights, rows.features, X, reg

    def work(first, last):
        size = rows.features.shape[1]
        space = rows.space(_PART), rows.space(size), rows.space(5)
        _exact_rows(*given, first, last, *space, *out)

    rows.run(work)
    return (*out, np.ones(len(X), X.dtype))


@jit(inner=True)
def _mirror(G, k):
    """Copy the upper half of G to the lower."""
    for j in range(k):
        for other in range(j):
            G[j, other] = G[other, j]


@jit(inner=True)
def _projected_square(work):
    """Return the squared norm of the part of the gradient that the sign of the model allows."""
    x, g, total = work[_X], work[_G], 0.0
    for j in range(x.shape[0]):
        if x[j] > 0 or g[j] > 0:
            total += float(g[j]) * float(g[j])
    return total


@jit(inner=True, reorder=True)
def _descend(G, work, k, sweeps):
    """Improve the model by coordinate descent under ``x >= 0``."""
    x, g = work[_X], work[_G]
    for _ in range(sweeps):
        for j in range(k):
            step = max(x[j] + g[j] / G[j, j], 0 * x[j]) - x[j]
            x[j] += step
            for other in range(k):
                g[other] -= G[j, other] * step


@jit()
def _nonneg_rows(
    data, indices, indptr, values, weighted, features, X, reg, sweeps, first, last, buffer, G, work,
    new, loss, square,
):  # fmt: skip
    k = X.shape[1]
    for i in range(first, last):
        begin, end = indptr[i], indptr[i + 1]
        if begin == end:
            continue
        where, w = indices[begin:end], values[begin:end]
        _begin(work, X[i], reg[i])
        loss[i] = _set_up(features, where, data[begin:end], w, weighted, work)
        square[i] = _projected_square(work)
        if sweeps > 0:
            G[:] = 0
            _add_gram(features, where, w, weighted, buffer, G)
            _add_ridge(G, reg[i])
            _mirror(G, k)
            _descend(G, work, k, sweeps)
        for j in range(k):
            new[i, j] = work[_X, j]


def masked_ls_nonneg(data, indices, indptr, weights, W, X, reg, sweeps):
    rows, out = _Rows(data, indices, indptr, weights, W), _outcomes(X, 2)
    given = *rows.sparse, *rows.weights, rows.features, X, reg, int(sweeps)

    def work(first, last):
        size = rows.features.shape[1]
        space = rows.space(_PART), rows.space(size), rows.space(5)
        _nonneg_rows(*given, first, last, *space, *out)

    rows.run(work)
    return (*out, np.full(len(X), sweeps, X.dtype))


@jit()
def _gram_rows(indices, indptr, values, weighted, features, first, last, buffer, G, grams):
    k = grams.shape[1]
    for i in range(first, last):
        begin, end = indptr[i], indptr[i + 1]
        G[:] = 0
        _add_gram(features, indices[begin:end], values[begin:end], weighted, buffer, G)
        for j in range(k):
            for other in range(j, k):
                grams[i, j, other] = grams[i, other, j] = G[j, other]


def masked_grams(data, indices, indptr, weights, W):
    rows, k = _Rows(data, indices, indptr, weights, W), W.shape[1]
    grams = np.zeros((len(indptr) - 1, k, k), W.dtype)

    def work(first, last):
        space = rows.space(_PART), rows.space(rows.features.shape[1])
        given = indices, indptr, *rows.weights, rows.features
        _gram_rows(*given, first, last, *space, grams)

    rows.run(work)
    return grams


@jit()
def _residual_rows(data, indices, indptr, X, features, first, last, work, residual):
    for i in range(first, last):
        for j in range(X.shape[1]):
            work[0, j] = X[i, j]
        end = indptr[i + 1]
        for t in range(indptr[i], end, 4):
            t1, t2, t3 = min(t + 1, end - 1), min(t + 2, end - 1), min(t + 3, end - 1)
            p0, p1, p2, p3 = dots(
                features, indices[t], indices[t1], indices[t2], indices[t3], work, 0
            )
            # Behind the last entry the last one is written again.
            residual[t] = data[t] - p0
            residual[t1] = data[t1] - p1
            residual[t2] = data[t2] - p2
            residual[t3] = data[t3] - p3


def masked_residual(data, indices, indptr, X, W):
    rows, residual = _Rows(data, indices, indptr, None, W), np.empty_like(data)

    def work(first, last):
        space = 0 * rows.features[:1]
        _residual_rows(data, indices, indptr, X, rows.features, first, last, space, residual)

    rows.run(work)
    return residual


@jit()
def _product_rows(data, indices, indptr, features, first, last, work, product):
    zero = features.dtype.type(0)
    for i in range(first, last):
        for j in range(work.shape[1]):
            work[0, j] = 0
        end = indptr[i + 1]
        for t in range(indptr[i], end, 4):
            t1, t2, t3 = min(t + 1, end - 1), min(t + 2, end - 1), min(t + 3, end - 1)
            s1 = data[t1] if t + 1 < end else zero
            s2 = data[t2] if t + 2 < end else zero
            s3 = data[t3] if t + 3 < end else zero
            r0, r1, r2, r3 = indices[t], indices[t1], indices[t2], indices[t3]
            add_rows(features, r0, r1, r2, r3, data[t], s1, s2, s3, work, 0, 0)
        for j in range(product.shape[1]):
            product[i, j] = work[0, j]


def csr_dense(data, indices, indptr, W):
    rows = _Rows(data, indices, indptr, None, W)
    product = np.zeros((len(indptr) - 1, W.shape[1]), W.dtype)

    def work(first, last):
        _product_rows(data, indices, indptr, rows.features, first, last, rows.space(1), product)

    rows.run(work)
    return product
