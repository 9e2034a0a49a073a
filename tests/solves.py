"""One solve of every kind, large enough for compiled kernels and several threads."""

import numpy as np

import numopt


def _rng():
    return np.random.default_rng(0)


def _transport(given):
    cost = _rng().random((300, 300))
    return numopt.entropic_transport(given(cost), reg=1e-2)


def _lstsq(given):
    A = _rng().normal(size=(40_000, 8))
    b = A @ np.arange(8.0) + _rng().normal(size=40_000)
    return numopt.lstsq(given(A), given(b), rng=0)


def _lp(given):
    A = _rng().normal(size=(30_000, 4))
    b = A[:, 0] + _rng().normal(size=30_000)
    return numopt.lp_regression(given(A), given(b), p=1, rng=0)


def _completion(given):
    rng = _rng()
    M = rng.normal(size=(200, 3)) @ rng.normal(size=(3, 150))
    M[rng.random(M.shape) < 0.5] = np.nan
    return numopt.matrix_completion(given(M), 3, rng=0)


def _pca(given):
    rng = _rng()
    M = rng.normal(size=(120, 2)) @ rng.normal(size=(2, 100))
    M[rng.random(M.shape) < 0.1] = 50
    return numopt.robust_pca(given(M), 2, rng=0)


def _constrained(given):
    A = _rng().normal(size=(20_000, 6))
    labels = np.sign(A[:, 0] + _rng().normal(size=20_000))
    f = numopt.RowSum(given(A), given(labels), loss="logistic")
    equation = {"type": "eq", "fun": lambda x: x.sum() - 1, "jac": lambda _: np.ones(6)}
    return numopt.minimize_equality(f, np.zeros(6), constraints=equation)


def _relu(given):
    X = _rng().normal(size=(200, 3))
    return numopt.convex_relu(given(X), given(np.abs(X[:, 0])), beta=0.1, n_patterns=8, rng=0)


def _stream(given):
    A = _rng().normal(size=(20_000, 20)) * np.geomspace(8, 1, 20)
    return numopt.top_eigenvector(given(A), rng=0)


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


def as_it_is(x):
    return x


def frozen(x):
    """Return an array that may not be written to."""
    x.flags.writeable = False
    return x


def solve(name, given=as_it_is):
    """Return a result for arrays that have been passed through `given`."""
    return SOLVES[name](given)


def answer(name, given=as_it_is):
    """Return the solution of a solve as bytes."""
    x = solve(name, given).x
    return b"".join(np.asarray(part).tobytes() for part in (x if isinstance(x, tuple) else (x,)))
