"""Matrix completion against truth, exact small solvers, and what theory says."""

import math
import warnings
from itertools import pairwise

import numpy as np
import pytest
from completion_problems import error, lowrank, objective, relative_gradient, sampled
from hypothesis import given, settings
from hypothesis import strategies as st

import numopt


@pytest.mark.parametrize("method", ["pcg", "exact", "auto"])
@pytest.mark.parametrize("kappa", [1.0, 1e3])
def test_noiseless_recovery_to_ten_digits(method, kappa):
    M, truth = sampled(200, 150, 4, 5.0, kappa)
    result = numopt.matrix_completion(M, 4, method=method, tol=1e-11, rng=0)
    assert result.success
    assert error(result, truth) < 1e-10


def test_ill_conditioned_matrices_need_the_path():
    """Eight seeds of condition 1e3: all found with the path, none without in as many sweeps."""
    with_path, without = [], []
    for seed in range(8):
        M, truth = sampled(400, 400, 8, 3.0, 1e3, seed)
        result = numopt.matrix_completion(M, 8, rng=0, tol=1e-7)
        with_path.append((error(result, truth) < 1e-6, result.nit))
        plain = numopt.matrix_completion(
            M, 8, rng=0, continuation=False, momentum=0.0, maxiter=60, tol=1e-7
        )
        without.append(error(plain, truth) < 1e-6)
    assert all(found and nit <= 60 for found, nit in with_path)
    assert not any(without)


def test_a_step_or_two_for_each_row_are_enough():
    """The claim of the paper: updates need not be exact."""
    sweeps = {}
    for name, options in {
        "exact": {"method": "exact"},
        "two": {"method": "pcg", "inner_maxiter": 2, "inner_tol": 0.0},
        "one": {"method": "pcg", "inner_maxiter": 1, "inner_tol": 0.0},
    }.items():
        M, truth = sampled(300, 300, 6, 5.0)
        result = numopt.matrix_completion(M, 6, rng=0, **options)
        assert error(result, truth) < 1e-5
        sweeps[name] = result.nit
    assert sweeps["two"] <= 1.2 * sweeps["exact"]
    assert sweeps["one"] <= 2 * sweeps["exact"]


def test_converges_in_spite_of_perturbed_updates():
    """Ten sweeps with one percent of noise on each factor, then none: found all the same."""
    M, truth = sampled(200, 200, 4, 5.0)
    rng = np.random.default_rng(0)
    result = numopt.matrix_completion(M, 4, rng=0, maxiter=1)
    for _ in range(10):
        factors = []
        for F in (result.X, result.Y):
            noise = rng.normal(size=F.shape)
            noise *= 1e-2 * np.linalg.norm(F, axis=1, keepdims=True) / np.sqrt(F.shape[1])
            factors.append(F + noise)
        result = numopt.matrix_completion(M, 4, x0=tuple(factors), method="exact", maxiter=1)
    assert error(result, truth) > 1e-4
    result = numopt.matrix_completion(M, 4, x0=result, method="exact")
    assert error(result, truth) < 1e-5


def test_found_in_at_least_19_of_20_trials():
    """With a chance of 0.99 for each, fewer than 19 would come up in one of 60 runs."""
    found = 0
    for seed in range(20):
        M, truth = sampled(200, 200, 5, 4.0, seed=seed)
        found += error(numopt.matrix_completion(M, 5, tol=1e-7, rng=seed), truth) < 1e-6
    assert found >= 19


def test_noise_is_averaged_out():
    """The error of the whole matrix is that of a least-squares fit of its degrees of freedom."""
    m, n, r, sigma = 200, 150, 4, 0.1
    ratios = []
    for seed in range(10):
        M, (U, V) = sampled(m, n, r, 5.0, seed=seed, noise=sigma)
        result = numopt.matrix_completion(M, r, rng=seed)
        rmse = np.sqrt(((result.matrix() - U @ V.T) ** 2).mean())
        ratios.append(rmse / (sigma * math.sqrt(r * (m + n - r) / M[2].size)))
    assert 0.8 < np.mean(ratios) < 1.5


@pytest.mark.parametrize("method", ["pcg", "exact"])
@pytest.mark.parametrize("kind", ["plain", "weights", "count"])
def test_gradient_vanishes_in_plain_arithmetic(method, kind):
    M, _ = sampled(60, 50, 3, 4.0, noise=0.3)
    rng = np.random.default_rng(0)
    weights = rng.random(M[2].size) + 0.2 if kind == "weights" else None
    reg = ("count", 0.05) if kind == "count" else 0.5
    result = numopt.matrix_completion(M, 3, reg=reg, weights=weights, method=method, tol=1e-8)
    options = {"weights": weights}
    if kind == "count":
        options["row_reg"] = 0.05 * np.bincount(M[0], minlength=60)
        options["col_reg"] = 0.05 * np.bincount(M[1], minlength=50)
    assert result.success
    assert relative_gradient(M, result.X, result.Y, 0.5, **options) < 1e-7
    fun = objective(M, result.X, result.Y, 0.5, **options)[0]
    assert result.fun == pytest.approx(fun, rel=1e-10)
    assert relative_gradient(M, 1.01 * result.X, result.Y, 0.5, **options) > 1e-4


