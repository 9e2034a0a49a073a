"""Measurement operators: products, adjoints, and what the signs of residuals know."""

import math

import numpy as np
import pytest
from libraries import to_numpy
from recovery_problems import psd
from scipy.sparse import csr_array
from scipy.sparse.linalg import aslinearoperator

import numopt
from numopt import recovery
from numopt.recovery._inputs import operator_of

D1, D2, M = 6, 8, 25


def matrices(rng, symmetric):
    return rng.normal(size=(M, D1, D1 if symmetric else D2))


def entry_places(rng, count):
    flat = rng.permutation(D1 * D2)[:count]
    return flat // D2, flat % D2


def units(rows, columns):
    A = np.zeros((rows.size, D1, D2))
    A[np.arange(rows.size), rows, columns] = 1
    return A


def dense(lib, rng, symmetric):
    A = matrices(rng, symmetric)
    return recovery.DenseSensing(lib.asarray(A), symmetric), A


def rank_one(lib, rng, symmetric):
    a, b = rng.normal(size=(M, D1)), rng.normal(size=(M, D2))
    if symmetric:
        return recovery.RankOneSensing(lib.asarray(a)), a[:, :, None] * a[:, None, :]
    A = a[:, :, None] * b[:, None, :]
    return recovery.RankOneSensing(lib.asarray(a), lib.asarray(b)), A


def free(lib, rng, symmetric):
    A = matrices(rng, symmetric)
    flat = lib.asarray(A.reshape(M, -1))
    shape = A.shape[1:]
    operator = recovery.MatrixFreeSensing(
        lambda X: lib.xp.matmul(flat, lib.xp.reshape(X, (-1,))),
        lambda s: lib.xp.reshape(lib.xp.matmul(flat.T, s), shape),
        shape,
        M,
        like=flat[:0, 0],
        symmetric=symmetric,
    )
    return operator, A


def entries(lib, rng, symmetric):
    del symmetric
    rows, columns = entry_places(rng, M)
    operator = recovery.EntrySensing(
        lib.asarray(rows), lib.asarray(columns), (D1, D2), like=lib.asarray(np.empty(0))
    )
    return operator, units(rows, columns)


def all_entries(lib, rng, symmetric):
    del rng, symmetric
    operator = recovery.FullEntrySensing((D1, D2), like=lib.asarray(np.empty(0)))
    return operator, np.eye(D1 * D2).reshape(-1, D1, D2)


def seeded(lib, rng, symmetric):
    del rng
    operator = recovery.SeededGaussianSensing(
        M, D1, 3, like=lib.asarray(np.empty(0)), symmetric=symmetric, chunk=7
    )
    return operator, to_numpy(operator.to_dense())


MAKERS = {
    "dense-symmetric": (dense, True),
    "dense": (dense, False),
    "rank-one-symmetric": (rank_one, True),
    "rank-one": (rank_one, False),
    "functions-symmetric": (free, True),
    "functions": (free, False),
    "entries": (entries, False),
    "all-entries": (all_entries, False),
    "seeded-symmetric": (seeded, True),
    "seeded": (seeded, False),
}


def made(name, lib, rng):
    if name == "entries" and not lib.indexing:
        pytest.skip("this device has no functions that return indices")
    make, symmetric = MAKERS[name]
    return make(lib, rng, symmetric)


def close(lib, actual, expected):
    error = np.abs(to_numpy(actual) - expected).max()
    return error <= 200 * lib.eps * max(1.0, np.abs(expected).max())


@pytest.mark.parametrize("name", MAKERS)
def test_operator_is_its_matrices(lib, rng, name):
    operator, A = made(name, lib, rng)
    if operator.symmetric:
        A = (A + A.transpose(0, 2, 1)) / 2
    d1, d2 = operator.shape
    m, tied = A.shape[0], rng.normal(size=(d1, 2))
    U, V = (tied, tied) if operator.symmetric else (tied, rng.normal(size=(d2, 2)))
    s, y, weights = rng.normal(size=m), rng.normal(size=m), rng.random(m)
    u, v = lib.asarray(U), lib.asarray(V)
    expected = np.einsum("mij,ij->m", A, U @ V.T)
    D = np.einsum("m,mij->ij", s, A)
    assert operator.m == m
    assert close(lib, operator.forward(u, v), expected)
    assert close(lib, operator.adjoint(lib.asarray(s)), D)
    assert close(lib, operator.adjoint_apply(lib.asarray(s), v), D @ V)
    assert close(lib, operator.adjoint_apply(lib.asarray(s), u, transpose=True), D.T @ U)
    residual, direction = operator.sense(u, v, lib.asarray(y), lib.asarray(weights))
    G = np.einsum("m,mij->ij", weights * np.sign(expected - y), A)
    assert close(lib, residual, expected - y)
    for other in (v, lib.asarray(V + 1)):
        assert close(lib, direction.times(other), G @ to_numpy(other))
    for other in (u, lib.asarray(U - 1)):
        assert close(lib, direction.transposed_times(other), G.T @ to_numpy(other))
    assert lib.holds(residual, lib.widest)


@pytest.mark.parametrize("name", MAKERS)
def test_adjoint_identity(name, rng):
    from libraries import LIBRARIES

    operator, _ = made(name, LIBRARIES["numpy"](), rng)
    d1, d2 = operator.shape
    for _ in range(20):
        U, V = rng.normal(size=(d1, 3)), rng.normal(size=(d2, 3))
        if operator.symmetric:
            V = U
        s = rng.normal(size=operator.m)
        inner = operator.forward(U, V) @ s
        assert abs(inner - np.sum(U * operator.adjoint_apply(s, V))) <= 1e-12 * abs(
            operator.forward(U, V)
        ) @ abs(s)


