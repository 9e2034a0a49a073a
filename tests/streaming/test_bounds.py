"""The certificates hold on every stream, in any order, that can be thought of."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from streams import flat, heavy_rows, power_law, spectrum

import numopt

PLAIN = settings(derandomize=True, deadline=None, database=None, max_examples=150)
METHODS = ("auto", "truncate", "fd", "gram", "block-power", "oja")


@st.composite
def streams(draw):
    """Draw a stream: its rows, an order that may be adversarial, and how it is cut."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    n, d = draw(st.integers(1, 400)), draw(st.integers(1, 12))
    kind = draw(st.sampled_from(["gaussian", "integers", "low-rank", "basis", "wild", "constant"]))
    if kind == "gaussian":
        A = rng.normal(size=(n, d)) * 3.0 ** rng.uniform(-2, 2, size=d)
    elif kind == "integers":
        A = rng.integers(-2, 3, size=(n, d)).astype(float)
    elif kind == "low-rank":
        A = rng.normal(size=(n, 1)) * rng.normal(size=d) + 1e-3 * rng.normal(size=(n, d))
    elif kind == "basis":
        A = np.eye(d)[rng.integers(d, size=n)]
    elif kind == "wild":
        A = rng.normal(size=(n, d)) * 10.0 ** rng.uniform(-6, 6, size=(n, 1))
    else:
        A = np.tile(rng.normal(size=d), (n, 1))
    order = draw(st.sampled_from(["as-is", "rising", "falling", "aligned-last", "aligned-first"]))
    keys = {"rising": (A**2).sum(axis=1), "falling": -(A**2).sum(axis=1)}
    if order.startswith("aligned"):
        images = np.abs(A @ spectrum(A)[1][:, 0])
        keys[order] = images if order == "aligned-last" else -images
    if order in keys:
        A = A[np.argsort(keys[order], kind="stable")]
    return A * 10.0 ** draw(st.integers(-8, 8)), draw(st.sampled_from([1, 3, 64, 1000]))


def read(A, chunk_rows, **options):
    model = numopt.StreamingEigenvector(rng=0, **options)
    for start in range(0, len(A), chunk_rows):
        model.partial_fit(A[start : start + chunk_rows])
    return model


def check(A, result, k):
    """Assert what must be true of a result whatever the stream was."""
    values, vectors = spectrum(A)
    total = (A.astype(np.longdouble) ** 2).sum()
    assert abs(result.frobenius2 - total) <= 1e-12 * total
    low, high = result.lambda1_bounds
    slack = 1e-10 * values[0]
    assert low - slack <= values[0] <= high + slack
    if result.status is numopt.Status.NO_ANSWER:
        assert not np.any(result.x)
        return
    x = result.x.reshape(len(vectors), -1)
    np.testing.assert_allclose(x.T @ x, np.eye(x.shape[1]), atol=1e-9)
    if x.shape[1] == k:
        V = vectors[:, :k]
        apart = x - V @ (V.T @ x)
        bound = result.sin2_bound if result.sin2_bound < 1 else k
        assert (apart**2).sum() <= bound * (1 + 1e-9) + 1e-10


@pytest.mark.parametrize("method", METHODS)
@PLAIN
@given(drawn=streams())
def test_bounds_hold(method, drawn):
    A, chunk_rows = drawn
    check(A, read(A, chunk_rows, method=method).result(), 1)


@PLAIN
@given(drawn=streams(), k=st.integers(2, 3))
def test_bounds_hold_for_several_vectors(drawn, k):
    A, chunk_rows = drawn
    if A.shape[1] < k:
        return
    for method in ("auto", "truncate"):
        check(A, read(A, chunk_rows, method=method, rank=k, memory_rows=32).result(), k)


@PLAIN
@given(drawn=streams(), parts=st.integers(2, 5), seed=st.integers(0, 100))
def test_bounds_hold_after_any_tree_of_merges(drawn, parts, seed):
    A, chunk_rows = drawn
    rng = np.random.default_rng(seed)
    for method in ("auto", "truncate", "fd", "gram"):
        models = [read(part, chunk_rows, method=method) for part in np.array_split(A, parts)]
        while len(models) > 1:
            i, j = rng.choice(len(models), 2, replace=False)
            models[i].merge(models[j])
            del models[j]
        result = models[0].result()
        assert result.n_rows == len(A)
        check(A, result, 1)


@PLAIN
@given(drawn=streams())
def test_factor_is_below_the_gram_matrix(drawn):
    A, chunk_rows = drawn
    for method in ("truncate", "fd"):
        model = read(A, chunk_rows, method=method)
        state = model._state
        B = np.concatenate([state.factor.rows, state.factor.waiting]) * 2.0**state.exponent
        left = np.linalg.eigvalsh(A.T @ A - B.T @ B)
        assert left[0] >= -1e-9 * (A**2).sum()


@PLAIN
@given(drawn=streams())
def test_centered_bounds_hold(drawn):
    A, chunk_rows = drawn
    result = read(A, chunk_rows, center=True).result()
    np.testing.assert_allclose(result.mean, A.mean(axis=0), atol=1e-12 * np.abs(A).max())
    centered = A - A.mean(axis=0)
    total, floor = (centered**2).sum(), 1e-12 * (A**2).sum()
    assert abs(result.frobenius2 - total) <= 1e-9 * total + floor
    if total > 1e3 * floor:
        low, high = result.lambda1_bounds
        values = spectrum(centered)[0]
        assert low - floor - 1e-9 * total <= values[0] <= high + floor + 1e-9 * total


def test_certificate_says_something_where_the_spectrum_falls():
    A = power_law(np.random.default_rng(0), 4000, 40, 20.0)
    result = numopt.top_eigenvector(A, rng=0)
    assert result.sin2_bound < 0.2
    check(A, result, 1)


@pytest.mark.parametrize("make", [flat, heavy_rows])
def test_order_of_the_rows_does_not_break_the_bound(make):
    A = make(np.random.default_rng(1), 3000, 30, 4.0)
    along = np.abs(A @ spectrum(A)[1][:, 0])
    for order in (np.argsort(along), np.argsort(-along), np.arange(len(A))[::-1]):
        check(A[order], numopt.top_eigenvector(A[order], rng=0), 1)


def test_truncation_bound_is_tighter_than_the_trace():
    """A panel loses at most its largest eigenvalue in any direction, not the sum of all."""
    A = flat(np.random.default_rng(2), 2000, 20, 30.0)
    model = read(A, 100, method="truncate")
    trace, norm = model._state.factor.lost
    assert norm < 0.5 * trace
    result = model.result()
    assert result.lambda1_bounds[1] < result.lambda1_bounds[0] + 0.6 * trace
