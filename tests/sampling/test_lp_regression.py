"""l_p regression: optimality rebuilt from what is returned, exact solvers, closed forms."""

import math

import lp_problems
import numpy as np
import pytest
from data import load, references
from hypothesis import given, settings
from hypothesis import strategies as st
from libraries import to_numpy
from scipy.optimize import linprog, minimize

import numopt

POWERS = (1, 1.1, 1.5, 2, 3, 8)
SOLVE = numopt.lp_regression


def pinball(residual, quantile=None):
    if quantile is None:
        return np.abs(residual).sum()
    return np.where(residual > 0, quantile * residual, (quantile - 1) * residual).sum()


def rebuilt_gap(A, b, p, result, weights=None, quantile=None):
    """Bound the distance from the optimum from x and the dual alone, without the library."""
    x, y = to_numpy(result.x).astype(np.longdouble), to_numpy(result.dual).astype(np.longdouble)
    w = np.ones(len(b)) if weights is None else weights
    residual = b - A @ x
    if p == 1:
        value = pinball(w * residual, quantile)
        up, down = (w, w) if quantile is None else (quantile * w, (1 - quantile) * w)
        assert (y <= up * (1 + 1e-6)).all()
        assert (y >= -down * (1 + 1e-6)).all()
        lower = y @ b
    else:
        value = ((w * np.abs(residual) ** p).sum()) ** (1 / p)
        q = p / (p - 1)
        kept = w > 0
        assert (y[~kept] == 0).all()
        norm = ((np.abs(y[kept]) / w[kept] ** (1 / p)) ** q).sum() ** (1 / q)
        lower = (y @ b) / norm
    infeasible = np.abs(A.T @ y).max() / (np.abs(A).T @ np.abs(y)).max()
    return float(1 - lower / value), float(infeasible)


def highs(A, b, quantile=None):
    """Value of the dual linear program."""
    up, down = (1, 1) if quantile is None else (quantile, 1 - quantile)
    solved = linprog(-b, A_eq=A.T, b_eq=np.zeros(A.shape[1]), bounds=[(-down, up)] * len(b))
    assert solved.status == 0
    return -solved.fun


@pytest.mark.parametrize("p", POWERS)
@pytest.mark.parametrize("name", lp_problems.REGRESSIONS)
def test_result_is_certified_by_what_is_returned(lib, name, p):
    A, b = lp_problems.REGRESSIONS[name]()
    result = SOLVE(lib.asarray(A), lib.asarray(b), p)
    single = lib.widest == "float32"
    assert result.success, result.message
    assert result.status is numopt.Status.CONVERGED
    assert lib.holds(result.x, lib.widest)
    assert lib.holds(result.dual, lib.widest)
    gap, infeasible = rebuilt_gap(A, b, p, result)
    assert -1e-4 * single - 1e-12 <= gap <= (2e-4 if single else 1.1e-9)
    assert infeasible <= (1e-4 if single else 1e-9)
    assert result.gap <= (1e-4 if single else 1e-9)
    residual = b - A @ to_numpy(result.x).astype(float)
    assert result.norm == pytest.approx((np.abs(residual) ** p).sum() ** (1 / p), rel=1e-4)
    assert result.fun == pytest.approx(result.norm**p)


@pytest.mark.parametrize("quantile", [None, 0.1, 0.5, 0.75])
@pytest.mark.parametrize("name", lp_problems.REGRESSIONS)
def test_value_is_that_of_the_linear_program(name, quantile):
    A, b = lp_problems.REGRESSIONS[name]()
    result = SOLVE(A, b, quantile=quantile)
    assert result.success
    assert result.fun == pytest.approx(highs(A, b, quantile), rel=1e-9)
    assert result.fun == pytest.approx(pinball(b - A @ result.x, quantile), rel=1e-12)
    gap, infeasible = rebuilt_gap(A, b, 1, result, quantile=quantile)
    assert abs(gap) <= 1e-9
    assert infeasible <= 1e-12


def test_least_squares():
    A, b = lp_problems.regression()
    expected, squares, *_ = np.linalg.lstsq(A, b)
    result = SOLVE(A, b, 2)
    np.testing.assert_allclose(result.x, expected, rtol=1e-12)
    assert result.fun == pytest.approx(squares[0], rel=1e-13)


