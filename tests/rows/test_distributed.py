"""Dask arrays: the same answers as from memory, and nothing gathered, started or configured."""

import os
import subprocess
import sys

import chunks
import numpy as np
import pytest
from chunks import CHUNKS, EVERY_CHUNKING, EVERY_SCHEDULER, N, chunked, pieces
from libraries import ROOT
from numpy.testing import assert_allclose, assert_array_equal
from regression_problems import METHODS, conditioned, random_problem

import numopt

dask = pytest.importorskip("dask", reason="Dask is not installed (group test)")
da = pytest.importorskip("dask.array", reason="Dask is not installed (group test)")

counted = chunks.counted  # a fixture
D = 6


@pytest.fixture(scope="module")
def problem():
    return random_problem(N, D, seed=0)


@EVERY_CHUNKING
@pytest.mark.parametrize("method", ["auto", *METHODS, "sketch"])
@pytest.mark.parametrize("weighted", [False, True])
def test_lstsq_is_that_of_the_matrix(method, weighted, sizes):
    if method == "iterative" and len(sizes) > 10:
        pytest.skip("fifty blocks, many times")
    A, b = conditioned(N, D, 1e3, 1.0, seed=0)
    weights = np.random.default_rng(1).random(N)
    options = {"method": method, "rng": 3, **({"ridge": 0.1} if weighted else {})}
    whole = numopt.lstsq(A, b, weights=weights if weighted else None, **options)
    result = numopt.lstsq(
        chunked(A, sizes),
        chunked(b, sizes),
        weights=chunked(weights, sizes) if weighted else None,
        **options,
    )
    assert type(result.x) is np.ndarray
    assert_allclose(result.x, whole.x, rtol=0, atol=1e-11 * np.abs(whole.x).max())
    assert result.success
    assert result.method == whole.method
    assert result.stats["n_blocks"] == np.count_nonzero(sizes)
    assert (result.stats["n_retries"], whole.stats["n_blocks"]) == (0, 1)


@EVERY_CHUNKING
@EVERY_SCHEDULER
@pytest.mark.parametrize("kind", ["srht", "sparse_sign", "countsketch", "gaussian"])
def test_sketches_are_those_of_the_same_blocks_to_the_last_bit(kind, scheduler, sizes, problem):
    A, b = problem
    options = {"method": "sketch", "sketch": kind, "sketch_size": 60, "rng": 0}
    local = numopt.lstsq(pieces(A, sizes), b, **options)
    with dask.config.set(scheduler=scheduler):
        found = [numopt.lstsq(chunked(A, sizes), b, **options).x for _ in range(2)]
    assert_array_equal(found[0], local.x)
    assert_array_equal(found[1], local.x)


@pytest.mark.parametrize("method", ["gram", "cholqr", "direct"])
def test_solves_are_those_of_the_same_blocks_to_the_last_bit(method, problem):
    A, b = problem
    sizes = CHUNKS["many"]
    local = numopt.lstsq(pieces(A, sizes), b, method=method, rng=0)
    assert_array_equal(numopt.lstsq(chunked(A, sizes), b, method=method, rng=0).x, local.x)


def test_right_hand_sides_in_other_chunks(problem):
    A, b = problem
    B = np.stack([b, b[::-1]], axis=1)
    expected = numopt.lstsq(A, B).x
    x = da.from_array(A, chunks=(700, 4))
    for given in (B, da.from_array(B, chunks=(900, 1)), da.from_array(B, chunks=-1)):
        assert_allclose(numopt.lstsq(x, given).x, expected, rtol=0, atol=1e-13)


def test_factor_of_a_dask_array(problem):
    A, b = problem
    factor = numopt.lstsq_factor(chunked(A, CHUNKS["ragged"]))
    for given in (b, chunked(b, CHUNKS["even"])):
        result = factor.solve(given)
        assert_allclose(result.x, np.linalg.lstsq(A, b)[0], rtol=0, atol=1e-13)
        assert_allclose(result.standard_errors(), numopt.lstsq(A, b).standard_errors(), rtol=1e-10)


