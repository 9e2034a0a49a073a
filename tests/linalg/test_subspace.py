"""Leading singular vectors against a full decomposition."""

import numpy as np
from libraries import to_numpy

from numopt._linalg import Factors, lanczos_norm, leading_singular, singular_values, subspaces


def matrix(rng):
    U, _ = np.linalg.qr(rng.normal(size=(30, 8)))
    V, _ = np.linalg.qr(rng.normal(size=(20, 8)))
    return U @ np.diag([9.0, 8.0, 7.0, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6]) @ V.T


def test_leading_triplets_are_those_of_the_decomposition(lib, rng):
    M = matrix(rng)
    A, start = lib.asarray(M), lib.asarray(rng.normal(size=(20, 5)))
    found = leading_singular(
        lambda Q: lib.xp.matmul(A, Q), lambda P: lib.xp.matmul(A.T, P), start, 6, 3
    )
    left, values, right = (to_numpy(part) for part in found)
    U, s, Vh = np.linalg.svd(M)
    np.testing.assert_allclose(values, s[:3], rtol=100 * lib.eps)
    np.testing.assert_allclose(
        left * values @ right.T, U[:, :3] * s[:3] @ Vh[:3], atol=1e3 * lib.eps
    )


def test_bases_are_orthonormal(rng):
    M = matrix(rng)
    P, Q = subspaces(lambda Q: M @ Q, lambda P: M.T @ P, rng.normal(size=(20, 4)), 3)
    np.testing.assert_allclose(P.T @ P, np.eye(4), atol=1e-14)
    np.testing.assert_allclose(Q.T @ Q, np.eye(4), atol=1e-14)


def test_lanczos_finds_the_largest_singular_value(lib, rng):
    M = matrix(rng)
    for given in (M, M.T, np.outer(M[:, 0], M[0]), 0 * M):
        A, start = lib.asarray(given), lib.asarray(rng.normal(size=(given.shape[1], 1)))
        found = lanczos_norm(
            lambda Q, A=A: lib.xp.matmul(A, Q),
            lambda P, A=A: lib.xp.matmul(A.T, P),
            start,
            steps=20,
            rtol=1e-9,
        )
        assert abs(found - np.linalg.norm(given, 2)) <= max(1e-8, 100 * lib.eps) * 9


def test_singular_values_of_a_product(lib, rng):
    X, Y = rng.normal(size=(12, 4)), rng.normal(size=(9, 4))
    found = singular_values(Factors(lib.asarray(X), lib.asarray(Y)))
    wanted = np.linalg.svd(X @ Y.T, compute_uv=False)[:4]
    np.testing.assert_allclose(to_numpy(found), wanted, rtol=100 * lib.eps)
