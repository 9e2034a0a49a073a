"""Eigenvalues of symmetric matrices of a few rows, on which LAPACK is mostly overhead."""

from __future__ import annotations

import math

import numpy as np

from ._jit import jit

# Rows up to which the loops here are faster.
SMALL = 32
# Steps of the QL iteration for one eigenvalue; two are usual.
_STEPS = 60


@jit(inner=True, reorder=True)
def _reflection(v, k):
    """Turn the entries of v behind the k-th into a reflection to the next; return that and beta."""
    x, rest = v[k + 1], v[k] * 0
    for j in range(k + 2, v.shape[0]):
        rest += v[j] * v[j]
    if rest == 0:
        return x, rest
    length = math.sqrt(rest + x * x)
    image = -length if x > 0 else length
    v[k + 1] = x - image
    return image, 1 / (length * (length + abs(x)))


@jit(inner=True, reorder=True)
def _reflect_both_sides(G, k, v, beta, w):
    """Replace what is behind row and column k of G by its product with ``I - beta v v'``."""
    n, share = G.shape[0], v[k] * 0
    for i in range(k + 1, n):
        total = v[k] * 0
        for j in range(k + 1, n):
            total += G[i, j] * v[j]
        w[i] = beta * total
        share += w[i] * v[i]
    for i in range(k + 1, n):
        w[i] -= beta / 2 * share * v[i]
    for i in range(k + 1, n):
        for j in range(k + 1, n):
            G[i, j] -= v[i] * w[j] + w[i] * v[j]


@jit(inner=True)
def _reflect_rows(Z, k, v, beta, w):
    n = Z.shape[0]
    w[:] = 0
    for i in range(k + 1, n):
        for j in range(n):
            w[j] += beta * v[i] * Z[i, j]
    for i in range(k + 1, n):
        for j in range(n):
            Z[i, j] -= v[i] * w[j]


@jit(inner=True)
def _tridiagonalize(G, Z, d, e, w):
    """Overwrite G; rotate the rows of Z so that ``Z G Z'`` has diagonal d and, next to it, e."""
    n = G.shape[0]
    for k in range(n - 2):
        v = G[k]
        d[k] = v[k]
        e[k], beta = _reflection(v, k)
        if beta > 0:
            _reflect_both_sides(G, k, v, beta, w)
            _reflect_rows(Z, k, v, beta, w)
    for k in range(max(n - 2, 0), n):
        d[k] = G[k, k]
        e[k] = G[k, k + 1] if k + 1 < n else 0


@jit(inner=True)
def _next_small(d, e, start):
    """Return the first place from `start` on below which the matrix falls apart."""
    eps = np.finfo(d.dtype).eps
    m = start
    while m < d.shape[0] - 1 and abs(e[m]) > eps * (abs(d[m]) + abs(d[m + 1])):
        m += 1
    return m


@jit(inner=True)
def _ql_step(d, e, first, m, Z):
    """Take an implicit QL step on the rows from `first` to m (Bowdler, Martin, Reinsch 1968)."""
    g = (d[first + 1] - d[first]) / (2 * e[first])
    g = d[m] - d[first] + e[first] / (g + math.copysign(math.sqrt(g * g + 1), g))
    s, c, p = d[0] * 0 + 1, d[0] * 0 + 1, d[0] * 0
    for i in range(m - 1, first - 1, -1):
        f, b = s * e[i], c * e[i]
        r = math.sqrt(f * f + g * g)
        e[i + 1] = r
        if r == 0:
            d[i + 1] -= p
            e[m] = 0
            return
        s, c = f / r, g / r
        g = d[i + 1] - p
        r = (d[i] - g) * s + 2 * c * b
        p = s * r
        d[i + 1] = g + p
        g = c * r - b
        low, high = Z[i], Z[i + 1]
        for k in range(low.shape[0]):
            x, y = low[k], high[k]
            low[k] = c * x - s * y
            high[k] = s * x + c * y
    d[first] -= p
    e[first] = g
    e[m] = 0


@jit(inner=True)
def _sort(values, Z):
    """Put eigenvalues in ascending order, and the rows of Z with them."""
    n = values.shape[0]
    for i in range(n - 1):
        least = i
        for j in range(i + 1, n):
            if values[j] < values[least]:
                least = j
        if least != i:
            values[i], values[least] = values[least], values[i]
            for k in range(n):
                Z[i, k], Z[least, k] = Z[least, k], Z[i, k]


@jit(inner=True)
def eigh_rows(G, values, Z, work):
    """Write the eigenvalues of a symmetric matrix, ascending, and its eigenvectors as rows of Z.

    Returns whether the iteration has converged: what it wrote otherwise is of no use. G may be
    overwritten; the first two rows of `work` are.
    """
    n = G.shape[0]
    e, w = work[0], work[1]
    for i in range(n):
        e[i] = 0
        for j in range(n):
            Z[i, j] = 1 if i == j else 0
    _tridiagonalize(G, Z, values, e, w)
    converged = True
    for first in range(n):
        m = _next_small(values, e, first)
        for _ in range(_STEPS):
            if m == first:
                break
            _ql_step(values, e, first, m, Z)
            m = _next_small(values, e, first)
        converged = converged and m == first
    _sort(values, Z)
    return converged


@jit()
def _eigenvectors(G, values, Z, work):
    return eigh_rows(G, values, Z, work)


def eigenvectors(G, values, Z, work):
    """Do what `eigh_rows` does for a matrix of any size, from some rows on through LAPACK."""
    if len(G) <= SMALL:
        return _eigenvectors(G, values, Z, work)
    values[:], U = np.linalg.eigh(G)
    Z[:] = U.T
    return True