def test_wide_and_rank_deficient_matrices():
    rng = np.random.default_rng(2)
    wide, b = rng.standard_normal((20, 30)), rng.standard_normal(20)
    result = numopt.lstsq(da.from_array(wide, chunks=(6, 30)), b)
    assert_allclose(result.x, np.linalg.lstsq(wide, b)[0], rtol=0, atol=1e-12)
    A = rng.standard_normal((900, 4)) @ rng.standard_normal((4, 6))
    b = rng.standard_normal(900)
    for method in ("auto", "direct", "cholqr"):
        result = numopt.lstsq(da.from_array(A, chunks=(300, 6)), b, method=method, rng=0)
        assert result.rank == 4
        assert_allclose(result.x, np.linalg.lstsq(A, b)[0], rtol=0, atol=1e-10)


def test_integers_and_single_precision(problem):
    A, b = problem
    counts = np.round(10 * A).astype("int32")
    expected = np.linalg.lstsq(counts.astype(float), b)[0]
    assert_allclose(numopt.lstsq(da.from_array(counts), b).x, expected, rtol=0, atol=1e-13)
    single = numopt.lstsq(da.from_array(A.astype("f4")), da.from_array(b.astype("f4")))
    assert single.x.dtype == np.float32
    assert single.success


KINDS = ("leverage", "root_leverage", "lewis", "sensitivity", "combined")


