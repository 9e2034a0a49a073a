"""Robust recovery from measurements: exactness, its limits, options."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from libraries import to_numpy
from recovery_problems import psd, relative_error, sensing

import numopt
from numopt import Status, recovery

solve = numopt.robust_low_rank_recovery


@pytest.mark.parametrize("rank", [2, 6, 12, None])
@pytest.mark.parametrize("kappa", [1.0, 10.0])
def test_recovery_is_exact_whatever_the_rank_allowed(rank, kappa):
    planted = sensing(1, p=0.3, over=12, kappa=kappa)
    result = solve(planted.A, planted.y, rank)
    assert result.success
    assert result.status == Status.CONVERGED
    assert result.rank == 2
    assert relative_error(result.matrix(), planted.X) < 1e-12
    np.testing.assert_array_equal(result.outlier_mask, planted.wrong)
    assert result.n_inliers == (~planted.wrong).sum()
    assert result.outlier_fraction == pytest.approx(planted.wrong.mean())
    assert result.consensus >= 1.5


def test_certificate_can_be_rebuilt_from_the_result():
    A, y, _, _ = sensing(2)
    result = solve(A, y)
    residual = np.einsum("mij,ij->m", A, result.L @ result.R.T) - y
    np.testing.assert_allclose(result.residual, residual, atol=1e-12)
    agreeing = np.sum(abs(residual) <= 1e-8)
    unknowns = result.rank * (2 * 12 - result.rank + 1) / 2
    assert result.consensus == pytest.approx(agreeing / unknowns)
    assert result.fun == pytest.approx(abs(residual).mean())
    assert result.U is result.L is result.R
    np.testing.assert_allclose(
        result.singular_values, np.linalg.svd(result.matrix())[1][:2], rtol=1e-12
    )


@pytest.mark.slow
@pytest.mark.parametrize("rank", [3, 6, 30])
def test_nearly_all_trials_are_exact(rank):
    """Twenty trials at d=30, r=3, twelve measurements an unknown of a factor, 30 % wrong."""
    exact = 0
    for seed in range(20):
        planted = sensing(100 + seed, d=30, r=3, p=0.3, over=12)
        result = solve(planted.A, planted.y, rank)
        exact += result.success and relative_error(result.matrix(), planted.X) < 1e-8
    assert exact >= 19


@pytest.mark.parametrize(("p", "over"), [(0.6, 40), (0.8, 100)])
def test_most_measurements_may_be_wrong(p, over):
    planted = sensing(3, p=p, over=over)
    result = solve(planted.A, planted.y)
    assert result.success
    assert relative_error(result.matrix(), planted.X) < 1e-10


def test_certificate_holds_against_a_coincidence():
    """A matrix of the largest rank can meet as many measurements as it has unknowns, no more."""
    rng = np.random.default_rng(4)
    A, y = rng.normal(size=(90, 8, 8)), rng.normal(size=90)
    result = solve(A, y, 8)
    assert not result.success
    assert result.status in (Status.NOISE_FLOOR, Status.NO_STRUCTURE)
    assert result.consensus < 1.5
    assert np.all(np.isfinite(result.matrix()))


@pytest.mark.parametrize("over", [1, 2])
def test_too_few_measurements_end_without_success(over):
    planted = sensing(5, p=0.4, over=over)
    result = solve(planted.A, planted.y, 12, maxiter=300)
    assert not result.success
    assert result.status in (Status.ITERATION_LIMIT, Status.NOISE_FLOOR, Status.NO_STRUCTURE)
    assert np.all(np.isfinite(result.L))
    assert result.message.endswith(".")


def test_published_method_stops_at_a_floor_that_falls_with_the_start():
    planted = sensing(6, p=0.2, over=14)
    floors = []
    for alpha in (1e-2, 1e-4, 1e-8):
        result = solve(
            planted.A, planted.y, 12, alpha=alpha, prune=False, polish=False, scaling=False,
            maxiter=400, tol=1e-13,
        )  # fmt: skip
        floors.append(relative_error(result.matrix(), planted.X))
    assert floors[0] > 3 * floors[1] > 9 * floors[2]
    assert floors[0] > 1e-4


def test_a_large_start_fits_the_outliers():
    planted = sensing(7, p=0.3, over=8)
    options = {"prune": False, "polish": False, "scaling": False, "maxiter": 300}
    small = solve(planted.A, planted.y, 12, alpha=1e-6, **options)
    large = solve(planted.A, planted.y, 12, alpha=1.0, x0="random", rng=0, **options)
    assert relative_error(small.matrix(), planted.X) < 1e-2
    assert relative_error(large.matrix(), planted.X) > 0.1


def test_geometric_steps_recover():
    planted = sensing(8, p=0.2, over=14)
    result = solve(
        planted.A, planted.y, 2, step="geometric", decay=0.98, polish=False, scaling=False,
        alpha=1e-2, maxiter=900, tol=1e-6,
    )  # fmt: skip
    assert result.success
    assert relative_error(result.matrix(), planted.X) < 1e-5


POLYAK = {"step": "polyak", "polish": False, "prune": False, "maxiter": 400, "tol": 1e-9}


def mean_error(A, y, X):
    return float(np.mean(abs(np.einsum("mij,ij->m", A, X) - y)))


@pytest.mark.parametrize("scaling", [False, True])
@pytest.mark.parametrize(("p", "kappa"), [(0.0, 1.0), (0.2, 5.0), (0.5, 1.0)])
def test_polyak_steps_recover_where_the_optimal_value_is_known(p, kappa, scaling):
    planted = sensing(41, p=p, over=40, kappa=kappa)
    optimum = mean_error(planted.A, planted.y, planted.X)
    result = solve(planted.A, planted.y, 2, fun_star=optimum, scaling=scaling, **POLYAK)
    assert result.success
    assert relative_error(result.matrix(), planted.X) < 1e-7
    assert result.fun == pytest.approx(optimum, abs=1e-7)
    missed = solve(planted.A, planted.y, 2, fun_star=optimum / 2, scaling=scaling, **POLYAK)
    assert missed.success == (p == 0)


@pytest.mark.parametrize("scaling", [False, True])
def test_polyak_steps_recover_rectangular_matrices(scaling):
    A, y, X = rectangular(42, over=22)
    optimum = mean_error(A, y, X)
    result = solve(A, y, 2, symmetric=False, fun_star=optimum, scaling=scaling, **POLYAK)
    assert result.success
    assert relative_error(result.matrix(), X) < 1e-7


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("symmetric", [True, False])
def test_polyak_step_is_as_long_as_its_formula(symmetric, weighted):
    rng = np.random.default_rng(43)
    planted = sensing(43, d=8, r=1, over=20)
    A, y, X = planted.A, planted.y, planted.X
    weights = rng.random(y.size) + 0.5 if weighted else np.ones(y.size)
    U = np.linalg.eigh(X)[1][:, -1:] + 0.02 * rng.normal(size=(8, 1))
    V = U if symmetric else U + 0.02 * rng.normal(size=(8, 1))
    residual = np.einsum("mij,ij->m", A, U @ V.T) - y
    errors = np.einsum("mij,ij->m", A, X) - y
    optimum = np.mean(weights * abs(errors))
    D = np.einsum("m,mij->ij", weights * np.sign(residual), A) / y.size
    gradients = [(D + D.T) @ U] if symmetric else [D @ V, D.T @ U]
    length = (np.mean(weights * abs(residual)) - optimum) / sum(np.sum(g**2) for g in gradients)
    left = U - length * gradients[0]
    right = left if symmetric else V - length * gradients[1]
    options = POLYAK | {"maxiter": 1, "scaling": False, "symmetric": symmetric}
    x0 = U if symmetric else (U, V)
    result = solve(A, y, 1, fun_star=optimum, weights=weights, x0=x0, **options)
    np.testing.assert_allclose(result.matrix(), left @ right.T, rtol=1e-12)


def test_polyak_steps_with_quadratic_measurements():
    """Signs are then taken around the median, and so is the objective."""
    rng = np.random.default_rng(44)
    X, a = psd(rng, 20, 2), rng.normal(size=(1000, 20))
    clean = np.sum((a @ X) * a, axis=1)
    y = clean + 20 * rng.normal(size=1000) * (rng.random(1000) < 0.2)
    optimum = float(np.mean(abs(y - clean)))
    result = solve(recovery.RankOneSensing(a), y, 2, fun_star=optimum, **POLYAK)
    assert result.success
    assert relative_error(result.matrix(), X) < 1e-7


def test_pruning_alone_lowers_the_rank():
    planted = sensing(9, p=0.2, over=20)
    result = solve(planted.A, planted.y, 12, polish=False, scaling=False, maxiter=400, tol=1e-10)
    assert result.rank == 2
    assert result.stats["rank_history"] == [12, 2]
    assert relative_error(result.matrix(), planted.X) < 1e-7


def test_gaussian_noise_is_averaged_out():
    """Mean error over 20 trials, in units of noise * sqrt(d r / m)."""
    ratios = []
    for seed in range(20):
        planted = sensing(200 + seed, d=20, p=0.1, over=12, noise=0.05)
        result = solve(planted.A, planted.y, 6, noise=True)
        assert result.success
        assert result.status == Status.NOISE_FLOOR
        assert result.rank == 2
        error = np.linalg.norm(result.matrix() - planted.X)
        ratios.append(error / (0.05 * math.sqrt(20 * 2 / planted.y.size)))
        assert result.sigma == pytest.approx(0.05, rel=0.5)
    assert 0.9 <= np.mean(ratios) <= 1.6


def test_noise_that_was_not_announced_is_no_success():
    planted = sensing(10, noise=0.05)
    result = solve(planted.A, planted.y)
    assert result.status == Status.NOISE_FLOOR
    assert not result.success
    assert "noise=True" in result.message


def test_least_absolute_deviations_over_the_cone_agree():
    """Where the convex program is exact, it finds the same matrix."""
    cvxpy = pytest.importorskip("cvxpy", reason="CVXPY is not installed (group bench)")
    planted = sensing(11, d=10, r=1, p=0.2, over=12)
    X = cvxpy.Variable((10, 10), PSD=True)
    flat = planted.A.reshape(-1, 100)
    residual = flat @ cvxpy.vec(X, order="C") - planted.y
    cvxpy.Problem(cvxpy.Minimize(cvxpy.norm1(residual))).solve(solver="CLARABEL")
    result = solve(planted.A, planted.y)
    assert relative_error(X.value, planted.X) < 1e-6
    np.testing.assert_allclose(result.matrix(), X.value, atol=1e-6)


def test_recovery_where_the_convex_program_fails():
    """At few measurements convexity costs more than it gives: 20 % wrong, 5 d r measurements."""
    cvxpy = pytest.importorskip("cvxpy", reason="CVXPY is not installed (group bench)")
    planted = sensing(12, d=12, r=2, p=0.3, over=6)
    X = cvxpy.Variable((12, 12), PSD=True)
    residual = planted.A.reshape(-1, 144) @ cvxpy.vec(X, order="C") - planted.y
    cvxpy.Problem(cvxpy.Minimize(cvxpy.norm1(residual))).solve(solver="CLARABEL")
    result = solve(planted.A, planted.y)
    assert relative_error(X.value, planted.X) > 0.05
    assert result.success
    assert relative_error(result.matrix(), planted.X) < 1e-10


def rectangular(seed, d1=9, d2=14, r=2, p=0.25, over=10):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(d1, r)) @ rng.normal(size=(r, d2))
    m = over * (d1 + d2) * r // 2
    A = rng.normal(size=(m, d1, d2))
    y = np.einsum("mij,ij->m", A, X)
    y[: int(p * m)] += 100 * rng.normal(size=int(p * m))
    return A, y, X


@pytest.mark.parametrize("rank", [2, 6, None])
def test_rectangular_recovery_is_exact(rank):
    A, y, X = rectangular(13)
    result = solve(A, y, rank, symmetric=False)
    assert result.success
    assert result.rank == 2
    assert result.U is None
    assert relative_error(result.matrix(), X) < 1e-10
    gram = result.L.T @ result.L
    np.testing.assert_allclose(gram, result.R.T @ result.R, atol=1e-9)
    np.testing.assert_allclose(gram, np.diag(np.diag(gram)), atol=1e-9)


def test_indefinite_matrices_need_rectangular_factors():
    rng = np.random.default_rng(14)
    X = psd(rng, 10, 1) - 2 * psd(rng, 10, 1)
    A = rng.normal(size=(500, 10, 10))
    y = np.einsum("mij,ij->m", A, X)
    y[:50] = 100
    symmetric = solve(A, y, 3)
    assert not symmetric.success
    assert "symmetric=False" in symmetric.message
    result = solve(A, y, 3, symmetric=False)
    assert result.success
    assert relative_error(result.matrix(), X) < 1e-10


@pytest.mark.parametrize("rank", [2, 10, None])
def test_quadratic_measurements(rank):
    """Measurements a'Xa are all positive: signs are taken around their median."""
    rng = np.random.default_rng(15)
    d, m = 24, 800
    X, a = psd(rng, d, 2), rng.normal(size=(m, d))
    y = np.sum((a @ X) * a, axis=1)
    wrong = rng.random(m) < 0.2
    y[wrong] += 20 * rng.normal(size=wrong.sum())
    result = solve(recovery.RankOneSensing(a), y, rank)
    assert result.success
    assert relative_error(result.matrix(), X) < 1e-9
    np.testing.assert_array_equal(result.outlier_mask, wrong)


