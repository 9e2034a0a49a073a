"""Options of a solve, checked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from .._core import random, validate
from .._core.iterate import Callback
from .._core.namespace import Array
from ._linear import SOLVERS
from ._merit import Penalties
from ._result import EqualityResult

_TOL = {"float64": 1e-8, "float32": 1e-4}
_THEORY_TOL = 1e-4
_BETA = {"adaptive": 1e-4, "theory": 0.1}


class Settings(NamedTuple):
    """Options of `minimize_equality` by their names, validated, with their defaults filled in."""

    linear_solver: str
    linear_solver_fallback: bool
    sketch_size: int | None
    accuracy: str
    superlinear: bool
    lam0: Any
    warm: EqualityResult | None
    tol: float
    feas_tol: float
    maxiter: int
    max_inner: int | None
    time_limit: float | None
    scale: bool
    penalty: Penalties
    beta: float
    nu: float
    allow_overdetermined: bool
    rng: Any
    callback: Callback | None
    begin: float

    @property
    def theory(self) -> bool:
        """Whether the method is the published one."""
        return self.accuracy == "theory"


def read_settings(x0: Array, begin: float, options: dict[str, Any]) -> Settings:
    """Return the options of a solve that began at some time, validated."""
    accuracy = validate.choice("accuracy", options["accuracy"], tuple(_BETA))
    tol = options["tol"]
    if tol is None:
        by_dtype = _TOL["float32" if "32" in str(x0.dtype) else "float64"]
        tol = _THEORY_TOL if accuracy == "theory" else by_dtype
    filled = options | {
        "begin": begin,
        "tol": tol,
        "feas_tol": tol if options["feas_tol"] is None else options["feas_tol"],
        "beta": _BETA[accuracy] if options["beta"] is None else options["beta"],
    }
    return Settings(
        *(_CHECKS[name](name, filled[name]) for name in Settings._fields),
    )


def _as_it_is(_: str, value: Any) -> Any:
    return value


def _fallback(name: str, value: Any) -> bool:
    """Tell whether a factorization may finish what an iterative solver did not."""
    if value is not None:
        validate.choice(name, value, ("direct",))
    return value is not None


def _optional(check: Callable[[str, Any], Any]) -> Callable[[str, Any], Any]:
    return lambda name, value: None if value is None else check(name, value)


def _warm(name: str, value: Any) -> Any:
    if value is not None and not isinstance(value, EqualityResult):
        raise TypeError(f"`{name}` must be an EqualityResult, got {type(value).__name__}.")
    return value


def _penalty(name: str, value: Any) -> Penalties:
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise ValueError(f"`{name}` must be a pair (eta1, eta2), got {value!r}.")
    return Penalties(*(validate.positive(name, number) for number in value))


def _beta(name: str, value: Any) -> float:
    if validate.between(name, value, 0.0, 0.5) == 0.5:
        raise ValueError(f"`{name}` must be less than 0.5, got 0.5.")
    return float(value)


_CHECKS: dict[str, Callable[[str, Any], Any]] = {
    "linear_solver": lambda name, value: validate.choice(name, value, SOLVERS),
    "linear_solver_fallback": _fallback,
    "sketch_size": _optional(validate.at_least_one),
    "accuracy": _as_it_is,  # looked at first: defaults depend on it
    "superlinear": validate.flag,
    "lam0": _as_it_is,  # its size is known at the first point
    "warm": _warm,
    "tol": validate.positive,
    "feas_tol": validate.positive,
    "maxiter": validate.count,
    "max_inner": _optional(validate.at_least_one),
    "time_limit": _optional(validate.positive),
    "scale": validate.flag,
    "penalty": _penalty,
    "beta": _beta,
    "nu": lambda name, value: validate.greater_than(name, value, 1.0),
    "allow_overdetermined": validate.flag,
    "rng": lambda _, value: random.generator(value),
    "callback": validate.optional_callable,
    "begin": _as_it_is,
}
