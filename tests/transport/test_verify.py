"""The checks of a result, recomputed from the problem and the potentials."""

import pickle

import numpy as np
import pytest
import transport_problems as problems

import numopt

SOLVE = numopt.entropic_transport


def values(checks):
    return np.array([check.value for check in checks])


def agree(found, held):
    """Assert that two lists of checks are the same up to rounding."""
    assert [(c.name, c.limit, c.unit) for c in found] == [(c.name, c.limit, c.unit) for c in held]
    np.testing.assert_allclose(values(found), values(held), rtol=1e-3, atol=1e-13)
    assert [c.passed for c in found] == [c.passed for c in held]


@pytest.mark.parametrize("offset", [0.0, 40.0])
@pytest.mark.parametrize("maxiter", [2, 1000])
def test_checks_are_those_of_the_problem(maxiter, offset):
    cost, a, b = problems.rectangle(40)
    a[[2, 7]], b[3] = 0, 0
    b = b * (a.sum() / b.sum())
    result = SOLVE(cost + offset, a, b, reg=0.02, maxiter=maxiter)
    agree(result.verify(cost + offset, a, b, reg=0.02), result.checks)
    again = pickle.loads(pickle.dumps(result))
    agree(numopt.verify(again, (cost + offset).tolist(), a, b, reg=0.02), result.checks)


def test_clouds():
    rng = np.random.default_rng(0)
    cost = numopt.PointCloudCost(rng.random((300, 2)), rng.random((280, 2)), "euclidean", 3.0)
    result = SOLVE(cost, reg=0.05)
    agree(result.verify(cost, reg=0.05, maxiter=1000), result.checks)


@pytest.mark.parametrize("side", ["f", "g"])
def test_other_potentials_fail(side):
    cost, a, b = problems.cloud(30)
    result = SOLVE(cost, a, b, reg=0.02)
    result[side] = result[side] + 1e-6 * np.arange(30)
    (check,) = result.verify(cost, a, b, reg=0.02)
    assert not check.passed
    result[side] = result[side] * np.nan
    assert not result.verify(cost, a, b, reg=0.02)[0].passed


def test_other_problems_fail():
    cost, a, b = problems.cloud(30)
    result = SOLVE(cost, a, b, reg=0.02)
    assert not result.verify(cost, a, b, reg=0.021)[0].passed
    assert not result.verify(cost[::-1], a, b, reg=0.02)[0].passed
    with pytest.raises(ValueError, match=r"`f` must have shape \(29,\)"):
        result.verify(cost[:29], reg=0.02)


def test_every_problem_of_a_batch(rng):
    costs = rng.random((3, 8, 11))
    batch = SOLVE(costs, reg=0.01)
    agree(batch.verify(costs, reg=0.01), batch.checks)
    assert batch.checks[2].name == "marginal error of problem 2"
    batch.f[1, 0] += 1e-3
    passed = [check.passed for check in batch.verify(costs, reg=0.01)]
    assert passed == [True, False, True]


def test_all_three_problems_of_a_divergence(rng):
    X, Y, a = rng.random((20, 2)), rng.random((9, 2)), problems.weights(rng, 20)
    result = numopt.sinkhorn_divergence(X, Y, a, reg=0.1)
    agree(result.verify(X, Y, a, reg=0.1), result.checks)
    again = pickle.loads(pickle.dumps(result))
    again.self_b.f = again.self_b.f + 1e-3 * np.arange(9)
    assert [c.passed for c in again.verify(X, Y, a, reg=0.1)] == [True, True, False]
    assert not any(c.passed for c in result.verify(X, Y, a, reg=0.1, metric="euclidean"))


def test_libraries_agree(lib):
    if not lib.indexing:
        pytest.skip("array_api_strict finds no indices on this device; see test_libraries_agree")
    cost = lib.asarray(np.random.default_rng(0).random((9, 7)))
    result = SOLVE(cost, reg=0.1)
    agree(result.verify(cost, reg=0.1), result.checks)


def test_methods_of_a_batch_are_those_of_its_problems(rng):
    costs, V, W = rng.random((3, 8, 11)), rng.random((3, 11, 2)), rng.random((3, 8))
    batch = SOLVE(costs, reg=0.05)
    parts = batch.results
    for found, wanted in (
        (batch.apply(V), [r.apply(v) for r, v in zip(parts, V, strict=True)]),
        (batch.apply(W, transpose=True), [r.plan().T @ w for r, w in zip(parts, W, strict=True)]),
        (batch.barycentric_map(V), [r.barycentric_map(v) for r, v in zip(parts, V, strict=True)]),
        (batch.jvp_plan(costs), [r.jvp_plan(c) for r, c in zip(parts, costs, strict=True)]),
        (batch.vjp_plan(costs)[0], [r.vjp_plan(c)[0] for r, c in zip(parts, costs, strict=True)]),
    ):
        np.testing.assert_allclose(found, np.stack(wanted), rtol=1e-12, atol=1e-15)
    assert [plan.shape for plan in batch.sparse_plan()[0]] == [(8, 11)] * 3
    with pytest.raises(ValueError, match="3 parts along the first axis"):
        batch.apply(V[:2])
    with pytest.raises(TypeError, match="PointCloudCost"):
        batch.grad_points()
