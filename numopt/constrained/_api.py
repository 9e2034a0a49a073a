"""The public solver of equality-constrained programs."""

from __future__ import annotations

import time
from typing import Any

from .. import _random, _validate
from .._iterate import Callback, closing
from .._namespace import Array, array_namespace
from ._constraints import read_constraints
from ._curvature import Given, check_hess
from ._linear import SOLVERS
from ._merit import Penalties
from ._problem import Objective, Problem
from ._result import EqualityResult
from ._run import Settings, solve

_TOL = {"float64": 1e-8, "float32": 1e-4}
_THEORY_TOL = 1e-4
_BETA = {"adaptive": 1e-4, "theory": 0.1}


def minimize_equality(
    fun: Any,
    x0: Array,
    args: Any = (),
    *,
    jac: Any = None,
    hess: Any = None,
    hessp: Any = None,
    constraints: Any = (),
    lagrangian_hess: Any = None,
    linear_solver: str = "auto",
    linear_solver_fallback: str | None = "direct",
    sketch_size: int | None = None,
    accuracy: str = "adaptive",
    superlinear: bool = True,
    lam0: Any = None,
    warm: EqualityResult | None = None,
    tol: float | None = None,
    feas_tol: float | None = None,
    maxiter: int = 500,
    max_inner: int | None = None,
    time_limit: float | None = None,
    scale: bool = True,
    penalty: tuple[float, float] = (1.0, 0.1),
    beta: float | None = None,
    nu: float = 1.5,
    allow_overdetermined: bool = False,
    rng: Any = None,
    callback: Callback | None = None,
    finite_diff_rel_step: Any = None,
) -> EqualityResult:
    """DOCSTRING"""
    begin = time.perf_counter()
    x0 = _start(x0)
    args = tuple(args) if isinstance(args, list | tuple) else (args,)
    settings = _settings(x0, begin, locals())
    given = _second_derivatives(hess, hessp, lagrangian_hess, args, finite_diff_rel_step)
    objective = Objective(fun, jac, args, finite_diff_rel_step)
    blocks = read_constraints(constraints, x0, finite_diff_rel_step)
    with closing(callback):
        return solve(Problem(objective, blocks, x0), given, settings, x0)


def _start(x0: Any) -> Array:
    """Return the start as a vector of floats."""
    if isinstance(x0, list | tuple | int | float):
        raise TypeError(f"`x0` must be an array, got {type(x0).__name__}.")
    _validate.common_namespace(x0=x0)
    dtype = _validate.common_float(x0=x0)
    x0 = _validate.finite("x0", _validate.as_array("x0", x0, ndim=1, dtype=dtype))
    return array_namespace(x0).asarray(x0, copy=True)


def _second_derivatives(
    hess: Any, hessp: Any, lagrangian_hess: Any, args: tuple[Any, ...], rel_step: Any
) -> Given:
    """Return what is known of second derivatives; only one way to say it may be taken."""
    named = {"hess": hess, "hessp": hessp, "lagrangian_hess": lagrangian_hess}
    taken = [name for name, value in named.items() if value is not None]
    if len(taken) > 1:
        raise ValueError(f"`{taken[0]}` and `{taken[1]}` exclude one another; give one of them.")
    _validate.optional_callable("hessp", hessp)
    _validate.optional_callable("lagrangian_hess", lagrangian_hess)
    return Given(check_hess(hess), hessp, lagrangian_hess, args, rel_step)


def _settings(x0: Array, begin: float, options: dict[str, Any]) -> Settings:
    """Return the options of a solve, validated."""
    accuracy = _validate.choice("accuracy", options["accuracy"], tuple(_BETA))
    theory = accuracy == "theory"
    tol = options["tol"]
    if tol is None:
        tol = _THEORY_TOL if theory else _TOL["float32" if "32" in str(x0.dtype) else "float64"]
    tol = _validate.positive("tol", tol)
    feas_tol = options["feas_tol"]
    beta = _BETA[accuracy] if options["beta"] is None else options["beta"]
    beta = _validate.between("beta", beta, 0.0, 0.5)
    if beta == 0.5:
        raise ValueError("`beta` must be less than 0.5, got 0.5.")
    warm = options["warm"]
    if warm is not None and not isinstance(warm, EqualityResult):
        raise TypeError(f"`warm` must be an EqualityResult, got {type(warm).__name__}.")
    return Settings(
        linear_solver=_validate.choice("linear_solver", options["linear_solver"], SOLVERS),
        fallback=_fallback(options["linear_solver_fallback"]),
        sketch_size=_optional_count("sketch_size", options["sketch_size"]),
        theory=theory,
        superlinear=_flag("superlinear", options["superlinear"]),
        lam0=options["lam0"],
        warm=warm,
        tol=tol,
        feas_tol=tol if feas_tol is None else _validate.positive("feas_tol", feas_tol),
        maxiter=_validate.count("maxiter", options["maxiter"]),
        max_inner=_optional_count("max_inner", options["max_inner"]),
        time_limit=_optional_positive("time_limit", options["time_limit"]),
        scale=_flag("scale", options["scale"]),
        penalties=_penalties(options["penalty"]),
        beta=beta,
        nu=_validate.greater_than("nu", options["nu"], 1.0),
        overdetermined=_flag("allow_overdetermined", options["allow_overdetermined"]),
        rng=_random.generator(options["rng"]),
        callback=_validate.optional_callable("callback", options["callback"]),
        begin=begin,
    )


def _fallback(value: Any) -> bool:
    """Tell whether a factorization may finish what an iterative solver did not."""
    if value is not None:
        _validate.choice("linear_solver_fallback", value, ("direct",))
    return value is not None


def _optional_count(name: str, value: Any) -> int | None:
    if value is None:
        return None
    number = _validate.count(name, value)
    if number == 0:
        raise ValueError(f"`{name}` must be positive, got 0.")
    return number


def _optional_positive(name: str, value: Any) -> float | None:
    return None if value is None else _validate.positive(name, value)


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"`{name}` must be True or False, got {type(value).__name__}.")
    return value


def _penalties(value: Any) -> Penalties:
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise ValueError(f"`penalty` must be a pair (eta1, eta2), got {value!r}.")
    return Penalties(*(_validate.positive("penalty", number) for number in value))
