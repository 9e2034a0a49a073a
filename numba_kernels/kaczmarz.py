"""Projections onto rows of a linear system."""

from __future__ import annotations

import numpy as np

from ._jit import jit


@jit(reorder=True)
def _dot(row, d):
    total = 0.0
    for j in range(row.shape[0]):
        total += row[j] * d[j]
    return total


@jit()
def _sweep(K, b, d, row_norms2, idx):
    out = d.copy()
    for k in range(idx.shape[0]):
        i = idx[k]
        if row_norms2[i] > 0:
            row = K[i]
            weight = (b[i] - _dot(row, out)) / row_norms2[i]
            for j in range(row.shape[0]):
                out[j] += weight * row[j]
    return out


def kaczmarz_sweep(K, b, d, row_norms2, idx):
    return _sweep(np.ascontiguousarray(K), b, d, row_norms2, idx)
