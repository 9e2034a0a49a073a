"""Forms in which data may be given: lists, objects that are arrays, masked arrays."""

import numpy as np
import pytest
from recovery_problems import sensing, table

import numopt
from numopt import recovery


class Column:
    """Something that is no array, but can be read as one."""

    def __init__(self, values):
        self.values = values

    def __array__(self, dtype=None, copy=None):
        return np.array(self.values, dtype=dtype, copy=copy)


@pytest.mark.parametrize("kind", [np.ndarray.tolist, Column])
def test_measurements_may_be_lists(kind):
    planted = sensing(61, d=5, r=1, p=0.1, over=12)
    expected = numopt.robust_low_rank_recovery(planted.A, planted.y, rng=0)
    for A in (kind(planted.A), planted.A, recovery.DenseSensing(kind(planted.A))):
        result = numopt.robust_low_rank_recovery(A, kind(planted.y), rng=0)
        np.testing.assert_allclose(result.matrix(), expected.matrix(), atol=1e-12)
    weights = kind(np.ones(planted.y.size))
    warm = numopt.robust_low_rank_recovery(
        kind(planted.A), kind(planted.y), weights=weights, x0=kind(expected.U)
    )
    assert warm.success
    assert warm.nit < expected.nit
    assert all(check.passed for check in warm.verify(kind(planted.A), kind(planted.y)))


@pytest.mark.parametrize("kind", [np.ndarray.tolist, Column])
def test_tables_may_be_lists(kind):
    planted = table(62, n=30, d=20, r=1, p=0.1)
    expected = numopt.robust_pca(planted.M, 1, mask=planted.mask, rng=0)
    result = numopt.robust_pca(
        kind(planted.M), 1, mask=kind(planted.mask), weights=kind(np.ones(planted.M.shape)), rng=0
    )
    np.testing.assert_allclose(result.matrix(), expected.matrix(), atol=1e-12)
    x0 = (kind(expected.L), kind(expected.R))
    assert numopt.robust_pca(kind(planted.M), 1, x0=x0).nit <= 3


def test_lists_beside_arrays_of_a_library_become_its_arrays(lib):
    if not lib.indexing:
        pytest.skip("this device has no functions that return indices")
    planted = sensing(63, d=5, r=1, p=0.1, over=12)
    A = lib.asarray(planted.A)
    result = numopt.robust_low_rank_recovery(A, planted.y.tolist(), rng=0)
    assert lib.holds(result.U, lib.widest)
    assert result.success


@pytest.mark.parametrize("mask", [True, False])
def test_what_is_masked_is_missing(mask):
    planted = table(64, observed=0.7)
    given = planted.mask if mask else np.ones(planted.mask.shape, dtype=bool)
    hidden = np.random.default_rng(0).random(planted.M.shape) < 0.1
    M = np.ma.array(np.where(hidden, np.nan, planted.M), mask=hidden)
    result = numopt.robust_pca(M, 3, mask=given, rng=0)
    expected = numopt.robust_pca(planted.M, 3, mask=given & ~hidden, rng=0)
    assert result.success
    np.testing.assert_array_equal(result.matrix(), expected.matrix())
    np.testing.assert_array_equal(result.outlier_mask, expected.outlier_mask)
    assert all(check.passed for check in result.verify(M, mask=given))
    whole = numopt.robust_pca(np.ma.array(planted.M), 3, rng=0)
    np.testing.assert_array_equal(whole.matrix(), numopt.robust_pca(planted.M, 3, rng=0).matrix())


@pytest.mark.parametrize("other", ["result", "rectangular"])
def test_warm_starts_of_another_kind_are_refused(other):
    planted = sensing(65, d=5, r=1, p=0.1, over=12)
    if other == "result":
        x0, error, message = numopt.lstsq(np.eye(3), np.ones(3)), TypeError, "hold factors"
    else:
        x0, error, message = numopt.robust_pca(np.ones((5, 5))), ValueError, "symmetric matrix"
    with pytest.raises(error, match=f"`x0` must .*{message}"):
        numopt.robust_low_rank_recovery(planted.A, planted.y, x0=x0)


def test_operators_say_what_they_are():
    operator = recovery.DenseSensing(np.ones((4, 3, 3)))
    assert repr(operator) == "<DenseSensing: 4 measurements of symmetric 3 by 3 matrices>"
    operator = recovery.RankOneSensing(np.ones((4, 3)), np.ones((4, 2)))
    assert repr(operator) == "<RankOneSensing: 4 measurements of rectangular 3 by 2 matrices>"
