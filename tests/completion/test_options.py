"""Forms of input, options, methods of the result, and all array libraries."""

import numpy as np
import pytest
from completion_problems import as_dense, error, noisy, objective, relative_gradient, sampled
from libraries import to_numpy
from scipy import sparse

import numopt


def test_every_form_of_input_gives_the_same():
    M = noisy()
    rows, columns, values, shape = M
    values = values.copy()
    values[3] = 0.0  # an explicit zero is an observation
    dense = as_dense((rows, columns, values, shape))
    mask = ~np.isnan(dense)
    coo = sparse.coo_array((values, (rows, columns)), shape=shape)
    forms = {
        "coordinates": ((rows, columns, values, shape), None),
        "coo": (coo, None),
        "csr": (coo.tocsr(), None),
        "csc": (coo.tocsc(), None),
        "matrix": (sparse.csr_matrix(coo), None),
        "nan": (dense, None),
        "mask": (np.where(mask, dense, 7.0), mask),
    }
    results = {
        name: numopt.matrix_completion(form, 2, mask=m, reg=0.3, rng=0)
        for name, (form, m) in forms.items()
    }
    for result in results.values():
        np.testing.assert_array_equal(result.X, results["coo"].X)
        assert result.stats["share"] == values.size / (40 * 30)


def test_weights_in_every_form():
    M = noisy()
    rows, columns, values, shape = M
    weights = np.random.default_rng(0).integers(0, 3, values.size).astype(float)
    base = numopt.matrix_completion(M, 2, weights=weights, reg=0.3, rng=0, tol=1e-9)
    assert relative_gradient(M, base.X, base.Y, 0.3, weights=weights) < 1e-8
    table = np.zeros(shape)
    table[rows, columns] = weights
    dense = numopt.matrix_completion(as_dense(M), 2, weights=table, reg=0.3, rng=0, tol=1e-9)
    np.testing.assert_array_equal(dense.X, base.X)
    shuffled = np.random.default_rng(1).permutation(values.size)
    W = sparse.coo_array((weights[shuffled], (rows[shuffled], columns[shuffled])), shape=shape)
    coo = sparse.coo_array((values, (rows, columns)), shape=shape)
    given = numopt.matrix_completion(coo, 2, weights=W, reg=0.3, rng=0, tol=1e-9)
    np.testing.assert_array_equal(given.X, base.X)
    # A weight of two is an entry seen twice, as far as the minimum goes.
    left = weights > 0
    assert base.stats["share"] == left.sum() / (40 * 30)


def test_mean_of_duplicates_is_a_weighted_entry():
    rows, columns, values, shape = noisy()
    twice = np.append(rows, rows[:5]), np.append(columns, columns[:5])
    again = (*twice, np.append(values, values[:5] + 2), shape)
    result = numopt.matrix_completion(again, 2, reg=0.3, duplicates="mean", rng=0)
    values = values.copy()
    values[:5] += 1
    single = numopt.matrix_completion((rows, columns, values, shape), 2, reg=0.3, rng=0)
    np.testing.assert_allclose(result.matrix(), single.matrix(), atol=1e-10)


def test_integers_become_floats():
    ratings = np.random.default_rng(0).integers(1, 6, size=(30, 20))
    result = numopt.matrix_completion(ratings, 2, reg=1.0)
    assert result.X.dtype == np.float64


def bias_gradient(M, result, reg, bias_reg):
    """Return the largest derivative of the objective with offsets, and the objective."""
    rows, columns, values, _ = M
    residual = values - result.predict(rows, columns)
    slopes = [bias_reg * result.row_bias, bias_reg * result.col_bias]
    slopes += [reg * result.X, reg * result.Y]
    np.add.at(slopes[0], rows, -residual)
    np.add.at(slopes[1], columns, -residual)
    np.add.at(slopes[2], rows, -residual[:, None] * result.Y[columns])
    np.add.at(slopes[3], columns, -residual[:, None] * result.X[rows])
    fun = residual @ residual + sum(
        weight * (F**2).sum()
        for weight, F in (
            (reg, result.X),
            (reg, result.Y),
            (bias_reg, result.row_bias),
            (bias_reg, result.col_bias),
        )
    )
    return max(np.abs(slope).max() for slope in slopes), fun


@pytest.mark.parametrize("bias", [True, 3.0])
def test_offsets_are_fitted(bias):
    rows, columns, values, shape = noisy()
    rng = np.random.default_rng(0)
    values = values + 100 + 3 * rng.normal(size=40)[rows] + 3 * rng.normal(size=30)[columns]
    M = rows, columns, values, shape
    result = numopt.matrix_completion(M, 2, reg=0.5, bias=bias, tol=1e-10, rng=0)
    slope, fun = bias_gradient(M, result, 0.5, 0.5 if bias is True else bias)
    assert result.success
    assert result.mu == pytest.approx(values.mean())
    assert slope < 1e-5
    assert result.fun == pytest.approx(fun, rel=1e-9)
    np.testing.assert_allclose(result.matrix()[rows, columns], result.predict(rows, columns))


