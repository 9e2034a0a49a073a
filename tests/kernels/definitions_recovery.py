"""What the kernels of robust recovery compute; see `families`."""

import math

import numpy as np
from arithmetic import extended


def l1_sense_fused(A, z, y, weights):
    A, z, y, weights = extended(A, z, y, weights)
    residual = A @ z - y
    size = np.abs(A) @ np.abs(z) + np.abs(y)
    bound = np.abs(A).T @ weights
    return (
        (residual, float(size.max())),
        (A.T @ (weights * np.sign(residual)), float(bound.max())),
    )


def order_statistics(values, first, second):
    ordered = np.sort(values)
    return (ordered[first], 0.0), (ordered[second], 0.0)


def _rows(values, columns, counts):
    """Yield the entries of each row with their columns."""
    for i in range(values.shape[0]):
        here = slice(0, counts[i])
        at = np.arange(values.shape[1]) if columns.shape[0] == 0 else columns[i]
        yield i, here, at[here]


def row_quantile_abs(values, counts, q):
    out = np.zeros(values.shape[0], dtype=values.dtype)
    for i, count in enumerate(counts):
        if count:
            at = min(math.floor(q * count), count - 1)
            out[i] = np.sort(np.abs(values[i, :count]))[at]
    return ((out, 0.0),)


def _residual(values, columns, counts, L, R):
    values, L, R = extended(values, L, R)
    residual = np.zeros_like(values)
    size = 0.0
    for i, here, at in _rows(values, columns, counts):
        residual[i, here] = R[at] @ L[i] - values[i, here]
        if at.size:
            size = max(size, (np.abs(R[at]) @ np.abs(L[i]) + np.abs(values[i, here])).max())
    return residual, float(size)


def entry_residuals(values, columns, counts, L, R):
    return (_residual(values, columns, counts, L, R),)


def entry_products(weights, columns, R):
    everywhere = np.full(weights.shape[0], weights.shape[1])
    weights, R = extended(weights, R)
    out, bound = np.zeros((weights.shape[0], R.shape[1]), dtype=np.longdouble), 0.0
    for i, here, at in _rows(weights, columns, everywhere):
        out[i] = weights[i, here] @ R[at]
        bound = max(bound, (np.abs(weights[i, here]) @ np.abs(R[at])).max())
    return ((out, float(bound)),)


def _given(weights, values):
    """Return the weights of the entries, one each where none are given."""
    return np.asarray(weights if weights.shape[0] else np.ones(values.shape), dtype=np.longdouble)


def entry_sign_step(values, columns, counts, weights, L, R, q):
    weights = _given(weights, values)
    residual, size = _residual(values, columns, counts, L, R)
    out, bound = np.zeros((values.shape[0], R.shape[1]), dtype=np.longdouble), 0.0
    for i, here, at in _rows(values, columns, counts):
        out[i] = (weights[i, here] * np.sign(residual[i, here])) @ R[at]
        bound = max(bound, (weights[i, here] @ np.abs(R[at])).max(initial=0.0))
    return (out, float(bound)), (row_quantile_abs(residual, counts, q)[0][0], size)


def entry_reweighted_step(values, columns, counts, weights, L, R, q, width, floor):
    given = _given(weights, values)
    residual, size = _residual(values, columns, counts, L, R)
    quantiles = row_quantile_abs(residual, counts, q)[0][0]
    n, k = L.shape
    grams, sums = np.zeros((n, k, k), dtype=np.longdouble), np.zeros((n, k), dtype=np.longdouble)
    gram_bound = sum_bound = 0.0
    R = np.asarray(R, dtype=np.longdouble)
    for i, here, at in _rows(values, columns, counts):
        scale = max(width * quantiles[i], floor)
        weights = np.minimum(1, (scale / np.maximum(np.abs(residual[i, here]), scale)) ** 2)
        weights = given[i, here] * weights
        grams[i] = (R[at] * weights[:, None]).T @ R[at]
        sums[i] = (weights * residual[i, here]) @ R[at]
        # Rounding of a residual moves its weight and, through the quantile, that of all others.
        share = 1 + 2 * size / scale
        magnitude = np.abs(R[at])
        if at.size:
            gram = share * (magnitude * weights[:, None]).T @ magnitude
            gram_bound = max(gram_bound, gram.max())
            total = share * (weights * (np.abs(residual[i, here]) + size)) @ magnitude
            sum_bound = max(sum_bound, total.max())
    return (grams, float(gram_bound)), (sums, float(sum_bound)), (quantiles, size)
