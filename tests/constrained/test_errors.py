"""What `minimize_equality` says of bad inputs."""

import array_api_strict
import numpy as np
import pytest
from programs import solved_by
from scipy.optimize import Bounds, LinearConstraint, NonlinearConstraint
from scipy.sparse import csr_array
from scipy.sparse.linalg import aslinearoperator

import numopt

X0 = np.array([1.0, 2.0, 3.0])
NAN, INF = float("nan"), float("inf")


def fun(x):
    return x @ x


def line(low=1.0, high=1.0, **options):
    return NonlinearConstraint(lambda x: x.sum(), low, high, jac=np.ones_like, **options)


def solve(**changes):
    arguments = {"fun": fun, "x0": X0, "jac": lambda x: 2 * x, "constraints": line()} | changes
    return numopt.minimize_equality(arguments.pop("fun"), arguments.pop("x0"), **arguments)


def eq(function, **more):
    return {"type": "eq", "fun": function} | more


BAD = {
    "range": (
        {"constraints": [line(), line(0.0, 1.0)]},
        ValueError,
        r"`constraints\[1\]` must have lb == ub, got \[0, 1\] at \[0\]; .*trust-constr.*SLSQP",
    ),
    "ineq": (
        {"constraints": {"type": "ineq", "fun": fun}},
        ValueError,
        r"`constraints\[0\]` is an inequality; .*trust-constr.*SLSQP",
    ),
    "bounds": (
        {"constraints": Bounds([0, 0, 0], [1, 1, 1])},
        ValueError,
        r"`constraints\[0\]` must fix a variable .* got \[0, 1\] for variable 0; .*SLSQP",
    ),
    "crossed": ({"constraints": line(2.0, 1.0)}, ValueError, r"must have lb <= ub, got \[2, 1\]"),
    "nan-bound": ({"constraints": line(NAN, 1.0)}, ValueError, "must not have nan as a bound"),
    "infinite": ({"constraints": line(INF, INF)}, ValueError, "must have finite bounds, got inf"),
    "bound-shape": (
        {"constraints": line([1.0, 1.0], [1.0, 1.0])},
        ValueError,
        r"must have bounds of shape \(1,\)",
    ),
    "linear-shape": (
        {"constraints": LinearConstraint(np.ones((1, 2)), 1, 1)},
        ValueError,
        r"must have a matrix with 3 columns to match `x0`, got shape \(1, 2\)",
    ),
    "kind": ({"constraints": 3}, TypeError, r"`constraints\[0\]` must be a LinearConstraint"),
    "dict-type": ({"constraints": {"fun": fun}}, ValueError, "must have type 'eq', got None"),
    "dict-key": ({"constraints": eq(fun, hes=1)}, ValueError, "has the unknown key 'hes'"),
    "dict-fun": ({"constraints": eq(1)}, TypeError, r"\['fun'\]` must be callable, got int"),
    "too-many": (
        {"constraints": eq(lambda x: np.append(x, 1.0))},
        ValueError,
        "must not be more than the variables, got 4 equations for 3 variables",
    ),
    "gradient-shape": (
        {"jac": lambda _: np.ones(2)},
        ValueError,
        r"`jac` must return shape \(3,\), got shape \(2,\)",
    ),
    "gradient-complex": (
        {"jac": lambda x: x + 1j},
        ValueError,
        "`jac` must return real numbers, got dtype complex128",
    ),
    "jacobian-columns": (
        {"constraints": eq(lambda x: x[:2], jac=lambda _: np.ones((2, 2)))},
        ValueError,
        r"must return a matrix with 3 columns, got shape \(2, 2\)",
    ),
    "jacobian-rows": (
        {"constraints": eq(lambda x: x[:2], jac=lambda _: np.ones((1, 3)))},
        ValueError,
        r"must return 2 rows to match its values, got shape \(1, 3\)",
    ),
    "values-shape": (
        {"constraints": eq(lambda x: x[:, None])},
        ValueError,
        r"must return a vector, got shape \(3, 1\)",
    ),
    "fun-shape": ({"fun": lambda x: x}, ValueError, r"`fun` must return a number, got shape"),
    "fun-complex": ({"fun": lambda x: x[0] + 1j}, ValueError, "`fun` must return a real number"),
    "hess-shape": (
        {"lagrangian_hess": lambda *_: np.ones((2, 3))},
        ValueError,
        r"`lagrangian_hess` must return a square matrix, got shape \(2, 3\)",
    ),
    "x0-complex": ({"x0": X0 + 0j}, TypeError, "`x0` must hold real numbers"),
    "x0-kind": ({"x0": "12"}, TypeError, "`x0` must be an array or a sequence of real numbers"),
    "x0-ragged": ({"x0": [[1.0], 2.0]}, ValueError, "`x0` must be an array .* ragged"),
    "x0-matrix": ({"x0": X0[None]}, ValueError, r"`x0` must be a vector, got shape \(1, 3\)"),
    "x0-empty": ({"x0": X0[:0]}, ValueError, "`x0` must not be empty"),
    "x0-nan": ({"x0": X0 * NAN}, ValueError, r"`x0` must be finite, got nan at \[0\]"),
    "fun-kind": ({"fun": 3}, TypeError, "`fun` must be callable, got int"),
    "jac-word": ({"jac": "forward"}, ValueError, "`jac` must be one of '2-point', '3-point', 'cs'"),
    "hess-word": ({"hess": "newton"}, ValueError, "`hess` must be one of .*, got 'newton'"),
    "hessp-kind": ({"hessp": 1}, TypeError, "`hessp` must be callable, got int"),
    "two-hessians": (
        {"hess": "bfgs", "lagrangian_hess": lambda *_: np.eye(3)},
        ValueError,
        "`hess` and `lagrangian_hess` exclude one another",
    ),
    "method": ({"method": "lu"}, ValueError, "`method` must be one of 'auto'.* 'published'"),
    "sketch": ({"sketch": "rows"}, ValueError, "`sketch` must be one of 'kaczmarz', 'gaussian'"),
    "fallback": ({"fallback": "lu"}, TypeError, "`fallback` must be True or False, got str"),
    "sketch-krylov": (
        {"method": "gmres", "sketch": "kaczmarz"},
        ValueError,
        "`sketch` must not be given with method='gmres'",
    ),
    "tol": ({"tol": 0}, ValueError, "`tol` must be positive and finite, got 0"),
    "feas-tol": ({"feas_tol": -1.0}, ValueError, "`feas_tol` must be positive"),
    "maxiter": ({"maxiter": -1}, ValueError, "`maxiter` must be non-negative, got -1"),
    "maxiter-kind": ({"maxiter": 1.5}, TypeError, "`maxiter` must be an integer"),
    "max-inner": ({"max_inner": 0}, ValueError, "`max_inner` must be at least 1, got 0"),
    "sketch-size": ({"sketch_size": 0}, ValueError, "`sketch_size` must be at least 1, got 0"),
    "time-limit": ({"time_limit": 0.0}, ValueError, "`time_limit` must be positive"),
    "decrease": ({"sufficient_decrease": 0.5}, ValueError, "`sufficient_decrease` must be less"),
    "decrease-zero": (
        {"sufficient_decrease": 0.0},
        ValueError,
        r"`sufficient_decrease` must be in \(0, 0.5\], got 0.0",
    ),
    "rate": ({"penalty_rate": 1.0}, ValueError, "`penalty_rate` must be finite and greater than 1"),
    "penalty": ({"penalty": 1.0}, ValueError, "`penalty` must be a pair of numbers, got 1.0"),
    "penalty-sign": ({"penalty": (1.0, 0.0)}, ValueError, "`penalty` must be positive"),
    "scale": ({"scale": 1}, TypeError, "`scale` must be True or False, got int"),
    "rng": ({"rng": "seed"}, TypeError, "`rng` must be None, an integer seed or"),
    "callback": ({"callback": 1}, TypeError, "`callback` must be callable"),
    "multipliers": (
        {"x0": (X0, np.ones(2))},
        ValueError,
        "`x0` must have 1 multipliers, one for each equation, got 2",
    ),
    "triple": ({"x0": (X0, X0[:1], 0)}, ValueError, r"must be a pair \(x, multipliers\), got .* 3"),
    "x0-dict": ({"x0": {}}, TypeError, "`x0` must be an array or a sequence .* got dict"),
}


