"""Starts and answers in every form that numbers come in, as programs stand in the literature."""

import math

import array_api_strict
import numpy as np
import pytest
from scipy.optimize import LinearConstraint, NonlinearConstraint, rosen, rosen_der, rosen_hess

import numopt


def test_the_function_of_rosenbrock_as_scipy_has_it():
    result = numopt.minimize_equality(rosen, [1.3, 0.7, 0.8, 1.9, 1.2], jac=rosen_der)
    assert result.success
    np.testing.assert_allclose(result.x, 1.0, atol=1e-6)
    exact = numopt.minimize_equality(rosen, [0.5, 2], jac=rosen_der, hess=rosen_hess)
    assert exact.success
    np.testing.assert_allclose(exact.x, 1.0, atol=1e-6)
    plane = LinearConstraint([[1, 1]], 1, 1)
    bound = numopt.minimize_equality(rosen, (0.5, 2), constraints=plane)
    assert bound.success
    assert bound.x.sum() == pytest.approx(1)


# Problems of Hock and Schittkowski (1981), with numbers and lists as one would write them.
TYPED = {
    "hs6": (
        lambda x: (1 - x[0]) ** 2,
        [-1.2, 1],
        lambda x: [2 * (x[0] - 1), 0],
        [(lambda x: 10 * (x[1] - x[0] ** 2), lambda x: [-20 * x[0], 10])],
        0.0,
    ),
    "hs7": (
        lambda x: math.log(1 + x[0] ** 2) - x[1],
        [2, 2],
        lambda x: [2 * x[0] / (1 + x[0] ** 2), -1],
        [
            (
                lambda x: [(1 + x[0] ** 2) ** 2 + x[1] ** 2 - 4],
                lambda x: [[4 * x[0] * (1 + x[0] ** 2), 2 * x[1]]],
            )
        ],
        -math.sqrt(3),
    ),
    "hs28": (
        lambda x: [(x[0] + x[1]) ** 2 + (x[1] + x[2]) ** 2],
        (-4, 1, 1),
        lambda x: (2 * (x[0] + x[1]), 2 * (x[0] + 2 * x[1] + x[2]), 2 * (x[1] + x[2])),
        [(lambda x: x[0] + 2 * x[1] + 3 * x[2] - 1, lambda _: (1, 2, 3))],
        0.0,
    ),
    "hs42": (
        lambda x: sum((x[k] - k - 1) ** 2 for k in range(4)),
        [1, 1, 1, 1],
        lambda x: [2 * (x[k] - k - 1) for k in range(4)],
        [
            (lambda x: x[0] - 2, lambda _: [1, 0, 0, 0]),
            (lambda x: x[2] ** 2 + x[3] ** 2 - 2, lambda x: [0, 0, 2 * x[2], 2 * x[3]]),
        ],
        28 - 10 * math.sqrt(2),
    ),
    "hs48": (
        lambda x: (x[0] - 1) ** 2 + (x[1] - x[2]) ** 2 + (x[3] - x[4]) ** 2,
        [3, 5, -3, 2, -2],
        None,
        [
            (lambda x: [sum(x) - 5, x[2] - 2 * (x[3] + x[4]) + 3], None),
        ],
        0.0,
    ),
}


@pytest.mark.parametrize("name", TYPED)
@pytest.mark.parametrize("form", ["dict", "scipy"])
def test_problems_typed_in_with_lists(name, form):
    fun, x0, jac, parts, minimum = TYPED[name]
    constraints = [
        {"type": "eq", "fun": c, "jac": G}
        if form == "dict"
        else NonlinearConstraint(c, 0, 0, jac=G or "2-point")
        for c, G in parts
    ]
    result = numopt.minimize_equality(fun, x0, jac=jac, constraints=constraints, tol=1e-6)
    assert result.success
    assert result.fun == pytest.approx(minimum, abs=1e-6)
    assert result.x.dtype == np.float64
    assert all(check.passed for check in result.verify(fun, jac=jac, constraints=constraints))