@pytest.mark.parametrize("p", [1.3, 3, 8])
def test_gradient_vanishes(p):
    A, b = lp_problems.regression()
    residual = b - A @ SOLVE(A, b, p, tol=1e-13).x
    terms = np.sign(residual) * np.abs(residual) ** (p - 1)
    assert np.abs(A.T @ terms).max() <= 1e-5 * (np.abs(A).T @ np.abs(terms)).max()


@pytest.mark.parametrize("p", [1.5, 3])
def test_ridge_agrees_with_a_general_minimizer(p):
    A, b = lp_problems.regression(80, 3)
    result = SOLVE(A, b, p, ridge=2.5, tol=1e-13)
    assert result.success

    def objective(x):
        r = b - A @ x
        gradient = -p * A.T @ (np.sign(r) * np.abs(r) ** (p - 1)) + 5 * x
        return (np.abs(r) ** p).sum() + 2.5 * x @ x, gradient

    found = minimize(objective, np.zeros(3), jac=True, options={"gtol": 1e-10})
    assert result.fun <= found.fun * (1 + 1e-11)
    assert result.fun == pytest.approx(found.fun, rel=1e-9)
    np.testing.assert_allclose(A.T @ result.dual, 5 * result.x, atol=1e-6)


def test_ridge_with_absolute_deviations_has_its_optimality_conditions():
    A, b = lp_problems.regression()
    result = SOLVE(A, b, 1, ridge=1.5)
    assert result.success
    residual = b - A @ result.x
    np.testing.assert_allclose(A.T @ result.dual, 3 * result.x, atol=1e-6)
    dual_value = b @ result.dual - (A.T @ result.dual) @ (A.T @ result.dual) / 6
    assert result.fun == pytest.approx(np.abs(residual).sum() + 1.5 * result.x @ result.x)
    assert abs(result.fun - dual_value) <= 1e-8 * result.fun


@pytest.mark.parametrize("p", [1, 1.5, 3])
def test_weights_count_rows(p):
    A, b = lp_problems.regression()
    counts = np.random.default_rng(3).integers(0, 4, len(b))
    weighted = SOLVE(A, b, p, weights=counts.astype(float))
    repeated = SOLVE(np.repeat(A, counts, axis=0), np.repeat(b, counts), p)
    assert weighted.fun == pytest.approx(repeated.fun, rel=p * 1e-9)
    np.testing.assert_allclose(weighted.x, repeated.x, rtol=1e-4)
    gap, infeasible = rebuilt_gap(A, b, p, weighted, counts.astype(float))
    assert gap <= 1.1e-9
    assert infeasible <= 1e-9


@pytest.mark.parametrize("quantile", [0.2, 0.5, 0.9])
def test_quantile_splits_the_rows(quantile):
    A, b = lp_problems.regression(500, 5)
    A[:, 0] = 1
    result = SOLVE(A, b, quantile=quantile)
    below = ((b - A @ result.x < 0) & ~result.active).sum()
    assert abs(below / 500 - quantile) <= 5 / 500
    assert result.active.sum() == 5
    np.testing.assert_allclose((A @ result.x)[result.active], b[result.active], rtol=1e-10)


def test_median_has_half_the_loss():
    A, b = lp_problems.regression()
    whole, half = SOLVE(A, b), SOLVE(A, b, quantile=0.5)
    assert whole.fun == pytest.approx(2 * half.fun, rel=1e-12)
    np.testing.assert_allclose(whole.x, half.x, rtol=1e-9)


@pytest.mark.parametrize("p", [1, 1.5, 4])
@pytest.mark.parametrize(("factor_a", "factor_b"), [(1e150, 1e-100), (1e-150, 1e100), (1, 1e-160)])
def test_extreme_scales(p, factor_a, factor_b):
    A, b = lp_problems.regression()
    plain, scaled = SOLVE(A, b, p), SOLVE(A * factor_a, b * factor_b, p)
    assert scaled.success
    np.testing.assert_allclose(scaled.x * (factor_a / factor_b), plain.x, rtol=1e-5)
    assert scaled.norm / factor_b == pytest.approx(plain.norm, rel=1e-9)