@pytest.mark.parametrize(("changes", "error", "message"), BAD.values(), ids=list(BAD))
def test_bad_input(changes, error, message):
    with pytest.raises(error, match=message):
        solve(**changes)


@pytest.mark.parametrize("name", ["direct", "kaczmarz", "gaussian", "block-kaczmarz"])
def test_solvers_that_need_rows_refuse_operators(name):
    with pytest.raises(ValueError, match=f"'{name}' needs rows .* method='gmres'"):
        solve(hessp=lambda _, p: 2 * p, constraints=sphere(), **solved_by(name))
    with pytest.raises(ValueError, match=f"'{name}' needs rows .* method='gmres'"):
        solve(lagrangian_hess=lambda *_: aslinearoperator(np.eye(3)), **solved_by(name))


def sphere():
    return NonlinearConstraint(
        fun, 1.0, 1.0, jac=lambda x: 2 * x, hess=lambda x, v: 2 * v[0] * np.eye(x.size)
    )


def test_published_method_refuses_operators():
    with pytest.raises(ValueError, match="'published' needs matrices"):
        solve(hessp=lambda _, p: 2 * p, constraints=sphere(), method="published")


def test_asymmetric_hessian_warns_once_and_is_symmetrized():
    skewed = np.array([[2.0, 0.5, 0], [-0.5, 2, 0], [0, 0, 2]])
    with pytest.warns(RuntimeWarning, match="`lagrangian_hess` returned .* not symmetric") as seen:
        result = solve(lagrangian_hess=lambda *_: skewed)
    assert len(seen) == 1
    assert result.success
    assert result.nit == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"fun": lambda _: NAN},
        {"fun": lambda _: INF},
        {"jac": lambda x: x * NAN},
        {"constraints": eq(lambda x: x[:1] * NAN)},
        {"constraints": eq(lambda x: x[:1], jac=lambda _: np.full((1, 3), INF))},
    ],
)
def test_numbers_that_are_not_finite_at_the_start(changes):
    result = solve(**changes)
    assert not result.success
    assert result.status is numopt.Status.NON_FINITE
    assert result.nit == 0
    assert "not finite at x0" in result.message


