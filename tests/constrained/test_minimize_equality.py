"""`minimize_equality` on every array library, and what its options do."""

import math
import pickle
from copy import copy

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from libraries import to_numpy
from programs import INFEASIBLE, PROGRAMS, S316, Portable, kkt_errors
from scipy.optimize import BFGS, SR1, LinearConstraint, NonlinearConstraint

import numopt

EXACT = 2.0 ** -(1 / 4)  # hs40 has x[1] = 2^(-1/2) and x[3] = 2^(-1/4) up to signs


def test_every_library_and_precision(lib):
    for dtype in lib.floats:
        program = Portable(lib, dtype)
        result = program.solve()
        assert result.success
        assert lib.holds(result.x, dtype)
        assert lib.holds(result.dual_vector(), dtype)
        assert lib.holds(result.jac, dtype)
        assert all(lib.holds(part, dtype) for part in (*result.dual, *result.constr))
        assert abs(result.fun + 0.25) <= (1e-8 if dtype == "float64" else 1e-4)
        x = to_numpy(result.x).astype(float)
        tol = 1e-8 if dtype == "float64" else 1e-3
        assert max(kkt_errors(PROGRAMS["hs40"], x)[:2]) <= tol
        assert abs(abs(x[3]) - EXACT) <= tol
    assert lib.floats


def test_libraries_agree(lib):
    if lib.widest != "float64":
        pytest.skip("the device has no float64")
    expected = PROGRAMS["hs40"].solve()
    result = Portable(lib).solve()
    assert result.nit == expected.nit
    np.testing.assert_allclose(to_numpy(result.x), expected.x, rtol=0, atol=1e-9)


@pytest.mark.parametrize("solver", ["kaczmarz", "gaussian", "block-kaczmarz"])
def test_sketches_see_the_same_numbers_on_every_library(lib, solver):
    if not lib.indexing:
        pytest.skip("the device has no integers to draw rows with")
    result = Portable(lib).solve(sketch=solver, rng=3)
    assert result.success
    assert result.stats["n_inner"] > 0
    if lib.widest == "float64":
        expected = PROGRAMS["hs40"].solve(sketch=solver, rng=3)
        np.testing.assert_allclose(to_numpy(result.x), expected.x, rtol=0, atol=1e-7)


@pytest.mark.parametrize("hess", ["2-point", "3-point", "bfgs", "sr1", "l-bfgs", BFGS(), SR1()])
@pytest.mark.parametrize("name", ["hs7", "hs28", "hs40", "hs42", "hs78", "himmelbc"])
def test_approximate_hessians(name, hess):
    program = PROGRAMS[name]
    result = program.solve(lagrangian_hess=None, hess=hess)
    assert result.success
    assert max(kkt_errors(program, result.x)[:2]) <= 1e-7
    assert result.hess_mode in ("finite-difference", "bfgs", "sr1", "l-bfgs")


@pytest.mark.parametrize("jac", [None, "2-point", "3-point", "cs"])
def test_approximate_first_derivatives(jac):
    program = PROGRAMS["hs42"]
    rule = "3-point" if jac is None else jac
    constraint = NonlinearConstraint(lambda x: np.array(program.con(x)), 0, 0, jac=rule)
    result = numopt.minimize_equality(
        program.fun, program.x0, jac=jac, constraints=constraint, tol=1e-6
    )
    assert result.success
    assert result.hess_mode == "bfgs"
    assert max(kkt_errors(program, result.x)[:2]) <= 1e-5


def test_gradient_returned_with_the_value():
    program = PROGRAMS["hs78"]
    calls = []

    def both(x, factor):
        calls.append(x)
        return factor * program.fun(x), factor * program.grad(x)

    result = numopt.minimize_equality(
        both, program.x0, (2.0,), jac=True, constraints=program.constraint()
    )
    assert result.success
    assert result.fun == pytest.approx(2 * program.minimum, rel=1e-7)
    assert result.hess_mode == "finite-difference"


def test_constraints_of_every_kind_in_the_order_given():
    A = np.array([[1.0, 1.0, 1.0, 1.0]])
    given = [
        NonlinearConstraint(lambda x: x @ x, 4.0, 4.0, jac=lambda x: 2 * x),
        LinearConstraint(A, [1.0], [1.0]),
        {
            "type": "eq",
            "fun": lambda x, k: x[k] ** 3 - 0.125,
            "jac": lambda x, k: 3 * x[k] ** 2 * np.eye(4)[k],
            "args": (2,),
        },
    ]
    result = numopt.minimize_equality(
        lambda x: ((x - 1) ** 4).sum() + x[0],
        np.array([1.0, -1.0, 0.4, 1.0]),
        jac=lambda x: 4 * (x - 1) ** 3 + np.eye(4)[0],
        constraints=given,
    )
    assert result.success
    assert [part.shape for part in result.dual] == [(1,), (1,), (1,)]
    x, (a, b, c) = result.x, result.dual_vector()
    assert result.x[2] == pytest.approx(0.5, abs=1e-8)
    gradient = 4 * (x - 1) ** 3 + np.eye(4)[0]
    gradient = gradient + a * 2 * x + b + c * 3 * x[2] ** 2 * np.eye(4)[2]
    assert np.abs(gradient).max() <= 1e-7


