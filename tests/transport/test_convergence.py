"""How the Newton method converges, step by step, on easy and on hard problems."""

import itertools
import warnings

import numpy as np
import pytest
import transport_oracles as oracles
import transport_problems as problems

import numopt
from numopt.transport import _continuation, _semidual
from numopt.transport._continuation import sns_step
from numopt.transport._problem import NewtonOptions, Problem
from numopt.transport._semidual import (
    Counts,
    evaluate,
    rounding,
    sweep,
)


def errors_at_the_target(result):
    return [r["error"] for r in result.history if r["reg"] == result.stats["reg_path"][-1]]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("inverse_reg", [300, 1200])
@pytest.mark.parametrize("family", [problems.assign, problems.cloud])
def test_newton_errors_fall_faster_and_faster(family, inverse_reg, seed):
    """Below 1e-3 each step leaves a twentieth of the error, or less: the Hessian is right."""
    cost, a, b = family(300, seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # 1e-12 is at the precision floor
        result = numopt.entropic_transport(cost, a, b, reg=1 / inverse_reg, tol=1e-12)
    errors = errors_at_the_target(result)
    pairs = [(e, after) for e, after in itertools.pairwise(errors) if 1e-11 < e < 1e-3]
    assert len(pairs) >= 2
    for before, after in pairs:
        assert after <= max(0.05 * before, 1e-12)
    assert errors[-1] <= 1e-12


def start(cost, a, b, reg, options=None):
    problem = Problem(cost, a, np.log(a), b, np.log(b), reg, 1e-9, options or NewtonOptions())
    return problem, evaluate(problem, problem.log_b, Counts())._replace(sweeps_due=2)


@pytest.mark.parametrize("reg", [0.1, 0.01, 1e-3])
@pytest.mark.parametrize("family", ["assign", "cloud-3d", "strokes-1", "densities-2"])
def test_objective_never_falls(family, reg):
    cost, a, b = problems.FAMILIES[family](100)
    problem, state = start(cost, a, b, reg)
    first = state.objective
    for _ in range(40):
        new = sns_step(problem, state)
        assert new.objective >= state.objective - rounding(state)
        state = new
    assert state.objective > first
    # D is the dual objective up to a constant and the factor reg.
    f, g = reg * (state.u - np.log(a)), reg * (state.v - np.log(b))
    entropies = reg * (np.sum(a * np.log(a)) + np.sum(b * np.log(b)))
    dual = float(oracles.dual(cost, a, b, f, g, reg))
    assert reg * state.objective - entropies == pytest.approx(dual, abs=1e-10)


def test_steps_do_not_modify_states():
    cost, a, b = problems.cloud(60)
    problem, state = start(cost, a, b, 0.01)
    for _ in range(8):
        copies = state.v.copy(), state.u.copy(), state.c.copy()
        new = sns_step(problem, state)
        for x, copy in zip((state.v, state.u, state.c), copies, strict=True):
            np.testing.assert_array_equal(x, copy)
        state = new


SYSTEMS = {
    "sparse": {"density_limit": 1.0, "nnz_limit": 1e9},
    "dense": {"density_limit": 1e-9, "nnz_limit": 1e9},
    "implicit": {"density_limit": 1e-9, "nnz_limit": 1.0},
}


@pytest.mark.parametrize("stored", [True, False])
@pytest.mark.parametrize("system", SYSTEMS)
def test_newton_direction_solves_its_system(system, stored, monkeypatch):
    """However the Hessian is kept, the residual is what conjugate gradients were asked for."""
    rng = np.random.default_rng(0)
    X, Y = rng.random((60, 2)), rng.random((50, 2))
    dense = problems.squared_distances(X, Y)
    a, b, reg = problems.weights(rng, 60), problems.weights(rng, 50), 0.02
    options = NewtonOptions(mass_floor=1e-15, mass_cap=1e-14, cg_rtol=1e-12, **SYSTEMS[system])
    problem, state = start(dense if stored else (X, Y, 0), a, b, reg, options)
    for _ in range(6):
        state = sns_step(problem, state)
    assert 1e-9 < state.error < 1e-2
    others = {"sparse": [], "dense": [], "implicit": []}
    for name, function in (
        ("sparse", "schur_cg"),
        ("dense", "dense_schur_cg"),
        ("implicit", "implicit_cg"),
    ):
        real = getattr(_semidual, function)
        monkeypatch.setattr(
            _semidual,
            function,
            lambda *args, real=real, name=name: others[name].append(1) or real(*args),
        )
    x, iterations, _ = _semidual._direction(problem, state)
    assert [name for name, calls in others.items() if calls] == [system]
    plan = np.exp(state.u[:, None] + state.v - dense / reg)
    shift = options.damping * state.error
    hessian = (1 + shift) * np.diag(state.c) - plan.T @ (plan / a[:, None])
    residual = np.abs(hessian @ x - (b - state.c)).sum()
    assert residual <= max(state.error, 0.3 * problem.tol / state.error) * state.error * 1.001
    assert iterations > 0


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize("stored", [True, False])
def test_sweep_is_exact_where_a_column_underflows(stored):
    """Some columns are farther from every row than any exponential can tell."""
    rng = np.random.default_rng(0)
    X = rng.random((50, 1))
    Y = np.concatenate([rng.random((128, 1)), 30 + rng.random((70, 1))])
    dense = np.abs(X - Y.T)
    a, b, reg = problems.uniform(50), problems.uniform(198), 0.01
    problem, state = start(dense if stored else (X, Y, 2), a, b, reg)
    new = sweep(problem, state)
    exponents = (state.u[:, None] - dense / reg).astype(np.longdouble)
    peak = exponents.max(axis=0)
    expected = np.log(b) - peak - np.log(np.exp(exponents - peak).sum(axis=0))
    np.testing.assert_allclose(new.v, expected.astype(float), rtol=1e-12, atol=1e-9)


def test_objective_has_the_gradient_and_hessian_it_claims():
    cost, a, b = problems.rectangle(40)
    problem, state = start(cost, a, b, 0.05)
    direction = np.random.default_rng(0).normal(size=b.size)
    plan = np.exp(state.u[:, None] + state.v[None, :] - cost / 0.05)
    np.testing.assert_allclose(plan.sum(axis=1), a, rtol=1e-13)
    np.testing.assert_allclose(plan.sum(axis=0), state.c, rtol=1e-12)
    hessian = np.diag(state.c) - plan.T @ (plan / a[:, None])
    values, h = {}, 1e-3
    for k in (-2, -1, 1, 2):
        values[k] = evaluate(problem, state.v + k * h * direction, Counts()).objective
    slope = (8 * (values[1] - values[-1]) - (values[2] - values[-2])) / (12 * h)
    assert slope == pytest.approx((b - state.c) @ direction, rel=1e-7)
    curvature = (values[1] + values[-1] - 2 * state.objective) / h**2
    assert curvature == pytest.approx(-direction @ hessian @ direction, rel=1e-4)


@pytest.mark.parametrize("power", [1, 2])
@pytest.mark.parametrize("inverse_reg", [1200, 10_000])
def test_images_with_tied_costs(inverse_reg, power):
    """Pixel costs take few values: optima are tied and the plan nearly disconnected."""
    cost, a, b = problems.strokes(28, power)
    result = numopt.entropic_transport(cost, a, b, reg=1 / inverse_reg, tol=1e-10)
    oracles.assert_optimal(result, cost, a, b, 1 / inverse_reg, 1e-10)
    assert result.nit < 400


@pytest.mark.parametrize("power", [1, 2])
def test_smallest_regularization_is_answered_honestly(power):
    cost, a, b = problems.strokes(28, power)
    result = numopt.entropic_transport(cost, a, b, reg=1 / 50_000, tol=1e-10)
    plan = oracles.dense_plan(cost, a, b, result.f, result.g, 1 / 50_000)
    measured = sum(oracles.marginal_errors(plan, a, b))
    assert result.marginal_error == pytest.approx(measured, rel=1e-3, abs=1e-12)
    assert result.success == (result.marginal_error <= 1e-10)
    assert result.status == 0 if result.success else result.status in (1, 2, 3)
    assert measured <= 1e-4
    assert result.n_passes <= 2500


@pytest.mark.parametrize("family", ["assign", "cloud", "densities-1"])
@pytest.mark.parametrize("n", [2, 3, 5, 10, 30])
def test_small_problems_converge_at_any_regularization(family, n):
    """A small plan has no entry to spare: what is cut from the Hessian must not matter."""
    solved = 0
    for seed in range(5):
        cost, a, b = (
            problems.densities(n, 1)
            if family == "densities-1"
            else problems.FAMILIES[family](n, seed)
        )
        for inverse_reg in (10, 100, 1000, 10_000):
            result = numopt.entropic_transport(cost, a, b, reg=1 / inverse_reg, tol=1e-9)
            assert result.success, (seed, inverse_reg, result.message)
            assert result.nit <= 150, (seed, inverse_reg, result.nit)
            solved += 1
    assert solved == 20


@pytest.mark.parametrize("excess", [0.1, 0.01, 1e-3, 1e-6])
def test_mass_crosses_between_far_clusters(excess):
    """One cluster has a little too much: it must cross at a cost of 1e4 times reg."""
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.random((20, 1)), 100 + rng.random((20, 1))])
    cost, a = np.abs(X - X.T), problems.uniform(40)
    b = np.concatenate([np.full(20, (0.5 + excess) / 20), np.full(20, (0.5 - excess) / 20)])
    result = numopt.entropic_transport(cost, a, b, reg=0.01, tol=1e-8)
    oracles.assert_optimal(result, cost, a, b, 0.01, 1e-8)
    assert result.plan()[20:, :20].sum() == pytest.approx(excess, abs=1e-8)