@pytest.mark.parametrize("which", ["fun", "jac", "constraint"])
def test_what_a_function_raises_is_passed_on(which):
    def broken(*_):
        raise RuntimeError("the simulation crashed")

    changes = {"constraints": eq(broken)} if which == "constraint" else {which: broken}
    with pytest.raises(RuntimeError, match="the simulation crashed"):
        solve(**changes)


def test_function_that_turns_nan_ends_with_a_status():
    calls = []

    def turns(x):
        calls.append(1)
        return fun(x) if len(calls) < 2 else NAN

    result = solve(fun=turns, constraints=sphere())
    assert not result.success
    assert result.status is numopt.Status.STALLED
    assert np.isfinite(result.fun)
    assert len(calls) < 500


def test_number_of_equations_must_not_change():
    sizes = iter([2, 1])
    with pytest.raises(ValueError, match="must return as many values at every point"):
        solve(constraints=eq(lambda x: x[: next(sizes)], jac=lambda _: np.eye(3)[:2]))


@pytest.mark.parametrize("dtype", ["int32", "int64", "uint8"])
def test_integers_become_floats(dtype):
    result = solve(x0=np.array([1, 2, 3], dtype=dtype))
    assert result.success
    assert result.x.dtype == np.float64


def test_kkt_solve_checks_its_arguments():
    result = solve()
    with pytest.raises(ValueError, match=r"`rx` must have shape \(3,\)"):
        result.kkt_solve(np.ones(2), np.ones(1))
    with pytest.raises(ValueError, match="`rc` must be finite"):
        result.kkt_solve(np.ones(3), np.array([NAN]))
    with pytest.raises(TypeError, match="of one library"):
        result.kkt_solve(array_api_strict.asarray(np.ones(3)), np.ones(1))
    flat = solve(fun=lambda x: x[0] ** 2, jac=lambda x: np.array([2 * x[0], 0, 0]))
    with pytest.raises(ValueError, match="singular or has the wrong inertia"):
        flat.kkt_solve(np.ones(3), np.ones(1))


def test_sparse_matrices_are_for_numpy():
    x0 = array_api_strict.asarray(X0)
    with pytest.raises((TypeError, ValueError)):
        solve(
            x0=x0,
            constraints=eq(lambda x: x[:1], jac=lambda _: csr_array(np.eye(3)[:1])),
        )