@EVERY_CHUNKING
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("p", [1, 3])
def test_scores_are_those_of_the_matrix(p, kind, sizes):
    if kind in ("sensitivity", "combined"):
        sizes = tuple(-(-size // 50) for size in sizes)  # a problem for each row
    A, _ = random_problem(sum(sizes), 3, seed=4)
    options = {"kind": kind, "rng": 0}
    whole = numopt.lp_scores(A, p, **options)
    result = numopt.lp_scores(chunked(A, sizes), p, **options)
    assert isinstance(result.scores, da.Array)
    assert result.scores.chunks == (sizes,)
    assert_allclose(result.scores.compute(), whole.scores, rtol=0, atol=1e-6)
    assert abs(result.total / whole.total - 1) < 1e-6
    assert result.success
    assert (result.rank, result.stats["n_blocks"]) == (3, np.count_nonzero(sizes))


@EVERY_SCHEDULER
def test_sketched_leverage_is_that_of_the_matrix(scheduler, problem):
    A, _ = problem
    options = {"kind": "leverage", "method": "sketch", "rng": 0}
    whole = numopt.lp_scores(A, 2, **options).scores
    with dask.config.set(scheduler=scheduler):
        found = numopt.lp_scores(chunked(A, CHUNKS["ragged"]), 2, **options).scores
    assert_allclose(found.compute(), whole, rtol=1e-10)


def test_leverage_scores_are_not_gathered(counted):
    A = da.random.default_rng(0).standard_normal((200_000, 4), chunks=(20_000, 4))
    source = numopt.row_blocks(A, max_bytes=1000)
    result = numopt.lp_scores(source, 2, kind="leverage")
    assert abs(result.total - 4) < 1e-10
    assert max(counted) < 3000


@EVERY_CHUNKING
@pytest.mark.parametrize("method", ["auto", "uniform", *KINDS])
def test_coresets_are_those_of_the_matrix(method, sizes, problem):
    if len(sizes) > 10 and method in ("auto", "lewis", "sensitivity", "combined"):
        pytest.skip("fifty blocks, many times")
    A, b = problem
    A, b = A[:, :3], np.round(b, 1)
    options = {"method": method, "sample_size": 300, "rng": 0}
    whole = numopt.lp_coreset(A, b, 1, **options)
    for right in (b, chunked(b, sizes)):
        result = numopt.lp_coreset(chunked(A, sizes), right, 1, **options)
        assert_array_equal(result.indices, whole.indices)
        assert_allclose(result.weights, whole.weights, rtol=1e-6)
        assert_array_equal(result.A, whole.A)
        assert_array_equal(result.b, whole.b)
        assert result.scores.chunks == (sizes,)


def test_coresets_by_given_scores_and_with_weights(problem):
    A, b = problem
    scores, weights = np.abs(b), 1 + np.abs(b)
    x, v = chunked(A, CHUNKS["even"]), chunked(scores, CHUNKS["ragged"])
    options = {"sample_size": 200, "rng": 0, "replace": True}
    whole = numopt.lp_coreset(A, None, 2, scores=scores, weights=weights, **options)
    result = numopt.lp_coreset(
        x, None, 2, scores=v, weights=chunked(weights, CHUNKS["even"]), **options
    )
    assert_array_equal(result.indices, whole.indices)
    assert_allclose(result.weights, whole.weights, rtol=1e-12)


@EVERY_CHUNKING
@pytest.mark.parametrize("p", [1, 1.5, 3])
@pytest.mark.parametrize("method", ["exact", "coreset"])
def test_lp_regression_is_that_of_the_matrix(method, p, sizes):
    if len(sizes) > 10:
        pytest.skip("fifty blocks, many times")
    A, b = random_problem(sum(sizes), 4, seed=5)
    options = {"method": method, "rng": 0}
    whole = numopt.lp_regression(A, b, p, **options)
    result = numopt.lp_regression(chunked(A, sizes), chunked(b, sizes), p, **options)
    assert_allclose(result.x, whole.x, rtol=0, atol=1e-8)
    assert result.success
    assert result.stats["n_blocks"] == np.count_nonzero(sizes)
    if method == "exact":
        assert result.dual.chunks == result.active.chunks == (sizes,)
        assert abs(result.dual.compute() @ b / whole.fun - 1) < 1e-6 or p > 1
    if method == "exact" and p == 1:
        assert_allclose(result.standard_errors(), whole.standard_errors(), rtol=1e-6)


def test_lp_regression_on_a_part_of_the_rows():
    """Most rows are only looked at: the passes over a large matrix stay few."""
    n = 60_000
    A = np.random.default_rng(6).standard_normal((n, 5))
    b = A @ np.arange(1.0, 6) + np.random.default_rng(7).standard_t(2, n)
    x = da.from_array(A, chunks=(10_000, 5))
    options = {"method": "reduce", "rng": 0}
    result = numopt.lp_regression(x, da.from_array(b, chunks=10_000), **options)
    assert result.success
    assert_allclose(result.x, numopt.lp_regression(A, b, method="exact").x, atol=1e-8, rtol=0)
    assert result.stats["n_passes"] < 60


def stretched(n, d):
    rng = np.random.default_rng(8)
    A = rng.standard_normal((n, d)) * np.linspace(0.1, 1.0, d)
    A[:, 0] *= 25
    return A @ np.linalg.qr(rng.standard_normal((d, d)))[0]


@pytest.mark.parametrize("sizes", [(6000,), (1, 1999, 4000), (2000, 0, 2000, 2000), (300,) * 20])
def test_top_eigenvector_of_chunks(sizes, counted):
    A = stretched(6000, 12)
    exact = np.linalg.eigh(A.T @ A)[1][:, -1]
    found = [numopt.top_eigenvector(chunked(A, sizes), rng=0) for _ in range(2)]
    assert 1 - (found[0].x @ exact) ** 2 <= 1e-3
    assert found[0].n_rows == 6000
    assert_array_equal(found[0].x, found[1].x)
    assert len(counted) == 2  # one barrier each
    low, high = found[0].lambda1_bounds
    largest = np.linalg.eigvalsh(A.T @ A)[-1]
    assert low * (1 - 1e-10) <= largest <= high * (1 + 1e-10)
    sine2 = 1 - min(1.0, abs(found[0].x @ exact)) ** 2
    assert sine2 <= found[0].sin2_bound + 1e-10


def test_top_eigenvector_of_one_chunk_is_that_of_the_matrix():
    A = stretched(3000, 12)
    x = numopt.top_eigenvector(chunked(A, (3000,)), method="truncate").x
    assert_allclose(x, numopt.top_eigenvector(A, method="truncate").x, rtol=0, atol=1e-12)


def test_a_callback_follows_the_chunks_one_after_the_other():
    A, rows = stretched(3000, 12), []
    result = numopt.top_eigenvector(
        chunked(A, (1000,) * 3), callback=lambda r: rows.append(r.n_rows), rng=0
    )
    assert rows[-1] == result.n_rows == 3000
    assert len(rows) >= 3


def test_more_than_may_be_gathered_is_refused(problem):
    A, b = problem
    small = numopt.row_blocks(chunked(A, CHUNKS["even"]), max_bytes=20_000)
    message = r"more than the 2e-05 GB .*; allow it with row_blocks\(A, max_bytes=...\)"
    with pytest.raises(ValueError, match=rf"`b` takes 4e-05 GB, {message}"):
        numopt.lp_regression(small, chunked(b, CHUNKS["even"]))
    with pytest.raises(ValueError, match=rf"kept for the rows of `A` takes 4e-05 GB, {message}"):
        numopt.lp_scores(small, 1)
    assert numopt.lstsq(small, chunked(b, CHUNKS["even"])).success


def test_what_is_gathered_does_not_grow_with_the_rows(counted):
    for n in (20_000, 80_000):
        A = da.random.default_rng(0).standard_normal((n, 8), chunks=(5000, 8))
        assert numopt.lstsq(A, A.sum(axis=1), method="cholqr", rng=0).success
        assert max(counted) < 12_000
    assert len(counted) >= 8


def test_embeddings_of_leverage_in_one_block():
    """Singular values of S U where one block holds all leverage: sums of sketches, not stacks."""
    n, d, sizes = 2**12, 16, (512,) * 8
    rng = np.random.default_rng(3)
    U = np.zeros((n, d))
    U[512:1024] = np.linalg.qr(rng.standard_normal((512, d)))[0]
    extremes = []
    for seed in range(50):
        for kind in (numopt.sketching.SRHT, numopt.sketching.SparseSign):
            S = kind(8 * d, n, rng=seed)
            total = sum(
                S.partial(block, block[:, :0], None, 512 * k)
                for k, block in enumerate(pieces(U, sizes))
            )
            values = np.linalg.svdvals(total)
            extremes += [values[0], values[-1]]
    assert min(extremes) >= 0.3
    assert max(extremes) <= 1.7
    assert len(extremes) == 200


def test_nothing_is_configured_or_left_behind(problem):
    A, b = problem
    distributed = pytest.importorskip("distributed", reason="Dask's cluster is not installed")
    before = dask.config.config.copy()
    numopt.lstsq(chunked(A, CHUNKS["even"]), b)
    numopt.lp_scores(chunked(A, CHUNKS["even"]), 1)
    assert dask.config.config == before
    with pytest.raises(ValueError, match="No global client found"):
        distributed.get_client()


REFUSED = {
    "entropic_transport": lambda x: numopt.entropic_transport(x, reg=0.1),
    "sinkhorn_divergence": lambda x: numopt.sinkhorn_divergence(x, x, reg=0.1),
    "PointCloudCost.__init__": lambda x: numopt.PointCloudCost(x, x),
    "kron_lstsq": lambda x: numopt.kron_lstsq([x, x], np.ones((40, 40))),
    "minimize_equality": lambda x: numopt.minimize_equality(lambda y: y @ y, x[:, 0]),
    "convex_relu_path": lambda x: numopt.convex_relu_path(x, x[:, 0], betas=[0.1]),
    "convex_relu_beta_max": lambda x: numopt.convex_relu_beta_max(x, x[:, 0]),
    "convex_relu_scp": lambda x: numopt.convex_relu_scp(x, x[:, 0], beta=0.1, n_hidden=3),
    "total_sensitivity": lambda x: numopt.total_sensitivity(x, 3),
    "lstsq": lambda x: numopt.lstsq(np.ones((40, 5)), x[:, 0]),
    "lp_regression": lambda x: numopt.lp_regression(np.ones((40, 5)), x[:, 0]),
    "fwht": lambda x: numopt.sketching.fwht(x),
    "Sketch.apply": lambda x: numopt.sketching.SRHT(10, 40).apply(x),
}


@pytest.mark.parametrize(("name", "solve"), REFUSED.items(), ids=REFUSED.keys())
def test_solvers_that_do_not_gain_say_so(name, solve):
    x = da.random.default_rng(0).random((40, 5), chunks=(10, 5))
    match = rf"of {name} must be in memory, got a Dask array of .* GB; call .compute\(\) first"
    with pytest.raises(TypeError, match=match):
        solve(x)


def nan_in(A, row):
    bad = A.copy()
    bad[row, 3] = np.nan
    return chunked(bad, CHUNKS["even"])


BAD = {
    "unknown": (
        lambda A, b: (chunked(A, CHUNKS["even"])[chunked(b, CHUNKS["even"]) > 0], b),
        ValueError,
        r"`A` must have chunks of known sizes, got .*; call compute_chunk_sizes\(\)",
    ),
    "columns": (
        lambda _, b: (da.ones((40_000, 1000), chunks=(40_000, 500)), b),
        ValueError,
        r"`A` must have chunks of whole rows; joined, those of .* would take 320 MB",
    ),
    "vector": (
        lambda _, b: (chunked(b, CHUNKS["even"]), b),
        ValueError,
        r"`A` must be a matrix, got chunks \(\(1000, ",
    ),
    "cube": (
        lambda _, b: (da.ones((4, 4, 4)), b),
        ValueError,
        "`A` must be a matrix, got chunks",
    ),
    "rows": (
        lambda A, _: (chunked(A, CHUNKS["even"]), da.ones(4000, chunks=1000)),
        ValueError,
        r"`b` must have shape \(5000,\) or \(5000, k\) to match `A`, got chunks \(\(1000",
    ),
    "rows-host": (
        lambda A, b: (chunked(A, CHUNKS["even"]), b[1:]),
        ValueError,
        r"`b` must have shape .* to match `A`, got \(4999,\)",
    ),
    "no-rows": (lambda _, b: (da.ones((0, 6)), b), ValueError, "`A` must not be empty"),
    "nan": (
        lambda A, b: (nan_in(A, 2345), b),
        ValueError,
        r"`A\[2000:3000\]` must be finite, got nan at \[345, 3\]",
    ),
    "nan-b": (
        lambda A, b: (chunked(A, CHUNKS["even"]), chunked(b * np.nan, CHUNKS["even"])),
        ValueError,
        "`b` must be finite, got entries from nan to nan",
    ),
    "huge-b": (
        lambda A, b: (chunked(A, CHUNKS["even"]), chunked(b * 1e200, CHUNKS["even"])),
        ValueError,
        "`b` must have entries whose squares neither overflow nor vanish",
    ),
    "complex": (lambda A, b: (chunked(A * 1j, CHUNKS["even"]), b), TypeError, "real numbers"),
    "object": (
        lambda A, b: (chunked(A.astype(object), CHUNKS["even"]), b),
        TypeError,
        "real numbers",
    ),
}


@pytest.mark.parametrize(("given", "kind", "match"), BAD.values(), ids=BAD.keys())
def test_bad_dask_arrays(given, kind, match, problem):
    with pytest.raises(kind, match=match):
        numopt.lstsq(*given(*problem))


def test_scores_of_bad_dask_arrays(problem):
    with pytest.raises(ValueError, match=r"`A` must be finite, got nan at \[2345, 3\]"):
        numopt.lp_scores(nan_in(problem[0], 2345), 1)


@pytest.mark.parametrize(
    ("weights", "match"),
    [(-1.0, "`weights` must be non-negative, got -1"), (0.0, "must not be zero everywhere")],
)
def test_bad_dask_weights(weights, match, problem):
    A, b = problem
    with pytest.raises(ValueError, match=match):
        numopt.lstsq(
            chunked(A, CHUNKS["even"]), b, weights=da.full(N, weights, chunks=CHUNKS["even"])
        )


def test_errors_of_a_chunk_come_through(problem):
    A, b = problem

    def broken(_):
        raise RuntimeError("disk on fire")

    x = chunked(A, CHUNKS["even"]).map_blocks(broken, dtype=float, meta=np.zeros((0, 0)))
    with pytest.raises(RuntimeError, match="disk on fire"):
        numopt.lstsq(x, b)


MISSING = """
import sys
import dask.array as da
import numpy as np
import numopt
A, b = da.ones((100, 2), chunks=50), np.ones(100)

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("dask", "distributed"):
            raise ImportError(name)

sys.meta_path.insert(0, Blocker())
source = numopt.lstsq_factor(A)._design
del sys.modules["dask"]
try:
    source.gram()
except ImportError as error:
    print(error)
"""


def test_without_dask():
    done = subprocess.run(
        [sys.executable, "-c", MISSING],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ,
    )
    assert "pip install 'numopt-solvers[dask]'" in done.stdout, done.stderr