def passes():
    """Return the passes over the cost that a few problems take together."""
    total = 0
    for family in (problems.assign, problems.cloud, problems.cloud_3d):
        for seed in range(3):
            cost, a, b = family(144, seed)
            total += numopt.entropic_transport(cost, a, b, reg=1e-4).n_passes
    return total


def test_extrapolating_along_the_path_saves_passes(monkeypatch):
    extrapolated = passes()
    monkeypatch.setattr(_continuation, "_secant", lambda _older, newer, _target: newer[1])
    assert extrapolated < passes()


# 1.3 times the middle of the range of passes that the method was designed for.
CEILINGS = {
    ("assign", 200): 22,
    ("assign", 1200): 32,
    ("assign", 10_000): 51,
    ("cloud", 200): 22,
    ("cloud", 1200): 32,
    ("cloud", 10_000): 51,
    ("cloud-3d", 1200): 32,
    ("cloud-3d", 10_000): 51,
    ("rectangle", 1200): 32,
    ("rectangle", 10_000): 51,
    ("strokes-2", 1200): 36,
    ("strokes-2", 10_000): 144,
    ("strokes-1", 1200): 120,
    ("strokes-1", 10_000): 262,
}


@pytest.mark.slow
@pytest.mark.parametrize(("family", "inverse_reg"), CEILINGS)
def test_number_of_passes(family, inverse_reg):
    """The median over six seeds, counted: it does not depend on the machine."""
    counts = []
    for seed in range(6 if "strokes" not in family else 1):
        instance = (
            problems.strokes(28, int(family[-1]))
            if "strokes" in family
            else (problems.FAMILIES[family](1000, seed))
        )
        result = numopt.entropic_transport(*instance, reg=1 / inverse_reg, tol=1e-10)
        assert result.success
        counts.append(result.n_passes)
    assert np.median(counts) <= CEILINGS[family, inverse_reg], counts


def test_two_far_points_with_slightly_different_masses():
    cost = np.array([[0.0, 1.0], [1.0, 0.0]])
    a, b = np.array([0.504, 0.496]), np.array([0.5, 0.5])
    result = numopt.entropic_transport(cost, a, b, reg=1e-4, tol=1e-9)
    oracles.assert_optimal(result, cost, a, b, 1e-4, 1e-9)
    assert result.plan()[0, 1] == pytest.approx(0.004, abs=1e-9)
