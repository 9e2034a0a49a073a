"""Scores of rows: closed forms, theorems, linear programs, and certificates."""

import lp_problems
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from libraries import to_numpy
from scipy.optimize import linprog
from scipy.sparse import csr_array

import numopt

FAMILIES = sorted(lp_problems.FAMILIES)
SCORES = numopt.lp_scores


def leverage(A):
    """Leverage scores from singular vectors."""
    u, s, _ = np.linalg.svd(A, full_matrices=False)
    return (u[:, s > 1e-12 * s[0]] ** 2).sum(axis=1)


def lewis_residual(A, p, w):
    """Return how far weights are from the fixed point, in extended precision."""
    A, w = A.astype(np.longdouble), w.astype(np.longdouble)
    scaled = A * (w ** (np.longdouble(0.5) - 1 / np.longdouble(p)))[:, None]
    # Elimination on the Gram matrix: L z = a_i, then tau = z' D^-1 z.
    left = scaled.T @ scaled
    d = A.shape[1]
    solved = scaled.T.copy()
    for k in range(d):
        for i in range(k + 1, d):
            factor = left[i, k] / left[k, k]
            left[i] -= factor * left[k]
            solved[i] -= factor * solved[k]
    tau = sum(solved[k] ** 2 / left[k, k] for k in range(d))
    return float(np.abs(tau / w - 1).max())


def linear_program(A, i):
    """Sensitivity for p = 1: one over the largest t with ``A'y = t a_i`` and ``|y| <= 1``."""
    n, d = A.shape
    solved = linprog(
        np.append(np.zeros(n), -1.0),
        A_eq=np.concatenate([A.T, -A[i][:, None]], axis=1),
        b_eq=np.zeros(d),
        bounds=[(-1, 1)] * n + [(0, None)],
    )
    assert solved.status == 0
    return -1 / solved.fun


@pytest.mark.parametrize("name", FAMILIES)
def test_leverage_agrees_with_singular_vectors(lib, name):
    A = lp_problems.FAMILIES[name]()
    result = SCORES(lib.asarray(A), 2, kind="leverage")
    tol = 1e-10 if lib.widest == "float64" else 2e-3
    scores = to_numpy(result.scores)
    assert lib.holds(result.scores, lib.widest)
    np.testing.assert_allclose(scores, leverage(A), atol=tol)
    assert result.total == pytest.approx(4, abs=4 * tol)
    assert (scores >= 0).all()
    assert (scores <= 1).all()
    assert (result.rank, result.success, result.status) == (4, True, numopt.Status.CONVERGED)
    root = SCORES(lib.asarray(A), 1, kind="root_leverage")
    np.testing.assert_allclose(to_numpy(root.scores) ** 2, leverage(A), atol=tol)


@pytest.mark.parametrize("condition", [1e3, 1e6, 1e9])
def test_leverage_of_an_ill_conditioned_matrix(condition):
    """With orthonormal columns known in advance; one Gram matrix alone would have no digit left."""
    rng = np.random.default_rng(0)
    Q, _ = np.linalg.qr(rng.normal(size=(500, 8)))
    A = Q @ np.diag(np.geomspace(1, 1 / condition, 8)) @ np.linalg.qr(rng.normal(size=(8, 8)))[0]
    result = SCORES(A, 2, kind="leverage")
    assert result.rank == 8
    np.testing.assert_allclose(result.scores, (Q**2).sum(axis=1), atol=1e-15 * condition + 1e-12)


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("p", [1, 1.5, 2, 3, 4, 6])
def test_lewis_weights_are_a_fixed_point(name, p):
    A = lp_problems.FAMILIES[name]()
    result = SCORES(A, p, tol=1e-11)
    assert result.success, result.message
    assert lewis_residual(A, p, result.scores) <= 1e-10
    assert result.total == pytest.approx(4, rel=1e-9)
    if p == 2:
        np.testing.assert_allclose(result.scores, leverage(A), rtol=1e-10)


@pytest.mark.parametrize(("p", "steps"), [(1, 32), (1.5, 18), (3, 23), (4, 33), (6, 50), (10, 85)])
def test_lewis_weights_take_few_steps(p, steps):
    A = lp_problems.gaussian(2000, 10, 1)
    result = SCORES(A, p, tol=1e-12)
    assert result.success
    assert result.nit <= steps


