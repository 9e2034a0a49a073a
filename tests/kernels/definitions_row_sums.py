"""What the kernels on sums over rows compute, in extended precision; see `families`."""

import numpy as np
from cases_row_sums import HUBER, LOGISTIC, POISSON, SQUARED
from scipy.sparse import csr_array


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
