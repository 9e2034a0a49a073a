"""The checks of a result, recomputed from the functions of the program alone."""

import pickle

import numpy as np
import pytest
from programs import INFEASIBLE, PROGRAMS, Portable
from row_sum_problems import D, problem
from scipy.optimize import LinearConstraint
from scipy.sparse import csr_array

import numopt


def given(name):
    program = PROGRAMS[name]
    return program.fun, {"jac": program.grad, "constraints": program.constraint()}


def agree(found, expected):
    """Assert that checks are the same up to rounding."""
    assert [check.name for check in found] == [check.name for check in expected]
    assert [check.limit for check in found] == [check.limit for check in expected]
    for here, there in zip(found, expected, strict=True):
        assert abs(here.value - there.value) <= 1e-12 + 1e-6 * there.value


@pytest.mark.parametrize("name", PROGRAMS)
def test_checks_are_those_of_the_result(name):
    fun, options = given(name)
    result = PROGRAMS[name].solve(method="published" if name == "hs42" else "auto")
    assert result.success
    agree(numopt.verify(result, fun, PROGRAMS[name].x0, **options), result.checks)
    agree(pickle.loads(pickle.dumps(result)).verify(fun, **options), result.checks)


@pytest.mark.parametrize("scale", [1e-4, 1e4])
def test_checks_are_in_the_units_of_the_user(scale):
    program = {
        "jac": lambda x: scale * 2 * x,
        "constraints": {"type": "eq", "fun": lambda x: [1e3 * scale * (x[0] + x[1] - 1)]},
    }

    def fun(x):
        return scale * (x @ x)

    result = numopt.minimize_equality(fun, [3, 1], **program)
    agree(result.verify(fun, **program), result.checks)


@pytest.mark.parametrize("change", ["x", "dual", "fun", "constraints"])
def test_a_wrong_answer_fails(change):
    fun, options = given("hs78")
    result = PROGRAMS["hs78"].solve()
    if change == "x":
        result.x = result.x + 1e-5
    elif change == "dual":
        result.dual = [part + 1e-5 for part in result.dual]
    elif change == "fun":
        options["jac"] = lambda x: 1.01 * PROGRAMS["hs78"].grad(x)
    else:
        options["constraints"] = {"type": "eq", "fun": lambda x: [x @ x - 10.1, x[0], x[1]]}
    assert not all(check.passed for check in result.verify(fun, **options))


def test_failures_are_verified_as_such():
    result = INFEASIBLE.solve()
    options = {"jac": INFEASIBLE.grad, "constraints": INFEASIBLE.constraint()}
    found = result.verify(INFEASIBLE.fun, **options)
    agree(found, result.checks)
    assert not all(check.passed for check in found)
    nowhere = numopt.minimize_equality(lambda _: np.nan, [1.0])
    assert [check.passed for check in nowhere.checks] == [False, False]
    assert not any(check.passed for check in nowhere.verify(lambda _: np.nan))


def test_programs_of_other_sizes_are_refused():
    result = PROGRAMS["hs42"].solve()
    with pytest.raises(ValueError, match="has 2 multipliers, got 1 equations"):
        result.verify(PROGRAMS["hs42"].fun, constraints={"type": "eq", "fun": lambda x: x[0]})


def test_on_every_library(lib):
    program = Portable(lib)
    result = program.solve()
    found = result.verify(
        program.fun,
        jac=program.grad,
        constraints={"type": "eq", "fun": program.con, "jac": program.jac},
    )
    assert all(check.passed for check in found)


def test_sums_over_rows_and_sparse_constraints():
    A, b, _, _ = problem("logistic")
    f = numopt.RowSum(A, b, loss="logistic", mean=True)
    equations = LinearConstraint(csr_array(np.eye(2, D)), 0.1, 0.1)
    result = numopt.minimize_equality(f, np.zeros(D), constraints=equations)
    agree(numopt.verify(result, f, constraints=equations), result.checks)


def test_derivatives_by_differences():
    def fun(x, factor):
        return factor * ((x - 1) ** 4).sum()

    equation = {"type": "eq", "fun": lambda x: x[0] * x[1] - 2}
    result = numopt.minimize_equality(fun, [2, 2], (3.0,), constraints=equation, tol=1e-6)
    assert result.success
    agree(result.verify(fun, None, (3.0,), constraints=equation), result.checks)