@pytest.mark.parametrize("p", [1, 1.5, 3])
def test_change_of_coordinates(p):
    A, b = lp_problems.regression()
    change = np.random.default_rng(1).normal(size=(4, 4)) * np.logspace(0, 5, 4)
    plain, changed = SOLVE(A, b, p), SOLVE(A @ change, b, p)
    assert changed.success
    assert changed.fun == pytest.approx(plain.fun, rel=1e-8)
    np.testing.assert_allclose(change @ changed.x, plain.x, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("p", [1, 1.5, 2, 3])
def test_rank_deficient_matrix_gives_the_least_norm(p):
    A, b = lp_problems.regression(d=3)
    B = np.concatenate([A, A[:, :1] + A[:, 1:2], np.zeros((len(b), 1))], axis=1)
    full, deficient = SOLVE(A, b, p), SOLVE(B, b, p)
    assert deficient.success
    assert deficient.status is numopt.Status.RANK_DEFICIENT
    assert "least norm" in deficient.message
    assert deficient.fun == pytest.approx(full.fun, rel=1e-8)
    null = np.array([1.0, 1.0, 0.0, -1.0, 0.0])
    assert abs(deficient.x @ null) <= 1e-8
    assert abs(deficient.x[4]) <= 1e-12


@pytest.mark.parametrize("p", [1, 1.5, 3])
@pytest.mark.parametrize("n", [1, 3, 4])
def test_few_rows_are_fitted_exactly(n, p):
    A, b = lp_problems.regression()
    result = SOLVE(A[:n], b[:n], p)
    assert result.success
    assert result.gap == 0
    assert result.norm <= 1e-13
    assert result.active.all()
    shortest = np.linalg.pinv(A[:n]) @ b[:n]
    np.testing.assert_allclose(result.x, shortest, rtol=1e-8)


def test_responses_in_the_range_of_the_matrix():
    A, _ = lp_problems.regression()
    for p in POWERS:
        result = SOLVE(A, A @ np.arange(4.0), p)
        assert result.success
        np.testing.assert_allclose(result.x, np.arange(4.0), atol=1e-12)
    assert SOLVE(A, np.zeros(200), 1).fun == 0
    assert SOLVE(np.zeros((5, 2)), np.arange(5.0), 1).fun == 10


@pytest.mark.parametrize("name", lp_problems.REGRESSIONS)
@pytest.mark.parametrize("quantile", [None, 0.3])
def test_reduce_is_exact(name, quantile, monkeypatch):
    """With ties so many that it has to give up, too."""
    from numopt.sampling.regression import preprocess

    monkeypatch.setattr(preprocess, "LEAST_ROWS", 1000)
    monkeypatch.setattr(preprocess, "default_sample", lambda _n, d, _in_memory: 20 * d)
    A, b = lp_problems.REGRESSIONS[name](3000)
    reduced = SOLVE(A, b, quantile=quantile, method="reduce", rng=0)
    exact = SOLVE(A, b, quantile=quantile, method="exact")
    assert reduced.success
    assert exact.success
    assert reduced.fun == pytest.approx(exact.fun, rel=1e-9)
    gap, infeasible = rebuilt_gap(A, b, 1, reduced, quantile=quantile)
    assert abs(gap) <= 1e-9
    assert infeasible <= 1e-12


DEGENERATE = {
    "integers": lambda n: lp_problems.tied(n, 8),
    "duplicates": lambda n: [np.repeat(part, n // 1000, axis=0) for part in regression_rows()],
    "groups": lambda n: lp_problems.grouped(n, 10),
    "binary": lambda n: (lp_problems.tied(n, 4)[0], np.arange(n) % 3 == 0),
}


def regression_rows():
    return lp_problems.regression(1000, 6)


@pytest.mark.parametrize("quantile", [None, 0.9])
@pytest.mark.parametrize("name", DEGENERATE)
@pytest.mark.parametrize("n", [60_000, pytest.param(1_000_000, marks=pytest.mark.slow)])
def test_reduce_is_exact_on_many_degenerate_rows(n, name, quantile, monkeypatch):
    """Sums over all rows round differently from those over the free ones: the gap must not see it.

    Rows at an exact fit, tens of thousands of them, must not stop the rounds either.
    """
    from numopt.sampling.regression import preprocess

    whole = []
    original = preprocess.solve_exact

    def spy(problem, *args):
        whole.append(problem.rows.n == n)
        return original(problem, *args)

    monkeypatch.setattr(preprocess, "solve_exact", spy)
    A, b = DEGENERATE[name](n)
    b = b.astype(float)
    reduced = SOLVE(A, b, quantile=quantile, method="reduce", rng=0)
    assert reduced.success
    gap, infeasible = rebuilt_gap(A, b, 1, reduced, quantile=quantile)
    assert abs(gap) <= 1e-9
    assert infeasible <= 1e-12
    # All rows are used only where too many fit exactly; ties of groups come a sixth at a time.
    if name != "groups" and np.mean(np.abs(b - A @ reduced.x) < 1e-9) <= preprocess.TOO_MANY:
        assert not any(whole)


def test_reduce_works_on_few_rows(monkeypatch):
    """Passes over all rows are few, and the rounds see wrong signs and recover from them."""
    from numopt.sampling.regression import preprocess

    sizes = []
    original = preprocess.restricted

    def spy(problem, index, weights=None):
        sizes.append(index.shape[0])
        return original(problem, index, weights)

    monkeypatch.setattr(preprocess, "restricted", spy)
    A, b = lp_problems.regression(60_000, 5)
    result = SOLVE(A, b, method="reduce", rng=1)
    assert result.success
    assert max(sizes) <= 0.25 * 60_000
    assert result.stats["n_passes"] <= 15


@pytest.mark.parametrize("p", [1.5, 3])
def test_reduce_for_smooth_powers_is_exact(p):
    A, b = lp_problems.regression(60_000, 3)
    reduced = SOLVE(A, b, p, method="reduce", rng=0)
    exact = SOLVE(A, b, p, method="exact")
    assert reduced.success
    assert reduced.fun == pytest.approx(exact.fun, rel=1e-8)


@pytest.mark.parametrize("p", [1, 1.5, 3])
def test_coreset_is_close_and_says_that_it_is_approximate(p):
    A, b = lp_problems.regression(5000, 4, tail=3)
    exact = SOLVE(A, b, p)
    rough = SOLVE(A, b, p, method="coreset", rng=0)
    assert rough.success
    assert "approximate" in rough.message
    assert exact.fun * (1 - 1e-9) <= rough.fun <= 1.05 * exact.fun
    coreset = numopt.lp_coreset(A, b, p, sample_size=1500, rng=1)
    given = SOLVE(A, b, p, method="coreset", coreset=coreset)
    own = SOLVE(coreset.A, coreset.b, p, weights=coreset.weights)
    np.testing.assert_allclose(given.x, own.x, rtol=1e-6)
    assert given.fun == pytest.approx((np.abs(b - A @ given.x) ** p).sum())


def test_warm_start_along_a_path():
    A, b = lp_problems.regression(2000, 6, tail=3)
    cold = warm = 0
    before = None
    for p in np.linspace(4, 6, 9):
        cold += SOLVE(A, b, p).nit
        result = SOLVE(A, b, p, x0=before)
        assert result.success
        warm, before = warm + result.nit, result
    assert warm < 0.7 * cold
    again = SOLVE(A, b, 6, x0=before.x)
    assert again.nit == 0


def test_history_callback_and_limits():
    A, b = lp_problems.regression()
    seen = []
    result = SOLVE(A, b, callback=seen.append)
    assert [record.nit for record in seen] == list(range(result.nit + 1))
    assert seen[-1].error <= 1e-9
    assert [dict(record) for record in seen] == result.history
    for p in (1, 1.5, 3):
        none = SOLVE(A, b, p, maxiter=0)
        assert (none.nit, none.status, none.success) == (0, numopt.Status.ITERATION_LIMIT, False)
        assert "raise maxiter" in none.message
        assert none.gap > 1e-9
        assert math.isfinite(none.fun)

        def stop(_):
            raise StopIteration

        stopped = SOLVE(A, b, p, callback=stop)
        assert (stopped.status, stopped.success) == (numopt.Status.STOPPED_BY_CALLBACK, False)


@pytest.mark.parametrize("p", [1, 1.5])
def test_a_tolerance_out_of_reach_is_no_success(p):
    A, b = lp_problems.regression()
    result = SOLVE(A, b, p, tol=1e-300)
    if result.gap > 0:
        assert not result.success
        assert result.status in (numopt.Status.ITERATION_LIMIT, numopt.Status.STALLED)
    assert result.gap <= 1e-12


def test_inputs_are_not_changed_and_results_repeat():
    A, b = lp_problems.regression(3000)
    A.setflags(write=False)
    b.setflags(write=False)
    for method in ("exact", "reduce", "coreset"):
        first, second = (SOLVE(A, b, method=method, rng=7) for _ in range(2))
        np.testing.assert_array_equal(first.x, second.x)
        np.testing.assert_array_equal(first.dual, second.dual)


def test_compiled_and_reference_agree(monkeypatch):
    from numopt._core import dispatch

    A, b = lp_problems.regression()
    found = []
    for size in (0, 2**62):
        monkeypatch.setattr(dispatch, "size_of", lambda _, size=size: size)
        found.append([SOLVE(A, b, p).x for p in POWERS])
    for reference, compiled in zip(*found, strict=True):
        np.testing.assert_allclose(compiled, reference, rtol=1e-6)


@settings(derandomize=True, deadline=None, database=None, max_examples=25)
@given(
    st.integers(0, 10**6),
    st.sampled_from([1.0, 1.5, 3.0]),
    st.integers(1, 5),
    st.integers(1, 40),
    st.floats(-3, 3),
)
def test_invariances(seed, p, d, extra, shift):
    """Rows may be permuted, responses negated, and a combination of the columns added to them."""
    rng = np.random.default_rng(seed)
    A = rng.integers(-3, 4, size=(d + extra, d)).astype(float)
    b = rng.integers(-5, 6, size=d + extra).astype(float)
    base = SOLVE(A, b, p)
    assert base.success
    order = rng.permutation(d + extra)
    moved = b + A @ np.full(d, shift)
    scale = np.abs(b).sum() ** p + 1
    for changed in (SOLVE(A[order], b[order], p), SOLVE(A, -b, p), SOLVE(A, moved, p)):
        assert changed.success
        assert abs(changed.fun - base.fun) <= 1e-7 * base.fun + 1e-9 * scale


@pytest.mark.parametrize("kind", ["robust", "iid"])
def test_standard_errors_of_normal_errors(kind):
    """The median of normal errors has variance pi / 2 (A'A)^-1; a mean over 30 samples."""
    rng = np.random.default_rng(5)
    A = np.concatenate([np.ones((2000, 1)), rng.normal(size=(2000, 2))], axis=1)
    errors = []
    for _ in range(30):
        result = SOLVE(A, A @ np.array([1.0, 2.0, -1.0]) + rng.normal(size=2000), quantile=0.5)
        errors.append(result.standard_errors(kind))
    expected = np.sqrt(np.pi / 2 * np.diag(np.linalg.inv(A.T @ A)))
    np.testing.assert_allclose(np.mean(errors, axis=0), expected, rtol=0.05)


def test_standard_errors_in_closed_form():
    """Uniform errors between -1 and 1 have density 1/2 at the median: variance 1 / n."""
    n = 20_001
    result = SOLVE(np.ones((n, 1)), np.linspace(-1, 1, n), 1)
    assert result.standard_errors("iid")[0] == pytest.approx(n**-0.5, rel=1e-3)
    scaled = SOLVE(np.full((n, 1), 1e120), np.linspace(-1, 1, n), 1)
    assert scaled.standard_errors()[0] * 1e120 == pytest.approx(n**-0.5, rel=2e-3)
    with pytest.raises(TypeError, match="p = 1"):
        SOLVE(np.ones((9, 1)), np.arange(9.0), 2).covariance()
    with pytest.raises(ValueError, match="`kind` must be one of"):
        result.covariance("other")


@pytest.mark.parametrize(
    "name", ["cal_housing", "cpu_small", "abalone", "protein", "gas_sensor_2565"]
)
def test_real_data_reach_the_reference_norms(name):
    table, known = load(name), references("regression")
    if name not in known:
        pytest.skip(f"no reference norms of {name}")
    X, y = table["X"].astype(float), table["y"].astype(float)
    A = np.concatenate([np.ones((len(y), 1)), (X - X.mean(0)) / X.std(0)], axis=1)
    b = (y - y.mean()) / y.std()
    compared = 0
    for label, p in (("l1", 1), ("l1.5", 1.5), ("l2", 2), ("l3", 3), ("l4", 4), ("l8", 8)):
        if label in known[name]:
            result = SOLVE(A, b, p)
            assert result.success, (label, result.message)
            assert result.norm == pytest.approx(known[name][label], rel=2e-9)
            compared += 1
    assert compared >= 2


@pytest.mark.parametrize("name", ["ailerons", "pol", "bike"])
def test_rank_deficient_real_data(name):
    table = load(name)
    X, y = table["X"].astype(float)[:4000], table["y"].astype(float)[:4000]
    A = np.concatenate([np.ones((len(y), 1)), X], axis=1)
    for p in (1, 1.5):
        result = SOLVE(A, y, p, tol=1e-7)
        assert result.success, result.message
        assert result.status is numopt.Status.RANK_DEFICIENT