def test_bilinear_measurements():
    rng = np.random.default_rng(16)
    X = rng.normal(size=(15, 2)) @ rng.normal(size=(2, 20))
    a, b = rng.normal(size=(700, 15)), rng.normal(size=(700, 20))
    y = np.sum((a @ X) * b, axis=1)
    y[:150] = 200 * rng.normal(size=150)
    result = solve(recovery.RankOneSensing(a, b), y, symmetric=False)
    assert result.success
    assert relative_error(result.matrix(), X) < 1e-9


def test_large_matrices_start_from_a_few_eigenvectors():
    """Above 400 rows the start comes from a block power method, the finish from products."""
    rng = np.random.default_rng(17)
    d, m = 420, 6000
    X, a = psd(rng, d, 1), rng.normal(size=(m, d))
    y = np.sum((a @ X) * a, axis=1)
    y[:1000] = 30 * rng.normal(size=1000)
    result = solve(recovery.RankOneSensing(a), y, 3)
    assert result.success
    assert result.rank == 1
    assert relative_error(result.matrix(), X) < 1e-8


def test_generated_measurements_give_what_stored_ones_do():
    rng = np.random.default_rng(18)
    operator = recovery.SeededGaussianSensing(260, 12, 4, like=np.empty(0), chunk=100)
    stored = recovery.DenseSensing(operator.to_dense())
    U = rng.normal(size=(12, 2))
    y = stored.forward(U, U)
    y[:60] += 100
    results = [solve(given, y) for given in (operator, stored)]
    assert results[0].success
    np.testing.assert_allclose(results[0].matrix(), results[1].matrix(), atol=1e-10)
    np.testing.assert_allclose(results[0].matrix(), U @ U.T, atol=1e-9)


