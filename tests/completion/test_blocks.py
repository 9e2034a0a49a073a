"""Matrix completion from Dask arrays: the answers from memory, and no list of entries gathered."""

import itertools
import pickle
import time
from concurrent.futures import CancelledError

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array

import numopt
from numopt._entries import chunks, distributed
from numopt._rows import Exchange

dask = pytest.importorskip("dask", reason="Dask is not installed (group test)")
da = pytest.importorskip("dask.array", reason="Dask is not installed (group test)")

M, N, RANK = 240, 180, 3
ENTRIES = 15_000
CHUNKS = {
    "one": (ENTRIES,),
    "even": (3000,) * 5,
    "ragged": (1, 4999, 0, 1, 6000, 3999, 0),
    "many": (500,) * 30,
}
EVERY_CHUNKING = pytest.mark.parametrize("sizes", CHUNKS.values(), ids=CHUNKS.keys())


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    """Make several parts of what would be one, and read a few chunks at a time."""
    monkeypatch.setattr(distributed, "PART", 4000)
    monkeypatch.setattr(chunks, "GROUP", 1200)


@pytest.fixture(scope="module")
def problem():
    """Return rows, columns, values and the shape: rank three with a little noise."""
    rng = np.random.default_rng(0)
    places = rng.permutation(M * N)[:ENTRIES]
    rows, columns = places // N, places % N
    # A row and a column without entries, and a row with most.
    rows, columns = np.where(rows == 7, 8, rows), np.where(columns == 9, 10, columns)
    _, first = np.unique(rows * N + columns, return_index=True)
    rows, columns = rows[np.sort(first)], columns[np.sort(first)]
    X, Y = rng.standard_normal((M, RANK)), rng.standard_normal((N, RANK))
    values = (X @ Y.T)[rows, columns] + 0.01 * rng.standard_normal(rows.size)
    return rows, columns, values, (M, N)


def fitted(sizes, count):
    """Return chunks of so many entries in all, the last of them shorter or longer."""
    ends = np.minimum(np.cumsum([0, *sizes]), count)
    ends[-1] = count
    return tuple(int(n) for n in np.diff(ends))


def chunked(given, sizes=CHUNKS["even"]):
    *vectors, shape = given
    sizes = fitted(sizes, vectors[0].size)
    return (*(da.from_array(x, chunks=(sizes,)) for x in vectors), shape)


def table(given, chunks=(70, 50)):
    """Return entries as a Dask array of dense blocks."""
    rows, columns, values, shape = given
    dense = np.full(shape, np.nan)
    dense[rows, columns] = values
    return da.from_array(dense, chunks=chunks)


def same(result, whole, rtol=1e-10):
    """Assert that a fit is that of the entries in memory, but for rounding."""
    assert type(result.X) is np.ndarray
    assert result.X.dtype == whole.X.dtype
    assert (result.success, result.nit, result.rank) == (whole.success, whole.nit, whole.rank)
    assert_allclose(result.fun, whole.fun, rtol=rtol)
    assert_allclose(result.matrix(), whole.matrix(), rtol=0, atol=1e3 * rtol * abs(whole.X).max())


@pytest.mark.slow
@EVERY_CHUNKING
@pytest.mark.parametrize("scheduler", ["threads", "synchronous"])
def test_fits_are_those_from_memory_to_the_last_bit(scheduler, sizes, problem):
    """Every row is solved by the same kernel from the same numbers, and sums are formed here."""
    options = {"reg": 0.05, "rng": 0}
    whole = numopt.matrix_completion(problem, RANK, **options)
    with dask.config.set(scheduler=scheduler):
        found = numopt.matrix_completion(chunked(problem, sizes), RANK, **options)
    assert found.success
    assert_array_equal(found.X, whole.X)
    assert_array_equal(found.Y, whole.Y)
    assert found.fun == whole.fun
    assert_array_equal(found.empty_rows, whole.empty_rows)
    assert_array_equal(found.empty_cols, [9])
    count = np.count_nonzero(fitted(sizes, problem[0].size))
    assert (found.stats["n_blocks"], found.stats["n_retries"]) == (count, 0)
    assert (whole.stats["n_blocks"], whole.stats["n_retries"]) == (1, 0)