@pytest.mark.parametrize("p", [6, 10, 20])
def test_lewis_weights_of_heavy_tails(p):
    """Weights over ten orders of magnitude: the residual that is reported is the true one."""
    A = lp_problems.cauchy(2000, 6, 2)
    result = SCORES(A, p, tol=1e-9)
    assert result.success
    assert lewis_residual(A, p, result.scores) <= 1e-6


@pytest.mark.parametrize("p", [1, 1.5, 4])
def test_libraries_agree(lib, p):
    A = lp_problems.spiked()
    single = lib.widest == "float32"
    for kind in ("lewis", "sensitivity", "combined"):
        here, there = SCORES(lib.asarray(A), p, kind=kind), SCORES(A, p, kind=kind)
        assert here.success, here.message
        assert lib.holds(here.scores, lib.widest)
        np.testing.assert_allclose(
            to_numpy(here.scores), there.scores, rtol=5e-3 if single else 1e-7
        )


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("p", [1, 1.2, 1.5, 2, 3, 4, 6])
def test_sensitivities_are_bracketed_and_obey_the_bounds_of_lewis_weights(name, p):
    A = lp_problems.FAMILIES[name]()
    result = SCORES(A, p, kind="sensitivity", bounds=True)
    assert result.success, result.message
    assert result.residual <= 1e-8
    assert (result.lower <= result.scores).all()
    assert (result.scores <= result.upper * (1 + 1e-12)).all()
    w = SCORES(A, p, tol=1e-10).scores
    factor = 4 ** (p / 2 - 1)
    low, high = (factor * w, w) if p <= 2 else (w, factor * w)
    assert (result.upper >= low * (1 - 1e-7)).all()
    assert (result.lower <= np.minimum(high, 1) * (1 + 1e-7)).all()
    if p == 2:
        np.testing.assert_allclose(result.scores, leverage(A), rtol=1e-8)


def test_lower_bounds_are_attained_by_a_direction():
    """No random direction has a larger share than the certified bound."""
    A = lp_problems.cauchy()
    X = np.random.default_rng(1).normal(size=(4, 3000))
    for p in (1, 1.5, 3):
        result = SCORES(A, p, kind="sensitivity", bounds=True)
        shares = np.abs(A @ X) ** p
        assert (np.max(shares / shares.sum(axis=0), axis=1) <= result.upper * (1 + 1e-12)).all()


@pytest.mark.parametrize("name", FAMILIES)
def test_sensitivities_for_p_one_agree_with_linear_programs(name):
    A = lp_problems.FAMILIES[name](60, 3)
    rows = np.array([0, 1, 7, 30, 59])
    result = SCORES(A, 1, kind="sensitivity", indices=rows, tol=1e-10)
    expected = [linear_program(A, i) for i in rows]
    np.testing.assert_allclose(result.scores, expected, rtol=1e-9)


@pytest.mark.parametrize("p", [1, 1.5, 3, 6])
def test_closed_forms(p):
    square = np.random.default_rng(0).normal(size=(5, 5))
    np.testing.assert_allclose(SCORES(square, p, kind="sensitivity").scores, 1, rtol=1e-7)
    groups = lp_problems.one_hot()
    sizes = groups.sum(axis=0)
    expected = groups @ (1 / sizes)
    for kind in ("sensitivity", "lewis"):
        np.testing.assert_allclose(SCORES(groups, p, kind=kind).scores, expected, rtol=1e-7)
    column = np.array([[1.0], [-2.0], [0.0], [3.0]])
    expected = np.abs(column[:, 0]) ** p / (np.abs(column) ** p).sum()
    np.testing.assert_allclose(SCORES(column, p, kind="sensitivity").scores, expected, rtol=1e-7)
    # A row in a direction that no other row has.
    lonely = np.concatenate([lp_problems.gaussian(20, 3), np.zeros((20, 1))], axis=1)
    lonely = np.concatenate([lonely, np.eye(4)[3:]])
    assert SCORES(lonely, p, kind="sensitivity").scores[-1] == pytest.approx(1, rel=1e-7)