def test_nonnegative_factors_meet_the_optimality_conditions():
    rng = np.random.default_rng(0)
    M = rng.random((40, 3)) @ rng.random((3, 30)) + 0.05 * rng.normal(size=(40, 30))
    M[rng.random(M.shape) < 0.5] = np.nan
    result = numopt.matrix_completion(M, 3, nonneg=True, reg=0.05, tol=1e-9, maxiter=5000, rng=0)
    assert result.success
    assert result.X.min() >= 0
    assert result.Y.min() >= 0
    rows, columns = np.nonzero(~np.isnan(M))
    _, *slopes = objective((rows, columns, M[rows, columns], M.shape), result.X, result.Y, 0.05)
    for F, slope in zip((result.X, result.Y), slopes, strict=True):
        assert np.abs(np.where(F > 0, slope, np.minimum(slope, 0))).max() < 1e-5
    free = numopt.matrix_completion(M, 3, reg=0.05, tol=1e-9, rng=0)
    assert free.fun <= result.fun


def test_warm_starts():
    M = noisy()
    cold = numopt.matrix_completion(M, 2, reg=0.3, rng=0, tol=1e-8)
    warm = numopt.matrix_completion(M, 2, reg=0.3, x0=cold, tol=1e-8)
    assert warm.nit <= 2
    assert warm.fun == pytest.approx(cold.fun, rel=1e-9)
    for rank in (1, 4):
        other = numopt.matrix_completion(M, rank, reg=0.3, x0=(cold.X, cold.Y), rng=0)
        assert other.rank == rank
        assert other.success
    random = numopt.matrix_completion(M, 2, reg=0.3, init="random", rng=3, tol=1e-8)
    assert random.fun == pytest.approx(cold.fun, rel=1e-6)


def test_validation_and_early_stopping():
    M = sampled(60, 50, 3, 2.5, noise=1.0)[0]
    train = tuple(x[40:] for x in M[:3]), M[3]
    held = tuple(x[:40] for x in M[:3])
    M = (*train[0], train[1])
    result = numopt.matrix_completion(
        M, 8, reg=1e-3, validation=held, early_stopping=3, rng=0, continuation=False
    )
    assert result.status is numopt.Status.EARLY_STOPPING
    assert result.success
    errors = [record["rmse"] for record in result.history]
    found = np.sqrt(((result.predict(*held[:2]) - held[2]) ** 2).mean())
    assert found == pytest.approx(min(errors), rel=1e-9)
    assert min(errors) == errors[-4]


def test_values_of_entries_and_of_the_whole():
    M = noisy()
    result = numopt.matrix_completion(M, 2, reg=0.3, rng=0)
    np.testing.assert_allclose(result.matrix(), result.X @ result.Y.T)
    rows, columns = np.array([3, 3, 39]), np.array([0, 29, 7])
    np.testing.assert_allclose(result.predict(rows, columns), result.matrix()[rows, columns])
    assert result.predict(rows[:0], columns[:0]).shape == (0,)


@pytest.mark.parametrize("options", [{}, {"bias": True}, {"nonneg": True}])
def test_rows_fold_in_as_if_they_had_been_there(options):
    M = as_dense(noisy())
    M = np.abs(M) if "nonneg" in options else M
    result = numopt.matrix_completion(M, 2, reg=0.3, rng=0, tol=1e-11, maxiter=5000, **options)
    X, offsets = result.fold_in(M[5:9])
    np.testing.assert_allclose(X, result.X[5:9], atol=1e-4)
    if offsets is not None:
        np.testing.assert_allclose(offsets, result.row_bias[5:9], atol=1e-4)


def test_best_columns_of_a_row():
    M = as_dense(noisy())
    result = numopt.matrix_completion(M, 2, reg=0.3, rng=0, bias=True)
    scores = result.matrix()[4]
    columns, values = result.top_n(4, 5, exclude_seen=False)
    np.testing.assert_array_equal(columns, np.argsort(-scores)[:5])
    np.testing.assert_allclose(values, scores[columns])
    fresh, _ = result.top_n(4, 30)
    unseen = np.nonzero(np.isnan(M[4]))[0]
    np.testing.assert_array_equal(fresh, unseen[np.argsort(-scores[unseen])])


