"""What scores, coresets and regression say of bad inputs."""

import array_api_strict
import numpy as np
import pytest
from scipy.sparse import csr_array

import numopt

A, B = np.random.default_rng(0).normal(size=(8, 3)), np.arange(8.0)
NAN, INF = float("nan"), float("inf")
SCORES, TOTAL = numopt.lp_scores, numopt.total_sensitivity
CORESET, FIT, STREAM = numopt.lp_coreset, numopt.lp_regression, numopt.StreamingCoreset


def changed(array, index, value):
    array = array.copy()
    array[index] = value
    return array


def fit(*args, **kwargs):
    return lambda: FIT(*args, **kwargs)


# Each row: the call, the error, its message.
BAD = {
    "p-small": (fit(A, B, 0.5), ValueError, "`p` must be finite and at least 1, got 0.5"),
    "p-nan": (fit(A, B, NAN), ValueError, "`p` must be finite"),
    "p-inf": (fit(A, B, INF), ValueError, "`p` must be finite"),
    "p-text": (fit(A, B, "two"), TypeError, "`p` must be a real number, got str"),
    "a-vector": (fit(B, B), ValueError, r"`A` must be a matrix, got shape \(8,\)"),
    "a-empty": (fit(A[:0], B[:0]), ValueError, r"`A` must not be empty"),
    "a-nan": (
        fit(changed(A, (4, 1), NAN), B),
        ValueError,
        r"`A` must be finite, got nan at \[4, 1",
    ),
    "a-inf": (
        fit(changed(A, (2, 0), INF), B),
        ValueError,
        r"`A` must be finite, got inf at \[2, 0",
    ),
    "a-complex": (fit(A + 0j, B), TypeError, "`A` must hold real numbers"),
    "a-sparse-nan": (
        lambda: SCORES(csr_array(changed(A, (4, 1), NAN)), 1),
        ValueError,
        r"`A` must be finite, got nan at \[4, 1",
    ),
    "b-none": (fit(A, None), TypeError, "`b` must be an array, got NoneType"),
    "b-text": (fit(A, "response"), TypeError, "`b` must be an array or a sequence of real numbers"),
    "b-length": (fit(A, B[:5]), ValueError, r"`b` must have shape \(8,\) to match `A`, got \(5,\)"),
    "b-matrix": (fit(A, B[:, None]), ValueError, r"`b` must be a vector"),
    "b-nan": (fit(A, changed(B, 3, NAN)), ValueError, r"`b` must be finite, got nan at \[3"),
    "b-library": (
        fit(A, array_api_strict.asarray(B)),
        TypeError,
        "`A` and `b` must be of one library",
    ),
    "weights-negative": (
        fit(A, B, weights=changed(B, 0, -1)),
        ValueError,
        r"`weights` must be non-negative, got -1.0 at \[0",
    ),
    "weights-length": (fit(A, B, weights=B[1:]), ValueError, r"`weights` must have shape \(8,\)"),
    "weights-zero": (fit(A, B, weights=0 * B), ValueError, "`weights` must not be zero everywhere"),
    "quantile-0": (fit(A, B, quantile=0.0), ValueError, r"`quantile` must be in \(0, 1\), got 0.0"),
    "quantile-1": (fit(A, B, quantile=1.0), ValueError, r"`quantile` must be in \(0, 1\)"),
    "quantile-p": (fit(A, B, 1.5, quantile=0.5), ValueError, "`quantile` is for p = 1 only"),
    "ridge": (fit(A, B, ridge=-1.0), ValueError, "`ridge` must be non-negative and finite"),
    "ridge-inf": (fit(A, B, ridge=INF), ValueError, "`ridge` must be non-negative and finite"),
    "method": (fit(A, B, method="fast"), ValueError, "`method` must be one of 'auto', 'exact'"),
    "tol": (fit(A, B, tol=0.0), ValueError, "`tol` must be positive"),
    "maxiter": (fit(A, B, maxiter=-1), ValueError, "`maxiter` must be non-negative"),
    "maxiter-float": (fit(A, B, maxiter=1.5), TypeError, "`maxiter` must be an integer"),
    "callback": (fit(A, B, callback=3), TypeError, "`callback` must be callable, got int"),
    "rng": (fit(A, B, rng="seed"), TypeError, "`rng` must be None, an integer seed"),
    "x0-length": (fit(A, B, x0=B), ValueError, r"`x0` must have shape \(3,\) to match `A`"),
    "x0-nan": (fit(A, B, x0=np.full(3, NAN)), ValueError, "`x0` must be finite"),
    "coreset-method": (
        fit(A, B, coreset=CORESET(A, B, 1, sample_size=5, rng=0)),
        ValueError,
        "`coreset` goes with method 'coreset' only",
    ),
    "coreset-other": (
        fit(A, B, method="coreset", coreset=(A, B)),
        TypeError,
        "`coreset` must be what `lp_coreset` returned",
    ),
    "kind": (lambda: SCORES(A, 1, kind="best"), ValueError, "`kind` must be one of 'leverage'"),
    "scores-method": (lambda: SCORES(A, 1, method="quick"), ValueError, "`method` must be one of"),
    "sketch-lewis": (
        lambda: SCORES(A, 1, method="sketch"),
        ValueError,
        "`method` 'sketch' is for leverage scores",
    ),
    "coreset-lewis": (
        lambda: SCORES(A, 1, method="coreset"),
        ValueError,
        "`method` 'coreset' is for sensitivities only",
    ),
    "bounds-lewis": (
        lambda: SCORES(A, 1, bounds=True),
        ValueError,
        "`bounds` and `indices` are for the kind 'sensitivity'",
    ),
    "indices-range": (
        lambda: SCORES(A, 1, kind="sensitivity", indices=np.array([8])),
        ValueError,
        r"`indices` must be in \[0, 8\)",
    ),
    "indices-float": (
        lambda: SCORES(A, 1, kind="sensitivity", indices=np.array([1.0])),
        ValueError,
        "`indices` must be a vector of integers",
    ),
    "total-eps": (lambda: TOTAL(A, 1, eps=0.0), ValueError, r"`eps` must be in \(0, 1\), got 0.0"),
    "total-delta": (lambda: TOTAL(A, 1, delta=1.0), ValueError, r"`delta` must be in \(0, 1\)"),
    "sampling-method": (
        lambda: CORESET(A, None, 1, method="best"),
        ValueError,
        "`method` must be one of 'auto'",
    ),
    "size-0": (
        lambda: CORESET(A, None, 1, sample_size=0),
        ValueError,
        "`sample_size` must be at least 1, got 0",
    ),
    "size-float": (
        lambda: CORESET(A, None, 1, sample_size=2.5),
        TypeError,
        "`sample_size` must be an integer",
    ),
    "b-no-columns": (
        lambda: CORESET(A, np.ones((8, 0)), 1),
        ValueError,
        r"`b` must not be empty, got shape \(8, 0\)",
    ),
    "grouped-lewis": (
        lambda: SCORES(A, 1, method="grouped"),
        ValueError,
        "`method` 'grouped' is for sensitivities only",
    ),
    "grouped-indices": (
        lambda: SCORES(A, 1, kind="sensitivity", method="grouped", indices=np.array([1])),
        ValueError,
        "`indices` does not go with `method` 'grouped'",
    ),
    "group-size": (
        lambda: SCORES(A, 1, group_size=0),
        ValueError,
        "`group_size` must be at least 1, got 0",
    ),
    "stream-p": (lambda: STREAM(0.5, 9), ValueError, "`p` must be finite and at least 1, got 0.5"),
    "stream-size": (lambda: STREAM(1, 0), ValueError, "`sample_size` must be at least 1, got 0"),
    "stream-method": (lambda: STREAM(1, 9, method="best"), ValueError, "`method` must be one of"),
    "stream-rng": (lambda: STREAM(1, 9, rng="a"), TypeError, "`rng` must be None, an integer seed"),
    "stream-nothing": (lambda: STREAM(1, 9).result(), ValueError, "call `partial_fit` first"),
    "stream-columns": (
        lambda: STREAM(1, 9).partial_fit(A).partial_fit(A[:, :2]),
        ValueError,
        "`A` must have 3 columns, as the rows before, got 2",
    ),
    "stream-b": (
        lambda: STREAM(1, 9).partial_fit(A, B).partial_fit(A),
        ValueError,
        "`A` must come with `b` each time, or never",
    ),
    "stream-b-columns": (
        lambda: STREAM(1, 9).partial_fit(A, B).partial_fit(A, B[:, None]),
        ValueError,
        r"`b` must have shape \(m,\) as before, got shape \(8, 1\)",
    ),
    "stream-library": (
        lambda: STREAM(1, 9).partial_fit(A).partial_fit(array_api_strict.asarray(A)),
        TypeError,
        "must be of one library",
    ),
    "stream-dtype": (
        lambda: STREAM(1, 9).partial_fit(A).partial_fit(A.astype("float32")),
        TypeError,
        "`A` must be float64, as the rows before, got float32",
    ),
    "stream-merge": (
        lambda: STREAM(1, 9).merge(A),
        TypeError,
        "`other` must be a StreamingCoreset",
    ),
    "stream-merge-p": (
        lambda: STREAM(1, 9).merge(STREAM(2, 9)),
        ValueError,
        "`other` must be for p = 1, got p = 2",
    ),
    "eps": (
        lambda: CORESET(A, None, 1, eps=1.5),
        ValueError,
        r"`eps` must be in \(0, 1\), got 1.5",
    ),
    "delta": (lambda: CORESET(A, None, 1, delta=0.0), ValueError, r"`delta` must be in \(0, 1\)"),
    "floor": (lambda: CORESET(A, None, 1, floor=-1.0), ValueError, "`floor` must be positive"),
    "scores-length": (
        lambda: CORESET(A, None, 1, scores=B[:4]),
        ValueError,
        r"`scores` must have shape \(8,\) to match `A`",
    ),
    "scores-negative": (
        lambda: CORESET(A, None, 1, scores=B - 1),
        ValueError,
        "`scores` must be non-neg",
    ),
    "scores-zero": (
        lambda: CORESET(A, None, 1, scores=0 * B),
        ValueError,
        "`scores` must not be zero",
    ),
}


@pytest.mark.parametrize("label", BAD)
def test_bad_input_raises_before_any_work(label):
    call, error, message = BAD[label]
    with pytest.raises(error, match=message):
        call()


def test_integers_and_mixed_precision_are_promoted():
    integers = np.arange(12).reshape(6, 2) % 5
    result = FIT(integers, np.arange(6))
    assert result.x.dtype == np.float64
    assert result.fun == pytest.approx(FIT(integers.astype(float), np.arange(6.0)).fun)
    assert FIT(A.astype(np.float32), B).x.dtype == np.float64
    assert FIT(A.astype(np.float32), B.astype(np.float32)).x.dtype == np.float32


def test_memory_layouts():
    for matrix in (np.asfortranarray(A), np.concatenate([A, A], axis=1)[:, ::2], A[::-1]):
        plain = np.ascontiguousarray(matrix)
        np.testing.assert_allclose(FIT(matrix, B).x, FIT(plain, B).x, rtol=1e-12)
        np.testing.assert_allclose(SCORES(matrix, 1).scores, SCORES(plain, 1).scores)
