"""Convex training on rows in blocks: the program of the samples in memory, both bounds proved."""

import itertools
import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from relu_oracles import dual, largest_pull, loss_values, primal, with_ones

import numopt

LOSSES = ("squared", "logistic", "hinge")
EVERY_LOSS = pytest.mark.parametrize("loss", LOSSES)
CHUNKS = {
    "one": (1500,),
    "ragged": (1, 699, 1, 400, 399),
    "empty": (0, 700, 0, 799, 1, 0),
    "many": (50,) * 30,
}
EVERY_CHUNKING = pytest.mark.parametrize("sizes", CHUNKS.values(), ids=CHUNKS.keys())


def samples(n=1500, d=4, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d))
    y = np.abs(X[:, 0]) - 0.5 * X[:, -1] + 0.1 * rng.normal(size=n)
    return X, y, np.where(y > np.median(y), 1.0, -1.0)


def targets(loss, y, labels):
    return y if loss == "squared" else labels


def pieces(x, sizes):
    ends = np.cumsum([0, *sizes])
    return [x[low:high] for low, high in itertools.pairwise(ends) if high > low]


def by_rows(X, *rest, rows=400, **options):
    return numopt.convex_relu(numopt.row_blocks(X, rows=rows), *rest, **options)


@EVERY_LOSS
@pytest.mark.parametrize("beta", [0.3, 3.0, 60.0])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_optimum_is_that_of_the_samples_in_memory(loss, beta, weighted):
    X, y, labels = samples(700)
    t = targets(loss, y, labels)
    weights = np.random.default_rng(1).random(700) * (np.arange(700) % 7 > 0)
    options = {"beta": beta, "loss": loss, "n_patterns": 9, "rng": 2, "tol": 1e-4}
    options["weights"] = weights if weighted else None
    whole = numopt.convex_relu(X, t, method="interior", **options)
    result = by_rows(X, t, **options)
    assert result.success
    assert result.gap <= 1e-4
    assert result.dual_fun <= whole.fun * (1 + 1e-12)
    assert whole.dual_fun <= result.fun * (1 + 1e-12)
    assert_allclose(result.gates.T @ result.gates, _cosines(whole.gates), atol=1e-12)
    assert_allclose(result.net_fun, result.fun, rtol=1e-9)
    assert result.history[-1]["nit"] == result.nit < 40
    assert (result.stats["n_blocks"], result.stats["n_retries"], result.patterns) == (1, 0, None)


@pytest.mark.slow
@EVERY_LOSS
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_tall_data_in_memory_go_by_rows(loss, weighted, dtype):
    X, y, labels = samples(1600)
    X, t = X.astype(dtype), targets(loss, y, labels).astype(dtype)
    weights = np.random.default_rng(1).random(1600).astype(dtype) * (np.arange(1600) % 7 > 0)
    options = {"beta": 3.0, "loss": loss, "n_patterns": 9, "rng": 2, "tol": 1e-4}
    options["weights"] = weights if weighted else None
    exact = numopt.convex_relu(X, t, method="interior", **options)
    result = numopt.convex_relu(X, t, **options)
    assert (result.stats["method"], result.success, result.infeasibility) == ("rows", True, 0)
    assert result.dual_fun <= exact.fun * (1 + 1e-12)
    assert exact.dual_fun <= result.fun * (1 + 1e-12)
    assert result.coef_pos.dtype == dtype
    for name in ("gates", "patterns"):
        assert_array_equal(result[name], exact[name])
    assert result.history[-1]["nit"] == result.nit < 40
    assert_allclose([result.history[0]["fun"]], [exact.history[0]["fun"]], rtol=1e-6)


def test_samples_close_to_kinks_are_few_before_each_has_its_own_loss(monkeypatch):
    """Sixty thousand samples, as a model with three hundred kinks: a million with the default."""
    from numopt.relu.rows import sqp

    monkeypatch.setattr(sqp, "_NEAR_SAMPLES", 300)
    X, _, labels = samples(60_000, 3)
    result = numopt.convex_relu(X, labels, beta=6.0, loss="hinge", n_patterns=5, rng=0)
    assert (result.stats["method"], result.success) == ("rows", True)
    assert result.nit < 15


