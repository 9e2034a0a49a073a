"""Rows of a transport cost: stored in an array, or computed from two point clouds."""

from __future__ import annotations

import numpy as np

from ._jit import by_layout, jit


@jit()
def _array_shape(cost):
    return cost.shape


@jit()
def _cloud_shape(cost):
    return cost[0].shape[0], cost[1].shape[0]


@jit()
def _array_layout(cost):
    return cost


@jit()
def _cloud_layout(cost):
    # Coordinates of Y become rows, so that a row of costs is computed by streaming them.
    X, Y, metric = cost
    return X, Y.T.copy(), metric


@jit()
def _array_row(cost, i, out):
    for j in range(out.shape[0]):
        out[j] = cost[i, j]


@jit()
def _cloud_row(cost, i, out):
    X, Y, metric = cost
    out[:] = 0
    for k in range(X.shape[1]):
        x, y = X[i, k], Y[k]
        if metric == 2:
            for j in range(out.shape[0]):
                out[j] += abs(x - y[j])
        else:
            for j in range(out.shape[0]):
                out[j] += (x - y[j]) * (x - y[j])
    if metric == 1:
        for j in range(out.shape[0]):
            out[j] = np.sqrt(out[j])


@jit()
def _array_exponents(cost, i, v, inverse_reg, out):
    for j in range(out.shape[0]):
        out[j] = v[j] - cost[i, j] * inverse_reg


@jit()
def _cloud_exponents(cost, i, v, inverse_reg, out):
    _cloud_row(cost, i, out)
    for j in range(out.shape[0]):
        out[j] = v[j] - out[j] * inverse_reg


# `cost_layout` prepares a cost once per pass; the other three then take what it returned.
cost_shape = by_layout(_array_shape, _cloud_shape)
cost_layout = by_layout(_array_layout, _cloud_layout)
cost_row = by_layout(_array_row, _cloud_row)
exponents = by_layout(_array_exponents, _cloud_exponents)
