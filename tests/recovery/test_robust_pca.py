"""Robust principal components: exactness, missing entries, rows beyond help."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from libraries import to_numpy
from recovery_problems import relative_error, table
from scipy.sparse import coo_array, csr_array, csr_matrix, issparse

import numopt
from numopt import Status, recovery
from numopt.recovery.pca.spectral_partition import Graph, ties_needed


def is_exact(result, planted):
    return result.success and relative_error(result.matrix(), planted.X) < 1e-7


@pytest.mark.parametrize("kind", ["two-sided", "one-sided", "constant"])
@pytest.mark.parametrize("rank", [3, 6, None])
def test_split_is_exact_whatever_the_rank_allowed(kind, rank):
    planted = table(1, kind=kind)
    result = numopt.robust_pca(planted.M, rank, rng=0)
    assert is_exact(result, planted)
    assert result.status == Status.CONVERGED
    assert result.rank == 3
    np.testing.assert_array_equal(result.outlier_mask, planted.wrong)
    np.testing.assert_allclose(
        result.sparse, np.where(planted.wrong, planted.M - planted.X, 0), atol=1e-6
    )
    assert result.n_inliers == (~planted.wrong).sum()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "rank", "least"),
    [
        ({"p": 0.3, "kind": "one-sided"}, 5, 20),
        ({"p": 0.3, "kind": "one-sided"}, 8, 19),
        ({"p": 0.3, "kind": "constant"}, 5, 18),
        ({"p": 0.1}, 7, 20),
        ({"p": 0.1, "kappa": 10.0}, 10, 20),
        ({"p": 0.2, "observed": 0.4}, 5, 20),
        ({"p": 0.4}, 5, 20),
    ],
)
def test_nearly_all_trials_are_exact(options, rank, least):
    """Twenty trials at 150 x 150 and rank 5; one-sided errors and ranks too high among them."""
    exact = 0
    for seed in range(20):
        planted = table(500 + seed, n=150, d=150, r=5, **options)
        given_mask = planted.mask if "observed" in options else None
        result = numopt.robust_pca(planted.M, rank, mask=given_mask, rng=0)
        exact += is_exact(result, planted) and result.rank == 5
    assert exact >= least


def test_certificate_can_be_rebuilt_from_the_result():
    planted = table(2)
    result = numopt.robust_pca(planted.M, 3, rng=0)
    residual = planted.M - result.L @ result.R.T
    agreeing = np.sum(abs(residual) <= 1e-8 * np.median(abs(planted.M)))
    assert result.consensus == pytest.approx(agreeing / (3 * (60 + 50 - 3)))
    assert result.fun == pytest.approx(abs(residual).mean())
    np.testing.assert_allclose(result.sparse[~planted.wrong], 0, atol=1e-12)
    singular = np.linalg.svd(result.matrix())[1]
    np.testing.assert_allclose(result.singular_values, singular[:3], rtol=1e-12)


def principal_component_pursuit(M):
    """Return the low-rank part of principal component pursuit, by a plain augmented Lagrangian."""
    n, d = M.shape
    mu, weight = n * d / (4 * abs(M).sum()), 1 / np.sqrt(max(n, d))
    S, dual = np.zeros_like(M), np.zeros_like(M)
    for _ in range(3000):
        U, s, V = np.linalg.svd(M - S + dual / mu, full_matrices=False)
        L = (U * np.maximum(s - 1 / mu, 0)) @ V
        T = M - L + dual / mu
        S = np.sign(T) * np.maximum(abs(T) - weight / mu, 0)
        gap = M - L - S
        dual = dual + mu * gap
        if np.linalg.norm(gap) < 1e-9 * np.linalg.norm(M):
            break
    return L


def test_principal_component_pursuit_agrees():
    planted = table(3, r=2, p=0.05)
    pursuit = principal_component_pursuit(planted.M)
    result = numopt.robust_pca(planted.M, rng=0)
    assert relative_error(pursuit, planted.X) < 1e-6
    assert relative_error(result.matrix(), pursuit) < 1e-6


@pytest.mark.parametrize("rank", [2, 5])
def test_missing_entries(rank):
    planted = table(4, r=2, n=80, d=70, observed=0.5)
    M = np.where(planted.mask, planted.M, np.nan)  # what is not observed is not read
    result = numopt.robust_pca(M, rank, mask=planted.mask, rng=0)
    assert is_exact(result, planted)
    np.testing.assert_array_equal(result.outlier_mask, planted.wrong & planted.mask)


@pytest.mark.parametrize("kind", [csr_array, csr_matrix])
def test_sparse_matrices_are_their_entries(kind):
    planted = table(5, r=2, n=80, d=70, observed=0.5)
    rows, columns = np.nonzero(planted.mask)
    M = kind((planted.M[planted.mask], (rows, columns)), shape=planted.M.shape)
    result = numopt.robust_pca(M, 3, rng=0)
    dense = numopt.robust_pca(planted.M, 3, mask=planted.mask, rng=0)
    assert is_exact(result, planted)
    np.testing.assert_allclose(result.matrix(), dense.matrix(), atol=1e-6)
    assert issparse(result.sparse)
    assert issparse(result.outlier_mask)
    np.testing.assert_array_equal(result.outlier_mask.toarray(), dense.outlier_mask)
    np.testing.assert_allclose(result.sparse.toarray(), dense.sparse, atol=1e-6)


@pytest.mark.parametrize("method", ["reweighted", "subgradient"])
def test_weights_of_zero_and_one_are_a_mask(method):
    planted = table(30, n=80, d=70, r=2, p=0.05, observed=0.7)
    weights = planted.mask.astype(float)
    M = np.where(planted.mask, planted.M, np.nan)
    masked = numopt.robust_pca(M, 2, mask=planted.mask, method=method, rng=0)
    result = numopt.robust_pca(M, 2, weights=weights, method=method, rng=0)
    assert is_exact(masked, planted)
    assert result.nit == masked.nit
    np.testing.assert_allclose(result.matrix(), masked.matrix(), rtol=1e-9, atol=1e-9)
    np.testing.assert_array_equal(result.outlier_mask, masked.outlier_mask)
    assert result.fun == pytest.approx(masked.fun, rel=1e-9)
    assert result.consensus == masked.consensus
    rows, columns = np.nonzero(np.ones(M.shape))
    sparse = coo_array((planted.M.ravel(), (rows, columns)), shape=M.shape)
    listed = numopt.robust_pca(sparse, 2, weights=weights.ravel(), method=method, rng=0)
    np.testing.assert_allclose(listed.matrix(), masked.matrix(), rtol=1e-9, atol=1e-9)
    np.testing.assert_array_equal(listed.outlier_mask.toarray(), masked.outlier_mask)


def corrupted_block(seed):
    """Return a table with a block most of whose entries are wrong, and where that is."""
    planted, rng = table(seed, p=0.05), np.random.default_rng(seed)
    block = np.zeros(planted.M.shape, dtype=bool)
    block[:40, :30] = True
    wrong = block & (rng.random(block.shape) < 0.8)
    return planted._replace(M=np.where(wrong, planted.X + 8, planted.M)), block


def test_a_common_factor_of_the_weights_changes_nothing():
    planted, block = corrupted_block(36)
    weights = np.where(block, 1e-3, 1.0)
    for mask in (None, np.random.default_rng(36).random(block.shape) < 0.9):
        one, two = (
            numopt.robust_pca(planted.M, 3, mask=mask, weights=factor * weights, rng=0)
            for factor in (1.0, 2.0**20)
        )
        np.testing.assert_allclose(one.matrix(), two.matrix(), rtol=1e-9, atol=1e-9)
        assert two.fun == pytest.approx(2.0**20 * one.fun, rel=1e-6)


@pytest.mark.parametrize("full", [True, False])
def test_recovery_from_entries_takes_weights(full):
    planted = table(30, n=80, d=70, r=2, p=0.05, observed=0.7)
    y, weights = planted.M.ravel(), planted.mask.ravel().astype(float)
    y = np.where(weights > 0, y, 100.0)
    if full:
        A = recovery.FullEntrySensing((80, 70), like=np.empty(0))
    else:
        rows, columns = np.nonzero(np.ones((80, 70)))
        A = recovery.EntrySensing(rows, columns, (80, 70), like=np.empty(0))
    result = numopt.robust_low_rank_recovery(A, y, 2, symmetric=False, weights=weights, rng=0)
    assert is_exact(result, planted)
    assert result.fun == pytest.approx(np.mean(weights * abs(result.residual)))


@pytest.mark.parametrize("full", [True, False])
def test_recovery_from_entries_is_is_the_same_problem(full):
    planted = table(6, r=2, n=80, d=70, observed=0.6)
    like = np.empty(0)
    if full:
        A, y = recovery.FullEntrySensing((80, 70), like=like), planted.M.ravel()
    else:
        order = np.random.default_rng(0).permutation(planted.mask.sum())
        rows, columns = (x[order] for x in np.nonzero(planted.mask))
        A, y = recovery.EntrySensing(rows, columns, (80, 70), like=like), planted.M[rows, columns]
    result = numopt.robust_low_rank_recovery(A, y, 4, symmetric=False, rng=0)
    assert type(result) is numopt.RecoveryResult
    assert is_exact(result, planted)
    assert result.rank == 2


def test_rows_and_columns_beyond_help_are_listed():
    planted, rng = table(7), np.random.default_rng(0)
    M, mask = planted.M.copy(), np.ones(planted.M.shape, dtype=bool)
    M[4], M[:, 9] = 30 * rng.normal(size=50), 30 * rng.normal(size=60)
    mask[11], mask[:, 2] = False, False
    result = numopt.robust_pca(M, 3, mask=mask, rng=0)
    assert result.success
    assert (result.outlier_rows, result.outlier_columns) == ([4], [9])
    assert (result.stats["empty_rows"], result.stats["empty_columns"]) == ([11], [2])
    np.testing.assert_array_equal(result.L[11], 0)
    np.testing.assert_array_equal(result.R[2], 0)
    kept = np.ix_(
        [i for i in range(60) if i not in (4, 11)], [j for j in range(50) if j not in (2, 9)]
    )
    np.testing.assert_allclose(result.matrix()[kept], planted.X[kept], atol=1e-6)
    assert "2 rows and columns" in result.message


def test_subgradient_method_is_exact_where_few_entries_are_wrong():
    planted = table(8, p=0.1, n=100, d=100)
    result = numopt.robust_pca(planted.M, 3, method="subgradient", rng=0)
    assert is_exact(result, planted)
    assert result.nit > numopt.robust_pca(planted.M, 3, rng=0).nit


def test_noise_is_averaged_out():
    """Errors of a fit to clean entries of known places are what is allowed, and a half more."""
    ratios = []
    for seed in range(10):
        planted = table(20 + seed, n=100, d=80)
        rng = np.random.default_rng(seed)
        M = planted.M + 0.1 * rng.normal(size=(100, 80))
        result = numopt.robust_pca(M, 3, noise=True, rng=0)
        assert result.success
        assert result.status == Status.NOISE_FLOOR
        assert result.sigma == pytest.approx(0.1, rel=0.5)
        dof, clean = 3 * (100 + 80 - 3), 0.8 * 8000
        least = 0.1 * np.sqrt(dof / clean * 8000)
        ratios.append(np.linalg.norm(result.matrix() - planted.X) / least)
        assert np.mean(result.outlier_mask != planted.wrong) < 0.02
    assert 0.9 <= np.mean(ratios) <= 1.5


def test_noise_that_was_not_announced_is_no_success():
    planted = table(9)
    M = planted.M + 0.1 * np.random.default_rng(0).normal(size=planted.M.shape)
    result = numopt.robust_pca(M, 3, rng=0)
    assert result.status == Status.NOISE_FLOOR
    assert not result.success
    assert "noise=True" in result.message


def test_matrix_without_structure_is_not_verified():
    M = np.random.default_rng(10).normal(size=(40, 40))
    result = numopt.robust_pca(M, 3, maxiter=100)
    assert not result.success
    assert np.all(np.isfinite(result.matrix()))


def test_all_libraries_agree(lib):
    if not lib.indexing:
        pytest.skip("this device has no functions that return indices")
    planted = table(11, n=40, d=36, r=2, p=0.15, observed=0.8)
    for mask in (None, planted.mask):
        expected = numopt.robust_pca(planted.M, 3, mask=mask, rng=0)
        given_mask = None if mask is None else lib.asarray(mask)
        result = numopt.robust_pca(lib.asarray(planted.M), 3, mask=given_mask, rng=0)
        assert result.success
        for array in (result.L, result.R, result.sparse, result.singular_values):
            assert lib.holds(array, lib.widest)
        assert lib.holds(result.outlier_mask, "bool")
        atol = 1e-6 if lib.widest == "float64" else 1e-3
        np.testing.assert_allclose(to_numpy(result.matrix()), expected.matrix(), atol=atol)
        np.testing.assert_array_equal(to_numpy(result.outlier_mask), expected.outlier_mask)


@settings(max_examples=10, derandomize=True, deadline=None, database=None)
@given(seed=st.integers(0, 1000), power=st.integers(-30, 30))
def test_transposing_permuting_and_scaling_do_not_matter(seed, power):
    rng = np.random.default_rng(seed)
    planted = table(12)
    rows, columns = rng.permutation(60), rng.permutation(50)
    M = 2.0**power * planted.M[np.ix_(rows, columns)].T
    result = numopt.robust_pca(M, 4, rng=0)
    assert result.success
    X = 2.0**power * planted.X[np.ix_(rows, columns)].T
    assert relative_error(result.matrix(), X) < 1e-7
    np.testing.assert_array_equal(result.outlier_mask, planted.wrong[np.ix_(rows, columns)].T)


def test_warm_start_needs_next_to_nothing():
    planted = table(13)
    cold = numopt.robust_pca(planted.M, 3, rng=0)
    for x0 in (cold, (cold.L, cold.R)):
        warm = numopt.robust_pca(planted.M, 3, x0=x0, rng=0)
        assert is_exact(warm, planted)
        assert warm.nit <= 3 < cold.nit


def test_same_seed_same_result_and_inputs_untouched():
    planted = table(14)
    M = planted.M.copy()
    M.setflags(write=False)
    one, two = (numopt.robust_pca(M, rng=5) for _ in range(2))
    np.testing.assert_array_equal(one.L, two.L)
    result = numopt.robust_pca(M.astype("float32"), 3)
    assert result.L.dtype == "float32"
    assert relative_error(result.matrix(), planted.X) < 1e-5


def test_integers_zeros_and_small_matrices():
    M = np.outer(np.arange(1, 13), np.arange(1, 10))
    M[3, 4], M[7, 1] = 500, -40
    result = numopt.robust_pca(M, 1)
    assert result.success
    assert result.L.dtype == "float64"
    np.testing.assert_array_equal(np.argwhere(result.outlier_mask), [[3, 4], [7, 1]])
    zero = numopt.robust_pca(np.zeros((6, 5)))
    assert zero.success
    np.testing.assert_array_equal(zero.matrix(), np.zeros((6, 5)))
    assert not np.any(zero.outlier_mask)
    single = numopt.robust_pca(np.array([[3.0]]))
    np.testing.assert_allclose(single.matrix(), [[3.0]])


def test_no_iterations_give_a_certified_start():
    result = numopt.robust_pca(table(15).M, 3, maxiter=0)
    assert result.nit == 0
    assert result.status == Status.ITERATION_LIMIT
    assert not result.success


def test_callback_sees_records_and_may_stop():
    seen = []

    def callback(intermediate_result):
        seen.append(intermediate_result)
        if intermediate_result.nit == 3:
            raise StopIteration

    result = numopt.robust_pca(table(16).M, 3, callback=callback)
    assert result.status == Status.STOPPED_BY_CALLBACK
    assert result.nit == 3
    assert set(seen[0]) == {"nit", "error", "scale", "rank"}


@pytest.mark.parametrize("seed", [31, 32, 33])
def test_two_parts_with_next_to_nothing_between_are_not_verified(seed):
    """Both parts of a matrix with a hole can be explained alone, and wrongly together."""
    planted = table(seed, n=60, d=50, r=3, p=0.05)
    mask = np.ones(planted.M.shape, dtype=bool)
    mask[:40, :30] = False
    result = numopt.robust_pca(planted.M, 3, mask=mask, rng=0)
    assert not result.success or is_exact(result, planted)
    if not result.success:
        assert result.status is Status.NOT_DETERMINED
        assert "in two parts" in result.message
    operator = numopt.recovery.FullEntrySensing(planted.M.shape, like=planted.M)
    other = numopt.robust_low_rank_recovery(
        operator, planted.M.ravel(), 3, symmetric=False, weights=mask.ravel() * 1.0, rng=0
    )
    assert (other.success, other.message == result.message) == (result.success, not result.success)


@pytest.mark.parametrize("full", [True, False])
@pytest.mark.parametrize("between", [0, 19, 20, 400])
def test_what_falls_apart_is_seen(between, full, rng):
    """Two blocks, all of whose entries agree, with some between them; rank 3 takes 20."""
    agree = np.zeros((60, 50))
    agree[:40, 30:] = agree[40:, :30] = 1
    places = rng.choice(np.flatnonzero(agree[40:, 30:].ravel() == 0), between, replace=False)
    agree[40 + places // 20, 30 + places % 20] = 1
    none = np.zeros((0, 0), dtype=int)
    if full:
        graph = Graph(agree, none, agree.T.copy(), none)
    else:
        rows, columns = (
            np.broadcast_to(np.arange(k), shape).copy()
            for k, shape in ((50, (60, 50)), (60, (50, 60)))
        )
        graph = Graph(agree, rows, agree.T.copy(), columns)
    assert (ties_needed(graph, 3) > 1) == (between < 20)
    whole = graph._replace(agree=agree * 0 + 1, agree_transposed=agree.T * 0 + 1)
    assert ties_needed(whole, 3) == 0