def test_bounds_of_tall_data_follow_from_what_is_returned():
    X, _, labels = samples(900, 3)
    Y = np.stack([labels, np.sign(X[:, 1])], axis=1)
    result = numopt.convex_relu(X, Y, beta=2.0, loss="logistic", n_patterns=6, rng=0, tol=1e-6)
    assert (result.stats["method"], result.success) == ("rows", True)
    assert {record["output"] for record in result.history} == {0, 1}
    Z = with_ones(X)
    for c in range(2):
        alone = numopt.ConvexReLUResult(result)
        alone["coef_pos"], alone["coef_neg"] = result.coef_pos[..., c], result.coef_neg[..., c]
        value, slack = primal(Z, Y[:, c], alone, 2.0, "logistic")
        assert slack >= 0
        assert_allclose(value, result.stats["output_fun"][c], rtol=1e-12)
        assert_allclose(
            dual(Y[:, c], result.dual[:, c], "logistic"), result.stats["output_dual_fun"][c]
        )
        assert largest_pull(Z, result.patterns, result.dual[:, c]) <= 2.0 * (1 + 1e-6)


def test_tall_data_start_from_an_earlier_result():
    X, y, _ = samples(900, 3)
    first = numopt.convex_relu(X, y, beta=2.0, n_patterns=6, rng=0, tol=1e-6)
    again = numopt.convex_relu(X, y, beta=2.0, x0=first, maxiter=0)
    assert again.fun <= first.fun * (1 + 1e-12)
    assert again.dual_fun < first.dual_fun
    finer = numopt.convex_relu(X, y, beta=2.0, x0=first, refine=1, rng=0)
    assert finer.success
    assert finer.fun < first.fun
    assert finer.patterns.shape[1] > first.patterns.shape[1]


def test_what_rounding_stops_goes_on_with_all_constraints():
    X, y, _ = samples(300)
    options = {"beta": 3.0, "n_patterns": 5, "rng": 2, "tol": 1e-15}
    first = numopt.convex_relu(X, y, method="rows", **options)
    assert first.stats["method"] == "rows"
    seen = []
    result = numopt.convex_relu(X, y, callback=lambda record: seen.append(record.nit), **options)
    assert result.stats["method"] == "interior"
    assert result.gap < 1e-9
    # One count and one history of both, seen as one run.
    assert result.nit > first.nit
    assert result.stats["n_factorizations"] > first.stats["n_factorizations"]
    assert [record["nit"] for record in result.history] == seen == sorted(seen)
    assert result.history[: first.nit + 1] == first.history
    assert seen[-1] == result.nit


def _cosines(gates):
    unit = gates / np.linalg.norm(gates, axis=0)
    return unit.T @ unit


@EVERY_LOSS
def test_both_bounds_follow_from_what_is_returned(loss):
    X, y, labels = samples(150, 3)
    t, Z = targets(loss, y, labels), with_ones(X)
    result = by_rows(X, t, rows=40, beta=0.5, loss=loss, n_patterns=6, rng=0, tol=1e-5)
    result["patterns"] = Z @ result.gates >= 0
    value, slack = primal(Z, t, result, 0.5, loss)
    assert_allclose(value, result.fun, rtol=1e-10)
    assert slack >= 0
    assert_allclose(dual(t, result.dual, loss), result.dual_fun, rtol=1e-9)
    assert largest_pull(Z, result.patterns, result.dual) <= 0.5 * (1 + 1e-6)
    z = result.predict(X)
    size = (result.W1**2).sum() + (result.w2**2).sum()
    assert_allclose(loss_values(z, t, loss).sum() + 0.25 * size, result.net_fun, rtol=1e-9)


