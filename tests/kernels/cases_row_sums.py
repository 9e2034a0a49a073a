"""Arguments for the kernels on sums over rows; see `families`."""

import numpy as np
from scipy.sparse import random_array

SQUARED, LOGISTIC, POISSON, HUBER = range(4)


def rows(n, d, loss, seed=30, spread=1.0, weighted=False):
    rng = np.random.default_rng(seed)
    A, x = rng.normal(size=(n, d)), spread * rng.normal(size=d) / d**0.5
    b = {
        LOGISTIC: lambda: rng.choice([-1.0, 1.0], size=n),
        POISSON: lambda: rng.poisson(2.0, size=n).astype(float),
    }.get(loss, lambda: rng.normal(size=n))()
    return A, b, rng.random(n) * (rng.random(n) < 0.9) if weighted else None, x, loss, 0.75


def sparse_rows(n, d, density):
    rng = np.random.default_rng(31)
    A = random_array((n, d), density=density, format="csr", rng=rng)
    A.sort_indices()
    indices, indptr = A.indices.astype(np.int64), A.indptr.astype(np.int64)
    return A.data, indices, indptr, rng.normal(size=n), d


def cases():
    """Yield names, labels and arguments."""
    for name in ("loss_gradient", "loss_hessian"):
        for loss in range(4):
            yield name, f"plain-{loss}", rows(43, 5, loss)
            yield name, f"weights-{loss}", rows(130, 7, loss, weighted=True)
            yield name, f"one-row-{loss}", rows(1, 6, loss)
            yield name, f"one-column-{loss}", rows(70, 1, loss)
            yield name, f"several-blocks-{loss}", rows(4500, 60, loss, weighted=True)
            A, b, _, *rest = rows(9, 3, loss)
            yield name, f"zero-weights-{loss}", (A, b, np.zeros(9), *rest)
        # Margins far beyond where the exponential overflows.
        yield name, "far-apart", rows(40, 5, LOGISTIC, spread=800.0)
    for label, given in (
        ("plain", (40, 6, 0.3)),
        ("dense", (12, 7, 1.0)),
        ("empty-rows", (60, 9, 0.02)),
        ("nothing", (10, 3, 0.0)),
        ("one-column", (20, 1, 0.5)),
        ("several-blocks", (700, 4, 0.3)),
    ):
        yield "csr_weighted_gram", label, sparse_rows(*given)


def large():
    """Yield names and arguments, large enough for four threads and several blocks."""
    for loss in range(4):
        yield "loss_gradient", rows(140_000, 5, loss, weighted=True)
    yield "loss_hessian", rows(40_000, 20, LOGISTIC, weighted=True)
    yield "csr_weighted_gram", sparse_rows(20_000, 12, 0.3)
