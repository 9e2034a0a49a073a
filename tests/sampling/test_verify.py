"""Results verify themselves: from the problem and the arrays alone, also in another process."""

import copy
import pickle

import lp_problems
import numpy as np
import pytest

import numopt

A, B = lp_problems.regression(400, 4, tail=3)
WEIGHTS = np.random.default_rng(2).integers(0, 3, 400).astype(float)
SPIKED = lp_problems.spiked(600, 3)  # enough rows for a coreset to be one

# Each row: a solve, and the problem it is verified with.
FITS = {
    "p-1": ((A, B, 1), {}),
    "p-1.5": ((A, B, 1.5), {}),
    "p-4": ((A, B, 4), {}),
    "weights": ((A, B, 1.5), {"weights": WEIGHTS}),
    "weights-p-1": ((A, B, 1), {"weights": WEIGHTS}),
    "quantile": ((A, B), {"quantile": 0.8}),
    "ridge": ((A, B, 3), {"ridge": 0.5}),
    "ridge-p-1": ((A, B, 1), {"ridge": 0.5}),
    "coreset": ((A, B, 1), {"method": "coreset", "rng": 0}),
    "reduce": ((A, B, 1), {"method": "reduce", "rng": 0}),
    "scales": ((1e140 * A, 1e-90 * B, 1.5), {"ridge": 1e100}),
    "float32": ((A.astype("f4"), B.astype("f4"), 1.5), {}),
    "rank": ((np.concatenate([A, A[:, :1]], axis=1), B, 1), {}),
    "limit": ((A, B, 1.5), {"maxiter": 2}),
}
SCORES = {
    "lewis": (1, {}),
    "lewis-limit": (4, {"maxiter": 3}),
    "leverage": (2, {"kind": "leverage"}),
    "root": (1, {"kind": "root_leverage"}),
    "sketch": (2, {"kind": "leverage", "method": "sketch", "rng": 1}),
    "sensitivity": (3, {"kind": "sensitivity"}),
    "sensitivity-p-1": (1, {"kind": "sensitivity", "indices": np.array([5, 2])}),
    "combined": (3, {"kind": "combined"}),
    "coreset": (3, {"kind": "sensitivity", "method": "coreset", "rng": 1}),
    "grouped": (3, {"kind": "combined", "method": "grouped", "rng": 1, "group_size": 5}),
}


def same(checks, others):
    """Assert that checks agree but for rounding."""
    assert [(c.name, c.limit, c.unit) for c in checks] == [
        (c.name, c.limit, c.unit) for c in others
    ]
    for check, other in zip(checks, others, strict=True):
        assert check.passed == other.passed
        assert check.value == pytest.approx(other.value, rel=1e-5, abs=0.5 * check.limit)


@pytest.mark.parametrize("label", FITS)
def test_regressions(label):
    problem, options = FITS[label]
    result = numopt.lp_regression(*problem, **options)
    assert result.success == (label != "limit")
    again = pickle.loads(pickle.dumps(result))
    for there in (result, again, copy.deepcopy(result)):
        same(numopt.verify(there, *problem, **options), result.checks)
    again.x = again.x * 1.01
    assert not again.verify(*problem, **options)[0].passed
    if label not in ("limit", "coreset"):
        again = copy.deepcopy(result)
        again.dual = -again.dual
        assert not again.verify(*problem, **options)[0].passed
        # Of another problem it is no solution.
        moved = (problem[0], problem[1] ** 2, *problem[2:])
        assert not result.verify(*moved, **options)[0].passed


@pytest.mark.parametrize("label", SCORES)
def test_scores(label):
    p, options = SCORES[label]
    result = numopt.lp_scores(SPIKED, p, **options)
    assert result.success == (label != "lewis-limit")
    again = pickle.loads(pickle.dumps(result))
    same(numopt.verify(again, SPIKED, p, **options), result.checks)
    again.scores = again.scores * (3 if label == "sketch" else 1.2)
    assert not again.verify(SPIKED, p, **options)[0].passed