def test_gradient_and_hessian_as_lists():
    result = numopt.minimize_equality(
        lambda x: (x[0] ** 4 + x[1] ** 2, [4 * x[0] ** 3, 2 * x[1]]),
        [1.0, 1.0],
        jac=True,
        lagrangian_hess=lambda x, _: [[12 * x[0] ** 2, 0], [0, 2]],
        constraints=LinearConstraint([1, 1], 1, 1),
    )
    assert result.success
    assert result.hess_mode == "exact"


class Foreign:
    """Numbers of a library that only knows how to become an array of NumPy."""

    def __init__(self, values):
        self.values = np.asarray(values)

    def __array__(self, dtype=None, copy=None):
        return self.values if dtype is None else self.values.astype(dtype)

    def __len__(self):
        return len(self.values)


def test_numbers_of_foreign_classes():
    result = numopt.minimize_equality(
        lambda x: x @ x,
        Foreign([3.0, 1.0]),
        jac=lambda x: Foreign(2 * x),
        constraints={"type": "eq", "fun": lambda x: Foreign([x.sum() - 1])},
    )
    assert result.success
    assert type(result.x) is np.ndarray
    f = numopt.RowSum(Foreign(np.eye(2)), [1.0, 2.0], weights=(1, 1))
    assert f([0, 0]) == 2.5
    np.testing.assert_array_equal(f.gradient(Foreign([0.0, 0.0])), [-1, -2])
    assert numopt.RowSum([[1, 0], [0, 1]], [1, 2])([0.0, 0.0]) == 2.5


def test_lists_beside_another_library():
    x0 = array_api_strict.asarray([3.0, 1.0])
    result = numopt.minimize_equality(
        lambda x: x[0] ** 2 + x[1] ** 2,
        (x0, [0.5]),
        jac=lambda x: [2 * x[0], 2.0 * x[1]],
        constraints={"type": "eq", "fun": lambda x: [x[0] + x[1] - 1], "jac": lambda _: [[1, 1]]},
    )
    assert result.success
    assert type(result.x) is type(x0)
    np.testing.assert_allclose(np.asarray(result.x), 0.5, atol=1e-8)


def test_starts_with_multipliers():
    planes = [LinearConstraint(row, 1, 1) for row in ([1, 0, 0], [0, 1, 1])]

    def fun(x):
        return ((x - 3) ** 2).sum()

    first = numopt.minimize_equality(fun, [0, 0, 0], constraints=planes)
    assert [part.shape for part in first.dual] == [(1,), (1,)]
    for x0 in (
        (first.x, first.dual),
        (first.x.tolist(), first.dual_vector().tolist()),
        (first.x, [[float(part[0])] for part in first.dual]),
        first,
    ):
        again = numopt.minimize_equality(fun, x0, maxiter=0, constraints=planes)
        assert again.success
        np.testing.assert_allclose(again.dual_vector(), first.dual_vector())


BAD = {
    "nothing": (lambda _: None, TypeError, "`fun` must return a number, got NoneType"),
    "list": (lambda _: [1.0, 2.0], TypeError, "`fun` must return a number, got list"),
}


@pytest.mark.parametrize(("fun", "error", "message"), BAD.values(), ids=BAD)
def test_answers_that_are_no_number(fun, error, message):
    with pytest.raises(error, match=message):
        numopt.minimize_equality(fun, [1.0, 2.0])


@pytest.mark.parametrize(
    ("jac", "error", "message"),
    [
        (lambda _: [1.0, [2.0]], ValueError, "`jac` must return an array of numbers"),
        (lambda _: ["a", "b"], TypeError, "`jac` must return an array of numbers, got list of <U1"),
        (lambda _: None, TypeError, "`jac` must return an array of numbers, got NoneType"),
        (lambda _: [1.0], ValueError, r"`jac` must return shape \(2,\), got shape \(1,\)"),
    ],
)
def test_gradients_that_are_none(jac, error, message):
    with pytest.raises(error, match=message):
        numopt.minimize_equality(lambda x: x @ x, [1.0, 2.0], jac=jac)


def test_objects_say_what_they_are():
    f = numopt.RowSum(np.ones((5, 2)), np.ones(5), loss="huber")
    assert repr(f) == "RowSum of 5 rows, 2 coefficients, huber loss"
    result = numopt.minimize_equality(f, [0, 0], constraints=LinearConstraint([1, 0], 0, 0))
    assert "checks: pass  relative gradient of the Lagrangian" in repr(result)
