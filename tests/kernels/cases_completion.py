"""Arguments for the kernels of matrix completion; see `families`."""

import numpy as np

INDEXING = {
    "masked_ls_pcg",
    "masked_ls_exact",
    "masked_ls_nonneg",
    "masked_grams",
    "masked_residual",
    "csr_dense",
}


def entries(m, n, share, seed=0, skew=False):
    """Return a random sparse matrix as values, columns and where rows begin."""
    rng = np.random.default_rng(seed)
    mask = rng.random((m, n)) < share
    if skew:
        mask[1], mask[2] = True, False
    indptr = np.concatenate([[0], np.cumsum(mask.sum(axis=1))])
    columns = np.nonzero(mask)[1]
    return rng.normal(size=columns.size), columns, indptr, rng


def problem(m, n, k, share, reg, *, weighted=False, positive=False, skew=False, seed=0):
    data, columns, indptr, rng = entries(m, n, share, seed, skew)
    weights = rng.random(columns.size) + 0.5 if weighted else None
    W, X = rng.normal(size=(n, k)), rng.normal(size=(m, k))
    if positive:
        X = np.maximum(X, 0)
    return data, columns, indptr, weights, W, X, np.full(m, reg), rng


def cases():
    """Yield name, label and arguments."""
    settings = {
        "plain": problem(12, 15, 3, 0.6, 0.5),
        "weighted": problem(12, 15, 3, 0.6, 0.5, weighted=True),
        "long-and-empty-rows": problem(9, 40, 5, 0.4, 0.3, skew=True),
        "no-reg": problem(8, 40, 4, 0.8, 0.0),
        "one": problem(1, 6, 1, 1.0, 0.1),
        "wide": problem(6, 90, 19, 0.7, 1.0),
    }
    for label, (*start, X, reg, _) in settings.items():
        data, columns, indptr, _, W = start
        yield "masked_ls_pcg", label, (*start, X, reg, 3, 1e-2)
        yield "masked_ls_pcg", f"{label}-evaluation", (*start, X, reg, 0, 0.0)
        yield "masked_ls_exact", label, (*start, X, reg)
        yield "masked_ls_nonneg", label, (*start, np.maximum(X, 0), reg, W.shape[1])
        yield "masked_grams", label, start
        yield "masked_residual", label, (data, columns, indptr, X, W)
        yield "csr_dense", label, (data, columns, indptr, W)


def large():
    """Yield, for every kernel, arguments large enough for several threads."""
    *start, X, reg, _ = problem(300, 200, 7, 0.4, 0.5, skew=True)
    data, columns, indptr, _, W = start
    yield "masked_ls_pcg", (*start, X, reg, 3, 1e-2)
    yield "masked_ls_exact", (*start, X, reg)
    yield "masked_ls_nonneg", (*start, np.maximum(X, 0), reg, 3)
    yield "masked_grams", tuple(start)
    yield "masked_residual", (data, columns, indptr, X, W)
    yield "csr_dense", (data, columns, indptr, W)
