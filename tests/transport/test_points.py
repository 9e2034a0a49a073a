"""Costs between point clouds, which are never stored."""

import os
import subprocess
import sys

import numpy as np
import pytest
import transport_oracles as oracles
import transport_problems as problems
from libraries import to_numpy

import numopt
from numopt.transport._costs import locality_order

METRICS = ("sqeuclidean", "euclidean", "cityblock")


def distances(X, Y, metric, scale=1.0):
    step = X[:, None, :] - Y[None, :, :]
    if metric == "cityblock":
        return scale * np.abs(step).sum(axis=2)
    squared = (step**2).sum(axis=2)
    return scale * (np.sqrt(squared) if metric == "euclidean" else squared)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("scale", [1.0, 0.3, 70.0])
def test_cost_as_an_array(metric, scale, rng):
    X, Y = rng.normal(size=(6, 3)), 5 + rng.normal(size=(9, 3))
    cost = numopt.PointCloudCost(X, Y, metric, scale)
    assert cost.shape == (6, 9)
    np.testing.assert_allclose(cost.toarray(), distances(X, Y, metric, scale), rtol=1e-13)


def test_text_shows_shape_and_metric(rng):
    cost = numopt.PointCloudCost(rng.random((4, 2)), rng.random((7, 2)), "cityblock", 0.5)
    assert repr(cost) == "PointCloudCost(shape=(4, 7), metric='cityblock', scale=0.5)"


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(("n", "m", "d"), [(30, 50, 2), (50, 30, 1), (20, 20, 10), (300, 280, 2)])
def test_same_solution_as_the_stored_cost(metric, n, m, d, rng):
    X, Y = rng.random((n, d)), rng.random((m, d))
    a, b = problems.weights(rng, n), problems.weights(rng, m)
    cost = distances(X, Y, metric, 1.5)
    reg = 3e-3 * cost.max()
    lazy = numopt.entropic_transport(
        numopt.PointCloudCost(X, Y, metric, 1.5), a, b, reg=reg, tol=1e-10
    )
    oracles.assert_optimal(lazy, cost, a, b, reg, 1e-10)
    stored = numopt.entropic_transport(cost, a, b, reg=reg, tol=1e-10)
    np.testing.assert_allclose(lazy.plan(), stored.plan(), rtol=0, atol=1e-10)
    V, W = rng.normal(size=(m, 2)), rng.normal(size=n)
    np.testing.assert_allclose(lazy.apply(V), lazy.plan() @ V, rtol=0, atol=1e-13)
    np.testing.assert_allclose(lazy.apply(W, True), lazy.plan().T @ W, rtol=0, atol=1e-13)
    sparse, dropped = lazy.sparse_plan(1e-6)
    assert abs(sparse.toarray() - lazy.plan()).sum() <= 1e-5
    assert dropped == pytest.approx(1 - sparse.sum(), abs=1e-9)


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("inverse_reg", [10, 1000, 50_000])
def test_skipping_what_is_far_away_changes_nothing(metric, inverse_reg, rng):
    """Two clusters far apart: most tiles of a row carry no mass."""
    X = np.concatenate([rng.random((200, 2)), 8 + rng.random((100, 2))])
    Y = np.concatenate([rng.random((150, 2)), 8 + rng.random((150, 2))])
    cost = distances(X, Y, metric)
    reg = cost.max() / inverse_reg
    result = numopt.entropic_transport(numopt.PointCloudCost(X, Y, metric), reg=reg, tol=1e-9)
    a = b = problems.uniform(300)
    oracles.assert_optimal(result, cost, a, b, reg, 1e-9)


@pytest.mark.parametrize("metric", METRICS)
def test_shifting_and_turning_change_nothing(metric, rng):
    X, Y = rng.random((20, 2)), rng.random((25, 2))
    plan = numopt.entropic_transport(
        numopt.PointCloudCost(X, Y, metric), reg=0.01, tol=1e-10
    ).plan()
    for moved in ([X + 1e4, Y + 1e4], [X[:, ::-1], Y[:, ::-1]], [-X, -Y]):
        other = numopt.entropic_transport(
            numopt.PointCloudCost(*moved, metric), reg=0.01, tol=1e-10
        ).plan()
        np.testing.assert_allclose(other, plan, rtol=0, atol=1e-9)


@pytest.mark.parametrize("metric", METRICS)
def test_cloud_against_itself_and_duplicated_points(metric, rng):
    X = rng.random((15, 2))
    X[3] = X[4] = X[5]
    cost = numopt.PointCloudCost(X, X.copy(), metric)
    result = numopt.entropic_transport(cost, reg=0.01, tol=1e-10)
    a = problems.uniform(15)
    oracles.assert_optimal(result, distances(X, X, metric), a, a, 0.01, 1e-10)
    np.testing.assert_allclose(result.plan()[3], result.plan()[5], rtol=0, atol=1e-12)


def test_all_points_at_one_place():
    cost = numopt.PointCloudCost(np.ones((4, 2)), np.ones((6, 2)))
    np.testing.assert_allclose(
        numopt.entropic_transport(cost, reg=1e-3).plan(), np.full((4, 6), 1 / 24), rtol=1e-12
    )


def test_integer_points_become_floats():
    X, Y = np.arange(8).reshape(4, 2), np.arange(6).reshape(3, 2)
    cost = numopt.PointCloudCost(X, Y)
    assert cost.X.dtype == cost.Y.dtype == np.float64
    assert numopt.entropic_transport(cost, reg=1.0).success


