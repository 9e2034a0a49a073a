"""What the kernels of sketching and of least squares compute; see `definitions`."""

from fractions import Fraction

import numpy as np


def _pair(value, bound, terms=1):
    """Return a value with its scale, for sums of some number of terms.

    Rounding errors of a plain sum add up like a random walk; up to 64 terms that is no issue.
    """
    growth = max(1.0, terms**0.5 / 8)
    return value, float(growth * np.max(np.abs(bound), initial=0.0))


def _hadamard(rows, columns):
    """Return entries of the Hadamard matrix, ``(-1)**popcount(row & column)``."""
    return 1 - 2 * (np.bitwise_count(rows[:, None] & columns[None, :]) % 2).astype(int)


def fwht_rows(X):
    n = X.shape[0]
    value = _hadamard(np.arange(n), np.arange(n)) @ X.astype(np.longdouble)
    return (_pair(value, np.abs(X).sum(axis=0)),)


def srht_apply(A, B, scale, rows, offset):
    n = A.shape[0]
    scaled = np.hstack((A, B)).astype(np.longdouble) * scale[:, None]
    value = _hadamard(rows.astype(np.int64), np.arange(offset, offset + n)) @ scaled
    return (_pair(value, np.abs(scaled).sum(axis=0), n),)


def sparse_embedding_apply(A, B, buckets, values, size):
    whole = np.hstack((A, B)).astype(np.longdouble)
    value, bound = (np.zeros((size, whole.shape[1]), dtype=np.longdouble) for _ in range(2))
    for z in range(buckets.shape[1]):
        terms = whole * values[:, z, None]
        np.add.at(value, buckets[:, z], terms)
        np.add.at(bound, buckets[:, z], np.abs(terms))
    return (_pair(value, bound, whole.shape[0]),)


def sparse_embedding_apply_csr(data, indices, indptr, buckets, values, size, d):
    rows = np.repeat(np.arange(buckets.shape[0]), np.diff(indptr))
    value = np.zeros((size, d), dtype=np.longdouble)
    total = 0.0
    for z in range(buckets.shape[1]):
        terms = data.astype(np.longdouble) * values[rows, z]
        np.add.at(value, (buckets[rows, z], indices), terms)
        total += float(np.abs(terms).sum())
    # The reference takes differences of a running sum, which err relative to the sum of everything.
    return ((value, total),)


def gram(A, weights, factor):
    image = A.astype(np.longdouble)
    size = np.abs(image)
    if factor is not None:
        image, size = image @ factor, size @ np.abs(factor)
    weights = np.ones(A.shape[0]) if weights is None else weights
    value, bound = (X.T @ (X * weights[:, None]) for X in (image, size))
    return (_pair(value, bound, A.shape[0]),)


def _residual(A, b, x, weights):
    """Return residual and weights, as columns, of the arithmetic of the arguments."""
    b = np.zeros((A.shape[0], x.shape[1]), dtype=A.dtype) if b is None else b
    weights = np.ones(A.shape[0], dtype=A.dtype) if weights is None else weights
    return b - A @ x, np.abs(b) + np.abs(A) @ np.abs(x), weights[:, None]


def residual_gradient(A, b, x, weights):
    A = A.astype(np.longdouble)
    residual, size, weights = _residual(A, b, x, weights)
    gradient, squares = A.T @ (weights * residual), (weights * residual**2).sum(axis=0)
    bounds = np.abs(A).T @ (weights * size), (weights * size**2).sum(axis=0)
    return _pair(gradient, bounds[0], A.shape[0]), _pair(squares, bounds[1], A.shape[0])


def residual_gradient_extended(A, b, x, weights):
    """Exactly, and with a scale of the size of the results, not of the terms that cancel."""
    eps = float(np.finfo(A.dtype).eps)
    exact = [None if X is None else _fractions(X) for X in (A, b, x, weights)]
    residual, size, weights = _residual(*exact)
    A = exact[0]
    gradient, squares = A.T @ (weights * residual), (weights * residual**2).sum(axis=0)
    bounds = np.abs(A).T @ (weights * size), (weights * size**2).sum(axis=0)
    pairs = []
    for value, bound in zip((gradient, squares), bounds, strict=True):
        rounded = value.astype(float)
        # One rounding of the result, and errors of twice the precision in what is summed.
        pairs.append((rounded, float(np.abs(rounded).max() / 8 + eps * np.max(bound))))
    return tuple(pairs)


def _fractions(X):
    values = [Fraction(float(value)) for value in X.ravel()]
    return np.array([*values, None], dtype=object)[:-1].reshape(X.shape)
