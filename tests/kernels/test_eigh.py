"""Eigenvalues of small symmetric matrices against LAPACK."""

import numpy as np
import pytest

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
        values, Z = eigh_rows(G.copy())
        assert (np.diff(values) >= 0).all()
        assert np.abs(Z @ Z.T - np.eye(n)).max() < 1e-14 * n
        assert np.abs(Z @ (G / size) @ Z.T - np.diag(values / size)).max() < 1e-14 * n
        assert np.abs(values / size - np.linalg.eigvalsh(G / size)).max() < 1e-14 * n