# Totals of an independent implementation.
@pytest.mark.slow
@pytest.mark.parametrize(("p", "plain", "spiked"), [(1.5, 6.4, 7.5), (4, 39.4, 10.0)])
def test_totals(p, plain, spiked):
    A = np.random.default_rng(1).standard_normal((2000, 10))
    B = A.copy()
    B[:10] = 3 * np.sqrt(2000) * np.eye(10)
    for matrix, expected in ((A, plain), (B, spiked)):
        exact = SCORES(matrix, p, kind="sensitivity", tol=1e-4).total
        assert exact == pytest.approx(expected, rel=0.05)
        result = numopt.total_sensitivity(matrix, p, rng=0)
        assert result.success
        assert result.n_solves <= 200
        assert abs(result.total / exact - 1) <= 0.1
        assert abs(result.total - exact) <= 5 * result.stderr + 1e-2 * exact


def test_duplicates_share_and_order_does_not_matter():
    A = lp_problems.gaussian(60, 3)
    twice = np.concatenate([A, A])
    order = np.random.default_rng(0).permutation(120)
    for kind in ("sensitivity", "lewis", "leverage"):
        one, two = SCORES(A, 3, kind=kind).scores, SCORES(twice[order], 3, kind=kind).scores
        np.testing.assert_allclose(two, 0.5 * np.concatenate([one, one])[order], rtol=1e-6)


@settings(derandomize=True, deadline=None, database=None, max_examples=15)
@given(st.integers(0, 10**6), st.sampled_from([1.0, 1.5, 3.0]), st.floats(-60, 60))
def test_change_of_coordinates(seed, p, power):
    rng = np.random.default_rng(seed)
    A, change = rng.normal(size=(40, 3)), rng.normal(size=(3, 3)) * 10.0**power
    for kind in ("sensitivity", "lewis", "leverage"):
        before, after = (SCORES(M, p, kind=kind).scores for M in (A, A @ change))
        np.testing.assert_allclose(after, before, rtol=1e-6)


def test_a_huge_row_does_not_overflow():
    A = lp_problems.gaussian()
    A[3] *= 1e200
    for kind in ("leverage", "lewis", "sensitivity"):
        result = SCORES(A, 4, kind=kind, maxiter=50)
        assert np.isfinite(result.scores).all()
        assert result.scores[3] == pytest.approx(1, rel=1e-6)


def test_zero_rows_and_rank():
    A = lp_problems.gaussian(50, 3)
    B = np.concatenate([A, A[:, :1] - A[:, 1:2]], axis=1)
    B[7] = 0
    A[7] = 0
    for kind in ("leverage", "lewis", "sensitivity", "combined"):
        full, deficient = SCORES(A, 1.5, kind=kind), SCORES(B, 1.5, kind=kind)
        assert deficient.scores[7] == 0
        assert (deficient.rank, deficient.status, deficient.success) == (
            3,
            numopt.Status.RANK_DEFICIENT,
            True,
        )
        np.testing.assert_allclose(deficient.scores, full.scores, rtol=1e-6)
    wide = SCORES(np.random.default_rng(0).normal(size=(3, 6)), 2, kind="leverage")
    np.testing.assert_allclose(wide.scores, 1)
    assert SCORES(np.zeros((4, 2)), 1).scores.tolist() == [0] * 4


def test_sketched_leverage_is_within_a_small_factor():
    """Norms of 16 normal numbers are off by more than a factor of 4 for 1 in 10^5."""
    A = lp_problems.cauchy(20_000, 24)
    exact, rough = (SCORES(A, 2, kind="leverage", method=m, rng=0) for m in ("exact", "sketch"))
    ratio = rough.scores / exact.scores
    assert np.quantile(ratio, 0.01) > 0.3
    assert np.quantile(ratio, 0.99) < 2.5
    assert rough.rank == 24
    narrow = SCORES(A[:, :8], 2, kind="leverage", method="sketch", rng=0).scores
    np.testing.assert_allclose(narrow, leverage(A[:, :8]), rtol=1.0)
    assert not np.allclose(narrow, leverage(A[:, :8]), rtol=1e-6)