@EVERY_LOSS
@pytest.mark.parametrize("seed", range(4))
def test_the_bounds_never_cross(loss, seed):
    X, y, labels = samples(3000, 3, seed)
    t = targets(loss, y, labels)
    options = {"beta": 0.5 * 4**seed, "loss": loss, "n_patterns": 12, "rng": seed}
    exact = by_rows(X, t, tol=1e-6, **options)
    assert exact.gap <= 1e-4
    result = by_rows(X, t, tol=1e-3, **options)
    for record in result.history + exact.history:
        assert record["dual_fun"] <= exact.fun * (1 + 1e-12)
        assert record["fun"] >= exact.dual_fun * (1 - 1e-12)


def test_hinge_loss_with_more_samples_than_have_a_loss_of_their_own():
    X, _, labels = samples(12_000, 3)
    result = by_rows(X, labels, rows=3000, beta=2.0, loss="hinge", n_patterns=8, rng=0, tol=1e-5)
    whole = numopt.convex_relu(X, labels, beta=2.0, loss="hinge", n_patterns=8, rng=0)
    assert result.success
    assert result.nit > 1
    assert whole.dual_fun <= result.fun <= whole.fun * (1 + 1e-5)


def test_few_rows_kept_at_first_are_enough(monkeypatch):
    """Cones whose bounds are found on the way give the optimum, too."""
    from numopt.relu.rows import sqp

    X, y, _ = samples(4000, 6)
    options = {"beta": 0.1, "n_patterns": 8, "rng": 0, "tol": 1e-5}
    expected = by_rows(X, y, **options)
    monkeypatch.setattr(sqp, "_FIRST_ROWS", 1)
    result = by_rows(X, y, **options)
    assert result.success
    assert result.nit > expected.nit
    assert result.infeasibility == 0
    assert_allclose(result.fun, expected.fun, rtol=2e-5)


def test_as_many_rows_as_fit(monkeypatch):
    from numopt.relu.rows import sqp

    X, y, _ = samples(4000, 6)
    options = {"beta": 0.1, "n_patterns": 8, "rng": 0}
    monkeypatch.setattr(sqp, "_most_rows", lambda _: 60)
    monkeypatch.setattr(sqp, "_FIRST_ROWS", 8)
    result = by_rows(X, y, **options)
    assert result.success


@pytest.mark.parametrize("n", [1, 2, 30])
def test_few_samples(n):
    X, y, _ = samples(n, 3, seed=5)
    options = {"beta": 0.01, "n_patterns": 7, "rng": 1}
    result, whole = by_rows(X, y, rows=1, **options), numopt.convex_relu(X, y, **options)
    assert result.success
    assert result.dual_fun <= whole.fun
    assert whole.dual_fun <= result.fun


def test_a_network_that_no_sample_changes():
    X, y = np.zeros((50, 3)), np.ones(50)
    result = by_rows(X, y, beta=0.1, fit_intercept=False, n_patterns=3, rng=0)
    assert result.success
    assert (result.nit, result.fun, result.dual_fun, result.gap) == (0, 25.0, 25.0, 0.0)
    result = by_rows(np.concatenate([X, np.eye(3)]), np.ones(53), beta=0.1, fit_intercept=False)
    assert result.success
    assert 25 < result.dual_fun <= result.fun < 26.5


def test_large_weight_decay_gives_the_zero_network():
    X, y, _ = samples()
    highest = numopt.convex_relu_beta_max(X, y, n_patterns=6, rng=0)
    result = by_rows(X, y, beta=1.001 * highest, n_patterns=6, rng=0)
    assert result.success
    assert_allclose(result.fun, 0.5 * y @ y, rtol=1e-3)
    smaller = by_rows(X, y, beta=0.9 * highest, n_patterns=6, rng=0, tol=1e-5)
    assert smaller.fun < 0.5 * y @ y