@pytest.mark.slow
def test_same_minimum_as_exact_alternation():
    M, _ = sampled(30, 25, 2, 3.0, noise=0.5)
    rows, columns, values, _ = M
    X, Y = np.random.default_rng(0).normal(size=(2, 30, 2))
    Y, reg = Y[:25], 0.7
    result = numopt.matrix_completion(M, 2, reg=reg, x0=(X, Y), tol=1e-10, rng=0)
    for _ in range(3000):
        for own, other, F, G in ((rows, columns, X, Y), (columns, rows, Y, X)):
            for i in range(F.shape[0]):
                A = G[other[own == i]]
                stacked = np.vstack([A, math.sqrt(reg) * np.eye(2)])
                right = np.append(values[own == i], [0, 0])
                F[i] = np.linalg.lstsq(stacked, right)[0]
    assert result.fun == pytest.approx(objective(M, X, Y, reg)[0], rel=1e-8)


def test_work_grows_linearly_with_the_rank():
    """Work is entries times k times steps; exact updates take k^2 / 2 products an entry."""
    rng, (m, n), ranks = np.random.default_rng(0), (300, 250), (4, 8, 16, 32)
    U, V = rng.normal(size=(m, 32)), rng.normal(size=(n, 32)) * np.geomspace(1, 0.05, 32)
    rows, columns = np.nonzero(rng.random((m, n)) < 0.5)
    values = (U[rows] * V[columns]).sum(axis=1) + 0.1 * rng.normal(size=rows.size)
    options = {"reg": 1.0, "rng": 0, "continuation": False, "polish": None, "maxiter": 500}
    work = []
    for k in ranks:
        approximate, exact = (
            numopt.matrix_completion((rows, columns, values, (m, n)), k, method=method, **options)
            for method in ("pcg", "exact")
        )
        assert approximate.success
        assert exact.success
        assert approximate.fun == pytest.approx(exact.fun, rel=1e-8)
        assert approximate.nit <= 1.1 * exact.nit
        work.append(approximate.nit * k * (approximate.stats["inner_iterations"] + 1))
    assert 1 <= np.polyfit(np.log(ranks), np.log(work), 1)[0] <= 1.25


def singular_value_thresholding(M, reg, sweeps=4000):
    """Return the minimum of |P(Z) - b|^2 / 2 + reg |Z|_* by accelerated proximal gradients."""
    rows, columns, values, shape = M
    dense, mask = np.zeros(shape), np.zeros(shape)
    dense[rows, columns], mask[rows, columns] = values, 1
    Z = last = np.zeros(shape)
    for t in range(1, sweeps):
        point = Z + (t - 1) / (t + 2) * (Z - last)
        U, s, Vh = np.linalg.svd(point - mask * point + dense, full_matrices=False)
        last, Z = Z, U * np.maximum(s - reg, 0) @ Vh
    s = np.linalg.svd(Z, compute_uv=False)
    return 0.5 * ((mask * Z - dense) ** 2).sum() + reg * s.sum(), Z


def test_certificate_proves_the_convex_minimum():
    M, _ = sampled(60, 50, 3, 3.0, noise=0.3)
    result = numopt.matrix_completion(M, 12, reg=4.0, certify=True, tol=1e-9, maxiter=3000)
    assert result.stats["dual_norm"] == pytest.approx(1, abs=1e-5)
    assert 0 <= result.gap * result.fun / 2 < 1e-6 * result.fun
    value, Z = singular_value_thresholding(M, 4.0)
    assert result.fun / 2 == pytest.approx(value, rel=1e-7)
    np.testing.assert_allclose(result.matrix(), Z, atol=1e-5 * np.abs(Z).max())


def test_certificate_sees_a_rank_that_binds():
    M, _ = sampled(60, 50, 3, 3.0, noise=0.3)
    bound = numopt.matrix_completion(M, 1, reg=1.0, certify=True)
    free = numopt.matrix_completion(M, 12, reg=1.0)
    assert bound.stats["dual_norm"] > 1.5
    assert bound.fun > free.fun
    assert bound.gap * bound.fun / 2 >= (bound.fun - free.fun) / 2 * (1 - 1e-6)


@pytest.mark.parametrize("kappa", [1.0, 30.0, 1e3])
def test_rank_is_found_from_what_is_seen(kappa):
    for seed in range(3):
        M, truth = sampled(300, 300, 8, 4.0, kappa, seed)
        result = numopt.matrix_completion(M, max_rank=20, rng=seed, tol=1e-7)
        assert result.rank == 8
        assert error(result, truth) < 1e-5


def test_rank_of_noisy_data_is_where_the_error_is_least():
    M, _ = sampled(200, 150, 4, 6.0, noise=0.3)
    assert numopt.matrix_completion(M, max_rank=12, rng=0).rank == 4


