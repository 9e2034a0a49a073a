"""What bad input raises, and that it leaves the summary as it was."""

import numpy as np
import pytest
from scipy.sparse import csr_array

import numopt

A = np.random.default_rng(0).normal(size=(60, 4))


def fitted(**options):
    return numopt.StreamingEigenvector(rng=0, **options).partial_fit(A)


OPTIONS = [
    ({"rank": 0}, ValueError, "`rank` must be at least 1"),
    ({"rank": 1.5}, TypeError, "`rank` must be an integer"),
    ({"rank": 5}, ValueError, "`rank` must be at most the number of columns, got 5 for 4"),
    ({"memory_rows": 3}, ValueError, "`memory_rows` must be at least 4, got 3"),
    ({"rank": 3, "memory_rows": 7}, ValueError, "`memory_rows` must be at least 8"),
    ({"method": "magic"}, ValueError, "`method` must be one of"),
    ({"blocks": "equal"}, ValueError, "`blocks` must be one of"),
    ({"blocks": "uniform"}, ValueError, "`n_rows` must be given for blocks 'uniform'"),
    ({"n_rows": 0}, ValueError, "`n_rows` must be at least 1"),
    ({"tol": 0.0}, ValueError, r"`tol` must be in \(0, 1\)"),
    ({"tol": 1.0}, ValueError, r"`tol` must be in \(0, 1\)"),
    ({"tol": "small"}, TypeError, "`tol` must be a real number"),
    ({"growth": 0.5}, ValueError, "`growth` must be at least 1"),
    ({"heavy_threshold": 0.0}, ValueError, "`heavy_threshold` must be positive"),
    ({"center": 1}, TypeError, "`center` must be True or False"),
    ({"center": True, "method": "fd"}, ValueError, "`center` goes with methods"),
    ({"gram_limit": 0}, ValueError, "`gram_limit` must be at least 1"),
    ({"gram_limit": 3, "method": "gram"}, ValueError, "at least the number of columns"),
    ({"decay": 0.0, "method": "truncate"}, ValueError, "`decay` must be in"),
    ({"decay": 0.9}, ValueError, "`decay` goes with method 'truncate' only"),
    ({"rank": 2, "method": "oja"}, ValueError, "`rank` must be 1 for method 'oja'"),
    ({"dtype": "int8"}, ValueError, "`dtype` must be float32 or float64"),
    ({"rng": "seed"}, TypeError, "`rng` must be"),
]


@pytest.mark.parametrize(("options", "error", "message"), OPTIONS)
def test_options_are_checked(options, error, message):
    with pytest.raises(error, match=message):
        numopt.top_eigenvector(A, **options)


CHUNKS = [
    (np.ones(3), ValueError, "`chunk` must have 4 columns as those before, got 3"),
    (np.ones((2, 5)), ValueError, "`chunk` must have 4 columns as those before, got 5"),
    (np.ones((2, 2, 2)), ValueError, r"a matrix or a row, got shape \(2, 2, 2\)"),
    (np.ones((2, 0)), ValueError, r"must have columns, got shape \(2, 0\)"),
    (np.ones((2, 4)) * 1j, TypeError, "must hold real numbers, got dtype complex128"),
    (csr_array(np.ones((2, 4)) * 1j), TypeError, "must hold real numbers"),
    ("rows", TypeError, "`chunk` must be an array or a sequence of real numbers, got str"),
    ([[1.0] * 4, [1.0]], ValueError, "all rows of one length; got ragged"),
    (np.float64(3.0), ValueError, r"`chunk` must be a matrix or a row, got shape \(\)"),
    (None, TypeError, "`chunk` must be an array"),
    (np.ma.masked_array(np.ones((2, 4))), TypeError, "masked"),
    (np.full((2, 4), "2026", "M8[Y]"), TypeError, "must hold real numbers"),
]


@pytest.mark.parametrize(("chunk", "error", "message"), CHUNKS)
def test_chunks_are_checked(chunk, error, message):
    model, untouched = fitted(), fitted()
    with pytest.raises(error, match=message):
        model.partial_fit(chunk)
    assert model.state_dict()["facts"] == untouched.state_dict()["facts"]
    assert model.result().x.tobytes() == untouched.result().x.tobytes()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("method", ["auto", "truncate", "gram", "oja"])