def test_an_unknown_offset_is_found():
    planted = sensing(19, p=0.2, over=15)
    result = solve(planted.A, planted.y + 3.5, fit_intercept=True)
    assert result.success
    assert result.intercept == pytest.approx(3.5, abs=1e-9)
    assert relative_error(result.matrix(), planted.X) < 1e-8
    assert not solve(planted.A, planted.y + 3.5, maxiter=200).success


def test_weights_of_zero_leave_measurements_out():
    planted = sensing(20, p=0.1, over=15)
    y = planted.y.copy()
    y[::2] += 1.0  # half of the measurements agree on another answer
    result = solve(planted.A, y, weights=np.arange(y.size) % 2 * 1.0)
    assert result.success
    assert relative_error(result.matrix(), planted.X) < 1e-9


def test_warm_start_needs_next_to_nothing():
    planted = sensing(21)
    cold = solve(planted.A, planted.y)
    for x0 in (cold, cold.U):
        warm = solve(planted.A, planted.y, x0=x0)
        assert warm.success
        assert warm.nit < cold.nit / 3
    A, y, X = rectangular(22)
    cold = solve(A, y, symmetric=False)
    for x0 in (cold, (cold.L, cold.R)):
        warm = solve(A, y, symmetric=False, x0=x0)
        assert warm.success
        assert warm.nit < cold.nit / 3
        assert relative_error(warm.matrix(), X) < 1e-10