def test_duplicate_and_empty_patterns_are_left_out():
    X, y, _ = samples(400, 3)
    gates = np.random.default_rng(0).normal(size=(4, 5))
    gates = np.concatenate([gates, 2 * gates[:, :2], [[0.0], [0.0], [0.0], [-1.0]]], axis=1)
    result = by_rows(X, y, rows=100, beta=0.1, patterns=gates)
    assert_allclose(result.gates, gates[:, :5] / np.linalg.norm(gates[:, :5], axis=0), rtol=1e-12)
    with pytest.raises(ValueError, match="must switch on at least one sample"):
        by_rows(X, y, beta=0.1, patterns=gates[:, -1:])


def test_rows_in_files_and_maps(tmp_path):
    X, y, _ = samples()
    np.save(tmp_path / "X.npy", X)
    options = {"beta": 1.0, "n_patterns": 6, "rng": 0}
    expected = by_rows(X, y, rows=1500, **options)
    for source in (
        np.load(tmp_path / "X.npy", mmap_mode="r"),
        numopt.row_blocks(np.load(tmp_path / "X.npy", mmap_mode="r")),
        [tmp_path / "X.npy"],
        [X[:9], X[9:]],
    ):
        result = numopt.convex_relu(source, y, **options)
        assert_allclose(result.coef_pos, expected.coef_pos, rtol=0, atol=1e-6)
        assert result.dual.shape == (1500,)


def test_a_memory_map_is_an_array(tmp_path):
    """No other method runs, and no option is refused."""
    X, y, _ = samples(60)
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    for options in ({}, {"method": "cholesky", "maxiter": 50}, {"refine": 1}, {"eps": 0.001}):
        options = {"beta": 1.0, "n_patterns": 6, "rng": 0, "maxiter": 200} | options
        result, expected = (numopt.convex_relu(x, y, **options) for x in (mapped, X))
        assert result.stats["method"] == expected.stats["method"]
        assert_array_equal(result.coef_pos, expected.coef_pos)
        assert_array_equal(result.predict(mapped), expected.predict(X))
        assert type(result.coef_pos) is np.ndarray


def test_single_precision_is_computed_in_double():
    X, y, _ = samples()
    X, y = X.astype("f4"), y.astype("f4")
    result = by_rows(X, y, beta=1.0, n_patterns=6, rng=0)
    expected = by_rows(X.astype(float), y.astype(float), beta=1.0, n_patterns=6, rng=0)
    assert result.coef_pos.dtype == np.float64
    assert_allclose(result.fun, expected.fun, rtol=1e-3)
    assert result.success


def test_other_libraries(lib):
    X, y, _ = samples(600, 3)
    if "float64" not in lib.xp.__array_namespace_info__().dtypes(device=lib.device):
        pytest.skip("no double precision")
    blocks = [lib.asarray(X[:250]), lib.asarray(X[250:])]
    result = numopt.convex_relu(blocks, lib.asarray(y), beta=1.0, n_patterns=5, rng=0)
    expected = numopt.convex_relu([X[:250], X[250:]], y, beta=1.0, n_patterns=5, rng=0)
    assert result.success
    assert_allclose(result.fun, expected.fun, rtol=1e-3)


def test_callback_and_iteration_limit():
    X, _, labels = samples()
    options = {"beta": 1.0, "loss": "logistic", "n_patterns": 6, "rng": 0}
    result = by_rows(X, labels, maxiter=0, **options)
    assert (result.nit, result.status, result.success) == (0, 1, False)
    assert 0 < result.dual_fun < result.fun
    assert "raise maxiter or tol" in result.message
    seen = []

    def stop(record):
        seen.append(record.nit)
        if len(seen) == 3:
            raise StopIteration

    result = by_rows(X, labels, callback=stop, **options)
    assert (result.nit, result.status, seen) == (2, 99, [0, 1, 2])


