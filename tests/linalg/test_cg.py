"""Conjugate gradients against direct solves."""

import numpy as np
import pytest
from libraries import to_numpy

from numopt._linalg import conjugate_gradients


def system(rng, d, k=1):
    Q = np.linalg.qr(rng.normal(size=(d, d)))[0]
    return Q @ np.diag(np.linspace(1, 10, d)) @ Q.T, rng.normal(size=(d, k))


@pytest.mark.parametrize("stop", ["residual", "l1", "preconditioned"])
def test_one_system_is_solved(lib, rng, stop):
    M, rhs = system(rng, 12)
    matrix = lib.asarray(M)
    found = conjugate_gradients(
        lambda p: lib.xp.matmul(matrix, p),
        lib.asarray(rhs[:, 0]),
        rtol=1e3 * lib.eps,
        maxiter=50,
        precondition=lib.asarray(1 / np.diag(M)),
        stop=stop,
    )
    np.testing.assert_allclose(to_numpy(found.x), np.linalg.solve(M, rhs[:, 0]), rtol=3e4 * lib.eps)
    assert 5 < int(found.steps) <= 20


def test_columns_are_systems_of_their_own(rng):
    M, rhs = system(rng, 9, 4)
    rhs[:, 2] = 0
    rhs[:, 3] = np.linalg.eigh(M)[1][:, 0]  # an eigenvector takes one step
    found = conjugate_gradients(lambda p: M @ p, rhs, rtol=1e-10, maxiter=40, axis=0)
    np.testing.assert_allclose(found.x, np.linalg.solve(M, rhs), atol=1e-9)
    assert found.steps[0, 2] == 0
    assert found.steps[0, 3] == 1


def test_a_pair_brings_its_own_curvature(rng):
    M, rhs = system(rng, 7, 2)

    def product(p):
        return M @ p, ((M @ p) * p).sum(axis=0)

    found = conjugate_gradients(product, rhs, rtol=1e-12, maxiter=30, axis=0)
    np.testing.assert_allclose(found.x, np.linalg.solve(M, rhs), rtol=1e-9)


def test_a_direction_without_curvature_ends_it():
    M = np.diag([1.0, 0.0])
    found = conjugate_gradients(lambda p: M @ p, np.array([0.0, 1.0]), rtol=1e-8, maxiter=9)
    assert np.isfinite(found.x).all()
    assert int(found.steps) == 0
    np.testing.assert_array_equal(found.residual, [0.0, 1.0])


def test_steps_past_convergence_change_nothing(rng):
    M, rhs = system(rng, 10)
    often, seldom = (
        conjugate_gradients(lambda p: M @ p, rhs[:, 0], rtol=1e-6, maxiter=40, check_every=every)
        for every in (1, 7)
    )
    np.testing.assert_array_equal(often.x, seldom.x)
    assert int(often.steps) == int(seldom.steps)