def test_sensitivities_from_a_coreset():
    A = lp_problems.spiked(1200, 5)
    for p in (1.5, 4):
        exact = SCORES(A, p, kind="sensitivity", method="exact", tol=1e-4, bounds=True)
        rough = SCORES(A, p, kind="sensitivity", method="coreset", rng=0, tol=1e-4, bounds=True)
        ratio = rough.scores / exact.scores
        assert 0.5 < np.median(ratio) < 1.5
        assert ratio.max() < 3
        assert (rough.lower <= exact.upper * (1 + 1e-3)).all()
        assert (rough.upper >= exact.lower * (1 - 1e-3)).all()


@pytest.mark.parametrize("p", [1, 1.5, 3])
def test_scores_of_groups_are_upper_bounds(p):
    """Up to the accuracy of the coreset: at most the bound of Lewis weights, nowhere too small."""
    A = lp_problems.spiked(800, 4)
    A[100] = 0
    exact = SCORES(A, p, kind="sensitivity", method="exact", tol=1e-4).scores
    options = {"kind": "sensitivity", "method": "grouped", "tol": 1e-2, "bounds": True}
    result = SCORES(A, p, **options, group_size=7, rng=0)
    assert result.success
    assert (result.scores >= 0.8 * exact).all()
    assert result.scores[100] == 0
    largest = SCORES(A, p).scores * (1 if p <= 2 else 4 ** (p / 2 - 1))
    assert (result.scores <= 1.001 * np.minimum(largest, 1)).all()
    assert (result.lower <= exact * 1.001).all()
    # 115 groups, and as many draws as make a bound that fails once in a hundred times.
    assert result.n_solves == 115 * 17
    np.testing.assert_array_equal(
        SCORES(A, p, **options, group_size=7, rng=0).scores, result.scores
    )


def test_limits_are_reported():
    A = lp_problems.cauchy()
    result = SCORES(A, 4, tol=1e-14, maxiter=3)
    assert (result.success, result.status, result.nit) == (False, numopt.Status.ITERATION_LIMIT, 3)
    assert "raise maxiter" in result.message
    assert result.residual == pytest.approx(lewis_residual(A, 4, result.scores), rel=1e-6)
    start = SCORES(A, 4, maxiter=0)
    assert start.nit == 0
    assert not SCORES(A, 4, kind="sensitivity", maxiter=0).success
    errors = [record["error"] for record in SCORES(A, 1.5).history]
    assert errors[-1] < errors[0]


def test_rows_from_blocks_and_sparse_matrices():
    """Blocks that are made as they are read, a memory of one at a time, and CSR."""
    A = lp_problems.one_hot(500, 6) + np.where(lp_problems.gaussian(500, 6) > 1, 1.0, 0.0)
    blocks = [A[i : i + 70] for i in range(0, 500, 70)]
    for kind, p in (("leverage", 2), ("lewis", 1), ("sensitivity", 3)):
        whole = SCORES(A, p, kind=kind).scores
        for other in (blocks, lambda: iter(blocks), csr_array(A)):
            np.testing.assert_allclose(SCORES(other, p, kind=kind).scores, whole, rtol=1e-6)
    whole = numopt.lp_coreset(A, None, 1, sample_size=60, rng=3)
    for other in (blocks, csr_array(A)):
        drawn = numopt.lp_coreset(other, None, 1, sample_size=60, rng=3)
        np.testing.assert_array_equal(drawn.indices, whole.indices)
        np.testing.assert_array_equal(drawn.A, whole.A)
    b = np.random.default_rng(0).normal(size=500)
    for p in (1, 3):
        value = numopt.lp_regression(A, b, p).fun
        for other in (blocks, csr_array(A)):
            assert numopt.lp_regression(other, b, p).fun == pytest.approx(value, rel=1e-8)


def test_dask_arrays():
    dask = pytest.importorskip("dask.array", reason="Dask is not installed")
    A = lp_problems.gaussian(400, 3)
    chunked = dask.from_array(A, chunks=(150, 2))
    np.testing.assert_allclose(SCORES(chunked, 1).scores, SCORES(A, 1).scores, rtol=1e-6)
