"""What the kernels of least squares compute; see `families`."""

from fractions import Fraction

import numpy as np
from arithmetic import pair


def gram(A, weights, factor):
    image = A.astype(np.longdouble)
    size = np.abs(image)
    if factor is not None:
        image, size = image @ factor, size @ np.abs(factor)
    weights = np.ones(A.shape[0]) if weights is None else weights
    value, bound = (X.T @ (X * weights[:, None]) for X in (image, size))
    return (pair(value, bound, A.shape[0]),)


def _residual(A, b, x, weights):
    """Return residual and weights, as columns, of the arithmetic of the arguments."""
    b = np.zeros((A.shape[0], x.shape[1]), dtype=A.dtype) if b is None else b
    weights = np.ones(A.shape[0], dtype=A.dtype) if weights is None else weights
    return b - A @ x, np.abs(b) + np.abs(A) @ np.abs(x), weights[:, None]


def residual_gradient(A, b, x, weights):
    A = A.astype(np.longdouble)
    residual, size, weights = _residual(A, b, x, weights)
    gradient, squares = A.T @ (weights * residual), (weights * residual**2).sum(axis=0)
    bounds = np.abs(A).T @ (weights * size), (weights * size**2).sum(axis=0)
    return pair(gradient, bounds[0], A.shape[0]), pair(squares, bounds[1], A.shape[0])


def residual_gradient_extended(A, b, x, weights):
    """Exactly, and with a scale of the size of the results, not of the terms that cancel."""
    eps = float(np.finfo(A.dtype).eps)
    exact = [None if X is None else _fractions(X) for X in (A, b, x, weights)]
    residual, size, weights = _residual(*exact)
    A = exact[0]
    gradient, squares = A.T @ (weights * residual), (weights * residual**2).sum(axis=0)
    bounds = np.abs(A).T @ (weights * size), (weights * size**2).sum(axis=0)
    pairs = []
    for value, bound in zip((gradient, squares), bounds, strict=True):
        rounded = value.astype(float)
        # One rounding of the result, and errors of twice the precision in what is summed.
        pairs.append((rounded, float(np.abs(rounded).max() / 8 + eps * np.max(bound))))
    return tuple(pairs)


def _fractions(X):
    values = [Fraction(float(value)) for value in X.ravel()]
    return np.array([*values, None], dtype=object)[:-1].reshape(X.shape)