def test_callback_stops_and_sees_records():
    seen = []

    def stop(state):
        seen.append(state.nit)
        if state.nit == 3:
            raise StopIteration

    result = numopt.matrix_completion(noisy(), 2, reg=0.3, callback=stop, rng=0)
    assert (result.status, result.nit, seen) == (99, 3, [0, 1, 2, 3])
    assert not result.success
    assert "callback" in result.message


def test_no_sweeps_return_the_start():
    result = numopt.matrix_completion(noisy(), 2, reg=0.3, maxiter=0, rng=0)
    assert (result.status, result.nit, result.success) == (1, 0, False)
    fun = objective(noisy(), result.X, result.Y, 0.3)[0]
    assert result.fun == pytest.approx(fun, rel=1e-10)
    assert "raise maxiter" in result.message


@pytest.mark.parametrize("rank", [2, "auto"])
def test_same_seed_same_result_and_inputs_untouched(rank):
    M = noisy()
    copies = [x.copy() for x in M[:3]]
    for x in M[:3]:
        x.flags.writeable = False
    first = numopt.matrix_completion(M, rank, reg=0.3, rng=5)
    again = numopt.matrix_completion(M, rank, reg=0.3, rng=5)
    np.testing.assert_array_equal(first.X, again.X)
    for x, copy in zip(M[:3], copies, strict=True):
        np.testing.assert_array_equal(x, copy)


def test_zeros_are_completed_by_zeros():
    for rank, options in ((2, {}), ("auto", {}), (2, {"bias": True, "reg": 1.0})):
        result = numopt.matrix_completion(np.zeros((6, 5)), rank, **options)
        assert result.success
        assert not result.matrix().any()
    constant = numopt.matrix_completion(np.full((6, 5), 3.0), 2, bias=True, reg=1.0)
    np.testing.assert_allclose(constant.matrix(), 3.0)


def test_one_by_one():
    result = numopt.matrix_completion(np.array([[-3.0]]), 1)
    assert result.predict(np.array([0]), np.array([0]))[0] == pytest.approx(-3.0)


@pytest.mark.parametrize("method", ["pcg", "exact"])
def test_all_libraries_agree(lib, method):
    M, truth = sampled(40, 30, 2, 5.0)
    rows, columns, values, shape = M
    given = lib.asarray(rows), lib.asarray(columns), lib.asarray(values), shape
    if not lib.indexing:
        with pytest.raises(ValueError, match="int64"):
            numopt.matrix_completion(given, 2, method=method, rng=0)
        return
    tol = 1e-9 if lib.widest == "float64" else 1e-4
    result = numopt.matrix_completion(given, 2, method=method, rng=0, tol=tol)
    assert result.success
    assert lib.holds(result.X, lib.widest)
    assert lib.holds(result.empty_rows, "int")
    assert error(result, truth) < 100 * tol
    wanted = numopt.matrix_completion(M, 2, method=method, rng=0, tol=tol)
    scale = np.abs(wanted.matrix()).max()
    np.testing.assert_allclose(to_numpy(result.matrix()), wanted.matrix(), atol=10 * tol * scale)


@pytest.mark.parametrize(
    "options",
    [
        {"bias": True, "reg": 0.5},
        {"nonneg": True, "reg": 0.5, "tol": 1e-4},
        {"reg": ("count", 0.1), "certify": False},
        {"reg": 0.5, "certify": True},
        {"rank": "auto", "max_rank": 5},
        {"polish": "gauss-newton"},
        {"init": "random", "reg": 0.5},
    ],
    ids=lambda options: "-".join(options),
)
def test_all_libraries_have_all_options(lib, options):
    if not lib.indexing:
        pytest.skip("array_api_strict returns int64 indices on a device that has none")
    options = {"rank": 2, "rng": 0, **options}
    dense = as_dense(sampled(40, 30, 2, 4.0, noise=0.01)[0])
    given = lib.asarray(np.nan_to_num(dense)), lib.asarray(~np.isnan(dense))
    result = numopt.matrix_completion(given[0], mask=given[1], **options)
    wanted = numopt.matrix_completion(dense, **options)
    assert lib.holds(result.X, lib.widest)
    assert result.rank == wanted.rank
    scale = np.abs(wanted.matrix()).max()
    accuracy = 1e-3 if lib.widest == "float64" else 1e-2
    np.testing.assert_allclose(to_numpy(result.matrix()), wanted.matrix(), atol=accuracy * scale)
    factors, _ = result.fold_in(given[0], mask=given[1])
    assert lib.holds(factors, lib.widest)
    assert lib.holds(result.top_n(1, 3)[0], "int")
    rows = lib.asarray(np.array([1, 2]))
    assert lib.holds(result.predict(rows, rows), lib.widest)