REFUSED = {
    "eps": ({"eps": 0.1}, "`eps` must be 0 where the rows of `X` are gone through in blocks"),
    "method": ({"method": "sylvester"}, "`method` must be 'auto' or 'rows' where"),
    "refine": ({"refine": 1}, "`refine` must be 0 where"),
    "rho": ({"rho": 1.0}, "`rho` must be None where"),
    "polish": ({"polish": False}, "`polish` must be True where"),
    "patterns": ({"patterns": np.ones((40, 2), dtype=bool)}, "`patterns` must be gates of shape"),
    "gates": ({"patterns": np.ones((3, 2))}, "`patterns` must be gates with 4 rows"),
    "n_patterns": ({"n_patterns": 4000}, "`n_patterns` must be at most 2795 for 4 columns"),
    "beta": ({"beta": 0.0}, "`beta` must be positive"),
    "loss": ({"loss": "cubic"}, "`loss` must be"),
    "labels": ({"loss": "hinge"}, r"`y\[0:10\]` must hold labels -1 and 1 for hinge loss"),
    "weight": ({"weights": -np.ones(40)}, r"`weights\[0:10\]` must be non-negative"),
    "zero": ({"weights": np.zeros(40)}, "`weights` must have a positive entry"),
    "size": ({"weights": np.ones(39)}, r"`weights` must have shape \(40,\)"),
}


@pytest.mark.parametrize(("options", "match"), REFUSED.values(), ids=REFUSED.keys())
def test_refused(options, match):
    X, y, _ = samples(40, 3)
    with pytest.raises(ValueError, match=match):
        by_rows(X, y, rows=10, **{"beta": 1.0, **options})


def test_other_bad_input():
    X, y, _ = samples(40, 3)
    start = numopt.convex_relu(X, y, beta=1.0, n_patterns=3, rng=0)
    with pytest.raises(ValueError, match="`x0` must be None"):
        by_rows(X, y, beta=1.0, x0=start)
    with pytest.raises(ValueError, match=r"`y` must be a vector, got shape \(40, 2\)"):
        by_rows(X, np.stack([y, y], axis=1), beta=1.0)
    X[25, 1] = np.nan
    with pytest.raises(ValueError, match=r"`X\[20:30\]` must be finite, got nan at \[5, 1\]"):
        by_rows(X, y, rows=10, beta=1.0)
    with pytest.raises(TypeError, match="re-iterable"):
        numopt.convex_relu(numopt.row_blocks(iter([X])), y, beta=1.0)