def test_results_are_verified_where_the_entries_are(problem):
    found = numopt.matrix_completion(chunked(problem), RANK, reg=0.05, rng=0)
    for given in (problem, chunked(problem)):
        assert_allclose(found.verify(given, reg=0.05)[0].value, found.checks[0].value, rtol=1e-6)
    found.X = 1.01 * found.X
    assert not found.verify(chunked(problem), reg=0.05)[0].passed


OPTIONS = {
    "exact": {"tol": 1e-4},
    "count": {"reg": ("count", 0.01)},
    "bias": {"reg": 0.1, "bias": True},
    "nonneg": {"nonneg": True, "maxiter": 30},
    "pcg": {"reg": 0.1, "method": "pcg"},
    "random": {"reg": 0.1, "init": "random", "continuation": False},
    "certified": {"reg": 1.0, "certify": True},
    "unpolished": {"polish": None, "maxiter": 5},
    "started": {"reg": 0.1, "x0": (np.ones((M, RANK)), np.eye(N, RANK))},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
def test_options(options, problem):
    options = {"rng": 0, **options}
    whole = numopt.matrix_completion(problem, RANK, **options)
    found = numopt.matrix_completion(chunked(problem), RANK, **options)
    same(found, whole)
    if "certify" in options:
        assert_allclose(found.stats["dual_norm"], whole.stats["dual_norm"], rtol=1e-9)
        assert_allclose(found.gap, whole.gap, rtol=0, atol=1e-9)


def test_weights_and_zeros_among_them(problem):
    weights = np.random.default_rng(1).random(problem[0].size)
    weights[::7] = 0
    options = {"reg": 0.1, "rng": 0}
    whole = numopt.matrix_completion(problem, RANK, weights=weights, **options)
    entries = chunked(problem)
    for given in (weights, da.from_array(weights, chunks=999)):
        same(numopt.matrix_completion(entries, RANK, weights=given, **options), whole)
    assert (
        whole.stats["share"]
        < 0.9 * numopt.matrix_completion(problem, RANK, **options).stats["share"]
    )


@pytest.mark.slow
@pytest.mark.parametrize("bias", [False, True])
def test_ranks_that_held_out_entries_choose(bias, problem):
    rows, columns, values, shape = problem
    held = rows[:1000], columns[:1000], values[:1000]
    rest = rows[1000:], columns[1000:], values[1000:], shape
    options = {"reg": 0.1, "bias": bias, "validation": held, "rng": 0}
    whole = numopt.matrix_completion(rest, early_stopping=20, **options)
    found = numopt.matrix_completion(chunked(rest), early_stopping=20, **options)
    same(found, whole)
    assert_allclose([r["rmse"] for r in found.history], [r["rmse"] for r in whole.history])
    paths = [numopt.rank_path(given, [1, 2, 3, 4], **options) for given in (rest, chunked(rest))]
    assert paths[1].rank == paths[0].rank
    assert_allclose(paths[1].rmse, paths[0].rmse, rtol=1e-9)
    assert paths[1].best.stats["n_blocks"] > 1


@pytest.mark.slow
def test_single_precision_and_integers(problem):
    rows, columns, values, shape = problem
    for given in (values.astype("f4"), np.round(10 * values).astype("i2")):
        entries = rows.astype("u2"), columns.astype("i4"), given, shape
        whole = numopt.matrix_completion(entries, RANK, reg=1.0, rng=0)
        found = numopt.matrix_completion(chunked(entries), RANK, reg=1.0, rng=0)
        same(found, whole, rtol=1e-10 if whole.X.dtype == np.float64 else 1e-5)


@pytest.mark.parametrize("chunks", [(M, N), (70, 50), (1, N), ((0, 100, 140), (179, 1))])
def test_dense_blocks(chunks, problem):
    whole = numopt.matrix_completion(problem, RANK, reg=0.1, rng=0)
    dense = table(problem, chunks)
    same(numopt.matrix_completion(dense, RANK, reg=0.1, rng=0), whole)
    options = {"weights": np.full(problem[0].size, 2.0), "reg": 0.1, "rng": 0}
    whole = numopt.matrix_completion(problem, RANK, **options)
    options = {**options, "mask": ~da.isnan(dense), "weights": da.full(dense.shape, 2.0)}
    filled = da.where(da.isnan(dense), 1.0, dense)
    same(numopt.matrix_completion(filled, RANK, **options), whole)


def test_sparse_blocks(problem):
    rows, columns, values, shape = problem
    values = np.where(np.arange(values.size) % 50, values, 0.0)  # zeros are observations
    whole = numopt.matrix_completion((rows, columns, values, shape), RANK, reg=0.1, rng=0)
    S = csr_array((values, (rows, columns)), shape=shape)
    blocks = [
        da.from_delayed(dask.delayed(S[start:stop]), (stop - start, N), meta=S[:0])
        for start, stop in itertools.pairwise([0, 100, 101, M])
    ]
    x = da.concatenate(blocks)
    for given in (x, numopt.row_blocks(x)):
        found = numopt.matrix_completion(given, RANK, reg=0.1, rng=0)
        same(found, whole)
        assert found.stats["n_blocks"] == 3


def test_results_know_what_was_seen(problem):
    whole = numopt.matrix_completion(problem, RANK, reg=0.1, rng=0)
    for given in (chunked(problem), table(problem)):
        found = numopt.matrix_completion(given, RANK, reg=0.1, rng=0)
        for row in (0, 7, 8):
            for one, other in zip(found.top_n(row, N), whole.top_n(row, N), strict=True):
                assert_allclose(one, other, rtol=1e-8)
        again = numopt.matrix_completion(given, RANK, reg=0.1, x0=found)
        assert again.nit <= 1
        new = np.where(np.arange(N) % 2, 1.0, np.nan)[None, :]
        assert_allclose(found.fold_in(new)[0], whole.fold_in(new)[0], rtol=1e-8)


def test_entries_given_twice(problem):
    rows, columns, values, shape = problem
    more = [np.concatenate([x, x[:3000:10]]) for x in (rows, columns)]
    again = *more, np.concatenate([values, values[:3000:10] + 1]), shape
    first = min(int(r) * N + int(c) for r, c in zip(rows[:3000:10], columns[:3000:10], strict=True))
    match = rf"hold every entry once, got \[{first // N}, {first % N}\] twice"
    with pytest.raises(ValueError, match=match):
        numopt.matrix_completion(again, RANK)
    with pytest.raises(ValueError, match=r"hold every entry once, got \[\d+, \d+\] twice"):
        numopt.matrix_completion(chunked(again), RANK)
    for bias in (False, True):
        options = {"duplicates": "mean", "reg": 0.1, "bias": bias, "rng": 0}
        whole = numopt.matrix_completion(again, RANK, **options)
        found = numopt.matrix_completion(chunked(again), RANK, **options)
        same(found, whole)
        assert found.stats["share"] == whole.stats["share"]


def test_zeros_and_few_entries():
    zeros = numopt.matrix_completion(da.zeros((6, 5), chunks=3), 2)
    assert zeros.fun == 0
    assert zeros.X.shape == (6, 2)
    one = np.array([3]), np.array([4]), np.array([5.0]), (6, 5)
    found = numopt.matrix_completion(chunked(one, (1,)), 1, reg=1e-9)
    assert_allclose(found.predict(np.array([3]), np.array([4])), [5.0], rtol=1e-6)
    with pytest.warns(UserWarning, match="1 entries cannot determine a matrix of rank 1"):
        numopt.matrix_completion(chunked(one, (1,)), 1, maxiter=0)


def test_callbacks_end_the_solve(problem):
    records = []

    def watch(record):
        records.append(record)
        if len(records) == 3:
            raise StopIteration

    found = numopt.matrix_completion(chunked(problem), RANK, callback=watch)
    assert found.status == 99
    assert [record["nit"] for record in records] == [0, 1, 2]


@pytest.fixture
def counted(monkeypatch):
    """Return the sizes in bytes of what each barrier brings to this process."""
    sizes, compute = [], Exchange.compute

    def counting(self, nodes):
        values = compute(self, nodes)
        sizes.append(sum(len(pickle.dumps(value)) for value in values))
        return values

    monkeypatch.setattr(Exchange, "compute", counting)
    return sizes


def test_no_list_of_entries_is_gathered(counted, problem, monkeypatch):
    """A barrier for each half sweep, and what it brings is a factor, however many entries."""
    read = []

    def reading(*arguments):
        read.append(arguments)
        return original(*arguments)

    original = chunks._read_vectors
    monkeypatch.setattr(chunks, "_read_vectors", reading)
    with dask.config.set(scheduler="synchronous"):
        found = numopt.matrix_completion(chunked(problem), RANK, reg=0.1, rng=0)
    assert len(read) == 2 * 5  # to count, and to regroup
    assert max(counted) < 8 * M * (RANK + 8) + 2000  # singular vectors of the start
    counts, start, lengths, evaluations = 3, 7, 2, 4
    assert len(counted) <= counts + start + lengths + evaluations + 2 * found.nit


def test_what_is_gathered_has_a_limit(problem):
    small = numopt.row_blocks(table(problem, (70, N)), max_bytes=18_000)
    message = (
        r"A factor of `M` takes 2.11e-05 GB, more than the 1.8e-05 GB .*row_blocks\(M, max_bytes"
    )
    with pytest.raises(ValueError, match=message):
        numopt.matrix_completion(small, RANK)
    assert numopt.matrix_completion(small, 1, maxiter=1).stats["n_blocks"] == 4
    huge = da.zeros(3, dtype=int, chunks=3)
    with pytest.raises(ValueError, match="allow it with a Dask matrix of sparse blocks"):
        numopt.matrix_completion((huge, huge, huge, (10**9, 5)), 2)


def test_nothing_is_configured_or_left_behind(problem):
    cluster = pytest.importorskip("distributed", reason="Dask's cluster is not installed")
    before = dask.config.config.copy()
    numopt.matrix_completion(chunked(problem), RANK, reg=0.1, maxiter=2)
    assert dask.config.config == before
    with pytest.raises(ValueError, match="No global client found"):
        cluster.get_client()


@pytest.fixture
def client():
    cluster = pytest.importorskip("distributed", reason="Dask's cluster is not installed")
    with cluster.Client(
        processes=False, n_workers=2, threads_per_worker=1, dashboard_address=":0"
    ) as made:
        yield made


def test_inside_a_client_nothing_stays_on_the_cluster(client, problem):
    options = {"reg": 0.1, "maxiter": 12, "rng": 0}
    whole = numopt.matrix_completion(problem, RANK, **options)
    found = numopt.matrix_completion(chunked(problem), RANK, **options)
    assert_array_equal(found.X, whole.X)
    deadline = time.monotonic() + 10
    while client.futures and time.monotonic() < deadline:
        time.sleep(0.05)  # the client lets go of them in a thread of its own
    assert not client.futures
    assert found.top_n(3, 2)[0].shape == (2,)


@pytest.mark.usefixtures("client")
def test_what_the_cluster_gives_up_on_is_made_again(problem, monkeypatch):
    """An error of the cluster in a sweep: every part is made from its chunks once more."""
    options = {"reg": 0.1, "maxiter": 12, "rng": 0}
    whole = numopt.matrix_completion(problem, RANK, **options)
    compute, lost, regrouped = dask.compute, [], []
    regroup = Exchange.regrouped

    def failing(*nodes, **kwargs):
        if len(lost) == 1:
            lost.append("raised")
            raise CancelledError
        return compute(*nodes, **kwargs)

    def regrouping(*arguments):
        regrouped.append(arguments)
        return regroup(*arguments)

    def lose(record):
        if record["nit"] == 3:
            lost.append("asked")

    monkeypatch.setattr(dask, "compute", failing)
    monkeypatch.setattr(Exchange, "regrouped", regrouping)
    found = numopt.matrix_completion(chunked(problem), RANK, callback=lose, **options)
    assert lost == ["asked", "raised"]
    assert found.stats["n_retries"] == 1
    assert len(regrouped) == 4  # by rows and by columns, twice
    assert_array_equal(found.X, whole.X)


def changed(given, name, place, value):
    """Return entries of which one number is another."""
    parts = dict(zip(("rows", "columns", "values"), given, strict=False))
    parts[name] = parts[name].copy()
    parts[name][place] = value
    return chunked((*parts.values(), given[3]))


def unknown(given):
    rows, columns, values, shape = chunked(given)
    return rows[values > 0], columns[values > 0], values[values > 0], shape


BAD = {
    "nan": (
        lambda g: changed(g, "values", 3007, np.nan),
        ValueError,
        r"`values\[3000:6000\]` must be finite, got nan at \[7\]",
    ),
    "infinite": (
        lambda g: da.where(da.arange(N, chunks=50) == 100, np.inf, table(g)[:70]),
        ValueError,
        r"`M\[0:70, 100:150\]` must be finite, got inf",
    ),
    "place": (
        lambda g: changed(g, "rows", 3007, M),
        ValueError,
        rf"`rows\[3000:6000\]` must be in \[0, {M}\), got 0 to {M}",
    ),
    "negative": (
        lambda g: changed(g, "columns", 1, -1),
        ValueError,
        r"`columns\[0:3000\]` must be in",
    ),
    "unknown": (unknown, ValueError, r"`values` must have .* call compute_chunk_sizes\(\)"),
    "unknown-dense": (
        lambda g: table(g, (70, N))[da.from_array(np.arange(M), chunks=70) > 3],
        ValueError,
        r"`M` must have chunks of known sizes, got .* call compute_chunk_sizes\(\)",
    ),
    "lengths": (
        lambda g: (*chunked(g)[:2], chunked(g)[2][1:], g[3]),
        ValueError,
        "must have shape .* to match `values`",
    ),
    "floats": (
        lambda g: (chunked(g)[0] * 1.0, *chunked(g)[1:]),
        TypeError,
        "`rows` must hold integers, got dtype float64",
    ),
    "matrix": (
        lambda g: (*chunked(g)[:2], da.ones((5, 5)), g[3]),
        ValueError,
        "`values` must be a vector, got chunks",
    ),
    "complex": (
        lambda g: (*chunked(g)[:2], chunked(g)[2] * 1j, g[3]),
        TypeError,
        "`values` must hold real numbers",
    ),
    "three": (lambda g: chunked(g)[:3], ValueError, "must be .rows, columns, values, shape."),
    "cube": (lambda _: da.ones((3, 3, 3)), ValueError, "`M` must be a matrix, got chunks"),
    "none": (
        lambda _: da.full((4, 4), np.nan, chunks=2),
        ValueError,
        "at least one observed entry, got none",
    ),
    "empty": (lambda _: da.ones((0, 4)), ValueError, "`M` must not be empty"),
}


@pytest.mark.parametrize(("make", "kind", "match"), BAD.values(), ids=BAD.keys())
def test_bad_entries(make, kind, match, problem):
    with pytest.raises(kind, match=match):
        numopt.matrix_completion(make(problem), 2)


REFUSED = {
    "splitting": ({"sample_splitting": True}, "`sample_splitting` needs entries in memory"),
    "polish": ({"polish": "gauss-newton"}, "`polish` needs entries in memory"),
    "rank": ({"rank": "auto"}, "`rank` = 'auto' needs `validation`"),
    "mask": ({"mask": np.ones((M, N), dtype=bool)}, "`mask` goes with a dense `M` only"),
    "weights": ({"weights": np.ones(3)}, "`weights` must have shape"),
    "tol": ({"tol": -1.0}, "`tol` must be positive"),
    "duplicates": ({"duplicates": "first"}, "`duplicates` must be one of"),
    "x0": ({"x0": (np.ones((2, 2)), np.ones((2, 2)))}, r"`x0\[0\]` must have shape"),
    "large": ({"rank": N + 1}, "`rank` must be at most"),
}


@pytest.mark.parametrize(("options", "match"), REFUSED.values(), ids=REFUSED.keys())
def test_refused_before_anything_is_read(options, match, problem):
    def read(_):
        raise AssertionError("read")

    rows, columns, values, shape = chunked(problem)
    entries = rows, columns, values.map_blocks(read, dtype=float, meta=np.zeros(0)), shape
    with pytest.raises(ValueError, match=match):
        numopt.matrix_completion(entries, **{"rank": 2, **options})


def test_paths_of_ranks_need_held_out_entries(problem):
    with pytest.raises(ValueError, match="`rank_path` needs `validation`"):
        numopt.rank_path(chunked(problem), [1, 2])


def test_negative_weights_name_their_chunk(problem):
    weights = np.ones(problem[0].size)
    weights[4000] = -1
    with pytest.raises(ValueError, match=r"`weights\[3000:6000\]` must be non-negative, got -1"):
        numopt.matrix_completion(chunked(problem), 2, weights=weights)