@pytest.mark.parametrize(("ratio", "kappa"), [(1.2, 1.0), (1.5, 1.0), (1.5, 10.0)])
def test_gauss_newton_goes_on_to_the_information_limit(ratio, kappa):
    n, r = 300, 5
    U, V = lowrank(n, n, r, kappa, 3)
    rng = np.random.default_rng(3)
    count, mask = round(ratio * r * (2 * n - r)), np.zeros((n, n), bool)
    for _ in range(r + 1):  # no row or column with fewer entries than unknowns
        mask[np.arange(n), rng.permutation(n)] = True
    mask.flat[rng.choice(np.nonzero(~mask.ravel())[0], count - mask.sum(), replace=False)] = True
    rows, columns = np.nonzero(mask)
    values = np.einsum("ij,ij->i", U[rows], V[columns])
    M = (rows, columns, values, (n, n))
    result = numopt.matrix_completion(M, r, rng=0, tol=1e-9)
    assert result.success
    assert error(result, (U, V)) < 1e-5
    plain = numopt.matrix_completion(
        M, r, rng=0, tol=1e-9, polish=None, path_factor=0.7, momentum=0.0, maxiter=result.nit
    )
    assert error(plain, (U, V)) > 10 * error(result, (U, V))


def test_single_precision():
    M, truth = sampled(200, 150, 4, 5.0)
    M = (*M[:2], M[2].astype(np.float32), M[3])
    result = numopt.matrix_completion(M, 4, rng=0)
    assert result.X.dtype == np.float32
    assert result.success
    assert error(result, truth) < 1e-3


def test_one_row_with_a_third_of_the_entries():
    U, V = lowrank(300, 6000, 3)
    mask = np.random.default_rng(0).random((300, 6000)) < 0.008
    mask[7] = True
    rows, columns = np.nonzero(mask)
    M = rows, columns, np.einsum("ij,ij->i", U[rows], V[columns]), (300, 6000)
    assert np.bincount(rows).max() > max(0.25 * rows.size, 4096)  # beyond what is buffered
    for method in ("pcg", "exact"):
        result = numopt.matrix_completion(M, 3, reg=0.5, method=method, tol=1e-7, rng=0)
        assert result.success
        assert relative_gradient(M, result.X, result.Y, 0.5) < 1e-6


def test_empty_rows_and_columns():
    M, _ = sampled(60, 50, 2, 5.0)
    rows, columns, values, _ = M
    kept = (rows != 5) & (columns != 9)
    M = rows[kept], columns[kept], values[kept], (60, 50)
    for bias in (False, True):
        result = numopt.matrix_completion(M, 2, bias=bias, reg=0.1 * bias, rng=0)
        assert list(result.empty_rows) == [5]
        assert list(result.empty_cols) == [9]
        assert not result.X[5].any()
        assert not result.Y[9].any()
        assert np.isfinite(result.matrix()).all()
        expected = result.mu + (result.col_bias[3] if bias else 0)
        assert result.predict(np.array([5]), np.array([3]))[0] == pytest.approx(expected)


def test_rows_with_fewer_entries_than_unknowns():
    rng = np.random.default_rng(0)
    M = rng.normal(size=(40, 30))
    M[rng.random(M.shape) < 0.9] = np.nan
    for method in ("pcg", "exact"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            result = numopt.matrix_completion(M, 5, method=method, rng=0, maxiter=30)
        assert np.isfinite(result.X).all()
        assert np.isfinite(result.fun)


@settings(max_examples=6, derandomize=True, deadline=None, database=None)
@given(st.integers(0, 100), st.sampled_from([1e-8, 1e8, 3.0]))
def test_invariances(seed, unit):
    M, _ = sampled(50, 40, 2, 5.0, seed=seed, noise=0.1)
    rows, columns, values, shape = M
    options = {"reg": 0.3, "tol": 1e-9, "rng": 0}
    base = numopt.matrix_completion(M, 2, **options)
    dense = base.matrix()
    order = np.random.default_rng(seed).permutation(values.size)
    shuffled = rows[order], columns[order], values[order], shape
    np.testing.assert_array_equal(numopt.matrix_completion(shuffled, 2, **options).X, base.X)
    scaled = numopt.matrix_completion(
        (rows, columns, unit * values, shape), 2, **{**options, "reg": 0.3 * unit}
    )
    np.testing.assert_allclose(scaled.matrix() / unit, dense, atol=1e-6 * np.abs(dense).max())
    flipped = numopt.matrix_completion((columns, rows, values, (40, 50)), 2, **options)
    assert flipped.fun == pytest.approx(base.fun, rel=1e-8)
    np.testing.assert_allclose(flipped.matrix().T, dense, atol=1e-5 * np.abs(dense).max())


def test_objective_never_rises_without_momentum():
    M, _ = sampled(80, 60, 3, 4.0, noise=0.2)
    result = numopt.matrix_completion(M, 3, reg=0.5, continuation=False, momentum=0.0, rng=0)
    values = [record["fun"] for record in result.history]
    assert all(b <= a * (1 + 1e-12) for a, b in pairwise(values))
