"""Batches of transport problems."""

import itertools

import numpy as np
import pytest
import transport_problems as problems
from libraries import to_numpy

import numopt

SOLVE = numopt.entropic_transport


@pytest.fixture
def batch(rng):
    costs = rng.random((3, 8, 11))
    a = np.stack([problems.weights(rng, 8) for _ in range(3)])
    b = np.stack([problems.weights(rng, 11) for _ in range(3)])
    return costs, a, b


def test_batch_is_its_problems_one_by_one(batch):
    costs, a, b = batch
    together = SOLVE(costs, a, b, reg=0.01)
    assert isinstance(together, numopt.TransportBatch)
    assert together.success
    for k in range(3):
        alone = SOLVE(costs[k], a[k], b[k], reg=0.01)
        for name in ("x", "f", "g"):
            np.testing.assert_array_equal(together[name][k], alone[name])
        for name in ("fun", "dual_fun", "gap", "cost", "marginal_error"):
            assert together[name][k] == alone[name]
        for name in ("status", "message", "nit", "n_passes", "history"):
            assert together[name][k] == alone[name]
        for name in ("nit_sinkhorn", "nit_newton", "nit_cg", "nnz", "reg_path"):
            assert together.stats[name][k] == alone.stats[name]
        np.testing.assert_array_equal(together.plan()[k], alone.plan())
        np.testing.assert_array_equal(together.rounded_plan()[k], alone.rounded_plan())
        np.testing.assert_array_equal(together.grad_cost()[k], alone.grad_cost())
        for gradients, gradient in zip(together.grad_masses(), alone.grad_masses(), strict=True):
            np.testing.assert_array_equal(gradients[k], gradient)
        assert isinstance(together.results[k], numopt.TransportResult)


@pytest.mark.parametrize("given", ["none", "one", "each"])
def test_masses_are_repeated(batch, given):
    costs, a, b = batch
    masses = {"none": (None, None), "one": (a[0], b[0]), "each": (a, b)}[given]
    result = SOLVE(costs, *masses, reg=0.01)
    wanted = {"none": np.full(8, 1 / 8), "one": a[0], "each": a[1]}[given]
    np.testing.assert_allclose(result.plan()[1].sum(axis=1), wanted, rtol=0, atol=1e-8)


def test_shapes(batch):
    result = SOLVE(*batch, reg=0.01)
    assert result.x.shape == (3, 19)
    assert (result.f.shape, result.g.shape) == ((3, 8), (3, 11))
    assert result.fun.shape == result.marginal_error.shape == (3,)
    assert result.plan().shape == (3, 8, 11)
    assert len(result.results) == len(result.history) == 3


@pytest.mark.parametrize("kind", ["result", "pair", "g"])
def test_warm_start(batch, kind):
    first = SOLVE(*batch, reg=0.01)
    start = {"result": first, "pair": (first.f, first.g), "g": first.g}[kind]
    again = SOLVE(*batch, reg=0.01, x0=start)
    assert again.success
    assert max(again.nit) <= 1


def test_success_means_every_problem(batch):
    costs, a, b = batch
    costs = np.concatenate([np.ones((1, 8, 11)), costs])
    a, b = np.concatenate([a[:1], a]), np.concatenate([b[:1], b])
    result = SOLVE(costs, a, b, reg=0.01, maxiter=2)
    assert result.status[0] == 0
    assert set(result.status[1:]) == {1}
    assert not result.success


def test_problems_may_have_zero_masses_of_their_own(batch):
    costs, a, b = batch
    a[0, 3], b[2, [0, 7]] = 0, 0
    b = b * (a.sum(axis=1) / b.sum(axis=1))[:, None]
    plan = SOLVE(costs, a, b, reg=0.01).plan()
    assert (plan[0, 3] == 0).all()
    assert (plan[2][:, [0, 7]] == 0).all()
    np.testing.assert_allclose(plan.sum(axis=2), a, rtol=0, atol=1e-7)


def test_callback_of_each_problem(batch):
    seen = []
    result = SOLVE(*batch, reg=0.01, callback=seen.append)
    assert [dict(record) for record in seen] == list(itertools.chain(*result.history))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"a": np.ones((2, 8))}, r"`a` must have shape \(3, 8\) to match `cost`, got \(2, 8\)"),
        ({"b": np.ones(8)}, r"`b` must have shape \(11,\) to match `cost`, got \(8,\)"),
        ({"a": np.ones((3, 1, 8))}, "`a` must be a vector or a matrix, got shape"),
        ({"x0": np.zeros(11)}, r"`x0` must have shape \(3, 11\)"),
    ],
)
def test_wrong_shapes(batch, arguments, message):
    with pytest.raises(ValueError, match=message):
        SOLVE(batch[0], reg=0.01, **arguments)


def test_bad_entry_is_named_by_problem_row_and_column(batch):
    costs, a, b = batch
    costs[2, 1, 5] = np.nan
    with pytest.raises(ValueError, match=r"`cost` must be finite, got nan at \[2, 1, 5\]"):
        SOLVE(costs, reg=0.01)
    with pytest.raises(ValueError, match="equal totals, got 1 and 3"):
        SOLVE(costs[:2], a[:2], b[:2] * np.array([[1.0], [3.0]]), reg=0.01)
    with pytest.raises(ValueError, match="`a` must not be zero everywhere"):
        SOLVE(costs[:2], a[:2] * np.array([[1.0], [0.0]]), b[:2], reg=0.01)


def test_empty_batch_is_refused():
    with pytest.raises(ValueError, match=r"`cost` must not be empty, got shape \(0, 3, 3\)"):
        SOLVE(np.zeros((0, 3, 3)), reg=0.01)


def test_batch_of_one(batch):
    result = SOLVE(*(x[:1] for x in batch), reg=0.01)
    assert isinstance(result, numopt.TransportBatch)
    assert result.plan().shape == (1, 8, 11)


def test_libraries_agree(lib, batch):
    if not lib.indexing:
        pytest.skip("array_api_strict finds no indices on this device; see test_libraries_agree")
    expected = SOLVE(*batch, reg=0.05, tol=1e-11)
    for dtype in lib.floats:
        placed = [lib.asarray(x, dtype) for x in batch]
        tol = 1e-11 if dtype == "float64" else None
        result = SOLVE(*placed, reg=0.05, tol=tol)
        assert result.success
        arrays = [result.x, result.fun, result.marginal_error, result.plan(), result.f]
        assert all(lib.holds(x, dtype) for x in arrays)
        atol = 1e-11 if dtype == "float64" else 2e-5
        np.testing.assert_allclose(to_numpy(result.plan()), expected.plan(), rtol=0, atol=atol)
