"""Small facts about inputs."""

import math

import numpy as np
import pytest
from scipy import sparse
from scipy.sparse.linalg import aslinearoperator

from numopt._core.settings import default_tol, index_dtype, is_sparse, non_negative


def test_default_tolerance_follows_the_dtype(lib):
    expected = {"float32": 1e-4, "float64": 1e-8}
    for dtype in lib.floats:
        like = lib.asarray(np.ones(2), dtype)
        assert default_tol(like, float64=1e-8, float32=1e-4) == expected[dtype]
    assert lib.floats


@pytest.mark.parametrize("make", [sparse.csr_array, sparse.coo_matrix, sparse.csc_array])
def test_sparse_matrices_are_recognized(make):
    assert is_sparse(make(np.eye(2)))
    assert not is_sparse(np.eye(2))
    assert not is_sparse(aslinearoperator(make(np.eye(2))))


def test_indices_have_the_default_dtype():
    assert index_dtype(np.ones(2)) == np.int64


def test_rounding_below_zero_is_zero_and_nan_is_not():
    assert non_negative(-1e-17) == 0.0
    assert non_negative(2.0) == 2.0
    assert math.isnan(non_negative(math.nan))