def test_all_libraries_agree(lib):
    if not lib.indexing:
        pytest.skip("this device has no functions that return indices")
    planted = sensing(23, d=8, r=1, p=0.25, over=16)
    expected = solve(planted.A, planted.y, 3, rng=0)
    result = solve(lib.asarray(planted.A), lib.asarray(planted.y), 3, rng=0)
    assert result.success
    assert lib.holds(result.U, lib.widest)
    assert lib.holds(result.singular_values, lib.widest)
    atol = 1e-10 if lib.widest == "float64" else 1e-5
    np.testing.assert_allclose(to_numpy(result.matrix()), expected.matrix(), atol=atol)
    np.testing.assert_array_equal(to_numpy(result.outlier_mask), expected.outlier_mask)
    A, y, X = rectangular(24, 6, 7, 1, over=16)
    result = solve(lib.asarray(A), lib.asarray(y), 2, symmetric=False, rng=0)
    assert result.success
    assert relative_error(to_numpy(result.matrix()), X) < 1e-4


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_precision_of_the_input_is_kept(dtype):
    planted = sensing(25)
    result = solve(planted.A.astype(dtype), planted.y.astype(dtype))
    assert result.success
    assert result.U.dtype == dtype
    assert relative_error(result.matrix(), planted.X) < 50 * np.finfo(dtype).eps


