"""What a result of entropic transport offers: the plan in its many forms, zero masses."""

import numpy as np
import pytest
import transport_oracles as oracles
import transport_problems as problems
from libraries import to_numpy
from scipy.sparse import csr_array

import numopt

REG = 0.01


@pytest.fixture
def solved(rng):
    cost = rng.random((9, 14))
    a, b = problems.weights(rng, 9), problems.weights(rng, 14)
    return numopt.entropic_transport(cost, a, b, reg=REG, tol=1e-11), cost, a, b


@pytest.fixture
def partial(rng):
    """Return a solved problem in which rows 0, 3 and columns 1, 13 have no mass."""
    cost = rng.random((9, 14))
    a, b = problems.weights(rng, 9), problems.weights(rng, 14)
    a[[0, 3]], b[[1, 13]] = 0, 0
    a, b = a / a.sum(), b / b.sum()
    return numopt.entropic_transport(cost, a, b, reg=REG, tol=1e-11), cost, a, b


def test_plan_is_that_of_the_potentials(solved):
    result, cost, a, b = solved
    expected = oracles.dense_plan(cost, a, b, result.f, result.g, REG)
    np.testing.assert_allclose(result.plan(), expected.astype(float), rtol=0, atol=1e-13)
    np.testing.assert_array_equal(result.x, np.concatenate([result.f, result.g]))
    assert result.grad_cost().shape == cost.shape


def test_potentials_are_balanced(solved):
    result, _, a, b = solved
    assert result.f @ a == pytest.approx(result.g @ b, abs=1e-14)


@pytest.mark.parametrize("rtol", [1e-12, 1e-8, 1e-3])
def test_sparse_plan_keeps_what_matters(solved, rtol):
    result = solved[0]
    sparse, dropped = result.sparse_plan(rtol)
    plan = result.plan()
    kept = sparse.toarray()
    np.testing.assert_array_equal(kept[kept > 0], plan[kept > 0])
    missing = plan - kept
    assert sparse.nnz < plan.size
    assert (missing.sum(axis=1) <= rtol * plan.sum(axis=1)).all()
    assert (missing.sum(axis=0) <= rtol * plan.sum(axis=0)).all()
    assert dropped == pytest.approx(missing.sum(), abs=1e-15)


@pytest.mark.parametrize("shape", [(14,), (14, 1), (14, 5)])
def test_apply_is_a_product(solved, shape, rng):
    result = solved[0]
    V = rng.normal(size=shape)
    np.testing.assert_allclose(result.apply(V), result.plan() @ V, rtol=0, atol=1e-14)
    W = rng.normal(size=(9, *shape[1:]))
    transposed = result.apply(W, transpose=True)
    np.testing.assert_allclose(transposed, result.plan().T @ W, rtol=0, atol=1e-14)


def test_barycentric_map_averages_targets(solved, rng):
    result, _, a, _ = solved
    Y = rng.normal(size=(14, 3))
    expected = (result.plan() @ Y) / a[:, None]
    np.testing.assert_allclose(result.barycentric_map(Y), expected, rtol=0, atol=1e-7)


@pytest.mark.parametrize("tol", [1e-2, 1e-6, 1e-11])
def test_rounded_plan_is_feasible(tol, rng):
    cost = rng.random((9, 14))
    a, b = problems.weights(rng, 9), problems.weights(rng, 14)
    result = numopt.entropic_transport(cost, a, b, reg=REG, tol=tol)
    plan = result.rounded_plan()
    assert (plan >= 0).all()
    assert sum(oracles.marginal_errors(plan, a, b)) <= 1e-15
    # It lies next to the plan, and its objective within `gap` of the optimum.
    assert np.abs(plan - result.plan()).sum() <= 2 * result.marginal_error + 1e-15
    best = numopt.entropic_transport(cost, a, b, reg=REG, tol=1e-12).dual_fun
    excess = oracles.primal(plan, cost, a, b, REG) - best
    assert -1e-12 <= excess <= oracles.gap_bound(result, a, REG) + 1e-12


def test_gradients_of_the_masses_are_centered_potentials(solved):
    result = solved[0]
    for gradient, potential in zip(result.grad_masses(), (result.f, result.g), strict=True):
        np.testing.assert_allclose(gradient, potential - potential.mean(), atol=1e-15)


def test_rows_and_columns_without_mass(partial):
    result, cost, a, b = partial
    assert result.success
    plan = result.plan()
    assert (plan[a == 0] == 0).all()
    assert (plan[:, b == 0] == 0).all()
    assert sum(oracles.marginal_errors(plan, a, b)) <= 2e-11
    rows, columns = np.flatnonzero(a), np.flatnonzero(b)
    alone = numopt.entropic_transport(
        cost[np.ix_(rows, columns)], a[rows], b[columns], reg=REG, tol=1e-11
    )
    np.testing.assert_allclose(plan[np.ix_(rows, columns)], alone.plan(), rtol=0, atol=1e-11)


def test_potentials_without_mass_are_the_soft_transform(partial):
    result, cost, a, b = partial
    f, g = result.f, result.g
    exponents = (g[None, :] - cost) / REG
    with np.errstate(divide="ignore"):
        exponents = exponents + np.log(b)[None, :]
    peak = exponents.max(axis=1)
    expected = -REG * (peak + np.log(np.exp(exponents - peak[:, None]).sum(axis=1)))
    np.testing.assert_allclose(f, expected, rtol=0, atol=1e-8)
    np.testing.assert_allclose(f[a == 0], expected[a == 0], rtol=0, atol=1e-13)
    with np.errstate(divide="ignore"):
        exponents = (f[:, None] - cost) / REG + np.log(a)[:, None]
    peak = exponents.max(axis=0)
    expected = -REG * (peak + np.log(np.exp(exponents - peak).sum(axis=0)))
    np.testing.assert_allclose(g[b == 0], expected[b == 0], rtol=0, atol=1e-13)


