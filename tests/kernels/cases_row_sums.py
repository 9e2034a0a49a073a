"""Arguments for the kernels on sums over rows, and what they compute in extended precision."""

import numpy as np
from scipy.sparse import csr_array, random_array

SQUARED, LOGISTIC, POISSON, HUBER = range(4)


def phi(margins, b, loss, threshold):
    """Return values, slopes and curvatures of a loss, from its definition."""
    if loss == LOGISTIC:
        # The tail that is not close to one, so that nothing cancels.
        tail = 1 / (1 + np.exp(b * margins))
        return np.logaddexp(0, -b * margins), -b * tail, tail / (1 + np.exp(-b * margins))
    if loss == POISSON:
        mean = np.exp(margins)
        return mean - b * margins, mean - b, mean
    residual = margins - b
    inside = np.abs(residual) <= threshold
    if loss == SQUARED or inside.all():
        return residual**2 / 2, residual, np.ones_like(residual)
    linear = threshold * (np.abs(residual) - np.longdouble(threshold) / 2)
    return (
        np.where(inside, residual**2 / 2, linear),
        np.where(inside, residual, threshold * np.sign(residual)),
        inside.astype(residual.dtype),
    )


def _terms(A, b, weights, x, loss, threshold):
    A, b, x = (v.astype(np.longdouble) for v in (A, b, x))
    w = np.ones(len(b), dtype=np.longdouble) if weights is None else weights
    # Rounding of a margin, which moves value, slope and curvature by less than itself and the rest.
    size = np.abs(A) @ np.abs(x) + np.abs(b)
    return A, [w * part for part in phi(A @ x, b, loss, threshold)], w, 1 + size


def _scale(terms, count):
    return float(max(1.0, count**0.5 / 8) * np.max(terms, initial=0.0))


def loss_gradient(A, b, weights, x, loss, threshold):
    n = len(b)
    A, (values, slopes, curvatures), w, size = _terms(A, b, weights, x, loss, threshold)
    moved = np.abs(slopes) + size * (np.abs(curvatures) + w * 1e-3)
    value = np.abs(values).sum() + (size * np.abs(slopes)).sum() + (w * size).sum()
    return (
        (values.sum(keepdims=True), _scale(value, n)),
        (A.T @ slopes, _scale(np.abs(A).T @ (moved + w), n)),
    )


def loss_hessian(A, b, weights, x, loss, threshold):
    A, (_, _, curvatures), w, size = _terms(A, b, weights, x, loss, threshold)
    moved = curvatures * (1 + size) if loss != HUBER else w
    size = np.abs(A).T @ (moved[:, None] * np.abs(A))
    return ((A.T @ (curvatures[:, None] * A), _scale(size, 64)),)


def csr_weighted_gram(data, indices, indptr, weights, d):
    A = csr_array((data, indices, indptr), shape=(weights.size, d)).toarray().astype(np.longdouble)
    size = np.abs(A).T @ (np.abs(weights)[:, None] * np.abs(A))
    return ((A.T @ (weights[:, None] * A), _scale(size, 64)),)


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


def row_sum_cases():
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


def large_row_sums():
    """Yield names and arguments, large enough for four threads and several blocks."""
    for loss in range(4):
        yield "loss_gradient", rows(140_000, 5, loss, weighted=True)
    yield "loss_hessian", rows(40_000, 20, LOGISTIC, weighted=True)
    yield "csr_weighted_gram", sparse_rows(20_000, 12, 0.3)


SUMS_OF_THREADS = {"loss_gradient", "loss_hessian", "csr_weighted_gram"}
