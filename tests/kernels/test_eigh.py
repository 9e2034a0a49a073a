"""Eigenvalues of small symmetric matrices against LAPACK."""

import numpy as np
import pytest

from numba_kernels import _eigh, streaming
from numba_kernels._eigh import SMALL, eigh_rows


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


@pytest.mark.parametrize("n", [1, 2, 3, 8, 12, 31, SMALL, SMALL + 1])
def test_eigenvalues_and_vectors_to_rounding(n, rng):
    for G in matrices(n, rng):
        size = np.abs(G).max() or 1.0
        values, Z, converged = eigh_rows(G.copy())
        assert converged
        assert (np.diff(values) >= 0).all()
        assert np.abs(Z @ Z.T - np.eye(n)).max() < 1e-14 * n
        assert np.abs(Z @ (G / size) @ Z.T - np.diag(values / size)).max() < 1e-14 * n
        assert np.abs(values / size - np.linalg.eigvalsh(G / size)).max() < 1e-14 * n


def interpreted(function):
    """Return a compiled function as Python runs it, which looks its globals up."""
    return getattr(function, "py_func", function)


def test_an_iteration_that_does_not_converge_is_seen(rng, monkeypatch):
    A = rng.normal(size=(12, 12))
    monkeypatch.setattr(_eigh, "_STEPS", 1)
    *_, converged = interpreted(eigh_rows)(A @ A.T)
    assert not converged
    *_, converged = interpreted(eigh_rows)(np.diag(rng.random(12)))
    assert converged


def test_what_was_not_found_is_not_a_number(rng, monkeypatch):
    X, B = rng.normal(size=(6, 9)), rng.normal(size=(3, 9))
    indptr = np.arange(0, 55, 9)
    compressed = X.ravel(), np.tile(np.arange(9), 6), indptr

    def given_up(G):
        return np.zeros(len(G)), np.eye(len(G)), False

    monkeypatch.setattr(streaming, "eigh_rows", given_up)
    for rows, lost in (
        interpreted(streaming.merge_truncate)(B, X, 4, False),
        interpreted(streaming.csr_merge_truncate)(*compressed, B, 4),
    ):
        assert np.isnan(rows).all()
        assert np.isnan(lost).all()