def test_methods_respect_missing_mass(partial, rng):
    result, _, a, b = partial
    plan = result.plan()
    sparse, dropped = result.sparse_plan(1e-10)
    assert sparse.shape == plan.shape
    np.testing.assert_allclose(sparse.toarray(), plan, rtol=0, atol=1e-10)
    assert dropped <= 1e-9
    V, W = rng.normal(size=(14, 2)), rng.normal(size=9)
    np.testing.assert_allclose(result.apply(V), plan @ V, rtol=0, atol=1e-14)
    np.testing.assert_allclose(result.apply(W, transpose=True), plan.T @ W, rtol=0, atol=1e-14)
    mapped = result.barycentric_map(V)
    assert (mapped[a == 0] == 0).all()
    rounded = result.rounded_plan()
    assert sum(oracles.marginal_errors(rounded, a, b)) <= 1e-15
    assert (rounded[a == 0] == 0).all()


@pytest.mark.parametrize("side", [0, 1])
def test_single_atom_against_many(side, rng):
    cost = rng.random((6, 7))
    a, b = np.zeros(6), problems.weights(rng, 7)
    a[4] = 1.0
    if side:
        cost, a, b = cost.T.copy(), b, a
    result = numopt.entropic_transport(cost, a, b, reg=1e-3)
    np.testing.assert_allclose(result.plan(), np.outer(a, b), rtol=0, atol=1e-9)
    assert np.isfinite(result.x).all()


def test_image_with_mostly_empty_pixels(rng):
    """Support of one in ten: the empty rest must change nothing."""
    cost = rng.random((60, 60))
    a, b = np.zeros(60), np.zeros(60)
    a[::10], b[5::10] = problems.weights(rng, 6), problems.weights(rng, 6)
    result = numopt.entropic_transport(cost, a, b, reg=1e-4, tol=1e-10)
    assert result.success
    plan = oracles.dense_plan(cost, a, b, result.f, result.g, 1e-4)
    assert sum(oracles.marginal_errors(plan, a, b)) <= 2e-10


def solve_in(lib, dtype, **options):
    rng = np.random.default_rng(3)
    cost, a, b = rng.random((30, 40)), problems.weights(rng, 30), problems.weights(rng, 40)
    a[[2, 7]] = 0
    a = a / a.sum()
    cost, a, b = (x.astype(dtype) for x in (cost, a, b))
    placed = [lib.asarray(x, dtype) for x in (cost, a, b)]
    return numopt.entropic_transport(*placed, reg=0.02, **options), cost, a, b


def test_libraries_agree(lib):
    if not lib.indexing:
        # array_api_strict 2.6 raises for every function that returns indices.
        with pytest.raises(ValueError, match=r"no_x64.*does not support dtype=.*int64"):
            solve_in(lib, "float32")
        return
    for dtype in lib.floats:
        tol = 1e-11 if dtype == "float64" else None
        result, cost, a, b = solve_in(lib, dtype, tol=tol)
        assert result.success
        arrays = [result.x, result.f, result.g, result.plan(), result.rounded_plan()]
        arrays += [*result.grad_masses(), result.apply(result.g), result.jvp_plan(result.plan())]
        assert all(lib.holds(x, dtype) for x in arrays)
        # The plan is the optimum of the problem as rounded to this dtype.
        b = b.astype(float) * (a.sum(dtype=float) / b.sum(dtype=float))
        expected = numopt.entropic_transport(
            cost.astype(float), a.astype(float), b, reg=0.02, tol=1e-12
        ).plan()
        accuracy = 1e-10 if dtype == "float64" else 2e-4
        np.testing.assert_allclose(to_numpy(result.plan()), expected, rtol=0, atol=accuracy / 30)
        assert abs(to_numpy(result.plan()) - expected).sum() <= accuracy


@pytest.mark.parametrize("limits", [(1.0, 1e9), (1e-9, 1e9), (1e-9, 1.0)], ids=str)
def test_libraries_agree_however_the_hessian_is_kept(lib, limits):
    if not lib.indexing:
        pytest.skip("see test_libraries_agree: transport does not run on this device")
    density_limit, nnz_limit = limits
    options = {"density_limit": density_limit, "nnz_limit": nnz_limit}
    result, cost, a, b = solve_in(lib, lib.widest, newton_options=options)
    assert result.success
    assert result.stats["nit_newton"] > 0
    plan = oracles.dense_plan(cost, a, b, to_numpy(result.f), to_numpy(result.g), 0.02)
    tol = 1e-8 if lib.widest == "float64" else 1e-4
    assert sum(oracles.marginal_errors(plan, a, b)) <= 2 * tol


def test_sparse_plan_of_every_library(lib):
    if not lib.indexing:
        pytest.skip("see test_libraries_agree: transport does not run on this device")
    result, *_ = solve_in(lib, lib.widest)
    sparse, dropped = result.sparse_plan()
    plan = to_numpy(result.plan())
    if lib.name.startswith("numpy"):
        dense = sparse.toarray()
    elif lib.name == "cupy":
        dense = sparse.get().toarray()
    else:
        assert all("int" in str(x.dtype) for x in sparse[1:])
        dense = csr_array(tuple(to_numpy(x) for x in sparse), shape=plan.shape).toarray()
    np.testing.assert_allclose(dense, plan, rtol=0, atol=1e-6 * plan.max())
    assert 0 <= dropped <= 1e-5