class TestDask:
    """The same on a Dask array, whatever its chunks and whatever runs them."""

    dask = pytest.importorskip("dask", reason="Dask is not installed (group test)")
    da = pytest.importorskip("dask.array", reason="Dask is not installed (group test)")

    def chunked(self, x, sizes):
        return self.da.from_array(x, chunks=(sizes, *((-1,) if x.ndim == 2 else ())))

    @EVERY_LOSS
    @EVERY_CHUNKING
    @pytest.mark.parametrize("scheduler", ["threads", "synchronous"])
    def test_the_same_blocks_give_the_same_bits(self, loss, sizes, scheduler):
        X, y, labels = samples()
        t = targets(loss, y, labels)
        weights = np.random.default_rng(1).random(1500)
        options = {"beta": 2.0, "loss": loss, "n_patterns": 6, "rng": 3}
        here = numopt.convex_relu(pieces(X, sizes), t, weights=weights, **options)
        with self.dask.config.set(scheduler=scheduler):
            result = numopt.convex_relu(
                self.chunked(X, sizes),
                self.da.from_array(t, chunks=222),
                weights=self.da.from_array(weights, chunks=-1),
                **options,
            )
            theta, patterns = result.dual.compute(), result.patterns.compute()
        assert type(result.coef_pos) is np.ndarray
        for name in ("coef_pos", "coef_neg", "W1", "w2"):
            assert_array_equal(result[name], here[name])
        assert (result.fun, result.dual_fun) == (here.fun, here.dual_fun)
        assert_array_equal(theta, here.dual)
        assert result.dual.chunks == (sizes,)
        assert result.patterns.chunks == (sizes, (6,))
        assert_array_equal(patterns, with_ones(X) @ result.gates >= 0)
        assert result.stats["n_blocks"] == np.count_nonzero(sizes)
        assert result.stats["n_retries"] == 0
        assert result.stats["n_passes"] == here.stats["n_passes"]
        assert result.success

    @EVERY_LOSS
    def test_what_is_gathered_does_not_grow_with_the_rows(self, loss, monkeypatch):
        from numopt._rows.cluster import Cluster

        sizes, compute = [], Cluster.compute

        def counting(cluster, nodes):
            values = compute(cluster, nodes)
            sizes.append(sum(len(pickle.dumps(value)) for value in values))
            return values

        monkeypatch.setattr(Cluster, "compute", counting)
        most = []
        for n in (10_000, 40_000):
            X = self.da.random.default_rng(0).standard_normal((n, 3), chunks=(5000, 3))
            y = self.da.where(abs(X[:, 0]) > 0.7, 1.0, -1.0)
            sizes.clear()
            assert numopt.convex_relu(X, y, beta=n / 1000, loss=loss, n_patterns=4, rng=0).success
            most.append(max(sizes))
        assert most[1] <= 1.01 * most[0]
        # A tenth of the numbers of the larger matrix; samples near their kinks are more.
        assert most[1] < (96_000 if loss != "hinge" else 600_000)

    def test_nothing_is_configured_or_left_behind(self):
        distributed = pytest.importorskip("distributed", reason="no cluster of Dask")
        X, y, _ = samples()
        before = self.dask.config.config.copy()
        numopt.convex_relu(self.chunked(X, (500,) * 3), y, beta=1.0, n_patterns=5, rng=0)
        assert self.dask.config.config == before
        with pytest.raises(ValueError, match="No global client found"):
            distributed.get_client()

    def test_bad_chunks(self):
        X, y, _ = samples(100, 3)
        bad = X.copy()
        bad[57, 2] = np.inf
        with pytest.raises(ValueError, match=r"`X\[50:75\]` must be finite, got inf at \[7, 2\]"):
            numopt.convex_relu(self.da.from_array(bad, chunks=(25, 3)), y, beta=1.0)
        x = self.da.from_array(X, chunks=(25, 3))
        with pytest.raises(ValueError, match=r"`y` must have shape \(100,\)"):
            numopt.convex_relu(x, self.da.ones(99, chunks=10), beta=1.0)
        with pytest.raises(ValueError, match="`patterns` must be gates"):
            numopt.convex_relu(x, y, beta=1.0, patterns=x > 0)
        with pytest.raises(ValueError, match="chunks of known sizes"):
            numopt.convex_relu(x[x[:, 0] > 0], y, beta=1.0)
        with pytest.raises(ValueError, match="allow more with row_blocks"):
            numopt.convex_relu(numopt.row_blocks(x, max_bytes=1e4), y, beta=1.0)

    def test_rows_of_part_columns(self):
        X, y, _ = samples()
        options = {"beta": 1.0, "n_patterns": 5, "rng": 0}
        result = numopt.convex_relu(self.da.from_array(X, chunks=(500, 2)), y, **options)
        assert_array_equal(result.coef_pos, by_rows(X, y, rows=500, **options).coef_pos)

    def test_an_existing_client(self):
        distributed = pytest.importorskip("distributed", reason="no cluster of Dask")
        X, y, _ = samples()
        options = {"beta": 1.0, "n_patterns": 5, "rng": 0}
        x = self.chunked(X, (500,) * 3)
        expected = numopt.convex_relu(x, y, **options)
        with (
            distributed.LocalCluster(
                n_workers=1, threads_per_worker=2, processes=False, dashboard_address=":0"
            ) as cluster,
            distributed.Client(cluster),
        ):
            result = numopt.convex_relu(x, y, **options)
            assert_array_equal(result.dual.compute(), expected.dual.compute())
        assert_array_equal(result.coef_pos, expected.coef_pos)
