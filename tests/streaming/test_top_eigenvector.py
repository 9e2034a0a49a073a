"""The top eigenvector of a stream: libraries, chunks, options, merging."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from libraries import to_numpy
from scipy.sparse import csc_array, csr_array, random_array
from scipy.sparse.linalg import svds
from streams import FAMILIES, basis_rows, flat, heavy_rows, power_law, sin2, spectrum

import numopt

METHODS = ("auto", "truncate", "block-power", "fd", "gram", "oja")


def in_chunks(A, rows, **options):
    model = numopt.StreamingEigenvector(**{"rng": 0, **options})
    for start in range(0, len(A), rows):
        model.partial_fit(A[start : start + rows])
    return model.result()


def aligned(x, y):
    """Assert that two unit vectors are the same, sign included."""
    assert np.abs(x - y).max() < 1e-8


def test_every_library_finds_the_same(lib, rng):
    A = flat(rng, 700, 12, 6.0)
    here = "float32" if lib.widest == "float32" else "float64"
    reference = in_chunks(A.astype(here), 200)
    for method in METHODS:
        wanted = in_chunks(A.astype(here), 200, method=method)
        model = numopt.StreamingEigenvector(method=method, rng=0)
        for start in range(0, 700, 200):
            model.partial_fit(lib.asarray(A[start : min(start + 200, 700)]))
        result = model.result()
        assert lib.holds(result.x, lib.widest)
        assert lib.holds(result.eigenvalues, lib.widest)
        tolerance = 1e-8 if lib.widest == "float64" else 1e-3
        assert np.abs(to_numpy(result.x) - wanted.x).max() < tolerance
        assert result.method_used == wanted.method_used
        assert result.fun == pytest.approx(wanted.fun, rel=tolerance)
        assert result.n_rows == 700
    assert reference.nit > 5


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_precision_is_kept_and_enough(rng, dtype):
    A = flat(rng, 4000, 40, 5.0)
    result = in_chunks(A.astype(dtype), 500)
    assert result.x.dtype == dtype
    wide = in_chunks(A, 500)
    assert np.abs(result.x - wide.x).max() < 1e-4
    values = spectrum(A)[0]
    low, high = result.lambda1_bounds
    assert low * (1 - 1e-6) <= values[0] <= high * (1 + 1e-6)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("method", METHODS)
def test_size_of_the_chunks_does_not_matter(family, method):
    A = FAMILIES[family](np.random.default_rng(0), 1500, 30, 4.0)
    wanted = in_chunks(A, 1000, method=method)
    for rows in (1, 7, 1500):
        result = in_chunks(A, rows, method=method)
        aligned(result.x, wanted.x)
        assert result.stats["n_heavy"] == wanted.stats["n_heavy"]
        assert result.order_pvalue == pytest.approx(wanted.order_pvalue, rel=1e-6)
        assert result.sin2_estimate == pytest.approx(wanted.sin2_estimate, rel=1e-6, abs=1e-12)


@settings(derandomize=True, deadline=None, database=None, max_examples=30)
@given(cuts=st.lists(st.integers(0, 900), max_size=12))
def test_ragged_chunks_do_not_matter(cuts):
    A = heavy_rows(np.random.default_rng(1), 900, 16, 3.0, count=3)
    model = numopt.StreamingEigenvector(rng=0)
    for part in np.split(A, sorted(cuts)):
        model.partial_fit(part)
    aligned(model.result().x, in_chunks(A, 900).x)


@settings(derandomize=True, deadline=None, database=None, max_examples=20)
@given(exponent=st.integers(-300, 300), seed=st.integers(0, 10))
def test_scale_of_the_rows_does_not_matter(exponent, seed):
    A = flat(np.random.default_rng(seed), 600, 10, 4.0)
    wanted = in_chunks(A, 300)
    result = in_chunks(A * 2.0**exponent, 300)
    assert np.array_equal(result.x, wanted.x)
    assert result.sin2_estimate == pytest.approx(wanted.sin2_estimate, rel=1e-9)


def test_rows_may_grow_beyond_all_bounds(rng):
    """Later rows in a unit in which the earlier ones vanish, and that overflow when squared."""
    A = flat(rng, 400, 10, 4.0)
    v = rng.normal(size=10)
    late = np.outer(rng.normal(size=400), v) * 1e180
    result = in_chunks(np.concatenate([A, late]), 100)
    assert abs(result.x @ v) / np.linalg.norm(v) > 1 - 1e-12
    assert result.fun == np.inf
    small = in_chunks(np.concatenate([late, A]), 100)
    assert abs(small.x @ v) / np.linalg.norm(v) > 1 - 1e-12


def test_single_precision_rows_may_be_large(rng):
    A = flat(rng, 600, 10, 4.0).astype(np.float32)
    wanted = in_chunks(A, 200)
    for power in (80, -100):
        aligned(in_chunks(A * np.float32(2.0**power), 200).x, wanted.x)


def test_rotation_turns_the_answer(rng):
    A = flat(rng, 2000, 20, 4.0)
    Q = np.linalg.qr(rng.normal(size=(20, 20)))[0]
    x, y = (in_chunks(B, 500, method="truncate").x for B in (A, A @ Q))
    assert 1 - abs((x @ Q) @ y) < 1e-12


def test_sparse_rows_give_what_dense_ones_give(rng):
    A = random_array((3000, 80), density=0.05, rng=rng, format="csr")
    A.data *= 1 + A.indices % 9
    wanted = numopt.top_eigenvector(A.toarray(), rng=0)
    for matrix in (A, csc_array(A), csr_array(A).astype(np.float64)):
        aligned(numopt.top_eigenvector(matrix, rng=0).x, wanted.x)
    exact = svds(A, k=1, random_state=0)[2][0]
    assert 1 - (wanted.x @ exact) ** 2 < 0.05
    for method in ("truncate", "gram", "block-power", "oja"):
        dense = numopt.top_eigenvector(A.toarray(), rng=0, method=method)
        aligned(numopt.top_eigenvector(A, rng=0, method=method).x, dense.x)


def test_weights_count_rows(rng):
    A = flat(rng, 500, 8, 3.0)
    counts = rng.integers(0, 4, size=500)
    weighted = numopt.StreamingEigenvector(method="gram").partial_fit(A, weights=counts * 1.0)
    repeated = numopt.StreamingEigenvector(method="gram").partial_fit(np.repeat(A, counts, axis=0))
    aligned(weighted.result().x, repeated.result().x)
    halves = numopt.StreamingEigenvector(rng=0)
    for start in (0, 250):
        rows = slice(start, start + 250)
        halves.partial_fit(A[rows], weights=counts[rows] * 1.0)
    assert sin2(halves.result().x, np.sqrt(counts)[:, None] * A) < 1e-3


@pytest.mark.parametrize("method", ["auto", "truncate"])
def test_centering_is_principal_component_analysis(rng, method):
    A = flat(rng, 3000, 30, 6.0) + 40 * rng.normal(size=30)
    result = in_chunks(A, 700, method=method, center=True)
    centered = A - A.mean(axis=0)
    np.testing.assert_allclose(result.mean, A.mean(axis=0), rtol=1e-10)
    assert result.frobenius2 == pytest.approx((centered**2).sum(), rel=1e-10)
    assert sin2(result.x, centered) < 0.01
    assert sin2(in_chunks(A, 700).x, centered) > 0.5
    for rows in (1, 13):
        aligned(in_chunks(A, rows, method=method, center=True).x, result.x)


def test_weighted_centering(rng):
    A, weights = flat(rng, 400, 6, 5.0) + 3, rng.random(400)
    model = numopt.StreamingEigenvector(center=True, method="truncate", memory_rows=14)
    for start in range(0, 400, 90):
        model.partial_fit(A[start : start + 90], weights=weights[start : start + 90])
    mean = np.average(A, axis=0, weights=weights)
    result = model.result()
    np.testing.assert_allclose(result.mean, mean, rtol=1e-12)
    assert sin2(result.x, np.sqrt(weights)[:, None] * (A - mean)) < 1e-6


def test_decay_forgets(rng):
    A = np.concatenate([flat(rng, 2000, 20, 9.0), flat(rng, 2000, 20, 9.0)])
    weights = 0.99 ** np.arange(len(A))[::-1]
    for rows in (37, 1000):
        result = in_chunks(A, rows, method="truncate", decay=0.99)
        weighted = np.sqrt(weights)[:, None] * A
        assert sin2(result.x, weighted) < 0.01
        assert result.frobenius2 == pytest.approx((weighted**2).sum(), rel=1e-9)
        low, high = result.lambda1_bounds
        assert low <= spectrum(weighted)[0][0] <= high


@pytest.mark.parametrize("k", [2, 4])
def test_several_vectors_span_the_subspace(rng, k):
    values = np.concatenate([np.linspace(30, 20, k), np.ones(40 - k)])
    A = rng.normal(size=(6000, 40)) * np.sqrt(values)
    for memory in (4 * k + 12, 10 * k):
        result = numopt.top_eigenvector(A, k, rng=0, memory_rows=memory)
        assert result.x.shape == (40, k)
        assert result.stats["memory_rows_used"] <= memory
        np.testing.assert_allclose(result.x.T @ result.x, np.eye(k), atol=1e-10)
        V = spectrum(A)[1][:, :k]
        assert ((result.x - V @ (V.T @ result.x)) ** 2).sum() < 0.01
        np.testing.assert_allclose(result.eigenvalues, spectrum(A)[0][:k], rtol=0.1)


@pytest.mark.parametrize("method", METHODS)
def test_merged_parts_know_the_whole(method):
    A = flat(np.random.default_rng(3), 8000, 24, 12.0)
    models = [
        numopt.StreamingEigenvector(method=method, rng=i).partial_fit(part)
        for i, part in enumerate(np.split(A, 8))
    ]
    before = models[1].result().x
    left = models[0].merge(models[1])
    np.testing.assert_array_equal(models[1].result().x, before)
    for model in models[2:]:
        left.merge(model)
    result = left.result()
    assert result.n_rows == 8000
    assert result.frobenius2 == pytest.approx((A**2).sum(), rel=1e-12)
    assert sin2(result.x, A) < (0.3 if method in ("fd", "oja") else 0.02)
    left.partial_fit(A)  # goes on
    assert left.result().n_rows == 16000


def test_merge_trees_agree_to_the_certificate():
    A = power_law(np.random.default_rng(5), 4000, 32, 30.0)
    order, found = np.random.default_rng(0), []
    for _ in range(5):
        models = [
            numopt.StreamingEigenvector(method="truncate", rng=0).partial_fit(part)
            for part in np.split(A, 40)
        ]
        while len(models) > 1:
            i, j = order.choice(len(models), 2, replace=False)
            models[i].merge(models[j])
            del models[j]
        result = models[0].result()
        assert sin2(result.x, A) <= result.sin2_bound
        found.append(result.x)
    for x in found[1:]:
        assert 1 - (x @ found[0]) ** 2 < 1e-5


def test_merged_centers(rng):
    A = flat(rng, 1000, 10, 5.0) + 7
    first = numopt.StreamingEigenvector(center=True, memory_rows=26).partial_fit(A[:300])
    second = numopt.StreamingEigenvector(center=True, memory_rows=26).partial_fit(A[300:])
    result = first.merge(second).result()
    np.testing.assert_allclose(result.mean, A.mean(axis=0), rtol=1e-12)
    centered = A - A.mean(axis=0)
    assert result.frobenius2 == pytest.approx((centered**2).sum(), rel=1e-10)


def test_parallel_heavy_rows_share_a_place():
    for seed in range(5):
        A = heavy_rows(np.random.default_rng(seed), 6000, 60, 2.3, count=30)
        result = numopt.top_eigenvector(A, rng=seed)
        assert sin2(result.x, A) < 1e-6
        assert result.stats["n_heavy"] <= 4


def test_rows_that_say_nothing_alone():
    """Truncation keeps none of many equal basis vectors; the answer does not depend on it."""
    for seed in range(5):
        A = basis_rows(np.random.default_rng(seed), 8000, 96, 3.4)
        result = numopt.top_eigenvector(A, rng=seed)
        assert sin2(result.x, A) < 1e-6


def test_same_seed_same_bits_and_inputs_are_left_alone(rng):
    A = flat(rng, 1200, 20, 3.0)
    A.flags.writeable = False
    first, second = (in_chunks(A, 100, rng=7) for _ in range(2))
    assert first.x.tobytes() == second.x.tobytes()
    assert first.x.tobytes() != in_chunks(A, 100, rng=8, method="block-power").x.tobytes()


def test_chunks_may_be_views_of_one_buffer(rng):
    A = heavy_rows(rng, 1000, 12, 3.0, count=3)
    buffer = np.empty((50, 12))

    def views():
        for start in range(0, 1000, 50):
            buffer[:] = A[start : start + 50]
            yield buffer

    aligned(numopt.top_eigenvector(views(), rng=0).x, in_chunks(A, 50).x)


def test_result_changes_nothing(rng):
    A = flat(rng, 1500, 30, 3.0)
    model = numopt.StreamingEigenvector(rng=0)
    for start in range(0, 1500, 110):
        model.partial_fit(A[start : start + 110])
        model.result()
        model.state_dict()
    assert model.result().x.tobytes() == in_chunks(A, 110).x.tobytes()


def test_callback_sees_the_pass_and_may_stop_it(rng):
    A, seen = flat(rng, 3000, 20, 1.1), []

    def stop(intermediate_result):
        seen.append((intermediate_result.n_rows, intermediate_result.error))
        if len(seen) == 3:
            raise StopIteration

    result = numopt.top_eigenvector(A, chunk_rows=200, callback=stop, rng=0)
    assert [n for n, _ in seen] == [200, 400, 600]
    assert (result.status, result.success, result.n_rows) == (99, False, 600)
    assert "Stopped by the callback after 600 rows" in result.message


def test_shuffling_makes_a_sorted_matrix_random():
    A = flat(np.random.default_rng(0), 20_000, 30, 4.0)
    A = A[np.argsort((A**2).sum(axis=1))]
    sorted_rows = numopt.top_eigenvector(A, rng=0)
    shuffled = numopt.top_eigenvector(A, shuffle=True, rng=0)
    assert sorted_rows.order_pvalue < 1e-4
    assert shuffled.n_rows == 20_000
    assert shuffled.frobenius2 == pytest.approx((A**2).sum())
    assert sin2(shuffled.x, A) < 1e-3


def test_history_has_a_record_for_each_block(rng):
    result = in_chunks(flat(rng, 5000, 20, 4.0), 512)
    assert len(result.history) == result.nit
    assert [record["nit"] for record in result.history] == list(range(1, result.nit + 1))
    assert result.history[-1]["error"] < result.history[2]["error"]


@pytest.mark.parametrize("method", METHODS)
def test_degenerate_streams_have_an_answer(method):
    def solve(A):
        return numopt.top_eigenvector(np.asarray(A, dtype=float), method=method, rng=0)

    single = solve([[3.0]])
    assert single.x == [1.0]
    zero = solve(np.zeros((50, 4)))
    assert (zero.status, zero.success, zero.fun) == (numopt.Status.NO_ANSWER, False, 0.0)
    assert not zero.x.any()
    none = solve(np.zeros((0, 4)))
    assert (none.status, none.n_rows, none.x.shape) == (numopt.Status.NO_ANSWER, 0, (4,))
    repeated = solve(np.tile([[0.0, -2.0, 1.0]], (2000, 1)))
    tolerance = 0.1 if method == "oja" else 1e-7  # its smallest rate that moves at all
    np.testing.assert_allclose(repeated.x, np.array([0, 2, -1]) / np.sqrt(5), atol=tolerance)


def test_too_few_rows_give_as_many_vectors_as_there_are():
    A = np.array([[0.0, 0.0, 3.0, 0.0, 0.0]])
    result = numopt.top_eigenvector(A, 3)
    assert result.status is numopt.Status.TOO_EARLY
    assert (result.success, result.x.shape) == (False, (5, 1))
    assert "rank 1" in result.message


def test_gap_of_one_is_no_success():
    A = np.random.default_rng(0).normal(size=(20_000, 40))
    for method in METHODS:
        result = numopt.top_eigenvector(A, method=method, rng=0)
        assert not result.success or method == "gram"


def test_scikit_learn_clones_it_and_uses_it_in_a_pipeline(rng):
    base = pytest.importorskip("sklearn.base", reason="scikit-learn is not installed")
    from sklearn.pipeline import make_pipeline
    from sklearn.utils.validation import check_is_fitted

    model = numopt.StreamingEigenvector(2, memory_rows=30, center=True, rng=0)
    twin = base.clone(model)
    assert twin.get_params() == model.get_params()
    A = flat(rng, 300, 6, 5.0)
    with pytest.raises(AttributeError):
        _ = twin.n_features_in_
    with pytest.raises(Exception, match="not fitted"):
        check_is_fitted(twin)
    scores = make_pipeline(twin).fit(A).transform(A)
    assert scores.shape == (300, 2)
    assert twin.n_features_in_ == 6
    check_is_fitted(twin)
    assert twin.components_.shape == (2, 6)
    np.testing.assert_allclose(scores, (A - A.mean(axis=0)) @ twin.components_.T, atol=1e-9)
    from sklearn.decomposition import PCA

    exact = PCA(2).fit(A)
    np.testing.assert_allclose(
        twin.explained_variance_ratio_, exact.explained_variance_ratio_, rtol=1e-6
    )
    assert repr(twin).startswith("StreamingEigenvector(rank=2, memory_rows=30, center=True")
    assert twin.set_params(rank=1).get_params()["rank"] == 1
