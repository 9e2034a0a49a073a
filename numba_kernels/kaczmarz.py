"""Projections onto rows of a linear system."""

from __future__ import annotations

from ._jit import jit


@jit(reorder=True)
def _sweep(K, b, d, row_norms2, idx):
    for k in range(idx.shape[0]):
        i = idx[k]
        if row_norms2[i] > 0:
            image = d[0] * 0
            for j in range(d.shape[0]):
                image += K[i, j] * d[j]
            weight = (b[i] - image) / row_norms2[i]
            for j in range(d.shape[0]):
                d[j] += weight * K[i, j]


def kaczmarz_sweep(K, b, d, row_norms2, idx):
    out = d.copy()
    _sweep(K, b, out, row_norms2, idx)
    return out