def test_sparse_and_linear_operators_are_their_matrices(rng):
    A = rng.normal(size=(M, D1 * D2)) * (rng.random((M, D1 * D2)) < 0.3)
    y, U, V = rng.normal(size=M), rng.normal(size=(D1, 2)), rng.normal(size=(D2, 2))
    s = rng.normal(size=M)
    for given in (csr_array(A), aslinearoperator(A), A):
        operator = operator_of(given, y, (D1, D2), symmetric=False)
        np.testing.assert_allclose(operator.forward(U, V), A @ (U @ V.T).ravel(), atol=1e-12)
        np.testing.assert_allclose(operator.adjoint(s).ravel(), A.T @ s, atol=1e-12)


def test_packed_matrices_take_half_the_memory(rng):
    A = rng.normal(size=(40, 30, 30))
    packed, flat = recovery.DenseSensing(A), recovery.DenseSensing(A, symmetric=False)
    assert packed.matrix.shape == (40, 465)
    assert packed.nbytes == packed.matrix.nbytes
    assert flat.nbytes == flat.matrix.nbytes == A.nbytes


def test_seeded_measurements_are_standard_normal_and_the_same_every_time():
    operator = recovery.SeededGaussianSensing(4000, 4, 5, like=np.empty(0))
    A = operator.to_dense()
    np.testing.assert_array_equal(A, operator.to_dense())
    np.testing.assert_array_equal(A, A.transpose(0, 2, 1))
    # Off the diagonal the mean of two normal numbers. Four standard deviations of a variance.
    variance = (A**2).mean(axis=0)
    expected = (1 + np.eye(4)) / 2
    assert np.all(abs(variance / expected - 1) < 4 * math.sqrt(2 / 4000))
    other = recovery.SeededGaussianSensing(4000, 4, 6, like=np.empty(0))
    assert not np.array_equal(A, other.to_dense())


def test_seeded_measurements_hold_one_block_only():
    operator = recovery.SeededGaussianSensing(10_000, 100, like=np.empty(0))
    assert operator.nbytes <= 17e6
    assert 8 * operator.m * 5050 > 20 * operator.nbytes


@pytest.mark.parametrize("p", [0.0, 0.3, 0.6])
@pytest.mark.parametrize("maker", [recovery.DenseSensing, None], ids=["dense", "seeded"])
def test_signs_point_along_the_error(p, maker):
    """Sign-RIP: <D, E / |E|> is near its expectation; a false alarm has probability 1e-4."""
    rng = np.random.default_rng(8)
    d, m = 10, 2500
    if maker is None:
        operator = recovery.SeededGaussianSensing(m, d, 1, like=np.empty(0))
    else:
        operator = maker(rng.normal(size=(m, d, d)))
    for _ in range(20):
        U = rng.normal(size=(d, 2))
        size = np.linalg.norm(U @ U.T)
        outliers = np.where(rng.random(m) < p, 5 * size * rng.normal(size=m), 0)
        _, direction = operator.sense(U, U, outliers, np.ones(m) / m)
        along = np.sum(U * direction.times(U)) / size
        # The share of corrupted signs that still points the right way, averaged over outliers.
        s = np.linspace(-8, 8, 4001)
        density = np.exp(-(s**2) / 2) / math.sqrt(2 * math.pi)
        kept = np.sum(density * np.exp(-((5 * s) ** 2) / 2)) * (s[1] - s[0])
        expected = math.sqrt(2 / math.pi) * (1 - p + p * kept)
        assert abs(along - expected) <= 4 / math.sqrt(m)


def test_subgradient_is_a_direction_of_descent():
    rng = np.random.default_rng(9)
    A, X = rng.normal(size=(300, 8, 8)), psd(rng, 8, 2)
    y = np.einsum("mij,ij->m", A, X)
    y[:80] += 30
    operator = recovery.DenseSensing(A)
    U = rng.normal(size=(8, 4))
    residual, direction = operator.sense(U, U, y, np.ones(300) / 300)
    G = 2 * direction.times(U)
    h = 1e-6
    lowered = abs(operator.forward(U - h * G, U - h * G) - y).mean()
    slope = (lowered - abs(residual).mean()) / h
    assert slope == pytest.approx(-np.sum(G * G), rel=1e-4)


def test_operators_of_ones_own_work(rng):
    class Scaled(recovery.SensingOperator):
        def __init__(self, operator):
            self.operator = operator
            self.shape, self.m = operator.shape, operator.m
            self.symmetric, self.like = operator.symmetric, operator.like

        def forward(self, U, V):
            return 3 * self.operator.forward(U, V)

        def adjoint_apply(self, s, V, transpose=False):
            return 3 * self.operator.adjoint_apply(s, V, transpose)

    X = psd(rng, 8, 1)
    A = rng.normal(size=(120, 8, 8))
    y = 3 * np.einsum("mij,ij->m", A, X)
    y[:20] = 50
    result = numopt.robust_low_rank_recovery(Scaled(recovery.DenseSensing(A)), y)
    assert result.success
    np.testing.assert_allclose(result.matrix(), X, atol=1e-9)
