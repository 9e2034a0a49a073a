"""What the kernels of sketching compute; see `families`."""

import numpy as np
from arithmetic import pair


def _hadamard(rows, columns):
    """Return entries of the Hadamard matrix, ``(-1)**popcount(row & column)``."""
    return 1 - 2 * (np.bitwise_count(rows[:, None] & columns[None, :]) % 2).astype(int)


def fwht_rows(X):
    n = X.shape[0]
    value = _hadamard(np.arange(n), np.arange(n)) @ X.astype(np.longdouble)
    return (pair(value, np.abs(X).sum(axis=0)),)


def srht_apply(A, B, scale, rows, offset):
    n = A.shape[0]
    scaled = np.hstack((A, B)).astype(np.longdouble) * scale[:, None]
    value = _hadamard(rows.astype(np.int64), np.arange(offset, offset + n)) @ scaled
    return (pair(value, np.abs(scaled).sum(axis=0), n),)


def sparse_embedding_apply(A, B, buckets, values, size):
    whole = np.hstack((A, B)).astype(np.longdouble)
    value, bound = (np.zeros((size, whole.shape[1]), dtype=np.longdouble) for _ in range(2))
    for z in range(buckets.shape[1]):
        terms = whole * values[:, z, None]
        np.add.at(value, buckets[:, z], terms)
        np.add.at(bound, buckets[:, z], np.abs(terms))
    return (pair(value, bound, whole.shape[0]),)


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
