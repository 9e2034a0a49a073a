"""Derivatives of entropic transport against finite differences."""

import numpy as np
import pytest
import transport_problems as problems
from libraries import to_numpy

import numopt

REG = 0.05
TOL = 1e-12


def solve(cost, a, b):
    return numopt.entropic_transport(cost, a, b, reg=REG, tol=TOL)


def derivative(function, h):
    """Return the derivative at zero: central differences, fourth order.

    Of values, that of the dual is taken: its error is quadratic in the marginal error.
    """
    terms = (8 * (function(h) - function(-h)) - (function(2 * h) - function(-2 * h))) / 12
    return terms / h


@pytest.fixture(params=["tall", "wide", "partial"])
def problem(request, rng):
    n, m = (9, 7) if request.param == "tall" else (6, 11)
    cost = rng.random((n, m))
    a, b = rng.uniform(0.5, 1.5, size=n), rng.uniform(0.5, 1.5, size=m)
    if request.param == "partial":
        a[1], b[[0, 4]] = 0, 0
    return cost, a / a.sum(), b / b.sum()


def balanced(rng, mass):
    """Return a change of a mass that keeps its total and vanishes where it does."""
    change = np.where(mass > 0, rng.normal(size=mass.size), 0)
    return np.where(mass > 0, change - change.sum() / np.count_nonzero(mass), 0)


def test_value_by_cost_is_the_plan(problem, rng):
    cost, a, b = problem
    direction = rng.normal(size=cost.shape)
    expected = derivative(lambda t: solve(cost + t * direction, a, b).dual_fun, 2e-4)
    gradient = solve(cost, a, b).grad_cost()
    assert np.sum(gradient * direction) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("side", [0, 1])
def test_value_by_masses_is_a_potential(problem, side, rng):
    cost, a, b = problem
    masses = [a, b]
    direction = balanced(rng, masses[side])

    def value(t):
        moved = list(masses)
        moved[side] = masses[side] + t * direction
        return solve(cost, *moved).dual_fun

    gradient = solve(cost, a, b).grad_masses()[side]
    assert gradient @ direction == pytest.approx(derivative(value, 1e-4), abs=1e-8)


@pytest.mark.parametrize("metric", ["sqeuclidean", "euclidean", "cityblock"])
@pytest.mark.parametrize("scale", [1.0, 2.5])
def test_value_by_points(metric, scale, rng):
    X, Y = rng.random((8, 2)), rng.random((11, 2))
    a, b = problems.weights(rng, 8), problems.weights(rng, 11)
    dX, dY = rng.normal(size=X.shape), rng.normal(size=Y.shape)

    def value(t):
        return solve(numopt.PointCloudCost(X + t * dX, Y + t * dY, metric, scale), a, b).dual_fun

    result = solve(numopt.PointCloudCost(X, Y, metric, scale), a, b)
    rows, columns = result.grad_points()
    assert rows.shape == X.shape
    assert columns.shape == Y.shape
    expected = derivative(value, 1e-5)
    assert np.sum(rows * dX) + np.sum(columns * dY) == pytest.approx(expected, abs=1e-7)


