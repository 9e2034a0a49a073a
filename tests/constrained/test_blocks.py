"""Sums over rows on Dask: the same answers as from memory, and next to nothing gathered."""

import chunks
import numpy as np
import pytest
from chunks import CHUNKS, EVERY_CHUNKING, EVERY_SCHEDULER, chunked, pieces
from numpy.testing import assert_allclose, assert_array_equal
from row_sum_problems import LOGISTIC, LOSSES, certified, targets
from scipy.optimize import LinearConstraint, NonlinearConstraint

import numopt

counted = chunks.counted  # a fixture
dask = pytest.importorskip("dask", reason="Dask is not installed (group test)")
da = pytest.importorskip("dask.array", reason="Dask is not installed (group test)")

N, D = 5000, 6
EQUATIONS = LinearConstraint(np.random.default_rng(1).normal(size=(2, D)), 0.3, 0.3)


def data(loss="logistic"):
    rng = np.random.default_rng(0)
    return rng.normal(size=(N, D)) / 2, targets(loss, N), rng.random(N), rng.normal(size=D)


def solved(A, b, **options):
    f = numopt.RowSum(A, b, loss="logistic", mean=True, **options)
    return numopt.minimize_equality(f, np.zeros(D), constraints=EQUATIONS)


@EVERY_CHUNKING
@EVERY_SCHEDULER
@pytest.mark.parametrize("loss", LOSSES)
def test_sums_are_those_of_the_same_blocks_to_the_last_bit(loss, scheduler, sizes):
    A, b, weights, x = data(loss)
    local = numopt.RowSum(pieces(A, sizes), b, loss=loss, weights=weights, ridge=0.1)
    options = {"loss": loss, "weights": chunked(weights, CHUNKS["even"]), "ridge": 0.1}
    f = numopt.RowSum(chunked(A, sizes), chunked(b, CHUNKS["even"]), **options)
    with dask.config.set(scheduler=scheduler):
        assert f(x) == local(x)
        assert_array_equal(f.gradient(x), local.gradient(x))
        assert_array_equal(f.hessian(x), local.hessian(x))
    assert f.n_passes == 1
    assert f.n_blocks == np.count_nonzero(sizes)
    whole = numopt.RowSum(A, b, loss=loss, weights=weights, ridge=0.1)
    assert_allclose(f(x), whole(x), rtol=1e-12)
    assert_allclose(f.hessian(x), whole.hessian(x), rtol=1e-11, atol=1e-9)


@EVERY_CHUNKING
@pytest.mark.parametrize("sketch", [None, 60])
def test_sketches_are_those_of_the_same_blocks_to_the_last_bit(sizes, sketch):
    A, b, _, x = data()
    options = {"loss": LOGISTIC if sketch is None else "logistic", "sketch_size": sketch, "rng": 0}
    local = numopt.RowSum(pieces(A, sizes), b, **options)
    f = numopt.RowSum(chunked(A, sizes), b, **options)
    with dask.config.set(scheduler="synchronous"):
        assert_array_equal(f.hessian(x), local.hessian(x))


@EVERY_CHUNKING
def test_logistic_regression_with_equations_is_that_of_the_matrix(sizes):
    A, b, _, _ = data()
    whole = solved(A, b)
    for right in (b, chunked(b, sizes)):
        result = solved(chunked(A, sizes), right)
        assert result.success
        assert_allclose(result.x, whole.x, rtol=0, atol=1e-8)
        assert_allclose(result.dual_vector(), whole.dual_vector(), rtol=0, atol=1e-8)
        assert type(result.x) is np.ndarray
        assert result.stats["n_blocks"] == np.count_nonzero(sizes)
        # The first trial is accepted in every iteration: one barrier each, and one at the start.
        assert result.n_passes == result.nit + 1 == result.nfev
        certified(numopt.RowSum(A, b, loss="logistic", mean=True), result.x, EQUATIONS.A, 0.3, 1e-8)


