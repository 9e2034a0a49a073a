"""One solve of every kind, large enough for compiled kernels and several threads."""

import numpy as np

import numopt


def _rng():
    return np.random.default_rng(0)


def _transport():
    cost = _rng().random((300, 300))
    return numopt.entropic_transport(cost, reg=1e-2), (cost,)


def _lstsq():
    A = _rng().normal(size=(40_000, 8))
    return numopt.lstsq(A, A @ np.arange(8.0) + _rng().normal(size=40_000), rng=0), (A,)


def _lp():
    A = _rng().normal(size=(30_000, 4))
    return numopt.lp_regression(A, A[:, 0] + _rng().normal(size=30_000), p=1, rng=0), (A,)


def _completion():
    rng = _rng()
    M = rng.normal(size=(200, 3)) @ rng.normal(size=(3, 150))
    M[rng.random(M.shape) < 0.5] = np.nan
    return numopt.matrix_completion(M, 3, rng=0), (M,)


def _pca():
    rng = _rng()
    M = rng.normal(size=(120, 2)) @ rng.normal(size=(2, 100))
    M[rng.random(M.shape) < 0.1] = 50
    return numopt.robust_pca(M, 2, rng=0), (M,)


def _constrained():
    A = _rng().normal(size=(20_000, 6))
    f = numopt.RowSum(A, np.sign(A[:, 0] + _rng().normal(size=20_000)), loss="logistic")
    equation = {"type": "eq", "fun": lambda x: x.sum() - 1, "jac": lambda _: np.ones(6)}
    return numopt.minimize_equality(f, np.zeros(6), constraints=equation), (A,)


def _relu():
    X = _rng().normal(size=(200, 3))
    return numopt.convex_relu(X, np.abs(X[:, 0]), beta=0.1, n_patterns=8, rng=0), (X,)


def _stream():
    A = _rng().normal(size=(20_000, 20)) * np.linspace(3, 1, 20)
    return numopt.top_eigenvector(A, rng=0), (A,)


SOLVES = {
    "transport": _transport,
    "lstsq": _lstsq,
    "lp": _lp,
    "completion": _completion,
    "pca": _pca,
    "constrained": _constrained,
    "relu": _relu,
    "stream": _stream,
}


def answer(name):
    """Return the solution of a solve as bytes."""
    x = SOLVES[name]()[0].x
    return b"".join(np.asarray(part).tobytes() for part in (x if isinstance(x, tuple) else (x,)))
