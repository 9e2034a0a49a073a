"""Arguments of the kernels of robust recovery; see `families`."""

import numpy as np

REFERENCES = {"order_statistics"}


def padded(rng, n, d, share):
    """Return a layout of some entries of an n by d matrix, with rows of any length."""
    mask = rng.random((n, d)) < share
    counts = mask.sum(axis=1)
    width = max(1, counts.max())
    order = np.argsort(~mask, axis=1, kind="stable")[:, :width]
    there = np.arange(width)[None, :] < counts[:, None]
    return rng.normal(size=(n, width)) * there, order * there, counts


def full(rng, n, d):
    return rng.normal(size=(n, d)), np.zeros((0, 0), dtype=np.int64), np.full(n, d)


def layouts(rng):
    yield "full", *full(rng, 9, 13), 13, 3
    yield "one-row", *full(rng, 1, 7), 7, 2
    yield "one-column", *full(rng, 6, 1), 1, 1
    yield "some", *padded(rng, 12, 15, 0.5), 15, 2
    yield "few", *padded(rng, 20, 6, 0.15), 6, 1
    values, columns, counts = padded(rng, 8, 10, 0.6)
    values[1], columns[1], counts[1] = 0, 0, 0
    yield "empty-row", values, columns, counts, 10, 3


def weightings(rng, values):
    """Yield no weights, and some with a zero among them."""
    yield "", np.zeros((0, 0))
    weights = rng.random(values.shape)
    weights[0, 0] = 0
    yield "-weighted", weights


def _sensing(rng, m, D):
    return rng.normal(size=(m, D)), rng.normal(size=D), rng.normal(size=m), rng.random(m)


def cases():
    """Yield names, labels and arguments."""
    rng = np.random.default_rng(11)
    for label, m, D in (("plain", 37, 15), ("one-row", 1, 6), ("few", 3, 1), ("wide", 18, 120)):
        yield "l1_sense_fused", label, _sensing(rng, m, D)
    A, z, y, weights = _sensing(rng, 21, 4)
    A, z = np.round(A), np.round(z)
    y = A @ z + (np.arange(21) % 3 - 1)  # a third of the residuals is exactly zero
    yield "l1_sense_fused", "zero-residuals", (A, z, y, weights * (weights > 0.3))
    values = rng.normal(size=101)
    yield "order_statistics", "plain", (values, 10, 60)
    yield "order_statistics", "ends", (values, 100, 0)
    yield "order_statistics", "ties", (np.round(values), 50, 51)
    yield "order_statistics", "one", (values[:1], 0, 0)
    for label, values, columns, counts, d, k in layouts(rng):
        L, R = rng.normal(size=(values.shape[0], k)), rng.normal(size=(d, k))
        for q in (0.0, 0.3, 0.99):
            yield "row_quantile_abs", f"{label}-{q}", (values, counts, q)
        yield "entry_residuals", label, (values, columns, counts, L, R)
        yield "entry_products", label, (values, columns, R)
        for name, weights in weightings(rng, values):
            layout = values, columns, counts, weights
            yield "entry_sign_step", label + name, (*layout, L, R, 0.4)
            yield "entry_reweighted_step", label + name, (*layout, L, R, 0.4, 1.5, 1e-3)
    values, columns, counts = full(rng, 5, 40)
    yield "row_quantile_abs", "ties", (np.round(values), counts, 0.5)
    yield "row_quantile_abs", "zeros", (0 * values, counts, 0.5)
    L, R = rng.normal(size=(5, 2)), rng.normal(size=(40, 2))
    L[2], values[2, 4:] = 0, 0  # a quantile of zero
    layout = values, columns, counts, np.zeros((0, 0))
    yield "entry_reweighted_step", "floor", (*layout, L, R, 0.4, 1.5, 0.25)


def large():
    """Return, for every kernel, arguments large enough for several threads."""
    rng = np.random.default_rng(12)
    yield "l1_sense_fused", _sensing(rng, 2000, 60)
    for layout in (full(rng, 200, 150), padded(rng, 200, 150, 0.3)):
        values, columns, counts = layout
        L, R = rng.normal(size=(200, 4)), rng.normal(size=(150, 4))
        yield "row_quantile_abs", (values, counts, 0.4)
        yield "entry_residuals", (values, columns, counts, L, R)
        yield "entry_products", (values, columns, R)
        for _, weights in weightings(rng, values):
            layout = values, columns, counts, weights
            yield "entry_sign_step", (*layout, L, R, 0.4)
            yield "entry_reweighted_step", (*layout, L, R, 0.4, 1.5, 1e-3)
