"""Matrix completion: least squares in every row at once, and products with sparse matrices."""

from __future__ import annotations

import math

import numpy as np
from numba import prange

from ._jit import jit

_RIDGE = 0.75
# Entries of a row that are copied next to one another; longer rows are read where they are.
_BUFFERED = 4096
_CHUNKS = 64


@jit()
def _chunk(indptr, part):
    """Return the rows of one of about equal shares of the entries."""
    m, total = indptr.shape[0] - 1, indptr[-1] + indptr.shape[0]
    return _boundary(indptr, part * total // _CHUNKS, m), _boundary(
        indptr, (part + 1) * total // _CHUNKS, m
    )


@jit()
def _boundary(indptr, target, m):
    # The first row that, with one more entry for each row before it, begins at the target.
    low, high = 0, m
    while low < high:
        middle = (low + high) // 2
        if indptr[middle] + middle < target:
            low = middle + 1
        else:
            high = middle
    return low


@jit(reorder=True)
def _dot(a, b):
    total = a.dtype.type(0)
    for j in range(a.shape[0]):
        total += a[j] * b[j]
    return total


@jit(reorder=True)
def _set_up(W, where, b, w, x, A, weighted, g, squares):
    """Gather a row's features into A; return its loss, add up gradient and squares."""
    n, k = where.shape[0], W.shape[1]
    loss = 0.0
    for t in range(n):
        features = W[where[t]]
        total = x.dtype.type(0)
        for j in range(k):
            total += features[j] * x[j]
        residual = b[t] - total
        scaled = w[t] * residual if weighted else residual
        loss += float(scaled) * float(residual)
        if weighted:
            for j in range(k):
                g[j] += scaled * features[j]
                squares[j] += w[t] * features[j] * features[j]
        else:
            for j in range(k):
                g[j] += scaled * features[j]
                squares[j] += features[j] * features[j]
        if A.shape[0] > 0:
            for j in range(k):
                A[t, j] = features[j]
    return loss


@jit(reorder=True)
def _add_normal_product(A, where, w, weighted, p, q):
    """Add ``A' diag(w) A p`` to q, four entries at a time."""
    n, k = where.shape[0], A.shape[1]
    t = 0
    while t + 4 <= n:
        a0, a1, a2, a3 = A[where[t]], A[where[t + 1]], A[where[t + 2]], A[where[t + 3]]
        s0 = s1 = s2 = s3 = p.dtype.type(0)
        for j in range(k):
            s0 += a0[j] * p[j]
            s1 += a1[j] * p[j]
            s2 += a2[j] * p[j]
            s3 += a3[j] * p[j]
        if weighted:
            s0 *= w[t]
            s1 *= w[t + 1]
            s2 *= w[t + 2]
            s3 *= w[t + 3]
        for j in range(k):
            q[j] += s0 * a0[j] + s1 * a1[j] + s2 * a2[j] + s3 * a3[j]
        t += 4
    while t < n:
        a0 = A[where[t]]
        s0 = _dot(a0, p)
        if weighted:
            s0 *= w[t]
        for j in range(k):
            q[j] += s0 * a0[j]
        t += 1


@jit(reorder=True)
def _pcg(A, where, w, weighted, g, squares, shift, steps, rtol, x, p, q):
    """Improve x by conjugate gradients; overwrites g and squares; return the steps taken."""
    k = x.shape[0]
    rho = 0.0
    for j in range(k):
        diagonal = squares[j] + shift
        squares[j] = 1 / diagonal if diagonal > 0 else 0.0
        p[j] = squares[j] * g[j]
        rho += float(g[j]) * float(p[j])
    target = rtol * rtol * rho
    for step in range(steps):
        if not (rho > target and rho > 0):
            return step
        for j in range(k):
            q[j] = shift * p[j]
        _add_normal_product(A, where, w, weighted, p, q)
        curvature = float(_dot(p, q))
        if not curvature > 0:
            return step
        alpha = x.dtype.type(rho / curvature)
        fresh = 0.0
        for j in range(k):
            x[j] += alpha * p[j]
            g[j] -= alpha * q[j]
            fresh += float(g[j]) * float(g[j]) * float(squares[j])
        beta = x.dtype.type(fresh / rho)
        for j in range(k):
            p[j] = squares[j] * g[j] + beta * p[j]
        rho = fresh
    return steps


