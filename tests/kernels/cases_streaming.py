"""Arguments of the kernels of streams; see `families`."""

import numpy as np
from scipy.sparse import csr_array, random_array

SIZES = (("plain", 37, 12), ("one-row", 1, 5), ("one-column", 30, 1), ("panels", 64, 19))


def decaying(rng, n, d):
    """Return rows whose Gram matrix has separate eigenvalues, in any few of them."""
    return rng.normal(size=(n, d)) * 1.6 ** -np.arange(d)


def unit(rng, *shape):
    v = rng.normal(size=shape)
    return v / np.linalg.norm(v, axis=0)


def compressed(rng, n, d, density):
    matrix = random_array((n, d), density=density, rng=rng, format="csr")
    return matrix.data, matrix.indices.astype(np.int64), matrix.indptr.astype(np.int64)


def cases():
    """Yield names, labels and arguments."""
    rng = np.random.default_rng(12)
    for label, n, d in SIZES:
        for k in (1, 3, 4, 7):
            yield "gram_product", f"{label}-{k}", (rng.normal(size=(n, d)), unit(rng, d, k))
        X = rng.normal(size=(n, d))
        yield "adaoja_pass", label, (X, unit(rng, d), np.array([0.5]))
        rates = 2.0 ** -np.arange(5)
        yield "oja_pass", label, (X, unit(rng, d, 5), rates / n, rng.random(5))
    zero = np.zeros((3, 4))
    yield "adaoja_pass", "zero-rows", (zero, unit(rng, 4), np.zeros(1))
    yield "oja_pass", "zero-rows", (zero, unit(rng, 4, 2), np.ones(2), np.zeros(2))
    for shrink in (False, True):
        word = "shrink" if shrink else "cut"
        B = np.linalg.qr(rng.normal(size=(9, 3)))[0].T * np.array([[3.0], [2.0], [1.0]])
        for label, n, panel in (("panels", 12, 4), ("ragged", 10, 4), ("single", 5, 1)):
            X = decaying(rng, n, 9)
            yield "merge_truncate", f"{label}-{word}", (B, X, panel, shrink)
        yield "merge_truncate", f"empty-{word}", (np.zeros((3, 9)), X[:4], 4, shrink)
    for label, n, d, density in (("plain", 20, 9, 0.3), ("empty-rows", 30, 40, 0.02)):
        for k in (1, 4):
            parts = compressed(rng, n, d, density)
            yield "csr_gram_product", f"{label}-{k}", (*parts, rng.normal(size=(d, k)))
        yield "csr_adaoja_pass", label, (*parts, unit(rng, d), np.array([0.1]))
    B = np.linalg.qr(rng.normal(size=(9, 3)))[0].T * np.array([[3.0], [2.0], [1.0]])
    for label, n, panel in (("panels", 12, 4), ("ragged", 10, 4), ("single", 5, 1)):
        parts = csr_array(decaying(rng, n, 9))
        parts = parts.data, parts.indices.astype(np.int64), parts.indptr.astype(np.int64)
        yield "csr_merge_truncate", label, (*parts, B, panel)


def large():
    """Yield names and arguments that are worth several threads."""
    rng = np.random.default_rng(13)
    X = rng.normal(size=(600, 70))
    yield "gram_product", (X, unit(rng, 70, 5))
    yield "adaoja_pass", (X, unit(rng, 70), np.ones(1))
    yield "oja_pass", (X, unit(rng, 70, 3), np.full(3, 1e-3), np.zeros(3))
    yield "merge_truncate", (np.zeros((4, 70)), X, 6, False)
    sparse = compressed(rng, 500, 60, 0.1)
    yield "csr_merge_truncate", (*sparse, np.zeros((4, 60)), 6)
    yield "csr_adaoja_pass", (*sparse, unit(rng, 60), np.ones(1))
    yield "csr_gram_product", (*compressed(rng, 500, 60, 0.1), rng.normal(size=(60, 4)))
