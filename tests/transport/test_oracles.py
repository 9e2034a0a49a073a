"""Transport plans against what is true of the optimum, rebuilt without the library."""

import mpmath
import numpy as np
import pytest
import transport_oracles as oracles
import transport_problems as problems

import numopt

TOL = 1e-10


@pytest.mark.parametrize("inverse_reg", [5, 50, 1200, 10_000])
@pytest.mark.parametrize("family", problems.FAMILIES)
def test_solution_is_optimal(family, inverse_reg):
    cost, a, b = problems.FAMILIES[family](144)
    reg = 1 / inverse_reg
    result = numopt.entropic_transport(cost, a, b, reg=reg, tol=TOL)
    oracles.assert_optimal(result, cost, a, b, reg, TOL)
    oracles.assert_gibbs(result.plan(), cost, reg)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("inverse_reg", [200, 1200, 10_000])
@pytest.mark.parametrize("family", ["assign", "cloud", "cloud-3d", "rectangle"])
def test_solution_is_optimal_in_the_size_of_the_paper(family, inverse_reg, seed):
    cost, a, b = problems.FAMILIES[family](500, seed)
    reg = 1 / inverse_reg
    result = numopt.entropic_transport(cost, a, b, reg=reg, tol=TOL)
    oracles.assert_optimal(result, cost, a, b, reg, TOL)


@pytest.mark.parametrize("method", ["sns", "sinkhorn", "sns-paper"])
def test_methods_solve_an_easy_problem(method):
    cost, a, b = problems.assign(40)
    share = 0.5 if method == "sns-paper" else None
    result = numopt.entropic_transport(cost, a, b, reg=0.02, method=method, density=share, tol=1e-9)
    oracles.assert_optimal(result, cost, a, b, 0.02, 1e-9)


@pytest.mark.parametrize("reg", [1e-3, 0.03, 1.0, 30.0])
@pytest.mark.parametrize("maxiter", [0, 1, 3, 10])
def test_gap_bounds_the_distance_from_the_optimum_anywhere(maxiter, reg):
    """Far from the solution too, where no first-order estimate would do."""
    for seed in range(15):
        rng = np.random.default_rng([seed, maxiter])
        n, m = rng.integers(1, 12, size=2)
        cost = rng.random((n, m)) if seed % 2 else rng.integers(3, size=(n, m)).astype(float)
        a, b = 3 * problems.weights(rng, n), 3 * problems.weights(rng, m)
        result = numopt.entropic_transport(cost, a, b, reg=reg, tol=1e-11, maxiter=maxiter)
        plan = oracles.dense_plan(cost, a, b, result.f, result.g, reg)
        value = oracles.primal(oracles.feasible(plan, a, b), cost, a, b, reg)
        gap = value - oracles.dual(cost, a, b, result.f, result.g, reg)
        assert gap >= -1e-12 * (1 + reg)
        assert gap <= oracles.gap_bound(result, a, reg) + 1e-12 * (1 + reg)
        best = numopt.entropic_transport(cost, a, b, reg=reg, tol=1e-11).dual_fun
        assert result.dual_fun <= best + 1e-12 * (1 + reg)
        assert best <= value + 1e-12 * (1 + reg)


@pytest.mark.parametrize("masses", ["a", "b", "both"])
def test_total_mass_need_not_be_one(masses, rng):
    cost = rng.random((9, 13))
    a = problems.weights(rng, 9) if masses != "b" else problems.uniform(9)
    b = problems.weights(rng, 13) if masses != "a" else problems.uniform(13)
    result = numopt.entropic_transport(cost, 7.5 * a, 7.5 * b, reg=0.01, tol=TOL)
    oracles.assert_optimal(result, cost, 7.5 * a, 7.5 * b, 0.01, TOL)


@pytest.mark.parametrize("offset", [-1e6, -3.0, 1e6])
def test_large_common_offset_of_the_cost(offset, rng):
    cost = np.round(rng.random((12, 9)), 6) + offset
    a, b = problems.weights(rng, 12), problems.weights(rng, 9)
    result = numopt.entropic_transport(cost, a, b, reg=0.01, tol=1e-9)
    # Potentials of this size leave only some digits for f + g - cost.
    floor = 4 * np.finfo(float).eps * abs(offset) / 0.01
    errors = oracles.marginal_errors(oracles.dense_plan(cost, a, b, result.f, result.g, 0.01), a, b)
    assert result.success
    assert sum(errors) <= 2e-9 + floor
    oracles.assert_gibbs(result.plan(), cost, 0.01)
    assert sum(oracles.marginal_errors(result.plan(), a, b)) <= 2e-9


@pytest.mark.parametrize("shape", [(1, 1), (1, 6), (6, 1)])
def test_one_row_or_one_column_leaves_no_choice(shape, rng):
    n, m = shape
    cost = rng.random(shape)
    a = problems.uniform(n) if m > 1 else problems.weights(rng, n)
    b = problems.uniform(m) if n > 1 else problems.weights(rng, m)
    result = numopt.entropic_transport(cost, a, b, reg=0.01, tol=1e-13)
    np.testing.assert_allclose(result.plan(), np.outer(a, b), rtol=0, atol=1e-13)
    oracles.assert_optimal(result, cost, a, b, 0.01, 1e-13)