def test_an_iteration_takes_two_barriers_at_most_beside_those_of_rejected_points(counted):
    A, b, _, _ = data()
    sphere = NonlinearConstraint(lambda x: x @ x, 1.0, 1.0, jac=lambda x: 2 * x)
    f = numopt.RowSum(chunked(A, CHUNKS["even"]), b, loss="logistic")
    result = numopt.minimize_equality(f, np.full(D, 3.0), constraints=[EQUATIONS, sphere])
    assert result.success
    assert len(counted) == result.n_passes == f.n_passes
    rejected = result.nfev - result.nit - 1
    assert result.n_passes <= 2 * result.nit + 1 + rejected


def test_no_array_of_the_rows_is_gathered(counted):
    for n in (20_000, 80_000):
        A = da.random.default_rng(0).standard_normal((n, D), chunks=(5000, D))
        b = da.sign(A.sum(axis=1) + da.random.default_rng(1).standard_normal(n, chunks=5000))
        assert solved(numopt.row_blocks(A, max_bytes=1000), b, weights=da.ones(n)).success
    assert len(counted) >= 8
    assert max(counted) < 8 * (D * D + D + 1) + 1000


def test_sketched_on_a_cluster():
    A, b, _, _ = data()
    result = solved(chunked(A, CHUNKS["ragged"]), b, sketch_size=120, rng=0)
    assert result.success
    assert_allclose(result.x, solved(A, b).x, atol=1e-6)


def test_single_precision_chunks():
    A, b, _, _ = data()
    f = numopt.RowSum(chunked(A.astype("f4"), CHUNKS["even"]), b.astype("f4"), loss="logistic")
    result = numopt.minimize_equality(f, np.zeros(D, "f4"), constraints=EQUATIONS)
    assert result.success
    assert result.x.dtype == np.float32
    double = numopt.minimize_equality(f, np.zeros(D), constraints=EQUATIONS)
    assert_allclose(double.x, solved(A, b).x, atol=1e-6)
    assert double.x.dtype == float


def replaced(x, row, value):
    x = x.copy()
    x[row] = value
    return chunked(x, CHUNKS["even"])


def used(A, b, loss="logistic", **options):
    return numopt.RowSum(A, b, loss=loss, **options)(np.ones(D))


BAD = {
    "nan": (
        lambda A, b, _: used(replaced(A, (2345, 3), np.nan), b),
        ValueError,
        r"`A\[2000:3000\]` must be finite, got nan at \[345, 3\]",
    ),
    "nan-b": (
        lambda A, b, _: used(chunked(A, CHUNKS["even"]), replaced(b, 4001, np.nan)),
        ValueError,
        r"`b\[4000:5000\]` must be finite, got nan at \[1\]",
    ),
    "labels": (
        lambda A, b, _: used(chunked(A, CHUNKS["even"]), replaced(b, 4001, 0.0)),
        ValueError,
        r"`b\[4000:5000\]` must be -1 or 1 for loss='logistic', got 0",
    ),
    "weights": (
        lambda A, b, w: used(chunked(A, CHUNKS["even"]), b, weights=replaced(w, 1500, -1.0)),
        ValueError,
        r"`weights\[1000:2000\]` must be non-negative, got -1.0 at \[500\]",
    ),
    "rows": (
        lambda A, _b, _w: used(chunked(A, CHUNKS["even"]), da.ones(4000, chunks=1000)),
        ValueError,
        r"`b` must have shape \(5000,\)",
    ),
    "columns": (
        lambda A, _b, _w: used(chunked(A, CHUNKS["even"]), chunked(A, CHUNKS["even"])),
        ValueError,
        r"`b` must have shape \(5000,\) to match `A`, got chunks",
    ),
    "host-rows": (
        lambda A, b, _: used(A, chunked(b, CHUNKS["even"])),
        TypeError,
        "`b` of RowSum.__init__ must be in memory, got a Dask array",
    ),
}


@pytest.mark.parametrize(("make", "kind", "match"), BAD.values(), ids=BAD.keys())
def test_bad_chunks(make, kind, match):
    A, b, weights, _ = data()
    with pytest.raises(kind, match=match):
        make(A, b, weights)