@jit(parallel=True)
def masked_ls_pcg(data, indices, indptr, weights, W, X, reg, steps, rtol):
    m, k = X.shape
    new, loss, square = np.zeros_like(X), np.zeros(m, X.dtype), np.zeros(m, X.dtype)
    taken = np.zeros(m, X.dtype)
    weighted = weights is not None
    values = data if weights is None else weights
    for part in prange(_CHUNKS):
        first, last = _chunk(indptr, part)
        longest = 0
        for i in range(first, last):
            longest = max(longest, indptr[i + 1] - indptr[i])
        size = min(longest, _BUFFERED)
        buffer, own = np.empty((size, k), X.dtype), np.arange(size).astype(indices.dtype)
        work = np.empty((4, k), X.dtype)
        g, squares, p, q = work[0], work[1], work[2], work[3]
        for i in range(first, last):
            begin, end = indptr[i], indptr[i + 1]
            if begin == end:
                continue
            where, w, x = indices[begin:end], values[begin:end], new[i]
            fits = end - begin <= size
            x[:] = X[i]
            g[:] = -reg[i] * x
            squares[:] = 0
            copied = buffer if fits and steps > 0 else buffer[:0]
            loss[i] = _set_up(W, where, data[begin:end], w, x, copied, weighted, g, squares)
            square[i] = _dot(g, g)
            if steps == 0:
                continue
            if fits:
                taken[i] = _pcg(
                    buffer,
                    own[: end - begin],
                    w,
                    weighted,
                    g,
                    squares,
                    reg[i],
                    steps,
                    rtol,
                    x,
                    p,
                    q,
                )
            else:
                taken[i] = _pcg(W, where, w, weighted, g, squares, reg[i], steps, rtol, x, p, q)
    return new, loss, square, taken


@jit(reorder=True)
def _add_gram(A, where, w, weighted, G):
    """Add the upper half of ``A' diag(w) A`` to G, four entries at a time."""
    n, k = where.shape[0], A.shape[1]
    one = A.dtype.type(1)
    t = 0
    while t + 4 <= n:
        a0, a1, a2, a3 = A[where[t]], A[where[t + 1]], A[where[t + 2]], A[where[t + 3]]
        w0 = w[t] if weighted else one
        w1 = w[t + 1] if weighted else one
        w2 = w[t + 2] if weighted else one
        w3 = w[t + 3] if weighted else one
        for i in range(k):
            row = G[i]
            s0, s1, s2, s3 = w0 * a0[i], w1 * a1[i], w2 * a2[i], w3 * a3[i]
            for j in range(i, k):
                row[j] += s0 * a0[j] + s1 * a1[j] + s2 * a2[j] + s3 * a3[j]
        t += 4
    while t < n:
        a0 = A[where[t]]
        w0 = w[t] if weighted else one
        for i in range(k):
            row = G[i]
            s0 = w0 * a0[i]
            for j in range(i, k):
                row[j] += s0 * a0[j]
        t += 1


@jit()
def _add_ridge(G, shift):
    """Add the regularization and a power of eps, times the trace, to the diagonal."""
    trace = 0.0
    for j in range(G.shape[0]):
        trace += float(G[j, j])
    ridge = G.dtype.type(np.finfo(G.dtype).eps ** _RIDGE * trace + shift)
    for j in range(G.shape[0]):
        G[j, j] += ridge


@jit(reorder=True)
def _factor(G):
    """Overwrite the upper half of G by R with ``G = R'R``; a pivot without digits becomes huge."""
    k = G.shape[0]
    for i in range(k):
        pivot = G[i, i]
        root = math.sqrt(pivot) if pivot > 0 else math.inf
        inverse = G.dtype.type(1 / root)
        row = G[i]
        row[i] = root
        for j in range(i + 1, k):
            row[j] *= inverse
        for other in range(i + 1, k):
            scale, target = row[other], G[other]
            for j in range(other, k):
                target[j] -= scale * row[j]


@jit(reorder=True)
def _solve_factored(R, g):
    """Overwrite g by the solution of ``R'R x = g``."""
    k = R.shape[0]
    for i in range(k):
        g[i] /= R[i, i]
        for j in range(i + 1, k):
            g[j] -= g[i] * R[i, j]
    for i in range(k - 1, -1, -1):
        total = g[i]
        for j in range(i + 1, k):
            total -= R[i, j] * g[j]
        g[i] = total / R[i, i]