def test_rows_that_are_not_finite_change_nothing(bad, sparse, method):
    chunk = A[:9].copy()
    chunk[5, 2] = bad
    model, untouched = fitted(method=method), fitted(method=method)
    with pytest.raises(ValueError, match="nan or infinity in row 65 of the stream"):
        model.partial_fit(csr_array(chunk) if sparse else chunk)
    for each in (model, untouched):
        each.partial_fit(A)
    assert model.state_dict()["facts"] == untouched.state_dict()["facts"]
    assert model.result().x.tobytes() == untouched.result().x.tobytes()


def test_first_chunk_that_is_not_finite_is_refused():
    model = numopt.StreamingEigenvector(rng=0)
    with pytest.raises(ValueError, match="row 0 of the stream"):
        model.partial_fit(np.array([[np.nan, 1.0]]))
    with pytest.raises(RuntimeError, match="No rows have been read"):
        model.result()


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (-np.ones(60), "`weights` must be non-negative"),
        (np.ones(59), r"`weights` must have shape \(60,\)"),
        (np.full(60, np.nan), "`weights` must be finite"),
    ],
)
def test_weights_are_checked(weights, message):
    with pytest.raises(ValueError, match=message):
        fitted().partial_fit(A, weights=weights)


def test_other_library_is_refused():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed (group backends)")
    with pytest.raises(ValueError, match="torch on cpu after numpy on cpu"):
        fitted().partial_fit(torch.ones((2, 4), dtype=torch.float64))


@pytest.mark.parametrize(
    "other",
    [
        fitted(rank=2),
        fitted(method="truncate"),
        fitted(memory_rows=30),
        numopt.StreamingEigenvector(rng=0).partial_fit(A[:, :3]),
        numopt.StreamingEigenvector(rng=0, dtype="float32").partial_fit(A),
    ],
)
def test_summaries_of_another_kind_do_not_merge(other):
    with pytest.raises(ValueError, match="`other` must have"):
        fitted().merge(other)


def test_only_summaries_merge():
    with pytest.raises(TypeError, match="`other` must be a StreamingEigenvector, got dict"):
        fitted().merge({})
    empty = numopt.StreamingEigenvector(rng=0)
    assert fitted().merge(empty).n_rows_seen_ == 60
    assert empty.merge(fitted()).n_rows_seen_ == 60


def test_empty_chunks_and_integers_are_fine():
    counts = np.arange(12).reshape(6, 2)
    model = numopt.StreamingEigenvector(rng=0).partial_fit(counts[:0])
    assert model.result().status is numopt.Status.NO_ANSWER
    result = model.partial_fit(counts).partial_fit(counts[:0]).partial_fit(counts[0] > 3).result()
    assert result.n_rows == 7
    assert result.x.dtype == np.float64


def test_sources_are_checked():
    with pytest.raises(TypeError, match="`source` must be"):
        numopt.top_eigenvector(3)
    with pytest.raises(ValueError, match="`source` must be a matrix"):
        numopt.top_eigenvector(np.ones(3))
    with pytest.raises(ValueError, match="got no chunks"):
        numopt.top_eigenvector(iter([]))
    with pytest.raises(ValueError, match="`shuffle` goes with a matrix in memory"):
        numopt.top_eigenvector(iter([A]), shuffle=True)
    with pytest.raises(ValueError, match="`chunk_rows` must be at least 1"):
        numopt.top_eigenvector(A, chunk_rows=0)
    with pytest.raises(TypeError, match="`callback` must be callable"):
        numopt.top_eigenvector(A, callback=3)
    with pytest.raises(TypeError, match="magic"):
        numopt.top_eigenvector(A, magic=True)
    with pytest.raises(ValueError, match="`center` needs dense rows"):
        numopt.top_eigenvector(csr_array(A), center=True)
    with pytest.raises(ValueError, match="`params` must be names of parameters"):
        fitted().set_params(magic=1)