@pytest.mark.parametrize("reg", [1.0, 0.1, 0.02])
def test_two_by_two_is_a_quadratic_equation(reg, rng):
    for _ in range(10):
        cost = rng.random((2, 2))
        a0, b0 = rng.uniform(0.1, 0.9, size=2)
        a, b = np.array([a0, 1 - a0]), np.array([b0, 1 - b0])
        # p (1 - a0 - b0 + p) = k (a0 - p) (b0 - p) for p = P[0, 0] with the cross-ratio k.
        with mpmath.workdps(60):
            k = mpmath.exp(-(cost[0, 0] + cost[1, 1] - cost[0, 1] - cost[1, 0]) / reg)
            half = (1 - a0 - b0 + k * (a0 + b0)) / 2
            root = mpmath.sqrt(half**2 + (1 - k) * k * a0 * b0)
            roots = [(sign * root - half) / (1 - k) for sign in (1, -1)]
            valid = [p for p in roots if max(0, a0 + b0 - 1) <= p <= min(a0, b0)]
        assert len(valid) == 1
        plan = numopt.entropic_transport(cost, a, b, reg=reg, tol=1e-12).plan()
        assert abs(plan[0, 0] - float(valid[0])) <= 1e-11


@pytest.mark.parametrize("reg", [1.0, 1e-3])
def test_separable_cost_gives_the_product(reg, rng):
    cost = rng.random(8)[:, None] + rng.random(11)[None, :]
    a, b = problems.weights(rng, 8), problems.weights(rng, 11)
    result = numopt.entropic_transport(cost, a, b, reg=reg, tol=1e-11)
    np.testing.assert_allclose(result.plan(), np.outer(a, b), rtol=0, atol=1e-11)


@pytest.mark.parametrize("value", [0.0, 2.5])
def test_constant_cost_gives_the_product(value, rng):
    a, b = problems.weights(rng, 8), problems.weights(rng, 11)
    result = numopt.entropic_transport(np.full((8, 11), value), a, b, reg=1e-2, tol=1e-12)
    np.testing.assert_allclose(result.plan(), np.outer(a, b), rtol=0, atol=1e-12)
    assert result.fun == pytest.approx(value, abs=1e-12)


def test_symmetric_problem_has_equal_potentials(rng):
    X = rng.random((20, 2))
    cost, a = problems.squared_distances(X, X), rng.uniform(0.5, 1.5, size=20)
    result = numopt.entropic_transport(cost, a, a, reg=0.05, tol=1e-12)
    shift = result.f - result.g
    np.testing.assert_allclose(shift, shift.mean(), rtol=0, atol=1e-10)


def test_duplicated_points_share_their_mass(rng):
    X, Y = rng.random((6, 2)), rng.random((5, 2))
    cost = problems.squared_distances(X, Y)[[0, 0, 1, 2, 3, 4, 5, 5], :]
    plan = numopt.entropic_transport(cost, reg=0.01, tol=1e-12).plan()
    np.testing.assert_allclose(plan[0], plan[1], rtol=0, atol=1e-12)
    np.testing.assert_allclose(plan[6], plan[7], rtol=0, atol=1e-12)


@pytest.mark.parametrize("seed", range(20))
def test_sixty_digits(seed):
    rng = np.random.default_rng(seed)
    n, m = rng.integers(2, 7, size=2)
    cost, reg = rng.random((n, m)), float(rng.uniform(0.05, 0.5))
    a, b = problems.weights(rng, n), problems.weights(rng, m)
    expected = oracles.multiprecision_plan(cost, a, b, reg)
    actual = numopt.entropic_transport(cost, a, b, reg=reg, tol=1e-13).plan()
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("inverse_reg", [100, 1000, 10_000])
def test_small_regularization_approaches_the_linear_program(inverse_reg, seed):
    cost, a, b = problems.rectangle(40, seed)
    reg = 1 / inverse_reg
    result = numopt.entropic_transport(cost, a, b, reg=reg, tol=1e-11)
    entropy = min(-np.sum(a * np.log(a)), -np.sum(b * np.log(b)))
    excess = result.cost - oracles.unregularized(cost, a, b)
    assert -1e-9 <= excess <= reg * entropy + 1e-9


@pytest.mark.parametrize("seed", range(5))
def test_small_regularization_finds_the_assignment(seed):
    from scipy.optimize import linear_sum_assignment

    cost, a, b = problems.assign(60, seed)
    rows, columns = linear_sum_assignment(cost)
    best = cost[rows, columns].mean()
    result = numopt.entropic_transport(cost, a, b, reg=1e-4, tol=1e-11)
    assert -1e-9 <= result.cost - best <= 1e-4 * np.log(60) + 1e-9


@pytest.mark.parametrize("multiple", [1.5, 2, 3, 5])
@pytest.mark.parametrize("n", [5, 6])
def test_theorem_on_sparsity(n, multiple):
    """Tang et al. 2024: a deterministic bound, so not one of the trials may fail."""
    trials = 0
    for seed in range(50):
        cost = np.random.default_rng([n, seed]).random((n, n))
        columns, gap = oracles.best_assignment(cost)
        gap = gap / n
        inverse_reg = multiple * (1 + 2 * np.log(n)) / gap
        best = np.zeros((n, n))
        best[np.arange(n), columns] = 1 / n
        tol = max(1e-10, 40 * np.finfo(float).eps * inverse_reg)
        result = numopt.entropic_transport(cost, reg=1 / inverse_reg, tol=tol)
        assert result.success
        bound = 6 * n**2 * np.exp(-inverse_reg * gap)
        assert np.abs(result.plan() - best).sum() <= bound
        trials += 1
    assert trials == 50
