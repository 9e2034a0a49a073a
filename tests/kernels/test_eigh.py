"""Eigenvalues of small symmetric matrices against LAPACK."""

import numpy as np
import pytest

from numba_kernels import _eigh, streaming
from numba_kernels._eigh import SMALL, eigenvectors


def matrices(n, rng):
    """Yield matrices of rank n or less, graded, with multiple eigenvalues, and very large."""
    A = rng.normal(size=(n, n))
    yield A @ A.T
    yield A[:, : max(1, n // 2)] @ A[:, : max(1, n // 2)].T
    graded = A * np.geomspace(1, 1e-6, n)[:, None]
    yield graded @ graded.T
    yield np.diag(rng.random(n))
    yield np.zeros((n, n))
    yield np.ones((n, n))
    yield A @ A.T * 1e100


def space(n):
    """Return places for eigenvalues, eigenvectors and work."""
    return np.empty(n), np.empty((n, n)), np.empty((2, n))


def solved(G):
    values, Z, work = space(len(G))
    return values, Z, eigenvectors(G.copy(), values, Z, work)


@pytest.mark.parametrize("n", [1, 2, 3, 8, 12, 31, SMALL, SMALL + 1])
def test_eigenvalues_and_vectors_to_rounding(n, rng):
    for G in matrices(n, rng):
        size = np.abs(G).max() or 1.0
        values, Z, converged = solved(G)
        assert converged
        assert (np.diff(values) >= 0).all()
        assert np.abs(Z @ Z.T - np.eye(n)).max() < 1e-14 * n
        assert np.abs(Z @ (G / size) @ Z.T - np.diag(values / size)).max() < 1e-14 * n
        assert np.abs(values / size - np.linalg.eigvalsh(G / size)).max() < 1e-14 * n


def interpret(monkeypatch):
    """Let Python run the functions, which then look their globals up."""
    for name, function in list(vars(_eigh).items()):
        monkeypatch.setattr(_eigh, name, getattr(function, "py_func", function))


def test_an_iteration_that_does_not_converge_is_seen(rng, monkeypatch):
    A = rng.normal(size=(12, 12))
    monkeypatch.setattr(_eigh, "_STEPS", 1)
    interpret(monkeypatch)
    assert not _eigh.eigh_rows(A @ A.T, *space(12))
    assert _eigh.eigh_rows(np.diag(rng.random(12)), *space(12))


def test_what_was_not_found_is_not_a_number(rng, monkeypatch):
    X, B = rng.normal(size=(6, 9)), rng.normal(size=(3, 9))
    indptr = np.arange(0, 55, 9)
    compressed = X.ravel(), np.tile(np.arange(9), 6), indptr

    monkeypatch.setattr(streaming, "_truncate", lambda *_: False)
    monkeypatch.setattr(streaming, "eigenvectors", lambda *_: False)
    for rows, lost in (
        streaming.merge_truncate(B, X, 4, False),
        streaming.csr_merge_truncate(*compressed, B, 4),
    ):
        assert np.isnan(rows).all()
        assert np.isnan(lost).all()
