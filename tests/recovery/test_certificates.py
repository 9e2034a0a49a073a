"""What makes a result a success can be computed again by whoever has it and the data."""

import pickle

import numpy as np
import pytest
from recovery_problems import sensing, table
from scipy.sparse import csr_array

import numopt
from numopt import Status, recovery

PLANTED, TABLE = sensing(51), table(51)
SEEN = table(51, observed=0.6).mask
NOISY = sensing(52, noise=0.05)
LIKE = np.empty(0)


def measured(A, y, rank=None, **options):
    return numopt.robust_low_rank_recovery(A, y, rank, rng=0, **options), (A, y, rank), options


def split(M, rank=3, **options):
    return numopt.robust_pca(M, rank, rng=0, **options), (M, rank), options


def rank_one():
    a = np.random.default_rng(53).normal(size=(300, 12))
    return recovery.RankOneSensing(a), np.sum((a @ PLANTED.X) * a, axis=1)


def entries(full):
    if full:
        return recovery.FullEntrySensing(TABLE.M.shape, like=LIKE), TABLE.M.ravel()
    rows, columns = np.nonzero(SEEN)
    return recovery.EntrySensing(rows, columns, TABLE.M.shape, like=LIKE), TABLE.M[rows, columns]


ROW_WEIGHTS = 0.5 + np.random.default_rng(54).random(PLANTED.y.size)
WEIGHTS = SEEN * (0.5 + np.random.default_rng(55).random(TABLE.M.shape))
SOLVES = {
    "dense": lambda: measured(PLANTED.A, PLANTED.y),
    "rectangular": lambda: measured(PLANTED.A, PLANTED.y, symmetric=False),
    "flat": lambda: measured(csr_array(PLANTED.A.reshape(-1, 144)), PLANTED.y, shape=(12, 12)),
    "rank-one": lambda: measured(*rank_one()),
    "intercept": lambda: measured(PLANTED.A, PLANTED.y + 3, fit_intercept=True),
    "weights": lambda: measured(PLANTED.A, PLANTED.y, weights=ROW_WEIGHTS, q=0.2),
    "noise": lambda: measured(NOISY.A, NOISY.y, noise=True),
    "entries": lambda: measured(*entries(full=False), symmetric=False),
    "all-entries": lambda: measured(*entries(full=True), symmetric=False, weights=SEEN.ravel() * 1),
    "table": lambda: split(TABLE.M),
    "mask": lambda: split(TABLE.M, mask=SEEN),
    "table-weights": lambda: split(TABLE.M, weights=WEIGHTS, method="subgradient", q=0.5),
    "sparse": lambda: split(csr_array((TABLE.M[SEEN], np.nonzero(SEEN)), shape=TABLE.M.shape)),
    "table-noise": lambda: split(
        TABLE.M + 0.1 * np.random.default_rng(56).normal(size=TABLE.M.shape), noise=True
    ),
}
UNSOLVED = {
    "noise-not-announced": lambda: measured(NOISY.A, NOISY.y, maxiter=100),
    "few-iterations": lambda: measured(PLANTED.A, PLANTED.y, maxiter=3, polish=False),
    "too-few": lambda: measured(PLANTED.A[:40], PLANTED.y[:40], maxiter=100),
    "few-sweeps": lambda: split(TABLE.M, maxiter=2),
    "random": lambda: split(np.random.default_rng(57).normal(size=(40, 40)), maxiter=50),
    "random-noise": lambda: split(np.random.default_rng(58).normal(size=(40, 40)), noise=True),
}


def same(checks, others):
    assert [check.name for check in checks] == [check.name for check in others]
    assert [check.limit for check in checks] == [check.limit for check in others]
    np.testing.assert_allclose(
        [check.value for check in checks], [check.value for check in others], rtol=1e-9, atol=1e-12
    )


@pytest.mark.parametrize("solve", [*SOLVES, *UNSOLVED])
def test_checks_can_be_computed_again(solve):
    result, problem, options = (SOLVES | UNSOLVED)[solve]()
    assert result.success == (solve in SOLVES)
    assert result.success == all(check.passed for check in result.checks)
    same(numopt.verify(result, *problem, **options), result.checks)
    same(pickle.loads(pickle.dumps(result)).verify(*problem, **options), result.checks)
    if not {"shape", "weights", "mask", "fit_intercept"} & set(options):
        same(result.verify(*problem[: 1 + (type(result) is numopt.RecoveryResult)]), result.checks)


@pytest.mark.parametrize("solve", SOLVES)
def test_another_matrix_is_no_success(solve):
    result, problem, options = SOLVES[solve]()
    rng = np.random.default_rng(0)
    result.L = result.L + 3 * rng.normal(size=result.L.shape)
    assert not all(check.passed for check in numopt.verify(result, *problem, **options))


def test_other_data_are_no_success():
    result, (A, y, _), _ = measured(PLANTED.A, PLANTED.y)
    assert not all(check.passed for check in result.verify(A, y[::-1].copy()))
    result, (M, _), _ = split(TABLE.M)
    assert not all(check.passed for check in result.verify(M[::-1]))


def test_what_is_no_number_is_no_success():
    for name in ("dense", "noise", "table", "table-noise"):
        result, problem, options = SOLVES[name]()
        result.L = result.L * np.nan
        checks = result.verify(*problem, **options)
        assert not any(check.passed for check in checks[:1])


@pytest.mark.parametrize("noise", [False, True])
def test_numbers_without_structure_have_a_status_of_their_own(noise):
    M = np.random.default_rng(59).normal(size=(40, 40))
    result = numopt.robust_pca(M, 2, noise=noise, maxiter=100)
    assert result.status is Status.NO_STRUCTURE
    assert not result.success
    assert "outliers" in result.message


def test_noise_is_a_success_only_where_it_is_small():
    rng = np.random.default_rng(60)
    for size, success in ((0.01, True), (3.0, False)):
        y = PLANTED.y + size * rng.normal(size=PLANTED.y.size)
        result = numopt.robust_low_rank_recovery(PLANTED.A, y, 2, noise=True, rng=0)
        (check,) = result.checks
        assert (check.name, result.success) == ("residual", success)
        assert (check.value <= 0.5) == success


def test_exact_agreement_is_said_of_noisy_data_too():
    for result in (
        numopt.robust_pca(TABLE.M, 3, noise=True, rng=0),
        numopt.robust_pca(TABLE.M, 3, rng=0),
    ):
        assert result.status is Status.CONVERGED
        assert len(result.checks) == 3


def test_zero_is_explained_by_the_zero_matrix():
    result = numopt.robust_pca(np.zeros((3, 3)))
    assert result.success
    assert result.status is Status.CONVERGED
    same(result.verify(np.zeros((3, 3))), result.checks)
    assert result.history[0]["error"] == 0


def test_noise_is_no_excuse_for_an_iteration_that_was_cut_short(rng):
    A, u = rng.normal(size=(200, 6, 6)), rng.normal(size=(6, 1))
    y = np.einsum("ak,mab,bk->m", u, A, u) + 0.05 * rng.normal(size=200)
    options = {"rank": 1, "noise": True, "polish": False, "rng": 0}
    short = numopt.robust_low_rank_recovery(A, y, maxiter=60, **options)
    assert short.status is numopt.Status.ITERATION_LIMIT
    assert not short.success
    del options["polish"]
    assert numopt.robust_low_rank_recovery(A, y, **options).success
