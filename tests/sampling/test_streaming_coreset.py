"""Coresets of streams: the same guarantees as of one, in memory that does not grow."""

import lp_problems
import numpy as np
import pytest
from libraries import to_numpy

import numopt

STREAM = numopt.StreamingCoreset


def fed(stream, A, b=None, *, rows=100, weights=None):
    for start in range(0, A.shape[0], rows):
        here = slice(start, start + rows)
        stream.partial_fit(
            A[here, :],
            None if b is None else b[here],
            weights=None if weights is None else weights[here],
        )
    return stream


@pytest.mark.parametrize("p", [1, 3])
def test_estimates_are_unbiased(p):
    """Means over 200 streams within 4 standard errors, after three levels of reductions."""
    A = lp_problems.spiked(400, 3)
    X = np.random.default_rng(0).normal(size=(3, 20))
    truth = (np.abs(A @ X) ** p).sum(axis=0)
    estimates = []
    for seed in range(200):
        drawn = fed(STREAM(p, 40, method="lewis", rng=seed), A).result()
        estimates.append(drawn.weights @ np.abs(drawn.A @ X) ** p)
    deviation = np.mean(estimates, axis=0) - truth
    assert (np.abs(deviation) <= 4 * np.std(estimates, axis=0) / np.sqrt(200)).all()


def test_memory_does_not_grow_with_the_stream():
    stream, A = STREAM(1.5, 60, rng=0), lp_problems.gaussian(4000, 4)
    for start in range(0, 4000, 50):
        stream.partial_fit(A[start : start + 50])
        # Fewer rows wait than two coresets have; of log2(4000 / 60) levels each holds one.
        assert sum(part.size for part in stream._parts()) <= 1.5 * 60 * (2 + np.log2(4000 / 60))
    assert stream.n_rows == 4000
    assert stream.result().expected_size == pytest.approx(60)


def test_regression_on_the_rows_kept():
    A, b = lp_problems.regression(20_000, 4)
    drawn = fed(STREAM(1, 800, rng=0), A, b, rows=1000).result()
    x = numopt.lp_regression(drawn.A, drawn.b, weights=drawn.weights).x
    assert np.abs(b - A @ x).sum() <= 1.01 * numopt.lp_regression(A, b).fun
    assert (np.diff(drawn.indices) > 0).all()
    np.testing.assert_array_equal(drawn.A, A[drawn.indices])
    np.testing.assert_array_equal(drawn.b, b[drawn.indices])
    np.testing.assert_allclose(drawn.weights * drawn.probabilities, 1, rtol=1e-12)


def test_few_rows_are_kept_as_they_are():
    A, b = lp_problems.regression(30, 4)
    weights = np.arange(1.0, 31.0)
    drawn = fed(STREAM(1, 30, rng=0), A, b, rows=7, weights=weights).result()
    np.testing.assert_array_equal(drawn.indices, np.arange(30))
    np.testing.assert_allclose(drawn.weights, weights, rtol=1e-14)
    assert drawn.nit == 0


def test_sample_weights_count_rows():
    A = lp_problems.gaussian(3000, 3)
    weights = np.random.default_rng(1).random(3000) ** 3
    weights[:100] = 0
    drawn = fed(STREAM(1, 500, rng=0), A, weights=weights, rows=200).result()
    x = np.array([1.0, -1.0, 2.0])
    estimate = drawn.weights @ np.abs(drawn.A @ x)
    assert estimate == pytest.approx(weights @ np.abs(A @ x), rel=0.1)
    assert drawn.indices.min() >= 100


def test_merged_streams_stand_for_both():
    A, b = lp_problems.regression(6000, 4)
    first = fed(STREAM(1.5, 500, rng=0), A[:2500], b[:2500])
    second = fed(STREAM(1.5, 500, rng=1), A[2500:], b[2500:])
    before = second.result().indices
    drawn = first.merge(second).result()
    np.testing.assert_array_equal(drawn.A, A[drawn.indices])
    assert first.n_rows == 6000
    assert second.n_rows == 3500
    np.testing.assert_array_equal(second.result().indices, before)
    x = np.ones(4)
    estimate = drawn.weights @ np.abs(drawn.A @ x - drawn.b) ** 1.5
    assert estimate == pytest.approx((np.abs(A @ x - b) ** 1.5).sum(), rel=0.2)


def test_result_changes_nothing_and_a_buffer_may_be_reused():
    A = lp_problems.gaussian(1000, 3)
    plain, reused, buffer = STREAM(1, 100, rng=3), STREAM(1, 100, rng=3), np.empty((50, 3))
    for start in range(0, 1000, 50):
        buffer[:] = A[start : start + 50]
        reused.partial_fit(buffer).result()
        plain.partial_fit(A[start : start + 50])
    np.testing.assert_array_equal(plain.result().indices, reused.result().indices)
    np.testing.assert_array_equal(plain.result().weights, reused.result().weights)
    np.testing.assert_array_equal(reused.result().A, A[reused.result().indices])


def test_single_rows_and_rows_of_zeros():
    A = lp_problems.gaussian(90, 3)
    A[:60] = 0
    drawn = fed(STREAM(1, 20, rng=0), A, rows=1).result()
    assert drawn.indices.min() >= 60
    assert drawn.success
    assert drawn.A.shape[1] == 3


def test_libraries_keep_the_same_rows(lib):
    if not lib.indexing:
        pytest.skip("the device has no 64-bit integers, in which indices are returned")
    A, b = lp_problems.regression(400, 3)
    here = fed(STREAM(1, 60, rng=5), lib.asarray(A), lib.asarray(b)).result()
    there = fed(STREAM(1, 60, rng=5), A, b).result()
    if lib.widest == "float64":
        np.testing.assert_array_equal(to_numpy(here.indices), there.indices)
        np.testing.assert_allclose(to_numpy(here.weights), there.weights, rtol=1e-9)
    assert lib.holds(here.weights, lib.widest)
    assert lib.holds(here.A, lib.widest)