def test_fixed_variables_as_bounds():
    from scipy.optimize import Bounds

    low = np.array([-np.inf, 2.0, -np.inf])
    result = numopt.minimize_equality(
        lambda x: ((x - np.array([1.0, 5, 3])) ** 2).sum(),
        np.zeros(3),
        constraints=Bounds(low, np.array([np.inf, 2.0, np.inf])),
    )
    assert result.success
    np.testing.assert_allclose(result.x, [1, 2, 3], atol=1e-7)
    np.testing.assert_allclose(result.dual_vector(), [6.0], atol=1e-6)


def test_linear_constraints_stay_exact():
    program = PROGRAMS["bt5"]
    seen = []
    result = program.solve(callback=lambda intermediate_result: seen.append(intermediate_result.x))
    assert result.success
    violation = [abs(np.array([8.0, 14, 7]) @ x - 56) for x in seen]
    held = next(k for k, v in enumerate(violation) if v <= 1e-10)
    assert held <= 2
    assert max(violation[held:]) <= 1e-10


def test_no_constraints_is_newton_with_armijo():
    def rosenbrock(x):
        return (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2

    def gradient(x):
        a = x[1] - x[0] ** 2
        return np.array([-2 * (1 - x[0]) - 400 * x[0] * a, 200 * a])

    result = numopt.minimize_equality(rosenbrock, np.array([-1.2, 1.0]), jac=gradient)
    assert result.success
    assert result.dual == []
    np.testing.assert_allclose(result.x, 1.0, atol=1e-7)
    again = numopt.minimize_equality(rosenbrock, result.x, jac=gradient)
    assert (again.nit, again.success) == (0, True)


def test_as_many_constraints_as_variables():
    for name in ("himmelbc", "rsnbrne"):
        result = PROGRAMS[name].solve()
        assert result.success
        np.testing.assert_allclose(PROGRAMS[name].con(result.x), 0, atol=1e-8)


def test_more_constraints_than_variables():
    constraint = {"type": "eq", "fun": lambda x: np.array([x[0] - 1, x[1] - 2, x[0] * x[1] - 2])}
    with pytest.raises(ValueError, match="3 equations for 2 variables"):
        numopt.minimize_equality(lambda x: x @ x, np.ones(2), constraints=constraint)
    result = numopt.minimize_equality(
        lambda x: x @ x, np.array([3.0, 3.0]), constraints=constraint, allow_overdetermined=True
    )
    assert result.success
    np.testing.assert_allclose(result.x, [1, 2], atol=1e-7)
    wrong = {"type": "eq", "fun": lambda x: np.array([x[0] - 1, x[1] - 2, x[0] * x[1] - 3])}
    result = numopt.minimize_equality(
        lambda x: x @ x, np.array([3.0, 3.0]), constraints=wrong, allow_overdetermined=True
    )
    assert not result.success


def test_infeasible_program():
    result = INFEASIBLE.solve()
    assert not result.success
    assert result.status is numopt.Status.INFEASIBLE
    c, G = np.array(INFEASIBLE.con(result.x)), INFEASIBLE.jac(result.x)
    assert np.linalg.norm(c) > 1
    assert np.abs(G.T @ c).max() <= 1e-5 * np.linalg.norm(c)
    assert "infeasible" in result.message


def test_start_where_the_constraints_are_stationary():
    result = S316.solve(rng=0)
    assert result.success
    assert result.fun == pytest.approx(S316.minimum, rel=1e-7)


def test_zero_iterations_certify_the_start():
    program = PROGRAMS["hs40"]
    result = program.solve(maxiter=0)
    assert (result.nit, result.status, result.success) == (0, 1, False)
    np.testing.assert_array_equal(result.x, program.x0)
    assert result.infeasibility == np.abs(program.con(program.x0)).max()
    solved = program.solve()
    again = program.solve(x0=(solved.x, solved.dual), maxiter=0)
    assert again.success
    assert "maxiter" in result.message


def test_iteration_limit_returns_the_best_point():
    result = PROGRAMS["hs56"].solve(maxiter=2)
    assert result.status == 1
    assert result.nit == 2
    assert min(record["error"] for record in result.history) <= 1


def test_callback_sees_every_iterate_and_may_stop():
    records = []

    def callback(intermediate_result):
        records.append(intermediate_result)
        if intermediate_result.nit == 3:
            raise StopIteration

    result = PROGRAMS["hs7"].solve(callback=callback)
    assert result.status == 99
    assert [record.nit for record in records] == [0, 1, 2, 3]
    np.testing.assert_array_equal(records[0].x, PROGRAMS["hs7"].x0)
    assert "callback" in result.message


def test_time_limit():
    program = PROGRAMS["hs56"]
    result = program.solve(time_limit=1e-9)
    assert (result.status, result.nit) == (1, 0)
    assert result.execution_time >= 0


def test_warm_start_takes_fewer_steps():
    program = PROGRAMS["hs78"]
    first = program.solve(tol=1e-12)
    cold = program.solve(x0=first.x + 1e-3)
    moved = copy(first)
    moved.x = first.x + 1e-3
    warm = program.solve(x0=moved)
    assert warm.success
    assert warm.nit <= cold.nit < first.nit
    near = program.solve(x0=(first.x + 1e-5, first.dual_vector()), maxiter=1, tol=1e-6)
    assert near.success


def test_input_is_not_modified_and_the_same_seed_gives_the_same_result():
    program = PROGRAMS["bt5"]
    x0 = program.x0.copy()
    x0.flags.writeable = False
    results = [program.solve(x0=x0, sketch="kaczmarz", rng=7) for _ in range(2)]
    np.testing.assert_array_equal(results[0].x, results[1].x)
    assert results[0].stats["n_inner"] == results[1].stats["n_inner"]
    other = program.solve(x0=x0, sketch="kaczmarz", rng=8)
    assert other.stats["n_inner"] != results[0].stats["n_inner"] or not np.array_equal(
        other.x, results[0].x
    )
    generator = np.random.default_rng(7)
    np.testing.assert_array_equal(program.solve(sketch="kaczmarz", rng=generator).x, results[0].x)


def test_result_travels_without_its_functions():
    result = PROGRAMS["hs78"].solve()
    again = pickle.loads(pickle.dumps(result))
    assert type(again) is numopt.EqualityResult
    np.testing.assert_array_equal(again.x, result.x)
    assert again.history == result.history
    with pytest.raises(ValueError, match="needs the functions of the program"):
        again.kkt_solve(result.x, result.dual_vector())
    again = PROGRAMS["hs78"].solve(x0=again)
    assert (again.nit, again.success) == (0, True)


def test_counters_count_calls():
    program = PROGRAMS["hs78"]
    calls = {"f": 0, "c": 0}

    def fun(x):
        calls["f"] += 1
        return program.fun(x)

    def con(x):
        calls["c"] += 1
        return np.array(program.con(x))

    result = numopt.minimize_equality(
        fun,
        program.x0,
        jac=program.grad,
        lagrangian_hess=program.hess,
        constraints=NonlinearConstraint(con, 0, 0, jac=program.jac),
    )
    assert (result.nfev, result.stats["ncev"]) == (calls["f"], calls["c"])
    assert result.nhev == result.nit
    assert result.n_factorizations >= result.nit


@settings(derandomize=True, deadline=None, database=None, max_examples=25)
@given(st.integers(0, 10_000), st.permutations(range(5)), st.floats(-3, 3))
def test_order_and_offset_of_variables_do_not_matter(seed, order, shift):
    rng = np.random.default_rng(seed)
    center, direction = rng.normal(size=5), rng.normal(size=5)
    index = np.array(order)

    def solve(move):
        back = np.argsort(move)

        def unmoved(x):
            return (x - shift)[back]

        return numopt.minimize_equality(
            lambda x: ((unmoved(x) - center) ** 4).sum() + unmoved(x) @ unmoved(x),
            np.full(5, 0.5) + shift,
            jac=lambda x: (4 * (unmoved(x) - center) ** 3 + 2 * unmoved(x))[move],
            lagrangian_hess=lambda x, _: np.diag(12 * (x - shift - center[move]) ** 2 + 2),
            constraints={
                "type": "eq",
                "fun": lambda x: unmoved(x) @ direction - 1,
                "jac": lambda _: direction[move],
            },
        )

    plain, moved = solve(np.arange(5)), solve(index)
    assert plain.success
    assert moved.success
    np.testing.assert_allclose(moved.x, plain.x[index], rtol=0, atol=1e-6)


def test_history_has_one_record_for_each_iterate():
    result = PROGRAMS["hs6"].solve()
    assert [record["nit"] for record in result.history] == list(range(result.nit + 1))
    assert result.history[-1]["error"] <= 1e-8
    assert all(math.isfinite(value) for record in result.history for value in record.values())


def test_overflow_at_a_trial_point_halves_the_step():
    """Newton's first step from far left goes where exp overflows."""
    evaluated = []

    def fun(x):
        evaluated.append(x[0])
        with np.errstate(over="ignore"):
            return np.exp(x[0] ** 2) if x[0] < 30 else np.inf

    constraint = {
        "type": "eq",
        "fun": lambda x: np.array([np.arctan(x[0] - 2) - 0.1]),
        "jac": lambda x: np.array([[1 / (1 + (x[0] - 2) ** 2)]]),
    }
    result = numopt.minimize_equality(
        fun, np.array([-5.0]), jac=lambda x: 2 * x * np.exp(x**2), constraints=constraint
    )
    assert not all(np.isfinite(evaluated)) or max(evaluated) > 5
    assert result.success
    assert result.x[0] == pytest.approx(2 + math.tan(0.1))
