"""Arguments for the kernels on Schur complements of plans; see `families`."""

import numpy as np
from scipy.sparse import csr_array

INDEXING = {"schur_cg"}


def sparse_plan(n, m, density, seed=5):
    """Return a random sparse plan as CSR arrays, and its marginals with a little lost mass."""
    rng = np.random.default_rng(seed)
    plan = np.where(rng.random((n, m)) < density, rng.random((n, m)), 0)
    rows, columns = np.nonzero(plan)
    indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=n))])
    a, c = plan.sum(axis=1) + 0.01, plan.sum(axis=0) + 0.01
    return (plan[rows, columns], columns.astype(np.int32), indptr.astype(np.int64)), a, c


def schur_settings():
    rng = np.random.default_rng(6)

    def arguments(n, m, density, shift, rtol=1e-4, maxiter=50):
        matrix, a, c = sparse_plan(n, m, density)
        rhs = rng.normal(size=m) * c
        return *matrix, a, c, shift, rhs - rhs.mean(), rtol, maxiter

    yield "plain", arguments(14, 11, 0.4, 0.1)
    yield "dense", arguments(6, 9, 1.0, 0.5)
    yield "one-row", arguments(1, 9, 0.7, 0.25)
    # One column's right side is not zero here: it has nothing to balance it.
    matrix, a, c = sparse_plan(9, 1, 0.7)
    yield "one-column", (*matrix, a, c, 0.25, np.array([0.5]), 1e-4, 50)
    yield "empty-rows-and-columns", arguments(30, 20, 0.05, 0.25)
    yield "no-entries", arguments(4, 5, 0.0, 0.25)
    yield "stopped-early", arguments(14, 11, 0.4, 0.1, rtol=1e-12, maxiter=3)
    yield "no-iterations", arguments(14, 11, 0.4, 0.1, maxiter=0)
    zero = list(arguments(14, 11, 0.4, 0.1))
    zero[6] = np.zeros(11)
    yield "zero-right-side", tuple(zero)
    wide = list(arguments(14, 11, 0.4, 0.1))
    wide[1] = wide[1].astype(np.int64)
    yield "wide-indices", tuple(wide)


def cases():
    """Yield names, labels and arguments."""
    for label, arguments in schur_settings():
        yield "schur_cg", label, arguments
        data, indices, indptr, a, *options = arguments
        plan = csr_array((data, indices, indptr), shape=(a.size, options[0].size)).toarray()
        yield "dense_schur_cg", label, (plan, a, *options)


def large():
    """Yield names and arguments, large enough for several threads."""
    matrix, a, c = sparse_plan(400, 330, 0.8)
    options = a, c, 0.05, np.random.default_rng(8).normal(size=330), 1e-8, 50
    yield "schur_cg", (*matrix, *options)
    yield "dense_schur_cg", (csr_array(matrix, shape=(400, 330)).toarray(), *options)