def test_points_are_not_modified(rng):
    X, Y = rng.random((20, 2)), rng.random((25, 2))
    copies = X.copy(), Y.copy()
    X.flags.writeable = Y.flags.writeable = False
    result = numopt.entropic_transport(numopt.PointCloudCost(X, Y), reg=0.01)
    result.grad_points()
    np.testing.assert_array_equal(X, copies[0])
    np.testing.assert_array_equal(Y, copies[1])


def test_zero_masses(rng):
    X, Y = rng.random((20, 2)), rng.random((25, 2))
    a, b = problems.weights(rng, 20), problems.weights(rng, 25)
    a[:5], b[20:] = 0, 0
    a, b = a / a.sum(), b / b.sum()
    result = numopt.entropic_transport(numopt.PointCloudCost(X, Y), a, b, reg=0.01, tol=1e-10)
    stored = numopt.entropic_transport(distances(X, Y, METRICS[0]), a, b, reg=0.01, tol=1e-10)
    np.testing.assert_allclose(result.plan(), stored.plan(), rtol=0, atol=1e-10)
    np.testing.assert_allclose(result.f[:5], stored.f[:5], rtol=0, atol=1e-8)
    rows, columns = result.grad_points()
    assert (rows[:5] == 0).all()
    assert (columns[20:] == 0).all()


def test_cost_is_never_stored():
    """The peak of a process of its own: a stored cost alone would take 200 MB."""
    resource = pytest.importorskip("resource", reason="this platform does not tell the peak memory")
    code = """
import resource, numpy as np, numopt
rng = np.random.default_rng(0)
def solve(n):
    cost = numopt.PointCloudCost(rng.random((n, 2)), rng.random((n, 2)))
    return numopt.entropic_transport(cost, reg=0.02, tol=1e-4).success
solve(300)  # loads the compiled kernels
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(solve(5000), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > 0
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ
    )
    success, growth = done.stdout.split()
    assert success == "True"
    unit = 1 if sys.platform == "darwin" else 1024
    assert int(growth) * unit < 60e6


@pytest.mark.parametrize("d", [1, 2, 3, 8])
def test_locality_order_keeps_neighbors_together(d, rng):
    X = rng.random((400, d))
    order = locality_order(X)
    np.testing.assert_array_equal(np.sort(order), np.arange(400))
    lengths = [np.linalg.norm(np.diff(X[i], axis=0), axis=1).sum() for i in (order, slice(None))]
    assert lengths[0] < {1: 0.02, 2: 0.2, 3: 0.4, 8: 0.9}[d] * lengths[1]


def test_locality_order_of_degenerate_clouds():
    for X in (np.ones((5, 3)), np.ones((1, 2)), np.array([[0.0, 1.0], [0.0, -1.0], [0.0, 0.0]])):
        np.testing.assert_array_equal(np.sort(locality_order(X)), np.arange(len(X)))


def test_sorted_clouds_give_the_same_in_every_library(lib, monkeypatch):
    """Large clouds are sorted for the solve; here small ones are, with zero masses and a start."""
    if not lib.indexing:
        pytest.skip("array_api_strict finds no indices on this device; see test_libraries_agree")
    monkeypatch.setattr(numopt.transport._problem, "ORDERING_ENTRIES", 0)
    rng = np.random.default_rng(0)
    X, Y = rng.random((30, 2)), rng.random((20, 2))
    a, b = problems.weights(rng, 30), problems.weights(rng, 20)
    a[[3, 17]], b[5] = 0, 0
    a, b = a / a.sum(), b / b.sum()
    stored = numopt.entropic_transport(distances(X, Y, "euclidean"), a, b, reg=0.03, tol=1e-11)
    for dtype in lib.floats:
        arrays = [lib.asarray(x, dtype) for x in (X, Y, a, b)]
        cost = numopt.PointCloudCost(*arrays[:2], "euclidean")
        tol, atol = (1e-11, 1e-11) if dtype == "float64" else (1e-4, 1e-5)
        result = numopt.entropic_transport(cost, *arrays[2:], reg=0.03, tol=tol)
        again = numopt.entropic_transport(cost, *arrays[2:], reg=0.03, tol=tol, x0=result)
        assert again.success
        assert again.nit <= 1
        for plan in (result.plan(), again.plan()):
            np.testing.assert_allclose(to_numpy(plan), stored.plan(), rtol=0, atol=atol)
        np.testing.assert_allclose(to_numpy(result.f), stored.f, rtol=0, atol=1e3 * atol)


def test_libraries_agree(lib):
    if not lib.indexing:
        pytest.skip("array_api_strict finds no indices on this device; see test_libraries_agree")
    rng = np.random.default_rng(0)
    X, Y = rng.random((30, 2)), rng.random((20, 2))
    for metric in METRICS:
        expected = numopt.entropic_transport(distances(X, Y, metric), reg=0.05, tol=1e-11).plan()
        for dtype in lib.floats:
            cost = numopt.PointCloudCost(lib.asarray(X, dtype), lib.asarray(Y, dtype), metric)
            tol = 1e-11 if dtype == "float64" else None
            result = numopt.entropic_transport(cost, reg=0.05, tol=tol)
            assert result.success
            assert lib.holds(result.plan(), dtype)
            assert lib.holds(cost.toarray(), dtype)
            atol = 1e-11 if dtype == "float64" else 1e-6
            np.testing.assert_allclose(to_numpy(result.plan()), expected, rtol=0, atol=atol)