@jit(parallel=True)
def masked_ls_exact(data, indices, indptr, weights, W, X, reg):
    m, k = X.shape
    new, loss, square = np.zeros_like(X), np.zeros(m, X.dtype), np.zeros(m, X.dtype)
    weighted = weights is not None
    values = data if weights is None else weights
    for part in prange(_CHUNKS):
        first, last = _chunk(indptr, part)
        buffer, own = np.empty((_BUFFERED, k), X.dtype), np.arange(_BUFFERED).astype(indices.dtype)
        work, G = np.empty((2, k), X.dtype), np.empty((k, k), X.dtype)
        g, squares = work[0], work[1]
        for i in range(first, last):
            begin, end = indptr[i], indptr[i + 1]
            if begin == end:
                continue
            where, w, x = indices[begin:end], values[begin:end], new[i]
            fits = end - begin <= _BUFFERED
            x[:] = X[i]
            g[:] = -reg[i] * x
            G[:] = 0
            copied = buffer if fits else buffer[:0]
            loss[i] = _set_up(W, where, data[begin:end], w, x, copied, weighted, g, squares)
            square[i] = _dot(g, g)
            if fits:
                _add_gram(buffer, own[: end - begin], w, weighted, G)
            else:
                _add_gram(W, where, w, weighted, G)
            _add_ridge(G, reg[i])
            _factor(G)
            _solve_factored(G, g)
            for j in range(k):
                x[j] += g[j]
    taken = np.ones(m, X.dtype)
    return new, loss, square, taken


@jit()
def _mirror(G):
    """Copy the upper half of G to the lower."""
    for j in range(G.shape[0]):
        for other in range(j):
            G[j, other] = G[other, j]


@jit(reorder=True)
def _descend(G, g, x, sweeps):
    """Improve x by coordinate descent under ``x >= 0``; g is the descent direction at x."""
    for _ in range(sweeps):
        for j in range(x.shape[0]):
            step = max(x[j] + g[j] / G[j, j], 0 * x[j]) - x[j]
            x[j] += step
            for other in range(x.shape[0]):
                g[other] -= G[j, other] * step


@jit(parallel=True)
def masked_ls_nonneg(data, indices, indptr, weights, W, X, reg, sweeps):
    m, k = X.shape
    new, loss, square = np.zeros_like(X), np.zeros(m, X.dtype), np.zeros(m, X.dtype)
    weighted = weights is not None
    values = data if weights is None else weights
    for part in prange(_CHUNKS):
        first, last = _chunk(indptr, part)
        nowhere = np.empty((0, k), X.dtype)
        work, G = np.empty((2, k), X.dtype), np.empty((k, k), X.dtype)
        g, squares = work[0], work[1]
        for i in range(first, last):
            begin, end = indptr[i], indptr[i + 1]
            if begin == end:
                continue
            where, w, x = indices[begin:end], values[begin:end], new[i]
            x[:] = X[i]
            g[:] = -reg[i] * x
            G[:] = 0
            loss[i] = _set_up(W, where, data[begin:end], w, x, nowhere, weighted, g, squares)
            for j in range(k):
                if x[j] > 0 or g[j] > 0:
                    square[i] += g[j] * g[j]
            _add_gram(W, where, w, weighted, G)
            _add_ridge(G, reg[i])
            _mirror(G)
            _descend(G, g, x, sweeps)
    taken = np.full(m, sweeps, X.dtype)
    return new, loss, square, taken


@jit(parallel=True)
def masked_grams(data, indices, indptr, weights, W):
    m, k = indptr.shape[0] - 1, W.shape[1]
    grams = np.zeros((m, k, k), W.dtype)
    weighted = weights is not None
    values = data if weights is None else weights
    for part in prange(_CHUNKS):
        first, last = _chunk(indptr, part)
        for i in range(first, last):
            begin, end = indptr[i], indptr[i + 1]
            G = grams[i]
            _add_gram(W, indices[begin:end], values[begin:end], weighted, G)
            _mirror(G)
    return grams


@jit(parallel=True)
def masked_residual(data, indices, indptr, X, W):
    residual = np.empty_like(data)
    for part in prange(_CHUNKS):
        first, last = _chunk(indptr, part)
        for i in range(first, last):
            x = X[i]
            for t in range(indptr[i], indptr[i + 1]):
                residual[t] = data[t] - _dot(W[indices[t]], x)
    return residual


@jit(reorder=True)
def _add_rows(values, where, W, out):
    n, k = where.shape[0], W.shape[1]
    t = 0
    while t + 4 <= n:
        a0, a1, a2, a3 = W[where[t]], W[where[t + 1]], W[where[t + 2]], W[where[t + 3]]
        s0, s1, s2, s3 = values[t], values[t + 1], values[t + 2], values[t + 3]
        for j in range(k):
            out[j] += s0 * a0[j] + s1 * a1[j] + s2 * a2[j] + s3 * a3[j]
        t += 4
    while t < n:
        a0, s0 = W[where[t]], values[t]
        for j in range(k):
            out[j] += s0 * a0[j]
        t += 1


@jit(parallel=True)
def csr_dense(data, indices, indptr, W):
    product = np.zeros((indptr.shape[0] - 1, W.shape[1]), W.dtype)
    for part in prange(_CHUNKS):
        first, last = _chunk(indptr, part)
        for i in range(first, last):
            begin, end = indptr[i], indptr[i + 1]
            _add_rows(data[begin:end], indices[begin:end], W, product[i])
    return product