def test_scores_made_of_draws_need_the_seed():
    result = numopt.lp_scores(SPIKED, 3, kind="sensitivity", method="coreset", rng=1)
    with pytest.raises(ValueError, match="`rng` must be the seed"):
        result.verify(SPIKED, 3)


def test_estimated_sums():
    result = numopt.total_sensitivity(SPIKED, 3, eps=0.2, rng=0)
    assert result.success
    again = pickle.loads(pickle.dumps(result))
    same(again.verify(SPIKED, 3, eps=0.2), result.checks)
    again.scores = again.scores * 1.2
    assert not again.verify(SPIKED, 3)[1].passed
    again.scores = again.scores * np.where(np.arange(again.scores.shape[0]) % 2, 1, 100)
    assert not again.verify(SPIKED, 3)[0].passed


@pytest.mark.parametrize("b", [None, B, np.stack([B, B**2], axis=1)])
def test_coresets(b):
    drawn = numopt.lp_coreset(A, b, 1.5, sample_size=60, weights=WEIGHTS, rng=0)
    assert drawn.success
    again = pickle.loads(pickle.dumps(drawn))
    same(again.verify(A, b, 1.5, weights=WEIGHTS), drawn.checks)
    again.indices = 0 * again.indices + again.indices[0]
    assert not again.verify(A, b, 1.5, weights=WEIGHTS)[0].passed


def test_coresets_of_streams():
    stream = numopt.StreamingCoreset(1, 60, rng=0)
    for start in range(0, 400, 40):
        stream.partial_fit(A[start : start + 40], B[start : start + 40])
    drawn = stream.result()
    same(pickle.loads(pickle.dumps(drawn)).verify(A, B, 1), drawn.checks)
    kept = pickle.loads(pickle.dumps(stream)).result()
    np.testing.assert_array_equal(kept.indices, drawn.indices)
    assert "sample_size=60" in repr(stream)
    assert "400 rows seen" in repr(stream)


def test_dask_arrays():
    da = pytest.importorskip("dask.array", reason="Dask is not installed")
    x, y = da.from_array(A, chunks=(150, 4)), da.from_array(B, chunks=150)
    fit = numopt.lp_regression(x, y, 1)
    same(fit.verify(x, y, 1), fit.checks)
    for kind in ("leverage", "root_leverage", "lewis"):
        scores = numopt.lp_scores(x, 1, kind=kind)
        same(scores.verify(x, 1), scores.checks)
        with pytest.raises(TypeError, match="must be in memory, got a Dask array"):
            scores.verify(A, 1)


@pytest.mark.parametrize("options", [{}, {"quantile": 0.3}, {"weights": WEIGHTS}])
def test_standard_errors_after_a_journey(options):
    result = numopt.lp_regression(A, B, **options)
    again = pickle.loads(pickle.dumps(result))
    assert len(pickle.dumps(result)) < 3 * A.nbytes
    with pytest.raises(ValueError, match="needs `A` and `b` again"):
        again.covariance()
    weights = options.get("weights")
    for kind in ("robust", "iid"):
        expected = result.standard_errors(kind)
        np.testing.assert_array_equal(again.standard_errors(kind, A, B, weights=weights), expected)
    for other in ({"p": 3}, {"ridge": 1.0}, {"method": "coreset", "rng": 0}):
        with pytest.raises(TypeError, match="needs a regression with p = 1 on all rows"):
            numopt.lp_regression(A, B, **other).covariance()


@pytest.mark.parametrize("options", [{"p": 1}, {"quantile": 0.3}, {"p": 1.5}, {"p": 3, "ridge": 1}])
def test_dual_objective_is_a_lower_bound(options):
    result = numopt.lp_regression(A, B, **options)
    assert result.fun * (1 - 1e-8) <= result.dual_fun <= result.fun
    early = numopt.lp_regression(A, B, **options, maxiter=2)
    assert early.dual_fun <= result.fun * (1 + 1e-12)