def test_integers_become_floats():
    rng = np.random.default_rng(26)
    A = rng.integers(-9, 10, size=(200, 6, 6))
    u = np.arange(6)
    y = np.einsum("i,mij,j->m", u, A, u)
    y[:50] += 1000
    result = solve(A, y)
    assert result.U.dtype == "float64"
    np.testing.assert_allclose(result.matrix(), np.outer(u, u), atol=1e-8)


@settings(max_examples=10, derandomize=True, deadline=None, database=None)
@given(power=st.integers(-20, 20))
def test_scaling_the_measurements_scales_the_factor(power):
    planted = sensing(27, d=8, r=1, over=14)
    base = solve(planted.A, planted.y, 3)
    scaled = solve(planted.A, planted.y * 4.0**power, 3)
    assert scaled.nit == base.nit
    np.testing.assert_allclose(scaled.U, base.U * 2.0**power, rtol=1e-9, atol=1e-9 * 2.0**power)


@settings(max_examples=8, derandomize=True, deadline=None, database=None)
@given(seed=st.integers(0, 1000))
def test_rotations_and_orders_do_not_matter(seed):
    rng = np.random.default_rng(seed)
    planted = sensing(28, d=8, r=1, over=14)
    Q = np.linalg.qr(rng.normal(size=(8, 8)))[0]
    order = rng.permutation(planted.y.size)
    A = np.einsum("ai,mab,bj->mij", Q, planted.A, Q)[order]
    result = solve(A, planted.y[order], 3)
    assert result.success
    np.testing.assert_allclose(Q @ result.matrix() @ Q.T, planted.X, atol=1e-9)
    np.testing.assert_array_equal(result.outlier_mask, planted.wrong[order])


def test_same_seed_same_result_and_inputs_untouched():
    planted = sensing(29)
    A, y = planted.A.copy(), planted.y.copy()
    A.setflags(write=False)
    y.setflags(write=False)
    one, two = (solve(A, y, x0="random", rng=7) for _ in range(2))
    np.testing.assert_array_equal(one.U, two.U)
    assert one.nit == two.nit


def test_zero_measurements_give_the_zero_matrix():
    result = solve(np.random.default_rng(0).normal(size=(60, 5, 5)), np.zeros(60))
    assert result.success
    assert result.fun == 0.0
    np.testing.assert_array_equal(result.matrix(), np.zeros((5, 5)))


def test_one_by_one():
    A = np.arange(1.0, 31).reshape(30, 1, 1)
    y = 2 * A[:, 0, 0]
    y[::4] = 0
    result = solve(A, y)
    assert result.success
    np.testing.assert_allclose(result.matrix(), [[2.0]], rtol=1e-12)


def test_no_iterations_give_a_certified_start():
    planted = sensing(30)
    result = solve(planted.A, planted.y, maxiter=0)
    assert result.nit == 0
    assert result.status == Status.ITERATION_LIMIT
    assert not result.success
    assert len(result.history) == 1


def test_callback_sees_records_and_may_stop():
    planted, seen = sensing(31), []

    def callback(intermediate_result):
        seen.append(intermediate_result)
        if intermediate_result.nit == 7:
            raise StopIteration

    result = solve(planted.A, planted.y, callback=callback)
    assert result.status == Status.STOPPED_BY_CALLBACK
    assert result.nit == 7
    assert [record.nit for record in seen] == list(range(8))
    assert set(seen[0]) == {"nit", "error", "fun", "scale", "rank", "seconds"}
    assert result.history[-1]["scale"] == seen[-1].scale


def test_growth_solves_where_descent_cannot():
    """Steps far too small never leave the start; growing ranks still do."""
    planted = sensing(32)
    result = solve(planted.A, planted.y, eta=1e-4, maxiter=300)
    assert result.success
    assert relative_error(result.matrix(), planted.X) < 1e-10
