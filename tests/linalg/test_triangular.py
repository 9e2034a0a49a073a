"""Triangular solves and Cholesky factors, against dense solves in NumPy."""

import numpy as np
import pytest
from libraries import to_numpy

from numopt import _linalg


def triangle(d, lower):
    rng = np.random.default_rng(d)
    full = rng.normal(size=(d, d)) + d * np.eye(d)
    return np.tril(full) if lower else np.triu(full)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("lower", [False, True])
def test_triangular_solve(lib, lower, transposed, order):
    T = triangle(6, lower)
    for shape in ((6,), (6, 1), (6, 3)):
        b = np.random.default_rng(1).normal(size=shape)
        expected = np.linalg.solve(T.T if transposed else T, b)
        for dtype in lib.floats:
            matrix = lib.asarray(np.asarray(T, order=order), dtype)
            x = _linalg.solve_triangular(
                matrix, lib.asarray(b, dtype), lower=lower, transposed=transposed
            )
            assert lib.holds(x, dtype)
            assert x.shape == shape
            np.testing.assert_allclose(to_numpy(x), expected, rtol=0, atol=20 * np.finfo(dtype).eps)


def test_inputs_are_not_modified_and_the_other_half_is_not_read():
    T, b = triangle(5, True), np.arange(1.0, 6.0)
    full = T + np.triu(np.full((5, 5), 7.0), 1)
    full.flags.writeable = b.flags.writeable = False
    np.testing.assert_allclose(_linalg.solve_triangular(full, b), np.linalg.solve(T, b))


def test_cholesky_solves(lib):
    T = triangle(6, True)
    G, b = T @ T.T, np.arange(6.0)
    L = _linalg.cholesky(lib.asarray(G))
    x = _linalg.cholesky_solve(L, lib.asarray(b))
    np.testing.assert_allclose(to_numpy(x), np.linalg.solve(G, b), rtol=0, atol=100 * lib.eps)


@pytest.mark.parametrize("pivot", [-1.0, np.nan])
def test_what_is_not_positive_definite_has_no_factor(lib, pivot):
    G = np.diag([1.0, pivot, 1.0])
    assert _linalg.cholesky(lib.asarray(G)) is None