def test_value_by_points_with_squared_distances_is_a_barycenter(rng):
    X, Y = rng.random((8, 3)), rng.random((11, 3))
    a, b = problems.weights(rng, 8), problems.weights(rng, 11)
    result = solve(numopt.PointCloudCost(X, Y, scale=0.5), a, b)
    expected = a[:, None] * X - result.plan() @ Y
    np.testing.assert_allclose(result.grad_points()[0], expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("metric", ["euclidean", "cityblock"])
def test_coincident_points_contribute_nothing(metric):
    X = np.array([[0.0, 0.0], [1.0, 0.0]])
    result = solve(numopt.PointCloudCost(X, X.copy(), metric), np.ones(2), np.ones(2))
    crossing = result.plan()[0, 1]
    expected = crossing * np.array([[-1.0, 0.0], [1.0, 0.0]])
    for gradient in result.grad_points():
        np.testing.assert_allclose(gradient, expected, rtol=0, atol=1e-12)


def test_plan_by_cost(problem, rng):
    cost, a, b = problem
    direction = rng.normal(size=cost.shape)
    expected = derivative(lambda t: solve(cost + t * direction, a, b).plan(), 1e-3)
    actual = solve(cost, a, b).jvp_plan(direction)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
    # Marginals do not move.
    np.testing.assert_allclose(actual.sum(axis=0), 0, atol=1e-10)
    np.testing.assert_allclose(actual.sum(axis=1), 0, atol=1e-10)


@pytest.mark.parametrize("which", ["a", "b", "both"])
def test_plan_by_masses(problem, which, rng):
    cost, a, b = problem
    da = balanced(rng, a) if which != "b" else None
    db = balanced(rng, b) if which != "a" else None

    def plan(t):
        return solve(cost, a if da is None else a + t * da, b if db is None else b + t * db).plan()

    expected = derivative(plan, 1e-4)
    actual = solve(cost, a, b).jvp_plan(da=da, db=db)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
    np.testing.assert_allclose(actual.sum(axis=1), 0 * a if da is None else da, atol=1e-9)
    np.testing.assert_allclose(actual.sum(axis=0), 0 * b if db is None else db, atol=1e-9)


def test_masses_may_change_in_total(problem):
    cost, a, b = problem
    result = solve(cost, a, b)
    expected = derivative(lambda t: solve(cost, a * (1 + t), b * (1 + t)).plan(), 1e-3)
    actual = result.jvp_plan(da=a, db=b)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_nothing_changes_without_a_change(problem):
    result = solve(*problem)
    np.testing.assert_array_equal(result.jvp_plan(), 0 * result.plan())


def test_reverse_mode_is_the_adjoint(problem, rng):
    cost, a, b = problem
    result = solve(cost, a, b)
    weights = rng.normal(size=cost.shape)
    by_cost, by_a, by_b = result.vjp_plan(weights)
    dcost, da, db = rng.normal(size=cost.shape), balanced(rng, a), balanced(rng, b)
    forward = np.sum(weights * result.jvp_plan(dcost, da, db))
    backward = np.sum(by_cost * dcost) + by_a @ da + by_b @ db
    assert backward == pytest.approx(forward, rel=1e-7, abs=1e-9)
    assert (by_a[a == 0] == 0).all()
    assert by_a.sum() == pytest.approx(0, abs=1e-9)
    assert by_b.sum() == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("reg", [1.0, 0.05, 0.01])
def test_derivatives_at_other_regularizations(reg, rng):
    cost, direction = rng.random((12, 12)), rng.normal(size=(12, 12))

    def plan(t):
        return numopt.entropic_transport(cost + t * direction, reg=reg, tol=1e-12).plan()

    expected = derivative(plan, 0.02 * reg)
    actual = numopt.entropic_transport(cost, reg=reg, tol=1e-12).jvp_plan(direction)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_derivatives_in_every_library(lib):
    if not lib.indexing:
        pytest.skip("array_api_strict finds no indices on this device; see test_libraries_agree")
    rng = np.random.default_rng(1)
    cost, direction = rng.random((10, 8)), rng.normal(size=(10, 8))
    X, Y = rng.random((10, 2)), rng.random((8, 2))
    expected = solve(cost, None, None)
    points = numopt.entropic_transport(numopt.PointCloudCost(X, Y), reg=REG, tol=TOL)
    for dtype in lib.floats:
        atol = 1e-9 if dtype == "float64" else 2e-4
        options = {"reg": REG, "tol": TOL} if dtype == "float64" else {"reg": REG}
        placed = lib.asarray(direction, dtype)
        result = numopt.entropic_transport(lib.asarray(cost, dtype), **options)
        pairs = [(result.jvp_plan(placed), expected.jvp_plan(direction))]
        pairs += zip(result.vjp_plan(placed), expected.vjp_plan(direction), strict=True)
        clouds = numopt.PointCloudCost(lib.asarray(X, dtype), lib.asarray(Y, dtype))
        gradients = numopt.entropic_transport(clouds, **options).grad_points()
        pairs += zip(gradients, points.grad_points(), strict=True)
        for actual, wanted in pairs:
            assert lib.holds(actual, dtype)
            np.testing.assert_allclose(to_numpy(actual), wanted, rtol=0, atol=atol)
