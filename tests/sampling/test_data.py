"""Kinds of data: lists, tables, layouts, precisions."""

import array_api_strict
import lp_problems
import numpy as np
from scipy.sparse import csr_array

import numopt

A, B = lp_problems.regression(60, 3)
FIT, SCORES, CORESET = numopt.lp_regression, numopt.lp_scores, numopt.lp_coreset


class Table:
    """What is no array but can be made one, as a data frame."""

    def __init__(self, values):
        self.values = values

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.values, dtype=dtype)


def test_lists_and_tables_are_welcome():
    result, drawn = FIT(A, B), CORESET(A, B, 1, sample_size=30, rng=0)
    for make in (lambda x: x.tolist(), Table, lambda x: tuple(map(tuple, x))):
        given = make(A)
        np.testing.assert_array_equal(SCORES(given, 1).scores, SCORES(A, 1).scores)
    for make in (lambda x: x.tolist(), Table, lambda x: tuple(x)):
        b = make(B)
        for matrix in (A, A.tolist(), Table(A), [A[:20], A[20:]], csr_array(A)):
            again = FIT(matrix, b, x0=result.x.tolist(), weights=make(np.ones(60)))
            np.testing.assert_allclose(again.x, result.x, rtol=1e-9)
            assert again.verify(matrix, b)[0].passed
        same = CORESET(A.tolist(), b, 1, sample_size=30, rng=0)
        np.testing.assert_array_equal(same.indices, drawn.indices)
    stream = numopt.StreamingCoreset(1, 30, rng=0).partial_fit(A.tolist(), B.tolist())
    assert stream.result().size <= 60
    some = SCORES(A, 3, kind="sensitivity", indices=[4, 1])
    assert some.scores.shape == (2,)


def test_lists_beside_an_array_of_another_library():
    strict = array_api_strict.asarray(A)
    result = FIT(strict, B.tolist(), x0=[0.0, 0.0, 0.0])
    assert isinstance(result.x, array_api_strict._array_object.Array)
    np.testing.assert_allclose(np.asarray(result.x), FIT(A, B).x, rtol=1e-8)
